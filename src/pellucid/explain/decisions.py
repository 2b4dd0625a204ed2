"""What a model decides: its answers as labels where it sorts rows into classes, else as numbers with a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.probe.view import View
from pellucid.protocols import FloatArray

__all__ = ["Decisions", "beta_interval", "number_text", "within"]

Ints = npt.NDArray[np.int64]
TOLERANCE = 0.5
"""Numbers count as equal within this many standard deviations of the answers."""


@dataclass(frozen=True)
class Decisions:
    """How the answers of a view are compared.

    Attributes
    ----------
    labels : names of the classes in the order of their codes; None where the answer is a number.
    limit : the answer above which a single output counts as its class.
    tolerance : (O,) largest difference of numbers that count as equal.
    """

    labels: tuple[str, ...] | None
    limit: float
    tolerance: FloatArray

    @classmethod
    def of(cls, view: View, answers: FloatArray) -> Decisions:
        """Return the rule of comparison for a view whose typical answers are ``answers`` (N, O)."""
        limit = 0.5 if view.scale == "probability" else 0.0
        spread = TOLERANCE * answers.std(0)
        classes = tuple(map(str, view.classes))
        if view.task != "classification" or not classes:
            return cls(None, limit, spread)
        if len(view.outputs) > 1 and view.outputs == classes:
            return cls(classes, limit, spread)
        if len(view.outputs) == 1 and view.outputs[0] in classes:
            name = view.outputs[0]
            other = next(c for c in classes if c != name) if len(classes) == 2 else f"not {name}"
            return cls((other, name), limit, spread)
        return cls(None, limit, spread)

    def codes(self, answers: FloatArray) -> Ints:
        """Return the labels' codes (N,) of answers (N, O)."""
        if answers.shape[1] > 1:
            return np.asarray(answers.argmax(1))
        return np.asarray(answers[:, 0] > self.limit, np.int64)

    def equal(self, one: FloatArray, two: FloatArray) -> npt.NDArray[np.bool_]:
        """Return whether answers (N, O) are the same decision, (N,)."""
        if self.labels is not None:
            return np.asarray(self.codes(one) == self.codes(two))
        return np.asarray((np.abs(one - two) <= self.tolerance + 1e-12).all(1))

    def words(self, answer: FloatArray, outputs: tuple[str, ...]) -> str:
        """Return one answer (O,) in words."""
        if self.labels is not None:
            return self.labels[int(self.codes(answer[None])[0])]
        shown = [within(float(v), float(t)) for v, t in zip(answer, self.tolerance)]
        return shown[0] if len(shown) == 1 else ", ".join(f"{o}: {s}" for o, s in zip(outputs, shown))

    @property
    def counts(self) -> str:
        """What precision counts, in words."""
        return "share of rows with the same answer" if self.labels is not None else "share of rows whose answer is within the tolerance"


def number_text(value: float) -> str:
    """Return a number with at most six digits.

    Examples
    --------
    >>> number_text(3.0), number_text(0.1 + 0.2), number_text(1234567.0)
    ('3', '0.3', '1234567')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def within(value: float, tolerance: float) -> str:
    """Return a number and its tolerance, with no more digits than two of the tolerance say.

    Examples
    --------
    >>> within(10.14431, 2.50737), within(0.0123456, 0.0012), within(5123.4, 230.0), within(3.0, 0.0)
    ('10.1 ± 2.5', '0.0123 ± 0.0012', '5123 ± 230', '3 ± 0')
    """
    if tolerance > 0:
        digits = max(0, 1 - int(np.floor(np.log10(tolerance))))
        value, tolerance = round(value, digits), round(tolerance, digits)
    return f"{number_text(value)} ± {number_text(tolerance)}"


def beta_interval(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share from ``hits`` of ``n`` (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).

    Examples
    --------
    >>> [round(v, 3) for v in beta_interval(0, 10)]
    [0.0, 0.308]
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high
