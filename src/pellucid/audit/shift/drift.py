"""Columns one by one: are the new cells distributed as the old ones were, and if not, how far from it?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pellucid.audit.shift.pair import Pair
from pellucid.audit.view import ALPHA, FloatArray, IntArray, amount
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.results.text import percent

__all__ = ["LIMIT", "benjamini_hochberg", "find", "measure", "psi", "total_variation", "wasserstein"]

LIMIT = 0.1
DRAWS = 200
SHUFFLED = 1000
BINS = 10


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Return q-values (C,): the smallest rate of false discoveries at which each is one. doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]
    """
    order = np.argsort(p)
    q = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    out = np.empty(len(p))
    out[order] = np.minimum(q, 1.0)
    return out


def wasserstein(a: FloatArray, b: FloatArray) -> float:
    """Return the mean distance that mass must be moved from one sample to the other, in the column's unit."""
    every = np.sort(np.concatenate([a, b]))
    at = every[:-1]
    gap = np.abs(np.searchsorted(np.sort(a), at, "right") / len(a) - np.searchsorted(np.sort(b), at, "right") / len(b))
    return float((gap * np.diff(every)).sum())


def total_variation(count_a: IntArray | FloatArray, count_b: IntArray | FloatArray) -> float:
    """Return the share of rows that must change their level: half the sum of absolute differences of shares."""
    return float(0.5 * np.abs(count_a / max(count_a.sum(), 1) - count_b / max(count_b.sum(), 1)).sum())


def psi(count_a: IntArray, count_b: IntArray) -> float:
    """Return the population stability index of two rows of counts, half a row added to each bin so that no bin is empty."""
    p, q = (count_a + 0.5) / (count_a + 0.5).sum(), (count_b + 0.5) / (count_b + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())


def measure(pair: Pair) -> pd.DataFrame:
    """Return the drift table of :class:`~pellucid.results.Shift`. Cost: sorts, and 200 draws or shuffles per column."""
    if "drift" not in pair.kept:
        lines = [_numbers(pair, n) if pair.is_number(n) else _levels(pair, n) for n in pair.names]
        frame = pd.DataFrame(lines)
        frame["q"] = benjamini_hochberg(frame["p"].fillna(1.0).to_numpy(float))
        frame["changed"] = (frame["effect"] > LIMIT) & (frame["effect"] > frame["by_chance"]) & (frame["q"] < ALPHA)
        pair.kept["drift"] = frame
    made: pd.DataFrame = pair.kept["drift"]
    return made


def _line(pair: Pair, name: str, test: str, statistic: float, p: float, effect: float, unit: str, by_chance: float, **more: float) -> dict:
    gaps = float(pair.old.missing(name).mean()), float(pair.new.missing(name).mean())
    line = {"column": name, "type": str(pair.old.kind(name)), "test": test, "statistic": statistic, "p": p, "effect": effect}
    return line | {"effect_unit": unit, "by_chance": by_chance, **more, "missing_old": gaps[0], "missing_new": gaps[1]}


def _numbers(pair: Pair, name: str) -> dict:
    from scipy.stats import ks_2samp

    a, b = (x[np.isfinite(x)] for x in pair.numbers(name))
    sd = float(a.std()) if len(a) else 0.0
    if len(a) < 10 or len(b) < 10:
        return _line(pair, name, "too few cells", np.nan, 1.0, 0.0, "sd", 0.0, psi=np.nan, psi_by_chance=np.nan)
    scale = sd or float(b.std()) or 1.0
    found = ks_2samp(a, b, method="asymp")
    edges = np.unique(np.quantile(a, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, x, "right"), minlength=len(edges) + 1) for x in (a, b)]
    null = _shuffled(np.concatenate([a, b]), len(a), len(b), stream(pair.seed, "drift", name)) / scale
    return _line(
        pair, name, "Kolmogorov-Smirnov", float(found.statistic), float(found.pvalue), wasserstein(a, b) / scale, "sd", null,
        psi=psi(*counts), psi_by_chance=len(edges) * (1 / len(a) + 1 / len(b)),
    )  # fmt: skip


