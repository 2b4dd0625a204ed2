"""Calibrators: make a probability mean what it says. Arithmetic only: they see probabilities and labels, never a model.

A calibrator is fitted on rows the network never learned from, acts on the averaged member probabilities, and is plain numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, ModelFileError, PellucidWarning, RequestError
from pellucid.random import stream
from pellucid.training.calibration_maps import (
    FITS,
    GoOn,
    LogAffine,
    OutOfTime,
    Steps,
    fit_map,
    log_softmax,
    logs_of,
    strength_of,
    two_class_only,
)

if TYPE_CHECKING:
    import torch

__all__ = ["METHODS", "STRAIGHT", "Calibrator", "Identity", "Temperature", "choose", "from_state", "held_out"]

FloatArray = npt.NDArray[np.float64]

METHODS = ("auto", "temperature", "platt", "vector", "beta", "dirichlet", "isotonic", "none")
"""What ``calibration=`` names, simplest first between ``auto`` and ``none``."""
STRAIGHT = ("temperature",)
"""What ``auto`` may take where log-odds must stay a multiple of themselves, so that a listed sum stays one."""
BOUNDS = (0.05, 20.0)
TYPICAL = 0.1
"""Size of log T that is usual of the networks here: a claim that is a tenth too strong or too weak."""
FOLDS = 5
LEAST_ROWS = {"beta": 200, "isotonic": 1000}  # below, what such a map learns is mostly noise
ROWS_A_CLASS = {"vector": 20, "dirichlet": 50}
"""On average over the classes; the Dirichlet map needs them of each class: it takes away what it has not met."""


class Calibrator(Protocol):
    """What the estimators keep: ``apply`` on (N, O) probabilities, ``of_logs`` on their logarithms as tensors, ``state`` to save.

    ``line``: (a, c) where log-odds z become ``a z + c``, None where they do not.
    """

    @property
    def temperature(self) -> float: ...

    @property
    def line(self) -> tuple[float, float] | None: ...

    def of_logs(self, logp: torch.Tensor) -> torch.Tensor: ...

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray: ...

    def state(self) -> dict[str, Any]: ...


_log_softmax = log_softmax


def _logs(probabilities: npt.ArrayLike) -> FloatArray:
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ArgumentError(
            "these are not class probabilities", expected="an array (rows, classes) with at least two classes", got=f"shape {p.shape}"
        )
    return logs_of(p)


def _rows(n: int, classes: int, labels: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return labels and weights that sum to 1, checked against n rows."""
    y = np.asarray(labels)
    if y.shape != (n,) or y.dtype.kind not in "iub" or (n and (y.min() < 0 or y.max() >= classes)):
        raise ArgumentError(
            "the labels do not fit the probabilities",
            expected=f"{n} class numbers from 0 to {classes - 1}",
            got=f"shape {y.shape}, {y.dtype}",
        )
    w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (n,) or (n and not (np.isfinite(w).all() and w.min() >= 0 and w.sum() > 0)):
        raise ArgumentError("the weights cannot be used", expected=f"{n} numbers, none negative, not all zero", got=f"shape {w.shape}")
    return y.astype(np.int64), w / w.sum() if n else w


