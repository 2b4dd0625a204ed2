"""Common checks of audits: silent on a clean table, loud on the planted fault, and every finding says what, where and what to do.

A subject is the registered function: ``find(view) -> list[Finding]`` on a :class:`pellucid.audit.view.View`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from pellucid import registry
from pellucid.audit.view import View
from pellucid.registry import Entry
from pellucid.results import Finding
from pellucid.table import read_table
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "FAULTS", "clean_frame", "subject"]

Find = Callable[[View], list[Finding]]


def clean_frame(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return a frame without faults: independent columns, of which two tell something about the target ``ill``."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draw.normal(45, 9, n).clip(18, 90),
            "pressure": draw.normal(120, 15, n),
            "sex": draw.choice(["F", "M"], n),
            "region": draw.choice(["north", "south", "east", "west"], n),
            "dose": draw.gamma(5, 2, n),
        }
    )
    signal = (frame["pressure"] - 120) / 15 + (frame["dose"] - 10) / 5
    return frame.assign(ill=np.where(signal + draw.normal(0, 1.5, n) > 0, "yes", "no"))


def _view(frame: pd.DataFrame, name: str = "") -> View:
    """Return the view that the audit ``name`` is to look at, with the plan or the model it needs."""
    types = {"patient": "identifier"} if "patient" in frame else None
    make = GIVEN.get(name)
    table = read_table(frame, target="ill", types=types)
    return View(table, **({} if make is None else make(table)))


class OneRule:
    """A model that says "yes" where the signal of :func:`clean_frame` is above its middle."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, X: pd.DataFrame) -> Any:
        """Return probabilities (N, 2)."""
        signal = (X["pressure"] - 120) / 15 + (X["dose"] - 10) / 5
        p = 1 / (1 + np.exp(-1.2 * signal.to_numpy(float)))
        return np.column_stack([1 - p, p])


class MarkRule:
    """A model that reads the column ``mark`` where there is one, and nothing else; else the one rule."""

    classes_ = OneRule.classes_

    def predict_proba(self, X: pd.DataFrame) -> Any:
        """Return probabilities (N, 2)."""
        if "mark" not in X:
            return OneRule().predict_proba(X)
        p = np.where(X["mark"] == "x", 0.75, 0.25)
        return np.column_stack([1 - p, p])


_FITS: dict[Any, Any] = {}


def _watched(table: Any) -> dict[str, Any]:
    """Return a refit of a small network for a view; what is fitted on the same table with the same seed is fitted once for all checks."""
    key = table.fingerprint()

    def once(seed: int | None, make: Callable[[], Any]) -> Any:
        if (key, seed) not in _FITS:
            _FITS[key, seed] = make()
        return _FITS[key, seed]

    def fitted() -> Any:
        from pellucid.estimators import TabularClassifier

        return TabularClassifier(backbone="mlp", max_steps=30, random_state=0, verbose=0, keep_rows=0).fit(table).refitter()

    class Once:
        inner = once(None, fitted)
        target, table = inner.target, inner.table

        def __call__(self, seed: int = 0, checkpoints: int = 0) -> Any:
            return once(seed, lambda: self.inner(seed=seed, checkpoints=checkpoints))

    return {"refit": Once()}


def _halves(table: Any) -> dict[str, Any]:
    rows = np.arange(len(table))
    return {"plan": {"train": rows[rows % 2 == 0], "certify": rows[rows % 2 == 1]}}


def _familiar_model() -> Any:
    """Return what stands for a fitted model: its familiarity."""
    from pellucid.training.familiarity import Familiarity

    table = read_table(clean_frame(900, 7), target="ill").drop(["ill"])
    return SimpleNamespace(certainty_=SimpleNamespace(familiarity=Familiarity.fit(table.take(slice(0, 500)), table.take(slice(500, 900)))))


