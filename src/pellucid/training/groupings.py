"""Which groups of held-out rows are remembered, so that coverage can be asked for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.table import Table

__all__ = ["groupings", "labels_of"]

MOST_LEVELS = 12
MISSING = "(missing)"


def groupings(table: Table, most: int = MOST_LEVELS) -> dict[str, npt.NDArray[Any]]:
    """Return the group labels (N,) of each level column with 2 to ``most`` levels, and of every sensitive level column.

    A missing cell is a group of its own. The labels are the canonical texts, so that new rows are matched whatever their dtype.

    Examples
    --------
    >>> from pellucid.table import read_table
    >>> kept = groupings(read_table({"sex": ["F", "M", None, "F"], "age": [31.0, 45.5, 27.1, 58.2]}))
    >>> {name: labels.tolist() for name, labels in kept.items()}
    {'sex': ['F', 'M', '(missing)', 'F']}
    """
    out = {}
    for column in table.schema:
        if column.type.is_level and (column.is_usable or column.sensitive):
            codes, levels = table.levels(column.name)
            if column.sensitive or 2 <= len(levels) <= most:
                out[column.name] = labels_of(codes, levels)
    return out


def labels_of(codes: npt.NDArray[Any], levels: tuple[str, ...]) -> npt.NDArray[Any]:
    """Return the text of each code, ``"(missing)"`` for -1."""
    return np.asarray(np.array([*levels, MISSING])[codes])
