"""Two opinions of every label, by models that have not seen the row: which labels both doubt, and how many of those are wrong.

Boosted trees are sharp and learn wrong labels by heart where few rows stand around them; an average of random trees is blunt and shrugs
them off. What both doubt is more often wrong than what either does. Sources: Friedman 2001, doi:10.1214/aos/1013203451; Geurts, Ernst,
Wehenkel 2006, doi:10.1007/s10994-006-6226-1. Letters: n rows, C columns, O classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.audit.scores import fit_out_of_fold
from pellucid.audit.view import FloatArray, IntArray
from pellucid.encode.reach import within_reach
from pellucid.random import integer

__all__ = ["Opinions", "contradicted", "opinions", "precision"]

TREES = 100
LEAF = 2
SUREST, FEWEST = (0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 200
"""Shares of the rows, those that both models are surest of, and the fewest rows that such a share must be of to be looked at."""

RARE = 1e-3
"""Chance at which fewer contradicted rows are no accident."""


@dataclass(frozen=True)
class Opinions:
    """What two models say of the labels.

    Attributes
    ----------
    probabilities : (n, O) the mean of both. sharp : (n, O) of the boosted trees alone.
    likely : (n,) the class that is most probable by the mean.
    sure : (n,) lead of the likely class over the next one, in units of the median lead, by the less sure of the two models; 0 where they
        favour different classes.
    doubt : (n,) ``sure`` where the label is another class than both favour, ``-sure`` elsewhere.
    """

    probabilities: FloatArray
    sharp: FloatArray
    likely: IntArray
    sure: FloatArray
    doubt: FloatArray


def opinions(matrix: FloatArray, is_level: npt.NDArray[np.bool_], given: IntArray, fold: IntArray, seed: int) -> Opinions:
    """Return the opinions of rows (n, C) with labels ``given`` (n,) 0.., each by models fitted on the other folds.

    Cost: two fits per fold: 50 boosted trees of 15 leaves, 100 random trees.
    """
    sharp = fit_out_of_fold(matrix, is_level, given, fold, seed, iterations=50, leaves=15)
    blunt = _random_trees(matrix, given, fold, sharp.shape[1], seed)
    leads = np.stack([_lead(sharp), _lead(blunt)])
    usual = np.maximum(np.median(leads, axis=1, keepdims=True), 1e-9)
    mean = (sharp + blunt) / 2
    sure = np.where(sharp.argmax(1) == blunt.argmax(1), (leads / usual).min(0), 0.0)
    likely = mean.argmax(1)
    return Opinions(mean, sharp, likely, sure, np.where(likely == given, -sure, sure))


def _lead(p: FloatArray) -> FloatArray:
    """Return how much more probable the first class is than the second (n,)."""
    two = np.partition(p, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def _random_trees(matrix: FloatArray, given: IntArray, fold: IntArray, o: int, seed: int) -> FloatArray:
    from sklearn.ensemble import ExtraTreesClassifier

    matrix = within_reach(matrix)
    # a missing cell lies below all others: random cuts then set it apart
    filled = np.where(np.isnan(matrix), np.nanmin(matrix, axis=0, initial=0.0) - 1, matrix)
    out = np.zeros((len(given), o))
    for k in np.unique(fold):
        held = fold == k
        model = ExtraTreesClassifier(TREES, min_samples_leaf=LEAF, random_state=integer(seed, "audit", "random trees", int(k)) % 2**31)
        model.fit(filled[~held], given[~held])
        out[np.ix_(held, model.classes_.astype(int))] = model.predict_proba(filled[held])
    return out


def contradicted(found: Opinions) -> tuple[float, int]:
    """Return the share of wrong labels, and on how many contradicted rows it stands.

    Wrong labels fall on all rows alike, honest exceptions on those where classes meet. So the surest rows tell how many labels are wrong:
    the share of them that both models contradict. The surest six tenths are looked at; where classes meet in them too, fewer are
    contradicted among the surest five, four ... tenths, and these are taken where chance would hardly leave so few (one in a thousand,
    by Poisson's law).
    """
    from scipy.stats import poisson

    n = len(found.sure)
    count = np.cumsum(found.doubt[np.argsort(-found.sure, kind="stable")] > 0)
    rate, stands = 1.0, 0
    for part in SUREST:
        m = round(part * n)
        if m >= min(FEWEST, round(SUREST[0] * n)) and (part == SUREST[0] or poisson.cdf(count[m - 1], rate * m) < RARE):
            k = int(count[m - 1])
            rate, stands = k / m, k
    return rate, stands


def precision(found: Opinions, at: FloatArray) -> FloatArray:
    """Return the estimated share of wrong labels among the rows doubted at least as much as ``at`` (m,), each.

    As many labels are expected to be wrong among any rows as among the surest (:func:`contradicted`); what is doubted beyond that are
    exceptions. The estimate is too high where classes meet in the surest rows as well.

    # NOTE[DIFF] confident learning (Northcutt, Jiang, Chuang 2021, doi:10.1613/jair.1.12125) takes every label below its class's mean
    probability for wrong, and so most exceptions too.
    """
    rate, sure, doubt = contradicted(found)[0], np.sort(found.sure), np.sort(found.doubt)
    reached = len(sure) - np.searchsorted(sure, at, side="left")
    doubted = len(doubt) - np.searchsorted(doubt, at, side="left")
    return np.asarray(np.minimum(rate * reached / np.maximum(doubted, 1), 1.0))
