"""RISE: the answer where a column was shown less the answer where it was hidden, over random masks of all columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames, afford
from pellucid.explain.sampling import mean_of_sums
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation

__all__ = ["explain"]

BATCH = 250
"""Pairs of masks per turn."""


def explain(question: Question) -> Explanation:
    """Return the mean answer where a column is present less the mean where it is absent, with standard errors; at most 4,000 masks.

    Petsiuk, Das and Saenko 2018, arXiv:1806.07421; masks show each column with probability 1/2, each plays against one background row. Its
    expectation is the Banzhaf value. ``options["masks"]`` is the most masks per row. The values do not add up to the prediction.

    # NOTE[DIFF] The source's score is the mean answer where the column is present: centred here, because all columns share a common offset.
    Masks come in pairs of complements with one background row, so that this offset drops out of every pair and leaves less to chance.
    """
    masks = question.options["masks"]
    if isinstance(masks, bool) or not isinstance(masks, int | np.integer) or masks < 4:
        raise RequestError("masks cannot be used", expected="a whole number from 4", got=repr(masks))
    rows = RowGames(question)
    n, p, o = len(question.table), len(question.players), rows.engine.n_outputs
    own = slice(0, o)  # the answers with all background rows, by which sampling is judged
    cost = 2 * rows.cost
    afford(question, rows, 2 * cost, "two pairs of masks")
    most = int(min(masks // 2, rows.budget(2.0 * masks) // cost))
    total, square, count = np.zeros((n, p, len(rows.nobody))), np.zeros((n, p, o)), np.zeros(n)
    mask, back = stream(question.seed, "rise"), stream(question.seed, "rise", "background")
    open_rows, done = np.arange(n), 0
    while len(open_rows) and done < most:
        size = min(BATCH, most - done)
        z, b = mask.random((size, p)) < 0.5, back.integers(0, len(rows.engine.empty), size)
        for part in np.array_split(open_rows, max(1, len(open_rows) * size // 2**16)):
            made = _pairs(rows, part, z, b)
            total[part] += made.sum(1)
            square[part] += np.square(made[..., own]).sum(1)
        done += size
        count[open_rows] = done
        if rows.late():
            break
        value, error = mean_of_sums(total[open_rows][..., own], square[open_rows], done)
        open_rows = open_rows[~(np.sqrt(np.square(error).mean(1)) <= rows.precision * np.abs(value).mean(1)).all(1)]
    _, error = mean_of_sums(total[..., own], square, count[:, None, None])
    values, stated = rows.told(total / count[:, None, None], error**2)
    caveats = [f"{len(open_rows)} of {n} rows used all masks before the asked precision"] if len(open_rows) and question.precision else []
    settings = {"way": "sampled", "masks": 2 * done}
    return question.answer(
        values, rows.base, rows.engine.full, error=stated, complete=False, settings=settings,
        caveats=caveats + rows.about_errors + rows.lateness(),
    )  # fmt: skip


def _pairs(rows: RowGames, part: npt.NDArray[np.int64], z: npt.NDArray[np.bool_], b: npt.NDArray[np.int64]) -> FloatArray:
    """Return (n, pairs, P, K O): one estimate of every value by every pair of masks."""
    n, size = len(part), len(z)
    row, both = np.repeat(part, 2 * size), np.tile(np.concatenate([z, ~z]), (n, 1))
    if rows.neighbours is not None:
        v = rows.values(row, both)
    else:
        v = rows.engine.evaluate(row, np.tile(b, 2 * n), both)
    v = v.reshape(n, 2, size, -1)
    difference: FloatArray = (v[:, 0] - v[:, 1])[:, :, None]
    return np.where(z, 1.0, -1.0)[None, :, :, None] * difference
