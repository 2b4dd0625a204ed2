"""Does the promise hold, and for whom? Coverage of labelled rows, over all and in groups, beside what chance alone would give.

Letters: N labelled rows, n held-out rows behind the promise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.intervals import wilson
from pellucid.results import Coverage, RunRecord
from pellucid.results.text import percent
from pellucid.training.conformal import Conformal, beta_binomial_cdf
from pellucid.uncertainty.answer import ask
from pellucid.uncertainty.conformal import ground
from pellucid.uncertainty.scores import choose, conformals_of
from pellucid.uncertainty.truth import group_labels, held_truth, known_truth

__all__ = ["ALL", "FEWEST", "expected_range", "measure"]

ALL = "all rows"
FEWEST = 30
"""Rows below which a group's coverage is not judged."""


def measure(
    model: Any, X: Any, y: Any = None, *, levels: Sequence[float] = (0.8, 0.9, 0.95), groups: str | None = None, by_group: bool = True,
    score: str = "auto",
) -> Coverage:  # fmt: skip
    """Return the coverage of labelled rows.

    Parameters
    ----------
    model : a fitted estimator. X, y : N rows that it did not learn from, with their true answers (or a target column in X).
    levels : promises to ask for. groups : a category column; every group then gets its line.
    by_group : whether the promise itself is asked in each group (Mondrian) or over all rows. score : as in ``uncertainty``.

    Returns
    -------
    Coverage. What counts is the promise that the model itself states (``Prediction.guarantee``). It is broken where the share lies below 95
    of 100 shares that the law of the coverage gives for so many held-out and so many labelled rows (Beta-binomial; Vovk 2012,
    arXiv:1209.2673); for models of folds, below what CV+ promises, 1 - 2 (1 - level), by its Wilson interval. A promise that is not broken
    though its Wilson interval lies below the level is told as short of it. Groups of fewer than 30 rows: cannot tell.

    Notes
    -----
    Cost: one pass of the model per level.

    Examples
    --------
    >>> import numpy as np, pellucid
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2600, 2))
    >>> y = X[:, 0] + rng.normal(size=2600)
    >>> model = pellucid.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X[:2200], y[:2200])
    >>> pellucid.uncertainty.coverage(model, X[2200:], y[2200:]).table["verdict"].tolist()
    ['kept', 'kept', 'kept']
    """
    started = time.perf_counter()
    truth, known = known_truth(model, X, y)
    labels = group_labels(model, X, groups)
    asked_in = groups if by_group else None
    task, promises = model.predictor().task, model.promises()
    chosen = choose(score, task, model.certainty_, promises)
    fit = conformals_of(model.certainty_, promises, chosen)[0] if model.certainty_.conformals else None
    rows: list[dict[str, Any]] = []
    for level in levels:
        answer = ask(model, X, level=level, groups=asked_in, score=chosen, familiarity=None)
        inside, size = held_truth(answer, truth)
        for name in [ALL, *([] if labels is None else dict.fromkeys(sorted(labels[known])))]:
            mine = known if name == ALL or labels is None else known & (labels == name)
            held = _held_out(fit, level, asked_in, name)
            stated = None if fit is None else fit.promised(level, **ground(model.certainty_, fit))
            rows.append({"level": level, "group": name} | _line(inside[mine], size[mine], level, held, fit, stated))
    table = pd.DataFrame(rows)
    unit = "labels" if task == "classification" else str(model.target_.unit)
    settings = {"levels": list(levels), "groups": groups, "by_group": by_group, "score": chosen}
    caveats = tuple(_caveats(labels, by_group))
    record = RunRecord("coverage", settings, None, "", time.perf_counter() - started, len(levels) * len(truth), caveats)
    return Coverage(
        table, groups or "", bool(groups and by_group), chosen, unit, _words(table, labels is not None and not by_group), record
    )


def _held_out(fit: Conformal | None, level: float, group: str | None, name: str) -> int:
    """Return how many held-out rows bound the rows of a group, as many as they count for; 0 where that is not one number."""
    if fit is None:
        return 0
    if group is None:
        return fit.counts(len(fit))
    codes, known = fit.groups[group]
    if name == ALL:
        return 0  # a mixture of promises, each with rows of its own
    own = name in known and name not in fit.fallback(level, group)
    return fit.counts(int((codes == known.index(name)).sum()) if own else len(fit))


def expected_range(n_held: int, level: float, n: int, within: float = 0.95) -> tuple[float, float]:
    """Return between which shares of n rows the coverage lies in 95 of 100 draws of held-out and of labelled rows, if the promise is kept.

    Examples
    --------
    >>> [round(v, 3) for v in expected_range(1000, 0.9, 500)]
    [0.866, 0.93]
    """
    cdf = beta_binomial_cdf(n_held, level, n)
    tail = (1 - within) / 2
    low, high = int(np.searchsorted(cdf, tail)), int(np.searchsorted(cdf, 1 - tail))
    return low / n, min(high, n) / n


