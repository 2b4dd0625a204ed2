"""The maps that calibrators are made of: affine in the logarithms of the probabilities, or a rising step curve per class.

Arithmetic only. Letters: N rows, O classes, B knots of a curve. All maps act on averaged member probabilities, are plain numbers, and can
be followed by gradients (``of_logs``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError

if TYPE_CHECKING:
    import torch

__all__ = ["FITS", "GoOn", "LogAffine", "OutOfTime", "Steps", "fit_map", "log_softmax", "logs_of", "strength_of", "two_class_only"]

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
GoOn = Callable[[], bool]
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
FLOOR = 1e-15  # probabilities below it are lifted to it before a logarithm: float32 members do give exact zeros


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return logits (N, O) less their log-sum."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def logs_of(p: npt.ArrayLike) -> FloatArray:
    """Return the logarithms of probabilities, none below that of 1e-15."""
    return np.asarray(np.log(np.maximum(np.asarray(p, np.float64), FLOOR)))


@dataclass(frozen=True, eq=False)
class LogAffine:
    """``softmax(W ln p + b)``: what vector scaling, Platt's, beta and Dirichlet calibration have in common.

    Attributes
    ----------
    method : which of them was fitted.
    weight, bias : W (O, O) and b (O,). The identity is W = 1, b = 0.
    gain, gain_error : log loss saved on rows that did not fit the map, in nats a row, and its standard error; NaN where not measured.
    n : rows of the fit.
    strength : of the Dirichlet map's penalty; None of the others.
    """

    method: str
    weight: FloatArray
    bias: FloatArray
    gain: float = float("nan")
    gain_error: float = float("nan")
    n: int = 0
    strength: float | None = None

    @property
    def temperature(self) -> float:
        """One over the mean slope: what log-odds are divided by, on average over the classes."""
        return float(len(self.weight) / max(np.trace(self.weight), 1e-12))

    @property
    def line(self) -> tuple[float, float] | None:
        """(a, c) where log-odds z of two classes become ``a z + c``; None where the map is no straight line in them."""
        if len(self.weight) != 2:
            return None
        to_first, to_second = self.weight[1] - self.weight[0]
        return (float(to_second), float(self.bias[1] - self.bias[0])) if abs(to_first + to_second) < 1e-12 else None

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Return the calibrated probabilities (N, O); rows sum to 1."""
        return np.exp(log_softmax(logs_of(probabilities) @ self.weight.T + self.bias))

    def of_logs(self, logp: torch.Tensor) -> torch.Tensor:
        """Return calibrated log-probabilities (N, O) of averaged ones, differentiable."""
        weight, bias = (logp.new_tensor(a.tolist()) for a in (self.weight, self.bias))
        return (logp.clamp(min=float(np.log(FLOOR))) @ weight.T + bias).log_softmax(-1)

    def after(self, offset: FloatArray) -> LogAffine:
        """Return the map that first adds ``offset`` (O,) to the logarithms."""
        return replace(self, bias=self.bias + self.weight @ offset)

    def measured(self, gain: float, error: float) -> LogAffine:
        """Return the map with what it was found to save."""
        return replace(self, gain=gain, gain_error=error)

    def state(self) -> dict[str, Any]:
        """Return what ``calibrators.from_state`` needs, as plain JSON types."""
        return {
            "method": self.method, "weight": self.weight.tolist(), "bias": self.bias.tolist(), "gain": self.gain,
            "gain_error": self.gain_error, "n": self.n, **({} if self.strength is None else {"strength": self.strength}),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Steps:
    """Isotonic regression of each class's event on its probability, clipped away from 0 and 1, normalised over the classes.

    For two classes one curve, of the second. Between the knots the curve is a straight line, so it has a gradient and can be exported.

    Attributes
    ----------
    x, y : per curve the knots (B,) and the share at each, rising.
    offset : (O,) added to the logarithms first (see ``LogAffine.after``).

    Notes
    -----
    Zadrozny, Elkan 2002, doi:10.1145/775047.775151. Shares are kept in [1/(2n), 1 - 1/(2n)]: n rows never prove that something cannot
    happen. Knots that say the same as their neighbours are left out. Ties make the order of rows a little coarser.
    """

    x: tuple[FloatArray, ...]
    y: tuple[FloatArray, ...]
    offset: FloatArray
    gain: float = float("nan")
    gain_error: float = float("nan")
    n: int = 0
    method: str = field(default="isotonic", init=False)
    temperature: float = field(default=1.0, init=False)
    line: None = field(default=None, init=False)

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Return the calibrated probabilities (N, O); rows sum to 1."""
        p = np.exp(log_softmax(logs_of(probabilities) + self.offset))
        if len(self.x) == 1:
            second = np.interp(p[:, 1], self.x[0], self.y[0])
            return np.column_stack([1 - second, second])
        out = np.column_stack([np.interp(p[:, k], x, y) for k, (x, y) in enumerate(zip(self.x, self.y))])
        return np.asarray(out / out.sum(1, keepdims=True))

    def of_logs(self, logp: torch.Tensor) -> torch.Tensor:
        """Return calibrated log-probabilities (N, O) of averaged ones, differentiable between the knots."""
        import torch

        p = (logp.clamp(min=float(np.log(FLOOR))) + logp.new_tensor(self.offset.tolist())).softmax(-1)
        if len(self.x) == 1:
            second = _interp(p[:, 1].contiguous(), self.x[0], self.y[0])
            return torch.stack([(-second).log1p(), second.log()], 1)
        out = torch.stack([_interp(p[:, k].contiguous(), x, y) for k, (x, y) in enumerate(zip(self.x, self.y))], 1)
        return (out / out.sum(1, keepdim=True)).log()

    def after(self, offset: FloatArray) -> Steps:
        """Return the map that first adds ``offset`` (O,) to the logarithms."""
        return replace(self, offset=self.offset + offset)

    def measured(self, gain: float, error: float) -> Steps:
        """Return the map with what it was found to save."""
        return replace(self, gain=gain, gain_error=error)

    def state(self) -> dict[str, Any]:
        """Return what ``calibrators.from_state`` needs, as plain JSON types."""
        knots = {"x": [x.tolist() for x in self.x], "y": [y.tolist() for y in self.y], "offset": self.offset.tolist()}
        return {"method": self.method, **knots, "gain": self.gain, "gain_error": self.gain_error, "n": self.n}


def _interp(at: torch.Tensor, x: FloatArray, y: FloatArray) -> torch.Tensor:
    """Return the broken line through (x, y) at ``at`` (N,), level beyond its ends."""
    import torch

    if len(x) == 1:
        return torch.full_like(at, float(y[0]))
    xs, ys = at.new_tensor(x.tolist()), at.new_tensor(y.tolist())
    left = (torch.searchsorted(xs, at.detach(), right=True) - 1).clamp(0, len(x) - 2)
    share = ((at - xs[left]) / (xs[left + 1] - xs[left])).clamp(0, 1)
    return torch.lerp(ys[left], ys[left + 1], share)


# ------------------------------------------------------------------ fits


class OutOfTime(Exception):
    """A fit that was asked to end before it was done."""


def _minimum(
    loss: Callable[[FloatArray], tuple[float, FloatArray]], start: FloatArray, bounds: Any = None, go_on: GoOn | None = None,
    close: float = 2.2e-9,
) -> FloatArray:  # fmt: skip
    """Return the place of least loss; ``close``: of the loss, what a round must gain. Asks ``go_on`` before each evaluation."""
    from scipy.optimize import minimize

    def asked(at: FloatArray) -> tuple[float, FloatArray]:
        if go_on is not None and not go_on():
            raise OutOfTime
        return loss(at)

    return np.asarray(minimize(asked, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": close}).x)


def _log_loss(logits: FloatArray, y: Labels, w: FloatArray) -> tuple[float, FloatArray]:
    """Return the log loss of logits (N, O) and its slope in them (N, O)."""
    logq = log_softmax(logits)
    rows = np.arange(len(y))
    rest = np.exp(logq) * w[:, None]
    rest[rows, y] -= w
    return float(-w @ logq[rows, y]), rest


def _vector(logs: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None) -> tuple[FloatArray, FloatArray]:
    """Vector scaling: W diagonal (Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599)."""
    o, pull = logs.shape[1], 1.0 / _effective(w)

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        value, rest = _log_loss(logs * at[:o] + at[o:], y, w)
        away = at - np.r_[np.ones(o), np.zeros(o)]  # a pull of one row's weight towards the identity: classes of few rows stay finite
        return value + 0.5 * pull * float(away @ away), np.r_[np.einsum("no,no->o", rest, logs), rest.sum(0)] + pull * away

    found = _minimum(loss, np.r_[np.ones(o), np.zeros(o)], go_on=go_on)
    return np.diag(found[:o]), found[o:]


def strength_of(logs: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None = None) -> float:
    """Return the strength of the Dirichlet map's penalty that loses least on rows left out, in three folds."""
    fold, tried = np.arange(len(y)) % 3, []
    parts = [(fold == k, fold != k) for k in range(3)]
    for strength in STRENGTHS:
        held = 0.0
        for out, rest in parts:
            if not w[rest].sum() or not w[out].sum():
                continue
            weight, bias = _dirichlet(logs[rest], y[rest], w[rest] / w[rest].sum(), go_on, strength)
            held += _log_loss(logs[out] @ weight.T + bias, y[out], w[out])[0]
        tried.append(held)
    return STRENGTHS[int(np.argmin(tried))]


def _dirichlet(logs: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None, strength: float) -> tuple[FloatArray, FloatArray]:
    """Dirichlet calibration: (W, b) of least log loss plus ``strength`` times the mean square of W's other entries and of b.

    Kull, Perello-Nieto, Kaengsepp, Silva Filho, Song, Flach 2019, arXiv:1910.12656.

    # NOTE[DIFF] The two strengths are one number, tried at 1e-3 to 10 times the loss of a row; all entries have the pull of
    one row towards the identity besides, so that a class which no row is of keeps a chance.
    """
    (n, o), pull = logs.shape, 1.0 / _effective(w)
    x, still = np.column_stack([logs, np.ones(n)]), np.column_stack([np.eye(o), np.zeros(o)])
    costs = np.column_stack([2 * strength / max(o * (o - 1), 1) * (1 - np.eye(o)), np.full(o, 2 * strength / o)])
    units = _units(x, w, costs + pull)

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        weight = still + np.einsum("kij,ki->kj", units, at.reshape(o, o + 1))
        away = weight - still
        value, rest = _log_loss(x @ weight.T, y, w)
        value += 0.5 * float((costs * weight**2).sum() + pull * (away**2).sum())
        return value, np.einsum("kij,kj->ki", units, rest.T @ x + costs * weight + pull * away).ravel()

    found = still + np.einsum("kij,ki->kj", units, _minimum(loss, np.zeros(o * (o + 1)), go_on=go_on, close=1e-10).reshape(o, o + 1))
    return found[:, :o], found[:, o]


def _units(x: FloatArray, w: FloatArray, costs: FloatArray) -> FloatArray:
    """Return (O, O + 1, O + 1): per class the steps in which the loss is about equally curved all around, at the identity.

    The logarithms of the classes go together, so that steps in single entries need some ten times as many rounds.
    """
    q = np.exp(x[:, :-1])
    curved = [(x * (w * q[:, k] * (1 - q[:, k]).clip(0))[:, None]).T @ x + np.diag(costs[k]) for k in range(q.shape[1])]
    return np.linalg.inv(np.linalg.cholesky(np.stack(curved)))


def _platt(logs: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None) -> tuple[FloatArray, FloatArray]:
    """Platt's sigmoid of the log-odds: ``a z + c`` with his targets, which are never 0 or 1 (Platt 1999; a is kept positive)."""
    n = _effective(w)
    positive = float(w @ y) * n
    high, low = (positive + 1) / (positive + 2), 1 / (n - positive + 2)
    z, goal = logs[:, 1] - logs[:, 0], np.where(y == 1, high, low)
    a, c = _minimum(
        lambda at: _sigmoid_loss(at, np.column_stack([z, np.ones(len(z))]), goal, w),
        np.array([1.0, 0.0]),
        [(1e-3, None), (None, None)],
        go_on,
    )
    return np.array([[0.0, 0.0], [-a, a]]), np.array([0.0, c])


def _beta(logs: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None) -> tuple[FloatArray, FloatArray]:
    """Beta calibration: log-odds ``a ln p - b ln(1 - p) + c`` with a, b >= 0 (Kull, Silva Filho, Flach 2017, PMLR 54:623)."""
    n = _effective(w)
    x, goal = np.column_stack([logs[:, 1], -logs[:, 0], np.ones(len(y))]), y.astype(np.float64)
    start = np.array([1.0, 1.0, 0.0])

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        value, slope = _sigmoid_loss(at, x, goal, w)
        away = at - start
        return value + 0.5 / n * float(away @ away), slope + away / n

    a, b, c = _minimum(loss, start, [(0.0, None), (0.0, None), (None, None)], go_on)
    return np.array([[0.0, 0.0], [-b, a]]), np.array([0.0, c])


def _sigmoid_loss(at: FloatArray, x: FloatArray, goal: FloatArray, w: FloatArray) -> tuple[float, FloatArray]:
    z = x @ at
    value = float(w @ (np.logaddexp(0, z) - goal * z))
    return value, x.T @ (w * (1 / (1 + np.exp(-np.clip(z, -700, 700))) - goal))


def _isotonic(p: FloatArray, y: Labels, w: FloatArray) -> Steps:
    from sklearn.isotonic import IsotonicRegression

    n, o = _effective(w), p.shape[1]
    knots = []
    for k in [1] if o == 2 else range(o):
        fitted = IsotonicRegression(y_min=1 / (2 * n), y_max=1 - 1 / (2 * n), out_of_bounds="clip").fit(p[:, k], y == k, sample_weight=w)
        knots.append((np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)))
    return Steps(tuple(x for x, _ in knots), tuple(v for _, v in knots), np.zeros(o), n=len(y))