def _leak(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(code=t["ill"].map({"yes": "X1", "no": "X0"}))


def _copies(t: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([t, t.iloc[:120]], ignore_index=True)


def _gaps(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(dose=t["dose"].mask((t["ill"] == "yes") & (np.arange(len(t)) % 2 == 0)))


def _other_unit(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(pressure=t["pressure"].where(np.arange(len(t)) % 100 > 0, t["pressure"] * 1000))


def _rare_class(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(ill=t["ill"].where(np.arange(len(t)) >= 3, "maybe"))


def _small_group(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(region=t["region"].where(np.arange(len(t)) >= 6, "islands"))


def _constant(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(clinic="A", twin=t["age"] * 2 + 1)


def _nearly(t: pd.DataFrame) -> pd.DataFrame:
    again = t.iloc[:120].assign(age=lambda f: f["age"] + 0.001)
    return pd.concat([t, again], ignore_index=True)


def _visits(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(patient=[f"P{i // 3:05d}" for i in range(len(t))])


def _sorted(t: pd.DataFrame) -> pd.DataFrame:
    return t.sort_values("age", ignore_index=True)


def _flipped(t: pd.DataFrame) -> pd.DataFrame:
    apart = t["pressure"] > 120
    wrong = np.arange(len(t)) % 20 == 0
    return t.assign(ill=np.where(apart ^ wrong, "yes", "no"))


def _stands_for(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(trade=np.where(np.arange(len(t)) % 8 == 0, "other", np.where(t["sex"] == "F", "nurse", "mason")))


def _wronged(t: pd.DataFrame) -> pd.DataFrame:
    hidden = (t["sex"] == "F") & (np.arange(len(t)) % 3 > 0)
    return t.assign(ill=np.where(hidden, "yes", t["ill"]))


def _marked(t: pd.DataFrame) -> pd.DataFrame:
    right = np.random.default_rng(3).random(len(t)) < 0.7
    return t.assign(mark=np.where((t["ill"] == "yes") == right, "x", "o"))


def _strange(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(age=t["age"].where(np.arange(len(t)) % 10 > 0, t["age"] + 400))


def _slipped_points(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(pressure=t["pressure"].where(np.arange(len(t)) % 100 > 0, t["pressure"] * 10))


def _broken_sum(t: pd.DataFrame) -> pd.DataFrame:
    total = (t["age"] + t["dose"]).where(np.arange(len(t)) % 250 > 0, 3.0)
    return t.assign(total=total)


def _broken_rule(t: pd.DataFrame) -> pd.DataFrame:
    net = (0.5 * t["age"] + 2 * t["dose"] - t["pressure"]).where(np.arange(len(t)) % 250 > 0, 3.0)
    return t.assign(net=net)


FAULTS: Mapping[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "leakage": (_leak, "code"),
    "duplicates": (_copies, ""),
    "missing": (_gaps, "dose"),
    "values": (_other_unit, "pressure"),
    "slips": (_slipped_points, "pressure"),
    "dependencies": (_broken_sum, "total"),
    "conformance": (_broken_rule, "net"),
    "classes": (_rare_class, "ill"),
    "groups": (_small_group, "region"),
    "constants": (_constant, "clinic"),
    "unfamiliar": (_strange, "age"),
    "near_duplicates": (_nearly, "age"),
    "across": (_visits, "patient"),
    "order_dependence": (_sorted, "age"),
    "label_errors": (_flipped, "ill"),
    "proxies": (_stands_for, "trade"),
    "group_errors": (_wronged, "sex"),
    "shortcuts": (_marked, "mark"),
    "el2n": (_flipped, "ill"),
    "grand": (_flipped, "ill"),
    "vog": (_flipped, "ill"),
}
"""By audit: what plants its fault, and the column to be named (empty where it is about rows)."""


GIVEN: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "unfamiliar": lambda table: {"predictor": _familiar_model()},
    "across": _halves,
    "near_duplicates": _halves,
    "group_errors": lambda table: {"predictor": OneRule()},
    "shortcuts": lambda table: {"predictor": MarkRule()},
    "el2n": _watched,
    "grand": _watched,
    "vog": _watched,
}
"""What an audit needs besides the table."""


TRAINED = ("el2n", "grand", "vog")
"""Audits that train a network: one clean table must do."""


def subject(entry: Entry) -> Find:
    """Return the registered function, named after its entry."""
    target = registry.resolve(entry)

    def find(view: View) -> list[Finding]:
        found: list[Finding] = target(view)
        return found

    find.__name__ = entry.name
    return find


def check_it_is_silent_on_a_clean_table(find: Find) -> None:
    """On six tables without faults at most one finding above "low" is made: an audit that tests speaks up with a chance of 1 %."""
    few = 1 if find.__name__ in TRAINED else 6
    loud = [f for seed in range(few) for f in find(_view(clean_frame(1000, seed), find.__name__)) if f.severity != "low"]
    assert len(loud) <= 1, f"{len(loud)} findings on six clean tables, such as: {loud[0].evidence}"


def check_it_finds_its_planted_fault(find: Find) -> None:
    """The fault it is there for is found, and the column is named."""
    plant, column = FAULTS[find.__name__]
    found = find(_view(plant(clean_frame()), find.__name__))
    assert found, "the planted fault was not found"
    assert not column or any(column in f.columns for f in found), f"the fault is in {column!r}; named were {[f.columns for f in found]}"


def check_findings_can_be_acted_on(find: Find) -> None:
    """Every finding has evidence with a figure or a column, a remedy, rows that exist, and a record of the table it speaks of."""
    plant, _ = FAULTS.get(find.__name__, (lambda t: t, ""))
    view = _view(plant(clean_frame()), find.__name__)
    before = view.table.frame.copy(deep=True)
    for f in find(view):
        assert f.columns or len(f.rows), f"{f.kind} names neither columns nor rows"
        told = any(c.isdigit() for c in f.evidence) or any(repr(c) in f.evidence for c in f.columns)
        assert told, f"{f.kind} gives neither a figure nor a column: {f.evidence}"
        assert f.remedy, f"{f.kind} does not say what to do"
        assert set(f.columns) <= set(view.table.columns), f"{f.kind} names columns that do not exist: {f.columns}"
        assert not len(f.rows) or (f.rows.min() >= 0 and f.rows.max() < len(view.table)), f"{f.kind} names rows that do not exist"
        assert f.record.data == view.table.fingerprint(), f"{f.kind} does not say which table it speaks of"
    assert before.equals(view.table.frame), "the audit changed the table"


CHECKS: tuple[Check, ...] = (
    Check(check_it_is_silent_on_a_clean_table, lambda e: True),
    Check(check_it_finds_its_planted_fault, lambda e: e.name in FAULTS),
    Check(check_findings_can_be_acted_on, lambda e: True),
)
