"""Keep the top, keep the bottom: does a model learn more from the columns named first than from those named last?

Source: Shah, Jain and Netrapalli 2021, "Do Input Gradients Highlight Discriminative Features?", arXiv:2102.12781.

The figure is PP(keep the top k) - PP(keep the bottom k), where PP is the score of a model retrained on masked rows. Above 0 the order is
right, below 0 it is upside down.
"""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.case import Case, by_column
from pellucid.evaluate.figures import Figure, mean_figure
from pellucid.evaluate.retrain import Ground, first, ground
from pellucid.protocols import FloatArray
from pellucid.results import Trial

__all__ = ["run"]

NAME = "diffroar"
SHARES = (0.25, 0.5)
SEEDS, ROWS = 5, 900


def run(case: Case) -> Trial:
    """Return the trial. Cost: 20 fits on 600 rows; one explanation of 900 rows. Where the time does not reach, nothing is judged."""
    counts = sorted({max(1, round(s * by_column(case.explanation).shape[1])) for s in SHARES})
    fits = 2 * len(counts)
    area = ground(case, ROWS, calls=1, fits=SEEDS * fits)
    named = area.sizes(case.predictor, area.table)
    lines: list[FloatArray] = []
    for seed in range(SEEDS):
        lines.append(np.stack([_difference(area, named, k, seed) for k in counts]))
        case.pays((SEEDS - 1 - seed) * fits)
    every = np.stack(lines)  # (S, sizes, n)
    figure = mean_figure(every.mean(1), -np.inf, np.inf)
    passed = figure.low > 0
    by_size = {str(k): float(v) for k, v in zip(counts, every.mean((0, 2)))}
    return case.verdict(
        NAME, figure, 0.0, passed, _words(passed, figure), by_size=by_size, rows=len(area.rows),
        tried=len(area.test), seeds=len(lines),
        unit="difference of accuracy" if area.classes else "difference of the share of the variance",
    )  # fmt: skip


def _difference(area: Ground, named: FloatArray, k: int, seed: int) -> FloatArray:
    """Return (n_test,) scores with the k first columns kept, minus those with the k last kept."""
    scores = []
    for kept in (first(named, k), ~first(named, named.shape[1] - k)):
        table = area.masked(~kept)
        scores.append(area.learned(table, seed)[0])
    return np.asarray(scores[0] - scores[1])


def _words(passed: bool, figure: Figure) -> str:
    lead = f"A model trained on the columns named first alone scores {figure}, more than one trained on those named last"
    if passed:
        return f"{lead}: the columns named first hold more of what is needed."
    return f"{lead}: the columns named first are not shown to hold more than those named last."
