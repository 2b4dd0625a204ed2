"""Registry lines of what tells that a table has changed. Each target takes a ``pellucid.audit.shift.pair.Pair`` and returns findings."""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.audit.shift"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "drift",
        "shift",
        f"{_AT}.drift:find",
        "Columns distributed otherwise than they were, by effect and beyond chance.",
        question="data",
        cost="2 sorts and 50 shuffles, or 200 draws of counts, per column",
        source="Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x",
    ),
    Entry(
        "joint",
        "shift",
        f"{_AT}.joint:find",
        "The tables as wholes: can a classifier tell new rows from old ones?",
        question="data",
        cost="40 fits of small boosted trees on at most 3,000 rows",
        source="Lopez-Paz and Oquab 2017, arXiv:1610.06545",
    ),
    Entry(
        "levels",
        "shift",
        f"{_AT}.marks:levels",
        "Levels that the old table does not know.",
        question="data",
        cost="one pass per level column",
    ),
    Entry(
        "units",
        "shift",
        f"{_AT}.marks:units",
        "Number columns that came in another unit.",
        question="data",
        cost="2 sorts per number column",
    ),
    Entry(
        "gaps",
        "shift",
        f"{_AT}.marks:gaps",
        "Columns that are missing far more, or far less, often than they were.",
        question="data",
        cost="one pass per column",
    ),
    Entry(
        "label",
        "shift",
        f"{_AT}.label:find",
        "The target's shares have changed: counted, or estimated where the new table has no labels.",
        question="data",
        cost="without new labels 4 fits of small boosted trees on at most 20,000 rows of each table",
        source="Lipton, Wang and Smola 2018, arXiv:1802.03916",
    ),
    Entry(
        "cost",
        "shift",
        f"{_AT}.cost:find",
        "Which change cost the model how much of its score.",
        question="data",
        needs=("black box", "labels"),
        cost="10 small fits for each changed column on at most 20,000 rows of each table; 100 resamples of 2^P weighted means",
        source="Zhang, Singh, Ghassemi and Joshi 2023, arXiv:2210.10769",
    ),
)
