"""Does a promise still hold? Wealth from bets against it, which may be looked at after every row.

A promise made on n held-out rows has a true coverage that is itself drawn: Beta(k, n + 1 - k). A break is a coverage outside the central
band of that law. Against each side a bettor stakes on every labelled row in turn; if the coverage lies in the band his wealth is a fair
game or worse, and reaches W with a chance of at most 1 / W, whenever one stops looking (Ville 1939).

The bet is the likelihood ratio of all coverages beyond the band, mixed uniformly, against the edge of the band; its integral is an
incomplete Beta function. Source: Robbins 1970, doi:10.1214/aoms/1177696786; e-values: Ramdas, Gruenwald, Vovk and Shafer
2023, arXiv:2210.01948. Letters: T rows in the order in which their truth came in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.training.coverage_law import coverage_range

__all__ = ["WITHIN", "band_of", "mixture_wealth", "wealth"]

FloatArray = npt.NDArray[np.float64]
WITHIN = 0.99
"""Share of the draws of held-out rows whose coverage counts as kept."""


def band_of(n_cal: int, level: float, by_folds: bool = False) -> tuple[float, float]:
    """Return the band of coverages that are no break: the central 99 % of the Beta law; with fold models from what CV+ promises up to 1.

    Examples
    --------
    >>> [round(end, 3) for end in band_of(1000, 0.9)]
    [0.874, 0.923]
    """
    if by_folds:
        return max(0.0, 2 * level - 1), 1.0
    return coverage_range(n_cal, level, WITHIN)


def mixture_wealth(hits: npt.ArrayLike, edge: float) -> FloatArray:
    """Return the wealth (..., T) of a bettor against "hits come with a chance of at most ``edge``", after each of T rows (..., T).

    The chance under the alternative is uniform on (edge, 1). With h hits in t rows the wealth is
    B(h + 1, t - h + 1) (1 - I_edge(h + 1, t - h + 1)) / ((1 - edge) edge^h (1 - edge)^(t - h)).

    Examples
    --------
    >>> mixture_wealth([1, 0], 0.5).round(4).tolist()  # the integrals of 2 p and of 4 p (1 - p), over the mean of p from 0.5 to 1
    [1.5, 0.6667]
    """
    from scipy.special import betaincc, betaln

    hit = np.asarray(hits, np.float64)
    if not 0 < edge < 1:  # no chance lies beyond an edge of 1; at 0 any hit would prove too much
        return np.ones(hit.shape)
    h = np.cumsum(hit, axis=-1)
    rest = np.arange(1, hit.shape[-1] + 1) - h
    beyond = betaincc(h + 1, rest + 1, edge)
    with np.errstate(divide="ignore"):
        log = betaln(h + 1, rest + 1) + np.log(beyond) - np.log1p(-edge) - h * np.log(edge) - rest * np.log1p(-edge)
    # too far below the edge for the incomplete Beta function the ratio falls from 1 at the edge at this rate, and its integral is 1 / rate
    rate = rest / (1 - edge) - h / edge
    lost = beyond < 1e-290
    log[lost] = -np.log(rate[lost]) - np.log1p(-edge)
    return np.asarray(np.exp(np.minimum(log, 700.0)))


def wealth(covered: npt.ArrayLike, band: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return the wealth, each (T,), against "coverage is at least the band's lower end" and "at most its upper end"."""
    inside = np.asarray(covered, bool)
    return mixture_wealth(~inside, 1 - band[0]), mixture_wealth(inside, band[1])
