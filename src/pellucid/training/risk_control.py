"""When to keep silent: the doubt above which no answer is given, so that too many wrong ones are unlikely.

Thresholds are tried from the strictest to the most lenient; each is accepted only where a binomial test says that the share of wrong
answers among those given lies below the allowed one. The level of the test is divided among several places to start from, because
the strictest thresholds leave too few rows to show anything; from each start the first failure ends the walk, so no further
correction is needed.

Source: Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv:2110.01052; the bound: Clopper and Pearson 1934,
doi:10.1093/biomet/26.4.404. Letters: n held-out rows, G thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.results.text import percent

__all__ = ["CONFIDENCE", "STARTS", "Control", "control", "upper_bound"]

FloatArray = npt.NDArray[np.float64]
CONFIDENCE = 0.95
STARTS = 5


@dataclass(frozen=True)
class Control:
    """An abstain rule.

    Attributes
    ----------
    threshold : answers are withheld where the doubt is above it; inf where all may be given, -inf where no threshold could be shown to keep
        the risk.
    risk, confidence : as asked. answered, wrong : held-out rows that are answered, and those of them that are wrong.
    upper : upper end, at this confidence, of the share of wrong answers at this threshold alone.
    n : held-out rows.
    """

    threshold: float
    risk: float
    confidence: float
    answered: int
    wrong: int
    upper: float
    n: int

    @property
    def words(self) -> str:
        """What was found, in a sentence."""
        if self.threshold == -np.inf:
            kept = f"keep wrong answers at {percent(self.risk, None)} or less"
            return f"no threshold of doubt could be shown to {kept} on {self.n} held-out rows"
        return (
            f"of {self.n} held-out rows {self.answered} are answered, {self.wrong} of them wrongly; "
            f"with {percent(self.confidence, None)} confidence "
            f"at most {percent(self.risk, None)} of the answers given to rows from the same source are wrong"
        )


def upper_bound(wrong: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> FloatArray:
    """Return the upper end of the Clopper-Pearson interval of a share, one-sided; 1 where there are no rows.

    Examples
    --------
    >>> float(upper_bound(0, 59).round(4))
    0.0495
    """
    from scipy.special import betaincinv

    k, m = np.broadcast_arrays(np.asarray(wrong, np.float64), np.asarray(n, np.float64))
    some = k < m
    return np.where(some, betaincinv(np.where(some, k + 1, 1.0), np.where(some, m - k, 1.0), confidence), 1.0)


def control(
    doubt: npt.ArrayLike, wrong: npt.ArrayLike, grid: npt.ArrayLike, risk: float, *, confidence: float = CONFIDENCE, starts: int = STARTS
) -> Control:
    """Return the most lenient threshold that keeps the share of wrong answers at ``risk``.

    Parameters
    ----------
    doubt : (n,) of held-out rows, high for rows better left alone. wrong : (n,) whether the answer is wrong.
    grid : (G,) thresholds to try, fixed without a look at these rows. risk : allowed share of wrong answers among those given.
    starts : places in the grid to start from, evenly spread; each gets its part of 1 - ``confidence``.
    """
    if not 0 < risk < 1:
        raise RequestError("the allowed risk is out of range", expected="a share between 0 and 1, both excluded", got=repr(risk))
    d, bad = np.asarray(doubt, np.float64), np.asarray(wrong, bool)
    levels = np.unique(np.asarray(grid, np.float64))
    order = np.argsort(d, kind="stable")
    answered = np.searchsorted(d[order], levels, side="right")
    missed = np.concatenate([[0], np.cumsum(bad[order])])[answered]
    begin = np.unique(np.linspace(0, len(levels) - 1, starts).round().astype(int)) if len(levels) else np.zeros(0, int)
    passes = upper_bound(missed, answered, 1 - (1 - confidence) / max(len(begin), 1)) <= risk
    ends = [int(b + np.argmin(np.append(passes[b:], False)) - 1) for b in begin if passes[b]]
    if not ends:
        return Control(-np.inf, risk, confidence, 0, 0, 1.0, len(d))
    at = max(ends)
    m, k = int(answered[at]), int(missed[at])
    return Control(float(levels[at]), risk, confidence, m, k, float(upper_bound(k, m, confidence)), len(d))
