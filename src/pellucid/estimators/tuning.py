"""``tune=``: fit, score on the stop rows, change the settings, and keep the best fit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.estimators.network import NetworkEngine
from pellucid.estimators.network_fit import fit_engine
from pellucid.estimators.prepare import Training
from pellucid.random import integer
from pellucid.table import Plan
from pellucid.training.metrics import metric
from pellucid.training.search import GENERAL, Found, search

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["OPTIONS", "read", "tuned", "written"]

OPTIONS = ("trials", "seconds", "space")
"""What ``tune={...}`` may hold."""

FIRST = 3  # a trial gets at most this part of the time left, so that the recipe's own fit leaves time for others


def tuned(
    estimator: TabularEstimator, name: str, backbone: Any, training: Training, plan: Plan, seed: int, resume: Any,
    deadline: float | None = None,
) -> NetworkEngine:  # fmt: skip
    """Return the engine of the best settings found; its record holds all trials as ``tuning``.

    Settings are compared on the stop rows alone; the rows that certainty is fitted on stay unseen where the plan holds certify rows.
    ``deadline`` (``time.monotonic()``): when the search is done, and by a share of what is left before it each of its trials, encoding
    included. The pace of the trials tells whether another one is begun.
    """
    if resume is not None:
        raise RequestError("a search cannot be resumed", do="fit without resume, or without tune")
    given = dict(estimator.tune) if isinstance(estimator.tune, Mapping) else {}
    limits = [v for v in (given.get("seconds"), None if deadline is None else deadline - time.monotonic()) if v is not None]
    best: list[tuple[float, NetworkEngine]] = []

    def fit(changes: Mapping[str, Any], left: float) -> float:
        mine = None if np.isinf(left) else max(left, 0.0) / FIRST
        clock = {} if mine is None else {"time_limit": mine}
        ends = None if mine is None else time.monotonic() + mine
        engine = fit_engine(estimator, name, backbone, training, plan, seed, None, {**changes, **clock}, ends)
        score = _score(estimator, engine)
        if not best or score < best[0][0]:
            best[:] = [(score, engine)]
        return score

    found = search(
        fit, space(estimator, backbone, given.get("space")), trials=int(given.get("trials", 20)),
        seconds=min(limits) if limits else None, seed=integer(seed, "search"),
    )  # fmt: skip
    engine = best[0][1]
    engine.record = engine.record | {"tuning": _told(estimator, engine, found)}
    return engine


def space(estimator: TabularEstimator, backbone: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is searched: the user's space, or the backbone's; what the user has set is left as it is."""
    own = backbone.space if isinstance(backbone, registry.Entry) else {}
    wanted = dict(given if given is not None else own or GENERAL)
    fixed = {n for n in ("members", "dropout", "number", "category") if getattr(estimator, n) != "auto"}
    fixed |= {f"options.{n}" for n in estimator.backbone_options or {}}
    return {k: _spec(v) for k, v in wanted.items() if k not in fixed}


def written(tune: Any) -> Any:
    """Return ``tune=`` as JSON can hold it: a range is a tuple and choices are a list, so tuples are marked."""
    if isinstance(tune, Mapping):
        return {k: written(v) for k, v in tune.items()}
    if isinstance(tune, tuple):
        return {"tuple": [written(v) for v in tune]}
    return [written(v) for v in tune] if isinstance(tune, list) else tune


def read(tune: Any) -> Any:
    """Undo :func:`written`.

    Examples
    --------
    >>> read(written({"trials": 5, "space": {"blocks": (1, 4), "width": [32, 64]}}))
    {'trials': 5, 'space': {'blocks': (1, 4), 'width': [32, 64]}}
    """
    if isinstance(tune, Mapping):
        return tuple(map(read, tune["tuple"])) if set(tune) == {"tuple"} else {k: read(v) for k, v in tune.items()}
    return [read(v) for v in tune] if isinstance(tune, list) else tune


def _spec(value: Any) -> Any:
    """Return a range as the search reads it; models saved before tuples were marked have lists."""
    ranged = isinstance(value, list) and len(value) == 3 and value[2] == "log"
    return tuple(value) if ranged else value


def _score(estimator: TabularEstimator, engine: NetworkEngine) -> float:
    """Return the mean score on the stop rows, lower is better."""
    shown = engine.record["stop_score"]
    if not shown:
        raise RequestError("there are no stop rows on which settings could be compared", do="pass eval_set, or more rows")
    by = metric(estimator.metric or engine.objective.metric(), engine.objective.task, engine.objective.n_answers)
    return by.sign * float(np.mean(shown))


def _told(estimator: TabularEstimator, engine: NetworkEngine, found: Found) -> dict[str, Any]:
    by = metric(estimator.metric or engine.objective.metric(), engine.objective.task, engine.objective.n_answers)
    shown = [{**t, "score": None if t["score"] is None else by.shown(t["score"])} for t in found.trials]
    return {
        "best": found.best, "metric": by.name, "score": by.shown(found.score), "trials": shown, "ended": found.ended,
        "seconds": found.seconds,
    }  # fmt: skip
