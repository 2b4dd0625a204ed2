"""Remove and retrain: do the columns named first hold what a model needs to learn the target?

In every row the columns of largest contribution are replaced by typical cells, a model is trained on what is left, and its score on masked
test rows is compared with that after masking random columns. A model that was retrained has seen masked rows, so that a fall of the score
is a loss of information, not of familiarity.

Source: Hooker, Erhan, Kindermans and Kim 2019, "A Benchmark for Interpretability Methods", arXiv:1806.10758.

# NOTE[DIFF] the paper masks with the mean; a level column takes its most frequent level. Correlated columns make up for what was masked:
see ``recursive_roar``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import Case, NotTestable, by_column
from pellucid.evaluate.figures import Figure, mean_figure
from pellucid.evaluate.retrain import Ground, first, ground, sizes
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["curves", "fits_of", "run"]

NAME = "roar"
SEEDS, LEVELS, ROWS = 5, 3, 900
CLEAR = 0.5
"""A share of what could be lost so large that it cannot be called chance: where the interval reaches it and 0 at once, nothing is shown."""
BoolArray = npt.NDArray[np.bool_]
Mask = Callable[[int, BoolArray, Predictor | None], BoolArray]
"""(number of players to mask, players masked so far (N, P), the model trained on that or None) -> players to mask (N, P)."""


def run(case: Case) -> Trial:
    """Return the trial. Cost: 32 fits on 600 rows; one explanation of 900 rows. Where the time does not reach, nothing is judged."""
    area = ground(case, ROWS, calls=1, fits=fits_of(by_column(case.explanation).shape[1]))
    named = area.sizes(case.predictor, area.table)
    return verdict(case, area, *curves(area, lambda k, *_: first(named, k)), NAME)


def verdict(case: Case, area: Ground, counts: tuple[int, ...], own: FloatArray, chance: FloatArray, name: str) -> Trial:
    """Return the trial from the scores (S, L, n) under both orders: the mean difference over the levels between none and all."""
    figure = mean_figure((chance - own)[:, 1:-1].mean(1), -np.inf, np.inf)
    passed = figure.low > 0
    share = [k / len(area.players) for k in counts]
    most = float((chance.mean(2) - own.mean(2)[:, -1:])[:, 1:-1].mean())
    fall = float(own[:, 0].mean() - own[:, -1].mean())
    if not fall > 0:
        raise NotTestable("the retrained model scores no better with all columns than with none, so that no column can be missed")
    if not most > 0:
        raise NotTestable("masking random columns costs as much as masking all, so that no order can cost more")
    if not passed and figure.high >= CLEAR * most:
        raise NotTestable(
            f"the {len(own)} trainings a share do not agree: masking the columns named first costs {figure} more than masking random ones, "
            f"where {most:.2f} is the most, which is nothing or much; a model that learns from more rows would tell"
        )
    return case.verdict(
        name, figure, 0.0, passed, _words(passed, figure, own.mean((0, 2)), chance.mean((0, 2)), area.classes > 0),
        curve=[[s, float(a), float(b)] for s, a, b in zip(share, own.mean((0, 2)), chance.mean((0, 2)))],
        curve_names=("masked in the order of the explanation", "masked at random"), rows=len(area.rows),
        tried=len(area.test), seeds=len(own),
        unit="accuracy" if area.classes else "share of the variance",
    )  # fmt: skip


def curves(area: Ground, mask: Mask) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """Return (numbers of masked columns (L,), scores (S, L, n) masked by ``mask``, scores masked at random).

    Each order starts from all columns and ends at none, where both and all seeds are the same; the random order is another one in every row
    and seed.
    """
    columns = len(area.players)
    own: list[FloatArray] = []
    chance: list[FloatArray] = []
    counts, fits = sizes(columns, LEVELS), fits_of(columns)
    ends = [_score(area, np.full((len(area.rows), columns), hide), 0)[0] for hide in (False, True)]
    for seed in range(SEEDS):
        # a run that would not be done in time is given up after its first fits rather than near its end
        area.case.pays((fits - 2) * (SEEDS - seed) // SEEDS)
        drawn = stream(area.case.seed, "random order", seed).random((len(area.rows), columns))
        own.append(_line(area, counts, mask, seed, ends))
        chance.append(_line(area, counts, lambda k, *_, order=drawn: first(order, k), seed, ends))
    return counts, np.stack(own), np.stack(chance)


def fits_of(columns: int) -> int:
    """Return how many models both orders take.

    Examples
    --------
    >>> fits_of(8), fits_of(2)
    (32, 12)
    """
    return 2 + SEEDS * 2 * (len(sizes(columns, LEVELS)) - 2)


def _line(area: Ground, counts: tuple[int, ...], mask: Mask, seed: int, ends: list[FloatArray]) -> FloatArray:
    """Return the scores (L, n) of one order."""
    line, model = [ends[0]], None
    before = np.zeros((len(area.rows), len(area.players)), bool)
    for k in counts[1:-1]:
        before = mask(k, before, model)
        scores, model = _score(area, before, seed)
        line.append(scores)
    return np.stack([*line, ends[1]])


def _score(area: Ground, mask: BoolArray, seed: int) -> tuple[FloatArray, Predictor]:
    """Return (scores on the masked test rows, the model trained on the masked training rows)."""
    table = area.masked(mask)
    return area.learned(table, seed)


def _words(passed: bool, figure: Figure, own: FloatArray, chance: FloatArray, classes: bool) -> str:
    what = "an accuracy" if classes else "a share of the variance"
    n = len(own) - 2
    lead = (
        f"Trained again with part of the columns masked, the model reaches {what} of {own[1:-1].mean():.2f} where those named first were "
        f"masked and {chance[1:-1].mean():.2f} where random ones were ({own[0]:.2f} with all columns{f'; mean over {n} parts' * (n > 1)}), "
        f"a difference of {figure}"
    )
    return (
        f"{lead}: the columns named first hold what is needed." if passed else f"{lead}: the order is not shown to be better than chance."
    )
