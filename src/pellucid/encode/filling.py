"""Missing cells of a table filled by rules that training rows taught: one rule for all columns, or one for each.

The rules are in :mod:`pellucid.encode.fills`; here is what they are asked for, on which columns, and what they need of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.encode.categories import UNSEEN, LevelEncoder
from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows
from pellucid.encode.written import as_written, joining, put
from pellucid.errors import ColumnError, ModelFileError, RequestError, quote
from pellucid.random import integer, mix
from pellucid.table import ColumnType, Role, Table

__all__ = ["TableFill", "fill_options", "is_ordered"]

NUMBERS = (ColumnType.NUMBER, ColumnType.DATE)
Wish = tuple[str, dict[str, Any]]


def fill_options(asked: Any) -> dict[str, Wish]:
    """Return what ``fill=`` asks for as column -> (rule, options); ``"*"`` stands for all columns that are not named.

    Parameters
    ----------
    asked : None, a rule (``"median"``), a rule with options (``("knn", {"k": 10})``), or a mapping of columns to either.

    Examples
    --------
    >>> fill_options({"age": "median", "job": ("constant", {"value": "none"})})["job"]
    ('constant', {'value': 'none'})
    """
    if asked is None:
        return {}
    each = asked if isinstance(asked, Mapping) else {"*": asked}
    out = {str(column): _wish(rule) for column, rule in each.items()}
    return {column: rule for column, rule in out.items() if rule[0] != "learned"}


def _wish(rule: Any) -> Wish:
    name, options = (rule, {}) if isinstance(rule, str) else rule if isinstance(rule, list | tuple) and len(rule) == 2 else (None, None)
    if not isinstance(name, str) or not isinstance(options, Mapping):
        expected = "a name such as 'median', or a pair such as ('knn', {'k': 10})"
        raise RequestError("this is no rule to fill cells by", expected=expected, got=repr(rule)[:80])
    registry.get("fill", name)
    return name, dict(options)


def is_ordered(asked: Any) -> bool:
    """Return whether ``fill=`` asks for a rule that looks at the rows before and after."""
    return any(registry.resolve(registry.get("fill", name)).ordered for name, _ in fill_options(asked).values())


class TableFill:
    """Fitted rules for the columns of a table.

    Attributes
    ----------
    columns : the C columns that rules may read: numbers, dates and levels. Texts are neither read nor filled.
    rules : (rule, fitted fill, target columns (T,)) in the order in which they were asked for.
    """

    columns: Columns
    rules: list[tuple[str, Fill, Ints]]
    levels: dict[str, LevelEncoder]

    @classmethod
    def fit(cls, table: Table, asked: Any, *, seed: int = 0, ordered: bool | None = None) -> Self:
        """Learn from training rows.

        Parameters
        ----------
        table : the rows; its features are filled. asked : see :func:`fill_options`.
        ordered : True keeps only rules that look at other rows, False only those that do not, None all.
        """
        self = cls()
        wishes = fill_options(asked)
        names = tuple(c for c in table.features if table.schema[c].type is not ColumnType.TEXT)
        unknown = [c for c in wishes if c != "*" and c not in names]
        if unknown:
            raise ColumnError(f"{unknown[0]!r} cannot be filled", expected=f"a column of numbers, dates or levels: {quote(names, 8)}")
        chosen = {c: wishes.get(c, wishes.get("*")) for c in names}
        self.levels = {c: _levels(table, c, chosen[c]) for c in names if table.schema[c].type.is_level}
        self.columns = Columns(
            names,
            np.array([c in self.levels for c in names], bool),
            np.array([table.schema[c].type is ColumnType.ORDERED for c in names], bool),
            tuple(self.levels[c].levels if c in self.levels else () for c in names),
        )
        values, self.rules = self.values(table), []
        for wish in _distinct(chosen.values()):
            made: Fill = registry.resolve(registry.get("fill", wish[0]))(**wish[1])
            if ordered is None or made.ordered is ordered:
                targets = np.array([j for j, c in enumerate(names) if chosen[c] == wish], np.int64)
                self._check_order(made, wish[0], table)
                self.rules.append((wish[0], made.fit(values, self.columns, targets, integer(seed, "fill", wish[0])), targets))
        return self

    @staticmethod
    def _check_order(made: Fill, name: str, table: Table) -> None:
        if not made.ordered:
            return
        order = table.schema.role(Role.ORDER)
        if order is None:
            raise RequestError(
                f"the rule {name!r} copies from neighbouring rows, and these rows have no declared order",
                do="name the column that orders them, with_roles(order='date'), or choose another rule",
            )
        if table.missing(order).any():
            rows = ", ".join(map(str, np.flatnonzero(table.missing(order))[:5]))
            raise ColumnError("the order of some rows is not known", where=f"column {order!r}, rows {rows}", do="fill or drop them first")

    @property
    def filled(self) -> tuple[str, ...]:
        """Names of the columns that a rule fills."""
        return tuple(self.columns.names[j] for _, _, targets in self.rules for j in targets)

    @property
    def indicated(self) -> tuple[str, ...]:
        """Names of the filled columns whose gaps stay marked beside the filled value."""
        return tuple(self.columns.names[j] for _, made, targets in self.rules if made.set.get("indicator") for j in targets)

    def rule_of(self, column: str) -> str:
        """Return the name of the rule that fills a column, ``"learned"`` where none does."""
        return next((name for name, _, targets in self.rules if column in [self.columns.names[j] for j in targets]), "learned")

    def values(self, table: Table) -> FloatArray:
        """Return the matrix (N, C): numbers, seconds, or places among the levels; NaN where missing."""
        out = np.empty((len(table), len(self.columns.names)))
        for j, name in enumerate(self.columns.names):
            if name in self.levels:
                codes = self.levels[name].transform(table)
                places = np.where(codes > UNSEEN, codes - 2.0, float(len(self.levels[name].levels)))
                out[:, j] = np.where(codes == 0, np.nan, places)
            else:
                out[:, j] = table.seconds(name) if table.schema[name].type is ColumnType.DATE else table.numbers(name)
        return out

    def complete(self, table: Table, *, by_place: bool = False) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return (the matrix (N, C) with the asked columns filled, which cells were filled).

        Parameters
        ----------
        by_place : rules that draw give every row its own draw; else rows of equal cells share one, in whatever company they come.
        """
        values = self.values(table)
        out, gaps = values.copy(), np.isnan(values)
        changed = np.zeros_like(gaps)
        rows = self._rows(table, values, by_place)
        for name, made, targets in self.rules:
            self._check_order(made, name, table)
            told = made.fill(values, self.columns, targets, rows)
            mine = gaps[:, targets]
            out[:, targets] = np.where(mine, told, out[:, targets])
            changed[:, targets] = mine & ~np.isnan(told)
        return out, changed

    def _rows(self, table: Table, values: FloatArray, by_place: bool) -> Rows:
        if by_place:
            counters = mix(np.arange(len(table), dtype=np.uint64))
        else:
            counters = np.zeros(len(table), np.uint64)
            for column in np.nan_to_num(values, nan=-1e300).T:
                counters = mix(counters ^ np.ascontiguousarray(column).view(np.uint64))
        order, group = (table.schema.role(r) for r in (Role.ORDER, Role.GROUP))
        ordered = any(made.ordered for _, made, _ in self.rules)
        return Rows(
            counters,
            _places(table, order) if ordered and order is not None else None,
            table.levels(group)[0] if ordered and group is not None else None,
        )

    def cells(self, table: Table, name: str, values: FloatArray) -> list[Any]:
        """Return values of one column as cells in the user's form."""
        if name not in self.levels:
            column = table.schema[name]
            return as_written(values, column, table.frame[name], column.type is ColumnType.DATE)
        texts = self.levels[name].levels
        written = {str(t): c for c, t in zip(*_first_cells(table, name))}
        return [written.get(texts[int(v)], texts[int(v)]) for v in values]

    def apply(self, table: Table, *, by_place: bool = False) -> Table:
        """Return the table with its cells filled, in the user's form and the columns' own dtypes."""
        values, changed = self.complete(table, by_place=by_place)
        new: dict[str, Any] = {}
        schema = table.schema
        for j in np.flatnonzero(changed.any(axis=0)):
            name, rows = self.columns.names[j], np.flatnonzero(changed[:, j])
            old = table.frame[name]
            new[name] = put(old, rows, joining(self.cells(table, name, values[rows, j]), old))
            if name in self.levels and schema[name].levels:
                added = tuple(v for v in self.levels[name].levels if v not in schema[name].levels)
                schema = schema.edit(name, levels=(*schema[name].levels, *added)) if added else schema
        return table.with_cells(new).with_schema(schema) if new else table

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs, as plain JSON types and arrays."""
        c = self.columns
        return {
            "columns": [
                {"name": n, "ordered": bool(o), "levels": list(v) if f else None}
                for n, o, v, f in zip(c.names, c.ordered, c.levels, c.is_level)
            ],
            "rules": [{"rule": name, "targets": targets.tolist(), **made.state()} for name, made, targets in self.rules],
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TableFill:
        """Return the rules that :meth:`state` described."""
        self = cls()
        try:
            columns: Sequence[Mapping[str, Any]] = state["columns"]
            self.levels = {c["name"]: LevelEncoder(c["name"], tuple(c["levels"])) for c in columns if c["levels"] is not None}
            self.columns = Columns(
                tuple(c["name"] for c in columns),
                np.array([c["levels"] is not None for c in columns], bool),
                np.array([c["ordered"] for c in columns], bool),
                tuple(tuple(c["levels"] or ()) for c in columns),
            )
            self.rules = [
                (r["rule"], registry.resolve(registry.get("fill", r["rule"])).from_state(r), np.asarray(r["targets"], np.int64))
                for r in state["rules"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the rules of filling cannot be read", got=str(error), do="save the model again") from error
        return self


def _levels(table: Table, name: str, wish: Wish | None) -> LevelEncoder:
    """Return the levels of training, with the user's constant among them."""
    found = LevelEncoder.fit(table, name)
    if wish is None or wish[0] != "constant":
        return found
    value = wish[1].get("value")
    level = "missing" if value is None else str(value)
    return found if level in found.levels else LevelEncoder(name, (*found.levels, level))


def _distinct(wishes: Any) -> list[Wish]:
    out: list[Wish] = []
    for wish in wishes:
        if wish is not None and wish not in out:
            out.append(wish)
    return out


def _places(table: Table, name: str) -> FloatArray:
    """Return what orders the rows as numbers."""
    kind = table.schema[name].type
    if kind is ColumnType.DATE:
        return table.seconds(name)
    if kind is ColumnType.NUMBER:
        return table.numbers(name)
    codes, texts = table.levels(name)
    try:
        return np.append(np.array([float(t) for t in texts]), np.nan)[codes]
    except ValueError:
        return codes.astype(np.float64)


def _first_cells(table: Table, name: str) -> tuple[list[Any], list[str]]:
    """Return (one cell as written, its canonical text) per level present."""
    codes, texts = table.levels(name)
    at = np.unique(codes, return_index=True)
    rows = [(r, texts[c]) for c, r in zip(*at) if c >= 0]
    return [table.frame[name].iloc[r] for r, _ in rows], [t for _, t in rows]
