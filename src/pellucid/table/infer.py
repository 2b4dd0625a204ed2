"""The schema of a table: each column's type with its evidence, and the user's corrections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import ColumnError, RequestError, TargetError, did_you_mean, quote
from pellucid.table import hints
from pellucid.table.cells import level_text
from pellucid.table.decide import decide, sorted_levels, text_cells
from pellucid.table.frames import FrameLike, from_any
from pellucid.table.parse import decide_decimal, to_numbers
from pellucid.table.scales import order_of
from pellucid.table.schema import Schema
from pellucid.table.types import Column, ColumnType
from pellucid.table.units import common_unit, without_unit

__all__ = ["infer_schema", "retype"]

Kinds = Mapping[str, Any]
SAME_ORDER = 0.9
"""Rank correlation from which on two columns number the rows alike."""


def infer_schema(
    frame: FrameLike,
    *,
    target: str | None = None,
    types: Kinds | None = None,
    missing: Mapping[str, Iterable[Any]] | Iterable[Any] | None = None,
    library: str | None = None,
) -> Schema:
    """Return the schema of a frame: each column's type, levels, missing codes and the evidence for them.

    Parameters
    ----------
    frame : any frame, see :func:`pellucid.table.read_table`.
    target : the column to be predicted; it is never an identifier, and its numbers stay numbers.
    types : types that the user sets, ``{"zip": "category"}``; a list of levels sets an ordered column, ``{"size": ["S", "M", "L"]}``.
    missing : codes that mean "missing", ``{"age": [-999]}``, or a list that holds for every column. Codes are never assumed: see
        :func:`propose_missing`.
    library : where the cells came from; the columns of a ``"numpy"`` array of numbers are quantities, as it has neither names nor codes.

    Errors
    ------
    ColumnError for a name that is absent, TargetError for an absent target, RequestError for an unknown type. Cost: one pass per column.

    Examples
    --------
    >>> frame = pd.DataFrame({"zip": ["01234", "94110", "60601"], "size": ["S", "L", "M"], "paid": ["$1,200", "?", "80"]})
    >>> [str(c.type) for c in infer_schema(frame)]
    ['category', 'ordered', 'number']
    """
    if library is None:
        frame, library = from_any(frame)
    names = [str(n) for n in frame.columns]
    _check_names(names, target, types or {}, missing)
    codes = {n: _declared(n, missing) for n in names}
    array = library == "numpy" and not any(pd.api.types.is_object_dtype(dtype) for dtype in frame.dtypes)
    columns = [decide(frame.iloc[:, i], n, codes[n], is_target=n == target, array=array) for i, n in enumerate(names)]
    schema = Schema(tuple(_ranks(_common_decimal(columns, frame), frame)))
    for name, kind in (types or {}).items():
        schema = retype(schema, frame[name], name, kind)
    return schema if target is None else schema.with_roles(target=target)


def _check_names(names: list[str], target: str | None, types: Kinds, missing: Any) -> None:
    if target is not None and target not in names:
        raise TargetError(
            f"the target column {target!r} is not in the table", expected=f"one of {quote(names, 12)}",
            do=did_you_mean(target, names) or "correct the name of the target",
        )  # fmt: skip
    asked = [*types, *(missing if isinstance(missing, Mapping) else ())]
    absent = [n for n in asked if n not in names]
    if absent:
        raise ColumnError(
            f"there is no column {absent[0]!r}",
            expected=f"one of {quote(names, 12)}",
            do=did_you_mean(absent[0], names) or "correct the name in types= or missing=",
        )


def _declared(name: str, missing: Any) -> tuple[str, ...]:
    codes = missing.get(name, ()) if isinstance(missing, Mapping) else (missing or ())
    return tuple(level_text(c) for c in ((codes,) if isinstance(codes, str | int | float) else codes))


def _common_decimal(columns: list[Column], frame: pd.DataFrame) -> list[Column]:
    """Let columns that cannot tell their decimal mark ("1,234") follow the others, where these all use a comma."""
    unsure = [i for i, c in enumerate(columns) if "thousands separator" in c.evidence]
    if not unsure or not any(c.decimal == "," for c in columns):
        return columns
    for i in unsure:
        if not to_numbers(frame.iloc[:, i], ",", columns[i].suffix)[1].any():
            why = columns[i].evidence.split(";")[0] + ", with a decimal comma as in other columns"
            columns[i] = replace(columns[i], decimal=",", type=ColumnType.NUMBER, levels=(), evidence=why)
    return columns


def _ranks(columns: list[Column], frame: pd.DataFrame) -> list[Column]:
    """Make numbers of columns that would name the rows a second time, in another order: ranks of the rows by something.

    The order that names the rows is that of a column whose name says so, else of the first one.
    """
    regular = [
        i for i, c in enumerate(columns) if hints.EQUAL_STEPS in c.evidence and c.type is ColumnType.IDENTIFIER and not c.date_format
    ]
    regular = [i for i in regular if not hints.is_identifier_name(columns[i].name)]
    named = [
        i
        for i, c in enumerate(columns)
        if c.type is ColumnType.IDENTIFIER and i not in regular and not to_numbers(frame.iloc[:, i], c.decimal)[1].any()
    ]
    if len(regular) + len(named) < 2 or not regular:
        return columns
    first = (named or regular)[0]
    order = pd.Series(to_numbers(frame.iloc[:, first], columns[first].decimal)[0])
    for i in regular:
        own = pd.Series(to_numbers(frame.iloc[:, i], columns[i].decimal)[0])
        if i != first and abs(order.corr(own, method="spearman")) < SAME_ORDER:
            why = f"distinct whole numbers {hints.EQUAL_STEPS}, in another order than those of {columns[first].name!r}: ranks"
            columns[i] = replace(columns[i], type=ColumnType.NUMBER, evidence=why)
    return columns


def retype(schema: Schema, series: pd.Series, name: str, kind: str | Sequence[str]) -> Schema:
    """Return the schema with one column's type set by the user; levels, decimal mark and date format are taken from the cells.

    Parameters
    ----------
    kind : a column type, or a list of levels from low to high for an ordered column.

    Errors
    ------
    RequestError for an unknown type, ColumnError where the cells do not allow it (more than two levels, an unknown order).

    Examples
    --------
    >>> cells = pd.Series([1, 2, 1])
    >>> schema = retype(infer_schema(cells.to_frame("zone")), cells, "zone", "category")
    >>> schema["zone"].levels
    ('1', '2')
    """
    old = schema[name]
    cells = text_cells(series, name, old.missing)
    texts = cells.texts
    change: dict[str, Any] = {"levels": (), "decimal": ".", "date_format": None, "suffix": "", "evidence": "set by the user"}
    if not isinstance(kind, str):
        return schema.edit(name, **change | {"type": ColumnType.ORDERED, "levels": _given_order(name, texts, kind)})
    try:
        wanted = ColumnType(_ALIASES.get(kind, kind))
    except ValueError:
        raise RequestError(
            f"unknown type {kind!r} for column {name!r}", expected=f"one of {quote([str(t) for t in ColumnType], 8)}"
        ) from None
    if wanted is ColumnType.NUMBER:
        change["suffix"] = suffix = common_unit(texts, cells.counts)
        bare = pd.Series([without_unit(t, suffix) for t in texts], dtype=object)
        change["decimal"] = old.decimal if old.type is wanted else decide_decimal(bare) or "."
        change["unit"] = old.unit or suffix.strip()
    elif wanted is ColumnType.DATE and series.dtype.kind != "M":
        change["date_format"] = old.date_format or hints.date_format(texts, series.dtype.kind in "iuf")
    elif wanted is ColumnType.BOOLEAN:
        change["levels"] = hints.boolean_levels(texts) or sorted_levels(texts)
        if len(change["levels"]) > 2:
            raise ColumnError(
                f"column {name!r} cannot be boolean",
                expected="two levels",
                got=quote(change["levels"]),
                do=f"set types={{{name!r}: 'category'}}",
            )
    elif wanted is ColumnType.ORDERED:
        change["levels"] = _natural_order(series, name, texts)
    elif wanted is ColumnType.CATEGORY:
        change["levels"] = sorted_levels(texts)
    return schema.edit(name, type=wanted, **change)


_ALIASES = {
    "numeric": "number",
    "numerical": "number",
    "categorical": "category",
    "ordinal": "ordered",
    "bool": "boolean",
    "datetime": "date",
    "id": "identifier",
}


def _given_order(name: str, present: list[str], order: Sequence[str]) -> tuple[str, ...]:
    levels = tuple(level_text(v) for v in order)
    rest = sorted(set(present) - set(levels))
    if rest or len(set(levels)) < len(levels):
        raise ColumnError(
            f"the order given for column {name!r} does not fit",
            expected="each level once",
            got=f"{quote(rest)} left out" if rest else quote(levels, 12),
        )
    return levels


def _natural_order(series: pd.Series, name: str, texts: list[str]) -> tuple[str, ...]:
    """Return the levels of a column that the user calls ordered: categorical order, a known scale, or numbers in their order."""
    if isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered:
        present = set(texts)
        return tuple(dict.fromkeys(t for t in map(level_text, series.dtype.categories) if t in present))
    known = order_of(texts, name) or order_of(texts, "grade")
    if known:
        return tuple(known[0])
    values, bad = to_numbers(pd.Series(texts, dtype=object))
    if not bad.any() and len(texts):
        return tuple(texts[i] for i in np.argsort(values, kind="stable"))
    raise ColumnError(
        f"the order of column {name!r} is not known",
        expected="levels of a known scale, or numbers",
        got=quote(sorted(texts)),
        do=f"give the levels from low to high: types={{{name!r}: [...]}}",
    )
