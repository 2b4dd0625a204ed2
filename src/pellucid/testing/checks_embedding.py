"""Common checks of column encoders: what turns number slots or code slots into vectors inside a network.

A subject is an :class:`Encoder`: a module factory, and whether it reads numbers or codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid import registry
from pellucid.registry import Entry
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "Encoder", "subject"]

BINS = tuple(np.array(e, np.float32) for e in ([-2.0, -0.7, 0.1, 0.8, 2.0], [-1.0, 1.0], [-2.0, 0.0, 0.3, 2.0]))
CARDINALITIES = (4, 7, 3)
D = 8


@dataclass(frozen=True)
class Encoder:
    """An encoder under check. ``takes`` is ``"number"`` or ``"category"``."""

    factory: Callable[..., nn.Module]
    takes: str

    def made(self, seed: int = 0) -> nn.Module:
        """Return the encoder of three slots, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = self.factory(BINS, D) if self.takes == "number" else self.factory(CARDINALITIES, D, 0.0)
        return made.eval()

    def inputs(self, n: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
        """Return cells of n rows, some of them missing."""
        draw = torch.Generator().manual_seed(seed)
        if self.takes == "category":
            return (torch.stack([torch.randint(0, size, (n,), generator=draw) for size in CARDINALITIES], 1),)
        missing = torch.rand(n, 3, generator=draw) < 0.2
        return torch.randn(n, 3, generator=draw).masked_fill(missing, 0.0), missing


def subject(entry: Entry) -> Encoder:
    """Return the entry as the checks call it."""
    return Encoder(registry.resolve(entry), entry.takes)


def check_every_slot_becomes_one_finite_vector(encoder: Encoder) -> None:
    """Cells (N, S) give finite float32 vectors (N, S, D), for one row as for many."""
    for n in (1, 6):
        out = encoder.made()(*encoder.inputs(n))
        assert out.shape == (n, 3, D), f"{n} rows of 3 slots gave shape {tuple(out.shape)}"
        assert out.dtype == torch.float32, f"vectors are {out.dtype}"
        assert torch.isfinite(out).all(), "a vector is not finite"


def check_slots_do_not_mix(encoder: Encoder) -> None:
    """Another cell in one slot changes that slot's vector alone."""
    made, (cells, *rest) = encoder.made(), encoder.inputs(40)
    moved = cells.clone()
    moved[:, 1] = cells[:, 1].roll(1)
    with torch.no_grad():
        apart = (made(cells, *rest) - made(moved, *rest)).abs().amax((0, 2))
    assert float(apart[[0, 2]].max()) == 0.0, "a slot's vector changes with the cell of another slot"
    assert float(apart[1]) > 0, "a slot's vector does not change with its own cell"


def check_rows_are_independent(encoder: Encoder) -> None:
    """A row's vectors do not depend on the rows beside it."""
    made, cells = encoder.made(), encoder.inputs(9)
    with torch.no_grad():
        together = made(*cells)
        alone = torch.cat([made(*(c[i : i + 1] for c in cells)) for i in range(9)])
    assert torch.allclose(together, alone, atol=1e-6), "a row's vectors change with the rows beside it"


def check_missing_is_told_apart_from_a_value(encoder: Encoder) -> None:
    """A missing cell is not encoded as the value that stands in its place."""
    made = encoder.made()
    with torch.no_grad():
        for p in made.parameters():  # what starts at zero must be able to differ
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        if encoder.takes == "number":
            zero = torch.zeros(1, 3)
            same = (made(zero, torch.zeros(1, 3, dtype=torch.bool)) - made(zero, torch.ones(1, 3, dtype=torch.bool))).abs().amax(2)
        else:
            same = (made(torch.zeros(1, 3, dtype=torch.int64)) - made(torch.full((1, 3), 2))).abs().amax(2)
    assert (same > 0).all(), "a missing cell has the vector of a value"


def check_gradient_reaches_every_parameter(encoder: Encoder) -> None:
    """After one backward pass on cells of every kind no weight is without a gradient."""
    made = encoder.made().train()
    if not list(made.parameters()):
        return
    out = made(*encoder.inputs(400))
    # unequal weights and a linear term: the sum of squares of a sine and its cosine is constant, and flat where a weight starts at 0
    ((out.square() + out) * torch.arange(1.0, D + 1)).sum().backward()
    dead = [name for name, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not dead, f"no gradient reaches {', '.join(dead)}"


def check_state_makes_the_round_trip(encoder: Encoder) -> None:
    """Weights carried to another encoder carry the vectors."""
    one, two, cells = encoder.made(1), encoder.made(2), encoder.inputs(6)
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(*cells), two(*cells)), "an encoder with the same state gives other vectors"


def _any(entry: Any) -> bool:
    return True


CHECKS: tuple[Check, ...] = (
    Check(check_every_slot_becomes_one_finite_vector, _any),
    Check(check_slots_do_not_mix, _any),
    Check(check_rows_are_independent, _any),
    Check(check_missing_is_told_apart_from_a_value, _any),
    Check(check_gradient_reaches_every_parameter, _any),
    Check(check_state_makes_the_round_trip, _any),
)
