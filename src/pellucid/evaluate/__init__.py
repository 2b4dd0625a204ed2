"""Trials of answers, and models compared on the same rows: is this to be believed, and is the large model worth it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.results import FeatureSets, Finding, Leaderboard, LearningCurve, Parting, Trial

__all__ = ["compare", "contest", "decomposition", "feature_sets", "learning_curve", "prove", "trial"]


def prove(
    findings: Sequence[Finding], model: Any, X: Any = None, *, refit: Any = None, budget: float | str | None = None, random_state: Any = 0
) -> list[Finding]:
    """Return findings, each with the trial of its effect in ``.trial``, gravest first until the budget is spent.

    Parameters
    ----------
    findings : what ``pellucid.audit`` returned. model, X : a model and the audited table, or the table alone (then boosted trees learn).
    budget : most seconds in total (120), as a number or text such as ``"30s"``. ``refit`` and ``random_state`` are those of :func:`trial`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from pellucid.audit import audit
    >>> from pellucid.table import read_table
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(x.sum(1) + x[:, 0] > 1, "yes", "no")})
    >>> table = read_table(frame.assign(code=frame["y"].map({"yes": "X", "no": "Z"})), target="y")
    >>> [f.trial.verdict for f in prove([f for f in audit(table) if f.columns == ("code",)], table)]
    ['pass']
    """
    from pellucid.evaluate.effect import prove as run

    return run(findings, model, X, refit=refit, budget=budget, random_state=random_state)


def trial(
    explanation: Any,
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    refit: Any = None,
    budget: float | str | None = None,
    names: Sequence[str] | None = None,
    random_state: Any = 0,
    background: Any = None,
    explain_again: Any = None,
) -> list[Trial]:
    """Try an answer: is an explanation to be believed, and does a finding about the data matter?

    A finding is tried by its effect: the score with and without its remedy, on the same rows, with a paired interval
    (``trial(finding, table)`` or ``trial(finding, model, table)``); "pass" means that the score moves as it must where the finding is
    right.

    Parameters
    ----------
    explanation : what ``explain`` returned: an Explanation of the N rows ``X``, an Importance, Interactions, a Curve or Rules; what a trial
        cannot read in it is "not testable". Or a Finding of ``audit``.
    model : the model that was explained: an estimator of this package, a predictor, or a model from elsewhere (then with
    ``background``). For
        a finding: a backbone name or an estimator, which is fitted anew, or the audited table alone (then boosted trees learn).
    X, y : the N explained rows, and their labels for methods that need them. For a finding: the audited table, with its target.
    refit : a :class:`~pellucid.protocols.Refit`, or True: the model's own, or for one from elsewhere a clone fitted on
        ``X`` and ``y``; without it, tests that retrain are not testable.
    budget : most seconds in total (120), as a number or text such as ``"30s"``; no fit or explanation begins after them.
        Tests take fewer rows where the time is short, and say "not testable" where it does not reach.
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
    from pellucid.results import Finding

    if isinstance(explanation, Finding):
        from pellucid.evaluate.effect import run as effect

        return [effect(explanation, model, X, refit=refit, budget=budget, random_state=random_state)]
    if X is None:
        from pellucid.errors import ArgumentError

        raise ArgumentError("an explanation is tried on the rows that were explained", do="pass X=")
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


def decomposition(
    table: Any,
    columns: Sequence[str] | str,
    *,
    model: Any = None,
    test: Any = None,
    target: str | None = None,
    n_boot: int = 1000,
    random_state: Any = 0,
) -> Parting:
    """Say what it costs, and brings, that the answers of a model do not tell sensitive columns.

    The model is fitted as it is, and once more with ``decompose=``, on the same rows. Both are judged on the same held-out rows: score,
    what probes from outside read of the columns in the state behind the answers, and rates by group.

    Parameters
    ----------
    table : a Table with a target (or a frame with ``target=``). columns : the sensitive columns.
    model : an estimator whose settings both fits share (its ``decompose=`` may hold weights); None takes ``backbone="tabm"``.
    test : rows to judge on; None cuts off a fifth of ``table`` first.
    n_boot : bootstrap resamples of the test rows.

    Returns
    -------
    Parting.

    Raises
    ------
    RequestError : no target, too few test rows, or a model that cannot be decomposed. ColumnError : an unknown column.

    Notes
    -----
    Cost: two fits, and eight small probes a column.
    """
    from pellucid.evaluate.parted import run

    return run(table, columns, model=model, test=test, target=target, n_boot=n_boot, random_state=random_state)


