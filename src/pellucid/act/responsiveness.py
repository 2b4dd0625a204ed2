"""Responsiveness: which share of the changes that a person may make in one column reaches the wanted answer?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.act.case import Case
from pellucid.act.counterfactual import no_changes, no_options
from pellucid.errors import RequestError
from pellucid.intervals import wilson
from pellucid.protocols import FloatArray
from pellucid.results import Actions

__all__ = ["Single", "act", "single_changes"]

FEWEST = 20
AT_ONCE = 100_000


@dataclass(frozen=True)
class Single:
    """Single-column changes of N rows.

    Attributes
    ----------
    columns : the P places of the columns that may change.
    share : (N, P) share of the allowed changes that reach the goal; NaN where there is none.
    interval : (N, P, 2). exact : (P,) whether all changes were gone through. raw : (N, O) the answers as they are.
    """

    columns: npt.NDArray[np.int64]
    share: FloatArray
    interval: FloatArray
    exact: npt.NDArray[np.bool_]
    raw: FloatArray


def single_changes(case: Case) -> Single:
    """Go through, or draw from, the allowed changes of each column alone. Cost: N times the sum over columns of at most 500 model rows."""
    changes = case.changes
    n, columns = len(case.table), np.flatnonzero(changes.movable)
    everyone = np.arange(n)
    made = [changes.candidates(everyone, j, _draws(case, len(columns)), case.seed) for j in columns.tolist()]
    case.need(n + sum(int(counts.sum()) for _, counts, _ in made))
    raw = case.answers(everyone, changes.own)
    share, interval = np.full((n, len(columns)), np.nan), np.full((n, len(columns), 2), np.nan)
    for p, j in enumerate(columns.tolist()):
        if not case.affords(0):
            raise RequestError(
                "the time does not reach", got=f"{p} of {len(columns)} columns tried", do="allow more time or ask of fewer rows"
            )
        values, counts, exact = made[p]
        hits, tried = _tried(case, j, values, counts)
        with np.errstate(invalid="ignore"):
            share[:, p] = hits / tried
        interval[:, p] = share[:, p, None] if exact else np.where(tried[:, None] > 0, np.stack(wilson(hits, tried), -1), np.nan)
    return Single(columns, share, interval, np.array([e for *_, e in made], bool), raw)


def _draws(case: Case, columns: int) -> int:
    """Return how many values of a continuum are drawn: as asked, fewer where the budget is small."""
    asked = int(case.options["draws"])
    if asked < FEWEST:
        raise RequestError("too few draws", expected=f"at least {FEWEST}", got=str(asked))
    if case.budget.rows is None or not columns:
        return asked
    return max(FEWEST, min(asked, (case.budget.rows // 2 // len(case.table) - 1) // columns))


def _tried(case: Case, j: int, values: FloatArray, counts: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return per row how many changes of column ``j`` reach the goal, and how many the joint rules allow."""
    rows, at = np.nonzero(counts)
    hits, tried = np.zeros(len(values)), np.zeros(len(values))
    for s in range(0, len(rows), AT_ONCE):
        row = rows[s : s + AT_ONCE]
        codes = case.changes.own[row]
        codes[:, j] = values[row, at[s : s + AT_ONCE]]
        codes = case.changes.linked(row, codes)
        good = case.changes.keeps(row, codes)
        met = case.wanted.met(case.answers(row[good], codes[good]))
        np.add.at(tried, row[good], 1.0)
        np.add.at(hits, row[good], met)
    return hits, tried


def caveats(case: Case, single: Single) -> tuple[str, ...]:
    """Return what the reader should know of single changes."""
    drawn = [case.changes.columns[j] for j, exact in zip(single.columns, single.exact) if not exact]
    words = ["a change of the model's answer is not a change of the world: what a column stands for must be changed"]
    if drawn:
        words.append(f"the changes of {', '.join(drawn)} were drawn, not gone through: their shares have intervals")
    return tuple(words)


def fixed(single: Single, reached: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return (N,): rows without the wanted answer of which no change tried of a single column reaches it."""
    return ~reached & ~(np.nan_to_num(single.share) > 0).any(1)


def act(case: Case) -> Actions:
    """Return responsiveness scores (N, P): the chance that an allowed change of one column, drawn uniformly, attains the wanted answer.

    Cheon, Wernerfelt, Friedler, Ustun 2024, arXiv:2410.22598. All changes are gone through where a column has at most 500 (steps, whole
    numbers, levels); a continuum is drawn from and has Wilson's interval. Linked columns change along; joint rules cut the changes.
    """
    single = single_changes(case)
    reached = case.wanted.met(single.raw)
    return Actions(
        index=case.table.index, columns=tuple(case.changes.columns[j] for j in single.columns), responsiveness=single.share,
        interval=single.interval, reached=reached, fixed=fixed(single, reached), options=no_options(), changes=no_changes(),
        want=case.wanted.words, rules=case.changes.words(), method=case.method, record=case.record(caveats=caveats(case, single)),
        unreached=pd.DataFrame({"row": [], "why": []}),
    )  # fmt: skip
