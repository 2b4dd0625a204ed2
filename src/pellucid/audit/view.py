"""The table as the audits see it: cells that cannot be read do not stop them, and what several of them need is computed once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import CellError
from pellucid.random import stream
from pellucid.results import Finding, RunRecord
from pellucid.results.text import spelt
from pellucid.table import ColumnType, Role, Table
from pellucid.table.hints import is_key_name

__all__ = ["ALPHA", "SAMPLE", "Target", "View", "amount", "listed", "more", "share"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SAMPLE = 50_000
"""Fits and comparisons of pairs use at most so many rows, drawn once."""
OFTEN = 0.8
"""Share of different cells below which an identifier repeats: rows are then several of one thing."""
ALPHA = 0.01
"""Chance that one audit that tests hypotheses speaks up on a table without a fault; divided by the number of its tests."""


def amount(value: float, unit: str = "") -> str:
    """Return a number as people read it: ``20,640``, ``3.14``, ``0.0021``, with its unit.

    Examples
    --------
    >>> [amount(v) for v in (20640.0, 3.14159265, 0.00213, -999.0, 5.00001, 115790.43)]
    ['20,640', '3.142', '0.00213', '-999', '5.00001', '115,790']
    """
    whole = float(value).is_integer() or len(f"{abs(value):.0f}") > 4
    text = f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.4g}"
    if not float(value).is_integer() and text != f"{value:.10g}" and len(f"{value:.10g}") <= 8:
        text = f"{value:,.10g}"  # a value that is short in full is shown in full
    return f"{text} {unit}".strip()


def share(k: int, n: int) -> str:
    """Return ``207 of 20,640 rows (1.0 %)``.

    Examples
    --------
    >>> share(207, 20640)
    '207 of 20,640 rows (1.0 %)'
    """
    percent = 100 * k / max(n, 1)
    text = f"{percent:.1f}" if percent >= 0.1 or k == 0 else f"{percent:.2g}"
    return f"{k:,} of {n:,} rows ({'over 99.9' if text == '100.0' and k < n else text} %)"


def more(names: Sequence[object], shown: int) -> str:
    """Return `` and 3 more`` where only ``shown`` of ``names`` were written out, else an empty text."""
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def listed(names: Sequence[object], most: int = 5) -> str:
    """Return ``'a', 'b' and 3 more``."""
    shown = [spelt(n) for n in names]
    texts = [f"'{n}'" if len(n) <= 60 else f"'{n[:57]}...'" for n in shown]
    if len(texts) > most:
        return ", ".join(texts[:most]) + f" and {len(texts) - most} more"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


@dataclass(frozen=True, eq=False)
class Target:
    """The target as numbers.

    Attributes
    ----------
    name, unit : as the user knows it.
    present : (N,) rows that have one.
    labels : class labels; empty for numbers.
    codes : (N,) class numbers, -1 where missing (classes).
    values : (N,) numbers, NaN where missing (numbers).
    """

    name: str
    unit: str
    present: BoolArray
    labels: tuple[str, ...]
    codes: IntArray
    values: FloatArray

    @property
    def is_classes(self) -> bool:
        """True for classes, False for numbers."""
        return bool(self.labels)

    @property
    def n_distinct(self) -> int:
        """How many different classes or numbers there are."""
        return len(np.unique(self.codes[self.present] if self.is_classes else self.values[self.present]))

    def matrix(self, rows: IntArray) -> FloatArray:
        """Return the target of some rows as (n, O): class indicators, or the numbers."""
        if not self.is_classes:
            return np.asarray(self.values[rows, None])
        return np.asarray(self.codes[rows, None] == np.arange(len(self.labels)), np.float64)


@dataclass(eq=False)
class View:
    """One table under audit.

    Attributes
    ----------
    table : the rows, with the target's role set.
    plan : the split plan, or None. predictor : the fitted model, or None. seed : of the call.
    refit : trains the model's kind again, or None.
    """

    table: Table
    plan: Any = None
    predictor: Any = None
    seed: int = 0
    refit: Any = None
    _started: float = field(default_factory=time.perf_counter)
    kept: dict[str, Any] = field(default_factory=dict)
    _kept: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the table."""
        return self.table.fingerprint()

    @cached_property
    def sample(self) -> IntArray:
        """Positions of the rows that fits and comparisons use: all, or ``SAMPLE`` drawn ones, ascending."""
        n = len(self)
        return np.arange(n) if n <= SAMPLE else np.sort(stream(self.seed, "audit", "sample").choice(n, SAMPLE, replace=False))

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Columns a model would read."""
        return self.table.features

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """All columns but the target and those to be ignored."""
        return tuple(c.name for c in self.table.schema if c.role not in (Role.TARGET, Role.IGNORE))

    def kind(self, name: str) -> ColumnType:
        """Type of a column."""
        return self.table.schema[name].type

    def is_number(self, name: str) -> bool:
        """True for numbers and dates."""
        return self.kind(name) in (ColumnType.NUMBER, ColumnType.DATE)

    def _read(self, name: str) -> tuple[FloatArray, BoolArray]:
        """Return (numbers with NaN, cells that cannot be read) of a number or date column."""
        if ("read", name) not in self._kept:
            self._kept["read", name] = self._read_once(name)
        numbers, bad = self._kept["read", name]
        return numbers, bad

    def _read_once(self, name: str) -> tuple[FloatArray, BoolArray]:
        from pellucid.table.cells import level_text
        from pellucid.table.parse import to_numbers, to_seconds

        column, series = self.table.schema[name], self.table.frame[name]
        try:
            values = self.table.seconds(name) if column.type is ColumnType.DATE else self.table.numbers(name)
            return values, np.zeros(len(self), bool)
        except CellError:
            series = series.mask(self.table.levels(name)[0] < 0) if column.missing else series
            if column.type is ColumnType.DATE:
                values, bad = to_seconds(series, column.date_format)
            elif series.dtype.kind in "iufb":
                values, bad = series.to_numpy(np.float64), np.zeros(len(self), bool)
            else:
                values, bad = to_numbers(series.map(level_text, na_action="ignore"), column.decimal, column.suffix)
            bad = np.asarray(bad) | np.isinf(values)
            return np.where(bad, np.nan, values), bad

    def numbers(self, name: str) -> FloatArray:
        """Return a number or date column as float64 (dates in seconds), NaN where missing or unreadable."""
        return self._read(name)[0]

    def unreadable(self, name: str) -> BoolArray:
        """Return the cells of a number or date column that are neither missing nor readable; infinities are among them."""
        return self._read(name)[1]

    def levels(self, name: str) -> tuple[IntArray, tuple[str, ...]]:
        """Return (codes, texts) of any column, -1 where missing."""
        return self.table.levels(name)

    def missing(self, name: str) -> BoolArray:
        """Return which cells are missing; an unreadable cell is not missing."""
        if self.is_number(name):
            numbers, bad = self._read(name)
            return np.isnan(numbers) & ~bad
        return self.levels(name)[0] < 0

    def codes(self, name: str) -> IntArray:
        """Return equal numbers for equal cells, -1 where missing; in ascending order of the cells for numbers."""
        if ("codes", name) not in self._kept:
            if self.is_number(name):
                values = self.numbers(name)
                _, codes = np.unique(values, return_inverse=True)
                out = np.where(np.isnan(values), -1, codes.reshape(-1))
            else:
                out = self.levels(name)[0]
            self._kept["codes", name] = out.astype(np.int64)
        return np.asarray(self._kept["codes", name])

    @cached_property
    def target(self) -> Target | None:
        """The target, or None where none is declared or it is not usable."""
        name = self.table.target
        if name is None:
            return None
        n, unit = len(self), self.table.schema[name].unit
        asked = getattr(self.predictor, "task", None) if self.predictor is not None else None
        if self.kind(name) is ColumnType.NUMBER and asked != "classification":
            values = self.numbers(name)
            present = ~np.isnan(values)
            if len(np.unique(values[present])) > 2 or asked == "regression":
                return Target(name, unit, present, (), np.full(n, -1), values)
        codes, labels = self.levels(name)
        return Target(name, unit, codes >= 0, labels, codes, np.full(n, np.nan))

    def _codes_as_written(self, name: str) -> IntArray:
        codes = self.codes(name)
        bad = self.unreadable(name) if self.is_number(name) else np.zeros(0, bool)
        if not bad.any():
            return codes
        out = codes.copy()
        out[bad] = codes.max(initial=-1) + 1 + pd.factorize(self.table.frame[name][bad].astype(str))[0]
        return out

    @cached_property
    def things(self) -> IntArray | None:
        """Which thing each row is about (N,), by the group column or an identifier that repeats; None where no column says so."""
        group = self.table.schema.role(Role.GROUP)
        names = [group] if group else [n for n in self.inputs if self.kind(n) is ColumnType.IDENTIFIER or is_key_name(n)]
        for codes in map(self.codes, names):
            alone = codes < 0
            known = codes[~alone]
            if len(known) and len(np.unique(known)) < OFTEN * len(known):
                return np.asarray(np.where(alone, codes.max() + 1 + np.arange(len(codes)), codes))
        return None

    def row_codes(self, names: Sequence[str]) -> IntArray:
        """Return equal numbers 0.. for rows with equal cells in all of ``names``; of cells that cannot be read the texts are compared."""
        mixed = np.zeros(len(self), np.uint64)
        for name in names:
            # 64-bit mixing: among a million rows two different ones meet with a chance of 1 in 40 million
            mixed = (mixed ^ (self._codes_as_written(name) + 2).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(32)
        return np.unique(mixed, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def finding(
        self,
        kind: str,
        severity: str,
        columns: Sequence[str],
        evidence: str,
        remedy: str,
        *,
        rows: npt.NDArray[Any] | None = None,
        figures: Mapping[str, Any] | None = None,
        sampled: bool = False,
    ) -> Finding:
        """Return a finding with its record; ``sampled``: the figures come from ``sample``."""
        caveats = (f"computed on {len(self.sample):,} rows drawn from {len(self):,}",) if sampled and len(self.sample) < len(self) else ()
        evidence += f" ({caveats[0]})" if caveats else ""
        settings = {"rows": len(self), "sample": len(self.sample), "alpha": ALPHA, "target": self.table.target}
        record = RunRecord(f"audit: {kind}", settings, self.seed, self.fingerprint, time.perf_counter() - self._started, caveats=caveats)
        positions = np.zeros(0, np.int64) if rows is None else np.asarray(rows, np.int64)
        return Finding(kind, severity, tuple(columns), evidence, remedy, record, positions, None, dict(figures or {}))
