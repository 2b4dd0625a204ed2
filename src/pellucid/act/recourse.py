"""Recourse: single changes and their responsiveness, then joint changes for those who have not the wanted answer."""

from __future__ import annotations

from dataclasses import replace

from pellucid.act import counterfactual, responsiveness
from pellucid.act.case import Case
from pellucid.results import Actions

__all__ = ["act"]


def act(case: Case) -> Actions:
    """Return what each row can do: responsiveness per column, whether it is fixed, and up to ``options`` joint changes that were tried."""
    single = responsiveness.act(case)
    joint = counterfactual.act(case)
    return replace(
        single, options=joint.options, changes=joint.changes, unreached=joint.unreached,
        record=case.record(joint.record.settings, (*single.record.caveats, *joint.record.caveats)),
    )  # fmt: skip
