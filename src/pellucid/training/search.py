"""Search over settings: over a function that fits and scores, whatever it fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, MissingExtraError, PellucidError, RequestError
from pellucid.training.recipe import TrainSettings

__all__ = ["GENERAL", "Found", "changed", "check_space", "search"]

Changes = Mapping[str, Any]
Fit = Callable[[Changes, float], float]

GENERAL: Mapping[str, Any] = {"lr": (3e-4, 1e-2, "log"), "weight_decay": (1e-5, 1e-1, "log"), "d_token": [8, 16, 24, 32]}
"""What is searched for a backbone that states no space of its own."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    best : the changes of the best trial; empty where nothing beat the recipe.
    score : its score, lower is better.
    trials : per trial ``changes``, ``score`` (None where it failed), ``seconds``, and ``failed``, the reason, where it did.
    ended : why the search ended. seconds : wall time.
    """

    best: dict[str, Any]
    score: float
    trials: list[dict[str, Any]]
    ended: str
    seconds: float


def search(fit: Fit, space: Mapping[str, Any], *, trials: int = 20, seconds: float | None = None, seed: int = 0) -> Found:
    """Return the best of ``trials`` settings.

    The first trial is the recipe, unchanged; the others are drawn by a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kegl
    2011, NIPS), the first third of them at random. The same seed draws the same settings as long as the clock does not end the search.

    Parameters
    ----------
    fit : ``(changes, seconds left) -> score``, lower is better. An error that Pellucid raises on purpose ends its trial, not the search.
    space : setting -> (low, high), (low, high, "log"), or a list of choices; two whole numbers stand for all between them.
    trials : number of fits, the recipe's counted in.
    seconds : no trial is begun that would, at the pace so far, end later.
    seed : of the draws.

    Raises
    ------
    MissingExtraError : optuna is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("optuna", "tune", "tune=") from error
    check_space(space)
    started = time.monotonic()
    sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=max(1, trials // 3))
    was = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=sampler)
        kept: list[dict[str, Any]] = []
        left = lambda: np.inf if seconds is None else started + seconds - time.monotonic()  # noqa: E731
        ended = "all trials done"
        for i in range(trials):
            if i and left() < np.mean([k["seconds"] for k in kept]):
                ended = "time limit"
                break
            trial = study.ask() if i else None
            changes = {} if trial is None else {name: _drawn(trial, name, spec) for name, spec in space.items()}
            kept.append(_tried(fit, changes, left()))
            if trial is not None:
                score = kept[-1]["score"]
                study.tell(trial, score, state=None if score is not None else optuna.trial.TrialState.FAIL)
    finally:
        optuna.logging.set_verbosity(was)
    done = [k for k in kept if k["score"] is not None]
    if not done:
        raise RequestError("no trial of the search could be fitted", got=kept[0]["failed"])
    best = min(done, key=lambda k: k["score"])
    return Found(dict(best["changes"]), float(best["score"]), kept, ended, time.monotonic() - started)


def _tried(fit: Fit, changes: dict[str, Any], left: float) -> dict[str, Any]:
    before = time.monotonic()
    try:
        score = float(fit(changes, left))
        outcome: dict[str, Any] = {"score": score} if np.isfinite(score) else {"score": None, "failed": "the score is not finite"}
    except PellucidError as error:
        outcome = {"score": None, "failed": str(error)}
    return {"changes": changes, **outcome, "seconds": time.monotonic() - before}


def _drawn(trial: Any, name: str, spec: Any) -> Any:
    """Return one value of a setting."""
    if isinstance(spec, list):
        return trial.suggest_categorical(name, spec)
    low, high, log = spec[0], spec[1], len(spec) == 3
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)


def check_space(space: Mapping[str, Any]) -> None:
    """Raise where a space names no setting or no range."""
    known = {f.name for f in fields(TrainSettings)}
    for name, spec in space.items():
        if name not in known and not name.startswith("options."):
            raise RequestError(f"the search knows no setting {name!r}", expected="a field of TrainSettings, or options.<argument>")
        choices = isinstance(spec, list) and len(spec) > 0
        pair = isinstance(spec, tuple) and len(spec) in (2, 3) and all(isinstance(v, int | float) for v in spec[:2]) and spec[0] <= spec[1]
        if not choices and not (pair and (len(spec) == 2 or (spec[2] == "log" and spec[0] > 0))):
            forms = '(low, high), (low, high, "log") or a list'
            raise ArgumentError(f"the range of {name!r} cannot be searched", expected=forms, got=repr(spec))
    if not space:
        raise RequestError("there is nothing to search", do="name a setting in the space")


def changed(settings: TrainSettings, changes: Changes) -> TrainSettings:
    """Return the settings with changes put in: fields by name, arguments of the backbone as ``options.<argument>``.

    Examples
    --------
    >>> changed(TrainSettings(), {"width": 64, "options.heads": 4}).options
    (('heads', 4),)
    """
    own = {k: v for k, v in changes.items() if not k.startswith("options.")}
    given = dict(settings.options) | {k.removeprefix("options."): v for k, v in changes.items() if k.startswith("options.")}
    free = settings.free_dropout and "dropout" not in own
    return replace(settings, options=tuple(given.items()), **{"free_dropout": free} | own)