def feature_sets(
    table: Any,
    sets: Mapping[str, Sequence[str] | str] | None = None,
    *,
    windows: Sequence[float] = (),
    model: Any = None,
    by: str | None = None,
    test: Any = None,
    target: str | None = None,
    n_boot: int = 1000,
    random_state: Any = 0,
) -> FeatureSets:
    """Compare sets of columns, or windows of time, by one kind of model on the same rows.

    Parameters
    ----------
    table : a Table with a target (or a frame with ``target=``).
    sets : by name the columns, or patterns such as ``"egfr_*"``, of each set.
    windows : months: dated columns seen fewer months than this before the latest one, and all undated columns; see
        :func:`pellucid.evaluate.column_sets.ages_of` for how names are read. The undated columns alone are then compared as well.
    model : a backbone name or an estimator, fitted anew for every set; None takes the default one.
    by : a column: errors and calibration of its groups are told for every set.
    test : rows to score on; None cuts off a fifth of ``table`` first. n_boot : bootstrap resamples of the test rows.

    Returns
    -------
    FeatureSets: all columns first; the paired differences of the others are to them.

    Raises
    ------
    RequestError : nothing to compare, or windows without dated columns. ColumnError : a set without a column.

    Notes
    -----
    Cost: one fit a set. Idea of comparing observation windows by group: prediction of end-stage renal disease from claims and clinical
    records, as reported by hospitals; the figures here are those of the table alone.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> draw = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"age": draw.normal(60, 9, 600), "gfr_2020": draw.normal(60, 9, 600), "gfr_2021": draw.normal(60, 9, 600)})
    >>> frame["loss"] = 100 - frame["gfr_2021"] + draw.normal(0, 1, 600)
    >>> found = feature_sets(frame, windows=[12], model="linear", target="loss")
    >>> list(found.columns)
    ['all columns', 'last 12 months', 'undated columns']
    """
    from pellucid.evaluate.column_sets import run

    return run(
        table, sets, windows=windows, model=model, by=by, test=test, target=target, n_boot=n_boot, random_state=random_state
    )  # fmt: skip


def learning_curve(
    table: Any,
    models: Sequence[Any] = ("auto", "linear"),
    *,
    sizes: Sequence[int] | None = None,
    noise: Sequence[float] = (0.0,),
    repeats: int = 3,
    test: Any = None,
    target: str | None = None,
    budget: float | str | None = None,
    random_state: Any = 0,
) -> LearningCurve:
    """Score models by number of training rows and share of wrong labels: would more rows, or better labels, help?

    Parameters
    ----------
    table : a Table with a target (or a frame with ``target=``).
    models : backbone names, estimators, or (name, estimator) pairs. "linear" is the reference where it is among them, else the last one.
    sizes : numbers of training rows; five from 100 to all by default. Larger sets hold the smaller ones.
    noise : shares of training labels made wrong: another class at random, or the number of another row. Test labels stay.
    repeats : draws of rows and of noise. test : rows to score on; a fifth of the table by default.
    budget : most seconds (300), as a number or text such as ``"30s"``; what the time does not reach is left out, which the record says.

    Returns
    -------
    LearningCurve: scores with 95 % intervals (test rows and draws of training rows), paired gains over the reference, and the size from
    which on each model is better.

    Raises
    ------
    RequestError : sizes beyond the table, or shares outside [0, 1). Cost: one fit per model, size, share and repeat.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] * x[:, 1]})
    >>> curve = learning_curve(frame, ["hist_gb", "linear"], target="y", sizes=[200, 450], repeats=1)
    >>> curve.overtakes["hist_gb", 0.0]
    200
    """
    from pellucid.evaluate.curves import run

    return run(table, models, sizes=sizes, noise=noise, repeats=repeats, test=test, target=target, budget=budget, random_state=random_state)
