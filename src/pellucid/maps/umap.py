"""UMAP: a graph of nearest rows laid out on a plane. McInnes, Healy and Melville 2018, arXiv:1802.03426."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import umap  # the extra "maps"; the registry says how to install it

from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.table import Table

__all__ = ["find"]


@dataclass(frozen=True)
class Transform:
    """New rows by UMAP's own transform."""

    fitted: Any
    words: str = "put by UMAP's own transform"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        return np.asarray(self.fitted.transform(points), np.float64)


def find(ask: Ask) -> Layout:
    """Return a UMAP of the rows. Cost: N log N; the first call compiles for some 20 s."""
    fitted = umap.UMAP(
        n_neighbors=min(int(ask.options["neighbours"]), len(ask) - 1), min_dist=float(ask.options["min_dist"]),
        init="random" if ask.fresh else "spectral", random_state=integer(ask.seed, "umap") % 2**31, n_jobs=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of graphs in several pieces, and of the seed that makes it use one thread
        places = np.asarray(fitted.fit_transform(ask.points), np.float64)
    return Layout(places, Transform(fitted), random=True)
