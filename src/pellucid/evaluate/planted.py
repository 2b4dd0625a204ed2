"""A planted truth in one's own rows: does the method find the columns that a model must read, row by row?

The target is replaced by a law of a few of the table's own columns, another few in each half of the rows, the same kind of model is trained
on it, and the method explains that model. Columns that the law reads in a row should get the largest contributions there.

Source: per-row truth after Chen, Song, Wainwright and Jordan 2018, "Learning to Explain", arXiv:1802.07814 (switch features).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import Case, NotTestable, Short, by_column
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.retrain import Ground, ground
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial
from pellucid.table import ColumnType, Table

__all__ = ["average_precision", "column_scores", "run", "true_and_false"]

NAME = "planted"
ROWS, TOLD = 900, 150
LEAST_COLUMNS = 4
LEARNED = 0.6
"""Share of what could be learned that the model must reach, from guessing (0) to the law itself (1): else its reasons are not the law's."""


def average_precision(sizes: FloatArray, truth: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the area under precision and recall of each row (N,), ties counted at their mean place; NaN where nothing or all is true.

    Examples
    --------
    >>> average_precision(np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]])).round(4).tolist()
    [0.8333]
    """
    # the place of a column is the number of columns at least as large: of equal ones none comes first
    at_least = sizes[:, None, :] >= sizes[:, :, None]
    precision = (at_least & truth[:, None, :]).sum(2) / at_least.sum(2)
    count = truth.sum(1)
    known = (count > 0) & (count < truth.shape[1])
    return np.asarray(np.where(known, (precision * truth).sum(1) / np.maximum(count, 1), np.nan))


def true_and_false(sizes: FloatArray, truth: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return (TPR, FDR) when as many columns as are true are named in each row, averaged over rows.

    Examples
    --------
    >>> true_and_false(np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]]))
    (0.5, 0.5)
    """
    count = truth.sum(1)
    named = (np.argsort(np.argsort(-sizes, axis=1, kind="stable"), axis=1) < count[:, None]) & (sizes > 0)
    hit = (named & truth).sum(1)
    rate = (hit / np.maximum(count, 1))[count > 0].mean()
    false = ((named.sum(1) - hit) / np.maximum(named.sum(1), 1)).mean()
    return float(rate), float(false)


def column_scores(table: Table, name: str, draw: np.random.Generator) -> FloatArray:
    """Return a column as standard numbers (N,): normal scores of numbers and dates, one drawn number per level."""
    from scipy.stats import norm, rankdata

    kind = table.schema[name].type
    if kind in (ColumnType.NUMBER, ColumnType.DATE):
        values = table.numbers(name) if kind is ColumnType.NUMBER else table.seconds(name)
        missing = np.isnan(values)
        ranks = rankdata(np.where(missing, np.nanmedian(values) if not missing.all() else 0.0, values))
        return np.asarray(norm.ppf((ranks - 0.5) / len(ranks)))
    codes, levels = table.levels(name)
    worth = draw.permutation(np.linspace(-1.5, 1.5, len(levels) + 1))
    return np.asarray(worth[codes])


def run(case: Case) -> Trial:
    """Return the trial. Cost: one fit on 600 rows; one explanation of 150 rows."""
    case.needs_columns(LEAST_COLUMNS)
    area = ground(case, ROWS, calls=TOLD / ROWS)
    signal, used = _law(area)
    target, truth = area.planted(signal)
    model = area.fit(area.table, 0, target)
    reached = _reached(area, model, truth)
    if reached < LEARNED:
        raise NotTestable(
            f"the retrained model learned {100 * max(0.0, reached):.0f} % of the planted law, too little to speak of its reasons"
        )
    rows = area.test[:TOLD]
    paid = case.reached(model, area.table.take(rows).select(case.predictor.columns))
    if paid < len(rows):
        raise Short(f"{len(rows)} rows are to be explained, and {paid} can be")
    part = np.isin(area.rows, rows)
    sizes = _sizes(area, model, rows)
    precision = average_precision(sizes, used[part])
    chance = float(used[part].mean())
    figure = bootstrap_mean(precision, stream(case.seed, "bootstrap"))
    passed = figure.low > chance
    tpr, fdr = true_and_false(sizes, used[part])
    return case.verdict(
        NAME, figure, chance, passed, _words(passed, figure, chance, tpr, reached), tpr=tpr, fdr=fdr, reached=reached, rows=len(rows),
        columns={name: float(v) for name, v in zip(area.players.names, used[part].mean(0))}, unit="area under precision and recall",
    )  # fmt: skip


def _sizes(area: Ground, model: object, rows: npt.NDArray[np.int64]) -> FloatArray:
    size = by_column(area.case.explain(model, area.table.take(rows).select(area.case.predictor.columns), coarse=True))
    return np.asarray(np.broadcast_to(size, (len(rows), size.shape[1])))


def _law(area: Ground) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (signal (N',), players the law reads in each row in use (N, P)): a switch chooses which of two columns counts."""
    draw = stream(area.case.seed, "law")
    numbers = [p for p in range(len(area.players)) if _varies(area, p)]
    if len(numbers) < 3:
        raise NotTestable("three columns that vary are needed to plant a law")
    switch, left, right = draw.permutation(numbers)[:3]
    s, a, b = (_scores(area, int(p), draw) for p in (switch, left, right))
    side = s < np.median(s[area.rows])
    signal = np.where(side, 2 * a, 2 * b) + np.where(side, -1.0, 1.0)
    used = np.zeros((len(area.rows), len(area.players)), bool)
    used[:, switch] = True
    here = side[area.rows]
    used[here, left], used[~here, right] = True, True
    return signal, used


def _scores(area: Ground, player: int, draw: np.random.Generator) -> FloatArray:
    name = area.case.predictor.columns[int(np.flatnonzero(area.players.of_column == player)[0])]
    return column_scores(area.table, name, draw)


def _varies(area: Ground, player: int) -> bool:
    name = area.case.predictor.columns[int(np.flatnonzero(area.players.of_column == player)[0])]
    counts = np.unique(area.table.levels(name)[0][area.rows], return_counts=True)[1]
    return bool(len(counts) > 1 and counts.max() <= 0.8 * len(area.rows))


def _reached(area: Ground, model: object, truth: FloatArray) -> float:
    score = float(area.score(model, area.table, truth).mean())  # type: ignore[arg-type]
    if not area.classes:
        return score
    guess = float(np.bincount(truth[area.test].astype(int)).max() / len(area.test))
    return (score - guess) / max(1 - guess, 1e-12)


def _words(passed: bool, figure: Figure, chance: float, tpr: float, reached: float) -> str:
    lead = (
        f"On a law planted in these rows, of which the retrained model learned {100 * reached:.0f} %, the method names "
        f"{100 * tpr:.0f} % of the "
        f"columns that count in a row; area under precision and recall {figure} (a random order has {chance:.2f})"
    )
    return f"{lead}: it finds planted reasons." if passed else f"{lead}: it is not shown to find planted reasons."
