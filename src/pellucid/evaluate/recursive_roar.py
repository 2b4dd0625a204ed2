"""Recursive remove and retrain: as ``roar``, but the retrained model is explained anew before the next columns are masked.

Where two columns say the same, a model may lean on one of them and the explanation rightly names that one; masked, the other takes its
place and plain ``roar`` sees no loss. Asked again, a faithful explanation names the other.

Source: Madsen, Meade, Adlakha and Reddy 2022, "Evaluating the Faithfulness of Importance Measures in NLP by Recursively Masking", RACU by
the formula of the released code, arXiv:2110.08412.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.evaluate import roar
from pellucid.evaluate.case import Case, NotTestable, by_column
from pellucid.evaluate.figures import Figure
from pellucid.evaluate.retrain import first, ground, sizes
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["interval", "racu", "run"]

NAME = "recursive_roar"
ROWS = 450
NORMAL, DRAWS = 1.96, 400
END = 0.98
"""Where the ends begin: one training at -1 beside others at -0.8 would stretch the interval over all there is."""
BoolArray = npt.NDArray[np.bool_]


def run(case: Case) -> Trial:
    """Return the trial; its figure is RACU. Cost: 32 fits on 300 rows, 11 explanations of 450 rows. Where the time does not reach, nothing
    is judged."""
    columns = by_column(case.explanation).shape[1]
    calls = 1 + roar.SEEDS * max(0, len(sizes(columns, roar.LEVELS)) - 3)
    area = ground(case, ROWS, calls=calls, fits=roar.fits_of(columns))
    start = area.sizes(case.predictor, area.table)

    def next_mask(k: int, before: BoolArray, model: Predictor | None) -> BoolArray:
        named = start if model is None else area.sizes(model, area.masked(before))
        return first(np.where(before, np.inf, named), k)  # what is masked stays masked; the rest follows by the new sizes

    counts, own, chance = roar.curves(area, next_mask)
    share = np.asarray(counts) / len(area.players)
    if not own[:, 0].mean() > own[:, -1].mean():
        raise NotTestable("the retrained model scores no better with all columns than with none, so that no column can be missed")
    each = np.array([racu(p, q, share) for p, q in zip(own.mean(2), chance.mean(2))])
    figure = interval(each, racu(own.mean((0, 2)), chance.mean((0, 2)), share), _by_rows(own.mean(0), chance.mean(0), share, case.seed))
    if figure.low <= 0 and figure.high >= roar.CLEAR:
        raise NotTestable(f"seeds and rows do not agree ({figure}): a model that learns from more rows would tell")
    passed = figure.low > 0
    return case.verdict(
        NAME, figure, 0.0, passed, _words(passed, figure),
        curve=[[float(s), float(a), float(b)] for s, a, b in zip(share, own.mean((0, 2)), chance.mean((0, 2)))],
        curve_names=("masked in the order of the explanation, asked again", "masked at random"), by_seed=each.tolist(), rows=len(area.rows),
        tried=len(area.test),
        unit="share of the area between masking at random and masking all",
    )  # fmt: skip


def racu(p: FloatArray, q: FloatArray, share: FloatArray) -> float:
    """Return the relative area between the curves, in [-1, 1]: 0 as good as random, 1 all is lost with the first columns.

    Parameters
    ----------
    p, q : (L,) scores masked by the explanation and at random, over ``share`` (L,) of masked columns, from 0 to 1.

    Notes
    -----
    RACU = sum_i (D_i + D_i+1) / 2 dt / sum_i (d_i + d_i+1) / 2 dt with D = q - p and d = q - q(1).

    Examples
    --------
    >>> t = np.array([0.0, 0.5, 1.0])
    >>> racu(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.0]), t)
    0.5
    """
    whole = float(np.trapezoid(q - q[-1], share))
    return float(np.clip(np.trapezoid(q - p, share) / whole, -1, 1)) if whole > 0 else 0.0


def interval(each: FloatArray, value: float, by_rows: float = 0.0) -> Figure:
    """Return the figure with its 95 % interval: over seeds by t (of log((1 + r) / (1 - r)), which has no ends) and over rows.

    Parameters
    ----------
    each : (S,) the figure by seed. value : the figure of all.
    by_rows : its standard error over rows. All seeds mask and score the same rows by the same order: between them the chance of the order
        is not seen.

    Examples
    --------
    >>> interval(np.array([0.5, 0.5, 0.5]), 0.5)
    Figure(value=0.5, low=0.5, high=0.5)
    """
    from scipy.stats import t

    if len(each) < 2:
        return Figure(value, -1.0, 1.0)
    stretched = np.arctanh(np.clip(each, -END, END))
    half = t.ppf(0.975, len(each) - 1) * stretched.std(ddof=1) / np.sqrt(len(each))
    ends = (round(float(np.tanh(stretched.mean() + sign * half)), 12) for sign in (-1, 1))
    below, above = (float(np.hypot(max(sign * (end - value), 0.0), NORMAL * by_rows)) for sign, end in zip((-1, 1), ends))
    return Figure(value, max(-1.0, value - below), min(1.0, value + above))


def _by_rows(own: FloatArray, chance: FloatArray, share: FloatArray, seed: int) -> float:
    """Return the standard error of the figure over rows from scores (L, n): of resampled rows."""
    draw, n = stream(seed, "rows of the area"), own.shape[1]
    taken = draw.multinomial(n, np.full(n, 1 / n), DRAWS) / n  # (B, n)
    return float(np.std([racu(p, q, share) for p, q in zip(taken @ own.T, taken @ chance.T)], ddof=1))


def _words(passed: bool, figure: Figure) -> str:
    lead = (
        f"Trained, explained and masked again step by step, the model loses what it knows faster than under random masking by {figure} "
        "(0 = as at random, 1 = all at once)"
    )
    if passed:
        return f"{lead}: the columns named first hold what is needed, those that stand in for each other counted."
    return f"{lead}: the order is not shown to be better than chance."
