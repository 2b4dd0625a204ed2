"""A comparison of two tables from its parts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.audit.shift import drift, joint
from pellucid.audit.shift.pair import Pair, pair
from pellucid.audit.view import listed
from pellucid.results import SEVERITIES, CostOfShift, Finding, RunRecord, Shift

__all__ = ["compare"]


def compare(old: Any, new: Any, *, model: Any, target: str | None, order: Any, random_state: Any) -> Shift:
    """Return the comparison. See :func:`pellucid.audit.shift.shift`."""
    started = time.perf_counter()
    two = pair(old, new, model=model, target=target, order=order, random_state=random_state)
    found = [f for entry in registry.entries("shift") for f in registry.resolve(entry)(two)]
    found = [*found, *_columns(two)]
    found.sort(key=lambda f: -SEVERITIES.index(f.severity))
    made: CostOfShift | None = two.kept.get("cost")
    settings = {"model": None if model is None else type(model).__name__, "target": two.target, "order": order}
    caveats = (
        () if two.rows[0].size == len(two.old) and two.rows[1].size == len(two.new) else ("fits use at most 20,000 rows of each table",)
    )
    record = RunRecord("shift", settings, two.seed, two.new.fingerprint, time.perf_counter() - started, caveats=caveats)
    return Shift(drift.measure(two), joint.measure(two), tuple(found), made, _words(two, made), record)


def _columns(two: Pair) -> list[Finding]:
    """Tell columns that only one of the tables has."""
    if not two.gone:
        return []
    words = f"the new table lacks {listed(two.gone)}" + (f" and has {listed(two.added)} instead" if two.added else "")
    remedy = "a model that reads them cannot answer; ask whether they were renamed"
    return [two.old.finding("shift: columns", "high", two.gone, words, remedy)]


def _words(two: Pair, made: CostOfShift | None) -> str:
    frame, whole = drift.measure(two), joint.measure(two)
    changed = list(frame["column"][frame["changed"]])
    text = f"{len(changed)} of {len(frame)} columns have changed" + (f": {listed(changed)}" if changed else "")
    by_trees = f"A classifier tells new rows from old ones with AUC {whole['auc']:.3f} (chance {whole['by_chance']:.3f})"
    text += f". {by_trees if np.isfinite(whole['auc']) else 'No column can be compared by a classifier'}"
    text += f". The new table lacks {listed(two.gone)}" if two.gone else ""
    if made is not None:
        return f"{text}. {made.words[:1].upper()}{made.words[1:]}."
    return text + (
        f". {two.kept['no cost'][:1].upper()}{two.kept['no cost'][1:]}." if "no cost" in two.kept and two.model is not None else "."
    )
