"""Deliberately wrong regularizers, column encoders and samples of networks, one fault each: the check of the same subject must go red."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pellucid.nn.regularizers.base import Mixed, Regularizer, Trace

if TYPE_CHECKING:
    from pellucid.nn.cells import Cells
    from pellucid.nn.table_net import TableNet

__all__ = ["ENCODERS", "REGULARIZERS", "PlainEncoder", "ShrinksTokens", "spreads_by_itself"]


class ShrinksTokens(Regularizer):
    """A regularizer without a fault: the mean square of the tokens costs. The saboteurs change one thing each."""

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        return trace.tokens.square().mean((1, 2))


class Idle(ShrinksTokens):
    """Looks at the tokens, and charges nothing for them."""

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        return 0.0 * super().penalty(net, trace)


class MixesAnswersOnly(Regularizer):
    """Says that rows are mixed by a share that is not a number."""

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed:
        rows = torch.arange(tokens.shape[0])
        return Mixed(tokens, rows, torch.full((len(rows),), float("nan")))


class WritesToTheNetwork(ShrinksTokens):
    """Shrinks the weights themselves, so that the network answers otherwise afterwards."""

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        with torch.no_grad():
            for weight in net.parameters():
                weight.mul_(0.99)
        return cells


class LeavesItInEvaluation(ShrinksTokens):
    """Switches dropout off for its own look at the network, and forgets to switch it on again."""

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        net.eval()
        return cells


class Uphill(ShrinksTokens):
    """States the right penalty with a gradient of the wrong sign."""

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        size = super().penalty(net, trace)
        return 2 * size.detach() - size


REGULARIZERS: dict[str, tuple[type[Regularizer], ...]] = {
    "it_does_something_and_stays_finite": (Idle, MixesAnswersOnly),
    "evaluation_never_sees_it": (WritesToTheNetwork, LeavesItInEvaluation),
    "its_penalty_can_be_learned_away": (Uphill,),
}
"""By check, the regularizers on which it must go red."""


def spreads_by_itself(net: TableNet, cells: Cells, batches: torch.Tensor) -> list[TableNet]:
    """Return copies that differ by noise on their weights, whatever batches they were given."""
    copies = []
    for i, _ in enumerate(batches):
        one, draw = copy.deepcopy(net).eval(), torch.Generator().manual_seed(i)
        with torch.no_grad():
            for weight in one.parameters():
                weight.add_(0.02 * torch.randn(weight.shape, generator=draw))
        copies.append(one)
    return copies


class PlainEncoder(nn.Module):
    """An encoder of numbers without a fault: a line for each slot, and a vector for what is missing. The saboteurs change one thing each.

    Parameters
    ----------
    bins : of each of S slots. d_token : D.
    """

    def __init__(self, bins: Sequence[Any], d_token: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(len(bins), d_token)) for _ in range(2))
        self.missing = nn.Parameter(torch.randn(len(bins), d_token))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return torch.where(missing[..., None], self.missing, torch.addcmul(self.bias, numbers[..., None], self.weight))


class NeedsManyRows(PlainEncoder):
    """Divides by the spread of the rows beside a row: one row alone has none."""

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        out = super().forward(numbers, missing)
        return out / (out - out.mean(0)).square().mean(0).sqrt()


class MixesSlots(PlainEncoder):
    """Lets a slot read its neighbour."""

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return super().forward(numbers + 0.01 * numbers.roll(1, 1), missing)


class ReadsOtherRows(PlainEncoder):
    """Centres a row on the rows beside it."""

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return super().forward(numbers - 0.1 * numbers.mean(0), missing)


class ForgetsWhatIsMissing(PlainEncoder):
    """Takes a missing cell for the zero that stands in its place."""

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return super().forward(numbers, torch.zeros_like(missing)) + 0.0 * self.missing


class DeadVector(PlainEncoder):
    """Holds a vector that nothing reads."""

    def __init__(self, bins: Sequence[Any], d_token: int) -> None:
        super().__init__(bins, d_token)
        self.unused = nn.Parameter(torch.randn(d_token))


class ScaleOutsideItsState(PlainEncoder):
    """Keeps a scale that is not part of its state."""

    _calls = itertools.count(1)

    def __init__(self, bins: Sequence[Any], d_token: int) -> None:
        super().__init__(bins, d_token)
        self.scale = 1.0 + next(self._calls)

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return self.scale * super().forward(numbers, missing)


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "every_slot_becomes_one_finite_vector": NeedsManyRows,
    "slots_do_not_mix": MixesSlots,
    "rows_are_independent": ReadsOtherRows,
    "missing_is_told_apart_from_a_value": ForgetsWhatIsMissing,
    "gradient_reaches_every_parameter": DeadVector,
    "state_makes_the_round_trip": ScaleOutsideItsState,
}
"""By check, the encoder on which it must go red."""
