"""Growing relative importance: the more of a target comes from some columns, the more of the reasons must they get.

Four targets are planted in the same rows: the columns O give none, a third, two thirds and all of what decides them, and other columns the
rest. The share of O in the reasons of a row must grow from model to model; the figure is the mean rank agreement (Kendall) of share and
step.

Source: Yang and Kim 2019, "Benchmarking Attribution Methods with Relative Feature Importance", arXiv:1907.09701, the model contrast score
over models of growing relative importance.

# NOTE[DIFF] the paper makes an object tell more and more of ten classes of scenes; here O has a growing part in the planted signal, which
two classes and numbers allow as well.
"""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.bam import row_sizes, signal, taught
from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.orders import kendall
from pellucid.evaluate.retrain import ground
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["growth", "run"]

NAME = "bam_relative"
FIT_ROWS, ROWS = 900, 40
STEPS = 4


def run(case: Case) -> Trial:
    """Return the trial. Cost: 4 fits on 600 rows; 4 explanations of at most 40 rows."""
    case.needs_columns(2)
    if case.whole:
        raise NotTestable("the method speaks of the whole table, not of rows")
    area = ground(case, FIT_ROWS, calls=STEPS * ROWS / FIT_ROWS, fits=STEPS)
    draw = stream(case.seed, "pair")
    order, size = draw.permutation(len(area.players)), max(1, min(2, len(area.players) // 2))
    of, other = np.sort(order[:size]), np.sort(order[size : 2 * size])
    parts = [signal(area, group, draw) for group in (of, other)]
    own, rest = ((p - p[area.rows].mean()) / max(float(p[area.rows].std()), 1e-300) for p in parts)
    rows = area.test[:ROWS]
    table = area.table.take(rows).select(case.predictor.columns)
    shares = []
    for k, part in enumerate(np.linspace(0, 1, STEPS)):
        sizes = row_sizes(case, taught(area, part * own + (1 - part) * rest, k), table)
        shares.append(sizes[:, of].sum(1) / np.maximum(sizes.sum(1), 1e-300))
    per_step = np.stack(shares, 1)
    figure = bootstrap_mean(growth(per_step), stream(case.seed, "bootstrap"))
    means = per_step.mean(0)
    passed = figure.low > 0 and bool((np.diff(means) > 0).all())
    return case.verdict(
        NAME, figure, 0.0, passed, _words(passed, figure, means),
        curve=[[float(p), float(m)] for p, m in zip(np.linspace(0, 1, STEPS), means)], rows=len(rows),
        columns=[area.players.names[p] for p in of], unit="rank agreement of share and step",
    )  # fmt: skip


def growth(shares: FloatArray) -> FloatArray:
    """Return per row the rank agreement (n,) of shares (n, K) with their step; 0 where all are the same.

    Examples
    --------
    >>> growth(np.array([[0.1, 0.2, 0.4], [0.3, 0.2, 0.1], [0.5, 0.5, 0.5]])).tolist()
    [1.0, -1.0, 0.0]
    """
    return np.nan_to_num(kendall(shares, np.broadcast_to(np.arange(shares.shape[1], dtype=float), shares.shape)))


def _words(passed: bool, figure: Figure, means: FloatArray) -> str:
    told = ", ".join(f"{100 * m:.0f} %" for m in means)
    lead = (
        f"Of models trained on planted targets, columns that give none, a third, two thirds and all of it get {told} of the reasons; "
        f"row by row, share and step agree at {figure} (1 = always in order)"
    )
    return f"{lead}: what matters more gets more." if passed else f"{lead}: what matters more does not get more."
