"""Rows of the training table that a network keeps and answers by.

They are part of the network's state: a saved model has them, a network built anew takes them over whatever their number, and other rows
can be put in their place without training again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.hashing import hashed_rows

__all__ = ["Bank", "Memory"]

UNTRAINED = 32  # made-up rows of a network that has not been given any


class Memory(NamedTuple):
    """What a backbone reads of the kept rows.

    Shape
    -----
    encoded : (P, E), as the backbone's ``remember`` gave it. answers : (P, A), classes one-hot, or standardised values.
    of_classes : whether the answers are classes.
    """

    encoded: torch.Tensor
    answers: torch.Tensor
    of_classes: bool


class Bank(nn.Module):
    """P kept rows: their cells, their answers and their numbers in the training table.

    Parameters
    ----------
    sizes : what the cells look like.
    n_outputs : O, for the made-up rows of an untrained network.
    sampled : how many rows, drawn anew, a step of training reads.

    Attributes
    ----------
    rows : (P,) row numbers in the training table.
    n_rows, of_classes : P; whether the answers are classes.
    tended : True where a stack of networks keeps the encoded rows up to date.
    """

    numbers: torch.Tensor
    missing: torch.Tensor
    codes: torch.Tensor
    vectors: torch.Tensor
    answers: torch.Tensor
    rows: torch.Tensor
    kind: torch.Tensor
    encoded: torch.Tensor

    def __init__(self, sizes: CellSizes, n_outputs: int, sampled: int) -> None:
        super().__init__()
        self.sampled = sampled
        self._stamp: tuple[int, ...] = ()
        self.of_classes, self.tended = False, False
        codes = torch.tensor(sizes.cardinalities, dtype=torch.float32)
        numbers, drawn = torch.randn(UNTRAINED, len(sizes.bins)), torch.rand(UNTRAINED, len(sizes.cardinalities))
        vectors = torch.randn(UNTRAINED, len(sizes.vector_columns), sizes.vector_width)
        cells = Cells(numbers, torch.zeros(numbers.shape, dtype=torch.bool), (drawn * codes).long(), vectors)
        made = {**cells._asdict(), "answers": torch.randn(UNTRAINED, n_outputs), "rows": torch.full((UNTRAINED,), -1)}
        for name, value in made.items():
            self.register_buffer(name, value)
        self.register_buffer("kind", torch.tensor(False))
        self.register_buffer("encoded", torch.zeros(UNTRAINED, 0), persistent=False)

    @property
    def n_rows(self) -> int:
        """P."""
        return int(self.answers.shape[-2])

    @property
    def cells(self) -> Cells:
        """The rows' cells (P, ...)."""
        return Cells(self.numbers, self.missing, self.codes, self.vectors)

    def put(self, cells: Cells, answers: torch.Tensor, of_classes: bool, rows: torch.Tensor | None = None) -> None:
        """Keep these rows in place of all others."""
        n = cells.n_rows
        if not n or answers.ndim != 2 or len(answers) != n:
            raise RequestError(
                "the rows to keep cannot be used",
                expected="at least one row, answers (P, A)",
                got=f"{n} rows, answers {tuple(answers.shape)}",
            )
        numbered = torch.arange(n) if rows is None else rows
        for name, value in {**cells._asdict(), "answers": answers.float(), "rows": numbered, "kind": torch.tensor(of_classes)}.items():
            own = getattr(self, name)
            setattr(self, name, value.detach().clone().to(own.device, own.dtype))
        self.of_classes = of_classes
        self.forget()

    # -- the encoded rows of evaluation, kept until weights or rows change -------------------------------------------------------

    def forget(self) -> None:
        """Drop the encoded rows."""
        self._stamp = ()

    def stale(self, stamp: tuple[int, ...]) -> bool:
        """Return whether the encoded rows are those of other weights than the stamp's; a graph keeps those it was exported with."""
        return self._stamp != stamp and not torch.compiler.is_exporting()

    def keep(self, encoded: torch.Tensor, stamp: tuple[int, ...]) -> None:
        """Keep the encoded rows of these weights."""
        self.encoded, self._stamp = encoded, stamp

    def draw(self) -> tuple[Cells, torch.Tensor]:
        """Return (cells, answers) of the rows that one step of training reads: all, or a sample without repetition."""
        if self.n_rows <= self.sampled:
            return self.cells, self.answers
        at = torch.randperm(self.n_rows, device=self.answers.device)[: self.sampled]
        return self.cells.take(at), self.answers[at]

    @staticmethod
    def same(cells: Cells, kept: Cells) -> torch.Tensor:
        """Return which rows are which kept rows, (N, P): those whose cells are equal to the bit."""
        return hashed_rows(cells)[:, None] == hashed_rows(kept)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, own in self._buffers.items():
            given = state_dict.get(prefix + name)
            if own is not None and given is not None and given.shape != own.shape:
                setattr(self, name, own.new_empty(given.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.of_classes = bool(self.kind.any())
        self.forget()
