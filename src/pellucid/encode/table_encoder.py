"""A whole table to arrays, and back to the user's columns.

Fitted on training rows only. New data convert identically; what was missing, unseen or out of range is counted per cell and handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pellucid.encode.categories import MISSING, UNSEEN, LevelEncoder
from pellucid.encode.dates import CALENDAR, calendar
from pellucid.encode.filling import TableFill, fill_options
from pellucid.encode.numeric import NumberEncoder
from pellucid.encode.slots import Slot, SlotMap
from pellucid.encode.text import N_BUCKETS, TextVectors, hashed
from pellucid.errors import ColumnError, ModelFileError, quote
from pellucid.table import ColumnType, Role, Table

__all__ = ["EncodedTable", "TableEncoder"]

FloatArray = npt.NDArray[np.float64]
FORMAT = 1
GAP = 2
"""Code of a cell that was known, in the slot that marks filled cells; the next one means filled."""


@dataclass(frozen=True)
class EncodedTable:
    """A table as arrays.

    Attributes
    ----------
    numbers, missing : (N, Sn) float32 scaled numbers (0 where missing), and which are missing.
    codes : (N, Sc) int64 level codes (0 missing, 1 unseen).
    vectors : (N, Sv, V) float32 calendar parts and hashed text.
    slots : which slot came from which column.
    absent, unseen, outside : (N, C) bool: missing cells, levels not in training, numbers outside the range of training.
    """

    numbers: npt.NDArray[np.float32]
    missing: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    slots: SlotMap
    absent: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]
    outside: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.numbers)

    def notes(self) -> dict[str, dict[str, int]]:
        """Return per column how many cells were missing, unseen or out of range; columns without any are left out."""
        counts = {"missing": self.absent.sum(0), "unseen": self.unseen.sum(0), "out of range": self.outside.sum(0)}
        every = {c: {k: int(v[j]) for k, v in counts.items() if v[j]} for j, c in enumerate(self.slots.columns)}
        return {c: n for c, n in every.items() if n}


class TableEncoder:
    """Columns of any type to arrays with a reversible slot map.

    Numbers and elapsed times become scaled number slots with bins; levels become codes; ordered levels become both a code and a rank;
    dates add calendar parts; text becomes hashed n-grams. One column is one player, whatever the number of its slots.

    Parameters
    ----------
    text : a sentence encoder of the user's own in place of the n-grams: a callable, M strings to vectors (M, V).

    Attributes
    ----------
    columns : the C source columns. ``levels`` : their level encoders by name. ``numeric`` : the fitted number encoder.
    slots : the slot map. ``units`` : the columns' units, empty where none was declared.
    fill : the rules by which missing cells are filled before they are encoded; None where missing stays a state of its own.
    """

    columns: tuple[str, ...]
    units: dict[str, str]
    types: dict[str, ColumnType]
    levels: dict[str, LevelEncoder]
    numeric: NumberEncoder
    slots: SlotMap
    fill: TableFill | None = None

    def __init__(self, text: Callable[..., Any] | None = None) -> None:
        self.text = None if text is None else TextVectors(text)

    def fit(
        self,
        table: Table,
        target: FloatArray,
        *,
        task: str,
        weights: FloatArray | None = None,
        bins: Mapping[str, Any] | None = None,
        seed: int = 0,
        fill: Any = None,
        scale: Any = None,
        go_on: Callable[[], bool] | None = None,
    ) -> Self:
        """Learn levels, scales and bins from the training rows.

        Parameters
        ----------
        target : (N,) or (N, O): class numbers or values; bins are placed where they tell it apart.
        task : ``"classification"`` or ``"regression"``.
        weights : (N,) row weights; a weight of 2 counts as the row twice.
        bins : options of :class:`NumberEncoder`.
        fill : rules for missing cells, see :func:`~pellucid.encode.filling.fill_options`; those that copy from other rows are for whole
            tables and not applied here.
        scale : a registered scale for all number columns, or a mapping of columns to scales; None: by type.
        go_on : whether there is time for the next column's tree, see :meth:`NumberEncoder.fit`.
        """
        self.columns = table.features
        if not self.columns:
            raise ColumnError(
                "there is no usable column",
                got=_unused(table),
                do="set types={...} (--type COLUMN=TYPE) for columns that should be used",
            )
        self.types = {c: table.schema[c].type for c in self.columns}
        self.units = {c: table.schema[c].unit for c in self.columns}
        rules = TableFill.fit(table, fill, seed=seed, ordered=False) if fill_options(fill) else None
        self.fill = rules if rules is not None and rules.rules else None
        self.levels = {c: LevelEncoder.fit(table, c) for c in self.columns if self.types[c].is_level}
        self.levels |= {} if self.fill is None else {c: e for c, e in self.fill.levels.items() if c in self.levels}
        if self.text is not None:
            self.text.fit([table.levels(c) for c in self.columns if self.types[c] is ColumnType.TEXT])
        self.slots = self._map()
        wanted = self._scales(scale)
        self.numeric = NumberEncoder(**{**(bins or {}), "scale": wanted}).fit(
            self.raw_numbers(table), target, weights=weights, task=task, seed=seed, go_on=go_on
        )
        return self

    def _scales(self, asked: Any) -> str | list[str]:
        """Return one scale for all number slots, or one for each."""
        if asked is None or isinstance(asked, str):
            return asked or "quantile"
        numbers = [s.column for s in self.slots if s.kind == "number"]
        unknown = [c for c in asked if c not in numbers]
        if unknown:
            raise ColumnError(
                f"{unknown[0]!r} cannot be scaled", expected=f"a column of numbers, dates or ordered levels: {quote(numbers, 8)}"
            )
        return [str(asked.get(c, "quantile")) for c in numbers]

    def _map(self) -> SlotMap:
        kinds: dict[ColumnType, tuple[tuple[str, str], ...]] = {
            ColumnType.NUMBER: (("number", "scaled"),),
            ColumnType.DATE: (("number", "elapsed"), ("vector", "calendar")),
            ColumnType.TEXT: (("vector", "n-grams"),),
            ColumnType.CATEGORY: (("code", "level"),),
            ColumnType.BOOLEAN: (("code", "level"),),
            ColumnType.ORDERED: (("number", "rank"), ("code", "level")),
        }
        count = {"number": 0, "code": 0, "vector": 0}
        slots = []
        for column in self.columns:
            marked = self.fill is not None and column in self.fill.indicated
            for kind, transform in (*kinds[self.types[column]], *((("code", "gap"),) if marked else ())):
                slots.append(Slot(column, kind, count[kind], transform))
                count[kind] += 1
        return SlotMap(self.columns, tuple(slots))

    def raw_numbers(self, table: Table) -> FloatArray:
        """Return the unscaled number slots, (N, Sn), NaN where missing."""

        filled = self._filled(table)

        def column(slot: Slot) -> FloatArray:
            if slot.column in filled:
                values = filled[slot.column]
                return values if slot.transform != "rank" else np.where(values < len(self.levels[slot.column].levels), values, np.nan)
            if slot.transform == "scaled":
                return table.numbers(slot.column)
            if slot.transform == "elapsed":
                return table.seconds(slot.column)
            codes = self.levels[slot.column].transform(table)
            return np.where(codes > UNSEEN, codes - 2.0, np.nan)

        parts = [column(s) for s in self.slots if s.kind == "number"]
        return np.column_stack(parts) if parts else np.zeros((len(table), 0))

    def codes(self, table: Table) -> npt.NDArray[np.int64]:
        """Return the code slots, (N, Sc)."""
        filled = self._filled(table)

        def coded(slot: Slot) -> npt.NDArray[np.int64]:
            if slot.transform == "gap":
                return np.where(table.missing(slot.column), GAP + 1, GAP)
            own = self.levels[slot.column]
            if slot.column not in filled:
                return own.transform(table)
            place = filled[slot.column]
            code = np.where(place < len(own.levels), np.nan_to_num(place) + 2, UNSEEN)
            return np.where(np.isnan(place), MISSING, code).astype(np.int64)

        parts = [coded(s) for s in self.slots if s.kind == "code"]
        return np.column_stack(parts) if parts else np.zeros((len(table), 0), np.int64)

    def vectors(self, table: Table) -> npt.NDArray[np.float32]:
        """Return the vector slots, (N, Sv, V), narrower ones padded with zeros."""
        slots = [s for s in self.slots if s.kind == "vector"]
        out = np.zeros((len(table), len(slots), self.vector_width), np.float32)
        for slot in slots:
            read = hashed if self.text is None else self.text
            if slot.transform == "calendar":
                part = calendar(self._filled(table).get(slot.column, table.seconds(slot.column)))
            else:
                part = read(*table.levels(slot.column))
            out[:, slot.position, : part.shape[1]] = part
        return out

    @property
    def vector_width(self) -> int:
        """V: width of the widest vector slot."""
        words = N_BUCKETS if self.text is None else self.text.width
        widths = [len(CALENDAR) if s.transform == "calendar" else words for s in self.slots if s.kind == "vector"]
        return max(widths, default=0)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of codes of each code slot."""
        return tuple(GAP + 2 if s.transform == "gap" else self.levels[s.column].cardinality for s in self.slots if s.kind == "code")

    def code_text(self, slot: Slot, code: int) -> str:
        """Return the level behind a code of a code slot."""
        return ("(missing)", "(unseen)", "known", "filled")[code] if slot.transform == "gap" else self.levels[slot.column].text(code)

    def _filled(self, table: Table) -> dict[str, FloatArray]:
        """Return the columns that rules fill, as numbers, seconds or places among levels; computed once per table."""
        if self.fill is None:
            return {}
        rules = self.fill

        def make() -> tuple[TableFill, dict[str, FloatArray]]:
            values, _ = rules.complete(table)
            at = {c: j for j, c in enumerate(rules.columns.names)}
            return rules, {c: values[:, at[c]] for c in rules.filled if c in self.columns}

        # the rules are kept beside what they gave: their number is free for others once they are gone
        whose, found = table._cached("filled", str(id(rules)), make)
        return found if whose is rules else make()[1]

    def transform(self, table: Table) -> EncodedTable:
        """Encode a table of the same columns. Cells that cannot be read raise :class:`CellError`; nothing else does."""
        raw = self.raw_numbers(table)
        scaled, missing = self.numeric.transform(raw)
        codes = self.codes(table)
        absent = np.column_stack([table.missing(c) for c in self.columns])
        unseen = self._per_column(codes == UNSEEN, "code")
        outside = self._per_column(self.numeric.out_of_range(raw), "number")
        return EncodedTable(scaled, missing, codes, self.vectors(table), self.slots, absent, unseen, outside)

    def _per_column(self, flags: npt.NDArray[np.bool_], kind: Any) -> npt.NDArray[np.bool_]:
        out = np.zeros((len(flags), len(self.columns)), bool)
        for column, flag in zip(self.slots.source(kind), flags.T):
            out[:, column] |= flag
        return out

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs, as plain JSON types and arrays."""
        return {
            "format": FORMAT,
            "columns": [{"name": c, "type": str(self.types[c]), "unit": self.units[c]} for c in self.columns],
            "text": self.text.state() if self.text is not None and self.text.width else None,
            "levels": [e.state() for e in self.levels.values()],
            "numeric": self.numeric.state(),
            "fill": None if self.fill is None else self.fill.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], text: Callable[..., Any] | None = None) -> TableEncoder:
        """Return the encoder that :meth:`state` described; a sentence encoder of the user's own is handed over again."""
        own = TextVectors.from_state(state["text"], text) if state.get("text") else None
        try:
            self = cls()
            self.text = own
            self.columns = tuple(c["name"] for c in state["columns"])
            self.types = {c["name"]: ColumnType(c["type"]) for c in state["columns"]}
            self.units = {c["name"]: c.get("unit", "") for c in state["columns"]}
            encoders = [LevelEncoder.from_state(s) for s in state["levels"]]
            self.levels = {e.column: e for e in encoders}
            self.fill = TableFill.from_state(state["fill"]) if state.get("fill") else None
            self.slots = self._map()
            self.numeric = NumberEncoder.from_state(state["numeric"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                "the encoder of this model cannot be read", got=f"{type(error).__name__}: {error}", do="save the model again"
            ) from error
        return self


def _unused(table: Table) -> str:
    """Return every column of a table without features, with what keeps it from being one."""
    why = [f"{c.name!r} ({c.type.value if c.role is Role.FEATURE else c.role.value})" for c in table.schema]
    return ", ".join(why[:8]) + (f" and {len(why) - 8} more" if len(why) > 8 else "") or "no column"
