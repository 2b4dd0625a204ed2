"""Codes that may mean "missing": proposed with their evidence, never assumed."""

from __future__ import annotations

import numpy as np

from pellucid.table import hints
from pellucid.table.cells import level_text
from pellucid.table.parse import is_null_word
from pellucid.table.table import Table
from pellucid.table.types import ColumnType

__all__ = ["propose_missing"]

AMOUNTS = ("none", "nil")
"""Words that are an amount among others ("none", "some", "marked") unless another column of the table writes its gaps so."""
FEWEST = 20
"""Among fewer cells no number stands off the others."""
LONE = 0.01
"""Most zeros, as a share of the cells, that may stand for missing where no other size is near 0."""


def propose_missing(table: Table) -> dict[str, list[tuple[str, str]]]:
    """Return per column the codes that may mean "missing", with the evidence; they are proposed, never assumed.

    A number is proposed where it is the column's lowest or highest value, is one that people use for the purpose (-1, 0, 9, 99, -999,
    ...), fills more than 0.2 % of the cells, and lies further than three interquartile ranges from the rest; and a rare 0 among sizes that
    are all far from it. Words such as "unknown" or
    "not known" are proposed for levels, and "None" where another column writes its missing cells so.

    Examples
    --------
    >>> from pellucid.table.infer import infer_schema
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [31, 45, 27, 58, 39, 44, 62, 51, 33, 29] * 5 + [-999] * 3})
    >>> propose_missing(Table(frame, infer_schema(frame)))["age"][0][0]
    '-999'
    """
    out: dict[str, list[tuple[str, str]]] = {}
    read = {code for column in table.schema for code in column.missing}
    for column in table.schema:
        if column.type is ColumnType.NUMBER:
            proposals = _sentinels(table.numbers(column.name))
        elif column.type.is_level:
            codes, levels = table.levels(column.name)
            proposals = _null_levels(np.bincount(codes[codes >= 0], minlength=len(levels)), levels, read)
        else:
            continue
        if proposals:
            out[column.name] = proposals
    return out


def _sentinels(values: np.ndarray) -> list[tuple[str, str]]:
    values = values[np.isfinite(values)]
    distinct, counts = np.unique(values, return_counts=True)
    out: list[tuple[str, str]] = []
    if len(values) < FEWEST:
        return out
    for _ in range(3):  # one code may hide another: -999 and -998
        if len(distinct) < 4:
            break
        at = [i for i in (0, len(distinct) - 1) if hints.is_sentinel(float(distinct[i]))]
        found = next((i for i in at if counts[i] >= max(2, 0.002 * len(values)) and _stands_off(distinct, counts, i)), None)
        found = 0 if found is None and _lone_zero(distinct, counts) else found
        if found is None:
            break
        code = float(distinct[found])
        rest = np.delete(distinct, found)
        why = f"it stands in {counts[found]:,} of {len(values):,} cells, the others lie between {rest[0]:,g} and {rest[-1]:,g}"
        out.append((level_text(code), why))
        distinct, counts = rest, np.delete(counts, found)
    return out


def _lone_zero(distinct: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether 0 is rare among sizes: all others are positive, none is below a fifth of the usual one, and they are no counts."""
    if distinct[0] != 0 or not 2 <= counts[0] <= LONE * counts.sum() or np.all(distinct == np.round(distinct)):
        return False
    usual = distinct[1:][np.searchsorted(np.cumsum(counts[1:]), 0.5 * counts[1:].sum())]
    return bool(distinct[1] > usual / 5)


def _stands_off(distinct: np.ndarray, counts: np.ndarray, i: int) -> bool:
    rest, weight = np.delete(distinct, i), np.delete(counts, i)
    low, high = np.repeat(rest, weight)[[int(q * (weight.sum() - 1)) for q in (0.25, 0.75)]]
    spread = max(high - low, 1e-12)
    edge = rest[0] if i == 0 else rest[-1]
    gap, width = abs(distinct[i] - edge), rest[-1] - rest[0]
    # far from the middle half, and apart from its own neighbour: a long tail reaches its end in small steps
    step = float(np.median(np.diff(rest)))
    return bool(min(abs(distinct[i] - low), abs(distinct[i] - high)) > 3 * spread and gap > max(0.5 * spread, 0.1 * width, 3 * step))


def _null_levels(counts: np.ndarray, levels: tuple[str, ...], read: set[str]) -> list[tuple[str, str]]:
    words = {
        "unknown",
        "unk",
        "undefined",
        "not available",
        "not known",
        "no data",
        "not specified",
        "unspecified",
        "not reported",
        "not stated",
        "tbd",
        "xxx",
    }
    return [
        (t, f"{t!r} stands in {k} of {int(counts.sum())} cells and reads like a missing value")
        for t, k in zip(levels, counts)
        if k and (is_null_word(t) or t.casefold() in words) and (t.casefold() not in AMOUNTS or t in read)
    ]
