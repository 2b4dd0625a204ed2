"""Errors by group: does the model err more, or otherwise, for some groups of people, beyond what groups of these sizes show by chance?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.by_group import by_group
from pellucid.audit.groups import watched_columns
from pellucid.audit.view import ALPHA, View
from pellucid.random import stream
from pellucid.results import Finding, GroupTable

__all__ = ["find"]

ROWS = 20_000
LEAST = 0.05
"""Gap of shares, and of means in the spread of the target, below which nothing is said."""
TOLD = ("tpr", "fpr", "ppv", "accuracy", "mae", "bias")


def find(view: View) -> list[Finding]:
    """Return a finding for each watched column between whose groups the model's errors differ; none without a model and a target."""
    model, target = view.predictor, view.target
    if target is None or not (hasattr(model, "predict_proba") or hasattr(model, "predict")):
        return []
    watched = [n for n in watched_columns(view) if n != target.name]
    rows = view.sample[target.present[view.sample]]
    rows = np.sort(stream(view.seed, "audit", "errors").choice(rows, ROWS, replace=False)) if len(rows) > ROWS else rows
    if not len(rows) or not watched or target.n_distinct < 2:
        return []
    table, found = view.table.take(rows), []
    wanted = set(getattr(model, "feature_names_in_", ())) or set(view.features)
    if not wanted <= set(view.table.columns):
        return []
    for name in watched:
        found += list(_unequal(view, by_group(model, table, by=name, seed=view.seed), len(watched)))
    return found


def _unequal(view: View, made: GroupTable, tests: int) -> Iterator[Finding]:
    told = [m for m in TOLD if m in made.gaps]
    beyond = [m for m in told if made.gaps[m].p < ALPHA / (tests * len(told))]
    spread = float(np.nanstd(view.target.values)) if view.target is not None and not view.target.is_classes else 0.0
    large = [m for m in beyond if made.gaps[m].value >= (LEAST if made.gaps[m].shares else LEAST * spread)]
    if not large:
        return
    remedy = f"compare models and thresholds by pld.by_group(model, table, by='{made.by}') on rows that no model learned from; "
    remedy += "with unequal prevalence, error rates and precision cannot all be equal: decide which should be"
    figures = {m: {"gap": made.gaps[m].value, "by chance": made.gaps[m].by_chance, "left out": dict(made.gaps[m].left_out)} for m in large}
    yield view.finding("group errors", "medium", (made.by,), made.words, remedy, figures=figures, sampled=True)
