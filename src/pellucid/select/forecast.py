"""Payoffs of forecasts: is the response forecast worse from a drawn cell than from the true one?

A ridge regression on a kernel learns the response from the rows seen so far and forecasts the next ones twice, with the true cell of a
column and with the drawn one. The difference of the losses changes its sign when the two cells are exchanged, so that it is symmetric
about 0 where the column adds nothing to the others. A forecast knows direction and size of an effect, which a witness that compares
distances in all columns at once hardly sees where other columns matter more.

Source: Shaer, Maman and Romano 2023, "Model-X Sequential Testing for Conditional Independence via Testing by Betting", arXiv:2210.00354.
Letters: T steps, W marks of the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.protocols import FloatArray
from pellucid.select.betting import WARM

__all__ = ["Forecasts"]

GROWTH = 1.25
"""A forecast is learned anew when there are so many times as many rows."""
PENALTIES = np.logspace(-3, 2, 11)


@dataclass(frozen=True)
class _Fit:
    """What was learned from the first ``start`` rows, for those from ``start`` to ``end``."""

    start: int
    end: int
    middle: FloatArray
    weights: FloatArray

    def loss(self, kernel: FloatArray, y: FloatArray) -> FloatArray:
        """Return the squared error of each forecast row."""
        past, now = slice(0, self.start), slice(self.start, self.end)
        return np.asarray(((y[now] - self.middle - kernel[past, now].T @ self.weights) ** 2).sum(1))


class Forecasts:
    """Forecasts of the response from the true cells, each learned from the rows before it.

    Parameters
    ----------
    kernel : (T, T) of the rows with their true cells. y : (T, W).

    Notes
    -----
    The penalty is that of the least error when each row seen is left out, so that it too knows only the past. Cost: some 4 T^3 once.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 60)[np.random.default_rng(0).permutation(60)]
    >>> made = Forecasts(np.outer(x, x), x[:, None])
    >>> gain = made.gains(np.outer(x, -x))  # from cells of the wrong sign
    >>> bool((gain[:20] == 0).all()), bool(gain[20:].mean() > 0)
    (True, True)
    """

    def __init__(self, kernel: FloatArray, y: FloatArray) -> None:
        self._y = y
        self._fits = [_fit(kernel, y, start, end) for start, end in _spans(len(y))]
        self._own = [fit.loss(kernel, y) for fit in self._fits]

    def gains(self, kernel: FloatArray) -> FloatArray:
        """Return by how much the loss grows with other cells, (T,), 0 while warming up.

        Parameters
        ----------
        kernel : (T, T) of past rows with their true cells and present rows with the others.
        """
        out = np.zeros(len(self._y))
        for fit, own in zip(self._fits, self._own):
            out[fit.start : fit.end] = fit.loss(kernel, self._y) - own
        return out


def _spans(steps: int) -> Iterator[tuple[int, int]]:
    start = WARM
    while start < steps:
        end = min(steps, int(np.ceil(GROWTH * start)))
        yield start, end
        start = end


def _fit(kernel: FloatArray, y: FloatArray, start: int, end: int) -> _Fit:
    middle = y[:start].mean(0)
    values, vectors = np.linalg.eigh(kernel[:start, :start])
    turned = vectors.T @ (y[:start] - middle)

    def left_out(penalty: float) -> float:
        # (y - K a) / (1 - H) of a ridge regression, with H = K (K + penalty)^-1
        kept = penalty / (np.maximum(values, 0.0) + penalty)
        return float((((vectors @ (kept[:, None] * turned)) / ((vectors**2) @ kept)[:, None]) ** 2).sum())

    best = min(PENALTIES, key=left_out)
    return _Fit(start, end, middle, vectors @ (turned / (np.maximum(values, 0.0) + best)[:, None]))
