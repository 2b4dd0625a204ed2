"""Leave out what says nothing, or the same twice: columns and rows, each with its reason, and all of it can be put back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.audit.constants import nearly_same, same_twice
from pellucid.audit.view import IntArray, View, amount
from pellucid.results import Reduction, RunRecord
from pellucid.table import ColumnType, Role, Table, read_table

__all__ = ["reduce"]

NEAR_ROWS = 5_000
"""Near copies are looked for among so many rows; pairs grow with the square."""


def reduce(table: Any, *, near: float | None = None, rows: bool = True, target: str | None = None) -> Reduction:
    """Drop constant, doubled and nearly doubled columns, and copies of rows.

    Of two columns that say the same the first stays; of copies the first row. The target and columns with another role are never dropped.

    Parameters
    ----------
    table : Table, frame or path.
    near : numbers of two rows count as equal within this share of their columns' standard deviations (all other cells must be equal);
        None: only exact copies. Looked for in tables of up to 5,000 rows.
    rows : False leaves the rows alone.
    target : name of the target column; overrides the table's own. Rows that differ in it are no copies.

    Examples
    --------
    >>> import pandas as pd
    >>> made = reduce(pd.DataFrame({"cm": [170.0, 182.0, 165.0], "m": [1.70, 1.82, 1.65], "planet": "earth"}))
    >>> made.table.columns, [c["reason"] for c in made.columns]
    (('cm',), ["it is 'earth' in every row", "each of its values goes with exactly one value of 'cm'"])
    >>> made.restore().columns
    ('cm', 'm', 'planet')
    """
    began = time.perf_counter()
    table = table if isinstance(table, Table) else read_table(table)
    table = table if target is None else table.with_roles(target=target)
    view = View(table)
    columns = [*_constant(view), *_doubled(view)]
    gone = {c["column"] for c in columns}
    dropped, like, reasons = _copies(view, near) if rows else (np.zeros(0, np.int64),) * 2 + (np.zeros(0, object),)
    keep = np.setdiff1d(np.arange(len(table)), dropped)
    record = RunRecord("reduce", {"near": near, "rows": rows}, None, table.fingerprint(), time.perf_counter() - began)
    return Reduction(table.drop(gone).take(keep), table, tuple(columns), dropped, like, reasons, record)


def _constant(view: View) -> list[Mapping[str, str]]:
    out: list[Mapping[str, str]] = []
    for name in view.inputs:
        codes = view.codes(name)
        known = codes[codes >= 0]
        if view.table.schema[name].role is not Role.FEATURE or (len(known) and (known.min() != known.max() or len(known) < len(codes))):
            continue
        value = "" if not len(known) else f"{view.table.frame[name].iloc[int(np.flatnonzero(codes >= 0)[0])]}"
        reason = "every cell is missing" if not len(known) else f"it is {value!r} in every row"
        out.append({"column": name, "reason": reason, "kept": ""})
    return out


def _doubled(view: View) -> list[Mapping[str, str]]:
    out: dict[str, Mapping[str, str]] = {}
    for names in same_twice(view):
        for name in names[1:]:
            out[name] = {"column": name, "reason": f"each of its values goes with exactly one value of {names[0]!r}", "kept": names[0]}
    for a, b, r in nearly_same(view):
        if a not in out and b not in out:
            out[b] = {"column": b, "reason": f"nearly a straight line of {a!r} (correlation {r:.4f})", "kept": a}
    return list(out.values())


def _copies(view: View, near: float | None) -> tuple[IntArray, IntArray, Any]:
    """Return (dropped rows, the row each is like, reasons)."""
    names = tuple(c.name for c in view.table.schema if c.role is not Role.IGNORE and c.type is not ColumnType.IDENTIFIER)
    codes = view.row_codes(names)
    first = np.full(int(codes.max(initial=-1)) + 1, len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    like = first[codes]
    reason = np.full(len(codes), "an exact copy", object)
    if near is not None and len(codes) <= NEAR_ROWS:
        like, reason = _near(view, names, like, reason, near)
    rows = np.flatnonzero(like != np.arange(len(codes)))
    return rows, like[rows], reason[rows]


def _near(view: View, names: tuple[str, ...], like: IntArray, reason: Any, near: float) -> tuple[IntArray, Any]:
    """Add rows whose numbers all lie within ``near`` standard deviations of an earlier row's, all else being equal."""
    numbers = [n for n in names if view.is_number(n)]
    rest = tuple(n for n in names if n not in numbers)
    block = view.row_codes(rest) if rest else np.zeros(len(view), np.int64)
    x = np.column_stack([view.numbers(n) / max(float(np.nanstd(view.numbers(n))), 1e-300) for n in numbers] or [np.zeros(len(view))])
    gaps = np.isnan(x)
    x = np.nan_to_num(x)
    like, reason = like.copy(), reason.copy()
    for row in np.flatnonzero(like == np.arange(len(like))):
        if like[row] != row:  # left out since: what stands for others stays
            continue
        later = np.flatnonzero((block == block[row]) & (like == np.arange(len(like))) & (np.arange(len(like)) > row))
        close = later[(np.abs(x[later] - x[row]) <= near).all(1) & (gaps[later] == gaps[row]).all(1)]
        like[close], reason[close] = row, f"all numbers within {amount(near)} standard deviations of it"
    return like[like], reason
