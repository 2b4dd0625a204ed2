"""Wrong doubles of what compares tables and of what tries findings: a check counts once it has been seen to go red on one of these."""

from __future__ import annotations

from dataclasses import replace

from pellucid.audit.shift.pair import Pair
from pellucid.evaluate.effect import run
from pellucid.results import Finding, Trial
from pellucid.table import Table

__all__ = ["REMEDIES", "SHIFTS", "believes_everything", "cries_wolf", "doubts_everything", "stays_silent"]


def cries_wolf(pair: Pair) -> list[Finding]:
    """Say that the first column has changed, whatever the tables are."""
    return [pair.new.finding("shift: column", "high", pair.names[:1], "it has changed by 7", "look at it")]


def stays_silent(pair: Pair) -> list[Finding]:
    """Find nothing, whatever the tables are."""
    return []


def believes_everything(finding: Finding, table: Table) -> Trial:
    """Pass every finding, whatever the score does."""
    return replace(run(finding, table, budget=0.01), verdict="pass")


def doubts_everything(finding: Finding, table: Table) -> Trial:
    """Fail every finding, whatever the score does."""
    return replace(run(finding, table, budget=0.01), verdict="fail")


SHIFTS = {"it_is_silent_where_nothing_changed": cries_wolf, "it_finds_its_planted_change": stays_silent}
REMEDIES = {"a_planted_effect_is_proven": doubts_everything, "a_finding_about_nothing_is_not_proven": believes_everything}
"""The double on which each check must go red."""
