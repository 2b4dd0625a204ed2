"""Which class to answer where mistakes cost different amounts. Arithmetic only: probabilities, labels and costs, never a model.

With probabilities that mean what they say, the class of least expected cost is the best answer (C. Elkan 2001, "The foundations of
cost-sensitive learning", IJCAI). Whether they do is asked of held-out rows: for two classes the threshold that would have been cheapest
there takes its place only where it is cheaper on rows it was not chosen on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import random
from pellucid.errors import RequestError

__all__ = ["Held", "best_threshold", "bootstrap", "check_costs", "choose_threshold", "cost_of", "least_cost", "thin"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 20_000  # held-out rows that a model keeps for this
FOLDS = 10  # parts of the held-out rows, in each of which a threshold is tried that the others have chosen
DRAWS, LEVEL = 2000, 0.95


@dataclass(frozen=True)
class Held:
    """Answers to rows that nothing was learned from.

    Attributes
    ----------
    probabilities : (n, O) calibrated. truth : (n,) class numbers. weights : (n,) of the rows; classes are not weighted.
    """

    probabilities: FloatArray
    truth: IntArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.truth)


def thin(probabilities: FloatArray, truth: npt.NDArray[Any], weights: FloatArray | None) -> Held:
    """Return at most ``MOST_ROWS`` of the rows, evenly spread."""
    n = len(truth)
    rows = np.unique(np.linspace(0, n - 1, min(n, MOST_ROWS)).round().astype(int)) if n else np.zeros(0, int)
    w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    return Held(np.asarray(probabilities, np.float64)[rows], np.asarray(truth, np.int64)[rows], w[rows])


def check_costs(costs: npt.ArrayLike, n_classes: int) -> FloatArray:
    """Return the costs (O, O), ``costs[truth, answer]``, or raise what is wrong with them."""
    try:
        matrix = np.asarray(costs, np.float64)
    except (TypeError, ValueError) as error:
        raise RequestError("the costs are not numbers", got=str(error)[:80]) from error
    if matrix.shape != (n_classes, n_classes) or not np.isfinite(matrix).all():
        raise RequestError("the costs cannot be used", expected=f"finite numbers ({n_classes}, {n_classes})", got=f"shape {matrix.shape}")
    if (matrix < np.diag(matrix)[:, None]).any():
        raise RequestError("a right answer must not cost more than a wrong one", got=str(matrix.tolist())[:120])
    if (matrix == matrix[:, :1]).all():
        raise RequestError("these costs are the same whatever is answered", do="give at least one mistake a cost")
    return matrix


def least_cost(probabilities: FloatArray, costs: FloatArray) -> IntArray:
    """Return the answer (N,) of least expected cost; of equals the first.

    Examples
    --------
    >>> least_cost(np.array([[0.8, 0.2], [0.9, 0.1]]), np.array([[0.0, 1.0], [5.0, 0.0]])).tolist()
    [1, 0]
    """
    return np.asarray((probabilities @ costs).argmin(1), np.int64)


def cost_of(answers: IntArray, truth: IntArray, costs: FloatArray) -> FloatArray:
    """Return what each answer cost, (N,)."""
    return np.asarray(costs[truth, answers])


def bayes_threshold(costs: FloatArray) -> float:
    """Return the probability of the second of two classes above which it is the cheaper answer.

    Examples
    --------
    >>> bayes_threshold(np.array([[0.0, 1.0], [4.0, 0.0]]))
    0.2
    """
    alarm, miss = costs[0, 1] - costs[0, 0], costs[1, 0] - costs[1, 1]
    return float(alarm / (alarm + miss))


def best_threshold(second: FloatArray, truth: IntArray, weights: FloatArray, costs: FloatArray, near: float) -> float:
    """Return the threshold on the second class's probability (n,) of least cost on these rows; of equals the nearest to ``near``.

    Thresholds lie midway between neighbouring probabilities, so that rounding moves no row. Cost: one sort.
    """
    values, place = np.unique(second, return_inverse=True)
    gain = weights * (costs[truth, 1] - costs[truth, 0])  # of answering the second class
    by_value = np.bincount(place.reshape(-1), gain, len(values))
    # total[i]: of the rows whose value is at least the i-th; the last answers the first class to all
    total = np.append(np.cumsum(by_value[::-1])[::-1], 0.0)
    cuts = np.concatenate([[0.0 if values[0] > 0 else -1.0], (values[:-1] + values[1:]) / 2, [1.0]])
    least = np.flatnonzero(total <= total.min() + 1e-9 * np.abs(gain).sum())
    # a rule that no row here tells from the near one is the near one
    low, high = np.append(-np.inf, values)[least], np.append(values, np.inf)[least]
    if ((low <= near) & (near < high)).any():
        return near
    return float(cuts[least][np.abs(cuts[least] - near).argmin()])


def choose_threshold(held: Held, costs: FloatArray, seed: int) -> tuple[float, bool, FloatArray, float, float]:
    """Return the threshold for two classes, and how it was chosen.

    Returns
    -------
    threshold : that of the costs alone, or the cheapest one on the held-out rows where that saves more than its standard error.
    from_rows : whether it is the latter.
    spent : (n,) what each row costs by the rule; where the rows chose, by the threshold that the other parts chose.
    saved, error : mean cost per row that the rows' threshold saves, tried on rows that did not choose it, and its standard error.
    """
    second, usual = held.probabilities[:, 1], bayes_threshold(costs)
    plain = cost_of((second > usual).astype(np.int64), held.truth, costs)
    if len(held) < 2 * FOLDS:
        return usual, False, plain, 0.0, 0.0
    part = random.stream(seed, "threshold").permutation(len(held)) % FOLDS
    tried = plain.copy()
    for k in range(FOLDS):
        rest, own = part != k, part == k
        cut = best_threshold(second[rest], held.truth[rest], held.weights[rest], costs, usual)
        tried[own] = cost_of((second[own] > cut).astype(np.int64), held.truth[own], costs)
    w = held.weights / held.weights.sum()
    saved = float(w @ (plain - tried))
    error = float(np.sqrt(w**2 @ (plain - tried - saved) ** 2))
    if saved <= error or saved <= 0:
        return usual, False, plain, saved, error
    return best_threshold(second, held.truth, held.weights, costs, usual), True, tried, saved, error


def bootstrap(rows: FloatArray, weights: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return (means (R,), intervals (R, 2) at 95 %) of R figures of rows (n, R), by the percentiles of 2,000 resamples.

    Rows that are alike are drawn together, so the cost is that of the distinct ones.
    """
    both = np.column_stack([rows * weights[:, None], weights])
    distinct, counts = np.unique(both, axis=0, return_counts=True)
    draw = random.stream(seed, "bootstrap")
    sums = np.concatenate([draw.multinomial(len(rows), counts / len(rows), size=100) @ distinct for _ in range(DRAWS // 100)])
    means = sums[:, :-1] / np.maximum(sums[:, -1:], 1e-300)
    tails = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return weights @ rows / weights.sum(), tails.T
