"""t-SNE: symmetric neighbour probabilities, and a kernel with a heavy tail on the map.

Van der Maaten and Hinton 2008, JMLR 9:2579; start and step length after Kobak and Berens 2019, doi:10.1038/s41467-019-13056-x; by openTSNE
(Policar, Strazar and Zupan 2024, doi:10.18637/jss.v109.i03) where it is installed, else by scikit-learn. Letters: N rows, F slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.maps.affinities import check_perplexity
from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout, NearestRows
from pellucid.maps.pca import Plane, principal
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.table import Table

__all__ = ["find"]

WIDTH = 50
"""Slots beyond which the rows are first brought to their 50 principal components."""
EXAGGERATION, EARLY, LATE = 12, 250, 500
FFT_ROWS = 10_000
START = 1e-4


@dataclass(frozen=True)
class Transform:
    """New rows by openTSNE: each moved on its own, the rows of the map staying. plane : the components read first, or None."""

    embedding: Any
    plane: Plane | None
    words: str = "put by openTSNE: each row moved on its own until it picks its neighbours as it does in the data; the map stays"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        read = points if self.plane is None else self.plane(points, table)
        return np.asarray(self.embedding.transform(read), np.float64)


def find(ask: Ask) -> Layout:
    """Return a t-SNE of the rows, started at their principal components (or at random, for the second map).

    Cost: N log N to N a step, 750 steps; some 10 s for 5,000 rows on one core.
    """
    n, points, plane = len(ask), ask.points, None
    perplexity = check_perplexity(float(ask.options["perplexity"]), n)
    if points.shape[1] > WIDTH:
        centre, axes, _, _ = principal(points, WIDTH, ask.seed)
        plane = Plane(centre, axes)
        points = plane(points, ask.table)
    start = _start(ask, points)
    seed = integer(ask.seed, "tsne") % 2**31
    try:
        import openTSNE
    except ModuleNotFoundError:
        places, trace, words = _plain(points, start, perplexity, seed)
        put: Any = NearestRows(ask.points, places)
        library = "scikit-learn"
    else:
        embedding, trace = _open(openTSNE, points, start, perplexity, seed)
        places, words, library = np.asarray(embedding, np.float64).copy(), (), "openTSNE"
        put = Transform(embedding, plane)
    low = () if perplexity == ask.options["perplexity"] else (f"the perplexity was brought down to {perplexity:.3g} for {n} rows",)
    return Layout(
        places, put, trace=trace, losses={"divergence": float(trace[-1])}, settings={"perplexity": perplexity, "library": library},
        caveats=(*low, *words), random=True,
    )  # fmt: skip


def _start(ask: Ask, points: FloatArray) -> FloatArray:
    if ask.fresh:
        return START * stream(ask.seed, "start").standard_normal((len(points), 2))
    centre, axes, _, _ = principal(points, 2, ask.seed)
    start = (points - centre) @ axes.T
    return np.asarray(START * start / max(float(start[:, 0].std()), 1e-300))


def _open(library: Any, points: FloatArray, start: FloatArray, perplexity: float, seed: int) -> tuple[Any, FloatArray]:
    """Return (openTSNE's embedding, divergence every 50 steps after the exaggeration)."""
    trace: list[float] = []
    n = len(points)

    def kept(step: int, error: float, places: Any) -> bool:
        trace.append(float(error))
        return False  # go on

    made = library.TSNE(
        perplexity=perplexity, initialization=start, early_exaggeration=EXAGGERATION, early_exaggeration_iter=EARLY, n_iter=LATE,
        learning_rate=max(n / EXAGGERATION, 10.0), negative_gradient_method="fft" if n > FFT_ROWS else "bh", random_state=seed, n_jobs=1,
        callbacks=kept, callbacks_every_iters=50,
    ).fit(points)  # fmt: skip
    # while probabilities are exaggerated the loss is of other probabilities: the trace begins where that ends
    return made, np.array([*trace[EARLY // 50 :], float(made.kl_divergence)])


def _plain(points: FloatArray, start: FloatArray, perplexity: float, seed: int) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    from sklearn.manifold import TSNE

    made = TSNE(
        perplexity=perplexity, init=start.astype(np.float32), early_exaggeration=EXAGGERATION, max_iter=EARLY + LATE,
        learning_rate=max(len(points) / EXAGGERATION / 4, 50.0), random_state=seed,
    )  # fmt: skip
    places = np.asarray(made.fit_transform(points), np.float64)
    words = ('openTSNE is not installed (pip install "pellucid[maps]"): new rows are put beside their nearest rows',)
    return places, np.array([float(made.kl_divergence_)]), words
