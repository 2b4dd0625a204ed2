"""Well-mixed bits of whole numbers, the same on every machine."""

from __future__ import annotations

from typing import Any

import torch

from pellucid.nn.cells import Cells

__all__ = ["hashed_rows", "mixed_bits"]


def mixed_bits(x: torch.Tensor) -> torch.Tensor:
    """Return 64 well-mixed bits of each int64 (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195; products wrap around)."""
    x = x * -7046029254386353131  # 0x9E3779B97F4A7C15
    # right shifts keep the sign: the mask makes them logical
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ ((x >> 31) & ((1 << 33) - 1))


class _Bits(torch.autograd.Function):
    """The bits of float32 numbers; vmap has no rule of its own for a change of type, which acts on each number alone."""

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.contiguous().view(torch.int32).long()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: torch.Tensor) -> tuple[torch.Tensor, int | None]:
        return _Bits.apply(x), in_dims[0]


def _bits(x: torch.Tensor) -> torch.Tensor:
    """Return the bits of float32 numbers, as int64 of the same shape."""
    out: torch.Tensor = _Bits.forward(x) if torch.compiler.is_exporting() else _Bits.apply(x)
    return out


def hashed_rows(cells: Cells) -> torch.Tensor:
    """Return one int64 per row (N,): equal for rows whose cells are equal to the bit, and for other rows but once in 2**64."""
    numbers, missing, codes, vectors = cells
    flat = [_bits(numbers), missing.long(), codes, _bits(vectors.flatten(1))]
    every = torch.cat(flat, 1)
    place = mixed_bits(torch.arange(1, every.shape[1] + 1, device=every.device))
    return mixed_bits(every ^ place).sum(1)