def _shuffled(every: FloatArray, n: int, m: int, draw: np.random.Generator) -> float:
    """Return the 95 % quantile of the distance between parts of one sample, at sizes n and m: it falls with their root."""
    most = min(n, m, SHUFFLED)
    some = draw.permuted(np.tile(draw.choice(every, 2 * most, replace=len(every) < 2 * most), (50, 1)), axis=1)
    one, two = np.sort(some[:, :most], 1), np.sort(some[:, most:], 1)
    distance = np.abs(one - two).mean(1)  # of samples of one size it is the mean distance of their ranked values
    return float(np.quantile(distance, 0.95) * np.sqrt((1 / n + 1 / m) / (2 / most)))


def _levels(pair: Pair, name: str) -> dict:
    from scipy.stats import chi2_contingency

    one, two, texts, _ = pair.levels(name)
    size = max(len(texts), 1)
    a, b = (np.bincount(c[c >= 0], minlength=size) for c in (one, two))
    if a.sum() < 10 or b.sum() < 10:
        return _line(pair, name, "too few cells", np.nan, 1.0, 0.0, "share", 0.0, psi=np.nan, psi_by_chance=np.nan)
    # levels too rare for the test are one level to it; the effect is of all of them
    expected = (a + b) * min(a.sum(), b.sum()) / (a + b).sum()
    common = expected >= 5
    merged = [np.append(x[common], x[~common].sum()) for x in (a, b)]
    table = np.array([m for m in np.array(merged).T if m.sum() > 0]).T
    statistic, p = (0.0, 1.0) if table.shape[1] < 2 else chi2_contingency(table, correction=False)[:2]
    dealt = stream(pair.seed, "drift", name).multivariate_hypergeometric(a + b, int(a.sum()), size=DRAWS)
    rest = (a + b) - dealt
    null = 0.5 * np.abs(dealt / a.sum() - rest / b.sum()).sum(1)
    return _line(
        pair, name, "chi-square", float(statistic), float(p), total_variation(a, b), "share", float(np.quantile(null, 0.95)),
        psi=psi(a, b), psi_by_chance=(size - 1) * (1 / a.sum() + 1 / b.sum()),
    )  # fmt: skip


def find(pair: Pair) -> list[Finding]:
    """Return a finding for each column that has changed."""
    frame = measure(pair)
    return [f for line in frame[frame["changed"]].to_dict("records") for f in _changed(pair, line)]


def _changed(pair: Pair, line: dict) -> Iterator[Finding]:
    name, unit = line["column"], pair.old.table.schema[line["column"]].unit
    if line["effect_unit"] == "sd":
        a, b = pair.numbers(name)
        moved = f"the median went from {amount(float(np.nanmedian(a)), unit)} to {amount(float(np.nanmedian(b)), unit)}"
        size = f"moved by {line['effect']:.2g} standard deviations"
    else:
        one, two, texts, _ = pair.levels(name)
        shares = [np.bincount(c[c >= 0], minlength=len(texts)) / max((c >= 0).sum(), 1) for c in (one, two)]
        most = int(np.abs(shares[1] - shares[0]).argmax())
        moved = f"'{texts[most]}' went from {percent(shares[0][most])} to {percent(shares[1][most])}"
        size = f"{percent(line['effect'])} of the rows have another level"
    words = f"'{name}' has changed: {size} (by chance up to {line['by_chance']:.2g}), {moved}"
    remedy = f"ask what happened to '{name}'; look at the model's errors on new rows, or learn with weights (pld.reweigh)"
    severity = "high" if line["effect"] > 5 * LIMIT else "medium"
    yield pair.new.finding(
        "shift: column", severity, (name,), words, remedy, figures={k: line[k] for k in ("effect", "by_chance", "q", "psi")}
    )
