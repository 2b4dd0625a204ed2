"""The running mean of the weights over the last steps of a fit; see ``nn.regularizers.averaging`` for what it is and whose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

__all__ = ["Average"]


class Average:
    """The mean of a network's state over steps, and a way to put it in for a while.

    Parameters
    ----------
    state : the tensors to average, by name; read where they lie.
    share : of the planned steps, the last ones.

    Attributes
    ----------
    count : how many steps the mean holds (a tensor, so that it is saved with the rest).
    """

    def __init__(self, state: Mapping[str, torch.Tensor], share: float) -> None:
        self.state, self.share, self.count = state, share, torch.zeros((), dtype=torch.int64)
        self.mean = {n: v.detach().clone() for n, v in state.items()}

    @torch.no_grad()
    def take(self, step: int, steps: int) -> None:
        """Add the state after ``step`` of ``steps`` to the mean, if it is one of the last."""
        if step <= (1 - self.share) * steps:
            return
        self.count += 1
        for name, value in self.state.items():
            if value.is_floating_point():
                self.mean[name].lerp_(value, 1 / int(self.count))
            else:
                self.mean[name].copy_(value)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Hold the mean in the network, where there is one yet."""
        if not int(self.count):
            yield
            return
        path = {n: v.detach().clone() for n, v in self.state.items()}
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(path)

    @torch.no_grad()
    def _put(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, value in self.state.items():
            value.copy_(values[name])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the mean and its count, by name."""
        return {**self.mean, "count": self.count}
