"""Sets of columns and windows of time compared: one kind of model, the same training and test rows, and each group's errors beside."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.audit.by_group import by_group
from pellucid.errors import ColumnError, RequestError, quote
from pellucid.estimators import TabularClassifier, TabularRegressor
from pellucid.evaluate.leaderboard import run as compare
from pellucid.evaluate.leaderboard import shared_rows
from pellucid.random import as_seed
from pellucid.results import FeatureSets, RunRecord

__all__ = ["ages_of", "run"]

ALL, UNDATED = "all columns", "undated columns"
MONTH = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_./]?(0[1-9]|1[0-2])(?:[-_./]?(?:0[1-9]|[12]\d|3[01]))?(?!\d)")
QUARTER = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_./]?[qQ]([1-4])(?!\d)")
YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
BEFORE = re.compile(r"(?:^|[_\W])(?:m|month|months)[-_ ]?(\d{1,3})$", re.IGNORECASE)
FEWEST = 2


def ages_of(names: Sequence[str]) -> dict[str, float]:
    """Return how many months before the latest one each dated column was seen, by what its name says.

    Dates are years, quarters, months or days (``egfr_2021``, ``egfr_2021Q2``, ``egfr_2021-03``, ``egfr_20210315``), or counts of months
    before the end (``egfr_m6``), not both in one table. A date is read only where two columns at least have one.

    Examples
    --------
    >>> ages_of(["age", "egfr_2021-03", "egfr_2020-12"])
    {'egfr_2021-03': 0.0, 'egfr_2020-12': 3.0}
    >>> ages_of(["egfr_m0", "egfr_m6", "sex"])
    {'egfr_m0': 0.0, 'egfr_m6': 6.0}
    """
    when: dict[str, float] = {}
    for name in names:
        if found := MONTH.search(name):
            when[name] = 12.0 * int(found[1]) + int(found[2]) - 1
        elif found := QUARTER.search(name):
            when[name] = 12.0 * int(found[1]) + 3 * int(found[2]) - 1
        elif found := YEAR.search(name):
            when[name] = 12.0 * int(found[1]) + 11
    if len(when) < FEWEST:
        counted = {n: float(found[1]) for n in names if (found := BEFORE.search(n))}
        first = min(counted.values(), default=0.0)
        return {n: v - first for n, v in counted.items()} if len(counted) >= FEWEST else {}
    latest = max(when.values())
    return {n: latest - v for n, v in when.items()}


def run(
    table: Any, sets: Mapping[str, Sequence[str] | str] | None = None, *, windows: Sequence[float] = (), model: Any = None,
    by: str | None = None, test: Any = None, target: str | None = None, n_boot: int = 1000, random_state: Any = 0,
) -> FeatureSets:  # fmt: skip
    """Fit and judge. See :func:`pellucid.evaluate.feature_sets`."""
    from sklearn.base import clone

    started, seed = time.perf_counter(), as_seed(random_state)
    ground = shared_rows(table, test, target, seed)
    features, goal = ground.train.features, str(ground.train.target)
    ages = ages_of(features)
    chosen = _sets(features, ages, sets, windows)
    kind = TabularRegressor if ground.task == "regression" else TabularClassifier
    asked = kind(random_state=seed, verbose=0) if model is None else kind(backbone=model, random_state=seed, verbose=0) if isinstance(
        model, str
    ) else model  # fmt: skip
    beside = [c.name for c in ground.train.schema if not c.is_usable and c.name != goal]
    fitted = {name: clone(asked).fit(ground.train.select([*columns, *beside, goal])) for name, columns in chosen.items()}
    board = compare(ground.train, list(fitted.items()), test=ground.test, n_boot=n_boot, random_state=seed, explain_rows=0)
    groups = {} if by is None else {name: by_group(made, ground.test, by=by, seed=seed) for name, made in fitted.items()}
    settings = {
        "sets": {n: list(c) for n, c in chosen.items()}, "windows": list(windows), "by": by, "test_rows": len(ground.test),
        "backbone": getattr(asked, "backbone", type(asked).__name__),
    }  # fmt: skip
    record = RunRecord("feature_sets", settings, seed, ground.train.fingerprint(), time.perf_counter() - started)
    return FeatureSets(board, chosen, ages, groups, board.words, record)


def _sets(
    features: Sequence[str], ages: Mapping[str, float], sets: Mapping[str, Sequence[str] | str] | None, windows: Sequence[float]
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """Return the columns of every set; all columns are the first, which the others are compared with."""
    out = {ALL: tuple(features)}
    for name, patterns in (sets or {}).items():
        several = [patterns] if isinstance(patterns, str) else list(patterns)
        found = [c for c in features if any(c == p or fnmatch.fnmatchcase(c, p) for p in several)]
        if not found:
            raise ColumnError(f"the set {name!r} has no column", expected=f"columns or patterns of {quote(features, 8)}", got=repr(several))
        out[str(name)] = tuple(found)
    if windows and not ages:
        raise RequestError(
            "no column is dated, so there are no windows", expected="names such as 'egfr_2021-03' or 'egfr_m6'", got=quote(features, 8),
            do="rename the columns, or name sets of columns",
        )  # fmt: skip
    undated = tuple(c for c in features if c not in ages)
    for months in sorted({float(w) for w in windows}, reverse=True):
        inside = tuple(c for c in features if ages.get(c, 0.0) < months)
        span = "month" if months == 1 else f"{months:g} months"
        if len(inside) == len(undated) or months <= 0:
            raise RequestError(f"no dated column lies within {months:g} months", expected=f"more than {min(ages.values()):g}")
        out[f"last {span}"] = inside
    if windows and undated:
        out[UNDATED] = undated
    if len(out) < FEWEST:
        raise RequestError("there is nothing to compare", expected="sets= or windows=")
    return out
