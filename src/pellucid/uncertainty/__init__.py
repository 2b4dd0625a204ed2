"""How certain is it? Calibrated probabilities, promised sets and intervals, two kinds of doubt, familiarity: read, never fitted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.registry import callable_package

if TYPE_CHECKING:
    from pellucid.results import Prediction

__all__ = ["uncertainty"]


def uncertainty(
    model: Any, X: Any, *, level: float = 0.9, groups: str | None = None, source: str | None = None, samples: bool = False
) -> Prediction:
    """Return the model's answers to the rows ``X``, each with its doubt.

    Parameters
    ----------
    model : a fitted estimator of this package.
    X : N rows, frame or Table.
    level : promised share of rows whose truth lies in the set or interval; any level can be asked after training.
    groups : name of a category column: the promise is then kept in each of its groups.

    source : whose disagreement is the doubt: None or ``"members"`` for the model's own members (those that ``members=`` and ``bayes=`` made
        at fit), or ``"mc_dropout"``, which any network that was trained with dropout has. Points, probabilities, sets and intervals stay
        the
        model's own.
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

    return ask(model, X, level=level, groups=groups, source=source, samples=samples)


callable_package(__name__, "pellucid.uncertainty:uncertainty")
