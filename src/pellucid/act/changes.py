"""What may change: rows as numbers, the moves that the rules allow, and changed rows as tables again.

Rows are (N, C) codes: numbers as they are, dates in seconds, levels by their place among the known ones (in order, where they have one),
NaN where a cell is missing. Cells that stay keep what was written in them; all others are written as the training rows write them.
Letters: N rows, C columns, A candidate values of one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError, quote
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import ColumnType, Schema, Table
from pellucid.table.cells import level_text
from pellucid.table.conditions import Condition, parse

__all__ = ["MOST", "Changes", "differ"]

MOST = 500
"""Values of one column up to which all are gone through; beyond, they are drawn."""
EPS = 1e-9

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def differ(a: FloatArray, b: FloatArray) -> BoolArray:
    """Return where two arrays of codes differ; missing equals missing."""
    return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))


class Changes:
    """The changes that rules allow to the rows of a table.

    Parameters
    ----------
    table : the N rows, of the model's C columns.
    kept : training rows; they say how far a column goes and how its cells are written.
    schema : the columns with their rules, and the joint rules.

    Attributes
    ----------
    own : (N, C) codes of the rows as they are.
    days, levels : per date or level column, the known dates and the texts behind the codes.
    movable : (C,) columns that may change by a person's own doing.
    links, conditions : the joint rules.
    whole : (C,) number columns of whole numbers.
    scale : (C,) what counts as a usual difference: the median absolute deviation of numbers and dates, 1 of levels.
    """

    def __init__(self, table: Table, kept: Table, schema: Schema) -> None:
        self.table, self.kept, self.schema, self.columns = table, kept, schema, table.columns
        joint = [parse(text, schema) for text in schema.rules]
        absent = sorted({c for rule in joint for c in rule.columns} - set(self.columns))
        if absent:
            raise RequestError(f"a joint rule reads {absent[0]!r}, which the model does not", do="leave the rule out")
        self.links: tuple[Condition, ...] = tuple(c for c in joint if c.sets is not None)
        self.conditions: tuple[Condition, ...] = tuple(c for c in joint if c.sets is None)
        self.kinds = [schema[name].type for name in self.columns]
        self.rules = [schema[name].rule for name in self.columns]
        self._written: dict[int, Any] = {}
        self.days: dict[int, FloatArray] = {}
        self.levels: dict[int, tuple[str, ...]] = {}
        made = [self._column(j) for j in range(len(self.columns))]
        self.own = np.column_stack([m[0] for m in made])
        self.known = np.column_stack([m[1] for m in made])
        self.scale = np.array([_scale(self.known[:, j]) if self.is_number(j) else 1.0 for j in range(len(self.columns))])
        self.whole = np.array([kind is ColumnType.NUMBER and self._whole(j) for j, kind in enumerate(self.kinds)])
        forced = {c.sets for c in self.links}
        self.movable = np.array(
            [r.move != "never" and k is not ColumnType.TEXT and n not in forced for r, k, n in zip(self.rules, self.kinds, self.columns)]
        )

    # ---------------------------------------------------------------- rows as codes

    def is_number(self, j: int) -> bool:
        """Return whether the codes of a column are amounts: numbers and dates."""
        return self.kinds[j] in (ColumnType.NUMBER, ColumnType.DATE)

    def _column(self, j: int) -> tuple[FloatArray, FloatArray]:
        """Return codes of the rows (N,) and of the kept ones, and remember how the cells are written."""
        name, kind = self.columns[j], self.kinds[j]
        if kind is ColumnType.NUMBER:
            return self.table.numbers(name), self.kept.numbers(name)
        both = pd.concat([self.table.frame[name], self.kept.frame[name]], ignore_index=True)
        if kind is ColumnType.DATE:
            codes = np.concatenate([self.table.seconds(name), self.kept.seconds(name)])
            values, first = np.unique(codes, return_index=True)
            self.days[j], self._written[j] = values[~np.isnan(values)], both.array.take(first[~np.isnan(values)])
        else:
            codes = self._coded(j, name, both)
        return codes[: len(self.table)], codes[len(self.table) :]

    def _coded(self, j: int, name: str, both: pd.Series[Any]) -> FloatArray:
        texts = np.concatenate([self.table.texts(name), self.kept.texts(name)])
        present = {t: i for i, t in reversed(list(enumerate(texts))) if t is not None}
        ordered = self.kinds[j] is ColumnType.ORDERED
        known = [t for t in self.schema[name].levels if t in present] if ordered else []
        known += [t for t in sorted(present) if t not in known]
        cells = both.array.take([present[t] for t in known]) if known else both.array[:0]
        more = [t for t in self.rules[j].allowed or () if t not in present]
        if more:
            cells = pd.concat([pd.Series(cells), _as_written(more, both, name)], ignore_index=True).array
        if ordered and more:
            place = {t: k for k, t in enumerate(self.schema[name].levels)}
            order = sorted(range(len(known) + len(more)), key=lambda i: place.get([*known, *more][i], len(place)))
            known, cells = [[*known, *more][i] for i in order], cells.take(order)
        else:
            known += more
        self.levels[j], self._written[j] = tuple(known), cells
        at = {t: float(k) for k, t in enumerate(known)}
        return np.array([at.get(t, np.nan) for t in texts], float)

    def _whole(self, j: int) -> bool:
        known = self.known[:, j][~np.isnan(self.known[:, j])]
        return bool(len(known) and (known == np.round(known)).all())

    def cells(self, rows: Ints, codes: FloatArray, names: Sequence[str] | None = None) -> Table:
        """Return n rows as a table: row ``rows[i]`` with the cells ``codes[i]`` (n, C); some columns only where ``names`` are given."""
        wanted = list(self.columns if names is None else names)
        out: dict[str, Any] = {}
        for name in wanted:
            j = self.columns.index(name)
            was, now = self.table.frame[name], codes[:, j]
            changed = differ(self.own[rows, j], now)
            column = was.array.take(rows)
            out[name] = column if not changed.any() else self._write(j, was, column, changed, now)
        schema = self.schema.select(wanted)
        return Table(pd.DataFrame(out, copy=False), schema, self.table.library)

    def _write(self, j: int, was: pd.Series[Any], column: Any, changed: BoolArray, now: FloatArray) -> Any:
        if self.kinds[j] is ColumnType.NUMBER:
            same = was.dtype.kind in "iufb" if isinstance(was.dtype, np.dtype) else pd.api.types.is_numeric_dtype(was.dtype)
            keep = same and (not pd.api.types.is_integer_dtype(was.dtype) or _held(now, was.dtype))
            return pd.Series(now).astype(was.dtype).array if keep else now
        at = np.searchsorted(self.days[j], now[changed]) if self.kinds[j] is ColumnType.DATE else now[changed].astype(np.int64)
        both = pd.concat([pd.Series(column), pd.Series(self._written[j])], ignore_index=True).array
        place = np.arange(len(now))
        place[changed] = len(now) + at
        return both.take(place)

    def say(self, j: int, code: float) -> Any:
        """Return one cell as people read it."""
        if np.isnan(code):
            return None
        if self.kinds[j] is ColumnType.NUMBER:
            return int(code) if float(code).is_integer() and abs(code) < 2**53 else float(code)
        return pd.Timestamp(code, unit="s").isoformat() if self.kinds[j] is ColumnType.DATE else self.levels[j][int(code)]

    # ---------------------------------------------------------------- what the rules allow

    def reach(self, rows: Ints, j: int) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and highest code (n,) that column ``j`` of some rows may take; low > high where it may not move at all."""
        rule, known = self.rules[j], self.known[:, j]
        seen = known[~np.isnan(known)]
        ends = (float(seen.min()), float(seen.max())) if len(seen) else (np.inf, -np.inf)
        if not self.is_number(j):
            ends = (0.0, float(len(self.levels[j]) - 1))
        low = np.full(len(rows), ends[0] if rule.low is None else rule.low)
        high = np.full(len(rows), ends[1] if rule.high is None else rule.high)
        own = self.own[rows, j]
        if rule.move == "up":
            low = np.fmax(low, own)
        if rule.move == "down":
            high = np.fmin(high, own)
        if not self.movable[j]:
            low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
        return low, high

    def may(self, rows: Ints, codes: FloatArray) -> BoolArray:
        """Return (n, C): whether each cell of changed rows keeps the rule of its column. Cells set by a link keep bounds alone."""
        out = np.ones(codes.shape, bool)
        forced = {c.sets for c in self.links}
        for j, name in enumerate(self.columns):
            own, now, rule = self.own[rows, j], codes[:, j], self.rules[j]
            if name in forced:
                out[:, j] = ~((now < (-np.inf if rule.low is None else rule.low)) | (now > (np.inf if rule.high is None else rule.high)))
                continue
            low, high = self.reach(rows, j)
            good = (now >= low - EPS * self.scale[j]) & (now <= high + EPS * self.scale[j])
            if rule.allowed is not None:
                good &= np.isin(now, [k for k, t in enumerate(self.levels[j]) if t in rule.allowed])
            if self.kinds[j] is ColumnType.DATE:
                good &= np.isin(now, self.days[j])
            if self.kinds[j] is ColumnType.NUMBER and (rule.step or self.whole[j]):
                steps = (now - self._origin(rows, j)) / (rule.step or 1.0)
                good &= np.abs(steps - np.round(steps)) < 1e-6
            out[:, j] = ~differ(own, now) | good
        return out

    def _origin(self, rows: Ints, j: int) -> FloatArray:
        """Return where steps are counted from: the cell as it is; the lowest value where it is missing; 0 for whole numbers."""
        rule, own = self.rules[j], self.own[rows, j]
        return np.where(np.isnan(own), self.reach(rows, j)[0], own) if rule.step else np.zeros(len(rows))

    def candidates(self, rows: Ints, j: int, most: int, seed: int) -> tuple[FloatArray, BoolArray, bool]:
        """Return values (n, A) that column ``j`` may change to, which of them count (n, A), and whether they are all there are.

        Where a column has more than ``MOST`` values, or a continuum, ``most`` of them are drawn uniformly, the same places for every row.
        """
        low, high = self.reach(rows, j)
        if self.kinds[j] is ColumnType.NUMBER:
            step = self.rules[j].step or (1.0 if self.whole[j] else None)
            values, exact = self._numbers(rows, j, low, high, step, most, seed)
        else:
            size = len(self.days[j]) if self.kinds[j] is ColumnType.DATE else len(self.levels[j])
            places, exact = self._places(j, np.zeros(len(rows)), np.full(len(rows), size), most, seed)
            values = self.days[j][places.astype(int)] if self.kinds[j] is ColumnType.DATE and size else places
        counts = (values >= low[:, None] - EPS) & (values <= high[:, None] + EPS) & differ(values, self.own[rows, j][:, None])
        allowed = self.rules[j].allowed
        if allowed is not None:
            counts &= np.isin(values, [k for k, t in enumerate(self.levels[j]) if t in allowed])
        return np.where(counts, values, self.own[rows, j][:, None]), counts, exact

    def _places(self, j: int, start: FloatArray, size: FloatArray, most: int, seed: int) -> tuple[FloatArray, bool]:
        """Return whole numbers (n, A) from ``start`` on: all ``size`` of them, or drawn."""
        n = int(size.max(initial=0))
        if n <= max(MOST, 1):
            return start[:, None] + np.arange(n)[None, :] + np.zeros((len(start), 1)), True
        draw = stream(seed, "places", self.columns[j]).random(most)
        return start[:, None] + np.floor(draw[None, :] * np.maximum(size, 0)[:, None]), False

    def _numbers(
        self, rows: Ints, j: int, low: FloatArray, high: FloatArray, step: float | None, most: int, seed: int
    ) -> tuple[FloatArray, bool]:
        none = ~(low <= high)
        low, high = np.where(none, 0.0, low), np.where(none, -1.0, high)
        if step is None:
            draw = stream(seed, "values", self.columns[j]).random(most)
            return low[:, None] + draw[None, :] * (high - low)[:, None], bool(none.all())
        origin = np.where(none, 0.0, self._origin(rows, j))
        first = np.ceil((low - origin) / step - 1e-9)
        last = np.floor((high - origin) / step + 1e-9)
        places, exact = self._places(j, first, np.maximum(last - first + 1, 0), most, seed)
        return origin[:, None] + places * step, exact

    def toward(self, rows: Ints, codes: FloatArray) -> FloatArray:
        """Return rows (n, C) as near to ``codes`` as the rules of the single columns let rows come."""
        out = self.own[rows].copy()
        for j in np.flatnonzero(self.movable).tolist():
            low, high = self.reach(rows, j)
            now, own = codes[:, j], self.own[rows, j]
            if self.kinds[j] is ColumnType.NUMBER:
                now = self.snapped(rows, j, np.clip(now, low, np.maximum(low, high)))
            trial = out.copy()
            trial[:, j] = now
            good = ~np.isnan(now) & (low <= high) & self.may(rows, trial)[:, j]
            out[:, j] = np.where(good, now, own)
        return out

    def snapped(self, rows: Ints, j: int, values: FloatArray) -> FloatArray:
        """Return numbers (n,) at the nearest place that steps allow, towards the cell as it is."""
        step = self.rules[j].step or (1.0 if self.whole[j] else None)
        if step is None:
            return values
        origin, own = self._origin(rows, j), self.own[rows, j]
        steps = (values - origin) / step
        inward = np.where(np.isnan(own) | (values >= own), np.floor(steps + 1e-9), np.ceil(steps - 1e-9))
        return np.asarray(origin + inward * step)

    # ---------------------------------------------------------------- joint rules

    def linked(self, rows: Ints, codes: FloatArray) -> FloatArray:
        """Return the rows (n, C) with the columns that links set; rows whose other columns stay are left as they are."""
        if not self.links:
            return codes
        out, before = codes.copy(), self.table.take(rows)
        for link in self.links:
            assert link.sets is not None
            reads = [self.columns.index(c) for c in link.columns if c != link.sets]
            touched = differ(self.own[rows][:, reads], out[:, reads]).any(1)
            j = self.columns.index(link.sets)
            value = link.linked(before, self.cells(rows, out, sorted({*link.columns, link.sets})))
            out[:, j] = np.where(touched & ~np.isnan(value), value, out[:, j])
        return out

    def keeps(self, rows: Ints, codes: FloatArray) -> BoolArray:
        """Return (n,): whether changed rows break no joint rule and no bound of a linked column."""
        good = np.ones(len(rows), bool)
        for link in self.links:
            rule = self.schema[str(link.sets)].rule
            now = codes[:, self.columns.index(str(link.sets))]
            good &= ~((now < (-np.inf if rule.low is None else rule.low)) | (now > (np.inf if rule.high is None else rule.high)))
        for condition in self.conditions:
            names = sorted(condition.columns)
            good &= condition.truth(self.table.take(rows), self.cells(rows, codes, names)) > 0
        return good

    def distances(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Return per-column distances of codes (..., C): numbers in usual differences, levels 0 or 1, missing against present 1."""
        number = np.array([self.is_number(j) for j in range(len(self.columns))])
        with np.errstate(invalid="ignore"):
            gap = np.where(number, np.abs(a - b) / self.scale, (a != b).astype(float))
        one = np.isnan(a) != np.isnan(b)
        return np.where(np.isnan(a) & np.isnan(b), 0.0, np.where(one, 1.0, gap))

    def words(self) -> dict[str, str]:
        """Return the rules in words, by column; joint rules follow under ``"joint"``."""
        out = {}
        for name, kind, rule in zip(self.columns, self.kinds, self.rules):
            out[name] = "text is not varied" if kind is ColumnType.TEXT else rule.words(self.schema[name].unit)
        for link in self.links:
            out[str(link.sets)] = f"follows: {link.text}"
        return out | ({"joint": "; ".join(self.schema.rules)} if self.schema.rules else {})


def _held(values: FloatArray, dtype: Any) -> bool:
    """Return whether a dtype of whole numbers holds every value: training rows go further than a byte."""
    ends = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    return bool((values == np.round(values)).all() and ends.min <= values.min() and values.max() <= ends.max)


def _scale(values: FloatArray) -> float:
    """Return the median absolute deviation; the standard deviation where it is 0; 1 where both are."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return 1.0
    return float(np.median(np.abs(seen - np.median(seen)))) or float(seen.std()) or 1.0


def _as_written(texts: list[str], both: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Return levels that no row shows as cells of the column's type."""
    if isinstance(both.dtype, pd.CategoricalDtype):
        known = {level_text(c): c for c in both.dtype.categories}
    elif pd.api.types.is_bool_dtype(both.dtype):
        known = {"True": True, "False": False}
    elif pd.api.types.is_numeric_dtype(both.dtype):
        known = {t: float(t) for t in texts if _reads_as_number(t)}
    else:
        known = {t: t for t in texts}
    unknown = [t for t in texts if t not in known]
    if unknown:
        raise RequestError(f"the allowed levels of {name!r} are no cells of the column", got=quote(unknown))
    return pd.Series([known[t] for t in texts], dtype=both.dtype)


def _reads_as_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdigit()
