"""Cells drawn anew given the other cells of their row: the null draws of the tests that select columns.

Anything with ``sample(table, known, n, seed)`` (:class:`pellucid.protocols.RowModel`) can stand in its place.
Letters: N rows, C columns, F slots (one per number, one per level), S draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import EmptyTableError, RequestError
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import ColumnType, Table

__all__ = ["Conditionals", "Sampler"]

BoolArray = npt.NDArray[np.bool_]
RIDGE = 1e-3
MOST_LEVELS = 30
SWEEPS = 5
LEAST_ROWS = 20


class Sampler(Protocol):
    """What can draw cells anew."""

    def sample(self, table: Table, known: npt.NDArray[np.bool_], n: int, seed: int) -> Sequence[Table]:
        """Return ``n`` tables whose cells in ``known`` (N, C) are those of ``table`` and whose other cells are drawn given those."""
        ...


class Conditionals:
    """One conditional model per column, from one covariance matrix: exact for a Gaussian copula, approximate for levels.

    A number is its normal score; given all the other cells it is normal with the mean and variance that the inverse covariance matrix
    says. A level is drawn from multinomial logistic probabilities. Several unknown cells of a row are drawn in turn, five times round. A
    number drawn lies between two known cells; whole numbers and dates are cells that occur.

    Parameters
    ----------
    table : the B rows to learn from.

    Notes
    -----
    Cost: one inverse of F x F, and a logistic fit per level column when first drawn.
    # NOTE[DIFF] whether a drawn cell is missing is a coin with the column's own rate; text is drawn from random rows.

    Examples
    --------
    >>> from pellucid.table import read_table
    >>> x = np.random.default_rng(0).standard_normal(400)
    >>> table = read_table(pd.DataFrame({"a": x, "b": x + 0.1 * np.random.default_rng(1).standard_normal(400)}))
    >>> (drawn,) = Conditionals(table).sample(table, np.tile([True, False], (400, 1)), 1, 0)
    >>> bool(np.abs(drawn.numbers("b") - x).mean() < 0.15)
    True
    """

    def __init__(self, table: Table) -> None:
        if len(table) < LEAST_ROWS:
            raise EmptyTableError("too few rows to learn how columns go together", expected=f"{LEAST_ROWS} rows", got=str(len(table)))
        self._table, self._columns = table, table.columns
        self._forms = [_form(table, name) for name in self._columns]
        self._ends = np.cumsum([0, *(f.width for f in self._forms)])
        slots = self.slots(table)
        self._centre = slots.mean(0)
        covariance = np.atleast_2d(np.cov(slots.T, bias=True))
        ridge = RIDGE * float(np.trace(covariance)) / max(1, len(covariance)) + 1e-12
        self._slots_known = slots
        self._inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance))) if slots.shape[1] else covariance
        self._logistic: dict[int, Any] = {}

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """The column (F,) of each slot."""
        return np.repeat(np.arange(len(self._forms)), [f.width for f in self._forms])

    def slots(self, table: Table) -> FloatArray:
        """Return rows as slots (N, F): numbers as normal scores and marks of missing cells, levels as marks, text not at all."""
        return np.concatenate([f.slots(table) for f in self._forms], axis=1)

    def _block(self, j: int) -> slice:
        return slice(int(self._ends[j]), int(self._ends[j + 1]))

    def sample(self, table: Table, known: BoolArray, n: int, seed: int) -> list[Table]:
        """Return ``n`` tables with the unknown cells drawn anew, each from its conditional distribution.

        Parameters
        ----------
        known : (N, C) cells that stay, in the order of the columns learned from.

        Raises
        ------
        RequestError : other columns than those learned from.
        """
        table = table.select(self._columns) if set(self._columns) <= set(table.columns) else table
        if table.columns != self._columns or known.shape != (len(table), len(self._columns)):
            raise RequestError("the rows do not fit the sampler", expected=f"{len(self._columns)} columns", got=str(known.shape))
        draw = stream(seed, "conditionals")
        rows = np.tile(np.arange(len(table)), n)
        unknown = ~known[rows]
        slots = self.slots(table)[rows]
        cells = [f.codes(table)[rows] for f in self._forms]
        self._redraw(slots, cells, unknown, draw)
        return [self._written(table, rows[s], unknown[s], [c[s] for c in cells]) for s in np.split(np.arange(len(rows)), n)]

    def draws(self, slots: FloatArray, known: BoolArray, n: int, draw: np.random.Generator) -> FloatArray:
        """Return slots (n, N, F) with those of the unknown columns drawn anew ``n`` times: as :meth:`sample`, without writing tables.

        Parameters
        ----------
        slots : (N, F) as :meth:`slots` makes them. known : (N, C).

        Notes
        -----
        Where every column is a number without gaps, all unknown slots of a row are drawn at once from their normal law (Hoffman and Ribak
        1991: a free draw is bent to the known cells): one linear system of F per row, whatever ``n``.
        """
        if all(f.kind == "number" and f.width == 1 for f in self._forms):
            return self._bent(slots, known, n, draw)
        rows = np.tile(np.arange(len(slots)), n)
        made = slots[rows]
        self._redraw(made, [np.zeros(len(rows)) for _ in self._forms], ~known[rows], draw)
        return made.reshape(n, *slots.shape)

    def _bent(self, slots: FloatArray, known: BoolArray, n: int, draw: np.random.Generator) -> FloatArray:
        covariance = np.linalg.inv(self._inverse)
        free = draw.standard_normal((n, *slots.shape)) @ np.linalg.cholesky(covariance).T
        both = known[:, :, None] & known[:, None, :]
        system = np.where(both, covariance, 0.0) + np.eye(slots.shape[1]) * ~known[:, :, None]
        off = np.where(known, slots - self._centre - free, 0.0)  # (n, N, F)
        bent = free + np.linalg.solve(system, off.transpose(1, 2, 0)).transpose(2, 0, 1) @ covariance
        return np.where(known, slots, self._centre + bent)

    def _redraw(self, slots: FloatArray, cells: list[FloatArray], unknown: BoolArray, draw: np.random.Generator) -> None:
        """Draw the unknown cells in place, as slots (n, F) and as codes (n,) of each column."""
        start = draw.integers(0, len(self._table), len(slots))
        several = unknown.sum(1) > 1
        for j, form in enumerate(self._forms):
            at = np.flatnonzero(unknown[:, j])
            slots[at, self._block(j)] = self._slots_known[start[at], self._block(j)]
            cells[j][at] = form.own[start[at]]
        for sweep in range(SWEEPS if several.any() else 1):
            for j in draw.permutation(len(self._forms)):
                at = np.flatnonzero(unknown[:, j] & (several | (sweep == 0)))
                if len(at):
                    cells[j][at], slots[at, self._block(j)] = self._draw(int(j), slots[at], draw)

    def _draw(self, j: int, slots: FloatArray, draw: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return (cells as codes, slots) of column j drawn given the other slots."""
        form, block = self._forms[j], self._block(j)
        n = len(slots)
        if form.kind == "level":
            code = (np.cumsum(self._chances(j, slots), 1) < draw.random((n, 1))).sum(1).clip(0, form.levels - 1).astype(np.float64)
            return code, form.slots_of(code)
        if form.kind == "other":
            return form.own[draw.integers(0, len(form.own), n)], np.zeros((n, 0))
        inside = np.linalg.inv(self._inverse[block, block])
        others = np.delete(np.arange(slots.shape[1]), np.arange(block.start, block.stop))
        gap = (slots[:, others] - self._centre[others]) @ self._inverse[others, block]
        mean = self._centre[block.start] - gap @ inside[:, 0]
        score = mean + np.sqrt(inside[0, 0]) * draw.standard_normal(n)
        gone = draw.random(n) < form.missing
        code = np.where(gone, np.nan, score)
        return code, form.slots_of(code)

    def _chances(self, j: int, slots: FloatArray) -> FloatArray:
        """Return the probabilities (n, levels) of a level column given the other slots."""
        block, form = self._block(j), self._forms[j]
        keep = np.delete(np.arange(slots.shape[1]), np.arange(block.start, block.stop))
        if j not in self._logistic:
            from sklearn.linear_model import LogisticRegression

            fitted = LogisticRegression(C=10.0, max_iter=300)
            several = len(keep) > 0 and len(np.unique(form.own)) > 1
            self._logistic[j] = fitted.fit(self._slots_known[:, keep], form.own.astype(int)) if several else None
        model, n = self._logistic[j], len(slots)
        if model is None:
            share = np.bincount(form.own.astype(int), minlength=form.levels) / len(form.own)
            return np.tile(share, (n, 1))
        out = np.zeros((n, form.levels))
        out[:, model.classes_] = model.predict_proba(slots[:, keep])
        return out

    def _written(self, table: Table, rows: npt.NDArray[np.int64], unknown: BoolArray, codes: list[FloatArray]) -> Table:
        """Return the rows with their unknown cells written as the user writes them."""
        cells = {}
        base = table.take(rows)
        for j, name in enumerate(self._columns):
            if unknown[:, j].any():
                cells[name] = self._forms[j].write(base.frame[name], codes[j], unknown[:, j])
        return base.with_cells(cells)


