"""Wrong labels: rows whose given label a model that has not seen them finds hardly possible, and numbers far from what it expects.

Confident learning: Northcutt, Jiang, Chuang 2021, doi:10.1613/jair.1.12125. Letters: n rows, O classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.audit.classes import MOST, RARE
from pellucid.audit.opinions import Opinions, contradicted, opinions, precision
from pellucid.audit.scores import design, fit_out_of_fold, folds_of, score
from pellucid.audit.view import ALPHA, FloatArray, IntArray, Target, View, amount, more, share
from pellucid.errors import RequestError
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["Suspects", "asked", "confident", "doubts", "find", "out_of_sample", "suspicion"]

ROWS = 20_000
UNDECIDED = 0.75  # a model that is less sure than this of any class cannot accuse a label
OVERLAP = 0.15  # share of such rows above which classes overlap, and a rare label is no wrong one
NAMED = (0.6, 0.5, 0.4)  # both models are surer of another class than this, where 1 is how sure they usually are of any
GOOD = 0.9  # estimated share of wrong labels from which on the lower limits are used
LIKELY = 0.5  # fewer of the named rows than this are wrong, by estimate: nothing is named
PER_COLUMN = 5  # fewer rows a column than this, and trees are sure by chance
NOTABLE = 0.25  # a number is wrong from this share of the target's usual spread on
FEW = 2  # so many of the surest rows must be contradicted: one alone is chance


@dataclass(frozen=True)
class Suspects:
    """Rows whose label is doubted.

    Attributes
    ----------
    rows : positions, most suspected first. given, likely : (n,) class numbers. likely_share : (n,) probability of the likely class.
    joint : (O, O) estimated share of rows with given class i and true class j.
    """

    rows: IntArray
    given: IntArray
    likely: IntArray
    likely_share: FloatArray
    joint: FloatArray


def confident(given: IntArray, probabilities: FloatArray) -> Suspects:
    """Return the suspects by confident learning.

    A row with label i counts as class j where its probability of j reaches the mean such probability among rows with label j; of several
    classes the most probable. Off-diagonal rows are suspects, ordered by how much more probable the other class is.

    Parameters
    ----------
    given : (n,) class numbers. probabilities : (n, O), of each row by a model that did not learn from it.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    >>> confident(np.array([0, 0, 1, 1, 1]), p).rows.tolist()
    [4]
    """
    n, o = probabilities.shape
    mine = given[:, None] == np.arange(o)
    size = mine.sum(0)
    limit = np.divide((probabilities * mine).sum(0), size, out=np.full(o, np.inf), where=size > 0)
    reached = np.where(probabilities >= limit - 1e-12, probabilities, -1.0)
    counts = reached.max(1) >= 0
    likely = np.where(counts, reached.argmax(1), given)
    count = np.zeros((o, o))
    np.add.at(count, (given[counts], likely[counts]), 1)
    # each row of counts is brought to the number of rows that have the label, as those below the limits are not counted
    told = count.sum(1, keepdims=True)
    joint = np.divide(count, told, out=np.eye(o), where=told > 0) * size[:, None] / n
    doubt = suspicion(given, probabilities)
    # NOTE[DIFF] of a rare class the limit is low, and rows that are still more probably what they are called would be listed: they are not
    rows = np.flatnonzero((likely != given) & (doubt > 0))
    rows = rows[np.argsort(-doubt[rows], kind="stable")]
    return Suspects(rows, given[rows], likely[rows], probabilities[rows, likely[rows]], joint)


def suspicion(given: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return how much a label is doubted (n,), from -1 to 1: the largest probability of another class minus that of the given one."""
    own = np.take_along_axis(probabilities, given[:, None], 1)[:, 0]
    others = probabilities.copy()
    np.put_along_axis(others, given[:, None], -np.inf, 1)
    return np.asarray(others.max(1) - own)


def _read(view: View, target: Target, rows: IntArray) -> tuple[FloatArray, npt.NDArray[np.bool_], IntArray]:
    """Return (matrix, which columns are levels, folds); copies of a row stay in one fold."""
    names = tuple(n for n in view.features if n != target.name and view.kind(n) is not ColumnType.TEXT)
    matrix, is_level = design(view, names, rows)
    return matrix, is_level, folds_of(view, rows, names)


def out_of_sample(view: View, target: Target, rows: IntArray) -> FloatArray:
    """Return the answers of boosted trees for rows they did not learn from: probabilities (n, O) or numbers (n, 1). Five folds."""
    matrix, is_level, fold = _read(view, target, rows)
    answer: npt.NDArray[np.int64] | FloatArray = target.codes[rows] if target.is_classes else target.values[rows]
    return fit_out_of_fold(matrix, is_level, answer, fold, view.seed, iterations=50, leaves=15)


def asked(view: View, target: Target, rows: IntArray) -> Opinions:
    """Return two opinions of the classes of ``rows``, by models that did not learn from them. Five folds."""
    matrix, is_level, fold = _read(view, target, rows)
    return opinions(matrix, is_level, target.codes[rows], fold, view.seed)


