"""Named losses: ``loss="focal"``, or ``loss={"quantile": {"level": 0.9}}`` with options.

Each is a frozen description that learns what it needs of the training target once (class shares, densities), gives one loss per row, and
scores the answers on which training stops. A loss may also say what a raw output stands for (``values``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional

from pellucid.errors import ArgumentError, RequestError, TargetError

__all__ = ["LOSSES", "Cisir", "Focal", "LogitAdjusted", "Loss", "Poisson", "Quantile", "log_probability", "named_loss"]

Array = npt.NDArray[Any]
GRID = 4096


def log_probability(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return log p of each row's class by each member, (N, K), from raw outputs (N, K, O) and class codes (N,)."""
    if raw.shape[2] == 1:
        # minus softplus of the signed log-odds: stable for any size
        sign = (1 - 2 * target.to(raw.dtype))[:, None]
        return -functional.softplus(sign * raw[..., 0])
    return raw.gather(2, target[:, None, None].expand(-1, raw.shape[1], 1))[..., 0] - raw.logsumexp(2)


@dataclass(frozen=True)
class Loss(ABC):
    """Base of the named losses; their fields are the user's options and what :meth:`fit` learned.

    Attributes
    ----------
    name, task : how users call it, and ``"classification"`` or ``"regression"``.
    together : True where the loss of a row depends on the rows of its batch.
    stratified : True where every batch must hold rows from all over the target's range.
    options : names of the fields that users set.
    """

    name: ClassVar[str] = ""
    task: ClassVar[str] = "regression"
    together: ClassVar[bool] = False
    stratified: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()

    def fit(self, target: Array, weights: Array | None, n_classes: int) -> Self:
        """Return the loss with what it needs of the training target: class codes (N,), or values (N, O) in the target's unit."""
        return self

    def standard(self, target: Array, weights: Array | None) -> tuple[Array, Array] | None:
        """Return (center, scale) (O,) in place of mean and standard deviation, or None to leave these."""
        return None

    @abstractmethod
    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row, the mean over members, (N,), from raw outputs (N, K, O) and a prepared target."""

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        """Return what raw outputs stand for, before scale and center."""
        return raw

    @abstractmethod
    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        """Return what training stops on, lower is better, from truth (N,) or (N, O) and averaged answers (N, O')."""

    def state(self) -> dict[str, Any]:
        """Return the loss as plain JSON types; ``LOSSES[name](**state)`` gives it again."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Focal(Loss):
    """Cross entropy times (1 - p)^gamma: rows that are right already count less.

    Lin, Goyal, Girshick, He, Dollar 2017, arXiv:1708.02002. Class weights are ``class_weight``'s. The probabilities it learns claim too
    little; the calibration that follows every fit corrects them, and training stops on the log loss.
    """

    name = "focal"
    task = "classification"
    options = ("gamma",)
    gamma: float = 2.0

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logp = log_probability(raw, target)
        # 1 - p as expm1 keeps its digits, and its floor keeps the slope of a small power finite
        return (-logp * (-torch.expm1(logp)).clamp(min=1e-7) ** self.gamma).mean(1)

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        return _balanced_log_loss(truth, answers, weights, None)


@dataclass(frozen=True)
class LogitAdjusted(Loss):
    """Cross entropy on logits to which tau times the logarithm of each class's share was added while learning.

    Menon, Jayasumana, Rawat, Jain, Veit, Kumar 2020, arXiv:2007.07314. The answers are those for classes that are equally frequent: the
    most probable class is the one of least balanced error. Training stops on the log loss with every class weighing the same.
    """

    name = "logit_adjusted"
    task = "classification"
    options = ("tau",)
    tau: float = 1.0
    log_share: tuple[float, ...] = ()

    def fit(self, target: Array, weights: Array | None, n_classes: int) -> Self:
        count = np.bincount(np.asarray(target, np.int64), weights=weights, minlength=n_classes)
        share = np.maximum(count, 0.5 * count.sum() / max(len(target), 1)) / count.sum()  # half a row for a class that is not there
        return replace(self, log_share=tuple(np.log(share).tolist()))

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        share = torch.tensor(self.log_share, dtype=raw.dtype, device=raw.device)
        shift = (share[1:] - share[:1]) if raw.shape[2] == 1 else share
        return -log_probability(raw + self.tau * shift, target).mean(1)

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        return _balanced_log_loss(truth, answers, weights, np.exp(-np.asarray(self.log_share)))


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson deviance with a log link, for counts and other numbers that are never negative.

    Nelder, Wedderburn 1972, doi:10.2307/2344614. The answer is exp(raw) times the training mean: it is positive, and multiplicative in what
    the network adds up.
    """

    name = "poisson"

    def fit(self, target: Array, weights: Array | None, n_classes: int) -> Self:
        if np.min(target) < 0:
            least = f"{float(np.min(target)):g}"
            raise TargetError("the Poisson loss needs numbers that are not negative", got=least, do="choose another loss")
        return self

    def standard(self, target: Array, weights: Array | None) -> tuple[Array, Array]:
        mean = np.average(target, 0, weights)
        return np.zeros_like(mean), np.where(mean > 0, mean, 1.0)

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (self.values(raw) - target[:, None] * raw).mean((1, 2))

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        return raw.clamp(max=30.0).exp()  # e^30 times the mean: beyond it float32 losses are no longer finite

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        ratio = np.where(truth > 0, truth / np.maximum(answers, 1e-300), 1.0)
        return float(np.average(2 * (truth * np.log(ratio) - truth + answers).mean(1), weights=weights))


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss: the answer is the number below which a share ``level`` of the targets lies.

    Koenker, Bassett 1978, doi:10.2307/1913643. Members' quantiles are averaged.
    """

    name = "quantile"
    options = ("level",)
    level: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise RequestError("there is no such quantile", expected="level between 0 and 1", got=str(self.level))

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        short = target[:, None] - raw
        return torch.maximum(self.level * short, (self.level - 1) * short).mean((1, 2))

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        short = truth - answers
        return float(np.average(np.maximum(self.level * short, (self.level - 1) * short).mean(1), weights=weights))


@dataclass(frozen=True)
class Cisir(Loss):
    """Squared error with weights that grow where targets are rare, plus a term for the correlation, on batches that span the target.

    With p the density of the target over its maximum, a row weighs ``(1 - p^alpha)^(1 / alpha)`` (its own inverse as a function of p);
    ``correlation`` times one minus the Pearson correlation within the batch is added. Source: CISIR (released code, Machine-Earning).

    # NOTE[DIFF] The density is a histogram of 4,096 bins smoothed by Scott's rule, not a sum over all pairs of rows; weights are scaled to
    # mean 1, at least 0.001, and the weighted error is averaged, so that the loss does not grow with the batch; the batch is centred by the
    # mean that its correlation weights give (these are uniform); the flattening of the density above one value of one data set is left out.

    Parameters
    ----------
    alpha : below 1 the weights fall convexly from rare to common, above 1 concavely. correlation : weight of the second term.

    Notes
    -----
    It pays where the target has a long tail. Where the spread of the rare rows is noise, squared error is as good.
    """

    name = "cisir"
    together = True
    stratified = True
    options = ("alpha", "correlation")
    alpha: float = 0.85
    correlation: float = 1.0
    low: float = 0.0
    high: float = 1.0
    center: float = 0.0
    spread: float = 1.0
    table: tuple[float, ...] = ()

    def fit(self, target: Array, weights: Array | None, n_classes: int) -> Self:
        if target.shape[1] != 1:
            raise RequestError("the loss 'cisir' learns one number", got=f"{target.shape[1]} targets", do="fit one model per target")
        if not self.alpha > 0:
            raise RequestError("cisir cannot weigh rows so", expected="alpha above 0", got=str(self.alpha))
        y = target[:, 0]
        center, spread = float(np.average(y, weights=weights)), float(np.std(y)) or 1.0
        density, low, high = _density(y, weights)
        p = density / (density.max() + 1e-3 * density.max())
        table = np.maximum((1 - p**self.alpha) ** (1 / self.alpha), 1e-3)
        mean = np.average(np.interp(y, np.linspace(low, high, GRID), table), weights=weights)
        fitted = replace(self, low=low, high=high, center=center, spread=spread, table=tuple((table / mean).tolist()))
        return fitted

    def standard(self, target: Array, weights: Array | None) -> tuple[Array, Array]:
        return np.array([self.center]), np.array([self.spread])

    def importance(self, target: torch.Tensor) -> torch.Tensor:
        """Return the weight of each prepared target (N, 1), (N,)."""
        table = torch.tensor(self.table, dtype=target.dtype, device=target.device)
        place = (target[:, 0] * self.spread + self.center - self.low) / max(self.high - self.low, 1e-300) * (GRID - 1)
        place = place.clamp(0, GRID - 1)
        left = place.floor().long().clamp(max=GRID - 2)
        return torch.lerp(table[left], table[left + 1], place - left)

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        values = raw[..., 0]
        error = (values - target).square().mean(1) * self.importance(target)
        x, y = values - values.mean(0), target - target.mean(0)
        likeness = (x * y).sum(0) / (x.square().sum(0) * y.square().sum(0) + 1e-12).sqrt()
        return error + self.correlation * (1 - likeness).mean()

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        w = weights * self.importance(torch.from_numpy((truth - self.center) / self.spread)).numpy()
        error = float(np.average((answers - truth)[:, 0] ** 2, weights=w)) / self.spread**2
        x, y = answers[:, 0] - answers.mean(), truth[:, 0] - truth.mean()
        return error + self.correlation * (1 - float((x * y).sum() / (np.sqrt((x * x).sum() * (y * y).sum()) + 1e-12)))


def _density(y: Array, weights: Array | None) -> tuple[Array, float, float]:
    """Return the smoothed histogram (4096,) of y, and its ends."""
    low, high = float(y.min()), float(y.max())
    if high <= low:
        return np.ones(GRID), low, low + 1.0
    place = np.rint((y - low) / (high - low) * (GRID - 1)).astype(np.int64)
    count = np.bincount(place, weights=weights, minlength=GRID)
    width = float(np.std(y)) * len(y) ** -0.2 / (high - low) * (GRID - 1)
    return np.asarray(gaussian_filter1d(count.astype(np.float64), max(width, 1.0), mode="constant")), low, high


def _balanced_log_loss(truth: Array, answers: Array, weights: Array, per_class: Array | None) -> float:
    codes = truth.astype(np.int64)
    picked = np.take_along_axis(answers, codes[:, None], 1)[:, 0]
    w = weights if per_class is None else weights * per_class[codes]
    return float(np.average(-np.log(np.clip(picked, 1e-15, None)), weights=w))


LOSSES: dict[str, type[Loss]] = {kind.name: kind for kind in (Focal, LogitAdjusted, Poisson, Quantile, Cisir)}
"""Named losses: what ``loss=`` accepts besides a callable."""


def named_loss(wanted: str | Mapping[str, Any], task: str) -> Loss:
    """Return the unfitted loss of a name, or of a mapping of one name to its options."""
    if isinstance(wanted, str):
        wanted = {wanted: None}
    allowed = [n for n, kind in LOSSES.items() if kind.task == task]
    name = next(iter(wanted), "")
    if len(wanted) != 1 or name not in allowed:
        raise ArgumentError(
            f"loss cannot be used for {task}",
            expected=f"one of {', '.join(allowed)}, a mapping of one of them to its options, or a callable (raw, target)",
            got=repr(wanted if len(wanted) != 1 else name),
        )
    options = dict(wanted[name] or {})
    unknown = sorted(set(options) - set(LOSSES[name].options))
    if unknown:
        known = ", ".join(LOSSES[name].options) or "none"
        raise RequestError(f"the loss {name!r} has no option {unknown[0]!r}", expected=known)
    return LOSSES[name](**options)