class _Form:
    """How one column stands in the slots: a number as its normal score (and a mark of missing cells), levels as marks, others not at all.

    Codes are normal scores with NaN for missing numbers, level numbers (the last one for rare, missing and unseen levels), or row numbers.
    """

    def __init__(self, table: Table, name: str, kind: str) -> None:
        self.name, self.kind, self._frame = name, kind, table.frame[name]
        self.missing, self.levels = 0.0, 0
        if kind == "number":
            values = _read(table, name)
            known = np.flatnonzero(~np.isnan(values))
            order = known[np.argsort(values[known], kind="stable")]
            self._sorted, self._order = values[order], order
            self.missing = 1 - len(known) / len(values)
            self.width = 2 if self.missing > 0 else 1
        elif kind == "level":
            codes, texts = table.levels(name)
            count = np.bincount(codes[codes >= 0], minlength=len(texts))
            top = np.argsort(-count, kind="stable")[:MOST_LEVELS]
            self._place = {texts[t]: k for k, t in enumerate(top)}
            self.levels = len(top) + 1
            self.width = self.levels - 1
        else:
            self.width = 0
        self.own = self.codes(table, own=True)

    def codes(self, table: Table, own: bool = False) -> FloatArray:
        """Return the cells as codes (N,)."""
        if self.kind == "number":
            values = _read(table, self.name)
            if not len(self._sorted):
                return np.full(len(table), np.nan)
            return np.where(np.isnan(values), np.nan, self._scores(values))
        if self.kind == "level":
            codes, texts = table.levels(self.name)
            places = np.array([*(self._place.get(t, self.levels - 1) for t in texts), self.levels - 1])
            return np.asarray(places[codes], np.float64)
        return np.arange(len(table), dtype=np.float64) if own else np.zeros(len(table))

    def _scores(self, values: FloatArray) -> FloatArray:
        """Return normal scores: of the mean rank among the known cells."""
        from scipy.stats import norm

        low, high = (np.searchsorted(self._sorted, values, side=side) for side in ("left", "right"))
        share = ((low + high) / 2).clip(0.5, len(self._sorted) - 0.5) / len(self._sorted)
        return np.asarray(norm.ppf(share))

    def slots(self, table: Table) -> FloatArray:
        """Return the slots (N, width)."""
        return self.slots_of(self.codes(table))

    def slots_of(self, codes: FloatArray) -> FloatArray:
        """Return the slots (n, width) of some codes."""
        if self.kind == "number":
            both = np.column_stack([np.nan_to_num(codes), np.isnan(codes)]).astype(np.float64)
            return both[:, : self.width]
        if self.kind == "level":
            return np.asarray(codes[:, None] == np.arange(self.width), np.float64)
        return np.zeros((len(codes), 0))

    def write(self, cells: pd.Series[Any], codes: FloatArray, drawn: BoolArray) -> Any:
        """Return the cells (n,) with those in ``drawn`` replaced by what the codes say, of the column's own type."""
        n = len(cells)
        if self.kind == "number" and cells.dtype.kind == "f":
            return np.where(drawn, self._between(codes), cells.to_numpy(np.float64))
        donors = self._donors(codes)
        pool = pd.concat([cells, self._frame], ignore_index=True)
        return pool.array.take(np.where(drawn, n + donors, np.arange(n)))

    def _between(self, codes: FloatArray) -> FloatArray:
        """Return numbers: the known cells' quantiles at the codes, straight between two of them."""
        from scipy.stats import norm

        if not len(self._sorted):
            return np.full(len(codes), np.nan)
        at = norm.cdf(np.nan_to_num(codes)) * len(self._sorted) - 0.5
        return np.where(np.isnan(codes), np.nan, np.interp(at, np.arange(len(self._sorted)), self._sorted))

    def _donors(self, codes: FloatArray) -> npt.NDArray[np.int64]:
        """Return rows of the known table whose cells are as the codes say."""
        from scipy.stats import norm

        if self.kind == "other":
            return codes.astype(np.int64)
        if self.kind == "number":
            place = (norm.cdf(np.nan_to_num(codes)) * len(self._order)).astype(int).clip(0, max(0, len(self._order) - 1))
            rows = self._order[place] if len(self._order) else np.zeros(len(codes), int)
            gone = np.flatnonzero(np.isnan(self.own))
            return np.asarray(np.where(np.isnan(codes) & (len(gone) > 0), gone[:1].sum(), rows), np.int64)
        # any row with that level; among rare levels another one each time
        order = np.argsort(self.own, kind="stable")
        start, stop = (np.searchsorted(self.own[order], codes, side=side) for side in ("left", "right"))
        place = start + np.arange(len(codes)) % np.maximum(stop - start, 1)
        return np.asarray(order[np.minimum(place, len(order) - 1)], np.int64)


def _read(table: Table, name: str) -> FloatArray:
    return table.numbers(name) if table.schema[name].type is ColumnType.NUMBER else table.seconds(name)


def _form(table: Table, name: str) -> _Form:
    kind = table.schema[name].type
    if kind in (ColumnType.NUMBER, ColumnType.DATE):
        return _Form(table, name, "number")
    return _Form(table, name, "level" if kind.is_level else "other")
