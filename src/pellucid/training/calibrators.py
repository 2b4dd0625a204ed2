"""Calibrators: make a probability mean what it says. Arithmetic only: they see probabilities and labels, never a model.

A calibrator is fitted on rows the network never learned from, acts on the averaged member probabilities, and is plain numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, ModelFileError, RequestError

__all__ = ["METHODS", "Calibrator", "Identity", "Temperature", "choose", "from_state"]

FloatArray = npt.NDArray[np.float64]

METHODS = ("auto", "temperature", "none")
FLOOR = 1e-15  # probabilities below it are lifted to it before a logarithm: float32 members do give exact zeros
BOUNDS = (0.05, 20.0)


class Calibrator(Protocol):
    """What the estimators keep: ``apply`` on (N, O) probabilities, ``temperature`` for networks that scale logits, ``state`` to save."""

    @property
    def temperature(self) -> float: ...

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray: ...

    def state(self) -> dict[str, Any]: ...


def _log_softmax(logits: FloatArray) -> FloatArray:
    top = logits.max(axis=1, keepdims=True)
    shifted = logits - top
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _logs(probabilities: npt.ArrayLike) -> FloatArray:
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ArgumentError(
            "these are not class probabilities", expected="an array (rows, classes) with at least two classes", got=f"shape {p.shape}"
        )
    return np.asarray(np.log(np.maximum(p, FLOOR)))


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
    def fit(cls, probabilities: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Temperature:
        """Return the temperature of least log loss.

        Parameters
        ----------
        probabilities : (N, O) averaged member probabilities of rows the network never learned from.
        labels : (N,) class numbers.
        weights : (N,) row weights, any unit.
        """
        logs = _logs(probabilities)
        y, w = _rows(len(logs), logs.shape[1], labels, weights)
        if not len(y):
            raise RequestError("a temperature cannot be fitted without rows", do="hold rows out for it or pass calibration='none'")
        t = _solve(logs, y, w)
        rows = np.arange(len(y))
        saved = _log_softmax(logs / t)[rows, y] - _log_softmax(logs)[rows, y]
        gain = float(w @ saved)
        error = float(np.sqrt(w**2 @ (saved - gain) ** 2))
        return cls(t, gain, error, len(y))

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Return the calibrated probabilities (N, O); rows sum to 1."""
        return np.exp(_log_softmax(_logs(probabilities) / self.temperature))

    def state(self) -> dict[str, Any]:
        """Return what :func:`from_state` needs, as plain JSON types."""
        return {"method": "temperature", "temperature": self.temperature, "gain": self.gain, "gain_error": self.gain_error, "n": self.n}


def _solve(logs: FloatArray, y: npt.NDArray[np.int64], w: FloatArray) -> float:
    """Return the T at which the mean log-probability of the labels equals its expectation under the model."""
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
    return float(np.exp(brentq(slope, low, high, xtol=1e-10)))


def choose(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, method: str = "auto"
) -> Calibrator:
    """Return the calibrator called ``method``: ``"temperature"``, ``"none"``, or ``"auto"``.

    ``auto`` takes the temperature if it saves more log loss than one standard error of the paired difference. On the rows of the
    fit this is the same as asking T to lie two standard errors from 1, so a calibrated model is left alone in 95 of 100 cases.

    Examples
    --------
    >>> import numpy as np
    >>> choose(np.full((30, 2), 0.5), np.repeat([0, 1], 15))
    Identity(temperature=1.0)
    """
    if method not in METHODS:
        raise RequestError(f"unknown calibration {method!r}", expected=f"one of {', '.join(METHODS)}")
    if method == "none" or (method == "auto" and len(np.asarray(labels)) < 2):
        return Identity()
    fitted = Temperature.fit(probabilities, labels, weights)
    return fitted if method == "temperature" or fitted.gain > max(fitted.gain_error, 1e-9) else Identity()


def from_state(state: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator that ``state()`` described."""
    if state.get("method") == "none":
        return Identity()
    if state.get("method") != "temperature" or not float(state.get("temperature", 0)) > 0:
        raise ModelFileError("the saved calibration cannot be read", expected="method 'temperature' or 'none'", got=repr(dict(state))[:80])
    number = {k: float("nan") if state.get(k) is None else float(state[k]) for k in ("gain", "gain_error")}
    return Temperature(float(state["temperature"]), number["gain"], number["gain_error"], int(state.get("n", 0)))
