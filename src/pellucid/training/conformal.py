"""Conformal prediction: intervals and sets whose coverage is promised, whatever the model. Arithmetic only.

The sorted scores are kept, so any level can be asked after training. Letters: n calibration rows, N new rows, K folds, O classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, ModelFileError, RequestError

__all__ = ["Conformal", "beta_binomial_cdf", "conformal_rank", "coverage_range", "quantile", "randomised_pit"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BLOCK = 4_000_000  # numbers held at once by CV+ (rows x calibration rows)


def conformal_rank(n: int, level: float) -> int:
    """Return k = ceil((n + 1) * level), the rank of the score that bounds a share ``level`` of new rows; above n there is no bound.

    Examples
    --------
    >>> [conformal_rank(n, 0.9) for n in (8, 9, 100)]
    [9, 9, 91]
    """
    if not 0 < level < 1:
        raise RequestError("level is out of range", expected="a share between 0 and 1, both excluded", got=repr(level))
    return math.ceil(round((n + 1) * level, 9))  # rounded first: 100 * 0.07 is 7.000000000000001


def quantile(sorted_scores: FloatArray, level: float) -> float:
    """Return the conformal quantile of ascending scores (n,): the k-th smallest, or infinity when k > n."""
    k = conformal_rank(len(sorted_scores), level)
    return float(sorted_scores[k - 1]) if k <= len(sorted_scores) else math.inf


@dataclass(frozen=True)
class Conformal:
    """Intervals for numbers and sets for classes from the scores of rows the model never learned from.

    Scores: ``"absolute"`` |y - f|; ``"normalised"`` |y - f| / s; ``"lac"`` 1 - p(label), which gives the smallest sets and may give an
    empty one ("nothing fits"). With split rows, a share of at least ``level`` of new rows is covered on average, and at most
    1/(n+1) more. With folds (CV+) the promise is 1 - 2 (1 - level), the usual share about ``level``.

    Attributes
    ----------
    kind : the score.
    scores : (n,) ascending.
    fold : (n,) fold of each score, or None where rows were held out.
    groups : by name of a grouping, (codes (n,), labels): the group of each score.

    Notes
    -----
    Vovk, Gammerman, Shafer 2005, doi:10.1007/b106715; classes: Sadinle, Lei, Wasserman 2019, arXiv:1609.00451; folds: Barber, Candes,
    Ramdas, Tibshirani 2021, arXiv:1905.02928, and for classes Romano, Sesia, Candes 2020, arXiv:2006.02544; groups: Vovk 2012,
    arXiv:1209.2673.

    Examples
    --------
    >>> import numpy as np
    >>> c = Conformal.fit_split(truth=np.arange(9.0), output=np.zeros(9))
    >>> [end.tolist() for end in c.interval(np.array([10.0]), 0.9)]
    [[2.0], [18.0]]
    """

    kind: str
    scores: FloatArray
    fold: IntArray | None = None
    groups: Mapping[str, tuple[IntArray, tuple[str, ...]]] = field(default_factory=dict)

    @classmethod
    def fit_split(
        cls,
        truth: npt.ArrayLike,
        output: npt.ArrayLike,
        *,
        spread: npt.ArrayLike | None = None,
        groups: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Conformal:
        """Return the fit on held-out rows.

        Parameters
        ----------
        truth : (n,) numbers, or class numbers.
        output : (n,) predicted numbers, or (n, O) class probabilities.
        spread : (n,) positive estimates of the error's size; intervals then grow with it.
        groups : by name of a grouping, (n,) labels: intervals and sets can then be asked with coverage in each group.
        """
        return cls._fit(truth, output, None, spread, groups)

    @classmethod
    def fit_folds(
        cls,
        truth: npt.ArrayLike,
        output: npt.ArrayLike,
        folds: npt.ArrayLike,
        *,
        spread: npt.ArrayLike | None = None,
        groups: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Conformal:
        """Return the fit on all training rows, each answered by the fold model that never saw it; ``folds`` (n,) numbers those models."""
        at = np.asarray(folds)
        if at.dtype.kind not in "iu" or at.ndim != 1:
            raise ArgumentError("the folds cannot be used", expected="one whole number for each row", got=f"shape {at.shape}, {at.dtype}")
        return cls._fit(truth, output, at.astype(np.int64), spread, groups)

    @classmethod
    def _fit(
        cls,
        truth: npt.ArrayLike,
        output: npt.ArrayLike,
        fold: IntArray | None,
        spread: npt.ArrayLike | None,
        groups: Mapping[str, npt.ArrayLike] | None,
    ) -> Conformal:
        y, f = np.asarray(truth), np.asarray(output, np.float64)
        if y.ndim != 1 or f.ndim not in (1, 2) or len(f) != len(y) or (fold is not None and len(fold) != len(y)):
            raise ArgumentError(
                "truth, output and folds do not fit each other",
                expected="one truth and one output for each row",
                got=f"{y.shape} and {f.shape}",
            )
        if f.ndim == 2:
            kind, scores = "lac", 1 - f[np.arange(len(y)), y.astype(np.int64)]
        else:
            kind, scores = "absolute", np.abs(y.astype(np.float64) - f)
            if spread is not None:
                kind, scores = "normalised", scores / _positive(spread, len(y))
        if not np.isfinite(scores).all():
            raise ArgumentError("conformal scores must be finite", got=f"{int((~np.isfinite(scores)).sum())} missing or infinite outputs")
        order = np.argsort(scores, kind="stable")
        named = {}
        for name, labels in (groups or {}).items():
            texts, codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)
            named[name] = (codes.reshape(-1).astype(np.int64)[order], tuple(map(str, texts)))
        return cls(kind, scores[order], None if fold is None else fold[order], named)

    def __len__(self) -> int:
        return len(self.scores)

    def interval(
        self,
        point: npt.ArrayLike,
        level: float,
        *,
        spread: npt.ArrayLike | None = None,
        group: str | None = None,
        labels: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return (low, high), each (N,), infinite where there are too few scores for ``level``.

        Parameters
        ----------
        point : (N,) predictions; or (N, K), the answers of the fold models in the order of their numbers: then CV+.
        level : promised share.
        spread : (N,), as at the fit of the kind ``"normalised"``.
        group, labels : name of a grouping and the (N,) labels of the new rows: coverage in each group.
        """
        if self.kind == "lac":
            raise RequestError("intervals are for numbers", do="ask sets(probabilities, level)")
        f = np.asarray(point, np.float64)
        size = _positive(spread, len(f)) if self.kind == "normalised" else np.ones(len(f))
        if f.ndim == 2 and self.fold is None:
            raise ArgumentError("answers of fold models need fold scores", expected="(rows,) predictions", got=f"shape {f.shape}")
        low, high = np.empty(len(f)), np.empty(len(f))
        for rows, mine in self._parts(len(f), level, group, labels):
            if f.ndim == 1:
                half = quantile(self.scores[mine], level) * size[rows]
                low[rows], high[rows] = f[rows] - half, f[rows] + half
            else:
                assert self.fold is not None
                high[rows] = _cv_plus(f[rows], size[rows], self.scores[mine], self.fold[mine], level)
                low[rows] = -_cv_plus(-f[rows], size[rows], self.scores[mine], self.fold[mine], level)
        return low, high

    def sets(
        self, probabilities: npt.ArrayLike, level: float, *, group: str | None = None, labels: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return which classes are in each row's set, (N, O); a row without any says that nothing fits.

        ``probabilities`` (N, O); or (N, K, O), the answers of the fold models in the order of their numbers: then CV+.
        """
        if self.kind != "lac":
            raise RequestError("sets are for classes", do="ask interval(point, level)")
        p = np.asarray(probabilities, np.float64)
        if p.ndim == 3 and self.fold is None:
            raise ArgumentError("answers of fold models need fold scores", expected="(rows, classes) probabilities", got=f"shape {p.shape}")
        out = np.empty((len(p), p.shape[-1]), bool)
        for rows, mine in self._parts(len(p), level, group, labels):
            if p.ndim == 2:
                out[rows] = 1 - p[rows] <= quantile(self.scores[mine], level)
                continue
            below = np.zeros(out[rows].shape, np.int64)
            own, fold = self.scores[mine], self.fold[mine]  # type: ignore[index]
            for k in range(p.shape[1]):
                below += np.searchsorted(own[fold == k], 1 - p[rows, k], side="left")
            out[rows] = below < conformal_rank(len(own), level)
        return out

    def _parts(
        self, n: int, level: float, group: str | None, labels: npt.ArrayLike | None
    ) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        """Return (new rows, scores that bound them) pairs: one pair, or one for each group."""
        everyone = np.ones(len(self.scores), bool)
        if group is None:
            conformal_rank(len(self), level)
            return [(np.ones(n, bool), everyone)]
        codes, known = self._grouping(group)
        if labels is None or len(np.asarray(labels)) != n:
            raise ArgumentError(
                f"the labels of grouping {group!r} do not fit the rows",
                expected=f"{n} labels",
                got="none" if labels is None else str(np.shape(labels)),
            )
        short = set(self.fallback(level, group))
        text = np.asarray(labels).astype(str)
        own = [(text == label, codes == i) for i, label in enumerate(known) if label not in short]
        rest = ~np.isin(text, [label for label in known if label not in short])
        return [*own, (rest, everyone)]

    def _grouping(self, group: str) -> tuple[IntArray, tuple[str, ...]]:
        if group not in self.groups:
            raise RequestError(
                f"there is no grouping {group!r}",
                expected=f"one of {', '.join(self.groups)}" if self.groups else "a grouping given at the fit",
            )
        return self.groups[group]

    def fallback(self, level: float, group: str) -> tuple[str, ...]:
        """Return the groups with too few scores for ``level``: they get the quantile of all rows, without a promise of their own."""
        codes, known = self._grouping(group)
        count = np.bincount(codes, minlength=len(known))
        return tuple(label for label, c in zip(known, count) if conformal_rank(int(c), level) > c)

    def promise(self, level: float, *, by_folds: bool = False) -> str:
        """Return what is promised at ``level``, in words. ``by_folds``: the question was answered with the fold models (CV+)."""
        k = conformal_rank(len(self), level)
        if k > len(self):
            least = math.ceil(round(1 / (1 - level), 9)) - 1
            return f"{len(self)} held-out rows are too few for {level:.0%}: at least {least} are needed, so nothing is excluded"
        if self.fold is None:
            low, high = coverage_range(len(self), level)
            range_ = f"with {len(self)} held-out rows, between {low:.1%} and {high:.1%} in 90 of 100 draws of them"
            return f"covers at least {level:.0%} of new rows on average; {range_}"
        if by_folds:
            least_share = max(0.0, 2 * level - 1)
            return f"covers at least {least_share:.0%} of new rows, usually about {level:.0%} ({len(self)} rows, by fold models)"
        return f"covers about {level:.0%} of new rows, without a promise: scores come from fold models, answers from the model of all rows"

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and arrays."""
        groups = {name: {"codes": codes, "labels": list(labels)} for name, (codes, labels) in self.groups.items()}
        return {"kind": self.kind, "scores": self.scores, "fold": self.fold, "groups": groups}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Conformal:
        """Return the fit that :meth:`state` described (arrays or lists)."""
        try:
            groups = {
                str(k): (np.asarray(v["codes"], np.int64), tuple(map(str, v["labels"]))) for k, v in (state.get("groups") or {}).items()
            }
            fold = None if state.get("fold") is None else np.asarray(state["fold"], np.int64)
            return cls(str(state["kind"]), np.asarray(state["scores"], np.float64), fold, groups)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved conformal scores cannot be read", got=f"{type(error).__name__}: {error}") from error


def _positive(spread: npt.ArrayLike | None, n: int) -> FloatArray:
    s = np.asarray(np.nan if spread is None else spread, np.float64)
    if s.shape != (n,) or not (np.isfinite(s).all() and (s > 0).all()):
        raise ArgumentError("spread cannot be used", expected=f"{n} positive numbers", got="none" if spread is None else f"shape {s.shape}")
    return s


def _cv_plus(answers: FloatArray, size: FloatArray, scores: FloatArray, fold: IntArray, level: float) -> FloatArray:
    """Return, for each row, the k-th smallest of answer of fold(i) + score i * size, (N,)."""
    k = conformal_rank(len(scores), level)
    if k > len(scores):
        return np.full(len(answers), np.inf)
    if fold.max() >= answers.shape[1]:
        raise ArgumentError("fold models are missing", expected=f"{int(fold.max()) + 1} answers for each row", got=str(answers.shape[1]))
    out, step = np.empty(len(answers)), max(1, BLOCK // len(scores))
    for start in range(0, len(answers), step):
        part = slice(start, start + step)
        values = answers[part][:, fold] + size[part, None] * scores
        out[part] = np.partition(values, k - 1, axis=1)[:, k - 1]
    return out


def coverage_range(n_cal: int, level: float, within: float = 0.9) -> tuple[float, float]:
    """Return between which shares the true coverage lies, in a share ``within`` of all draws of n_cal held-out rows.

    The law is Beta(k, n + 1 - k).

    Examples
    --------
    >>> [round(end, 3) for end in coverage_range(1000, 0.9)]
    [0.884, 0.915]
    """
    from scipy.special import betaincinv

    k = conformal_rank(n_cal, level)
    if k > n_cal:
        return 1.0, 1.0
    tail = (1 - within) / 2
    return float(betaincinv(k, n_cal + 1 - k, tail)), float(betaincinv(k, n_cal + 1 - k, 1 - tail))


def beta_binomial_cdf(n_cal: int, level: float, n_test: int) -> FloatArray:
    """Return P(covered <= c) for c = 0..n_test: the law of the number of covered test rows when scores have no ties.

    Given the n_cal scores the coverage is Beta(k, n_cal + 1 - k); over test rows the count is Beta-binomial.
    """
    from scipy.stats import betabinom

    k = conformal_rank(n_cal, level)
    if k > n_cal:
        return np.append(np.zeros(n_test), 1.0)
    # the probabilities summed up once: the package's own cdf sums them anew for every count
    cdf = np.minimum(np.cumsum(betabinom.pmf(np.arange(n_test + 1), n_test, k, n_cal + 1 - k)), 1.0)
    return np.asarray(cdf, np.float64)


def randomised_pit(covered: npt.ArrayLike, n_cal: int, level: float, n_test: int, rng: np.random.Generator) -> FloatArray:
    """Return uniform numbers if the counts ``covered`` (R,) follow the Beta-binomial: a draw between P(X < c) and P(X <= c) for each."""
    cdf = np.concatenate([[0.0], beta_binomial_cdf(n_cal, level, n_test)])
    c = np.asarray(covered, np.int64)
    return np.asarray(cdf[c] + rng.random(len(c)) * (cdf[c + 1] - cdf[c]))
