"""Explainers that are fitted to a model beforehand, and then answer by one pass through a network."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pellucid import registry
from pellucid.errors import RequestError, quote
from pellucid.explain import amortised
from pellucid.explain.question import ask
from pellucid.protocols import FittedExplainer

__all__ = ["fit_explainer"]

FITS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {"amortised": (amortised.fit, amortised.SETTINGS)}
"""Per method: what fits it, and its settings with their defaults."""


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
        fitted})``.
    X : rows to learn from, a few thousand or more.
    method : ``"amortised"``; ``pellucid.methods("explain")`` lists those that need an explainer.
    scale, groups, background, random_state : as in :func:`pellucid.explain`; what is asked later must be the same.
    settings : of the fit: ``rows`` learned from, ``pairs`` (background rows each is played against), ``steps``, ``width``, ``test_rows``
        and ``test_precision`` of the measured error.

    Returns
    -------
    The fitted explainer; ``.state["facts"]`` says how far it is off the engine on rows that it did not learn from.

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
        near = difflib.get_close_matches(unknown[0], list(known), n=2)
        raise RequestError(
            f"fitting {method!r} has no setting {unknown[0]!r}", expected=f"one of {quote(known, 12)}",
            do=f"did you mean {' or '.join(near)}" if near else None,
        )  # fmt: skip
    question = ask(
        model, X, entry=registry.get("explain", method), scale=scale, groups=groups, background=background, random_state=random_state, y=y
    )  # fmt: skip
    fitted: FittedExplainer = fit(question, settings)
    if hasattr(model, "explainers_"):
        model.explainers_ = {**model.explainers_, method: fitted}
    return fitted
