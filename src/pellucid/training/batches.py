"""Which rows each step reads: for every fold its own training rows, each once per epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid import random

__all__ = ["Batches", "stop_rows"]

Rows = npt.NDArray[np.int64]


class Batches:
    """Batches of one size for G folds side by side.

    The size is chosen near ``batch`` so that the largest fold divides into it; shorter folds are filled up with rows that do not
    count. Every epoch's order is drawn from its own stream, so a resumed fit needs nothing but the step.

    Parameters
    ----------
    train : G arrays of training rows. batch : wished size. seed : of the orders.
    strata : (N,) values along which every batch is spread, or None: rows are sorted by them and cut into as many groups as a batch has
        places, and each batch holds one row of every group.

    Attributes
    ----------
    per_epoch, size : steps of an epoch, and B.
    """

    def __init__(self, train: Sequence[Rows], batch: int, seed: int, strata: npt.NDArray[np.float64] | None = None) -> None:
        self._strata = strata
        self._train, self._seed = [np.asarray(t, np.int64) for t in train], seed
        longest = max(len(t) for t in self._train)
        self.per_epoch = max(1, round(longest / batch))
        self.size = -(-longest // self.per_epoch)
        self._epoch, self._rows, self._valid = -1, np.zeros(0, np.int64), np.zeros(0, bool)

    def rows(self, step: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Return (rows (G, B), which of them count (G, B)) of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        return self._rows[:, place], self._valid[:, place]

    def _shuffle(self, epoch: int) -> None:
        shape = (len(self._train), self.per_epoch, self.size)
        self._epoch, self._rows, self._valid = epoch, np.zeros(shape, np.int64), np.zeros(shape, bool)
        for g, rows in enumerate(self._train):
            draw = random.stream(self._seed, "batches", g, epoch)
            order = draw.permutation(rows)
            if self._strata is not None:
                self._rows[g], self._valid[g] = self._spread(order, draw)
                continue
            # column by column: the rows that do not count are spread over the last places of all batches
            flat = np.full(self.per_epoch * self.size, order[0])
            flat[: len(order)] = order
            self._rows[g] = flat.reshape(self.size, self.per_epoch).T
            self._valid[g] = (np.arange(len(flat)) < len(order)).reshape(self.size, self.per_epoch).T

    def _spread(self, order: Rows, draw: np.random.Generator) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Return (rows (P, B), which of them count): place b of every batch holds one row of the b-th group along the strata."""
        assert self._strata is not None
        ordered = order[np.argsort(self._strata[order], kind="stable")]  # equal values stay shuffled
        short = self.per_epoch * self.size - len(order)
        middle = len(order) // 2  # what fills up must not take the place of the rows at the ends
        flat = np.insert(ordered, middle, np.full(short, ordered[middle]))
        valid = np.insert(np.ones(len(order), bool), middle, np.zeros(short, bool))
        at = draw.permuted(np.arange(len(flat)).reshape(self.size, self.per_epoch), axis=1).T
        return flat[at], valid[at]


def stop_rows(stop: Sequence[Rows]) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return (rows (G, R), which of them count (G, R)) for stop parts of unequal length."""
    longest = max((len(s) for s in stop), default=0)
    rows = np.zeros((len(stop), longest), np.int64)
    valid = np.zeros((len(stop), longest), bool)
    for g, s in enumerate(stop):
        rows[g, : len(s)], valid[g, : len(s)] = s, True
    return rows, valid