@dataclass(frozen=True)
class Identity:
    """Leaves probabilities as they are."""

    temperature: float = 1.0

    @property
    def line(self) -> tuple[float, float]:
        """(1, 0): log-odds stay as they are."""
        return 1.0, 0.0

    def of_logs(self, logp: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities unchanged."""
        return logp

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Return the probabilities (N, O) unchanged, as float64."""
        return np.asarray(probabilities, np.float64)

    def state(self) -> dict[str, Any]:
        """Return what :func:`from_state` needs, as plain JSON types."""
        return {"method": "none"}


@dataclass(frozen=True)
class Temperature:
    """Divide the logarithms of the averaged probabilities by one number T and normalise again; T > 1: the network claimed too much.

    The ranking of the classes is kept. For two classes this is the log-odds divided by T.

    Attributes
    ----------
    temperature : T, between 0.05 and 20.
    gain, gain_error : mean log loss saved on the rows of the fit, in nats, and its standard error (paired over rows).
    n : rows of the fit.

    Notes
    -----
    Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599. The log loss is convex in 1/T; its derivative is solved by bracketing.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.tile([[0.99, 0.01]], (200, 1))
    >>> fitted = Temperature.fit(p, np.repeat([0, 1], [160, 40]))  # claims 99 %, is right in 80 %
    >>> bool(fitted.temperature > 2), fitted.apply(p)[0].round(2).tolist()
    (True, [0.8, 0.2])
    """

    temperature: float
    gain: float = float("nan")
    gain_error: float = float("nan")
    n: int = 0

    @classmethod
    def fit(
        cls, probabilities: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, typical: float | None = None
    ) -> Temperature:
        """Return the temperature of least log loss.

        Parameters
        ----------
        probabilities : (N, O) averaged member probabilities of rows the network never learned from.
        labels : (N,) class numbers.
        weights : (N,) row weights, any unit.
        typical : size of log T that is usual, which few rows are drawn towards (a Cauchy prior of that scale, so that what many rows say
            stays as it is); None takes the rows at their word.
        """
        logs = _logs(probabilities)
        y, w = _rows(len(logs), logs.shape[1], labels, weights)
        if not len(y):
            raise RequestError("a temperature cannot be fitted without rows", do="hold rows out for it or pass calibration='none'")
        t = _solve(logs, y, w, typical)
        rows = np.arange(len(y))
        saved = _log_softmax(logs / t)[rows, y] - _log_softmax(logs)[rows, y]
        gain = float(w @ saved)
        error = float(np.sqrt(w**2 @ (saved - gain) ** 2))
        return cls(t, gain, error, len(y))

    @property
    def line(self) -> tuple[float, float]:
        """(1 / T, 0): what log-odds are multiplied by."""
        return 1 / self.temperature, 0.0

    def of_logs(self, logp: torch.Tensor) -> torch.Tensor:
        """Return calibrated log-probabilities (N, O) of averaged ones, differentiable."""
        return (logp / self.temperature).log_softmax(-1)

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Return the calibrated probabilities (N, O); rows sum to 1."""
        return np.exp(_log_softmax(_logs(probabilities) / self.temperature))

    def state(self) -> dict[str, Any]:
        """Return what :func:`from_state` needs, as plain JSON types."""
        return {"method": "temperature", "temperature": self.temperature, "gain": self.gain, "gain_error": self.gain_error, "n": self.n}


def _solve(logs: FloatArray, y: npt.NDArray[np.int64], w: FloatArray, typical: float | None = None) -> float:
    """Return the T at which the mean log-probability of the labels equals its expectation under the model, or one nearer to 1."""
    from scipy.optimize import brentq

    # NOTE[DIFF] one pseudo-row with every class equally likely, as Platt's targets have: without it, rows that are all
    # predicted right would send T to zero and promise certainty after a few hundred rows.
    n_effective = 1 / float(w @ w)
    share = 1 / (n_effective + 1)
    target = (1 - share) * float(w @ logs[np.arange(len(y)), y]) + share * float(w @ logs.mean(axis=1))

    def slope(log_t: float) -> float:
        q = np.exp(_log_softmax(logs * np.exp(-log_t)))
        return float(w @ (q * logs).sum(axis=1)) - target

    low, high = np.log(BOUNDS[0]), np.log(BOUNDS[1])
    at_low, at_high = slope(low), slope(high)  # the expectation falls as T grows
    if at_low - at_high < 1e-12:  # every row says every class is equally likely: T changes nothing
        return 1.0
    if at_low <= 0:
        return BOUNDS[0]
    if at_high >= 0:
        return BOUNDS[1]
    found = float(brentq(slope, low, high, xtol=1e-10))
    if typical is None or abs(found) < 1e-9:
        return float(np.exp(found))

    # NOTE[DIFF] the published temperature has no prior; of 462 rows it was off by a third on a model that was calibrated
    def pulled(log_t: float) -> float:
        return 2 * log_t / (typical**2 + log_t**2) - n_effective * slope(log_t) * float(np.exp(-log_t))

    return float(np.exp(brentq(pulled, 0.0, found, xtol=1e-10)))


def choose(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    method: str | None = "auto",
    offset: npt.ArrayLike | None = None,
    only: tuple[str, ...] | None = None,
    go_on: GoOn | None = None,
    untried: list[str] | None = None,
) -> Calibrator:
    """Return the calibrator called ``method``: a name of ``METHODS``; None is ``"none"``.

    ``auto`` goes from the simplest map to the freest and moves on only where the next saves more log loss than one standard error of the
    paired difference, on rows that did not fit it (five folds of these rows). A calibrated model is so left alone in about 95 of 100 cases.

    Parameters
    ----------
    probabilities, labels, weights : (N, O), (N,) class numbers, (N,) or None; rows the network never learned from.
    offset : (O,) minus the logarithms of the class weights it learned with, or None: the shift of the shares that such weights
        make is taken back first (``p`` times ``pi_true / pi_train``).
    only : what ``auto`` may choose among, or None for all that fit the number of rows and classes.
    go_on : tells before each step of a fit whether there is time for it, or None. A map that is not compared in time is left out and
        its name added to ``untried``; so is one that was asked for by name, and a temperature stands in for it.

    Examples
    --------
    >>> import numpy as np
    >>> choose(np.full((30, 2), 0.5), np.repeat([0, 1], 15))
    Identity(temperature=1.0)
    """
    method = "none" if method is None else method
    if method not in METHODS:
        raise RequestError(f"unknown calibration {method!r}", expected=f"one of {', '.join(METHODS)}")
    if method == "none":
        return Identity()
    p = np.asarray(probabilities, np.float64)
    shift = None if offset is None else _shift(np.asarray(offset, np.float64))
    if method == "auto":
        return _cheapest(p, labels, weights, shift, only, go_on, [] if untried is None else untried)
    y, w = _rows(len(p), _logs(p).shape[1], labels, weights)
    if not len(y):
        raise RequestError("a calibration cannot be fitted without rows", do="hold rows out for it or pass calibration='none'")
    enough = max(LEAST_ROWS.get(method, 0), ROWS_A_CLASS.get(method, 0) * p.shape[1])
    if len(y) < enough:
        words = f"calibration={method!r} learns mostly noise of {len(y):,} rows: it wants {enough:,} that the model did not learn from"
        warnings.warn(f"{words}. Use 'auto'", PellucidWarning, stacklevel=2)
    try:
        return _fit(method, p, y, w, shift, go_on)
    except OutOfTime:
        (untried if untried is not None else []).append(method)
        words = f"the time limit left no time for calibration={method!r}: a temperature stands in for it"
        warnings.warn(f"{words}. Allow more, or use 'auto'", PellucidWarning, stacklevel=2)
        return _fit("temperature", p, y, w, shift)


def held_out(
    calibrator: Any, probabilities: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None, *,
    offset: npt.ArrayLike | None = None,
) -> FloatArray:  # fmt: skip
    """Return calibrated answers (N, O) of the rows that a map was fitted on, each by a map of its kind that other rows fitted.

    A free map fits its own rows too well: scores taken from those answers promise more than new rows get (measured: 230 rows of twelve
    classes, 90 % promised, held by isotonic maps for 81 %). Maps of one number or none answer as they are. Other arguments as for
    :func:`choose`.
    """
    p = np.asarray(probabilities, np.float64)
    name = calibrator.state()["method"]
    if name in ("none", "temperature", "prior_shift") or len(p) < 2 * FOLDS:
        return np.asarray(calibrator.apply(p))
    shift = None if offset is None else _shift(np.asarray(offset, np.float64))
    y, w = _rows(len(p), _logs(p).shape[1], labels, weights)
    strength = getattr(calibrator, "strength", None)  # one number of five: what a row of thousands has in it is nothing
    fold, out = stream(0, "calibration scores").permutation(len(y)) % FOLDS, np.empty(_logs(p).shape)
    for k in range(FOLDS):
        mine, rest = fold == k, fold != k
        fitted = _fit(name, p[rest], y[rest], w[rest], shift, strength=strength) if w[rest].sum() > 0 else calibrator
        out[mine] = fitted.apply(p[mine])
    return out


def _shift(offset: FloatArray) -> LogAffine:
    return LogAffine("prior_shift", np.eye(len(offset)), offset)


def _fit(
    method: str, p: FloatArray, y: npt.NDArray[np.int64], w: FloatArray, shift: LogAffine | None, go_on: GoOn | None = None,
    strength: float | None = None,
) -> Calibrator:  # fmt: skip
    """Return a map fitted after the shift, if there is one."""
    before = p if shift is None else shift.apply(p)
    if method != "temperature":
        found = fit_map(method, before, y, w / w.sum(), go_on, strength)
        return found if shift is None else found.after(shift.bias)
    fitted = Temperature.fit(before, y, w, typical=TYPICAL)
    if shift is None:
        return fitted
    affine = LogAffine("temperature", np.eye(p.shape[1]) / fitted.temperature, np.zeros(p.shape[1]), n=fitted.n)
    return affine.after(shift.bias).measured(fitted.gain, fitted.gain_error)


def _candidates(y: npt.NDArray[np.int64], classes: int, only: tuple[str, ...] | None) -> list[str]:
    """Return what ``auto`` tries for labels y (N,), simplest first."""
    found, n, fewest = [], len(y), int(np.bincount(y, minlength=classes).min())
    for name in METHODS[1:-1]:
        few = n < LEAST_ROWS.get(name, 0) or n < ROWS_A_CLASS.get(name, 0) * classes
        few |= name == "dirichlet" and fewest < ROWS_A_CLASS[name]
        other = name in two_class_only and classes > 2
        same = name in ("vector", "dirichlet") and classes == 2  # of two classes they are Platt's map and the beta map
        if not (few or other or same) and (only is None or name in only):
            found.append(name)
    return found


def _cheapest(
    p: FloatArray, labels: npt.ArrayLike, weights: npt.ArrayLike | None, shift: LogAffine | None, only: tuple[str, ...] | None,
    go_on: GoOn | None, untried: list[str],
) -> Calibrator:  # fmt: skip
    """Return the simplest map that the freer ones do not beat by more than one standard error, on rows that did not fit it."""
    if len(p) < 2:
        return Identity() if shift is None else shift
    y, w = _rows(len(p), _logs(p).shape[1], labels, weights)
    rows, fold = np.arange(len(y)), stream(0, "calibration folds").permutation(len(y)) % FOLDS

    def lost(of: Calibrator, at: npt.NDArray[np.int64]) -> FloatArray:
        return np.asarray(-logs_of(of.apply(p[at]))[rows[: len(at)], y[at]])

    best: tuple[str, FloatArray] = ("none", lost(Identity(), rows))
    begun = best[1]
    tried = [*(["prior_shift"] if shift is not None else []), *_candidates(y, p.shape[1], only)]
    strength = None  # of the Dirichlet map, found once from all rows: it is one number of five, its maps are what the folds compare

    def left_out(name: str) -> FloatArray:
        """Return what each row loses under a map of this name that other rows fitted."""
        nonlocal strength
        if name == "dirichlet":
            strength = strength_of(logs_of(p if shift is None else shift.apply(p)), y, w, go_on)
        loss = np.zeros(len(y))
        for k in range(FOLDS):
            out, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            if len(out) and w[rest].sum() > 0:
                known = shift if name == "prior_shift" else None
                loss[out] = lost(known or _fit(name, p[rest], y[rest], w[rest], shift, go_on, strength), out)
        return loss

    for name in tried:
        try:
            loss = left_out(name)
        except OutOfTime:
            untried.append(name)
            continue
        gain, error = _paired(best[1] - loss, w)
        if gain > max(error, 1e-9):
            best = (name, loss)
    if best[0] == "none":
        return Identity()
    gain, error = _paired(begun - best[1], w)
    if best[0] == "prior_shift" and shift is not None:
        return shift.measured(gain, error)
    fitted = _fit(best[0], p, y, w, shift, strength=strength if best[0] == "dirichlet" else None)
    return replace(fitted, gain=gain, gain_error=error) if isinstance(fitted, Temperature | LogAffine | Steps) else fitted


def _paired(saved: FloatArray, w: FloatArray) -> tuple[float, float]:
    """Return (mean, its standard error) of what each row saves."""
    gain = float(w @ saved)
    return gain, float(np.sqrt(w**2 @ (saved - gain) ** 2))


def from_state(state: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator that ``state()`` described."""
    method = state.get("method")
    if method == "none":
        return Identity()
    gain, error = (float("nan") if state.get(k) is None else float(state[k]) for k in ("gain", "gain_error"))
    n = int(state.get("n", 0))
    try:
        if method == "isotonic":
            x, y = (tuple(np.asarray(a, np.float64) for a in state[k]) for k in ("x", "y"))
            return Steps(x, y, np.asarray(state["offset"], np.float64), gain, error, n)
        if "weight" in state and method in (*FITS, "temperature", "prior_shift"):
            weight, bias = (np.asarray(state[k], np.float64) for k in ("weight", "bias"))
            strength = None if state.get("strength") is None else float(state["strength"])
            return LogAffine(str(method), weight, bias, gain, error, n, strength)
        if method == "temperature" and float(state.get("temperature", 0)) > 0:
            return Temperature(float(state["temperature"]), gain, error, n)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError("the saved calibration cannot be read", expected="what was saved", got=repr(dict(state))[:80]) from error
    raise ModelFileError("the saved calibration cannot be read", expected=f"one of {', '.join(METHODS[1:])}", got=repr(dict(state))[:80])
