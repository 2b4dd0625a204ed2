"""Common checks of remedies: the effect of a planted fault is proven, and a finding about nothing is not.

A subject is what tries a finding by one remedy: ``(finding, table) -> Trial``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.evaluate.effect import run
from pellucid.registry import Entry
from pellucid.results import Finding, RunRecord, Trial
from pellucid.table import Table, read_table
from pellucid.testing.checks import Check
from pellucid.testing.checks_audit import clean_frame

__all__ = ["CHECKS", "PLANTED", "finding", "planted", "subject"]

Try = Callable[[Finding, Table], Trial]
ROWS = 900


def finding(table: Table, kind: str, columns: tuple[str, ...] = (), rows: Any = (), **figures: Any) -> Finding:
    """Return a finding about a table, made by hand."""
    record = RunRecord(f"audit: {kind}", {}, 0, table.fingerprint())
    return Finding(kind, "medium", columns, "made by hand, 1 case", "try it", record, np.asarray(rows, np.int64), None, figures)


def _read(frame: pd.DataFrame, **types: str) -> Table:
    return read_table(frame, target="ill", types=types or None)


def _leak() -> Finding | Any:
    frame = clean_frame(ROWS)
    table = _read(frame.assign(code=frame["ill"].map({"yes": "X1", "no": "X0"})))
    return finding(table, "leakage", ("code",)), table


def _told(kind: str) -> Callable[[], Any]:
    def made() -> Any:
        table = _read(clean_frame(ROWS))
        return finding(table, kind, ("pressure", "dose") if kind == "proxies" else ("dose", "pressure")), table

    return made


def _copies(jitter: float) -> Callable[[], Any]:
    def made() -> Any:
        some = clean_frame(ROWS // 3).assign(ill=lambda t: np.random.default_rng(1).choice(["yes", "no"], len(t)))
        frame = pd.concat([some, some, some], ignore_index=True)
        frame["age"] += np.random.default_rng(2).normal(0, 1, len(frame)) * jitter
        table = _read(frame)
        kind = "near duplicates" if jitter else "duplicates: exact copies"
        return finding(table, kind, ("age",), np.arange(len(table))), table

    return made


def _flips(kind: str) -> Callable[[], Any]:
    def made() -> Any:
        frame, wrong = clean_frame(ROWS), np.random.default_rng(4).random(ROWS) < 0.3
        table = _read(frame.assign(ill=np.where((frame["pressure"] > 120) ^ wrong, "yes", "no")))
        # the rows that are judged bear wrong labels too; the others must still be answered better
        return finding(table, kind, ("ill",), np.flatnonzero(wrong)), table

    return made


def _stretched(kind: str, factor: float) -> Callable[[], Any]:
    def made() -> Any:
        frame, hit = clean_frame(ROWS), np.random.default_rng(5).random(ROWS) < 0.5
        frame["ill"] = np.where(frame["pressure"] > 120, "yes", "no")
        cells = frame["pressure"] * 1.2 if factor else -999.0 + 0 * frame["pressure"]
        table = _read(frame.assign(pressure=frame["pressure"].where(~hit, cells)))
        figures = {"factor": factor} if factor else {}
        return finding(table, kind, ("pressure",), np.flatnonzero(hit), **figures), table

    return made


def _slipped() -> Finding | Any:
    frame, hit = clean_frame(ROWS), np.random.default_rng(5).random(ROWS) < 0.5
    frame["ill"] = np.where(frame["pressure"] > 120, "yes", "no")
    table = _read(frame.assign(pressure=frame["pressure"].where(~hit, 10 * frame["pressure"])))
    rows = np.flatnonzero(hit)
    return finding(table, "slips: decimal point", ("pressure",), rows, powers=dict.fromkeys(rows.tolist(), 1)), table


def _families(kind: str) -> Callable[[], Any]:
    def made() -> Any:
        draw, family = np.random.default_rng(6), np.arange(ROWS) // 9
        frame = clean_frame(ROWS).assign(
            age=family + draw.normal(0, 0.1, ROWS), ill=np.where(draw.random(ROWS // 9) < 0.5, "yes", "no")[family]
        )
        if kind == "across: groups":
            frame["patient"] = [f"P{k:04d}" for k in family]
        table = _read(frame, **({"patient": "identifier"} if kind == "across: groups" else {}))
        return finding(table, kind, ("patient",) if kind == "across: groups" else ("age",), ()), table

    return made


PLANTED: Mapping[str, Callable[[], Any]] = {
    "leakage": _leak,
    "proxies": _told("proxies"),
    "constants": _told("constants: doubled"),
    "duplicates": _copies(0.0),
    "near duplicates": _copies(1e-3),
    "label errors": _flips("label errors"),
    "training rows": _flips("training rows: el2n"),
    "values": _stretched("values: unit slip", 1.2),
    "slips": _slipped,
    "missing": _stretched("missing: code", 0.0),
    "across": _families("across: groups"),
    "order dependence": _families("order dependence"),
}
"""By remedy: a finding whose effect is large, and its table."""


MODELS: Mapping[str, str] = {"missing": "linear", "slips": "linear"}
"""Models that the fault harms, where boosted trees get over it."""


def planted(name: str) -> tuple[Finding, Table]:
    """Return the planted finding of a remedy and its table."""
    made: tuple[Finding, Table] = PLANTED[name]()
    return made


def _harmless(name: str) -> tuple[Finding, Table]:
    """Return a finding of the same kind about a table that has no such fault."""
    real, _ = planted(name)
    frame = clean_frame(ROWS).assign(mark=np.random.default_rng(7).choice(["x", "o"], ROWS))
    if real.kind == "across: groups":
        frame["patient"] = [f"P{k:04d}" for k in np.random.default_rng(8).integers(0, 100, ROWS)]
    table = _read(frame, **({"patient": "identifier"} if "patient" in frame else {}))
    rows: npt.NDArray[np.int64] = np.sort(np.random.default_rng(9).permutation(ROWS)[:60])
    columns = {"values": ("mark",), "missing": ("mark",), "across": ("patient",)}.get(name, ("mark",))
    return finding(table, real.kind, columns, rows), table


def subject(entry: Entry) -> Try:
    """Return what tries findings of this kind."""

    def attempt(of: Finding, table: Table) -> Trial:
        return run(of, MODELS.get(entry.name), table, budget=60.0)

    attempt.__name__ = entry.name
    return attempt


def check_a_planted_effect_is_proven(attempt: Try) -> None:
    """The score moves as it must, beyond its interval, and the words give both scores."""
    of, table = planted(attempt.__name__)
    made = attempt(of, table)
    assert made.verdict == "pass", f"the effect of a planted fault is not proven: {made.words}"
    assert made.interval[0] <= made.figure <= made.interval[1], "the figure lies outside its interval"
    told = f"{made.details['before']:.3f}" in made.words and f"{made.details['after']:.3f}" in made.words
    assert told, f"the words do not give both scores: {made.words}"


def check_a_finding_about_nothing_is_not_proven(attempt: Try) -> None:
    """A finding of the same kind about a faultless table does not pass."""
    of, table = _harmless(attempt.__name__)
    made = attempt(of, table)
    assert made.verdict != "pass", f"an effect was proven where there is none: {made.words}"


CHECKS: tuple[Check, ...] = (
    Check(check_a_planted_effect_is_proven, lambda e: e.name in PLANTED),
    Check(check_a_finding_about_nothing_is_not_proven, lambda e: e.name in PLANTED, long=True),
)
