"""The ground of the trials that retrain: rows that may be masked and learned from again, and the score of what was learned.

Letters: N rows of the ground, P players, S seeds, L levels (shares of masked columns).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.evaluate.case import Case, NotTestable, Short, by_column
from pellucid.evaluate.figures import by_size
from pellucid.evaluate.refit import CloneRefit
from pellucid.probe.masker import Players, typical_row
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import integer, stream
from pellucid.results import AttentionMaps
from pellucid.table import Table
from pellucid.table.cells import level_text

__all__ = ["Ground", "Timer", "first", "ground", "mean_curve", "sizes", "truth_of"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LEAST = 60
ASTRAY = -1.0
"""Share of explained variance below which a model has learned nothing that can be judged."""


@dataclass(frozen=True)
class Ground:
    """Rows to mask, to learn from and to score on.

    Attributes
    ----------
    table : the N' rows the refit knows (its own training rows), or the explained rows. rows : (N,) those in use; ``train`` and ``test``
        split them.
    target : (N',) what the refit takes as target. truth : (N',) class numbers, or numbers.
    players : the P players of the explanation. typical : the cells that stand for "masked": of one typical row.
    """

    case: Case
    table: Table
    rows: Ints
    train: Ints
    test: Ints
    target: npt.NDArray[Any]
    truth: FloatArray
    players: Players
    typical: Table
    own: bool

    @property
    def classes(self) -> int:
        """Number of classes; 0 for numbers."""
        return len(self.case.predictor.classes) if self.case.predictor.task == "classification" else 0

    def masked(self, mask: BoolArray | None) -> Table:
        """Return the table with the players in ``mask`` (N, P) replaced by typical cells in the rows in use."""
        if mask is None:
            return self.table
        cells = {}
        for j, name in enumerate(self.case.predictor.columns):
            hide = np.zeros(len(self.table), bool)
            hide[self.rows] = mask[:, self.players.of_column[j]]
            if hide.any():
                cells[name] = _with(self.table.frame[name], hide, self.typical.frame[name])
        return self.table.with_cells(cells) if cells else self.table

    def fit(self, table: Table, seed: int, target: npt.NDArray[Any] | None = None) -> Predictor:
        """Return the model trained again on the training rows of ``table``."""
        goal = self.target if target is None else target
        number = integer(self.case.seed, "retrain", seed) % 2**31
        self.case.on_time()
        began = time.perf_counter()
        if self.own:
            model = self.case.trained(table=table, rows=self.train, target=goal, seed=number)
        else:
            model = self.case.refit(table=table.take(self.train), target=goal[self.train], seed=number)
        self.case.pace["fit"] = max(self.case.pace.get("fit", 0.0), time.perf_counter() - began)
        if getattr(model, "scale", None) != self.case.predictor.scale:
            raise NotTestable(
                f"refitted models answer on another scale ({getattr(model, 'scale', None)!r}) than the one that was explained"
            )
        return model

    def learned(self, table: Table, seed: int) -> tuple[FloatArray, Predictor]:
        """Return (scores (n_test,) of a model trained again on ``table``, the model); no verdict rests on one that went astray."""
        model = self.fit(table, seed)
        scores = self.score(model, table)
        if not self.classes and not scores.mean() > ASTRAY:
            raise NotTestable("a retrained model answers far worse than the mean of the target would: it did not learn from masked rows")
        return scores, model

    def score(self, model: Predictor, table: Table, truth: FloatArray | None = None) -> FloatArray:
        """Return (n_test,) scores whose mean is the accuracy (classes) or the share of explained variance (numbers)."""
        goal = (self.truth if truth is None else truth)[self.test]
        answers = np.asarray(model.raw(table.take(self.test).select(self.case.predictor.columns)), np.float64)
        if not self.classes:
            return np.asarray(1 - (answers[:, 0] - goal) ** 2 / max(float(goal.var()), 1e-300))
        if answers.shape[1] > 1:
            return np.asarray(answers.argmax(1) == goal, np.float64)
        border = 0.5 if model.scale == "probability" else 0.0
        return np.asarray((answers[:, 0] > border) == (goal == 1), np.float64)

    def sizes(self, model: Predictor, table: Table) -> FloatArray:
        """Return the sizes of the contributions (N, P) in the rows in use, under ``model``."""
        rows = table.take(self.rows).select(self.case.predictor.columns)
        if model is self.case.predictor and (paid := self.case.reached(model, rows)) < len(rows):
            raise Short(f"{len(rows)} rows must be explained, and it reaches for {paid}")
        size = by_column(self.case.explain(model, rows, coarse=True))
        return np.asarray(np.broadcast_to(size, (len(self.rows), size.shape[1])))

    def planted(self, signal: FloatArray) -> tuple[npt.NDArray[Any], FloatArray]:
        """Return (target for the refit, truth) made from a signal (N',): as many equal classes as the model has, or the signal itself.

        Numbers get the mean and spread of the model's own target.
        """
        if not self.classes:
            spread = float(np.std(self.truth)) or 1.0
            values = (signal - signal.mean()) / (float(signal.std()) or 1.0) * spread + float(self.truth.mean())
            return values.reshape(self.target.shape), values
        cuts = np.quantile(signal[self.rows], np.arange(1, self.classes) / self.classes)
        codes = np.searchsorted(cuts, signal, side="right")
        if self.own and not isinstance(self.case.refit, CloneRefit):
            return codes, codes.astype(np.float64)
        return np.asarray(self.case.predictor.classes)[codes], codes.astype(np.float64)


def ground(case: Case, most: int, calls: float, fits: int = 1) -> Ground:
    """Return the ground: ``most`` rows (or all there are), to be explained ``calls`` times in half of the time left.

    ``fits`` : how many models the trial trains. What a trial learns from does not shrink with the time: another number of rows or of
    models is another verdict, and a slower machine must not have one.

    Raises
    ------
    NotTestable : no refit, no labels, several targets, an answer without one number per column, or too few rows or seconds.
    """
    if not isinstance(case.explanation, AttentionMaps):
        case.needs_contributions()
    case.needs_columns(2)
    if case.refit is None:
        raise NotTestable("this test trains models on masked rows: give refit= (True while the training rows are in memory)")
    case.pays(fits)
    case.vouch()
    own = getattr(case.refit, "table", None) is not None and getattr(case.refit, "target", None) is not None
    table = case.refit.table if own else case.table
    labels = case.refit.target if own else case.y
    if labels is None:
        raise NotTestable("the labels are not known; give y=")
    labels = np.asarray(labels)
    if labels.ndim > 1 and labels.shape[1] > 1:
        raise NotTestable("the model answers for several targets at once")
    players = Players.of(case.predictor.columns, case.settings.get("groups"))
    if len(players) != by_column(case.explanation).shape[1]:
        raise NotTestable("the explanation speaks of other columns than the model")
    n, paid = min(len(table), most), _affordable(case, calls)
    if n < LEAST:
        raise NotTestable(f"{LEAST} rows to explain and learn from are needed, and there are {n}")
    if paid < n:
        asked = round(n * min(1.0, calls))
        raise Short(f"{asked} rows must be explained{f' {calls:g} times' if calls > 1 else ''}, and it reaches for {int(paid * asked / n)}")
    rows = np.sort(stream(case.seed, "ground").permutation(len(table))[:n])
    order = stream(case.seed, "ground", "split").permutation(n)
    train, test = np.sort(rows[order[n // 3 :]]), np.sort(rows[order[: n // 3]])
    truth = truth_of(case, labels)
    typical = typical_row(table.take(train).select(case.predictor.columns))
    return Ground(case, table, rows, train, test, labels, truth, players, typical, own)


def _affordable(case: Case, calls: float) -> int:
    per_row = case.explanation.record.duration / max(1, len(case.table))
    used = case.settings.get("background_rows")
    if used and case.background is not None:
        per_row *= min(1.0, len(case.background) / used)
    if per_row <= 0 or case.whole or calls <= 0:
        return 10**9
    return int(max(0.0, case.left()) / 2 / (calls * per_row))


def truth_of(case: Case, labels: npt.NDArray[Any]) -> FloatArray:
    """Return the target as class numbers or numbers, (N',)."""
    flat = labels.reshape(-1)
    if case.predictor.task != "classification":
        return np.asarray(flat, np.float64)
    if getattr(case.refit, "target", None) is not None and not isinstance(case.refit, CloneRefit):
        return np.asarray(flat, np.float64)  # an estimator's own refit counts in class numbers
    place = {level_text(c): k for k, c in enumerate(case.predictor.classes)}
    codes = np.array([place.get(level_text(v), -1) for v in flat.tolist()], np.float64)
    if (codes < 0).any():
        raise NotTestable("the labels are not the model's classes")
    return codes


def _with(series: pd.Series[Any], hide: BoolArray, typical: pd.Series[Any]) -> Any:
    """Return the cells with those in ``hide`` replaced by the one in ``typical``, of the same type."""
    cell = typical if typical.isna().all() else typical.astype(series.dtype)  # a missing cell has its own type where numbers are whole
    pool = pd.concat([series, cell], ignore_index=True)
    return pool.array.take(np.where(hide, len(series), np.arange(len(series))))


def sizes(columns: int, levels: int) -> tuple[int, ...]:
    """Return the numbers of columns to mask: about ``levels`` steps from none to all, both ends included.

    Examples
    --------
    >>> sizes(5, 9), sizes(20, 3)
    ((0, 1, 2, 3, 4, 5), (0, 5, 10, 15, 20))
    """
    return tuple(sorted({round(t * columns) for t in np.linspace(0, 1, levels + 2)}))


def first(scores: FloatArray, k: int | Ints) -> BoolArray:
    """Return which players (N, P) are the first k by size; ties in an order of chance, which is the same for every k."""
    return np.asarray(np.argsort(by_size(scores, 0), axis=1) < k)


class Timer:
    """Stops a loop of fits before the time is over: the next one is expected to take as long as the slowest so far."""

    def __init__(self, left: Callable[[], float]) -> None:
        self._left, self._slowest, self._last = left, 0.0, time.perf_counter()

    def step(self) -> None:
        """Note the end of one fit."""
        now = time.perf_counter()
        self._slowest, self._last = max(self._slowest, now - self._last), now

    def reaches(self, steps: float = 1) -> bool:
        """Return whether there is time for some more."""
        return self._left() > steps * self._slowest


def mean_curve(curves: Sequence[FloatArray]) -> FloatArray:
    """Return the mean over seeds and rows of (S, L, n) scores: (L,)."""
    return np.asarray(np.stack(curves).mean((0, 2)))
