"""A sum of decision trees as plain arrays, whichever package grew it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

__all__ = ["Forest", "Grown", "Sum", "codes_of", "join", "numbers_of"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Forest:
    """T trees with M nodes in all, whose O answers to a row are ``base`` plus the values of the leaves that the row comes to.

    Attributes
    ----------
    left, right : (M,) numbers of the children; -1 at leaves.
    feature : (M,) the number of the cell that a node looks at; threshold : (M,) a cell at most so large goes left.
    missing_left : (M,) whether missing cells go left, and codes that no set tells of.
    levels : (M,) which of ``sets`` a node looks its codes up in; -1 where it compares with its threshold.
    sets : (S, L) whether each code goes left. known : (S, L) whether the set tells of the code.
    value : (M, O), read at leaves. base : (O,).
    root : (T,) numbers of the first nodes, rising: the nodes of a tree stand together and begin with it.
    single : whether cells are rounded to single precision before they are compared.
    """

    left: Ints
    right: Ints
    feature: Ints
    threshold: FloatArray
    missing_left: BoolArray
    levels: Ints
    sets: BoolArray
    known: BoolArray
    value: FloatArray
    root: Ints
    base: FloatArray
    single: bool = False

    @classmethod
    def of_tree(
        cls, left: npt.NDArray[Any], right: npt.NDArray[Any], feature: npt.NDArray[Any], threshold: npt.NDArray[Any],
        value: npt.NDArray[Any], missing_left: npt.NDArray[Any] | None = None,
    ) -> Forest:  # fmt: skip
        """Return one tree of scikit-learn's arrays: numbers compared in single precision."""
        m, inner = len(left), left >= 0
        none = np.zeros((0, 0), bool)
        return cls(
            left=np.asarray(left, np.int64),
            right=np.asarray(right, np.int64),
            feature=np.where(inner, feature, 0).astype(np.int64),
            threshold=np.asarray(threshold, np.float64),
            missing_left=np.zeros(m, bool) if missing_left is None else np.asarray(missing_left, bool),
            levels=np.full(m, -1),
            sets=none,
            known=none,
            value=np.where(inner[:, None], 0.0, value),
            root=np.zeros(1, np.int64),
            base=np.zeros(value.shape[1]),
            single=True,
        )

    @property
    def n_outputs(self) -> int:
        """O."""
        return int(self.value.shape[1])

    def parts(self, trees: int, nodes: int) -> Iterator[Forest]:
        """Yield forests of at most so many trees and nodes (one tree at least), without the base."""
        ends, s = np.append(self.root[1:], len(self.left)), 0
        while s < len(self.root):
            first = self.root[s]
            e = min(s + trees, max(s + 1, int(np.searchsorted(ends, first + nodes, side="right"))))
            cut = slice(first, ends[e - 1])
            yield replace(
                self,
                left=np.where(self.left[cut] >= 0, self.left[cut] - first, -1),
                right=np.where(self.right[cut] >= 0, self.right[cut] - first, -1),
                feature=self.feature[cut], threshold=self.threshold[cut], missing_left=self.missing_left[cut], levels=self.levels[cut],
                value=self.value[cut], root=self.root[s:e] - first, base=np.zeros_like(self.base),
            )  # fmt: skip
            s = e

    def scaled(self, factor: float, shift: float | FloatArray = 0.0) -> Forest:
        """Return the forest that answers ``factor`` times as much, and ``shift`` more."""
        return replace(self, value=self.value * factor, base=self.base * factor + shift)

    def weighted(self, weights: FloatArray, shift: FloatArray) -> Forest:
        """Return the forest whose answers are ``answers @ weights + shift``; ``weights`` (O, O')."""
        return replace(self, value=self.value @ weights, base=self.base @ weights + shift)

    @property
    def tree(self) -> Ints:
        """The tree (M,) of each node."""
        return np.asarray(np.searchsorted(self.root, np.arange(len(self.left)), side="right") - 1)

    @property
    def mean_leaves(self) -> float:
        """Mean number of leaves of a tree."""
        return float((self.left < 0).sum() / len(self.root))

    def most_players(self, player: Ints) -> int:
        """Return how many players, ``player`` (F,) of each cell, -1 for none, the nodes of one tree have at most."""
        whose = player[self.feature]
        nodes = (self.left >= 0) & (whose >= 0)
        met = np.unique(np.stack([self.tree[nodes], whose[nodes]], 1), axis=0)
        return int(np.bincount(met[:, 0], minlength=1).max())

    def mapped(self, function: Callable[[FloatArray], FloatArray]) -> Forest:
        """Return a single tree whose answers are a function of this one's, row by row: (L, O) -> (L, O')."""
        if len(self.root) != 1:
            raise ValueError("the function of a sum is no sum")
        value = function(self.value + self.base)
        return replace(self, value=value, base=np.zeros(value.shape[1]))

    def goes_left(self, x: FloatArray, row: Ints, node: Ints) -> BoolArray:
        """Return which way rows (n,) of the cells (N, F) go at inner nodes (n,)."""
        cell = x[row, self.feature[node]]
        out = cell <= self.threshold[node]
        missing = np.isnan(cell)
        out[missing] = self.missing_left[node[missing]]
        coded = np.flatnonzero(self.levels[node] >= 0)
        if len(coded):
            which, code = self.levels[node[coded]], cell[coded]
            told = (code >= 0) & (code < self.sets.shape[1])  # false for missing cells too
            place = np.where(told, code, 0).astype(np.int64)
            told &= self.known[which, place]
            out[coded] = np.where(told, self.sets[which, place], self.missing_left[node[coded]])
        return out

    def all_left(self, x: FloatArray, node: Ints) -> BoolArray:
        """Return which way all rows of the cells (N, F) go at some inner nodes, (nodes, N)."""
        cell = x.T[self.feature[node]]
        out = np.where(np.isnan(cell), self.missing_left[node][:, None], cell <= self.threshold[node][:, None])
        coded = np.flatnonzero(self.levels[node] >= 0)
        if len(coded):
            row, at = np.tile(np.arange(len(x)), len(coded)), np.repeat(node[coded], len(x))
            out[coded] = self.goes_left(x, row, at).reshape(len(coded), -1)
        return np.asarray(out)

    def rounded(self, x: FloatArray) -> FloatArray:
        """Return cells (N, F) as the trees compare them."""
        return x.astype(np.float32).astype(np.float64) if self.single else x

    def answers(self, x: FloatArray) -> FloatArray:
        """Return the answers (N, O) to rows of cells (N, F). Cost: N T times the depth."""
        x, out = self.rounded(x), np.tile(self.base, (len(x), 1))
        for s in range(0, len(self.root), step := max(1, 2**20 // max(1, len(x)))):
            node = np.tile(self.root[s : s + step], (len(x), 1))
            while len(inner := np.argwhere(self.left[node] >= 0)):
                row, tree = inner.T
                at = node[row, tree]
                node[row, tree] = np.where(self.goes_left(x, row, at), self.left[at], self.right[at])
            out += self.value[node].sum(1)
        return out


class Sum(NamedTuple):
    """What answers by trees: the forest's own answers, or what ``then`` makes of them, (n, K) -> (n, O).

    Examples
    --------
    >>> nothing, leaf = np.zeros(1, np.int64), np.array([[2.0]])
    >>> one = Sum(Forest.of_tree(nothing - 1, nothing - 1, nothing, np.zeros(1), leaf), np.square)
    >>> one.answers(np.zeros((1, 1))).tolist(), one.weighted(np.array([[3.0]]), np.array([1.0])).answers(np.zeros((1, 1))).tolist()
    ([[4.0]], [[13.0]])
    """

    forest: Forest
    then: Callable[[FloatArray], FloatArray] | None = None

    def weighted(self, weights: FloatArray, shift: FloatArray) -> Sum:
        """Return what answers ``answers @ weights + shift``; ``weights`` (O, O')."""
        then = self.then
        if then is None:
            return Sum(self.forest.weighted(weights, shift))
        return self if _nothing(weights, shift) else Sum(self.forest, lambda answers: then(answers) @ weights + shift)

    def answers(self, x: FloatArray) -> FloatArray:
        """Return the answers (N, O) to rows of cells (N, F)."""
        found = self.forest.answers(x)
        return found if self.then is None else self.then(found)


def _nothing(weights: FloatArray, shift: FloatArray) -> bool:
    return weights.shape[0] == weights.shape[1] and bool((weights == np.eye(len(weights))).all()) and not shift.any()


class Grown(NamedTuple):
    """The trees of a model.

    Attributes
    ----------
    forest : the trees.
    cells : makes the (N, F) cells that the trees look at of a frame of pandas or an array, as the model does.
    says : what the forest's answers are: ``"value"``, ``"probability"`` of every class, ``"log-odds"`` of the second of two classes, or
        ``"margins"``, whose softmax are the probabilities of more classes.
    """

    forest: Forest
    cells: Callable[[Any], FloatArray]
    says: str

    def probabilities(self, answers: FloatArray) -> FloatArray:
        """Return the probabilities (n, classes) that the forest's answers (n, K) stand for."""
        if self.says == "margins":
            return np.asarray(softmax(answers, axis=1))
        if self.says != "log-odds":
            return answers
        rest = np.exp(-np.abs(answers))  # each by itself: neither loses its digits
        sure, unsure = 1 / (1 + rest), rest / (1 + rest)
        return np.concatenate([np.where(answers > 0, unsure, sure), np.where(answers > 0, sure, unsure)], 1)

    def on_scale(self, scaled: Callable[[FloatArray], FloatArray], line: tuple[float, float] | None) -> Sum:
        """Return what answers on a scale.

        Parameters
        ----------
        scaled : the answers (n, O) there of the probabilities (n, classes) of a classifier.
        line : (factor, shift) by which the log-odds of the second of two classes are the answer; None where they are not.
        """
        if self.says == "value":
            return Sum(self.forest)
        if self.says == "log-odds" and line is not None:
            return Sum(self.forest.scaled(*line))

        def then(answers: FloatArray) -> FloatArray:
            return scaled(self.probabilities(answers))

        # of one tree any function of a leaf's value is a value of the leaf
        return Sum(self.forest.mapped(then)) if len(self.forest.root) == 1 else Sum(self.forest, then)


def numbers_of(X: Any, code: Callable[[int, pd.Series[Any]], npt.ArrayLike] | None = None) -> FloatArray:
    """Return the cells of a frame of pandas or an array as numbers (N, F).

    Parameters
    ----------
    code : (number of the column among those of categories, column) -> codes, NaN where missing. Without it there must be no such column.
    """
    if not isinstance(X, pd.DataFrame):
        return np.asarray(X, np.float64)
    out, met = np.empty(X.shape), 0
    for j, (_, column) in enumerate(X.items()):
        if isinstance(column.dtype, pd.CategoricalDtype) and code is not None:
            out[:, j] = code(met, column)
            met += 1
        else:
            out[:, j] = column.to_numpy(np.float64, na_value=np.nan)
    return out


def codes_of(column: pd.Series[Any], levels: Sequence[Any] | None = None) -> FloatArray:
    """Return the codes that a column's categories have among ``levels``, or in the column itself; NaN for missing and other ones."""
    codes = (column.cat if levels is None else column.cat.set_categories(levels).cat).codes.to_numpy(np.float64)
    return np.where(codes < 0, np.nan, codes)


def join(forests: Sequence[Forest], columns: bool = False) -> Forest:
    """Return one forest of several over the same cells: their answers added, or with ``columns`` set side by side."""
    nodes = np.cumsum([0, *(len(f.left) for f in forests)])
    sets = np.cumsum([0, *(len(f.sets) for f in forests)])
    width = max(f.sets.shape[1] for f in forests)

    def moved(a: Ints, by: int) -> Ints:
        return np.where(a >= 0, a + by, -1)

    def wide(a: BoolArray) -> BoolArray:
        return np.pad(a, ((0, 0), (0, width - a.shape[1])))

    values = [f.value for f in forests]
    if columns:
        size = sum(f.n_outputs for f in forests)
        ends = np.cumsum([f.n_outputs for f in forests])
        values = [np.pad(f.value, ((0, 0), (int(e) - f.n_outputs, size - int(e)))) for f, e in zip(forests, ends)]
    return Forest(
        left=np.concatenate([moved(f.left, n) for f, n in zip(forests, nodes)]),
        right=np.concatenate([moved(f.right, n) for f, n in zip(forests, nodes)]),
        feature=np.concatenate([f.feature for f in forests]),
        threshold=np.concatenate([f.threshold for f in forests]),
        missing_left=np.concatenate([f.missing_left for f in forests]),
        levels=np.concatenate([moved(f.levels, n) for f, n in zip(forests, sets)]),
        sets=np.concatenate([wide(f.sets) for f in forests]),
        known=np.concatenate([wide(f.known) for f in forests]),
        value=np.concatenate(values),
        root=np.concatenate([f.root + n for f, n in zip(forests, nodes)]),
        base=np.concatenate([f.base for f in forests]) if columns else np.sum([f.base for f in forests], 0),
        single=any(f.single for f in forests),
    )
