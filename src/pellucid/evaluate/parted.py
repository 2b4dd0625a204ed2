"""A model as it is beside the same model with ``decompose=``: what the answers still tell, what that costs, and who gains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.audit.by_group import by_group
from pellucid.errors import RequestError
from pellucid.estimators import TabularClassifier, TabularRegressor
from pellucid.estimators.decomposed import attributes_of
from pellucid.evaluate.leaderboard import run as compare
from pellucid.evaluate.leaderboard import shared_rows
from pellucid.evaluate.scores import LOWER_IS_BETTER
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer
from pellucid.results import Leaderboard, Parting, RunRecord
from pellucid.table import Table
from pellucid.training.leftover import beyond_chance, probe

__all__ = ["run"]

PLAIN, FREE = "as it is", "bias-free"


def run(
    table: Any, columns: Sequence[str] | str, *, model: Any = None, test: Any = None, target: str | None = None, n_boot: int = 1000,
    random_state: Any = 0,
) -> Parting:  # fmt: skip
    """Fit and judge both. See :func:`pellucid.evaluate.decomposition`."""
    from sklearn.base import clone

    started, seed = time.perf_counter(), as_seed(random_state)
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    ground = shared_rows(table, test, target, seed)
    kind = TabularRegressor if ground.task == "regression" else TabularClassifier
    asked = kind(backbone="tabm", random_state=seed, verbose=0) if model is None else model
    if not hasattr(asked, "decompose"):
        raise RequestError("only estimators of this package can be decomposed", got=type(asked).__name__)
    options = dict(asked.decompose) if isinstance(asked.decompose, dict) else {}
    models = {
        PLAIN: clone(asked).set_params(decompose=None).fit(ground.train),
        FREE: clone(asked).set_params(decompose=options | {"columns": list(names)}).fit(ground.train),
    }
    board = compare(ground.train, list(models.items()), test=ground.test, n_boot=n_boot, random_state=seed, explain_rows=0)
    told = {name: _told(fitted, ground.test, names, seed) for name, fitted in models.items()}
    groups = {
        name: {c: by_group(fitted, ground.test, by=c, seed=seed) for c in names} for name, fitted in models.items()
    }  # fmt: skip
    cosine = float(models[FREE].record_["training"]["decompose"]["cosine"])
    settings = {"columns": list(names), "backbone": models[FREE].record_["backbone"], "test_rows": len(ground.test), **options}
    record = RunRecord("decomposition", settings, seed, ground.train.fingerprint(), time.perf_counter() - started)
    return Parting(names, board, told, cosine, groups, _words(board, told, names), record)


def _told(model: Any, test: Table, names: tuple[str, ...], seed: int) -> dict[str, dict[str, float]]:
    """Return what probes read from the states that the model's answers are made of, by column."""
    found = attributes_of(test, list(names))
    assert found is not None  # names were given
    states = _states(model, test)
    return {n: probe(states, found.codes[:, a], integer(seed, "probe", n)) for a, n in enumerate(names)}


def _states(model: Any, test: Table) -> FloatArray:
    return np.asarray(model.parts(test)["hidden"], np.float64).reshape(len(test), -1)


def _words(board: Leaderboard, told: dict[str, dict[str, dict[str, float]]], names: tuple[str, ...]) -> str:
    free = next(r for r in board.rows if r["model"] == FREE)
    metric = board.metric.replace("_", " ")
    better = "smaller" if board.metric in LOWER_IS_BETTER else "larger"
    span = f"{free['difference_low']:+.3g} to {free['difference_high']:+.3g}"
    text = [
        f"Leaving out what tells {' and '.join(map(repr, names))} changes the {metric} by {free['difference']:+.3g} ({span}; positive is"
    ]
    text[0] += f" better, {better} {metric} is) to {free['score']:.4g}."
    for n in names:
        before, after = told[PLAIN][n], told[FREE][n]
        if not np.isfinite(after["auc"]):
            text.append(f"Too few rows were held out to say what the state behind the answers tells of {n!r}.")
            continue
        end = "more than chance" if beyond_chance(after) else "no more than chance"
        text.append(
            f"A probe tells {n!r} from the state behind the answers with an AUC of {after['auc']:.3f} ({after['low']:.3f} to "
            f"{after['high']:.3f}; chance 0.5, 95 % of chance below {after['null']:.3f}), {end}; before it was {before['auc']:.3f}."
        )
    return " ".join(text)
