"""Known relative importance: two models that read the same rows for different purposes must be explained differently.

Two targets are planted in the same rows: one depends on the columns O, the other on the columns S. Three scores:

* model contrast: the part of O under the model of O minus its part under the model of S; above 0.
* input dependence: share of rows where O gets less once its cells are typical ones, under the model of O; above one half.
* input independence: share of rows in which the reasons of S stay within a tenth when O, which its model does not read, gets other cells.

Source: Yang and Kim 2019, "Benchmarking Attribution Methods with Relative Feature Importance", arXiv:1907.09701; threshold 0.1 as in their
code.

# NOTE[DIFF] the paper pastes objects into scenes; here O and S are columns of the table. Sizes are first divided by their sum in each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import Case, NotTestable, by_column
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.planted import column_scores
from pellucid.evaluate.retrain import Ground, ground
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.results import Trial
from pellucid.table import Table

__all__ = ["contrasts", "row_sizes", "run", "signal", "taught"]

NAME = "bam"
FIT_ROWS, ROWS = 900, 40
INERT = 0.1
LEARNED = 0.5


@dataclass(frozen=True)
class _Pair:
    """Columns O and S (players), and the models trained on a target of each."""

    of: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    model_of: Predictor
    model_other: Predictor


def run(case: Case) -> Trial:
    """Return the trial. Cost: 2 fits on 600 rows; 4 explanations of at most 40 rows."""
    case.needs_columns(2)
    if case.whole:
        raise NotTestable("the method speaks of the whole table, not of rows")
    area = ground(case, FIT_ROWS, calls=4 * ROWS / FIT_ROWS, fits=2)
    pair = _pair(area)
    rows = area.test[:ROWS]
    table = area.table.take(rows).select(case.predictor.columns)
    sizes = {
        "of": row_sizes(case, pair.model_of, table),
        "other": row_sizes(case, pair.model_other, table),
        "of, without": row_sizes(case, pair.model_of, _typical(area, table, pair.of)),
        "other, exchanged": row_sizes(case, pair.model_other, _exchanged(area, table, pair.of)),
    }
    scores = contrasts(sizes, pair.of, pair.other)
    mcs, idr, iir = (bootstrap_mean(v, stream(case.seed, "bootstrap")) for v in scores)
    # the other two are stated, and judged only where they speak against the method: a typical cell of a category has a contribution too,
    # and a network that has not quite forgotten idle cells moves with them
    passed = mcs.low > 0 and idr.high > 0.5
    return case.verdict(
        NAME, mcs, 0.0, passed, _words(passed, mcs, idr, iir), input_dependence=list(idr), input_independence=list(iir), rows=len(rows),
        columns={k: [area.players.names[p] for p in v] for k, v in (("of", pair.of), ("other", pair.other))},
        unit="share of the row's sizes",
    )  # fmt: skip


def contrasts(
    sizes: Mapping[str, FloatArray], of: npt.NDArray[np.int64], other: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return per row (contrast of the models, whether O gets less without its cells, whether S stays when O is exchanged), (n,) each.

    Parameters
    ----------
    sizes : (n, P) sizes of contributions: ``"of"`` and ``"other"`` under the two models, ``"of, without"`` with O typical under the
        model of O, ``"other, exchanged"`` with other cells in O under the model of S.

    Examples
    --------
    >>> same = np.ones((1, 2))
    >>> every = dict.fromkeys(("of", "other", "of, without", "other, exchanged"), same)
    >>> [v.tolist() for v in contrasts(every, np.array([0]), np.array([1]))]
    [[0.0], [0.5], [1.0]]
    """
    share = {k: v / np.maximum(v.sum(1, keepdims=True), 1e-300) for k, v in sizes.items()}
    contrast = share["of"][:, of].sum(1) - share["other"][:, of].sum(1)
    before, after = sizes["of"][:, of].sum(1), sizes["of, without"][:, of].sum(1)
    less = np.where(before == after, 0.5, after < before)  # a method that sees no difference is as good as a coin
    own, moved = sizes["other"][:, other].sum(1), sizes["other, exchanged"][:, other].sum(1)
    return np.asarray(contrast), np.asarray(less, np.float64), np.asarray(np.abs(moved - own) <= INERT * own, np.float64)


def _pair(area: Ground) -> _Pair:
    p = len(area.players)
    draw = stream(area.case.seed, "pair")
    order, size = draw.permutation(p), max(1, min(2, p // 2))
    of, other = np.sort(order[:size]), np.sort(order[size : 2 * size])
    models: list[Predictor] = []
    for group in (of, other):
        models.append(taught(area, signal(area, group, draw), len(models)))
    return _Pair(of, other, *models)


def signal(area: Ground, group: npt.NDArray[np.int64], draw: np.random.Generator) -> FloatArray:
    """Return what some players tell of a planted target, (N',): the sum of one score per player, by its first column."""
    names = [area.case.predictor.columns[int(np.flatnonzero(area.players.of_column == g)[0])] for g in group]
    return np.asarray(np.sum([column_scores(area.table, name, draw) for name in names], axis=0))


def taught(area: Ground, planted: FloatArray, seed: int) -> Predictor:
    """Return the model trained on a planted signal (N',); not testable where it did not learn it."""
    target, truth = area.planted(planted)
    model = area.fit(area.table, seed, target)
    score = float(area.score(model, area.table, truth).mean())
    floor = 1 / area.classes if area.classes else 0.0
    if (score - floor) / (1 - floor) < LEARNED:
        raise NotTestable("the retrained model did not learn the planted target, so that its reasons are not known")
    return model


def row_sizes(case: Case, model: Predictor, table: Table) -> FloatArray:
    """Return the sizes of the contributions (n, P) to rows, under a model."""
    return by_column(case.explain(model, table, coarse=True))


def _columns(area: Ground, players: npt.NDArray[np.int64]) -> list[str]:
    return [c for c, p in zip(area.case.predictor.columns, area.players.of_column) if p in players]


def _typical(area: Ground, table: Table, players: npt.NDArray[np.int64]) -> Table:
    """Return the rows with typical cells in some players."""
    cells = {c: area.typical.frame[c].array.take(np.zeros(len(table), np.int64)) for c in _columns(area, players)}
    return table.with_cells(cells)


def _exchanged(area: Ground, table: Table, players: npt.NDArray[np.int64]) -> Table:
    """Return the rows with the cells of other rows in some players."""
    donors = stream(area.case.seed, "donors").choice(area.train, len(table))
    return table.with_cells({c: area.table.frame[c].array.take(donors) for c in _columns(area, players)})


def _words(passed: bool, mcs: Figure, idr: Figure, iir: Figure) -> str:
    lead = (
        f"Of two models trained on planted targets, the columns that only one of them reads get {100 * mcs.value:+.0f} % more "
        "of the reasons under "
        f"that one; they get less once their cells are typical in {100 * idr.value:.0f} % of the rows; and the reasons stay "
        "when cells that a model "
        f"does not read are exchanged in {100 * iir.value:.0f} %"
    )
    return (
        f"{lead}: the method tells what matters from what does not."
        if passed
        else f"{lead}: it does not tell what matters from what does not."
    )
