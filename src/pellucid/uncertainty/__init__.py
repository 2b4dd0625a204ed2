"""How certain is it? Calibrated probabilities, promised sets and intervals, two kinds of doubt, familiarity: read, never fitted here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pellucid.registry import callable_package

if TYPE_CHECKING:
    from pellucid.results import Coverage, NextRows, Prediction, RiskCoverage, Watch

__all__ = ["coverage", "next_rows", "selective", "uncertainty", "watch"]


def uncertainty(
    model: Any,
    X: Any,
    *,
    level: float = 0.9,
    groups: str | None = None,
    score: str = "auto",
    shift: Mapping[str, Mapping[Any, float]] | None = None,
    familiarity: str | None = "neighbours",
    refuse_above: float | None = None,
    max_risk: float | None = None,
    tolerance: float | None = None,
    source: str | None = None,
    samples: bool = False,
) -> Prediction:
    """Return the model's answers to the rows ``X``, each with its doubt.

    Parameters
    ----------
    model : a fitted estimator of this package.
    X : N rows, frame or Table.
    level : promised share of rows whose truth lies in the set or interval; any level can be asked after training.
    groups : name of a category column: the promise is then kept in each of its groups.
    score : how promises are made. Numbers: ``"absolute"`` (one width), ``"normalised"`` (wider where errors are larger), ``"quantile"``
        (between two quantiles). Classes: ``"lac"`` (smallest sets), ``"aps"``, ``"raps"`` (larger where the model is less sure).
        ``"auto"``: ``"lac"``; ``"normalised"`` where it is typically 2 % narrower than ``"absolute"`` on the rows it was learned from.
    shift : the mixture of groups that the rows come from, ``{"sex": {"F": 0.7, "M": 0.3}}``: the promise is then for that mixture.
    familiarity : ``"neighbours"``, a measure that ``model.fit_familiarity`` has fitted, or None.
    refuse_above : withhold answers whose ``doubt`` is above this: chance of being wrong, or size of the error in the target's unit.
    max_risk : withhold as few answers as keep the share of wrong ones among those given at this, with 95 % confidence.
    tolerance : of numbers, with ``max_risk``: an answer farther from the truth is wrong.
    source : whose disagreement is the doubt: None or ``"members"`` for the model's own members (those that ``members=`` and ``bayes=`` made
        at fit), or ``"mc_dropout"``, which any network that was trained with dropout has. Points, probabilities, sets and intervals stay
        the model's own.
    samples : keep the members' answers in ``.samples``, for the histogram of one row; N x K numbers a class or target.

    Returns
    -------
    Prediction: points, calibrated probabilities, sets or intervals, ``aleatoric`` and ``epistemic`` doubt, ``familiarity``, and which
    answers to withhold. ``record.caveats`` says what is promised, and that the two doubts are raw (they rank rows; they are not
    calibrated).

    Raises
    ------
    RequestError : a model that keeps no certainty, a level outside (0, 1), or a grouping that was not kept.

    Notes
    -----
    Cost: one pass of the model over N rows, and N x M x C differences to the M kept rows.

    Examples
    --------
    >>> import numpy as np
    >>> from pellucid import TabularRegressor, uncertainty
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> model = TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X, X[:, 0] + rng.normal(size=300))
    >>> answer = uncertainty(model, X[:3], level=0.8)
    >>> bool((answer.low < answer.point).all() and (answer.point < answer.high).all())
    True
    """
    from pellucid.uncertainty.answer import ask

    return ask(
        model, X, level=level, groups=groups, score=score, shift=shift, familiarity=familiarity, refuse_above=refuse_above,
        max_risk=max_risk, tolerance=tolerance, source=source, samples=samples,
    )  # fmt: skip


def coverage(model: Any, X: Any, y: Any = None, **options: Any) -> Coverage:
    """Return how often sets or intervals hold the truth of labelled rows, also by group. See :mod:`pellucid.uncertainty.covered`."""
    from pellucid.uncertainty.covered import measure

    return measure(model, X, y, **options)


def watch(model: Any, X: Any, y: Any = None, **options: Any) -> Watch:
    """Return whether labelled rows that came in after the fit still keep the promise. See :mod:`pellucid.uncertainty.watched`."""
    from pellucid.uncertainty.watched import watched

    return watched(model, X, y, **options)


def selective(model: Any, X: Any, y: Any = None, **options: Any) -> RiskCoverage:
    """Return the error among the answers given, as fewer and fewer are given. See :mod:`pellucid.uncertainty.risk_coverage`."""
    from pellucid.uncertainty.risk_coverage import curve

    return curve(model, X, y, **options)


def next_rows(model: Any, X: Any, n: int = 10) -> NextRows:
    """Return which rows without a label would teach the model most. See :mod:`pellucid.uncertainty.asking`."""
    from pellucid.uncertainty.asking import chosen

    return chosen(model, X, n)


callable_package(__name__, "pellucid.uncertainty:uncertainty")
