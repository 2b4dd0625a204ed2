"""Why did the model answer as it did? One file a method; all of them read a :class:`pellucid.explain.question.Question`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.registry import callable_package

__all__ = ["explain"]


def explain(
    model: Any,
    X: Any,
    *,
    method: str = "auto",
    of: str = "prediction",
    output: Any = None,
    versus: Any = None,
    scale: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    fill: str = "marginal",
    background: Any = None,
    budget: Any = None,
    precision: float | None = None,
    random_state: Any = None,
    y: Any = None,
    options: Mapping[str, Any] | None = None,
    row_model: Any = None,
) -> Any:
    """Explain what a model answers to the rows ``X``, in the columns of ``X``.

    Parameters
    ----------
    model : an estimator of this package, a scikit-learn model, a boosted tree, or any callable frame -> (N,) or (N, O). None: the
        labels that a selector was fitted to, ``options={"explainer": ...}``.
    X : the N rows to explain: pandas, polars, pyarrow, numpy or a Table.
    method : a name from ``pellucid.methods("explain")``; ``"auto"`` is ``"shapley"``.
    of : what is explained: ``"prediction"``, or a doubt of our models (``"epistemic"``, ``"width"``, ``"familiarity"``).
    output, versus : a class label, output name or index; with ``versus`` the difference of two of them.
    scale : ``"log-odds"`` or ``"probability"`` for classes; None = log-odds for our models, probability for others.
    groups : columns that come and go together, ``{"person": ["age", "sex"]}``.
    fill : what an absent column holds: ``"marginal"`` (cells of background rows), ``"conditional"`` (cells of similar background rows),
        ``"row_model"`` (cells drawn from a row model given the known ones), ``"baseline"`` (one typical row, or the single row given as
        ``background``) or ``"missing"`` (absent cells are missing cells). Methods that cannot fill cells in given the known ones refuse
        ``"conditional"`` and ``"row_model"``. Stated errors count the sampling alone with ``"marginal"``: values are about the background
        rows in use, and others give others. With ``"conditional"`` they count what other background rows would change, with
        ``"row_model"`` the draws.
    background : rows to compare with; needed for models from elsewhere, else up to 100 of the rows kept at fit.
    budget : most model rows in total (an integer), or most seconds (text such as ``"30s"``).
    precision : standard error to reach, as a share of the mean absolute value of each row.
    random_state : seed; None draws one and records it.
    y : the labels, where the method compares with the truth (permutation importance).
    options : settings of the method's own, ``{"order": 2}``; ``pellucid.methods("explain")`` lists them with their defaults.
    row_model : a fitted :class:`pellucid.RowModel` for ``fill="row_model"``; None takes the one of ``model.fit_row_model()``.

    Returns
    -------
    What the method's registry line says it gives: an Explanation (N rows, P players), an Importance of the whole table, Interactions, a
    Curve, Rules or Neighbours.

    Raises
    ------
    RequestError : an unknown method, output, column or fill, or a missing background.

    Examples
    --------
    >>> import numpy as np, pellucid.explain
    >>> frame = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> answer = pellucid.explain.explain(lambda X: 2 * X[:, 0] + X[:, 1], frame, background=np.zeros((1, 2)), random_state=0)
    >>> answer.values
    array([[2., 2.],
           [6., 4.]])
    """
    from pellucid import registry
    from pellucid.explain.question import ask

    entry = registry.get("explain", "shapley" if method == "auto" else method)
    question = ask(
        model,
        X,
        of=of,
        output=output,
        versus=versus,
        scale=scale,
        groups=groups,
        fill=fill,
        background=background,
        budget=budget,
        precision=precision,
        random_state=random_state,
        y=y,
        options=options,
        row_model=row_model,
        entry=entry,
    )
    return registry.resolve(entry)(question)


callable_package("pellucid.explain", "pellucid.explain:explain")
