"""Masking without retraining: do the columns named first hold what a model needs, asked of a model that has learned from hidden cells?

A model that was trained with hidden columns knows rows with missing cells, so that hiding a column is a fair question and nothing need be
trained again. The columns named first are hidden, and the score on the labels is compared with that after hiding random columns: what
``roar`` asks, at no fit.

Source: Madsen, Reddy and Chandar 2024, "Faithfulness Measurable Masked Language Models", arXiv:2310.07819.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, mean_figure
from pellucid.evaluate.retrain import Ground, first, sizes, truth_of
from pellucid.probe.masker import Players, missing_row
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "masked"
SEEDS, LEVELS, ROWS, LEAST = 5, 9, 900, 30


def run(case: Case) -> Trial:
    """Return the trial. Cost: 60 answers for each of at most 900 rows; none is explained again."""
    case.needs_contributions()
    case.needs_columns(2)
    if not getattr(case.predictor, "learned_missing", False):
        raise NotTestable("the model did not learn from rows with hidden columns (regularizers={'mask_columns': None}); see roar")
    if case.y is None:
        raise NotTestable("the labels are not known; give y=")
    area = _ground(case)
    named = np.broadcast_to(np.abs(case.values).mean(2), (len(case.table), len(area.players)))[area.rows]
    counts = sizes(len(area.players), LEVELS)
    own = np.stack([_scores(area, named, k) for k in counts])
    draw = stream(case.seed, "random order")
    chance = np.stack([[_scores(area, draw.random(named.shape), k) for k in counts] for _ in range(SEEDS)])
    if not own[0].mean() > own[-1].mean():
        raise NotTestable("the model scores no better with all columns than with none, so that no column can be missed")
    figure = mean_figure((chance - own)[:, 1:-1].mean(1), -np.inf, np.inf)
    passed = figure.low > 0
    share = [k / len(area.players) for k in counts]
    curve = [[s, float(a), float(b)] for s, a, b in zip(share, own.mean(1), chance.mean((0, 2)))]
    return case.verdict(
        NAME, figure, 0.0, passed, _words(passed, figure, curve, area.classes > 0), curve=curve,
        curve_names=("hidden in the order of the explanation", "hidden at random"), rows=len(area.rows),
        unit="accuracy" if area.classes else "share of the variance",
    )  # fmt: skip


def _ground(case: Case) -> Ground:
    """Return the explained rows as ground whose masked cells are missing ones."""
    labels = np.asarray(case.y)
    if labels.ndim > 1 and labels.shape[1] > 1:
        raise NotTestable("the model answers for several targets at once")
    players = Players.of(case.predictor.columns, case.settings.get("groups"))
    if len(players) != case.values.shape[1]:
        raise NotTestable("the explanation speaks of other columns than the model")
    n = len(case.table)
    if n < LEAST:
        raise NotTestable(f"{LEAST} rows with labels are needed, and there are {n}")
    alone = replace(case, refit=None)
    rows = np.sort(stream(case.seed, "ground").permutation(n)[:ROWS])
    table = case.table.select(case.predictor.columns)
    return Ground(alone, table, rows, rows[:0], rows, labels, truth_of(alone, labels), players, missing_row(table), False)


def _scores(area: Ground, order: FloatArray, k: int) -> FloatArray:
    """Return the scores (n,) with the first ``k`` columns of each row hidden."""
    return area.score(area.case.predictor, area.masked(first(order, k)))


def _words(passed: bool, figure: Figure, curve: list[list[float]], classes: bool) -> str:
    share, own, chance = curve[len(curve) // 2]
    what = "an accuracy" if classes else "a share of the variance"
    lead = (
        f"With {100 * share:.0f} % of the columns hidden, the model reaches {what} of {own:.2f} where those named first were hidden and "
        f"{chance:.2f} where random ones were ({curve[0][1]:.2f} with all columns); on average over all shares the difference is {figure}"
    )
    return (
        f"{lead}: the columns named first hold what is needed." if passed else f"{lead}: the order is not shown to be better than chance."
    )
