"""The last layer fitted again to a stationary point, where an answer is exactly a sum over training rows.

The features are the last hidden state, scaled so that the mean square of a kept row's is 1, and a constant. The objective is
``mean_i L_i + l2 ||theta||^2`` (or ``+ l1 |theta|``) with L the log loss, or the squared error of standardised numbers.
Letters: N rows, M kept rows, H features, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain.nearest_rows import known_answers
from pellucid.explain.question import Question
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.protocols import FloatArray

__all__ = ["Fit", "LastLayer"]

STEPS = 100
TOLERANCE = 1e-10


@dataclass(frozen=True)
class LastLayer:
    """What the last layer reads and should answer.

    Attributes
    ----------
    rows, kept : features (N, H) and (M, H). target : (M, O): 1 for the second of two classes, one-hot classes, or standardised numbers.
    task : ``"binary"``, ``"classes"`` or ``"numbers"``. center, scale : of the numbers, (O,).
    """

    rows: FloatArray
    kept: FloatArray
    target: FloatArray
    task: str
    center: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, question: Question) -> tuple[LastLayer, tuple[str, ...]]:
        """Return the layer of a question, and the caveats."""
        view = question.view
        layers = view.hidden_layers()
        if not layers:
            raise RequestError(
                "this method reads the last hidden layer, and the model has none", expected="a network of this package",
                do="use method='nearest_rows'",
            )  # fmt: skip
        needed = 2 * (len(question.table) + len(question.kept))
        if question.budget.rows is not None and needed > question.budget.rows:
            raise too_small("", needed, question.budget.rows, FEWER_ROWS)
        truth, caveats = known_answers(question)
        rows, kept = (view.hidden(t, layers[-1]) for t in (question.table, question.kept))
        size = np.sqrt(np.square(kept).sum(1).mean()) or 1.0
        rows, kept = (np.column_stack([h / size, np.ones(len(h))]) for h in (rows, kept))
        return cls._of_arrays(rows, kept, truth, len(view.classes)), caveats

    @classmethod
    def _of_arrays(cls, rows: FloatArray, kept: FloatArray, truth: npt.NDArray[np.generic], n_classes: int) -> LastLayer:
        if n_classes == 2:
            return cls(rows, kept, np.asarray(truth, float)[:, None], "binary", np.zeros(1), np.ones(1))
        if n_classes:
            return cls(rows, kept, np.eye(n_classes)[np.asarray(truth, int)], "classes", np.zeros(n_classes), np.ones(n_classes))
        values = np.asarray(truth, float)
        center, scale = values.mean(0), np.where(values.std(0) > 0, values.std(0), 1.0)
        return cls(rows, kept, (values - center) / scale, "numbers", center, scale)

    def answers(self, z: FloatArray) -> FloatArray:
        """Return probabilities, or standardised numbers, of outputs z (M, O)."""
        if self.task == "numbers":
            return z
        if self.task == "binary":
            return np.asarray(1 / (1 + np.exp(-z)))
        e = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(e / e.sum(1, keepdims=True))

    def comparable(self, z: FloatArray) -> FloatArray:
        """Return outputs z (N, O) in the order that a predictor's outputs have: of several classes each one's log-odds."""
        if self.task != "classes":
            return z
        p = self.answers(z)
        return np.asarray(np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(p.sum(1, keepdims=True) - p, 1e-300)))

    def loss(self, z: FloatArray) -> float:
        """Return the mean loss of outputs z (M, O)."""
        if self.task == "numbers":
            return float(np.square(z - self.target).sum(1).mean())
        if self.task == "binary":
            return float((np.logaddexp(0, z) - self.target * z).mean())
        return float((np.logaddexp.reduce(z, axis=1) - (z * self.target).sum(1)).mean())

    def slope(self, z: FloatArray) -> FloatArray:
        """Return dL/dz (M, O)."""
        return (2.0 if self.task == "numbers" else 1.0) * (self.answers(z) - self.target)

    def bend(self, z: FloatArray, direction: FloatArray) -> FloatArray:
        """Return the second derivative of the losses times a direction (M, O)."""
        if self.task == "numbers":
            return 2.0 * direction
        p = self.answers(z)
        if self.task == "binary":
            return np.asarray(p * (1 - p) * direction)
        return np.asarray(p * (direction - (p * direction).sum(1, keepdims=True)))

    def curvature(self, z: FloatArray) -> FloatArray:
        """Return the second derivatives (M, O, O)."""
        eye = np.eye(z.shape[1])
        return np.stack([self.bend(z, np.broadcast_to(eye[o], z.shape)) for o in range(z.shape[1])], 2)

    def fit_l2(self, l2: float) -> Fit:
        """Return the minimum under l2 > 0 by Newton's method, to a gradient below 1e-10."""
        m = len(self.kept)
        theta = np.zeros((self.kept.shape[1], self.target.shape[1]))
        for _ in range(STEPS):
            z = self.kept @ theta
            gradient = self.kept.T @ self.slope(z) / m + 2 * l2 * theta
            if np.abs(gradient).max() < TOLERANCE:
                break
            step = _conjugate(partial(self._bent, z, l2), gradient)
            theta = self._searched(theta, step, gradient, l2)
        z = self.kept @ theta
        return Fit(theta, -self.slope(z) / (2 * l2 * m), None, float(np.abs(self.kept.T @ self.slope(z) / m + 2 * l2 * theta).max()))

    def _searched(self, theta: FloatArray, step: FloatArray, gradient: FloatArray, l2: float) -> FloatArray:
        """Return the point after as much of the step as lowers the objective enough."""
        value = lambda t: self.loss(self.kept @ t) + l2 * np.square(t).sum()  # noqa: E731
        here, drop, size = value(theta), float((gradient * step).sum()), 1.0
        while size > 1e-6 and value(theta - size * step) > here - 1e-4 * size * drop + 1e-15 * abs(here):
            size /= 2
        return theta - size * step

    def fit_l1(self, l1: float) -> Fit:
        """Return the minimum under l1 > 0: accelerated proximal steps, then Newton's method on the entries that are not 0.

        Beck, Teboulle 2009, doi:10.1137/080716542.
        """
        m = len(self.kept)
        bound = float(np.linalg.norm(self.kept, 2)) ** 2 / m * (2.0 if self.task == "numbers" else 0.5)
        theta = np.zeros((self.kept.shape[1], self.target.shape[1]))
        for _ in range(STEPS):
            theta = self._proximal(theta, l1, 1 / bound, 200)
            theta, done = self._active(theta, l1)
            if done:
                break
        slope = self.slope(self.kept @ theta)
        gap = np.abs(self.kept.T @ slope / m + l1 * np.sign(theta))[theta != 0]
        return Fit(theta, -slope / (l1 * m), np.abs(theta), float(gap.max(initial=0.0)))

    def _proximal(self, theta: FloatArray, l1: float, rate: float, steps: int) -> FloatArray:
        at, momentum = theta, 1.0
        for _ in range(steps):
            moved = at - rate * self.kept.T @ self.slope(self.kept @ at) / len(self.kept)
            new = np.sign(moved) * np.maximum(np.abs(moved) - rate * l1, 0.0)
            after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            at, theta, momentum = new + (momentum - 1) / after * (new - theta), new, after
        return theta

    def _active(self, theta: FloatArray, l1: float) -> tuple[FloatArray, bool]:
        """Return the point where the entries that are not 0 are stationary, and whether all conditions of the minimum hold.

        A step ends where an entry reaches 0; that entry leaves. So directions that the loss does not see (a constant added to all classes)
        are followed until the penalty is smallest along them.
        """
        m = len(self.kept)
        for _ in range(STEPS):
            z, sign, on = self.kept @ theta, np.sign(theta), theta != 0
            gradient = (self.kept.T @ self.slope(z) / m + l1 * sign) * on
            if np.abs(gradient).max() < TOLERANCE:
                break
            step = _conjugate(partial(self._bent_where, z, on), gradient)
            crosses = on & (step * sign > 0)
            reach = np.min(np.abs(theta[crosses]) / np.abs(step[crosses]), initial=1.0)
            theta = self._shortened(theta, step, float(reach), float((gradient * step).sum()), l1)
            theta[on & (np.abs(theta) < 1e-12)] = 0.0
        rest, on = np.abs(self.kept.T @ self.slope(self.kept @ theta) / m), theta != 0
        good = bool((rest[~on] <= l1 * (1 + 1e-6)).all() and np.abs(rest[on] - l1).max(initial=0.0) < 1e-8)
        return theta, good

    def _shortened(self, theta: FloatArray, step: FloatArray, size: float, drop: float, l1: float) -> FloatArray:
        """Return the point after at most ``size`` of the step, halved until the objective falls enough."""
        value = lambda t: self.loss(self.kept @ t) + l1 * np.abs(t).sum()  # noqa: E731
        here = value(theta)
        while size > 1e-9 and value(theta - size * step) > here - 1e-4 * size * drop + 1e-14 * abs(here):
            size /= 2
        return theta - size * step

    def _bent_where(self, z: FloatArray, on: npt.NDArray[np.bool_], v: FloatArray) -> FloatArray:
        return np.asarray(on * (self._bent(z, 1e-9, v)))

    def _bent(self, z: FloatArray, l2: float, v: FloatArray) -> FloatArray:
        """Return the second derivatives of the objective at outputs z times a direction v (H, O)."""
        return np.asarray(self.kept.T @ self.bend(z, self.kept @ v) / len(self.kept) + 2 * l2 * v)


