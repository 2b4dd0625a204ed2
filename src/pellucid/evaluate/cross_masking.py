"""Cross-model masking: does masking by a model's own reasons move that model more than masking by the reasons of others?

Besides the model on trial, up to two models are trained on targets planted in disjoint columns of the same rows. Each one is explained, and
the columns named first by one model are masked before another answers. Where explanations speak of the model, the diagonal of this matrix
dominates its columns: nothing moves a model as far as what its own explanation names.

Source: Javorsky, Bojar and Yvon 2023, "Assessing Word Importance Using Models Trained for Semantic Tasks", arXiv:2305.19689 (one model
on inputs masked by the weights of the other).

# NOTE[DIFF] the other tasks are planted, so that they are known to need other columns; masked cells are typical ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.bam import row_sizes, signal, taught
from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.retrain import Ground, first, ground
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.results import Trial
from pellucid.table import Table

__all__ = ["dominance", "run"]

NAME = "cross_masking"
FIT_ROWS, ROWS = 900, 40
TASKS = 2
OWN = "the model"


def run(case: Case) -> Trial:
    """Return the trial. Cost: 2 fits on 600 rows; 3 explanations of at most 40 rows; 12 answers per row and model."""
    case.needs_columns(3)
    if case.whole:
        raise NotTestable("the method speaks of the whole table, not of rows")
    area = ground(case, FIT_ROWS, calls=(TASKS + 1) * ROWS / FIT_ROWS, fits=TASKS)
    draw = stream(case.seed, "tasks")
    order, size = draw.permutation(len(area.players)), max(1, min(2, len(area.players) // 3))
    groups = [np.sort(order[k * size : (k + 1) * size]) for k in range(TASKS)]
    models = [case.predictor] + [taught(area, signal(area, g, draw), k) for k, g in enumerate(groups)]
    rows = area.test[:ROWS]
    table = area.table.take(rows).select(case.predictor.columns)
    sizes = [row_sizes(case, m, table) for m in models]
    moved = np.stack([_moved(area, m, table, rows, sizes, size) for m in models], 2)  # (n, who explains, who answers)
    figure = bootstrap_mean(dominance(moved), stream(case.seed, "bootstrap"))
    passed = figure.low > 0
    names = [OWN, *(", ".join(area.players.names[p] for p in g) for g in groups)]
    return case.verdict(
        NAME, figure, 0.0, passed, _words(passed, figure, moved.mean(0), size), matrix=moved.mean(0).tolist(), models=names, rows=len(rows),
        unit="share of the distance to the answer with all columns masked",
    )  # fmt: skip


def dominance(moved: FloatArray) -> FloatArray:
    """Return per row (n,) how much farther models are moved by their own reasons than by those of others, from (n, K, K).

    Examples
    --------
    >>> dominance(np.array([[[0.9, 0.1], [0.3, 0.8]]])).round(6).tolist()
    [0.65]
    """
    k = moved.shape[1]
    own = np.diagonal(moved, axis1=1, axis2=2)[:, None]
    return np.asarray((own - moved).sum((1, 2)) / (k * (k - 1)))  # differences first: equal reasons give 0, not its rounding


def _moved(area: Ground, model: Predictor, table: Table, rows: npt.NDArray[np.int64], sizes: list[FloatArray], k: int) -> FloatArray:
    """Return how far a model's answers move (n, K) where the first ``k`` columns by each model's reasons are masked.

    Distances are in units of the mean distance to the answer with everything masked.
    """
    place = np.searchsorted(area.rows, rows)

    def answers(mask: npt.NDArray[np.bool_]) -> FloatArray:
        every = np.zeros((len(area.rows), mask.shape[1]), bool)
        every[place] = mask
        hidden = area.masked(every).take(rows).select(table.columns)
        return np.asarray(model.raw(hidden), np.float64).reshape(len(rows), -1)

    before = answers(np.zeros(sizes[0].shape, bool))
    far = np.abs(answers(np.ones(sizes[0].shape, bool)) - before).mean(1)
    unit = max(float(far.mean()), 1e-300)
    return np.stack([np.abs(answers(first(s, k)) - before).mean(1) / unit for s in sizes], 1)


def _words(passed: bool, figure: Figure, matrix: FloatArray, k: int) -> str:
    own = float(np.trace(matrix)) / len(matrix)
    other = (float(matrix.sum()) - own * len(matrix)) / (len(matrix) * (len(matrix) - 1))
    lead = (
        f"Masking the {k} columns that a model's own explanation names first moves its answer by {100 * own:.0f} % of the whole distance, "
        f"masking those named for another model by {100 * other:.0f} %; the difference is {figure}"
    )
    return f"{lead}: the explanations belong to their models." if passed else f"{lead}: the explanations could as well be of another model."
