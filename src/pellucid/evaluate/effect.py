"""A finding on trial by its effect: the score of a model with and without the remedy, on the same rows, with a paired interval.

Letters: N rows of the audited table, O classes, K folds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.errors import ArgumentError, PellucidError, RequestError
from pellucid.evaluate.case import NAN, NotTestable, seconds_of
from pellucid.evaluate.refit import TableRefit, codes_of
from pellucid.evaluate.retrain import Timer
from pellucid.evaluate.scores import Scores, score
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.results import Finding, RunRecord, Trial
from pellucid.table import Table, read_table
from pellucid.table.cells import level_text
from pellucid.table.splits import copies

__all__ = ["Ground", "Remedy", "probabilities", "prove", "run"]

Ints = npt.NDArray[np.int64]
FOLDS = 3
SECONDS = 60.0
ALL_SECONDS = 120.0
LEAST = 60
BOOT = 1000


@dataclass(frozen=True)
class Remedy:
    """What is changed, and what should come of it.

    Attributes
    ----------
    words : what is done, as a gerund: ``"leaving out 'grade'"``. found, none : what follows where the score moves as expected, or not.
    rises : True where the score should rise, False where it should fall (it was too good).
    columns : the columns that stay, or None for all. without : positions not learned from.
    table : the changed rows, or None. folds : (N,) other folds, or None. target : (N,) other answers to learn from, or None; all are judged
        by those that are given.
    beside : what could be done instead; tried on the same rows, and told beside. The verdict is about the remedy itself.
    """

    words: str
    found: str
    none: str
    rises: bool
    columns: tuple[str, ...] | None = None
    without: Ints | None = None
    table: Table | None = None
    folds: Ints | None = None
    target: npt.NDArray[Any] | None = None
    beside: Remedy | None = None


@dataclass(frozen=True)
class Ground:
    """Rows, labels and a way to learn.

    Attributes
    ----------
    finding, table : what is on trial, and the N audited rows. features : the columns that are learned from.
    refit : trains on some of the rows. target : (N,) as the refit takes it. truth : (N,) class numbers or numbers, -1 or NaN where missing.
    classes : class labels as text; empty for numbers. folds : (N,) at random, copies of a row together.
    """

    finding: Finding
    table: Table
    features: tuple[str, ...]
    refit: Any
    target: npt.NDArray[Any]
    truth: FloatArray
    classes: tuple[str, ...]
    folds: Ints
    seed: int

    @property
    def task(self) -> str:
        """``"classification"`` or ``"regression"``."""
        return "classification" if self.classes else "regression"

    @property
    def metric(self) -> str:
        """What is compared; larger is better."""
        return "roc_auc" if self.classes else "r2"

    def random_folds(self, name: str) -> Ints:
        """Return (N,) fold numbers at random, whatever the rows are."""
        return stream(self.seed, "folds", name).permutation(len(self.table)) % FOLDS

    def answers(self, remedy: Remedy | None, train: Ints, test: Ints, fold: int) -> FloatArray:
        """Return the answers to the rows ``test`` (n, O) or (n,), of a model that learned from ``train``."""
        table, columns, target = self.table, self.features, self.target
        if remedy is not None:
            target = target if remedy.target is None else remedy.target
            table = table if remedy.table is None else remedy.table
            columns = columns if remedy.columns is None else remedy.columns
            train = train if remedy.without is None else train[~np.isin(train, remedy.without)]
        if len(train) < 20 or (self.classes and len(np.unique(self.truth[train])) < 2):
            raise NotTestable("too few rows are left to learn from")
        inputs = table.select(columns)
        seed = integer(self.seed, "effect", fold) % 2**31
        model = self.refit(table=inputs, rows=train, target=target, seed=seed)
        return probabilities(model, inputs.take(test), self.classes)


def probabilities(model: Any, rows: Table, classes: Sequence[str]) -> FloatArray:
    """Return a predictor's answers to rows as probabilities (n, O) in the order of ``classes``, canonical texts, or as numbers (n,)."""
    raw = np.asarray(model.raw(rows), np.float64)
    if not classes:
        return raw[:, 0]
    p = raw if model.scale == "probability" else 1 / (1 + np.exp(-np.clip(raw, -500, 500)))
    own = [level_text(c) for c in model.classes]
    p = np.column_stack([1 - p[:, 0], p[:, 0]]) if len(own) == 2 and p.shape[1] == 1 else p
    out = np.zeros((len(rows), len(classes)))
    for k, name in enumerate(own):
        if name in classes:
            out[:, classes.index(name)] = p[:, k]
    return out


