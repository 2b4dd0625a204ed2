"""What one column is, decided from its distinct values and its name; the order of the rows plays no part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import quote
from pellucid.table import hints
from pellucid.table.cells import level_text
from pellucid.table.parse import decide_decimal, distinct_texts, guess_date_format, is_null_word, to_numbers, to_seconds
from pellucid.table.scales import order_of
from pellucid.table.types import Column, ColumnType
from pellucid.table.units import common_unit, without_unit

__all__ = ["MAX_LEVELS", "TextCells", "decide", "sorted_levels", "text_cells"]

MAX_LEVELS = 10_000
"""Columns of more levels keep none in the schema."""
MARKED, UNMARKED = 0.01, 0.05
"""Least shares of rows with and without its one value for a column to be a mark, and no constant that lacks a few cells."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextCells:
    """The U distinct canonical texts of a column that are not missing.

    ``counts`` (U,) how often each occurs; ``nulls`` further texts that are read as missing.
    """

    name: str
    texts: list[str]
    counts: npt.NDArray[np.int64]
    nulls: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of cells that are not missing."""
        return int(self.counts.sum())

    @property
    def u(self) -> int:
        """Number of distinct texts."""
        return len(self.texts)

    @property
    def ratio(self) -> float:
        """Distinct texts per cell."""
        return self.u / self.n if self.n else 0.0


def decide(series: pd.Series, name: str, codes: tuple[str, ...] = (), *, is_target: bool = False, array: bool = False) -> Column:
    """Return the description of one column; one value that stands in some rows and is missing in others is a level, such as a tick.

    Parameters
    ----------
    codes : texts declared to mean "missing".
    is_target : never an identifier; numbers stay numbers.
    array : the column of an array of numbers, which has no name and holds no codes.

    Examples
    --------
    >>> str(decide(pd.Series(["01067", "10115", "20095"]), "plz").type)
    'category'
    """
    found = _decided(series, name, codes, is_target, array)
    if found.type is not ColumnType.CONSTANT or not found.levels or is_target or not _is_mark(series, found.levels[0]):
        return found
    return replace(found, type=ColumnType.CATEGORY, evidence=f"{quote(found.levels)} or nothing")


def _is_mark(series: pd.Series, level: str) -> bool:
    """Return whether the one level of a column is missing often enough for where it stands to say something."""
    if series.dtype.kind == "M":
        return False
    at, values = distinct_texts(series)
    share = float(np.isin(at, [i for i, v in enumerate(values) if level_text(v).strip() == level]).mean())
    return MARKED <= share <= 1 - UNMARKED


def _decided(series: pd.Series, name: str, codes: tuple[str, ...], is_target: bool, array: bool) -> Column:
    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype) or kind.kind not in "iufbM":
        cells = text_cells(series, name, codes)
        found = _constant(name, cells.texts) or (
            _of_categorical(cells, kind) if isinstance(kind, pd.CategoricalDtype) else _of_text(cells, is_target)
        )
        if cells.nulls and found.type is not ColumnType.CONSTANT:
            found = replace(found, evidence=f"{found.evidence}; {quote(cells.nulls)} read as missing")
        return replace(found, missing=tuple(dict.fromkeys((*codes, *cells.nulls, *found.missing))))
    present = series.dropna()
    if kind.kind == "M":
        found = _constant(name, present.unique()[:2]) or Column(name, ColumnType.DATE, evidence="its cells are dates")
    elif kind.kind == "b":
        found = _constant(name, present.unique()[:2]) or Column(
            name, ColumnType.BOOLEAN, levels=("False", "True"), evidence="its cells are true or false"
        )
    else:
        found = _of_typed(series, name, codes, is_target, array)
    return replace(found, missing=tuple(dict.fromkeys((*codes, *found.missing))))


def _constant(name: str, distinct: Iterable[Any]) -> Column | None:
    texts = [level_text(v) for v in distinct]
    if len(texts) > 1:
        return None
    return Column(
        name, ColumnType.CONSTANT, levels=tuple(texts), evidence=f"one distinct value: {quote(texts)}" if texts else "all cells are empty"
    )


def text_cells(series: pd.Series, name: str, codes: tuple[str, ...] = ()) -> TextCells:
    """Return the distinct texts of a column, without declared codes and without null words that are no plausible level."""
    at, values = distinct_texts(series)
    counts = np.bincount(at[at >= 0], minlength=len(values))
    merged: dict[str, int] = {}
    for value, count in zip(values, counts.tolist()):
        text = value.strip() if type(value) is str else level_text(value)
        merged[text] = merged.get(text, 0) + count
    for code in ("", *codes):
        merged.pop(code, None)
    nulls = _null_words(list(merged), name)
    for word in nulls:
        merged.pop(word)
    return TextCells(name, list(merged), np.array(list(merged.values()), np.int64), nulls)


def _null_words(texts: list[str], name: str) -> tuple[str, ...]:
    """Return the texts that mean "missing", leaving those that are plausible levels among the others."""
    found = sorted(t for t in texts if is_null_word(t))
    if not found:
        return ()
    rest = sorted(set(texts) - set(found))
    some = pd.Series(rest[:: max(1, len(rest) // 500)], dtype=object)
    if rest and to_numbers(some)[1].mean() <= 0.2:
        return tuple(found)
    return tuple(t for t in found if not _may_be_level(t, rest, name))


def _may_be_level(word: str, rest: list[str], name: str) -> bool:
    """Return whether a null word could be a real level: NA among two-letter codes, "None" among words, "-" beside "+"."""
    lower = word.casefold()
    if lower == "na":
        some = len(rest) >= (1 if hints.is_country_name(name) else 3)
        return word == "NA" and some and sum(len(t) == 2 and t.isalpha() and t.isupper() for t in rest) >= 0.9 * len(rest)
    if lower == "-":
        return "+" in rest
    return lower in ("none", "nil")


def _category(name: str, texts: Iterable[str], why: str) -> Column:
    return Column(name, ColumnType.CATEGORY, levels=sorted_levels(texts), evidence=why)


def sorted_levels(texts: Iterable[str]) -> tuple[str, ...]:
    """Return distinct levels in alphabetical order; none where there are too many to keep."""
    distinct = sorted(set(texts))
    return tuple(distinct) if len(distinct) <= MAX_LEVELS else ()


def _of_categorical(cells: TextCells, kind: pd.CategoricalDtype) -> Column:
    if kind.ordered:
        present = set(cells.texts)
        levels = tuple(dict.fromkeys(t for t in map(level_text, kind.categories) if t in present))
        return Column(cells.name, ColumnType.ORDERED, levels=levels, evidence="an ordered categorical")
    return _of_levels(cells) or _category(cells.name, cells.texts, "a categorical")


def _of_levels(cells: TextCells) -> Column | None:
    """Return the column where its levels are opposites or a known scale."""
    boolean = hints.boolean_levels(cells.texts)
    if boolean:
        return Column(cells.name, ColumnType.BOOLEAN, levels=boolean, evidence=f"its two levels are {quote(boolean)}")
    known = order_of(cells.texts, cells.name)
    return Column(cells.name, ColumnType.ORDERED, levels=tuple(known[0]), evidence=known[1]) if known else None


# --- numbers -------------------------------------------------------------------------------------------------------------------------


def _of_typed(series: pd.Series, name: str, codes: tuple[str, ...], is_target: bool, array: bool) -> Column:
    """Decide a column whose cells are numbers."""
    values = to_numbers(series)[0]
    values = values[~np.isnan(values)]
    if codes:
        declared = to_numbers(pd.Series(codes, dtype=object))[0]
        values = values[~np.isin(values, declared)]
    if len(values) == 0 or bool((values == values[0]).all()):
        return _constant(name, values[:1].tolist()) or _category(name, (), "")
    if array:
        if series.dtype.kind in "iu" and set(pd.unique(values)) == {0, 1}:
            return Column(name, ColumnType.BOOLEAN, levels=("0", "1"), evidence="its values are 0 and 1")
        return Column(name, ColumnType.NUMBER, evidence="numbers of an array")
    return _of_numbers(name, values, len(values), is_target)


def _of_numbers(name: str, values: Floats, n: int, is_target: bool) -> Column:
    """Decide a column of ``n`` cells from its numbers: ``values`` may hold each once or as often as it occurs."""
    finite = values[np.isfinite(values)]
    if len(finite) < len(values):
        return Column(name, ColumnType.NUMBER, evidence="its cells are numbers, some of them infinite")
    if not np.all(finite == np.floor(finite)):
        return Column(name, ColumnType.NUMBER, evidence="its cells are numbers with fractions")
    distinct = pd.unique(finite)
    if len(distinct) == 2 and set(distinct.tolist()) in ({0.0, 1.0}, {-1.0, 1.0}):
        levels = ("0", "1") if 0.0 in distinct else ("-1", "1")
        return Column(name, ColumnType.BOOLEAN, levels=levels, evidence=f"its two values are {levels[0]} and {levels[1]}")
    if is_target:
        return Column(name, ColumnType.NUMBER, evidence="a target of whole numbers")
    epoch = hints.epoch(distinct, name)
    if epoch:
        return Column(name, ColumnType.DATE, date_format=epoch[0], evidence=epoch[1])
    why = hints.integer_identifier(name, distinct, n)
    if why:
        return Column(name, ColumnType.IDENTIFIER, evidence=why)
    why = hints.integer_code(name, distinct, n)
    if why:
        return _code(name, [level_text(v) for v in distinct.tolist()], n, why)
    return Column(name, ColumnType.NUMBER, evidence="its cells are whole numbers")


def _code(name: str, texts: list[str], n: int, why: str) -> Column:
    """Return digits that are no quantity as a category, or as an identifier where hardly one occurs twice; a place stays a category."""
    if n > 50 and len(texts) > 0.95 * n and not hints.is_place_name(name):
        return Column(name, ColumnType.IDENTIFIER, evidence=f"{why}, almost all distinct")
    return _category(name, texts, why)


# --- text ----------------------------------------------------------------------------------------------------------------------------


def _of_text(cells: TextCells, is_target: bool) -> Column:
    form = guess_date_format(pd.Series(cells.texts, dtype=object))
    if form:
        note = hints.day_month_note(form, cells.texts)
        return _tolerant(Column(cells.name, ColumnType.DATE, date_format=form, evidence=f"dates of the form {form}{note}"), cells)
    if boolean := hints.boolean_levels(cells.texts):
        return Column(cells.name, ColumnType.BOOLEAN, levels=boolean, evidence=f"its two levels are {quote(boolean)}")
    return _text_number(cells, is_target) or _of_levels(cells) or _words(cells, is_target)


def _text_number(cells: TextCells, is_target: bool) -> Column | None:
    """Return the column where at least 95 % of its cells are numbers written as text."""
    suffix = common_unit(cells.texts, cells.counts)
    if suffix:
        cells = replace(cells, texts=[without_unit(t, suffix) for t in cells.texts])
    if cells.u > 2000:  # a look at some spares columns of words the whole parse; sorted, so that the order of the rows plays no part
        some = pd.Series(sorted(cells.texts)[:: cells.u // 1000], dtype=object)
        if min(to_numbers(some, mark)[1].mean() for mark in (".", ",")) > 0.5:
            return None
    texts = pd.Series(cells.texts, dtype=object)
    mark = decide_decimal(texts)
    values, bad = to_numbers(texts, mark or ".")
    if cells.counts[~bad].sum() < 0.95 * cells.n:
        return None
    why = "" if suffix else hints.text_code(cells.name, cells.texts)
    if why:
        return _category(cells.name, cells.texts, why) if is_target else _code(cells.name, cells.texts, cells.n, why)
    found = _of_numbers(cells.name, values[~bad], int(cells.counts[~bad].sum()), is_target)
    if suffix and found.type is not ColumnType.NUMBER:  # what is measured is no level, name or moment
        found = Column(cells.name, ColumnType.NUMBER, evidence="its cells are whole numbers")
    found = replace(found, decimal=mark or ".", evidence=found.evidence + ("" if mark != "," else ", with a decimal comma"))
    if suffix:
        found = replace(found, suffix=suffix, unit=suffix.strip(), evidence=f"{found.evidence}, with the unit {quote([suffix.strip()])}")
    if found.type is ColumnType.NUMBER and mark is None and any("," in t for t in cells.texts):
        found = replace(found, evidence=found.evidence + "; ',' taken for a thousands separator")
    return _tolerant(found, cells, bad)


def _tolerant(column: Column, cells: TextCells, bad: npt.NDArray[np.bool_] | None = None) -> Column:
    """Declare the few words (no digits) among numbers or dates as missing codes; cells with digits stay faults to be corrected."""
    if bad is None:
        bad = to_seconds(pd.Series(cells.texts, dtype=object), column.date_format)[1]
    words = [t for t, b in zip(cells.texts, bad) if b and not any(ch.isdigit() for ch in t)]
    faults = [t for t, b in zip(cells.texts, bad) if b and any(ch.isdigit() for ch in t)]
    notes = f"; the words {quote(sorted(words))} read as missing" if words and len(words) <= 20 else ""
    notes += f"; {quote(sorted(faults))} cannot be read" if faults else ""
    return replace(column, missing=tuple(sorted(words)) if len(words) <= 20 else (), evidence=column.evidence + notes)


def _words(cells: TextCells, is_target: bool) -> Column:
    """Decide between identifier, category and text."""
    texts, ratio, n, u = cells.texts, cells.ratio, cells.n, cells.u
    if is_target:
        return _category(cells.name, texts, f"{u} levels")
    tokens = float(np.average([t.count(" ") + 1 for t in texts], weights=cells.counts))
    spaced = float(np.mean([" " in t for t in texts]))
    if n > 50 and ratio > 0.95 and spaced < 0.05:
        return Column(cells.name, ColumnType.IDENTIFIER, evidence=f"{u} distinct texts without blanks in {n} cells")
    if hints.is_identifier_name(cells.name) and ratio > 0.9 and n >= 10 and spaced < 0.5:
        return Column(cells.name, ColumnType.IDENTIFIER, evidence=f"its name says identifier, and {u} of {n} cells are distinct")
    if hints.is_key_name(cells.name) and u > 50 and n / u < 20 and spaced < 0.05:
        return Column(
            cells.name,
            ColumnType.IDENTIFIER,
            evidence=f"its name says identifier, and each value stands in few rows ({n / u:.1f} on average)",
        )
    several = hints.several_in_a_cell(texts, cells.counts)
    if several and u > 20:
        return Column(cells.name, ColumnType.TEXT, evidence=several)
    if u > 10 and ratio > 0.3 and tokens >= 4:
        return Column(cells.name, ColumnType.TEXT, evidence=f"{tokens:.0f} words a cell, {u} distinct in {n}")
    if u <= 50 or ratio < 0.05:
        return _category(cells.name, texts, f"{u} levels")
    if tokens >= 4 or ratio > 0.5:
        return Column(cells.name, ColumnType.TEXT, evidence=f"{u} distinct texts in {n} cells")
    return _category(cells.name, texts, f"{u} levels, many of them rare")
