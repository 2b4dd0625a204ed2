"""Rows that stand for the others: central in the graph of likenesses, and not like each other.

LexRank, Erkan and Radev 2004, doi:10.1613/jair.1523: the stationary share of a random walk that goes from a row to rows like it.
# NOTE[DIFF] the paper leaves out sentences too like one already chosen; here a row's share is multiplied by how unlike the chosen ones it
is, so that no threshold has to be set. Letters: N rows, K chosen, V text width.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ColumnError, RequestError
from pellucid.maps.ask import Ask
from pellucid.maps.neighbours import nearest, squares
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Representatives, RunRecord
from pellucid.table import ColumnType

__all__ = ["chosen", "find", "walk"]

DRAWS = 200


def walk(likeness: FloatArray, damping: float = 0.85, tolerance: float = 1e-10, steps: int = 1000) -> FloatArray:
    """Return the stationary share (N,) of a walk over likenesses (N, N): with chance ``damping`` to a like row, else to any row.

    Examples
    --------
    >>> star = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    >>> walk(star).round(3).tolist()  # the middle, and two equal leaves
    [0.486, 0.257, 0.257]
    """
    n = len(likeness)
    degree = likeness.sum(1)
    step = np.where(degree[:, None] > 0, likeness / np.where(degree > 0, degree, 1.0)[:, None], 1 / n)
    share = np.full(n, 1 / n)
    for _ in range(steps):
        after = damping * (share @ step) + (1 - damping) / n
        if np.abs(after - share).sum() < tolerance:
            return np.asarray(after)
        share = after
    return share


def chosen(share: FloatArray, likeness: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return K rows by their share times their unlikeness to those chosen before, the first the most central."""
    unlike, out = np.ones(len(share)), np.zeros(0, np.int64)
    for _ in range(min(k, len(share))):
        best = int((share * unlike).argmax())
        out = np.append(out, best)
        unlike = np.minimum(unlike, 1 - likeness[best])
        unlike[out] = -1.0
    return out


def find(ask: Ask) -> Representatives:
    """Return the rows that stand for the others. Cost: N^2 memory; 2,000 rows by default."""
    began = time.perf_counter()
    k = ask.options["k"]
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < len(ask):
        raise RequestError("k cannot be used", expected=f"a whole number from 1 to {len(ask) - 1}", got=repr(k))
    column = ask.options["column"]
    likeness = _rows(ask) if column is None else _texts(ask, str(column))
    alone = likeness.copy()
    np.fill_diagonal(alone, 0.0)
    share = walk(alone, float(ask.options["damping"]))
    picked = chosen(share, likeness, k)
    near = likeness[:, picked].argmax(1)
    close = likeness[np.arange(len(near)), picked[near]]
    count = np.bincount(near, minlength=len(picked))
    draw = stream(ask.seed, "chance")
    chance = np.array([likeness[:, draw.permutation(len(ask))[:k]].max(1).mean() for _ in range(DRAWS)])
    labels, low_high = np.asarray(ask.table.index), np.quantile(chance, [0.025, 0.975])
    record = RunRecord(
        ask.method, dict(ask.settings), ask.seed, ask.table.fingerprint(), time.perf_counter() - began, caveats=ask.caveats
    )  # fmt: skip
    return Representatives(
        ask.data.iloc[picked], labels[picked], share[picked] * len(share), count,
        np.bincount(near, close, len(picked)) / np.maximum(count, 1), labels, share * len(share), float(close.mean()),
        (float(chance.mean()), float(low_high[0]), float(low_high[1])), "rows" if column is None else str(column), ask.method, record,
    )  # fmt: skip


def _rows(ask: Ask) -> FloatArray:
    """Return likenesses of rows (N, N), Gaussian in the distance; as wide as rows lie from their fifteenth neighbour, in the median."""
    k = min(15, len(ask) - 1)
    width = float(np.median(nearest(ask.points, ask.points, k, np.arange(len(ask)))[1][:, -1]))
    out = np.exp(-squares(ask.points, ask.points) / (2 * max(width, 1e-12) ** 2))
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def _texts(ask: Ask, column: str) -> FloatArray:
    """Return likenesses of text cells (N, N): cosines of their words weighed by rarity, 0 below the threshold.

    Missing cells are like none.
    """
    table: Any = ask.table
    if column not in table.columns or table.schema[column].type is not ColumnType.TEXT:
        texts = [c for c in table.columns if table.schema[c].type is ColumnType.TEXT]
        raise ColumnError(f"{column!r} is no column of text", expected=f"one of {texts}" if texts else "a table with text")
    from sklearn.feature_extraction.text import TfidfVectorizer

    codes, words = table.levels(column)
    used = np.unique(codes[codes >= 0])
    if not len(used):
        raise ColumnError(f"all cells of {column!r} are missing")
    matrix = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform([words[i] for i in used])
    at = np.full(len(words) + 1, -1)
    at[used] = np.arange(len(used))
    place = at[codes]
    cosine = np.vstack([np.asarray((matrix @ matrix.T).todense()), np.zeros(len(used))])
    cosine = np.hstack([cosine, np.zeros((len(cosine), 1))])
    cosine[np.arange(len(used)), np.arange(len(used))] = 1.0
    out = np.clip(cosine[np.ix_(place, place)], 0.0, 1.0)
    return np.where(out >= float(ask.options["threshold"]), out, 0.0)