def run(
    finding: Finding, model: Any, X: Any = None, *, refit: Any = None, budget: float | str | None = None, random_state: Any = 0
) -> Trial:
    """Return the trial of a finding. See :func:`pellucid.evaluate.trial`."""
    started, seed = time.perf_counter(), as_seed(random_state)
    allowed = seconds_of(budget, SECONDS)
    table = X if X is not None else model
    kind = finding.kind.partition(":")[0]
    try:
        if kind not in registry.names("remedy"):
            raise NotTestable(f"there is no remedy to try for findings of the kind '{kind}'")
        ground = _ground(finding, None if X is None else model, table, refit, seed)
        remedy: Remedy = registry.resolve(registry.get("remedy", kind))(ground)
        made = _compare(ground, remedy, started + allowed)
    except NotTestable as reason:
        made = _untested(finding, str(reason), seed)
    except (ArgumentError, RequestError):
        raise
    except PellucidError as error:
        made = _untested(finding, f"the models could not be fitted ({str(error).rstrip('.')})", seed)
    return replace(made, record=replace(made.record, duration=time.perf_counter() - started))


def prove(
    findings: Sequence[Finding], model: Any, X: Any = None, *, refit: Any = None, budget: float | str | None = None, random_state: Any = 0
) -> list[Finding]:
    """Return the findings, each with the trial of its effect in ``.trial``, gravest first until the budget is spent."""
    end = time.perf_counter() + seconds_of(budget, ALL_SECONDS)
    out = []
    for k, finding in enumerate(findings):
        left = max(end - time.perf_counter(), 0.01)
        made = run(finding, model, X, refit=refit, budget=left / (1 + 0.5 * (len(findings) - k - 1)), random_state=random_state)
        out.append(replace(finding, trial=made))
    return out


def _untested(finding: Finding, reason: str, seed: int) -> Trial:
    record = RunRecord("effect", {"finding": finding.kind}, seed, finding.record.data)
    return Trial("effect", np.nan, NAN, 0.0, "not testable", f"Not tested: {reason.rstrip('.')}.", record, finding.kind)


def _ground(finding: Finding, model: Any, X: Any, refit: Any, seed: int) -> Ground:
    table = X if isinstance(X, Table) else read_table(X)
    if table.fingerprint() != finding.record.data:
        raise RequestError("this is not the table that was audited", expected=finding.record.data, got=table.fingerprint())
    if table.target is None:
        raise NotTestable("there is no target to predict")
    features = tuple(n for n in table.features if n != table.target)
    if not features:
        raise NotTestable("there is no column to learn from")
    truth, classes = codes_of(table)
    if (np.isnan(truth) | (truth < 0 if classes else False)).mean() > 0.9 or len(table) < LEAST:
        raise NotTestable(f"there are fewer than {LEAST} rows with a target")
    if refit is True and hasattr(model, "refitter") and len(model.refitter().target) == len(table):
        refit = model.refitter()
    learner = TableRefit(model, table.select(features), truth, classes) if refit in (None, True) else refit
    target = np.asarray(getattr(learner, "target", truth))
    if len(target) != len(table):
        raise RequestError("refit= was made for other rows", expected=f"{len(table)} rows", got=str(len(target)))
    fold = stream(seed, "folds").integers(0, FOLDS, len(table))[copies(table)]
    return Ground(finding, table, features, learner, target, truth, classes, np.asarray(fold, np.int64), seed)


