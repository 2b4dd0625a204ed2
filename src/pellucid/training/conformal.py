"""Conformal prediction: intervals and sets whose coverage is promised, whatever the model. Arithmetic only.

The sorted scores are kept, so any level can be asked after training. Letters: n calibration rows, N new rows, K folds, O classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, ModelFileError, RequestError
from pellucid.results.text import percent
from pellucid.training.coverage_law import beta_binomial_cdf, conformal_rank, coverage_range, least_rows, quantile, randomised_pit
from pellucid.training.shifted import weighted_quantile

__all__ = ["Conformal", "beta_binomial_cdf", "conformal_rank", "coverage_range", "quantile", "randomised_pit"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BLOCK = 4_000_000  # numbers held at once by CV+ (rows x calibration rows)


@dataclass(frozen=True)
class Conformal:
    """Intervals for numbers and sets for classes from the scores of rows the model never learned from.

    Scores: ``"absolute"`` |y - f|; ``"normalised"`` |y - f| / s; ``"quantile"`` max(low - y, y - high) of a predicted pair; ``"lac"``
    1 - p(label), which gives the smallest sets and may give an empty one ("nothing fits"); any other by :meth:`fit_scores`.
    With split rows, a share of at least ``level`` of new rows is covered on average, and at most
    1/(n+1) more. With folds (CV+) the promise is 1 - 2 (1 - level), the usual share about ``level``.

    Attributes
    ----------
    kind : the score.
    scores : (n,) ascending.
    fold : (n,) fold of each score, or None where rows were held out.
    groups : by name of a grouping, (codes (n,), labels): the group of each score.
    alike : as how many rows one independent row counts, above 1 where rows were held out in groups that err alike.

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
    alike: float = 1.0

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
                kind, scores = "normalised", scores / _positive(spread, (len(y),))
        return cls.fit_scores(kind, scores, folds=fold, groups=groups)

    @classmethod
    def fit_scores(
        cls, kind: str, scores: npt.ArrayLike, *, folds: npt.ArrayLike | None = None, groups: Mapping[str, npt.ArrayLike] | None = None
    ) -> Conformal:
        """Return the fit of any scores (n,), high for a truth that fits badly; ask :meth:`band` or :meth:`sets_of` of it."""
        given = np.asarray(scores, np.float64)
        if not np.isfinite(given).all():
            raise ArgumentError("conformal scores must be finite", got=f"{int((~np.isfinite(given)).sum())} missing or infinite outputs")
        order = np.argsort(given, kind="stable")
        named = {}
        for name, labels in (groups or {}).items():
            texts, codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)
            named[name] = (codes.reshape(-1).astype(np.int64)[order], tuple(map(str, texts)))
        return cls(kind, given[order], None if folds is None else np.asarray(folds, np.int64)[order], named)

    def __len__(self) -> int:
        return len(self.scores)

    def counts(self, n: int) -> int:
        """Return as how many independent rows n held-out rows count."""
        return max(1, round(n / self.alike)) if n else 0

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
        return self.band(f, f, level, size=_positive(spread, f.shape) if self.kind == "normalised" else None, group=group, labels=labels)

    def band(
        self,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        level: float,
        *,
        size: npt.ArrayLike | None = None,
        group: str | None = None,
        labels: npt.ArrayLike | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return (low - q size, high + q size), each (N,), q the bound of the scores at ``level``; it may be negative.

        Parameters
        ----------
        low, high : (N,) predicted ends, or (N, K), those of the fold models in the order of their numbers: then CV+.
        size : what a score is measured in, (N,) or as the ends; None is 1.
        group, labels : name of a grouping and the (N,) labels of the new rows: coverage in each group.
        shares : with ``group``, the share of each of its labels among the rows that the promise is for: a stated shift, not coverage in
            each group.
        """
        a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
        unit = np.ones(1) if size is None else np.asarray(size, np.float64)
        if a.ndim == 1:
            q = self.bounds(len(a), level, group=group, labels=labels, shares=shares)
            return a - q * unit, b + q * unit
        self._needs_folds(a.shape, shares)
        unit = np.broadcast_to(unit[:, None] if unit.ndim == 1 and len(unit) == len(a) else unit, a.shape)
        out_low, out_high = np.empty(len(a)), np.empty(len(a))
        for rows, mine in self._parts(len(a), level, group, labels):
            scores, fold = self.scores[mine], self.fold[mine]  # type: ignore[index]
            out_high[rows] = _cv_plus(b[rows], unit[rows], scores, fold, level)
            out_low[rows] = -_cv_plus(-a[rows], unit[rows], scores, fold, level)
        return out_low, out_high

    def sets(
        self, probabilities: npt.ArrayLike, level: float, *, group: str | None = None, labels: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return which classes are in each row's set, (N, O); a row without any says that nothing fits.

        ``probabilities`` (N, O); or (N, K, O), the answers of the fold models in the order of their numbers: then CV+.
        """
        if self.kind != "lac":
            raise RequestError("sets are for classes", do="ask interval(point, level)")
        return self.sets_of(1 - np.asarray(probabilities, np.float64), level, group=group, labels=labels)

    def sets_of(
        self,
        scores: npt.ArrayLike,
        level: float,
        *,
        group: str | None = None,
        labels: npt.ArrayLike | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return which classes are in each row's set, (N, O), from the score that each class would have, (N, O) or (N, K, O)."""
        s = np.asarray(scores, np.float64)
        if s.ndim == 2:
            return np.asarray(s <= self.bounds(len(s), level, group=group, labels=labels, shares=shares)[:, None])
        self._needs_folds(s.shape, shares)
        out = np.empty((len(s), s.shape[-1]), bool)
        for rows, mine in self._parts(len(s), level, group, labels):
            below = np.zeros(out[rows].shape, np.int64)
            own, fold = self.scores[mine], self.fold[mine]  # type: ignore[index]
            for k in range(s.shape[1]):
                below += np.searchsorted(own[fold == k], s[rows, k], side="left")
            out[rows] = below < conformal_rank(len(own), level)
        return out

    def bounds(
        self,
        n: int,
        level: float,
        *,
        group: str | None = None,
        labels: npt.ArrayLike | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> FloatArray:
        """Return the bound of the score at ``level`` for n new rows, (n,), infinite where there are too few scores. See :meth:`band`."""
        if shares is not None and group is not None:
            own, new = self.shifted(group, labels, shares)
            return weighted_quantile(self.scores, own, new, level)
        out = np.empty(n)
        for rows, mine in self._parts(n, level, group, labels):
            out[rows] = quantile(self.scores[mine], level)
        return out

    def shifted(self, group: str, labels: npt.ArrayLike | None, shares: Mapping[str, float]) -> tuple[FloatArray, FloatArray]:
        """Return the weights of the scores (n,) and of the new rows (N,) where each label of a grouping has the stated share."""
        codes, known = self._grouping(group)
        unknown = sorted(set(shares) - set(known))
        if unknown or not all(np.isfinite(v) and v >= 0 for v in shares.values()) or not sum(shares.values()) > 0:
            raise RequestError(
                f"the stated shares of {group!r} cannot be used",
                expected=f"a share of 0 or more for each of {', '.join(known)}",
                got=f"levels without a held-out row: {', '.join(unknown)}" if unknown else repr(dict(shares)),
            )
        held = np.bincount(codes, minlength=len(known)) / max(len(codes), 1)
        ratio = np.array([shares.get(label, 0.0) for label in known]) / sum(shares.values()) / np.where(held > 0, held, 1.0)
        at = {label: i for i, label in enumerate(known)}
        text = np.asarray([] if labels is None else labels).astype(str)
        # a label that no held-out row has: nothing bounds it
        return ratio[codes], np.append(ratio, np.inf)[[at.get(t, len(known)) for t in text]]

    def _needs_folds(self, shape: tuple[int, ...], shares: Any) -> None:
        if self.fold is None:
            raise ArgumentError("answers of fold models need fold scores", expected="one answer for each row", got=f"shape {shape}")
        if shares is not None:
            raise RequestError(
                "a promise for a stated shift needs rows that were held out", got="a model of folds", do="fit on 2,000 rows or more"
            )

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

    def promised(self, level: float, *, by_folds: bool = False, why_not: str = "") -> float | None:
        """Return the least share of new rows that is promised at ``level``; None where nothing is, see :meth:`promise`."""
        if self.fold is None:
            return level
        return max(0.0, 2 * level - 1) if by_folds and not why_not else None

    def promise(self, level: float, *, by_folds: bool = False, why_not: str = "") -> str:
        """Return what is promised at ``level``, in words.

        Parameters
        ----------
        by_folds : the question was answered with the fold models (CV+). why_not : why even so nothing is proven; empty where it is.
        """
        k = conformal_rank(len(self), level)
        if k > len(self):
            least = least_rows(level)
            return f"{len(self)} held-out rows are too few for {percent(level, None)}: at least {least} are needed, so nothing is excluded"
        if self.fold is None:
            count, share = self.counts(len(self)), percent(level, None)
            if count == len(self):
                low, high = coverage_range(count, level)
                range_ = f"with {count} held-out rows, between {percent(low)} and {percent(high)} in 90 of 100 draws of them"
                return f"covers at least {share} of new rows on average; {range_}"
            rows = f"{len(self)} held-out rows, of groups that err alike, tell as much as {count} apart"
            if conformal_rank(count, level) > count:
                return f"covers about {share} of new rows on average; {rows}, too few to say how much less it may be"
            low, high = coverage_range(count, level)
            return f"covers about {share} of new rows on average; {rows}: between {percent(low)} and {percent(high)} in 90 of 100 draws"
        least_share = self.promised(level, by_folds=by_folds, why_not=why_not)
        if least_share is not None:
            usual = f"usually about {percent(level, None)} ({len(self)} rows, by fold models)"
            return f"covers at least {percent(least_share, None)} of new rows, {usual}"
        why = why_not or "scores come from fold models, answers from the model of all rows"
        return f"covers about {percent(level, None)} of new rows, without a promise: {why}"

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and arrays."""
        groups = {name: {"codes": codes, "labels": list(labels)} for name, (codes, labels) in self.groups.items()}
        return {"kind": self.kind, "scores": self.scores, "fold": self.fold, "groups": groups, "alike": self.alike}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Conformal:
        """Return the fit that :meth:`state` described (arrays or lists)."""
        try:
            groups = {
                str(k): (np.asarray(v["codes"], np.int64), tuple(map(str, v["labels"]))) for k, v in (state.get("groups") or {}).items()
            }
            fold = None if state.get("fold") is None else np.asarray(state["fold"], np.int64)
            return cls(str(state["kind"]), np.asarray(state["scores"], np.float64), fold, groups, float(state.get("alike", 1.0)))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved conformal scores cannot be read", got=f"{type(error).__name__}: {error}") from error


def _positive(spread: npt.ArrayLike | None, shape: tuple[int, ...]) -> FloatArray:
    s = np.asarray(np.nan if spread is None else spread, np.float64)
    if s.shape not in (shape, shape[:1]) or not (np.isfinite(s).all() and (s > 0).all()):
        raise ArgumentError(
            "spread cannot be used", expected=f"{shape[0]} positive numbers", got="none" if spread is None else f"shape {s.shape}"
        )
    return s


def _cv_plus(answers: FloatArray, size: FloatArray, scores: FloatArray, fold: IntArray, level: float) -> FloatArray:
    """Return, for each row, the k-th smallest of answer of fold(i) + score i * size of fold(i), (N,)."""
    k = conformal_rank(len(scores), level)
    if k > len(scores):
        return np.full(len(answers), np.inf)
    if fold.max() >= answers.shape[1]:
        raise ArgumentError("fold models are missing", expected=f"{int(fold.max()) + 1} answers for each row", got=str(answers.shape[1]))
    out, step = np.empty(len(answers)), max(1, BLOCK // len(scores))
    for start in range(0, len(answers), step):
        part = slice(start, start + step)
        values = answers[part][:, fold] + size[part][:, fold] * scores
        out[part] = np.partition(values, k - 1, axis=1)[:, k - 1]
    return out
