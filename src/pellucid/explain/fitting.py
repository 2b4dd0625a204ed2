"""Explainers that are fitted to a model beforehand, and then answer by one pass through a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.explain import amortised, invase, l2x, lex
from pellucid.explain.choice import LabelPredictor
from pellucid.explain.question import ask
from pellucid.protocols import FittedExplainer

__all__ = ["fit_explainer"]

FITS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "amortised": (amortised.fit, amortised.SETTINGS),
    "l2x": (l2x.fit, l2x.SETTINGS),
    "invase": (invase.fit, invase.SETTINGS),
    "lex": (lex.fit, lex.SETTINGS),
}
"""Per method: what fits it, and its settings with their defaults."""
COUNTS = frozenset({"rows", "pairs", "steps", "width", "test_rows", "batch", "k", "imputations"})
ABOVE_0 = frozenset({"test_precision", "temperature"})


def fit_explainer(
    model: Any,
    X: Any,
    *,
    method: str = "amortised",
    y: Any = None,
    scale: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    background: Any = None,
    random_state: Any = None,
    **settings: Any,
) -> FittedExplainer:
    """Fit an explainer to a model, once, so that ``explain(method=...)`` is one pass through a network for any number of rows.

    Parameters
    ----------
    model : an estimator of this package keeps what was fitted, and saves it; for others pass it on: ``explain(..., options={"explainer":
        fitted})``. None, for the selectors ``l2x``, ``invase`` and ``lex``: the labels are explained, ``y`` or the table's target; ask
        then ``explain(None, rows, options={"explainer": fitted})``.
    X : rows to learn from, a few thousand or more.
    method : ``"amortised"``, ``"l2x"``, ``"invase"``, ``"lex"``; ``pellucid.methods("explain")`` lists those that need an explainer.
    y : the labels, where ``model`` is None.
    scale, groups, background, random_state : as in :func:`pellucid.explain`; what is asked later must be the same.
    settings : of the fit. ``amortised``: ``rows`` learned from, ``pairs`` (background rows each is played against), ``steps``, ``width``,
        ``test_rows`` and ``test_precision`` of the measured error. Selectors: ``rows``, ``steps``, ``width``, ``batch``, ``k`` (columns
        chosen) or ``penalty`` (nats a column must be worth), ``complete`` (what is left out must tell nothing) with its ``pressure``,
        ``temperature``; ``lex`` also ``imputations`` and ``mode``.

    Returns
    -------
    The fitted explainer; ``.state["facts"]`` says how far it is off the engine on rows that it did not learn from; of a selector what the
    chosen columns tell, what those left out tell, and whether the choice alone gives the answer away, in nats with standard errors.

    Examples
    --------
    >>> import numpy as np, pellucid as pld
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> f = lambda x: x[:, 0] - 2 * x[:, 1]
    >>> fitted = fit_explainer(f, X, background=X[:20], random_state=0, steps=150, test_rows=10)
    >>> made = pld.explain(f, X[:5], method="amortised", background=X[:20], options={"explainer": fitted}, random_state=0)
    >>> bool(np.abs(made.gap).max() < 1e-9)
    True
    """
    if method not in FITS:
        registry.get("explain", method)  # an unknown name is told with the nearest ones
        raise RequestError(f"{method!r} needs no fitting", expected=f"one of {quote(FITS)}", do=f"call explain(method={method!r})")
    fit, known = FITS[method]
    if unknown := [s for s in settings if s not in known]:
        raise RequestError(
            f"fitting {method!r} has no setting {unknown[0]!r}", expected=f"one of {quote(known, 12)}",
            do=did_you_mean(unknown[0], known),
        )  # fmt: skip
    _check(settings, known)
    if model is None:
        if method == "amortised":
            raise RequestError("'amortised' explains a model, and there is none", do="pass a model, or use method='lex'")
        model = LabelPredictor.of(X, y)
        X = X if hasattr(X, "features") else model.read(X)
    question = ask(
        model, X, entry=registry.get("explain", method), scale=scale, groups=groups, background=background, random_state=random_state, y=y
    )  # fmt: skip
    fitted: FittedExplainer = fit(question, settings)
    if hasattr(model, "explainers_"):
        model.explainers_ = {**model.explainers_, method: fitted}
    return fitted


def _check(settings: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse settings that count something and are no whole number from 1, and shares and weights that are not above 0."""
    for name, value in settings.items():
        if value is None and known[name] is None:
            continue
        if name in COUNTS and not (isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1):
            raise RequestError(f"the setting {name!r} cannot be used", expected="a whole number from 1", got=repr(value))
        if name in ABOVE_0 and not (isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 < value < np.inf):
            raise RequestError(f"the setting {name!r} cannot be used", expected="a number above 0", got=repr(value))
