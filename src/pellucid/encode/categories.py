"""Levels to codes: 0 for missing, 1 for unseen, 2.. for the levels of training, each column for itself.

Look-up tables after Guo and Berkhahn 2016, arXiv:1604.06737, with two rows of their own for missing and unseen cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.table import Table

__all__ = ["MISSING", "UNSEEN", "LevelEncoder"]

MISSING, UNSEEN = 0, 1


@dataclass(frozen=True)
class LevelEncoder:
    """The levels of one column, in a fixed order.

    Examples
    --------
    >>> encoder = LevelEncoder("sex", ("F", "M"))
    >>> encoder.codes(np.array([0, 1, 2, -1]), ("M", "F", "X"))
    array([3, 2, 1, 0])
    """

    column: str
    levels: tuple[str, ...]

    @classmethod
    def fit(cls, table: Table, column: str) -> LevelEncoder:
        """Learn the levels that occur in ``table``; an ordered column keeps the order of its schema."""
        codes, texts = table.levels(column)
        present = {texts[i] for i in np.unique(codes) if i >= 0}
        declared = tuple(level for level in table.schema[column].levels if level in present)
        return cls(column, declared + tuple(sorted(present - set(declared))))

    @property
    def cardinality(self) -> int:
        """Number of codes: the levels, missing and unseen."""
        return len(self.levels) + 2

    def codes(self, codes: npt.NDArray[np.int64], texts: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Translate codes into ``texts`` (-1 missing) to codes of this encoder; (N,) to (N,)."""
        at = {level: i + 2 for i, level in enumerate(self.levels)}
        table = np.array([at.get(t, UNSEEN) for t in texts] + [MISSING], np.int64)
        return table[codes]

    def transform(self, table: Table) -> npt.NDArray[np.int64]:
        """Return the codes of a table's column, (N,)."""
        return self.codes(*table.levels(self.column))

    def text(self, code: int) -> str:
        """Return the level behind a code, in words for the two special ones."""
        return ("(missing)", "(unseen)", *self.levels)[code]

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs, as plain JSON types."""
        return {"column": self.column, "levels": list(self.levels)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LevelEncoder:
        """Return the encoder that :meth:`state` described."""
        return cls(state["column"], tuple(state["levels"]))