@dataclass(frozen=True)
class Fit:
    """A stationary last layer.

    Attributes
    ----------
    theta : (H, O). alpha : (M, O) the representer values. weight : (H, O) weights of the features in the inner products; None for 1.
    gap : the largest entry of the gradient, 0 where perfectly stationary.
    """

    theta: FloatArray
    alpha: FloatArray
    weight: FloatArray | None
    gap: float

    def shares(self, rows: FloatArray, kept: FloatArray) -> FloatArray:
        """Return the parts (N, M, O) of kept rows in the outputs of rows; their sum over M is ``rows @ theta``."""
        if self.weight is None:
            return (rows @ kept.T)[:, :, None] * self.alpha
        return np.stack([(rows * self.weight[:, o]) @ kept.T * self.alpha[:, o] for o in range(self.alpha.shape[1])], 2)


def _conjugate(apply: Callable[[FloatArray], FloatArray], b: FloatArray, steps: int = 500) -> FloatArray:
    """Return x with apply(x) = b by conjugate gradients, for a symmetric positive map."""
    x, r = np.zeros_like(b), b.copy()
    p, size = r.copy(), float((r * r).sum())
    stop = 1e-20 * size
    for _ in range(steps):
        if size <= stop or size == 0:
            break
        q = apply(p)
        step = size / float((p * q).sum())
        x, r = x + step * p, r - step * q
        new = float((r * r).sum())
        p, size = r + new / size * p, new
    return x
