"""The code of two numbers of a row model: from it a row's cells are told as well as from any two numbers.

Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647; here the bottleneck of a masked autoencoder, see
:class:`pellucid.RowModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.maps.ask import Ask
from pellucid.maps.layout import Layout
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["Code", "find"]


@dataclass(frozen=True)
class Code:
    """The row model's code, for new rows."""

    row_model: Any
    words: str = "put exactly: the same code"

    def __call__(self, points: FloatArray, table: Table) -> FloatArray:
        """Return the places (M, 2)."""
        return np.asarray(self.row_model.code(table), np.float64)


def find(ask: Ask) -> Layout:
    """Return the row model's codes. Cost: one pass of the network over the rows."""
    if not hasattr(ask.row_model, "code"):
        raise RequestError(
            "this map is the code of a row model, and there is none",
            do="pass row_model=pellucid.RowModel().fit(table), or map(row_model, X=table)",
        )
    put = Code(ask.row_model)
    return Layout(put(ask.points, ask.table), put)
