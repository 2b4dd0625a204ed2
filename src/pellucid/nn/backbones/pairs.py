"""Which pairs of columns act together: a fast screen on the residuals of an additive fit, all pairs by one matrix product.

After FAST in Lou, Caruana, Gehrke, Hooker 2013, doi:10.1145/2487575.2487579.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.nn.cells import Cells, CellSizes

__all__ = ["pair_gains", "screen_pairs"]

MOST_ROWS = 40_000
MOST_TABLES = 4_000_000
"""Cells of pairs' tables that are held at once."""
F64 = npt.NDArray[np.float64]


def screen_pairs(
    cells: Cells, sizes: CellSizes, answers: F64, weights: F64 | None, n_pairs: int, barred: Sequence[int] = ()
) -> tuple[tuple[int, int], ...]:
    """Return the ``n_pairs`` strongest pairs of columns, strongest first, none with a column of ``barred``.

    Parameters
    ----------
    cells, sizes : encoded training rows. answers : (N, O) one-hot classes or values. weights : (N,) or None.
    """
    some = np.linspace(0, len(answers) - 1, min(len(answers), MOST_ROWS)).astype(int)
    gains = pair_gains(*_codes(cells, sizes), answers[some], None if weights is None else weights[some], rows=some)
    gains[list(barred)] = -np.inf
    gains[:, list(barred)] = -np.inf
    left, right = np.triu_indices(len(gains), 1)
    found = gains[left, right]
    order = np.argsort(-found, kind="stable")[:n_pairs]
    return tuple((int(left[k]), int(right[k])) for k in order if np.isfinite(found[k]))


def pair_gains(
    codes: npt.NDArray[np.int64], cells: int, answers: F64, weights: F64 | None = None, rows: npt.NDArray[np.int64] | None = None
) -> F64:
    """Return (C, C): by how much a table over two columns' coarse codes lowers the squared residual, less what chance would give.

    Residuals are those of a ridge regression of the answers on all columns' codes, one indicator each. Sums over all pairs' tables are
    blocks of Z'rZ, with Z the indicators. Cost: N * (C * cells)**2 multiply-adds, and memory for a few million cells of tables.

    Parameters
    ----------
    codes : (N, C) from 0 to ``cells - 1``. answers : (N, O). weights : (N,). rows : which rows of ``codes`` to read.
    """
    codes = codes if rows is None else codes[rows]
    n, c = codes.shape
    w = np.ones(n) if weights is None else weights / weights.mean()
    z = np.zeros((n, c * cells), np.float32)
    z[np.arange(n)[:, None], codes + cells * np.arange(c)] = 1
    zw = z * w[:, None].astype(np.float32)
    gains = np.zeros((c, c))
    centred = answers - np.average(answers, 0, w)
    left = centred - z @ _ridge(z, zw, w, centred)
    noise = np.maximum(np.average(left**2, axis=0, weights=w), 1e-30)
    for first in range(0, c, step := max(1, MOST_TABLES // (c * cells**2))):  # tables of all pairs at once would not fit of many columns
        own = slice(first * cells, (first + step) * cells)
        count = (z[:, own].T @ zw).astype(np.float64)
        for k in range(answers.shape[1]):  # one answer after the other: outputs are few
            total = z[:, own].T @ (zw * left[:, k, None].astype(np.float32))
            table = total.astype(np.float64) ** 2 / np.maximum(count, 1e-9) / noise[k] - 1  # chance gives each filled cell 1 on average
            table *= count > 0
            gains[first : first + step] += table.reshape(-1, cells, c, cells).sum((1, 3))
    return gains


def _ridge(z: npt.NDArray[np.float32], zw: npt.NDArray[np.float32], w: F64, answers: F64) -> F64:
    """Return the ridge regression (C * cells, O) of answers (N, O) on indicators z, weighted zw; the smaller solve of two."""
    if len(z) >= z.shape[1] or (w <= 0).any():
        return np.asarray(np.linalg.solve((z.T @ zw).astype(np.float64) + np.eye(z.shape[1]), zw.T.astype(np.float64) @ answers))
    return np.asarray(z.T @ np.linalg.solve((z @ z.T).astype(np.float64) + np.diag(1 / w), answers))


def _codes(cells: Cells, sizes: CellSizes, most: int = 8) -> tuple[npt.NDArray[np.int64], int]:
    """Return coarse codes (N, C) and how many there are: eighths of the rows, the most frequent levels, 0 for missing and for the rest."""
    codes = np.zeros((cells.n_rows, sizes.n_columns), np.int64)
    numbers, missing = cells.numbers.cpu().numpy(), cells.missing.cpu().numpy()
    for slot, column in enumerate(sizes.number_columns):
        known = numbers[~missing[:, slot], slot]
        if len(known):
            cuts = np.unique(np.quantile(known, np.linspace(0, 1, most + 1)[1:-1]))
            codes[:, column] = np.where(missing[:, slot], 0, 1 + np.searchsorted(cuts, numbers[:, slot], side="right"))
    levels = cells.codes.cpu().numpy()
    for slot, column in enumerate(sizes.code_columns):
        size = np.bincount(levels[:, slot], minlength=sizes.cardinalities[slot])
        place = np.zeros(len(size), np.int64)
        place[np.argsort(-size, kind="stable")[:most]] = np.arange(1, 1 + min(most, len(size)))
        codes[:, column] = place[levels[:, slot]]
    return codes, most + 1
