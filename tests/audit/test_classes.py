"""Remarks on the target."""

import numpy as np
import pandas as pd

from pellucid.audit.classes import find
from pellucid.audit.view import View
from pellucid.table import read_table


def by_kind(frame, target):
    return {f.kind: f for f in find(View(read_table(frame, target=target)))}


def test_rare_classes_and_imbalance(clean):
    t = clean(1000, 0)
    t["kind"] = np.where(np.arange(1000) < 4, "rare", np.where(np.arange(1000) == 4, "once", np.where(np.arange(1000) < 30, "few", "many")))
    found = by_kind(t, "kind")
    assert list(found["classes: rare class"].rows) == [0, 1, 2, 3, 4]
    assert "'once' with one row" in found["classes: rare class"].evidence
    assert "their labels were not judged" in found["classes: rare class"].evidence
    assert "'few' in 25 of 1,000 rows (2.5 %)" in found["classes: imbalance"].evidence
    assert "right in 97.0 %" in found["classes: imbalance"].evidence
    assert by_kind(t, "ill") == {}
    assert find(View(read_table(t))) == []


def test_missing_constant_and_few_values(clean):
    t = clean(1000, 1)
    t.loc[:99, "ill"] = None
    assert list(by_kind(t, "ill")["classes: missing target"].rows) == list(range(100))
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.random.default_rng(0).integers(3, 10, 100)})
    assert "7 values (3, 4, 5, 6, 7, 8, 9)" in by_kind(frame, "y")["classes: few values"].evidence
