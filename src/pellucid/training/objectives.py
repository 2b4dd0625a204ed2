"""What training makes small, and how raw outputs become answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.errors import ArgumentError, RequestError
from pellucid.training.distributions import HEADS, Distribution, PriorNet, dirichlet_information
from pellucid.training.losses import LOSSES, Loss, log_probability, named_loss
from pellucid.training.metrics import Metric

__all__ = ["Objective", "classification", "regression"]

HIDDEN: dict[str, type[Loss]] = {"prior_net": PriorNet, **{kind.name: kind for kind in HEADS.values()}}
"""Losses that come with a head or a source of doubt, so ``loss=`` does not name them."""

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
    named : a named loss in place of the usual one, fitted, or None.
    """

    task: str
    n_outputs: int
    n_answers: int
    center: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    scale: npt.NDArray[np.float64] = field(default_factory=lambda: np.ones(0))
    class_weight: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    loss_function: UserLoss | None = None
    named: Loss | None = None

    @property
    def extra(self) -> int:
        """How many raw outputs describe a distribution around its place."""
        return self.n_outputs - self.n_answers if isinstance(self.named, Distribution) else 0

    @property
    def together(self) -> bool:
        """True where the loss of a row depends on the rows of its batch."""
        return self.named is not None and self.named.together

    def strata(self, target: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        """Return the values (N,) along which every batch must be spread, or None."""
        stratified = self.named is not None and self.named.stratified
        return np.asarray(target, np.float64).reshape(len(target), -1)[:, 0] if stratified else None

    def metric(self) -> Metric | None:
        """Return what to stop on where the user names nothing, if it is not the task's usual score."""
        return None if self.named is None else Metric(self.named.name, self.named.score)

    def prepare(self, target: npt.NDArray[Any]) -> torch.Tensor:
        """Return the target as the loss reads it: class codes (N,) int64, or standardised values (N, O) float32."""
        if self.task == "classification":
            return torch.from_numpy(np.array(target, np.int64))
        values = np.asarray(target, np.float64).reshape(len(target), -1)
        return torch.from_numpy(((values - self.center) / self.scale).astype(np.float32))

    def kept(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return a prepared target as the answers of rows that a network keeps, (N, A): classes one-hot, values as they are."""
        return torch.nn.functional.one_hot(prepared, self.n_answers).float() if self.task == "classification" else prepared

    def row_weights(self, target: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
        """Return (N,): the given weights times the weight of each row's class."""
        out = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
        return out * self.class_weight[np.asarray(target, np.int64)] if len(self.class_weight) else out

    def losses(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row (N,), the mean over members, from raw outputs (N, K, O) and a prepared target."""
        if self.loss_function is not None:
            return self._users(raw, target)
        if self.named is not None:
            return self.named.rows(raw, target)
        if self.task == "regression":
            return (raw - target[:, None]).square().mean((1, 2))
        return -log_probability(raw, target).mean(1)

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
            return self.values(raw)
        raw = self.logits(raw)
        if self.n_outputs == 1:
            return torch.cat([torch.sigmoid(-raw), torch.sigmoid(raw)], 2)
        return torch.softmax(raw, 2)

    def logits(self, raw: torch.Tensor) -> torch.Tensor:
        """Return class scores (N, K, O) of raw outputs, as a named loss reads them."""
        return raw if self.named is None else self.named.values(raw)

    def law(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the members' distributions in the target's unit: ``weights``, ``means``, ``sds`` (N, K, M, O), or ``quantiles``
        (N, K, L, O) at ``levels`` (L,); nothing where the head gives none."""
        if not isinstance(self.named, Distribution):
            return {}
        scale, center = (torch.as_tensor(a, dtype=raw.dtype, device=raw.device) for a in (self.scale, self.center))
        law = self.named.law(raw)
        return law | {k: v * scale + (0 if k == "sds" else center) for k, v in law.items() if k in ("means", "quantiles", "sds")}

    def own_doubt(self, raw: torch.Tensor) -> torch.Tensor | None:
        """Return what each member says of its own doubt, or None: the variance of its distribution (N, K, O) in squared units of the
        target,
        or the information (N, K, 1) that a Dirichlet law leaves open, in nats."""
        if isinstance(self.named, Distribution):
            return self.named.variance(raw) * torch.as_tensor(self.scale, dtype=raw.dtype, device=raw.device).square()
        if isinstance(self.named, PriorNet):
            return dirichlet_information(self.named.values(raw).exp())[..., None]
        return None

    def stopping(self, raw: torch.Tensor) -> torch.Tensor:
        """Return what the own metric of a distribution reads, else the answers of the averaged members, (N, ...)."""
        if not isinstance(self.named, Distribution):
            return self.answers(raw).mean(1)
        scale, center = (torch.as_tensor(a, dtype=torch.float64) for a in (self.scale, self.center))
        return self.named.summary(raw.double(), scale, center)

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the values in the target's unit that raw outputs (N, K, O) stand for, differentiable, in the precision of ``raw``."""
        scale, center = (torch.as_tensor(a, dtype=raw.dtype, device=raw.device) for a in (self.scale, self.center))
        return (raw if self.named is None else self.named.values(raw)) * scale + center

    def with_loss(
        self, loss: UserLoss | str | Mapping[str, Any] | Loss | None, target: npt.NDArray[Any] | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> Objective:  # fmt: skip
        """Return the objective with another loss.

        Parameters
        ----------
        loss : None; a Loss; a name of ``training.losses.LOSSES``, or a mapping of one name to its options; or a callable, which is called
            with raw outputs (M, O) and the prepared target (M,) or (M, O) and returns one value per row, (M,).
        target, weights : of the training rows; named losses alone read them.
        """
        if loss is None or callable(loss):
            return replace(self, loss_function=loss, named=None)
        if not isinstance(loss, str | Mapping | Loss):
            raise ArgumentError("loss cannot be used", expected="a callable (raw, target) -> one value per row", got=type(loss).__name__)
        named = loss if isinstance(loss, Loss) else named_loss(loss, self.task)
        if target is None:
            raise RequestError("a named loss reads the training target", do="pass target=")
        values = np.asarray(target) if self.task == "classification" else np.asarray(target, np.float64).reshape(len(target), -1)
        fitted = named.fit(values, weights, self.n_answers)
        center, scale = fitted.standard(values, weights) or (self.center, self.scale)
        made = replace(self, named=fitted, center=center, scale=scale)
        if isinstance(fitted, Distribution):
            return replace(made, n_outputs=self.n_answers * (1 + fitted.extra))
        return replace(made, n_outputs=self.n_answers) if isinstance(fitted, PriorNet) else made

    def state(self) -> dict[str, Any]:
        """Return the objective without the user's loss, as plain numbers and lists."""
        return {
            "task": self.task, "n_outputs": self.n_outputs, "n_answers": self.n_answers, "center": self.center.tolist(),
            "scale": self.scale.tolist(), "class_weight": self.class_weight.tolist(),
            "loss": None if self.named is None else {"name": self.named.name, **self.named.state()},
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Objective:
        """Return the objective that gave this state."""
        center, scale, weight = (np.asarray(state[k], np.float64) for k in ("center", "scale", "class_weight"))
        loss = dict(state.get("loss") or {})
        named = {**LOSSES, **HIDDEN}[loss.pop("name")] if loss else None
        kept = {k: tuple(v) if isinstance(v, list) else v for k, v in loss.items()}
        made = None if named is None else named(**kept)
        return cls(state["task"], int(state["n_outputs"]), int(state["n_answers"]), center, scale, weight, named=made)


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
