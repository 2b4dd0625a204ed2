"""How much there is to read: the measured size of a model's explanations, and of the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.errors import PellucidError
from pellucid.results import Explanation

__all__ = ["explanation_size", "measured_size", "model_size"]

SECONDS = 3.0
PRECISION = 0.05
BACKGROUND = 50


def explanation_size(result: Explanation, share: float = 0.9) -> float:
    """Return how many columns carry ``share`` of a row's absolute contributions: what a reader has to read. Mean over rows and outputs."""
    parts = np.sort(np.abs(result.cube()), axis=1)[:, ::-1, :]
    whole = parts.sum(1, keepdims=True)
    reached: Any = np.cumsum(parts, axis=1) < share * whole * (1 - 1e-12)
    return float((reached.sum(1) + 1)[whole[:, 0] > 0].mean()) if (whole > 0).any() else 0.0


def measured_size(model: Any, rows: Any, background: Any, seed: int) -> float:
    """Return the mean size of a model's Shapley explanations of some rows, NaN where it cannot be explained.

    Parameters
    ----------
    model : fitted, ours or from elsewhere. rows, background : frames or tables as the model is called; ours bring their own background.

    Notes
    -----
    Cost: some seconds; standard errors of 5 % of a row's mean absolute value are enough to count columns.
    """
    from pellucid.explain import explain

    given = {} if hasattr(model, "predictor") else {"background": background}
    try:
        answer = explain(model, rows, method="shapley", budget=f"{SECONDS:g}s", precision=PRECISION, random_state=seed, **given)
    except PellucidError:  # no rows were kept, or the model cannot be asked: there is no size to show, and the score stands without it
        return float("nan")
    return explanation_size(answer)


def model_size(model: Any) -> float:
    """Return how many fitted numbers a model answers by (weights, coefficients, leaves, stored cells), NaN where that is not known."""
    return float(model.engine_.size) if hasattr(model, "engine_") else float("nan")
