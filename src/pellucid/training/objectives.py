"""What training makes small, and how raw outputs become answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from pellucid.errors import ArgumentError, RequestError

__all__ = ["Objective", "classification", "regression"]

UserLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Objective:
    """The loss of a task, taken per member and averaged over members, and the answers that raw outputs stand for.

    Made by :func:`classification` or :func:`regression`.

    Attributes
    ----------
    task : ``"classification"`` or ``"regression"``.
    n_outputs : O, the raw outputs of a network: 1 for two classes (the log-odds of the second), the number of classes beyond two,
        or the number of target values.
    n_answers : O', the classes or values an answer has.
    center, scale : (O,) arrays by which target values are standardised; empty for classes.
    class_weight : weight of each class in the loss; empty where all weigh 1.
    loss_function : the user's loss in place of ours, or None.
    """

    task: str
    n_outputs: int
    n_answers: int
    center: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    scale: npt.NDArray[np.float64] = field(default_factory=lambda: np.ones(0))
    class_weight: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    loss_function: UserLoss | None = None

    def prepare(self, target: npt.NDArray[Any]) -> torch.Tensor:
        """Return the target as the loss reads it: class codes (N,) int64, or standardised values (N, O) float32."""
        if self.task == "classification":
            return torch.from_numpy(np.array(target, np.int64))
        values = np.asarray(target, np.float64).reshape(len(target), -1)
        return torch.from_numpy(((values - self.center) / self.scale).astype(np.float32))

    def row_weights(self, target: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
        """Return (N,): the given weights times the weight of each row's class."""
        out = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
        return out * self.class_weight[np.asarray(target, np.int64)] if len(self.class_weight) else out

    def losses(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row (N,), the mean over members, from raw outputs (N, K, O) and a prepared target."""
        if self.loss_function is not None:
            return self._users(raw, target)
        if self.task == "regression":
            return (raw - target[:, None]).square().mean((1, 2))
        if self.n_outputs == 1:
            # softplus of the signed log-odds: stable for any size
            sign = (1 - 2 * target.to(raw.dtype))[:, None]
            return functional.softplus(sign * raw[..., 0]).mean(1)
        picked = raw.gather(2, target[:, None, None].expand(-1, raw.shape[1], 1))[..., 0]
        return (raw.logsumexp(2) - picked).mean(1)

    def _users(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        assert self.loss_function is not None
        n, k, _ = raw.shape
        out = self.loss_function(raw.flatten(0, 1), target.repeat_interleave(k, 0))
        if not isinstance(out, torch.Tensor) or out.shape[:1] != (n * k,):
            got = f"shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else type(out).__name__
            raise ArgumentError("the loss must return one value per row", expected=f"a tensor of shape ({n * k},)", got=got)
        return out.reshape(n, k, -1).mean((1, 2))

    def answers(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the members' answers (N, K, O'): class probabilities, or values in the target's unit (float64)."""
        raw = raw.double()
        if self.task == "regression":
            scale, center = (torch.as_tensor(a, dtype=torch.float64, device=raw.device) for a in (self.scale, self.center))
            return raw * scale + center
        if self.n_outputs == 1:
            return torch.cat([torch.sigmoid(-raw), torch.sigmoid(raw)], 2)
        return torch.softmax(raw, 2)

    def with_loss(self, loss: UserLoss | None) -> Objective:
        """Return the objective with the user's loss.

        The loss is called with raw outputs (M, O) and the prepared target (M,) or (M, O) and returns one value per row, (M,).
        """
        if loss is not None and not callable(loss):
            raise ArgumentError("loss cannot be used", expected="a callable (raw, target) -> one value per row", got=type(loss).__name__)
        return replace(self, loss_function=loss)

    def state(self) -> dict[str, Any]:
        """Return the objective without the user's loss, as plain numbers and lists."""
        return {
            "task": self.task, "n_outputs": self.n_outputs, "n_answers": self.n_answers, "center": self.center.tolist(),
            "scale": self.scale.tolist(), "class_weight": self.class_weight.tolist(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Objective:
        """Return the objective that gave this state."""
        center, scale, weight = (np.asarray(state[k], np.float64) for k in ("center", "scale", "class_weight"))
        return cls(state["task"], int(state["n_outputs"]), int(state["n_answers"]), center, scale, weight)


def classification(n_classes: int, class_weight: Sequence[float] | npt.NDArray[np.float64] | None = None) -> Objective:
    """Return cross entropy for ``n_classes`` classes; targets are codes 0 .. n_classes - 1.

    Examples
    --------
    >>> classification(2).losses(torch.zeros(1, 4, 1), torch.tensor([1])).item()
    0.6931...
    """
    if n_classes < 1:
        raise RequestError("a classifier needs classes", expected="at least 1", got=str(n_classes))
    weight = np.zeros(0) if class_weight is None else np.asarray(class_weight, np.float64)
    if len(weight) not in (0, n_classes):
        raise RequestError("class_weight does not fit the classes", expected=f"{n_classes} weights", got=str(len(weight)))
    return Objective("classification", 1 if n_classes == 2 else n_classes, n_classes, class_weight=weight)


def regression(target: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None = None) -> Objective:
    """Return squared error on target values (N,) or (N, O) standardised by their (weighted) mean and standard deviation."""
    values = np.asarray(target, np.float64).reshape(len(target), -1)
    center = np.average(values, 0, weights)
    spread = np.sqrt(np.average((values - center) ** 2, 0, weights))
    # a spread that is only rounding error would blow the noise up
    scale = np.where(spread > 1e-12 * np.maximum(np.abs(center), 1e-300), spread, 1.0)
    return Objective("regression", values.shape[1], values.shape[1], center=center, scale=scale)
