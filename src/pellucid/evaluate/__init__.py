"""Trials of answers, and models compared on the same rows: is this to be believed, and is the large model worth it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.results import Leaderboard, Trial

__all__ = ["compare", "contest", "trial"]


def trial(
    explanation: Any,
    model: Any,
    X: Any,
    y: Any = None,
    *,
    refit: Any = None,
    budget: float | None = None,
    names: Sequence[str] | None = None,
    random_state: Any = 0,
    background: Any = None,
    explain_again: Any = None,
) -> list[Trial]:
    """Try an explanation: is it to be believed?

    Parameters
    ----------
    explanation : what ``explain`` returned: an Explanation of the N rows ``X``, an Importance, Interactions, a Curve or Rules; what a trial
        cannot read in it is "not testable".
    model : the model that was explained: an estimator of this package, a predictor, or a model from elsewhere (then with ``background``).
    X, y : the N explained rows, and their labels for methods that need them.
    refit : a :class:`~pellucid.protocols.Refit`, or True: the model's own, or for one from elsewhere a clone fitted on
        ``X`` and ``y``; without it, tests that retrain are not testable.
    budget : most seconds in total (120). Tests take fewer rows where the time is short, and say "not testable" where it does not reach.
    names : which trials; all of ``pellucid.methods("trial")`` by default.
    background : the rows that were given to ``explain``, where any were.
    explain_again : called as ``explain_again(predictor, table, background=, random_state=, budget=, precision=)`` instead of
        ``pellucid.explain``, for explanations made elsewhere.

    Returns
    -------
    One Trial per name, each with a figure, its 95 % interval, a null, a verdict and the verdict in words.

    Raises
    ------
    RequestError : ``X`` are not the rows that were explained, or a name is unknown.
    """
    from pellucid.evaluate.case import run

    return run(
        explanation,
        model,
        X,
        y,
        refit=refit,
        budget=budget,
        names=names,
        random_state=random_state,
        background=background,
        explain_again=explain_again,
    )


def compare(
    table: Any,
    models: Sequence[Any] = ("auto", "linear", "hist_gb"),
    *,
    test: Any = None,
    target: str | None = None,
    n_boot: int = 1000,
    random_state: Any = 0,
    time_limit: float | None = None,
    explain_rows: int = 24,
) -> Leaderboard:
    """Compare models on the same rows: the score of each with its interval, and the paired difference to the first.

    Parameters
    ----------
    table : a Table with a target (or a frame with ``target=``); all models learn the same rows of it.
    models : backbone names, estimators, or (name, estimator) pairs; estimators that are fitted already are used as they are. The first is
        the reference.
    test : rows to score on; None cuts off a fifth of ``table`` first, with copies and groups kept together.
    n_boot : bootstrap resamples of the test rows.
    time_limit : most seconds per fit.
    explain_rows : test rows explained per model, for the measured size of its explanations; 0 leaves that out. Cost: at most 3 s a model.

    Returns
    -------
    Leaderboard, with ``words`` that say plainly where a simple model is as good.

    Raises
    ------
    RequestError : no target, fewer than 20 test rows, or a fitted model was given without ``test`` (it may have seen any row).
    """
    from pellucid.evaluate.leaderboard import run

    return run(
        table, models, test=test, target=target, n_boot=n_boot, random_state=random_state, time_limit=time_limit, explain_rows=explain_rows
    )


def contest(
    table: Any,
    sources: Any = None,
    *,
    model: Any = None,
    test: Any = None,
    target: str | None = None,
    n_boot: int = 500,
    random_state: Any = 0,
) -> Leaderboard:
    """Say which source of doubt serves a table best, all on the same rows.

    Parameters
    ----------
    table : a Table with a target (or a frame with ``target=``).
    sources : names of ``pellucid.evaluate.doubt_contest.SOURCES``, or a mapping of names of your own to constructor arguments; None for
        all that fit
        the task. The first is the reference.
    model : an estimator whose settings all sources start from; None takes the default one.
    test : rows to score on; None cuts off a fifth of ``table`` first.
    n_boot : bootstrap resamples of the test rows.

    Returns
    -------
    Leaderboard: per source the proper score (log loss; CRPS in the target's unit; less is better) with its interval and the paired
    difference
    to the first, calibration error beside the 95 % point that a calibrated model would show, rank correlation of doubt with error, area
    under
    the curve by which its doubt tells made-up shifted rows, and seconds; ``words`` say what that comes to.

    Raises
    ------
    RequestError : an unknown source, no target, or too few test rows. Sources that this backbone cannot have are named in the caveats.

    Notes
    -----
    Cost: one fit a source (``mc_dropout`` is asked of the first model).
    """
    from pellucid.evaluate.doubt_contest import run

    return run(table, sources, model=model, test=test, target=target, n_boot=n_boot, random_state=random_state)
