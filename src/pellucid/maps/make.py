"""From a request to a map that says how far it is to be believed: the map, a second one, one of noise, and the figures beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout
from pellucid.maps.neighbours import nearest
from pellucid.maps.quality import FIGURES, Quality, aligned, quality
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Map, RunRecord
from pellucid.table import Table, apply_schema

__all__ = ["CAUTIONS", "make"]

Find = Callable[[Ask], Layout]

CAUTIONS = {
    name: f"Sizes, gaps and densities of clusters on a {label} map are not evidence: it keeps who is near whom, and little else"
    for name, label in (("tsne", "t-SNE"), ("umap", "UMAP"), ("sne", "SNE"))
}
FEWEST_SECOND = 30
NEIGHBOUR = 5


@dataclass(frozen=True)
class Place:
    """Puts new rows on a map. usual : (N,) sorted distances of the map's rows to their fifth neighbours."""

    layout: Layout
    ask: Ask
    usual: FloatArray

    def __call__(self, new: Any) -> pd.DataFrame:
        """Return x, y, familiarity by the labels of the rows."""
        table = self._read(new)
        points = self.ask.reader(table)
        places = self.layout.put(points, table) if len(table) else np.zeros((0, 2))
        k = min(NEIGHBOUR, len(self.ask.points))
        far = nearest(points, self.ask.points, k)[1][:, -1] if len(table) else np.zeros(0)
        familiar = 100 * (1 - np.searchsorted(self.usual, far, side="left") / len(self.usual))
        return pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "familiarity": familiar}, index=pd.Index(table.index, name="row"))

    def _read(self, new: Any) -> Table:
        predictor = getattr(self.ask.reader, "predictor", None)
        if predictor is not None:
            from pellucid.probe.foreign import read

            return read(predictor, new)
        if isinstance(new, Table):
            return new.select(self.ask.table.columns)
        return apply_schema(new, self.ask.table.schema)


WHOLE = 20_000
"""Most rows for each of which it is told how many neighbours it keeps: that compares all pairs of rows."""


def make(ask: Ask, find: Find) -> Map:
    """Return the map with everything that stands beside it.

    Cost: three maps (four for methods with a perplexity): the map, a second one, one of column-shuffled rows; and the figures of two.
    """
    began = time.perf_counter()
    layout = find(ask)
    whole = len(ask) <= WHOLE
    figures = quality(ask.points, layout.coordinates, ask.seed, whole=whole)
    noise, null = _noise(ask, find)
    second, words = _second(ask, find, layout)
    other, other_words = _other(ask, find, layout)
    usual = np.sort(_fifth(ask.points, figures))
    pairs = [(None, float("nan")) if m is None else aligned(layout.coordinates, m) for m in (second, other)]
    record = RunRecord(
        ask.method, {**ask.settings, **layout.settings}, ask.seed, ask.table.fingerprint(), time.perf_counter() - began,
        0 if ask.answers is None else len(ask), (*ask.caveats, *layout.caveats),
    )  # fmt: skip
    return Map(
        layout.coordinates, np.asarray(ask.table.index), ask.method, ask.what, record, _frame(figures, null), ask.data, ask.target,
        ask.answers,
        dict(layout.losses), layout.trace, layout.axes, layout.loadings,
        figures.kept if whole else None, pairs[0][0], words, pairs[0][1], pairs[1][0],
        other_words, pairs[1][1], noise, CAUTIONS.get(ask.method, ""), layout.put.words, placer=Place(layout, ask, usual),
    )  # fmt: skip


def _frame(figures: Quality, null: Quality) -> pd.DataFrame:
    names = list(figures.values)
    return pd.DataFrame(
        {
            "figure": names,
            "value": [figures.values[n] for n in names],
            "error": [figures.errors[n] for n in names],
            "noise": [null.values[n] for n in names],
            "noise_error": [null.errors[n] for n in names],
            "words": [FIGURES[n] for n in names],
        }
    )


def _noise(ask: Ask, find: Find) -> tuple[FloatArray, Quality]:
    """Return (the map of column-shuffled rows, its figures)."""
    wrong = ask.shuffled()
    made = find(wrong)
    return made.coordinates, quality(wrong.points, made.coordinates, ask.seed, whole=False)


def _fifth(points: FloatArray, figures: Quality) -> FloatArray:
    """Return each row's distance (N,) to its fifth neighbour, or its last one where there are fewer."""
    k = min(NEIGHBOUR, len(points) - 1)
    if figures.far.shape[1] >= k:
        return np.asarray(figures.far[:, k - 1])
    return nearest(points, points, k, np.arange(len(points)))[1][:, -1]


def _second(ask: Ask, find: Find, first: Layout) -> tuple[FloatArray | None, str]:
    """Return (a second map of the same rows, how it was made): another seed, or where no seed matters, learned from half of the rows."""
    if first.random:
        return find(ask.again()).coordinates, "second seed, started at random"
    if ask.row_model is not None and ask.method == "autoencoder2d":
        return None, "a second seed needs a second row model: fit one with another random_state and map it"
    if len(ask) < FEWEST_SECOND:
        return None, f"too few rows for a second map: {FEWEST_SECOND} are needed"
    half = ask.part(np.sort(stream(ask.seed, "half").permutation(len(ask))[: len(ask) // 2]))
    return find(half).put(ask.points, ask.table), "no seed matters: learned from half of the rows, and all put on it"


def _other(ask: Ask, find: Find, first: Layout) -> tuple[FloatArray | None, str]:
    """Return (the map at another perplexity, in words); none where the method has no perplexity."""
    used = first.settings.get("perplexity")
    if used is None:
        return None, ""
    n = len(ask)
    wanted = min(max(n / 100, 5.0), (n - 1) / 3)
    if abs(np.log(wanted / used)) < np.log(1.5):  # too near to show anything: twice as much, or half
        wanted = 2 * used if 2 * used < (n - 1) / 3 else used / 2
    made = find(replace(ask, options={**ask.options, "perplexity": max(wanted, 1.5)}))
    return made.coordinates, f"perplexity {max(wanted, 1.5):.3g} in place of {used:.3g}"
