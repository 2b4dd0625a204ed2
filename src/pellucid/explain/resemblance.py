"""Why does this row resemble that known row? Column by column, how far the similarity falls when the cell is replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.decisions import beta_interval
from pellucid.explain.nearest_rows import CELLS, nearest
from pellucid.explain.occlusion import without_each
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Resemblance
from pellucid.table import Table
from pellucid.training.familiarity import RowSpace, squared_gaps

__all__ = ["explain"]

Ints = npt.NDArray[np.int64]
PROTOTYPES = "encoder.last"
"""Layer in which a ``prototype`` network compares rows."""
PAIRS = 2000


class _States:
    """The states of one layer as a predictor whose H outputs are the units; for cells, the places of the cells."""

    classes: tuple[Any, ...] = ()
    task, scale = "regression", "state"

    def __init__(self, view: View, layer: str, kept: Table) -> None:
        self.columns, self._view, self._layer, self._kept = view.columns, view, layer, kept
        self.space = RowSpace.fit(kept) if layer == CELLS else None
        self.outputs = tuple(map(str, range(self.raw(kept.take(slice(0, 1))).shape[1])))

    def raw(self, table: Table) -> FloatArray:
        """Return the states (N, H)."""
        return self.space.encode(table) if self.space is not None else self._view.hidden(table, self._layer)

    def background(self) -> Table:
        """Return the kept rows."""
        return self._kept


def explain(question: Question) -> Resemblance:
    """Return for each row the ``k`` known rows most like it in a layer, and per column how far that likeness falls without the cell.

    Nauta and others 2020, arXiv:2011.02863: a prototype is told by the characteristics whose change lowers the similarity.
    Similarity is exp(-d / m), d the distance of the two states and m the median distance of two known rows: 1 for equal states. A
    column's cells are replaced by those of ``draws`` other known rows, and the mean fall is the value. Networks of prototypes are asked in
    the layer where they compare rows, others in the last one; ``layer="cells"`` asks the cells themselves.

    Half of the replacing rows find the column named first, the other half check it: ``checked`` is the share of pairs in which it lowers
    the similarity most there as well.

    # NOTE[DIFF] cells are replaced by those of other rows, not by one weakened picture: the fall has a standard error.

    Cost: N P draws + M forward passes, M known rows.
    """
    layer, k = _layer(question), asked.whole(question, "k", 1, len(question.kept) - 1)
    draws = min(asked.whole(question, "draws", 2, 1000), len(question.kept))
    n, p = len(question.table), len(question.players)
    needed = n * (p * draws + 1) + len(question.kept) + draws
    budget = asked.rows_allowed(question)
    if budget is not None and needed > budget:
        raise too_small("", needed, budget, FEWER_ROWS)
    model = _States(question.view, layer, question.kept)
    draw = stream(question.seed, "resemblance")
    back = question.kept.take(np.sort(draw.choice(len(question.kept), draws, replace=False)))
    engine = CoalitionEngine(View(model), question.table, back, question.players)
    kept = model.raw(question.kept)
    numbers = None if model.space is None else model.space.n_numbers
    places, _ = nearest(engine.full, kept, k, n_numbers=numbers)
    usual = _usual(kept, numbers, draw)
    before = _similarity(engine.full, kept, places, numbers, usual)
    falls = np.empty((n, k, p, draws))
    for j, moved in enumerate(without_each(engine)):
        after = _similarity(moved.reshape(n * draws, -1), kept, np.repeat(places, draws, 0), numbers, usual).reshape(n, draws, k)
        falls[:, :, j] = before[:, :, None] - after.transpose(0, 2, 1)
    return Resemblance(
        index=np.asarray(question.table.frame.index), positions=places, data=question.table.frame, known=question.kept.frame,
        columns=question.players.names, similarity=before, falls=falls.mean(3), error=error_of_mean(np.moveaxis(falls, 3, 0)),
        checked=_checked(falls, draw), scale=f"exp(-distance in {layer} / {usual:.4g})", method=question.method,
        record=question.record({"layer": layer, "k": k, "draws": draws}),
    )  # fmt: skip


def _layer(question: Question) -> str:
    """Return the layer asked for; by default the one where prototypes are compared, else the last, else the cells."""
    hidden = question.view.hidden_layers()
    known = (CELLS, *hidden)
    wanted = question.options["layer"]
    if wanted is None:
        return PROTOTYPES if PROTOTYPES in hidden else known[-1]
    if wanted not in known:
        raise RequestError(f"there is no layer {wanted!r}", expected=f"one of {', '.join(known)}")
    return str(wanted)


def _distances(one: FloatArray, two: FloatArray, numbers: int | None) -> FloatArray:
    """Return the distances (n,) of the rows of two arrays (n, H), line by line."""
    if numbers is None:
        return np.asarray(np.linalg.norm(one - two, axis=1))
    return np.asarray(np.sqrt(squared_gaps(one, two, numbers).sum(1)))


def _similarity(states: FloatArray, kept: FloatArray, places: Ints, numbers: int | None, usual: float) -> FloatArray:
    """Return the similarity (n, k) of states (n, H) to the named known rows (n, k)."""
    k = places.shape[1]
    flat = _distances(np.repeat(states, k, 0), kept[places.reshape(-1)], numbers)
    return np.asarray(np.exp(-flat / usual).reshape(-1, k))


def _usual(kept: FloatArray, numbers: int | None, draw: np.random.Generator) -> float:
    """Return the median distance of two different known rows."""
    one = draw.integers(0, len(kept), PAIRS)
    two = (one + draw.integers(1, len(kept), PAIRS)) % len(kept)
    return max(float(np.median(_distances(kept[one], kept[two], numbers))), 1e-12)


def _checked(falls: FloatArray, draw: np.random.Generator) -> tuple[float, float, float]:
    """Return (share, low, high) of pairs whose first column is the same in two halves of the replacing rows."""
    order = draw.permutation(falls.shape[3])
    first, second = (falls[..., part].mean(3).argmax(2) for part in np.array_split(order, 2))
    same = first == second
    rows = same.mean(1)  # pairs of one row share their draws
    low, high = beta_interval(float(rows.sum()), len(rows))
    return float(same.mean()), low, high
