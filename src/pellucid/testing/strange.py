"""Rows made strange on purpose, with the cell that makes them so: what a measure of familiarity must find.

Four ways, fixed before any measure was tried on them: one cell taken from another row (in range, so that no column alone betrays it); a
class withheld; an age group withheld; one number a thousand times too large. Letters: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.random import stream
from pellucid.table import ColumnType, Table

__all__ = ["ranking", "scaled", "swapped", "withheld"]

Names = npt.NDArray[np.object_]
Ints = npt.NDArray[np.int64]


def swapped(table: Table, seed: int = 0) -> tuple[Table, Names]:
    """Return the rows with one cell each taken from another row of the same column, and which column that is (N,).

    Every row gets a column at random; the cell comes from a row that holds something else there, missing cells included. A column that
    holds one value only is never chosen.
    """
    draw = stream(seed, "swapped")
    codes = {name: pd.factorize(table.frame[name], use_na_sentinel=False)[0] for name in table.features}
    usable = [name for name, code in codes.items() if code.max(initial=0) > 0]
    chosen = draw.integers(0, len(usable), len(table))
    frame = table.frame.copy()
    for j, name in enumerate(usable):
        rows = np.flatnonzero(chosen == j)
        source = _others(codes[name], rows, draw)
        frame[name] = frame[name].to_numpy(copy=True)[_moved(len(frame), rows, source)] if len(rows) else frame[name]
    names: Names = np.asarray(usable, object)
    return Table(frame, table.schema, table.library), names[chosen]


def _others(code: Ints, rows: Ints, draw: np.random.Generator) -> Ints:
    """Return for each of ``rows`` a row, at random, whose code differs."""
    order = np.argsort(code, kind="stable")
    start, count = np.searchsorted(code[order], code[rows]), np.bincount(code)[code[rows]]
    place = (draw.random(len(rows)) * (len(code) - count)).astype(np.int64)
    return order[np.where(place >= start, place + count, place)]


def _moved(n: int, rows: Ints, source: Ints) -> Ints:
    at = np.arange(n)
    at[rows] = source
    return at


def scaled(table: Table, seed: int = 0, factor: float = 1000.0) -> tuple[Table, Names]:
    """Return the rows with one number each times ``factor``, and which column that is (N,); rows with nothing but 0 and missing: None.

    The column is drawn among those in which the row holds a number other than 0.
    """
    draw = stream(seed, "scaled")
    names = [name for name in table.features if table.schema[name].type is ColumnType.NUMBER]
    values = np.column_stack([table.numbers(name) for name in names])
    turn = np.where(np.isfinite(values) & (values != 0), draw.random(values.shape), -1.0)
    chosen, there = turn.argmax(1), turn.max(1) >= 0
    values[np.flatnonzero(there), chosen[there]] *= factor
    made = table.with_cells({name: values[:, j] for j, name in enumerate(names)})
    found: Names = np.asarray(names, object)[chosen]
    found[~there] = None
    return made, found


def withheld(frame: pd.DataFrame, column: str, levels: Sequence[Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows whose ``column`` is not among ``levels``, rows whose it is), each with a fresh index."""
    strange = frame[column].isin(list(levels)).to_numpy()
    return frame[~strange].reset_index(drop=True), frame[strange].reset_index(drop=True)


def ranking(usual: npt.ArrayLike, strange: npt.ArrayLike) -> tuple[float, float]:
    """Return how often a strange row lies above a usual one (area under the ROC curve), and its standard error (DeLong).

    ``usual``, ``strange``: (n,), (m,) figures that are high for strange rows. Ties count one half.

    Examples
    --------
    >>> ranking([0.1, 0.35], [0.4, 0.8])[0]
    1.0
    """
    from scipy.stats import rankdata

    down, up = np.asarray(usual, np.float64), np.asarray(strange, np.float64)
    ranks = rankdata(np.concatenate([up, down]))
    of_up = (ranks[: len(up)] - rankdata(up)) / len(down)
    of_down = 1 - (ranks[len(up) :] - rankdata(down)) / len(up)
    variance = of_up.var(ddof=1) / len(up) + of_down.var(ddof=1) / len(down)
    return float(of_up.mean()), float(np.sqrt(variance))
