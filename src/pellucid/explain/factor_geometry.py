"""Do a network's layers keep the columns apart? Linearity and orthogonality of each column's factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import asked
from pellucid.explain.grid import places
from pellucid.explain.question import Question
from pellucid.intervals import widening
from pellucid.protocols import FloatArray
from pellucid.results import FactorGeometry
from pellucid.table import ColumnType, Table

__all__ = ["explain"]

PARTS = 10
"""Parts of the rows that are left out in turn for the standard errors."""
TINY = 1e-12


@dataclass(frozen=True)
class _Factor:
    """What the A places of one column do to a layer: sums over each part of the rows, squares (G,) and vectors (G, A, H), rows (G,)."""

    squares: FloatArray
    vectors: FloatArray
    rows: FloatArray

    def without(self, part: int | None) -> tuple[FloatArray, float, float]:
        """Return (mean vectors (A, H), mean square, mean square that all rows share), without one part of the rows."""
        kept = np.ones(len(self.rows), bool)
        if part is not None:
            kept[part] = False
        n = float(self.rows[kept].sum())
        mean = self.vectors[kept].sum(0) / n
        whole = float(self.squares[kept].sum() / n)
        # the square of a mean of n rows holds 1/n of what differs between them
        shared = (n * float(np.square(mean).sum() / len(mean)) - whole) / (n - 1)
        return mean, whole, max(shared, 0.0)


def explain(question: Question) -> FactorGeometry:
    """Return for every layer how far each column adds its own part to the state, whatever the other cells are.

    A network that is to answer well for combinations of cells that it never saw must hold its inputs as a sum of one vector per column
    (linearity), with the vectors of different columns at right angles (orthogonality): necessary, not sufficient, for heads that are
    linear (Uselis, Dittadi and Oh 2026, arXiv:2602.24264). That is said of reading each column; one answer alone needs the sum only. In
    each of ``rows`` rows every column is swept over ``levels`` places (quantiles or the most frequent levels); its vectors are the states
    less their mean over the sweep. Linearity is the mean square of the vectors' mean over rows by their mean square: main effect by total
    effect of the column on the state (Sobol 1993), its bias removed. Orthogonality is one less the squared cosine with the vectors of the
    other columns, weighted by their squares.

    # NOTE[DIFF] the source averages observed states of each combination, whitened; here cells are exchanged, so that columns which go
    together in the table are told apart, and the state is taken as it is: a direction counts as much as it moves.

    Cost: L C A forward passes of the rows, A = ``levels``. Errors: PARTS groups of rows left out in turn.
    """
    asked.no_groups(question)
    view = question.view
    layers = view.hidden_layers()
    if not layers:
        raise RequestError("the model has no layers to be read", expected="a network of this package", do="use method='importances'")
    at = asked.sample(question, asked.whole(question, "rows", PARTS, 5000))
    if len(at) < PARTS:
        raise EmptyTableError("too few rows", expected=f"at least {PARTS}", got=str(len(at)))
    table = question.table.select(view.columns)
    names = asked.columns(question, view.columns) or tuple(c for c in view.columns if table.schema[c].type is not ColumnType.TEXT)
    if len(names) < 2:
        raise RequestError("factors are compared with each other", expected="at least two columns", got=str(len(names)))
    levels = asked.whole(question, "levels", 2, 50)
    swept = [_swept(table, at, name, places(table, name, levels).source) for name in names]
    found = [_geometry([_factor(view.hidden(part, layer), len(at)) for part in swept]) for layer in layers]
    linear, linear_error, apart, apart_error, size = (np.stack([f[k] for f in found]) for k in range(5))
    told = {**question.options, "columns": list(names), "rows": len(at)}
    caveat = "a layer that keeps columns apart makes unseen combinations possible to answer; it does not make the answers right"
    made = FactorGeometry(
        layers, names, linear, linear_error, apart, apart_error, size, found[-1][5], "", question.method,
        question.record({"options": told}, (caveat,)), len(view.inner.outputs),
    )  # fmt: skip
    return FactorGeometry(**{**vars(made), "words": _words(made)})


def _swept(table: Table, at: np.ndarray, name: str, source: np.ndarray) -> Table:
    """Return every row with the column's cell from each place, places along first: (rows * A) rows."""
    held = table.take(np.repeat(at, len(source)))
    return held.with_cells({name: table.frame[name].iloc[np.tile(source, len(at))].array})


def _factor(states: FloatArray, rows: int) -> _Factor:
    """Return the sums of one column's sweep (rows * A, H)."""
    each = states.reshape(rows, -1, states.shape[1])
    vectors = each - each.mean(1, keepdims=True)
    part = np.arange(rows) % PARTS
    member = np.eye(PARTS)[part].T  # (G, rows)
    squares = np.square(vectors).sum(2).mean(1)
    return _Factor(member @ squares, np.tensordot(member, vectors, 1), member.sum(1))


def _geometry(factors: Sequence[_Factor]) -> tuple[FloatArray, ...]:
    """Return (linearity, error, orthogonality, error, size), (C,) each, and the overlap (C, C) of one layer."""
    linear, apart, whole, overlap = _figures(factors, None)
    others = [_figures(factors, k) for k in range(PARTS)]
    spread = lambda j: np.sqrt((PARTS - 1) * widening(PARTS - 1) * np.var([o[j] for o in others], axis=0))  # noqa: E731  the jackknife
    return linear, spread(0), apart, spread(1), whole / max(float(whole.sum()), TINY), overlap


def _figures(factors: Sequence[_Factor], left_out: int | None) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    parts = [f.without(left_out) for f in factors]
    whole, shared = (np.array([p[k] for p in parts]) for k in (1, 2))
    read = whole > TINY * max(float(whole.max()), TINY)
    linear = np.where(read, shared / np.where(read, whole, 1.0), np.nan)
    unit = [v / max(float(np.sqrt(np.square(v).sum())), TINY) for v, *_ in parts]
    overlap = np.array([[np.square(a @ b.T).sum() for b in unit] for a in unit])
    np.fill_diagonal(overlap, np.nan)
    weight = np.where(read, whole, 0.0) * ~np.eye(len(whole), dtype=bool)
    total = weight.sum(1)
    mean = (weight * np.nan_to_num(overlap)).sum(1) / np.where(total > 0, total, 1.0)
    return linear, np.where(read & (total > 0), 1 - mean, np.nan), whole, overlap


def _words(made: FactorGeometry) -> str:
    """Return what is to be seen: the score by layer, and the columns that depend most on the others."""
    score, last, layer = made.score, made.linearity[-1], made.layers[-1]
    does = "add up" if made.answers == 1 else "lie apart"
    told = [f"the columns {does} to {score[0]:.2f} in {made.layers[0]} and to {score[-1]:.2f} in {layer}, 1 being wholly"]
    counts = np.isfinite(last) & (made.size[-1] > 0.5 / len(made.columns))
    if counts.any():
        worst = int(np.flatnonzero(counts)[np.argmin(last[counts])])
        error = 1.96 * made.linearity_error[-1, worst]
        told.append(f"of those that move {layer} much, {made.columns[worst]} depends most on the other cells")
        told[-1] += f" (linearity {last[worst]:.2f} ± {error:.2f})"
    pair = np.nan_to_num(made.overlap, nan=-1.0)
    i, j = np.unravel_index(int(pair.argmax()), pair.shape)
    if pair[i, j] > 0.25:
        told.append(f"{made.columns[i]} and {made.columns[j]} share directions (squared cosine {pair[i, j]:.2f})")
        told[-1] += ", as they may where there is one answer" if made.answers == 1 else ""
    return "; ".join(told)
