"""Registry lines of the remedies: what is done about a finding to see its effect. The name is that of the findings it is for.

Each target takes a ``pellucid.evaluate.effect.Ground`` and returns a ``Remedy``.
"""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.evaluate.remedies"
_COST = "up to 6 fits, three folds with and without the remedy"

ENTRIES: tuple[Entry, ...] = (
    Entry("leakage", "remedy", f"{_AT}.columns:remedy", "Leave the column out: does the score fall?", "data", cost=_COST, source="own"),
    Entry("proxies", "remedy", f"{_AT}.columns:remedy", "Leave the columns out: what does it cost?", "data", cost=_COST, source="own"),
    Entry("constants", "remedy", f"{_AT}.columns:remedy", "Leave the column out: is anything lost?", "data", cost=_COST, source="own"),
    Entry("duplicates", "remedy", f"{_AT}.copies:remedy", "Keep copies in one part: does the score fall?", "data", cost=_COST, source="own"),
    Entry("near duplicates", "remedy", f"{_AT}.copies:remedy", "Keep near copies in one part: does the score fall?", "data", cost=_COST, source="own"),
    Entry("label errors", "remedy", f"{_AT}.labels:remedy", "Learn without the doubted labels: does the score rise?", "data", cost=_COST, source="own"),
    Entry("training rows", "remedy", f"{_AT}.labels:remedy", "Learn without these rows: does the score rise?", "data", cost=_COST, source="own"),
    Entry("values", "remedy", f"{_AT}.cells:remedy", "Correct the cells: does the score rise?", "data", cost=_COST, source="own"),
    Entry("missing", "remedy", f"{_AT}.cells:remedy", "Read the code as missing: does the score rise?", "data", cost=_COST, source="own"),
    Entry("across", "remedy", f"{_AT}.splits:remedy", "Split by group or time: does the score fall?", "data", cost=_COST, source="own"),
    Entry("order dependence", "remedy", f"{_AT}.splits:remedy", "Split by blocks of rows: does the score fall?", "data", cost=_COST, source="own"),
)  # fmt: skip
