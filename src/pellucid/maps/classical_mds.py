"""Classical scaling: places whose inner products are those of the distances.

Torgerson 1952, doi:10.1007/BF02288916; new rows after Gower 1968, doi:10.1093/biomet/55.3.582. For straight distances the places are the
scores of the principal components. Letters: N rows, M new rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.maps.ask import Ask
from pellucid.maps.distances import between
from pellucid.maps.layout import Layout, standard
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["AddPoint", "find", "scaled"]


@dataclass(frozen=True)
class AddPoint:
    """Gower's formula for a new row. ask : the rows of the map; coordinates (N, 2); sizes (2,) eigenvalues; norms (N,) of the rows."""

    ask: Ask
    coordinates: FloatArray
    sizes: FloatArray
    norms: FloatArray
    words: str = "put by Gower's formula from their distances to the rows of the map; exact for straight distances"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        return self.place(between(self.ask, points, table) ** 2)

    def place(self, square: FloatArray) -> FloatArray:
        """Return the places (M, 2) of rows by their squared distances (M, N)."""
        usable = self.sizes > 1e-12 * max(float(self.sizes.max()), 1e-300)
        inverse = np.where(usable, 0.5 / np.where(usable, self.sizes, 1.0), 0.0)
        return np.asarray((self.norms - square) @ self.coordinates * inverse)


def scaled(distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return (coordinates (N, 2), their eigenvalues (2,), squared norms of the rows (N,),
    size of the most negative eigenvalue as a share of the largest)."""
    from scipy.linalg import eigh

    square = distance**2
    inner = -0.5 * (square - square.mean(0) - square.mean(1)[:, None] + square.mean())
    n = len(inner)
    size, vectors = eigh(inner, subset_by_index=[n - 2, n - 1])
    size, vectors = np.maximum(size[::-1], 0.0), vectors[:, ::-1]
    least = float(eigh(inner, subset_by_index=[0, 0], eigvals_only=True)[0])
    return standard(vectors * np.sqrt(size)), size, np.diag(inner).copy(), max(-least / max(float(size.max()), 1e-300), 0.0)


def find(ask: Ask) -> Layout:
    """Return the classical solution for the rows' distances.

    Cost: N^2 memory and two pairs of eigenvectors; 2,000 rows by default.
    """
    coordinates, size, norms, negative = scaled(between(ask, ask.points, ask.table))
    caveats = () if negative < 0.01 else (f"the distances do not fit in a space: the most negative axis is {negative:.2f} of the largest",)
    put = AddPoint(ask, coordinates, size, norms)
    share = size / max(float(norms.sum()), 1e-300)
    losses = {"explained variance": float(share.sum())}
    return Layout(coordinates, put, losses=losses, caveats=caveats)
