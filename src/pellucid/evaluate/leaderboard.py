"""Models compared on the same rows: fit each, score each on the same test rows, and say plainly what the difference is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, EmptyTableError, MissingExtraError, PellucidError, RequestError, TargetError, quote
from pellucid.evaluate.readability import BACKGROUND, measured_size, model_size
from pellucid.evaluate.scores import LOWER_IS_BETTER, Scores, main_metric, score
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.results import Leaderboard, RunRecord
from pellucid.results.text import METRICS, number
from pellucid.table import ColumnType, Table, held_share, make_plan, read_table
from pellucid.table.cells import level_text
from pellucid.training.calibration_metrics import ece, top_events

__all__ = ["run", "shared_rows", "task_of"]

LEAST_TEST = 20
SIMPLE = ("linear", "tree")
"""Models a person can read; where one of them is as good, the comparison says so first."""


def task_of(table: Table) -> str:
    """Return ``"regression"`` for a number target, else ``"classification"``."""
    if table.target is None:
        raise TargetError("the table has no target", do="pass target=, or set it with table.with_roles(target=...)")
    column = table.schema[table.target]
    numeric = column.type is ColumnType.IDENTIFIER and table.frame[column.name].dtype.kind in "iuf"
    return "regression" if column.type is ColumnType.NUMBER or numeric else "classification"


@dataclass(frozen=True)
class _Entrant:
    """One model: its name, the estimator, and whether it was fitted before."""

    name: str
    model: Any
    fitted: bool


def _entrant(model: Any, task: str, seed: int, time_limit: float | None) -> _Entrant:
    from pellucid.estimators import TabularClassifier, TabularRegressor

    name, given = model if isinstance(model, tuple) and len(model) == 2 else (None, model)
    if isinstance(given, str):
        kind = TabularRegressor if task == "regression" else TabularClassifier
        made = kind(backbone=given, random_state=seed, time_limit=time_limit, verbose=0)
        return _Entrant(name or given, made, False)
    if not hasattr(given, "fit") and not hasattr(given, "predict"):
        raise ArgumentError(
            "this cannot be compared", expected="a backbone name, an estimator or a (name, estimator) pair", got=type(given).__name__
        )
    return _Entrant(str(name or getattr(given, "backbone", None) or type(given).__name__), given, _is_fitted(given))


def _is_fitted(model: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        return False
    return True


@dataclass(frozen=True)
class _Ground:
    """The rows all models share."""

    train: Table
    test: Table
    task: str
    classes: tuple[Any, ...]

    @property
    def truth(self) -> npt.NDArray[Any]:
        """The test rows' class numbers or numbers, (N,)."""
        assert self.test.target is not None  # checked when made
        if self.task == "regression":
            return self.test.numbers(self.test.target)
        return _codes(self.test, self.classes)

    def native(self, table: Table) -> Any:
        """Return the inputs as a frame of the caller's library, for models from elsewhere."""
        return table.select(table.features).native()


