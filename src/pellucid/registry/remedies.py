"""Registry lines of the remedies: what is done about a finding to see its effect. The name is that of the findings it is for.

Each target takes a ``pellucid.evaluate.effect.Ground`` and returns a ``Remedy``.
"""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.evaluate.remedies"


def _line(name: str, file: str, summary: str) -> Entry:
    cost = "up to 6 fits, three folds with and without the remedy" + (", and 3 with the likely labels" if name == "label errors" else "")
    return Entry(name, "remedy", f"{_AT}.{file}:remedy", summary, question="data", needs=("labels",), cost=cost, source="own")


ENTRIES: tuple[Entry, ...] = (
    _line("leakage", "columns", "Leave the column out: does the score fall?"),
    _line("proxies", "columns", "Leave the columns out: what does it cost?"),
    _line("constants", "columns", "Leave the column out: is anything lost?"),
    _line("duplicates", "copies", "Keep copies in one part: does the score fall?"),
    _line("near duplicates", "copies", "Keep near copies in one part: does the score fall?"),
    _line("label errors", "labels", "Learn without the doubted labels, or with the likely ones: does the score rise?"),
    _line("training rows", "labels", "Learn without these rows: does the score rise?"),
    _line("values", "cells", "Correct the cells: does the score rise?"),
    _line("slips", "cells", "Move the decimal points back: does the score rise?"),
    _line("missing", "cells", "Read the code as missing: does the score rise?"),
    _line("across", "splits", "Split by group or time: does the score fall?"),
    _line("order dependence", "splits", "Split by blocks of rows: does the score fall?"),
)
