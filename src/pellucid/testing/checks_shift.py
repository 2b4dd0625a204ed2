"""Common checks of what compares two tables: silent on two samples of one law, loud on the planted change, nothing changed in the tables.

A subject is the registered function: ``find(pair) -> list[Finding]`` on a :class:`pellucid.audit.shift.pair.Pair`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pellucid import registry
from pellucid.audit.shift.pair import Pair, pair
from pellucid.registry import Entry
from pellucid.results import Finding
from pellucid.testing.checks import Check
from pellucid.testing.checks_audit import OneRule, clean_frame

__all__ = ["CHANGES", "CHECKS", "subject", "two"]

Find = Callable[[Pair], list[Finding]]


def _older(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(age=t["age"] + 6)


def _related(t: pd.DataFrame) -> pd.DataFrame:
    """Each column stays as it is; pressure and age now go together."""
    order = np.argsort(np.argsort(t["age"] + np.random.default_rng(5).normal(0, 3, len(t))))
    return t.assign(pressure=np.sort(t["pressure"])[order])


def _islands(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(region=t["region"].where(np.arange(len(t)) % 20 > 0, "islands"))


def _inches(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(pressure=t["pressure"] * 2.54)


def _holes(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(dose=t["dose"].mask(np.arange(len(t)) % 5 == 0))


def _sicker(t: pd.DataFrame) -> pd.DataFrame:
    kept = (t["ill"] == "yes") | (np.arange(len(t)) % 3 == 0)
    return pd.DataFrame(t[kept].reset_index(drop=True))


def _another_rule(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(ill=np.where(t["sex"] == "F", "yes", t["ill"]))


CHANGES: Mapping[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "drift": (_older, "age"),
    "joint": (_related, "age"),
    "levels": (_islands, "region"),
    "units": (_inches, "pressure"),
    "gaps": (_holes, "dose"),
    "label": (_sicker, "ill"),
    "cost": (_another_rule, "ill"),
}
"""By name: what changes the new table, and the column to be named."""


def two(name: str = "", seed: int = 0, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda t: t) -> Pair:
    """Return an old and a new sample of the clean law, the new one changed."""
    model: Any = OneRule() if name == "cost" else None
    return pair(clean_frame(1000, 2 * seed), change(clean_frame(1000, 2 * seed + 1)), target="ill", model=model)


def subject(entry: Entry) -> Find:
    """Return the registered function, named after its entry."""
    target = registry.resolve(entry)

    def find(of: Pair) -> list[Finding]:
        found: list[Finding] = target(of)
        return found

    find.__name__ = entry.name
    return find


def check_it_is_silent_where_nothing_changed(find: Find) -> None:
    """On up to six pairs of samples of one law at most one finding above "low" is made."""
    few = 2 if find.__name__ in ("joint", "cost") else 6  # these fit some dozens of trees
    loud = [f for seed in range(few) for f in find(two(find.__name__, seed)) if f.severity != "low"]
    assert len(loud) <= 1, f"{len(loud)} findings on pairs of samples of one law, such as: {loud[0].evidence}"


def check_it_finds_its_planted_change(find: Find) -> None:
    """The change it is there for is found, the column named, and the finding can be acted on; the tables are left as they are."""
    change, column = CHANGES[find.__name__]
    of = two(find.__name__, 0, change)
    before = of.old.table.frame.copy(deep=True), of.new.table.frame.copy(deep=True)
    found = find(of)
    assert found, "the planted change was not found"
    assert any(column in f.columns for f in found), f"the change is in {column!r}; named were {[f.columns for f in found]}"
    for f in found:
        assert f.remedy, f"{f.kind} does not say what to do"
        assert any(c.isdigit() for c in f.evidence), f"{f.kind} gives no figure: {f.evidence}"
        assert not len(f.rows) or f.rows.max() < len(of.new), f"{f.kind} names rows that do not exist"
    assert before[0].equals(of.old.table.frame), "the old table was changed"
    assert before[1].equals(of.new.table.frame), "the new table was changed"


CHECKS: tuple[Check, ...] = (
    Check(check_it_is_silent_where_nothing_changed, lambda e: True),
    Check(check_it_finds_its_planted_change, lambda e: e.name in CHANGES),
)