def _codes(table: Table, classes: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Return class numbers by canonical text; -1 where missing."""
    assert table.target is not None
    at = {str(c): k for k, c in enumerate(classes)}
    codes, levels = table.levels(table.target)
    return np.array([*(at.get(text, -1) for text in levels), -1], np.int64)[codes]


def shared_rows(table: Any, test: Any, target: str | None, seed: int) -> _Ground:
    """Return the training and test rows that all models share; a fifth of the table where no test rows are given."""
    train = read_table(table, target=target) if not isinstance(table, Table) else table.with_roles(target=target) if target else table
    task = task_of(train)
    goal = train.target
    assert goal is not None  # task_of has looked
    if test is None:
        values = train.numbers(goal) if task == "regression" else train.levels(goal)[0]
        plan = make_plan(
            train, values, task=task, seed=integer(seed, "test rows"), stop_given=True, certify_share=held_share(len(train)),
            certify_min=1, fold_below=0,
        )  # fmt: skip
        train, held = train.take(plan.train), train.take(plan.certify)
    else:
        held = test if isinstance(test, Table) else read_table(test, schema=train.schema)
        held = held if held.target else held.with_roles(target=goal)
    held = held.take(~held.missing(goal))
    if len(held) < LEAST_TEST:
        raise EmptyTableError(
            "there are too few test rows to compare models",
            expected=f"at least {LEAST_TEST} with a target",
            got=str(len(held)),
            do="add rows to the table, or give test rows apart",
        )
    texts = sorted({*train.levels(goal)[1], *held.levels(goal)[1]}) if task == "classification" else []
    return _Ground(train, held, task, tuple(texts))


def _fit(entrant: _Entrant, ground: _Ground) -> tuple[Any, float]:
    """Return (fitted model, seconds)."""
    if entrant.fitted:
        return entrant.model, float(getattr(entrant.model, "record_", {}).get("seconds", np.nan))
    from sklearn.base import clone

    model, started = clone(entrant.model), time.perf_counter()
    if hasattr(model, "predictor"):
        model.fit(ground.train)
    else:
        assert ground.train.target is not None
        goal = ground.train.numbers(ground.train.target) if ground.task == "regression" else ground.train.texts(ground.train.target)
        model.fit(ground.native(ground.train), goal)
    return model, time.perf_counter() - started


def _answers(model: Any, ground: _Ground) -> tuple[FloatArray, float]:
    """Return (probabilities (N, O) in the order of the ground's classes or numbers (N,), seconds)."""
    rows: Any = ground.test if hasattr(model, "predictor") else ground.native(ground.test)
    started = time.perf_counter()
    if ground.task == "regression":
        return np.asarray(model.predict(rows), np.float64).reshape(-1), time.perf_counter() - started
    if not hasattr(model, "predict_proba"):
        raise RequestError(
            f"{type(model).__name__} gives no probabilities", expected="predict_proba", do="calibrate it first, or leave it out"
        )
    texts = [level_text(c) for c in model.classes_]
    if strange := sorted({*texts} - {*ground.classes}):
        raise RequestError(f"{type(model).__name__} knows classes of which there is no row", got=quote(strange), do="leave it out")
    given = np.asarray(model.predict_proba(rows), np.float64)
    seconds = time.perf_counter() - started
    out = np.zeros((len(given), len(ground.classes)))
    out[:, [ground.classes.index(text) for text in texts]] = given
    return out, seconds


def run(
    table: Any, models: Sequence[Any], *, test: Any = None, target: str | None = None, n_boot: int = 1000, random_state: Any = 0,
    time_limit: float | None = None, explain_rows: int = 24,
) -> Leaderboard:  # fmt: skip
    """Compare models. See :func:`pellucid.evaluate.compare`."""
    started, seed = time.perf_counter(), as_seed(random_state)
    if not models or isinstance(models, str):
        raise RequestError("there is nothing to compare", expected="a list such as ['auto', 'linear', 'hist_gb']", got=repr(models))
    ground = shared_rows(table, test, target, seed)
    entrants = [_entrant(m, ground.task, seed, time_limit) for m in models]
    if test is None and any(e.fitted for e in entrants):
        raise RequestError(
            "a model that is fitted already may have seen any row of the table", do="pass test=, rows that no model has learned from"
        )
    if len({e.name for e in entrants}) < len(entrants):
        raise RequestError("two models have one name", got=repr([e.name for e in entrants]), do="pass (name, model) pairs")
    metric = main_metric(ground.task, len(ground.classes))
    scores: dict[str, Scores] = {}
    facts: dict[str, dict[str, float]] = {}
    caveats = []
    for k, entrant in enumerate(entrants):
        try:
            model, fit_seconds = _fit(entrant, ground)
            answers, predict_seconds = _answers(model, ground)
        except (PellucidError, MissingExtraError) as error:
            if k == 0:
                raise  # without the reference there is nothing to compare with
            caveats.append(f"{entrant.name} is not in the comparison: {error}")
            continue
        scores[entrant.name] = score(ground.task, ground.truth, answers, n_boot=n_boot, seed=seed)
        facts[entrant.name] = {"fit_seconds": fit_seconds, "predict_seconds": predict_seconds, **_size(model, ground, explain_rows, seed)}
        if ground.task == "classification":
            facts[entrant.name]["calibration_error"] = ece(*top_events(answers, ground.truth))
    rows = _rows(scores, facts, metric, entrants[0].name)
    settings = {
        "models": [e.name for e in entrants],
        "n_boot": n_boot,
        "explain_rows": explain_rows,
        "train_rows": len(ground.train),
        "test_rows": len(ground.test),
        "time_limit": time_limit,
    }
    record = RunRecord("compare", settings, seed, ground.train.fingerprint(), time.perf_counter() - started, caveats=tuple(caveats))
    unit = ground.test.schema[str(ground.test.target)].unit
    said = words(rows, metric, entrants[0].name, len(ground.test), unit)
    return Leaderboard(tuple(rows), metric, entrants[0].name, said, record)


def _size(model: Any, ground: _Ground, n: int, seed: int) -> dict[str, float]:
    """Return how large the model is, and how much there is to read where n rows are explained."""
    if n < 1:
        return {"size": model_size(model)}
    draw = stream(seed, "explained rows")
    rows = ground.test.take(np.sort(draw.permutation(len(ground.test))[:n]))
    kept = ground.train.take(np.sort(draw.permutation(len(ground.train))[:BACKGROUND]))
    asked, background = (rows, None) if hasattr(model, "predictor") else (ground.native(rows), ground.native(kept))
    return {"size": model_size(model), "explanation_size": measured_size(model, asked, background, integer(seed, "explained"))}


def _rows(scores: Mapping[str, Scores], facts: Mapping[str, Mapping[str, float]], metric: str, reference: str) -> list[dict[str, Any]]:
    out = []
    for name, mine in scores.items():
        own, gain = mine.figure(metric), mine.gain(scores[reference], metric)
        row = {"model": name, "score": own.value, "low": own.low, "high": own.high}
        row |= {"difference": gain.value, "difference_low": gain.low, "difference_high": gain.high}
        out.append(row | dict(facts[name]) | {k: v for k, v in mine.point.items() if k != metric})
    return out


def words(rows: Sequence[Mapping[str, Any]], metric: str, reference: str, n: int, unit: str = "") -> str:
    """Return what the comparison says: the reference's score, then per model better, worse or as good; simple models first.

    unit : of the target, where it is a number; scores in it are told with it.
    """
    first = next(r for r in rows if r["model"] == reference)
    unit = unit if metric in ("rmse", "mae") else ""
    half = (first["high"] - first["low"]) / 2
    ends = [f"{number(first['low'], half)} to {number(first['high'], half)}"] * bool(np.isfinite(half))
    ends += ["smaller is better"] * (metric in LOWER_IS_BETTER)
    lead = f"{reference}: {METRICS.get(metric, metric)} {number(first['score'], half, unit)}" + (f" ({', '.join(ends)})" if ends else "")
    text = [f"{lead} on {n:,} test rows."]
    others = sorted((r for r in rows if r["model"] != reference), key=lambda r: (r["model"] not in SIMPLE, -r["difference"]))
    for r in others:
        low, high = r["difference_low"], r["difference_high"]
        simple, step = r["model"] in SIMPLE, (high - low) / 2
        by, least, most = (number(abs(v), step, u) for v, u in ((r["difference"], unit), (low, ""), (high, "")))
        if low > 0:
            end = ": the simple model wins, use it." if simple else "."
            text.append(f"{r['model']} is better by {by} ({least} to {most}){end}")
        elif high < 0:
            text.append(f"{r['model']} is worse by {by} ({most} to {least}).")
        else:
            end = f": {reference} is not shown to be worth more than the simple model." if simple else "."
            text.append(f"{r['model']} is as good as far as these rows can tell (from {least} worse to {most} better){end}")
    return " ".join(text)
