"""How good is a distribution for a number? Proper scores, and calibration beside what a calibrated model would show.

Letters: N rows, M components, L quantile levels, S samples. Scores are in the target's unit (CRPS) or nats (likelihood), less is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.random import stream

__all__ = ["PitCheck", "check_pit", "crps_mixture", "crps_normal", "crps_quantiles", "crps_samples", "nll_normal", "pinball", "winkler"]

FloatArray = npt.NDArray[np.float64]


def _pieces(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (distribution function, density) of the standard normal law."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z)), np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


def nll_normal(y: npt.ArrayLike, mean: npt.ArrayLike, sd: npt.ArrayLike) -> FloatArray:
    """Return the negative log-likelihood of normal laws, row by row: ln(2 pi s^2) / 2 + (y - m)^2 / (2 s^2).

    Examples
    --------
    >>> round(float(nll_normal(0.0, 0.0, 1.0)), 4)
    0.9189
    """
    y, m, s = (np.asarray(a, np.float64) for a in (y, mean, sd))
    return np.asarray(0.5 * np.log(2 * np.pi * s * s) + (y - m) ** 2 / (2 * s * s))


def crps_normal(y: npt.ArrayLike, mean: npt.ArrayLike, sd: npt.ArrayLike) -> FloatArray:
    """Return the continuous ranked probability score of normal laws: s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - m) / s.

    Gneiting, Raftery 2007, doi:10.1198/016214506000001437.
    """
    y, m, s = (np.asarray(a, np.float64) for a in (y, mean, sd))
    z = (y - m) / s
    below, density = _pieces(z)
    return np.asarray(s * (z * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def crps_mixture(y: FloatArray, weights: FloatArray, means: FloatArray, sds: FloatArray) -> FloatArray:
    """Return the score of mixtures of normal laws, (N,), from y (N,) and components (N, M): E|Y - y| - E|Y - Y'| / 2 in closed form.

    Grimit, Gneiting, Berrocal, Johnson 2006, doi:10.1256/qj.05.235. Cost: N M^2.
    """

    def distance(d: FloatArray, s: FloatArray) -> FloatArray:
        below, density = _pieces(d / s)
        return np.asarray(d * (2 * below - 1) + 2 * s * density)

    first = (weights * distance(y[:, None] - means, sds)).sum(1)
    apart = distance(means[:, :, None] - means[:, None], np.sqrt(sds[:, :, None] ** 2 + sds[:, None] ** 2))
    return np.asarray(first - 0.5 * (weights[:, :, None] * weights[:, None] * apart).sum((1, 2)))


def crps_samples(y: FloatArray, samples: FloatArray) -> FloatArray:
    """Return the score of samples (N, S): mean |Y - y| - mean |Y - Y'| / 2 over all pairs, a sample with itself included."""
    s = samples.shape[1]
    ordered = np.sort(samples, axis=1)
    spread = (ordered * (2 * np.arange(1, s + 1) - s - 1)).sum(1) * 2 / (s * s)  # mean |Y - Y'|, by ranks
    return np.asarray(np.abs(samples - y[:, None]).mean(1) - 0.5 * spread)


def pinball(y: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the pinball loss of quantiles (N, L) at levels (L,), (N, L): max(q (y - f), (q - 1) (y - f))."""
    short = y[:, None] - quantiles
    return np.maximum(levels * short, (levels - 1) * short)


def crps_quantiles(y: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return twice the pinball loss integrated over the levels: the score of the law that the quantiles stand for.

    Between levels the loss is joined by straight lines; beyond the outer ones it is taken to fall to 0 with the level.
    """
    loss = pinball(y, quantiles, levels)
    edge = np.zeros((len(y), 1))
    return np.asarray(2 * np.trapezoid(np.hstack([edge, loss, edge]), np.r_[0.0, levels, 1.0], axis=1))


def winkler(y: FloatArray, low: FloatArray, high: FloatArray, level: float) -> FloatArray:
    """Return the interval score: width + 2 / alpha times how far the truth lies outside, alpha = 1 - level."""
    alpha = 1 - level
    return np.asarray(high - low + 2 / alpha * (np.maximum(low - y, 0) + np.maximum(y - high, 0)))


@dataclass(frozen=True)
class PitCheck:
    """How far the share of truths below each claimed quantile is from the claim, beside what a calibrated model would show.

    Attributes
    ----------
    error : mean over the levels 0.05 to 0.95 of |share - level|. null_mean, null_high : mean and 95 % point of it on N uniform numbers.
    n : rows.
    """

    error: float
    null_mean: float
    null_high: float
    n: int

    @property
    def consistent(self) -> bool:
        """True where the figure is one that a calibrated model would show."""
        return self.error <= self.null_high


def check_pit(pit: FloatArray, *, draws: int = 200, seed: int = 0) -> PitCheck:
    """Return the calibration error of the claimed distribution functions at the truths, pit (N,), with its null band."""
    levels, n, rng = np.linspace(0.05, 0.95, 19), len(pit), stream(seed, "pit null")

    def error(values: FloatArray) -> float:
        return float(np.abs(np.searchsorted(np.sort(values), levels, side="right") / n - levels).mean())

    null = np.array([error(rng.random(n)) for _ in range(draws)])
    return PitCheck(error(pit), float(null.mean()), float(np.quantile(null, 0.95)), n)
