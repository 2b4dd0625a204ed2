"""Correct cells: another unit is converted back, a rare spelling read as the usual one, anything else read as missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.effect import Ground, Remedy
from pellucid.table import ColumnType, Table

__all__ = ["remedy"]


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: the finding's cells as they should be. What they cost is proven where the score rises."""
    finding = ground.finding
    columns = [n for n in finding.columns if n in ground.features]
    if finding.kind.startswith("missing") and finding.kind != "missing: code":
        raise NotTestable("these cells are missing already")
    if not columns or not len(finding.rows) or len(finding.rows) == len(ground.table):
        raise NotTestable("the finding names no cells that could be corrected")
    done, table = _corrected(ground.table, columns, finding.rows, dict(finding.figures), finding.kind)
    named = ", ".join(f"'{n}'" for n in columns[:3]) + (f" and {len(columns) - 3} more" if len(columns) > 3 else "")
    words = f"{done} {len(finding.rows):,} cells of {named}"
    return Remedy(words, "the cells misled the model", "no gain is shown; they did this model no harm", True, table=table)


def _corrected(table: Table, columns: list[str], rows: np.ndarray, figures: dict, kind: str) -> tuple[str, Table]:
    """Return (what was done, the table with the cells corrected)."""
    at = np.zeros(len(table), bool)
    at[rows] = True
    if "factor" in figures and len(columns) == 1 and table.schema[columns[0]].type is ColumnType.NUMBER:
        values = table.numbers(columns[0])
        return "converting", table.with_cells({columns[0]: np.where(at, values / float(figures["factor"]), values)})
    if "powers" in figures and len(columns) == 1 and table.schema[columns[0]].type is ColumnType.NUMBER:
        power = np.zeros(len(table))
        power[list(figures["powers"])] = list(figures["powers"].values())
        values = table.numbers(columns[0])
        return "moving the decimal point of", table.with_cells({columns[0]: np.where(at, values / 10.0**power, values)})
    texts = {n: table.texts(n) for n in columns}
    if kind.endswith("rare spelling"):
        name = columns[0]
        return "respelling", table.with_cells({name: pd.Series([figures.get(t, t) for t in texts[name]], table.frame.index, dtype=object)})
    return "reading as missing", table.with_cells({n: table.frame[n].mask(at) for n in columns})
