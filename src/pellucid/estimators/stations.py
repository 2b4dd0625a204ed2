"""The stations of a fit around the engine: the split plan, filling along the rows, kept rows, certainty, record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.encode.filled import effects_of
from pellucid.encode.filling import TableFill, is_ordered
from pellucid.errors import quote
from pellucid.estimators.certainty import Certainty, certify, seconds_for
from pellucid.estimators.engines import calibrators_for, class_weights, stops_by_held_rows
from pellucid.estimators.prepare import Training, stopping_data
from pellucid.random import integer, stream
from pellucid.table import ColumnType, Plan, Table, copies, make_plan
from pellucid.table.splits import FOLD_BELOW
from pellucid.training.familiarity import Familiarity
from pellucid.training.groupings import groupings
from pellucid.training.least_value import LeastValue

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["Split", "along_the_rows", "certainty", "kept_for_certainty", "planned", "record", "reference"]

CALIBRATION_SHARE = 0.1  # of the time a fit has, at most, that calibration is left
FEW = 20  # rows below which a fit says that they are too few
MOST_FAMILIAR = 2000  # held-out rows that say how far a usual row is from the kept ones


@dataclass(frozen=True)
class Split:
    """The rows of one fit: training rows with the stopping rows of ``eval_set`` appended, and the plan over them."""

    training: Training
    plan: Plan

    @property
    def held(self) -> npt.NDArray[np.int64]:
        """Rows the certainty is fitted on: the certify rows, or all planned rows where folds answer for them."""
        rows = self.plan.certify if self.plan.folds is None else np.arange(len(self.plan.folds))
        return np.setdiff1d(rows, self.plan.lone)  # no statement about coverage can rest on the only row of a class

    @property
    def learned(self) -> npt.NDArray[np.int64]:
        """Rows that rules and networks learn from: the train rows, or all rows where folds take turns."""
        return self.plan.train if len(self.plan.train) else np.arange(len(self.training.table))


def planned(model: TabularEstimator, training: Training, eval_set: Any, seed: int) -> Split:
    """Return the rows of the fit and the one plan over them; rows of ``eval_set`` are its stopping rows."""
    folded = model.decompose is None and len(training.table) < FOLD_BELOW
    plan = make_plan(
        training.table,
        training.target.values,
        task=model._task,
        seed=integer(seed, "split"),
        stop_given=eval_set is not None,
        stopping=stops_by_held_rows(model.backbone, folded),
        groups=training.groups,
        order=training.order,
        # networks side by side would each keep traces of their own of what the answers should not tell
        **({} if model.decompose is None else {"fold_below": 0}),
    )
    if eval_set is None:
        return Split(training, plan)
    n, extra = len(training.table), stopping_data(model, eval_set, training)
    joined = _joined(training, extra)
    same = copies(joined.table, joined.target.values)
    known, held = (np.isin(same[n:], same[rows]) for rows in (plan.train, plan.certify))
    told = []
    if known.any():
        told.append(f"{int(known.sum())} of {len(known)} rows of eval_set are copies of rows that train: they do not show over-fitting")
    if held.any() and not held.all():  # what certifies must not decide when to stop either
        told.append(f"{int(held.sum())} of {len(held)} rows of eval_set are copies of certify rows and were left out of it")
        joined = _joined(training, extra.take(np.flatnonzero(~held)))
    joined = replace(joined, caveats=(*joined.caveats, *told))
    return Split(joined, replace(plan, stop=np.arange(n, len(joined.table))))


def _joined(training: Training, extra: Training) -> Training:
    """Return the training rows with stopping rows behind them."""
    frame = pd.concat([training.table.frame, extra.table.frame], ignore_index=True)
    return replace(
        training,
        table=replace(training.table, frame=frame, _cache={}),
        target=replace(training.target, values=np.concatenate([training.target.values, extra.target.values])),
        weights=None if training.weights is None else np.concatenate([training.weights, np.ones(len(extra.table))]),
    )


def along_the_rows(model: TabularEstimator, split: Split, seed: int) -> Split:
    """Fill by the rules that look at neighbouring rows, before anything reads single rows; the model keeps the rules."""
    model.ordered_fill_ = None
    if not is_ordered(model.fill):
        return split
    rules = TableFill.fit(split.training.table.take(split.learned), model.fill, seed=integer(seed, "bins"), ordered=True)
    model.ordered_fill_ = rules
    return replace(split, training=replace(split.training, table=rules.apply(split.training.table)))


def reference(model: TabularEstimator, split: Split, seed: int) -> tuple[Table | None, npt.NDArray[Any] | None]:
    """Return at most ``keep_rows`` rows that the network learned from, and their targets."""
    rows = split.plan.known
    if not model.keep_rows or not len(rows):
        return None, None
    if len(rows) > model.keep_rows:
        rows = np.sort(stream(seed, "reference").choice(rows, model.keep_rows, replace=False))
    return split.training.table.take(rows), split.training.target.values[rows]


def kept_for_certainty(model: TabularEstimator, split: Split, seconds: float) -> float:
    """Return how many of the seconds that a fit has its training leaves to :func:`certainty`, beside the answers themselves."""
    if model._task != "classification":
        return 0.0
    held, classes = split.held, len(split.training.target.classes)
    return min(seconds_for(len(held), classes, model.calibration), CALIBRATION_SHARE * max(seconds, 0.0))


def _promised(model: TabularEstimator, split: Split) -> float:
    """Return the seconds that a calibration has even where training was late: what was kept for one that is asked for by name."""
    return 0.0 if model.calibration == "auto" else kept_for_certainty(model, split, model.time_limit or 0.0)


def certainty(model: TabularEstimator, split: Split, seed: int, deadline: float | None = None) -> Certainty:
    """Fit calibration, guarantees and familiarity on rows that were not learned from, by ``deadline`` (of ``time.monotonic()``)."""
    rows, plan = split.held, split.plan
    held, folds = split.training.take(rows), None if plan.folds is None else plan.folds[rows]
    if folds is not None:
        answers = model.engine_.out_of_fold(held.table, folds)
    else:
        answers = model.engine_.members(held.table).mean(1) if len(rows) else np.zeros((0, held.target.n_outputs))
    found = certify(
        answers,
        held.target.values,
        held.weights,
        task=model._task,
        method=model.calibration,
        folds=folds,
        by_folds=folds is not None and model.engine_.n_folds > 1,
        groups=groupings(held.table),
        lean=class_weights(split.training, model.class_weight, plan),
        only=calibrators_for(model.engine_),
        together=held.groups if plan.rule == "grouped" else None,
        seconds=None if deadline is None else max(deadline - time.monotonic(), _promised(model, split)),
    )
    if model._task == "regression":
        found = replace(found, least=LeastValue.found(split.training.target.values))
    if model.reference_ is None or len(model.reference_) < 3:
        return found
    if folds is not None or not len(rows):
        return replace(found, familiarity=Familiarity.fit(model.reference_))
    few = stream(seed, "familiarity").permutation(len(rows))[:MOST_FAMILIAR]
    return replace(found, familiarity=Familiarity.fit(model.reference_, held.table.take(np.sort(few))))


def record(model: TabularEstimator, training: Training, split: Split, seed: int, threads: int, seconds: float) -> dict[str, Any]:
    """Return what was fitted, on what, how, and in how many seconds, as plain JSON types."""
    from pellucid.estimators.io import versions

    return {
        "estimator": type(model).__name__,
        "backbone": model.engine_.name,
        "seed": seed,
        "threads": model.engine_.record.get("threads", threads),
        "rows": len(training.table),
        "columns": list(model.engine_.encoder.columns),
        "target": list(training.target.names),
        "data": training.table.fingerprint(),
        "seconds": round(seconds, 3),
        "split": split.plan.words,
        "filled": _effects(model, split),
        "kept_rows": 0 if model.reference_ is None else len(model.reference_),
        "caveats": [*_too_few(split), *split.training.caveats, *_unread(split.training.table), *_untried(model)],
        "versions": versions(),
        "training": model.engine_.record,
    }


def _too_few(split: Split) -> list[str]:
    """Return in words that a model of so few rows is a trial of the path, where it is."""
    n = len(split.training.table)
    if n >= FEW:
        return []
    return [f"{n} rows are too few to tell a rule from chance, or to test what was learned: add rows before an answer is trusted"]


def _unread(table: Table) -> list[str]:
    """Return, in words, which columns taught nothing for want of a second value."""
    flat = [c.name for c in table.schema if c.type is ColumnType.CONSTANT]
    if not flat:
        return []
    one = len(flat) == 1
    words = f"{len(flat)} column{'' if one else 's'} without a second value {'is' if one else 'are'} not read: {quote(flat)}"
    return [f"{words}; another value there in new rows changes nothing"]


def _untried(model: TabularEstimator) -> list[str]:
    """Return, in words, which calibrations and bins the clock left out."""
    left = model.certainty_.untried
    words = []
    if model.calibration in left:
        words.append(f"the time limit left no time for the calibration asked for, {model.calibration!r}: a temperature stands in for it")
    elif left:
        words.append(f"the time limit left no time to try {' and '.join(left)} calibration: a freer map might have served better")
    plain = model.engine_.record.get("plain_bins", 0)
    if plain:
        one = plain == 1
        words.append(f"the time limit left no time to place the bins of {plain} number column{'' if one else 's'} by the target")
    return words


def _effects(model: TabularEstimator, split: Split) -> list[dict[str, Any]]:
    """Return what the rules of filling did to each column of the training rows."""
    rules = model.engine_.encoder.fill
    if rules is None:
        return []
    return effects_of(rules, split.training.table.take(split.learned))
