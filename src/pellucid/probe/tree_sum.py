"""A model made of trees, over some rows and background rows: is it what it is read as, and which column stands behind a cell?

Trees are read from a model's inside, whose form its package may change, and a pipeline may make cells of several columns. Nothing of that
is believed: composed rows are made both ways, cell by cell and by the model itself, and must agree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.probe.composing import FramePath
from pellucid.probe.masker import Players
from pellucid.probe.tree_games import MOST_PLAYERS, Weigh, solve
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table
from pellucid.trees import Forest, Sum

__all__ = ["CHECKED", "DEEP", "TreeSum"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
CHECKED = 200
"""Composed rows that the model is asked about."""
DEEP = 1500
"""Mean leaves of a tree above which sampling is quicker: forests whose trees are grown to single rows."""
ROUNDING = 1e-5
"""Of answers, where the model adds up in single precision; and that much of a probability behind log-odds, a hundredth part of it."""
COARSE = 0.01
"""Most that rounding may be of what lies between the model's answers: where it is more, they tell nothing of what was read, and near
certainty log-odds end long before the sum of the trees does."""


class TreeSum:
    """Trees whose cells belong to one player each.

    Attributes
    ----------
    x, b : the cells (N, F) of the rows and (B, F) of the background. player : (F,), -1 for cells that are the same in all of them.
    model : the trees, and what is made of their sum.
    """

    def __init__(self, model: Sum, x: FloatArray, b: FloatArray, player: Ints, n_players: int, scale: str) -> None:
        self.model, self.x, self.b, self.player, self._n_players, self._scale = model, x, b, player, n_players, scale

    @property
    def forest(self) -> Forest:
        """The trees."""
        return self.model.forest

    @classmethod
    def of(cls, view: View, rows: Table, background: Table, players: Players, seed: int = 0, most_leaves: float = np.inf) -> TreeSum | None:
        """Return the model's trees over the rows; None where it has none, or where composed rows tell that it is no such sum.

        None too where the trees have more than ``most_leaves`` on average.

        Cost: ``CHECKED`` model rows; the cells of all rows some log2(C) times.
        """
        model = view.trees()
        if model is None or model.forest.mean_leaves > most_leaves:
            return None
        before = view.n_calls
        path = FramePath(view, rows, background, players, 2**28)
        own = cls._read(model, view, path.pool, len(rows), players)
        if own is None or not own._agrees(view, path, np.random.default_rng(seed)):
            view.distrusted = view.n_calls - before
            return None
        return own

    @classmethod
    def _read(cls, model: Sum, view: View, pool: Table, n: int, players: Players) -> TreeSum | None:
        """Return the trees over the first ``n`` rows of a pool and the others; None where their cells cannot be read."""
        try:
            cells = view.cells(pool)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # cells that only the model itself can read
        if cells.ndim != 2 or cells.shape[1] <= model.forest.feature.max(initial=-1):
            return None
        source = _sources(view, pool, cells)
        return cls(model, cells[:n], cells[n:], np.where(source >= 0, players.of_column[source], -1), len(players), view.scale)

    def _agrees(self, view: View, path: FramePath, draw: np.random.Generator) -> bool:
        """Whether composed rows are made of their cells, and answered by the trees as by the model."""
        n = len(self.x)
        row, back = np.arange(n), draw.integers(0, len(self.b), n)
        z = draw.random((n, self._n_players)) < 0.5
        if not _same(view.cells(path.table(row, back, z)), self._composed(row, back, z)):
            return False
        row = draw.integers(0, n, CHECKED)
        back, z = draw.integers(0, len(self.b), CHECKED), draw.random((CHECKED, self._n_players)) < 0.5
        ours, theirs = self.model.answers(self._composed(row, back, z)), path.compose(row, back, z)
        self._apart = np.ptp(theirs, axis=0)
        return self._near(ours, theirs)

    def tells(self, full: FloatArray, empty: FloatArray) -> bool:
        """Whether the model's answers (N, O) to the rows and (B, O) to the background rows are those of the trees.

        Few composed rows may hold the one row that is like no other.
        """
        return self._near(self.model.answers(self.x), full) and self._near(self.model.answers(self.b), empty)

    def _near(self, ours: FloatArray, theirs: FloatArray) -> bool:
        size = np.abs(theirs)
        off = ROUNDING * (self._apart + size)
        if self._scale == "log-odds":
            off = off + ROUNDING / 25 * (1 + np.cosh(np.minimum(size, 28.0)))  # from probabilities in single precision
        most = np.where(self._apart > 0, COARSE * self._apart, np.inf)
        return bool((np.abs(ours - theirs) <= np.minimum(off, most)).all())

    def _composed(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        own = (self.player >= 0) & z[:, np.maximum(self.player, 0)]
        return np.where(own, self.x[row], self.b[back])

    @property
    def adds_up(self) -> bool:
        """Whether the answers are the sum itself, whose games are known leaf by leaf: of trees of at most ``MOST_PLAYERS`` players each."""
        few = self._n_players <= MOST_PLAYERS or self.forest.most_players(self.player) <= MOST_PLAYERS
        return self.model.then is None and few

    def values(self, weigh: Weigh, rows: Ints | None = None, order: int = 1) -> FloatArray:
        """Return the values (N, S, O) of the players in all rows, or in some; see :func:`~pellucid.probe.tree_games.solve`."""
        x = self.x if rows is None else self.x[rows]
        share = np.full(len(self.b), 1 / len(self.b))
        return solve(self.forest, self.player, x, self.b, share, weigh, order, self._n_players)


def _same(a: FloatArray, b: FloatArray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def _sources(view: View, pool: Table, cells: FloatArray) -> Ints:
    """Return the column (F,) that each cell is made of; -1 for cells that are the same in all rows.

    Every column is moved down by one row in some of log2(C) tables, and not in others: a cell that is made of one column moves in its
    tables, and moves for certain where it is not the same in all rows.
    """
    size = len(view.columns)
    changing = ~np.array([_same(column, np.roll(column, 1)) for column in cells.T])
    source = np.zeros(cells.shape[1], np.int64)
    for bit in range(max(1, int(size - 1).bit_length())):
        moved = [c for j, c in enumerate(view.columns) if j >> bit & 1]
        if moved:
            frame = pool.frame.assign(**{c: pool.frame[c].array.take(np.roll(np.arange(len(pool)), 1)) for c in moved})
            theirs = view.cells(Table(frame, pool.schema, pool.library))
            source += np.array([not _same(a, b) for a, b in zip(cells.T, theirs.T)]) << bit
    return np.where(changing & (source < size), source, -1)
