"""Made-up answers about a table, with hostile names: repairs, fills, groups, learning curves, shift with its cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pellucid.results import CostOfShift, Gap, GroupTable, LearningCurve, Rate, Repairs, RunRecord, Shift

RECORD = RunRecord("made", {"budget": 100}, 0, "ab12", 1.0, caveats=("fits use at most 20,000 rows of each table",))


def changes(first: str, second: str) -> dict[str, Any]:
    """Return the facts of a report that speak of changes, with two names wherever text from data can stand."""
    cells = np.array([second, first, "12,5"], object)
    repairs = Repairs(
        np.array([3, 9, 12]), np.array([first, first, second], object), cells, np.array([first, "F", None], object),
        np.array(["spelling", "spelling", "code for missing"], object), np.array([0.97, 0.95, 0.7]),
        np.array([f"{second} is spelt almost like {first}", "rare", f"reason {second}"], object), RECORD, {first: {second: 12, "?": 3}},
    )  # fmt: skip
    rate = lambda v, told=True: Rate(v, v - 0.05, v + 0.05, 300, told)  # noqa: E731
    gap = Gap(0.2, 0.1, 0.3, 0.04, 0.09, 0.001, first, "F")
    groups = GroupTable(
        second, first, {first: 300, "F": 280, "x": 12}, {"tpr": {first: rate(0.7), "F": rate(0.5), "x": rate(0.6, False)},
        "accuracy": {first: rate(0.9), "F": rate(0.88), "x": rate(0.8, False)}}, {"tpr": gap}, f"groups of {second}: {first} apart", RECORD,
    )  # fmt: skip
    rows = [
        {"model": m, "rows": n, "noise": 0.0, "score": s, "low": s - 0.02, "high": s + 0.02, "repeats": 2, "gain": s - 0.7,
         "gain_low": s - 0.72, "gain_high": s - 0.68}
        for m, scores in ((first, (0.6, 0.74, 0.85)), ("linear", (0.7, 0.72, 0.73)))
        for n, s in zip((100, 400, 1600), scores)
    ]  # fmt: skip
    learning = LearningCurve(tuple(rows), "roc_auc", "linear", {(first, 0.0): 1600}, f"{first} overtakes linear.", RECORD)
    effects = {"rule": "median", "cells": 12, "share": 0.1, "distance": 0.2, "variance_ratio": np.nan, "correlation_change": 0.0}
    filled = tuple(effects | {"column": c, "distorted": k == 0, "words": f"words {c}"} for k, c in enumerate((first, second)))
    cost = CostOfShift(
        (first, second, "the relation"), np.array([0.02, 0.3, -0.05]), np.array([0.01, 0.03, 0.02]), 0.5, 0.77, "log loss", "nats", 900.0,
        0.01, f"{second} +0.3", RECORD,
    )  # fmt: skip
    drift = pd.DataFrame({
        "column": ["age", first, second], "effect": [0.05, 0.8, 0.02], "effect_unit": ["sd", "sd", "TV"], "by_chance": [0.06, 0.06, 0.03],
        "q": [0.4, 1e-9, 0.8], "changed": [False, True, False],
    })  # fmt: skip
    moved = Shift(drift, {"auc": 0.7}, (), cost, f"1 of 3 columns has changed: {first}", RECORD)
    return {
        "repairs": repairs, "group_tables": (groups,), "learning": learning, "filled": filled, "shift": moved,
        "shift_words": "From 900 rows of an older table to the 1,200 rows of this one.",
    }  # fmt: skip
