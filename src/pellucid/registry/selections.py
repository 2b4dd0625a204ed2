"""Registry lines of the selectors: which columns count, with a stated rate of false discoveries."""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.select"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "conditional_randomisation",
        "select",
        f"{_AT}.conditional_randomisation:select",
        "Is the loss on new rows larger when a column is drawn anew given the others?",
        question="why",
        needs=("labels", "whole table"),
        gives="Selection",
        options={"draws": None, "control": "bh", "rows": 1000},
        cost="S P N model rows on N = 1,000 rows; S draws, by default 2 P / level; a table is fitted by boosted trees once",
        source="Candes, Fan, Janson and Lv 2018, arXiv:1610.02351; Tansey et al. 2022, arXiv:1811.00645",
    ),
    Entry(
        "irt",
        "select",
        f"{_AT}.irt:select",
        "Row by row: is the answer unusual against the cell drawn anew given the others?",
        question="why",
        needs=("black box",),
        gives="Selection",
        options={"draws": 199, "control": "bh"},
        cost="S P model rows per row, S = 199 draws",
        source="Burns, Thomason and Tansey 2020, arXiv:1904.00045",
    ),
    Entry(
        "osft",
        "select",
        f"{_AT}.osft:select",
        "Row by row, with one draw per cell: do cells move the answer further than their own chance does?",
        question="why",
        needs=("black box",),
        gives="Selection",
        options={"side": "away"},
        cost="9 P model rows per row",
        source="Burns, Thomason and Tansey 2020, arXiv:1904.00045",
    ),
    Entry(
        "skit",
        "select",
        f"{_AT}.skit:select",
        "A bet against a column adding nothing, which may be stopped at any time; columns by how fast it is won.",
        question="why",
        needs=("whole table",),
        gives="Selection",
        options={"kind": "conditional", "steps": 500},
        cost="9 S^2 kernel values a column and 4 S^3 once, S = 500 steps; of single rows 2 S model rows a cell",
        source="Teneggi and Sulam 2024, arXiv:2405.19146; Podkopaev et al. 2023, arXiv:2212.07383; Shaer et al. 2023, arXiv:2210.00354",
    ),
)