def _compare(ground: Ground, remedy: Remedy, deadline: float) -> Trial:
    """Fit both arms fold by fold while the time lasts, and compare them on the rows that both have answered."""
    known = np.flatnonzero((ground.truth >= 0) if ground.classes else ~np.isnan(ground.truth))
    shape = (len(ground.table), len(ground.classes)) if ground.classes else (len(ground.table),)
    asked = [None, remedy, *([] if remedy.beside is None else [remedy.beside])]
    arms = np.full((len(asked), *shape), np.nan)
    timer = Timer(lambda: deadline - time.perf_counter())
    own = ground.folds if remedy.folds is None else ground.random_folds("as they come")
    done = 0
    for k in range(FOLDS):
        if k and not timer.reaches(len(asked)):
            break
        for arm, what in enumerate(asked):
            folds = own if what is None or what.folds is None else what.folds
            test = known[folds[known] == k]
            if not len(test) or (folds[known] == k).all():
                raise NotTestable("the rows cannot be divided")
            arms[arm][test] = ground.answers(what, known[folds[known] != k], test, k)
            timer.step()
        done += 1
    answered = ~np.isnan(arms.reshape(len(asked), len(ground.table), -1)).any((0, 2))
    rows = np.flatnonzero(answered)
    if len(rows) < LEAST // 2 or (ground.classes and len(np.unique(ground.truth[rows])) < 2):
        raise NotTestable("the time was too short to answer enough rows; give a larger budget=")
    return _verdict(ground, remedy, arms[:, rows], rows, own, done)


def _verdict(ground: Ground, remedy: Remedy, arms: FloatArray, rows: Ints, folds: Ints, done: int) -> Trial:
    before, after, low, high = _gained(ground, arms[0], arms[1], rows, folds)
    passed = low > 0 if remedy.rises else high < 0
    if done < FOLDS and low <= 0 <= high:
        reached = f"the time reached for {done} of {FOLDS} parts of the rows, which changes {ground.metric} by {after - before:+.3f}"
        raise NotTestable(f"{reached} [{low:+.3f}, {high:+.3f}]: no effect, or one that more would show; give a larger budget=")
    name = "AUC" if ground.classes else "R²"
    lead = (
        f"{remedy.words[:1].upper()}{remedy.words[1:]} {'raises' if after > before else 'lowers'} {name} from {before:.3f} to {after:.3f}"
    )
    words = f"{lead} [{low:+.3f}, {high:+.3f}]: {remedy.found if passed else remedy.none}."
    settings = {"finding": ground.finding.kind, "folds": done, "model": str(getattr(ground.refit, "name", type(ground.refit).__name__))}
    record = RunRecord("effect", settings, ground.seed, ground.table.fingerprint())
    details = {
        "before": before, "after": after, "metric": ground.metric, "rows": len(rows), "fits": len(arms) * done, "remedy": remedy.words,
    }  # fmt: skip
    if remedy.beside is not None:
        _, other, least, most = _gained(ground, arms[0], arms[2], rows, folds)
        words += f" {remedy.beside.words[:1].upper()}{remedy.beside.words[1:]} instead: {name} {other:.3f} [{least:+.3f}, {most:+.3f}]"
        words += f": {remedy.beside.found if least > 0 else remedy.beside.none}."
        details["beside"] = {"remedy": remedy.beside.words, "after": other, "change": other - before, "interval": [least, most]}
    verdict = "pass" if passed else "fail"
    return Trial("effect", after - before, (low, high), 0.0, verdict, words, record, ground.finding.kind, details)


def _gained(ground: Ground, one: FloatArray, two: FloatArray, rows: Ints, folds: Ints) -> tuple[float, float, float, float]:
    """Return (score of the answers ``one``, score of ``two``, ends of the 95 % interval of what is gained) on the same rows."""
    truth = ground.truth[rows].astype(np.int64) if ground.classes else ground.truth[rows]
    seed = integer(ground.seed, "paired") % 2**31

    def scored(at: Any) -> tuple[Scores, Scores]:
        before, after = (score(ground.task, truth[at], a[at], n_boot=BOOT, seed=seed) for a in (one, two))
        return before, after

    before, after = scored(slice(None))
    gain = after.gain(before, ground.metric)
    half = np.nanstd(after.draws[ground.metric] - before.draws[ground.metric])
    # fits differ too, and their spread is in no bootstrap of rows: the folds' own gains show it
    own = [
        a.point[ground.metric] - b.point[ground.metric]
        for b, a in (scored(folds[rows] == k) for k in range(FOLDS) if (folds[rows] == k).any())
    ]
    spread = float(np.nanstd(own, ddof=1) / np.sqrt(len(own))) if len(own) > 1 else 0.0
    error = 1.96 * max(float(half), spread)
    low, high = min(gain.low, gain.value - error), max(gain.high, gain.value + error)
    return before.point[ground.metric], after.point[ground.metric], low, high
