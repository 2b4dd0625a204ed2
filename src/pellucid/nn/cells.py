"""What a network reads: one row of tensors per table row, and the sizes they come in.

Every source column becomes exactly one token, whatever its encoding: a column that owns several slots (a date: elapsed time and
calendar parts) has their embeddings added up. So tokens are (N, C, D) and column j of the table is token j.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["CellSizes", "Cells"]


class Cells(NamedTuple):
    """Encoded rows.

    Shape
    -----
    numbers : (N, Sn) float32, scaled; missing cells hold 0.
    missing : (N, Sn) bool, which numbers are missing.
    codes : (N, Sc) int64, per slot: 0 missing, 1 unseen, 2.. levels.
    vectors : (N, Sv, V) float32: hashed text, calendar parts; padded with 0 to the widest.
    """

    numbers: torch.Tensor
    missing: torch.Tensor
    codes: torch.Tensor
    vectors: torch.Tensor

    def take(self, rows: torch.Tensor | slice) -> Cells:
        """Return some rows."""
        return Cells(*(t[rows] for t in self))

    def to(self, device: torch.device | str) -> Cells:
        """Return the cells on a device."""
        return Cells(*(t.to(device) for t in self))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.numbers.shape[0])

    def without(self, hidden: torch.Tensor, sizes: CellSizes) -> Cells:
        """Return the rows with the cells of the columns ``hidden`` (N, C) shown as missing."""
        numbers = self.missing | hidden[:, list(sizes.number_columns)]
        return Cells(
            self.numbers.masked_fill(numbers, 0.0),
            numbers,
            self.codes.masked_fill(hidden[:, list(sizes.code_columns)], 0),
            self.vectors.masked_fill(hidden[:, list(sizes.vector_columns), None], 0.0),
        )


@dataclass(frozen=True)
class CellSizes:
    """What a network must know of its input.

    Attributes
    ----------
    n_columns : C, the source columns = tokens.
    bins : Sn arrays of increasing bin edges on the scaled numbers, (T_j + 1,) each; one bin for a column without resolution.
    cardinalities : Sc sizes, with the slots for missing and unseen counted in.
    vector_width : V.
    number_columns, code_columns, vector_columns : for each slot the index of its source column.
    names : the C columns' names. name_vectors : (C, V), vectors that stand for them. Both only where an embedding asks for them.
    """

    n_columns: int
    bins: tuple[npt.NDArray[np.float32], ...]
    cardinalities: tuple[int, ...]
    vector_width: int
    number_columns: tuple[int, ...]
    code_columns: tuple[int, ...]
    vector_columns: tuple[int, ...]
    names: tuple[str, ...] = ()
    name_vectors: npt.NDArray[np.float32] | None = None
