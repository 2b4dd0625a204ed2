"""Word by word inside a text cell: what happens to the answer when a word is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import RequestError, quote
from pellucid.explain.games import Games, permutation_cost
from pellucid.explain.question import Question
from pellucid.explain.sampling import Plan, Sampler
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.probe.hashing import cell_hashes, name_hashes
from pellucid.probe.words import WordCells
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Words
from pellucid.table import ColumnType

__all__ = ["explain"]

PRECISION = 0.05
MOST_ROWS = 5000
"""Model rows per cell at which sampling ends where neither budget nor precision was given."""


def explain(question: Question) -> Words:
    """Return one value per word of the text cells: the answer as it is less the answer without the word.

    Li, Monroe and Jurafsky 2016, arXiv:1612.08220. A cell without the word is read and encoded as any cell is; without any word it
    is missing.
    ``options``: ``columns`` (names; None = all text columns), ``values`` (``"occlusion"``, or ``"shapley"``: paired random orders of the
    words, which add up to the answer less that without the cell, with standard errors), ``most`` words per cell (longer cells are cut into
    runs of words). Cost: one model row per word, or 2 (words - 1) a pass.
    """
    kind, most = question.options["values"], question.options["most"]
    if kind not in ("occlusion", "shapley"):
        raise RequestError("these values are not known", expected="'occlusion' or 'shapley'", got=repr(kind))
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 2:
        raise RequestError("most cannot be used", expected="a whole number from 2", got=repr(most))
    columns = _columns(question)
    cells = [WordCells(question.view, question.table, c, int(most)) for c in columns]
    n = len(question.table)
    shares = _afford(question, cells, kind)
    full = question.view.raw(question.table)
    found = [_occluded(cell, full) if kind == "occlusion" else _shared(question, cell, full, share) for cell, share in zip(cells, shares)]
    cut = lambda made, cell: tuple(made[i, : len(cell.words[i])] for i in range(n))  # noqa: E731
    error = {c: cut(se, cell) for c, cell, (_, se) in zip(columns, cells, found)} if kind == "shapley" else None
    joined = any(len(run.split()) > 1 for cell in cells for line in cell.words for run in line)
    return Words(
        columns=tuple(columns),
        outputs=question.view.outputs,
        words={c: tuple(tuple(w.strip() for w in line) for line in cell.words) for c, cell in zip(columns, cells)},
        values={c: cut(values, cell) for c, cell, (values, _) in zip(columns, cells, found)},
        scale=question.view.scale,
        kind=kind,
        method=question.method,
        record=question.record({"values": kind}, ["long cells were cut into runs of words"] if joined else []),
        data=question.table.frame,
        error=error,
    )


def _columns(question: Question) -> list[str]:
    """Return the text columns asked for."""
    asked: Any = question.options["columns"]
    asked = [asked] if isinstance(asked, str) else asked
    if asked is not None:
        unknown = [c for c in asked if c not in question.view.columns]
        if unknown or not len(asked):
            raise RequestError("these columns are not read by the model", expected=quote(question.view.columns, 12), got=quote(unknown))
        return list(asked)
    texts = [c for c in question.view.columns if question.table.schema[c].type is ColumnType.TEXT]
    if not texts:
        raise RequestError("the model reads no text column", do="name columns with words: options={'columns': [...]}")
    return texts


def _afford(question: Question, cells: Sequence[WordCells], kind: str) -> list[float]:
    """Return the model rows each cell's row may cost, or refuse a budget that is too small."""
    size = [cell.active.sum(1) for cell in cells]
    asked, n = question.budget.rows, len(question.table)
    first = sum(float((s if kind == "occlusion" else permutation_cost(s) + 3).sum()) for s in size)
    if asked is not None and first + n > asked:
        raise too_small("for the words", first + n, asked, f"{FEWER_ROWS}, or lower options={{'most': ...}}")
    if asked is None:
        return [float(MOST_ROWS) if question.precision is None else 50.0 * MOST_ROWS] * len(cells)
    spare = (asked - n - first) / max(1, n * len(cells))
    return [float(permutation_cost(s).max(initial=0)) + spare - 1 for s in size] if kind == "shapley" else [float(asked)] * len(cells)


def _occluded(cell: WordCells, full: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (values (N, width, O), zeros): each word left out alone."""
    row, word = np.nonzero(cell.active)
    keep = cell.active[row]
    keep[np.arange(len(row)), word] = False
    out = np.zeros((*cell.active.shape, full.shape[1]))
    out[row, word] = full[row] - cell.evaluate(row, keep)
    return out, np.zeros_like(out)


def _shared(question: Question, cell: WordCells, full: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Return (Shapley values (N, width, O), standard errors) of the words of each cell."""
    out = np.zeros((2, *cell.active.shape, full.shape[1]))
    some = np.flatnonzero(cell.active.any(1))
    if not len(some):
        return out[0], out[1]
    empty = cell.evaluate(some, np.zeros((len(some), cell.width), bool))
    keys = cell_hashes(question.table, tuple(question.view.columns), canonical=True).sum(1, dtype=np.uint64)[some]
    games = Games(
        cell.active[some],
        empty,
        full[some],
        lambda g, z: cell.evaluate(some[g], z),
        keys ^ name_hashes((cell.column,)),
        name_hashes(tuple(map(str, range(cell.width)))),
    )
    sampler = Sampler(games, np.arange(len(some)), np.ones(len(some)), integer(question.seed, "words"), len(some), 1.0)
    precision = question.precision or (0.0 if question.budget.rows or question.budget.seconds else PRECISION)
    deadline = question.started + (question.budget.seconds or np.inf)
    plan = Plan(max(share, float(permutation_cost(cell.width))), precision, deadline)
    sampler.permute(np.arange(len(some)), plan, mixed=question.budget.rows is None)
    out[0, some], out[1, some] = sampler.values(), np.sqrt(sampler.variance())
    return out[0], out[1]