def doubts(table: Any, *, target: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Return every row's doubt, most doubted first, whether or not classes overlap.

    Columns: ``row``, ``given``, ``likely``, ``doubt``, ``wrong_at_most``. ``doubt`` says how sure two kinds of models, fitted on other
    rows, are of another class, the less sure of them; 1 is how sure they usually are, below 0 one of them agrees with the label.
    ``wrong_at_most`` is the estimated share of wrong labels among the rows down to this one: where classes overlap, high doubt is mostly
    no error (:func:`pellucid.audit.opinions.precision`). Rows of a class of fewer than 10 rows come last, without a doubt: no model learns
    such a class, and every one would contradict them. Cost: 10 fits of small trees.

    Examples
    --------
    >>> x = [k / 100 for k in range(200)]
    >>> frame = pd.DataFrame({"x": x, "big": ["yes" if v > 1 else "no" for v in x]})
    >>> frame.loc[150, "big"] = "no"
    >>> 150 in doubts(frame, target="big")["row"][:10].tolist()
    True
    """
    from pellucid.table import Table, read_table

    read = table if isinstance(table, Table) else read_table(table, target=target)
    view = View(read.with_roles(target=target) if target is not None else read, seed=seed)
    goal = view.target
    if goal is None or not goal.is_classes:
        raise RequestError("doubt is about classes", do="give a target of classes; of numbers, see the audit 'label_errors'")
    whole, goal = goal, _learnable(goal, np.arange(len(view)))
    if goal.n_distinct < 2:
        raise RequestError(
            "doubt takes two classes to choose from", expected=f"two classes of {RARE} rows or more", got=str(goal.n_distinct)
        )
    rows = np.flatnonzero(goal.present)
    found, given = asked(view, goal, rows), goal.codes[rows]
    others = found.probabilities.copy()
    others[np.arange(len(rows)), given] = -1
    names = np.asarray(goal.labels, object)
    made = pd.DataFrame({"row": rows, "given": names[given], "likely": names[others.argmax(1)], "doubt": found.doubt})
    made["wrong_at_most"] = precision(found, found.doubt)
    unjudged = np.flatnonzero(whole.present & ~goal.present)
    rare = pd.DataFrame({"row": unjudged, "given": np.asarray(whole.labels, object)[whole.codes[unjudged]]})
    made = made.sort_values("doubt", ascending=False, kind="stable")
    return pd.concat([made, rare], ignore_index=True) if len(rare) else made.reset_index(drop=True)


def find(view: View) -> list[Finding]:
    """Return rows with suspected labels (classes) or targets (numbers).

    Rows are named whose label two kinds of models contradict, both nearly as surely as they usually answer; with an estimate of how many
    of them are wrong. Where classes overlap in these columns (boosted trees are sure of no class in more than 15 % of the rows), or fewer
    than half of the named rows would be wrong, a rare label is not a wrong one, nothing in the table tells the two apart, and nothing is
    said; nor is it of fewer than five rows a column, where models are sure by chance, or of a class of fewer than 10 rows, which no model
    could name; :func:`doubts` gives the order and the estimate all the same. Cost: 10 fits of small trees on at most 20,000 rows (5 for
    numbers).
    """
    target = _learnable(view.target, view.sample) if view.target is not None else None
    if target is None or target.n_distinct < 2:
        return []
    rows = view.sample[target.present[view.sample]]
    rows = rows if len(rows) <= ROWS else np.sort(stream(view.seed, "audit", "labels").choice(rows, ROWS, replace=False))
    names = tuple(n for n in view.features if n != target.name and view.kind(n) is not ColumnType.TEXT)
    if len(rows) < 100 or len(target.labels) > MOST or not names or len(np.unique(folds_of(view, rows, names))) < 2:
        return []
    if len(rows) < PER_COLUMN * len(names):
        return []
    if target.is_classes:
        return list(_classes(view, target, rows, _unjudged(view.target, target)))
    return list(_numbers(view, target, rows, out_of_sample(view, target, rows)[:, 0]))


def _learnable(target: Target, rows: IntArray) -> Target:
    """Return the target without the classes of fewer than 10 of ``rows``; a target of numbers as it is."""
    if not target.is_classes:
        return target
    kept = np.flatnonzero(np.bincount(target.codes[rows][target.present[rows]], minlength=len(target.labels)) >= RARE)
    number = np.full(len(target.labels) + 1, -1)
    number[kept] = np.arange(len(kept))
    codes = number[np.where(target.present, target.codes, -1)]
    return replace(target, labels=tuple(target.labels[k] for k in kept), codes=codes, present=codes >= 0)


def _unjudged(whole: Target | None, learnable: Target) -> str:
    """Return in words which rows were left out because their class is too rare to be learned."""
    if whole is None or len(whole.labels) == len(learnable.labels):
        return ""
    count = np.bincount(whole.codes[whole.present], minlength=len(whole.labels))
    rare = [f"'{label}' ({count[k]:,})" for k, label in enumerate(whole.labels) if label not in learnable.labels and count[k]]
    return f"; not judged, their classes having fewer than {RARE} rows: {', '.join(rare[:6])}{more(rare, 6)}" if rare else ""


def _classes(view: View, target: Target, rows: IntArray, unjudged: str) -> Iterator[Finding]:
    found, given = asked(view, target, rows), target.codes[rows]
    knows, overlap = score(target.matrix(rows), found.sharp, True), float((found.sharp.max(1) < UNDECIDED).mean())
    rate, few = contradicted(found)
    each = precision(found, np.array(NAMED))
    limit = max(i for i in range(len(NAMED)) if i == 0 or each[i] >= GOOD)
    right = float(each[limit])
    if not knows > 0.6 or overlap > OVERLAP or few < FEW or right < LIKELY:
        return
    at = np.flatnonzero(found.doubt >= NAMED[limit])
    at = at[np.argsort(-found.doubt[at], kind="stable")]
    likely = found.likely[at]
    pairs, count = np.unique(np.column_stack([given[at], likely]), axis=0, return_counts=True)
    shown = [
        f"{count[i]:,} with '{target.labels[pairs[i, 0]]}' that look like '{target.labels[pairs[i, 1]]}'" for i in np.argsort(-count)[:3]
    ]
    words = f"{share(len(at), len(rows))} have a label that two models fitted on the other rows contradict: {', '.join(shown)}"
    words += f"; the classes are told apart (AUC {knows:.3f}, {100 * overlap:.0f} % undecided rows), so that these labels may be wrong: "
    words += f"about {100 * right:.0f} % of them, judged by the rows that the models are surest of{unjudged}"
    grave = "medium" if len(at) > max(2, 0.002 * len(rows)) else "low"
    remedy = (
        "look at the first of them (rows are in order of doubt); correct what is wrong, and try what leaving them out changes (pld.trial)"
    )
    figures = {
        "AUC": knows, "undecided": overlap, "precision": right, "wrong": rate,
        "joint": confident(given, found.probabilities).joint.round(5).tolist(), "likely": [target.labels[k] for k in likely],
        "doubt": found.doubt[at].round(4).tolist(), "labels": list(target.labels),
    }  # fmt: skip
    yield view.finding("label errors", grave, (target.name,), words, remedy, rows=rows[at], figures=figures, sampled=True)


def _numbers(view: View, target: Target, rows: IntArray, answers: FloatArray) -> Iterator[Finding]:
    from scipy.stats import norm

    y = target.values[rows]
    miss, scale = y - answers, _local_scale(answers, y - answers)
    size = np.abs(miss) / scale
    limit = 1.5 * float(norm.isf(ALPHA / (2 * len(rows))))
    # where another column nearly tells the target, hardly anything is many times the usual miss and yet no other number to anyone
    counts = np.abs(miss) >= NOTABLE * _usual_spread(y)
    at = np.flatnonzero((size > limit) & counts)
    if not len(at) or len(at) > 0.05 * len(rows):
        return
    at = at[np.argsort(-size[at], kind="stable")]
    # a fair share of large misses beyond half the limit is a heavy tail, not wrong numbers
    tail = int(((size > limit / 2) & (size <= limit) & counts).sum())
    heavy = tail > 3 * len(at) + 10 * norm.sf(limit / 2) * 2 * len(rows)
    some = ", ".join(f"{amount(y[i], target.unit)} where about {amount(float(f'{answers[i]:.3g}'))} was expected" for i in at[:3])
    words = f"{share(len(at), len(rows))} have a target more than {limit:.0f} times the usual miss away from what a model of "
    words += f"the other rows expects: {some}"
    words += "; misses of every size occur, so that the target has a heavy tail and these may be right: cannot tell" if heavy else ""
    remedy = "check these values (unit, decimal point, row mixed up); try what leaving them out changes (pld.trial)"
    figures = {"expected": answers[at].tolist(), "size": size[at].round(3).tolist()}
    severity = "low" if heavy else "medium"
    yield view.finding("label errors", severity, (target.name,), words, remedy, rows=rows[at], figures=figures, sampled=True)


def _usual_spread(y: FloatArray) -> float:
    """Return the standard deviation that the middle half of the target speaks of; the plain one where that half is one number."""
    low, high = np.quantile(y, [0.25, 0.75])
    return float(high - low) / 1.349 or float(y.std())


def _local_scale(answers: FloatArray, miss: FloatArray) -> FloatArray:
    """Return the usual size of a miss (n,) as a standard deviation, from the median of |miss| in ten bins of equal mass of the answer."""
    bins = np.minimum((np.argsort(np.argsort(answers, kind="stable")) * 10) // max(len(answers), 1), 9)
    whole = float(np.median(np.abs(miss)))
    per_bin = np.array([np.median(np.abs(miss[bins == b])) if (bins == b).sum() >= 10 else whole for b in range(10)])
    return np.asarray(np.maximum(per_bin, max(0.2 * whole, 1e-300))[bins] / 0.6745)