def _line(
    inside: npt.NDArray[np.bool_], size: npt.NDArray[np.float64], level: float, held: int, fit: Conformal | None, stated: float | None
) -> dict[str, Any]:
    n, hits = len(inside), int(inside.sum())
    low, high = (float(v) for v in wilson(hits, n)) if n else (np.nan, np.nan)
    folds = fit is None or fit.fold is not None
    expected = expected_range(held, level, n) if held and n and not folds else (np.nan, np.nan)
    share = hits / n if n else np.nan
    known = np.isfinite(expected[0])
    floor = max(0.0, 2 * level - 1) if folds else level
    if n < FEWEST:
        verdict = "cannot tell"
    elif share < expected[0] if known else high < floor:
        verdict = "broken"
    elif share > expected[1] if known else low > level:
        verdict = "more than promised"
    else:
        verdict = "short" if high < level else "kept"
    finite = size[np.isfinite(size)]
    return {
        "n": n, "covered": hits, "share": share, "promised": np.nan if stated is None else stated, "low": low, "high": high,
        "expected_low": expected[0], "expected_high": expected[1], "held_out": held or (len(fit) if fit is not None else 0),
        "size": float(finite.mean()) if len(finite) else np.inf, "verdict": verdict,
    }  # fmt: skip


def _caveats(labels: Any, by_group: bool) -> list[str]:
    words = ["the verdicts hold one by one: of twenty promises that are kept, one looks broken or more than kept by chance"]
    if labels is not None and not by_group:
        words.append("the promise was made over all rows: a group may lie below it without any fault")
    return words


def _words(table: pd.DataFrame, over_all: bool) -> str:
    judged = table[table["verdict"] != "cannot tell"]
    few = [f"{g} ({n})" for g, n in table.loc[table["verdict"] == "cannot tell", ["group", "n"]].drop_duplicates().itertuples(index=False)]
    rest = f" Not judged, having fewer than {FEWEST} rows: {', '.join(few[:8])}" if few else ""
    rest += (f" and {len(few) - 8} more." if len(few) > 8 else ".") if few else ""
    mine = judged[judged["group"] == ALL] if over_all else judged  # what was promised over all rows was promised to no group
    if not len(judged):
        return f"Nothing can be judged.{rest}"
    stated = bool(mine["promised"].notna().all())
    name = "promises" if stated else "statements"
    given = "" if stated else " Nothing is promised of these answers (``guarantee`` says why): the levels are only stated."
    bad, one = mine[mine["verdict"] == "broken"], len(mine) == 1
    if len(bad):
        found = f"The {name[:-1]} is broken" if one else f"{len(bad)} of {len(mine)} {name} are broken"
        found += f"{':' if one else '; worst:'} {_told(_worst(bad))}."
    elif len(mine):
        kept = f"The {name[:-1]} is kept" if one else f"All {len(mine)} {name} that can be judged are kept"
        found = f"{kept}{_short(mine)}."
    else:
        found = "The promise itself cannot be judged."
    return f"{found}{given}{_of_groups(judged[judged['group'] != ALL]) if over_all else ''}{rest}"


def _of_groups(lines: pd.DataFrame) -> str:
    """Return how groups fare under a promise that was made over all rows."""
    if not len(lines):
        return ""
    below = lines[lines["verdict"] == "broken"]
    if not len(below):
        return (
            f" None of {len(lines)} lines of groups lies below the level by more than chance, though it was promised over all rows alone."
        )
    found = f"{len(below)} of {len(lines)} lines of groups lie below the level by more than chance; worst: {_told(_worst(below))}"
    return f" The promise was made over all rows together, not in each group: {found}."


def _worst(lines: pd.DataFrame) -> pd.Series:
    return lines.assign(gap=lines["level"] - lines["share"]).sort_values("gap", ascending=False).iloc[0]


def _told(line: pd.Series) -> str:
    share, ends = percent(line["share"]), f"{percent(line['low'])} to {percent(line['high'])}"
    return f"{line['group']} at {percent(line['level'], None)}, held for {share} of {int(line['n']):,} rows ({ends})"


def _short(judged: pd.DataFrame) -> str:
    """Return which lines are short of their level though nothing is broken, the shortest one told."""
    short = judged[judged["verdict"] == "short"]
    if not len(short):
        return ""
    worst = _worst(short)
    least = f"at least {percent(worst['promised'], None)} promised" if worst["promised"] < worst["level"] else "as so few rows leave open"
    many = "it is" if len(judged) == 1 else "one is" if len(short) == 1 else f"{len(short)} are"
    return f", yet {many} short of the level ({_told(worst)}; {least if worst['promised'] > 0 else 'no least share promised'})"
