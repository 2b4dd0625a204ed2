"""Do two columns have to do with each other in any way? Distance correlation, for numbers and for levels, with a permutation test.

It is 0 only for independent columns, whatever the form of the dependence. Levels are at distance 1 from each other.

Source: Szekely, Rizzo and Bakirov 2007, doi:10.1214/009053607000000505; the discrete distance after Lyons 2013, doi:10.1214/12-AOP803.
Letters: N rows, S permutations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray
from pellucid.table import ColumnType, Table

__all__ = ["cell_distances", "centred_distances", "dependence", "distance_correlation", "number_distances"]


def cell_distances(table: Table, name: str) -> FloatArray:
    """Return the distances (N, N) between the cells of a column: of numbers and dates in standard deviations, or 0 and 1 between levels."""
    kind = table.schema[name].type
    if kind not in (ColumnType.NUMBER, ColumnType.DATE):
        codes = table.levels(name)[0]
        return np.asarray(codes[:, None] != codes[None, :], np.float64)
    values = table.numbers(name) if kind is ColumnType.NUMBER else table.seconds(name)
    return number_distances(values)


def number_distances(values: npt.NDArray[np.float64]) -> FloatArray:
    """Return the distances (N, N) between numbers in standard deviations; a missing one is one standard deviation from every other."""
    known = values[~np.isnan(values)]
    spread = (known.std() if len(known) else 0.0) or 1.0
    gap = np.abs(values[:, None] - values[None, :]) / spread
    missing = np.isnan(values)[:, None].astype(int) + np.isnan(values)[None, :]
    return np.asarray(np.where(missing == 0, np.nan_to_num(gap), missing == 1))


def centred_distances(distances: FloatArray) -> FloatArray:
    """Return the distances (N, N) less the means of rows and columns, plus the mean of all."""
    return np.asarray(distances - distances.mean(0) - distances.mean(1)[:, None] + distances.mean())


def distance_correlation(a: FloatArray, b: FloatArray) -> float:
    """Return the distance correlation of two columns from their centred distances (N, N): 0 to 1; 0 where one is constant.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> a = centred_distances(number_distances(x))
    >>> round(distance_correlation(a, a), 12)
    1.0
    """
    size = np.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float(np.sqrt(max(0.0, float((a * b).sum())) / size)) if size > 0 else 0.0


def dependence(a: FloatArray, b: FloatArray, draw: np.random.Generator, permutations: int = 199) -> tuple[float, float]:
    """Return (distance correlation, p) of two columns from their centred distances; p from shuffles of the second, never 0.

    Cost: S N^2.
    """
    found = float((a * b).sum())
    n, higher = len(a), 1
    for _ in range(permutations):
        order = draw.permutation(n)
        higher += float(np.vdot(a, b[np.ix_(order, order)])) >= found - 1e-12 * abs(found)
    return distance_correlation(a, b), higher / (permutations + 1)
