"""Principal components: the plane through the points that loses least.

Pearson 1901, doi:10.1080/14786440109462720; for wide tables the randomised decomposition of Halko, Martinsson and Tropp 2011,
arXiv:0909.4061. Letters: N rows, F slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["Plane", "axis_words", "find", "principal"]

WIDE = 500
"""Slots beyond which, with as many rows, the first components alone are computed."""


@dataclass(frozen=True)
class Plane:
    """The plane, for new rows. centre (F,), axes (2, F)."""

    centre: FloatArray
    axes: FloatArray
    words: str = "put exactly: the same projection"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        return np.asarray((points - self.centre) @ self.axes.T)


def principal(points: FloatArray, k: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return (centre (F,), axes (k, F), variances (k,), whole variance) of points (N, F).

    The slot that weighs most on an axis has a positive weight there. Fewer than k axes come back padded with zeros.
    """
    centre = points.mean(0)
    centred = points - centre
    if min(centred.shape) > WIDE:
        from sklearn.utils.extmath import randomized_svd

        _, size, axes = randomized_svd(centred, k, n_iter=7, random_state=seed % 2**32)
    else:
        _, size, axes = np.linalg.svd(centred, full_matrices=False)
    size, axes = size[:k], axes[:k]
    if len(axes) < k:
        axes = np.vstack([axes, np.zeros((k - len(axes), points.shape[1]))])
        size = np.r_[size, np.zeros(k - len(size))]
    top = axes[np.arange(k), np.abs(axes).argmax(1)]
    axes = axes * np.where(top < 0, -1.0, 1.0)[:, None]
    rows = max(len(points) - 1, 1)
    return centre, axes, size**2 / rows, float((centred**2).sum() / rows)


def axis_words(axis: FloatArray, share: float, place: str, ask: Ask, most: int = 3) -> str:
    """Return an axis in words: its share of the variance, and the source columns that weigh most on it."""
    weight = np.bincount(ask.source, axis**2, len(ask.columns))
    order = np.argsort(-weight, kind="stable")[:most]
    names = [f"{ask.columns[j]} {100 * weight[j]:.0f} %" for j in order if weight[j] > 0.01]
    return f"{place} component ({100 * share:.1f} % of the variance): {', '.join(names)}"


def find(ask: Ask) -> Layout:
    """Return the first two principal components; ``loadings`` says what each column weighs on them.

    Cost: N F min(N, F); beyond 500 rows and slots, N F.
    """
    centre, axes, variance, whole = principal(ask.points, 2, ask.seed)
    share = variance / max(whole, 1e-300)
    loadings = pd.DataFrame({"column": [ask.columns[j] for j in ask.source], "part": list(ask.parts), "x": axes[0], "y": axes[1]})
    return Layout(
        (ask.points - centre) @ axes.T,
        Plane(centre, axes),
        (axis_words(axes[0], share[0], "first", ask), axis_words(axes[1], share[1], "second", ask)),
        loadings[(loadings[["x", "y"]] != 0).any(axis=1)].reset_index(drop=True),
        losses={"explained variance": float(share.sum()), "explained by x": float(share[0]), "explained by y": float(share[1])},
    )