def _effective(w: FloatArray) -> float:
    """Return how many equal rows weights that sum to 1 are worth."""
    return 1 / float(w @ w)


FITS: dict[str, Callable[..., tuple[FloatArray, FloatArray]]] = {
    "vector": _vector, "platt": _platt, "beta": _beta, "dirichlet": _dirichlet,
}  # fmt: skip
"""Fits of the affine maps: (ln p (N, O), labels (N,), weights (N,) of sum 1, whether to go on) to (W, b)."""

two_class_only = ("platt", "beta")
"""Methods for two classes."""


def fit_map(
    method: str, p: FloatArray, y: Labels, w: FloatArray, go_on: GoOn | None = None, strength: float | None = None
) -> LogAffine | Steps:
    """Return the fitted map of a method, from probabilities (N, O), labels (N,) and weights (N,) that sum to 1.

    Parameters
    ----------
    go_on : tells before each evaluation of a loss whether there is time for it; None where nothing limits the fit.
    strength : of the Dirichlet map's penalty; None finds it.

    Raises
    ------
    OutOfTime : ``go_on`` said no.
    """
    if method in two_class_only and p.shape[1] != 2:
        raise RequestError(f"calibration={method!r} is for two classes", got=f"{p.shape[1]} classes", do="use 'vector' or 'dirichlet'")
    if method == "isotonic":
        return _isotonic(p, y, w)
    logs, found = logs_of(p), tuple[float, ...]()
    if method == "dirichlet":
        found = (strength_of(logs, y, w, go_on) if strength is None else strength,)
    weight, bias = FITS[method](logs, y, w, go_on, *found)
    return LogAffine(method, weight, bias, n=len(y), strength=float(found[0]) if found else None)
