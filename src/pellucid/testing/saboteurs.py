"""Deliberately wrong doubles: a check counts once it has been seen to go red on its saboteur.

Explainers have the form that trials use to explain again: ``(predictor, table, *, background, random_state, budget, precision)``, giving
an Explanation. ``honest`` is the right one, by enumeration; every other one has a single fault, named by the function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.hashing import cell_hashes, mix
from pellucid.probe.masker import Players
from pellucid.probe.view import View
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import stream
from pellucid.results import Explanation, RunRecord
from pellucid.table import Table
from pellucid.testing.oracles import game_shapley
from pellucid.testing.predictors import matrix

__all__ = [
    "changes_its_input",
    "credits_a_dummy",
    "depends_on_column_order",
    "depends_on_row_order",
    "hides_the_largest",
    "honest",
    "ignores_the_model",
    "jumps",
    "leaves_a_gap",
    "made_explanation",
    "overspends",
    "random_values",
    "ranks_backwards",
    "sampled",
    "states_tiny_errors",
    "unstable",
]


def made_explanation(
    values: FloatArray,
    predictor: Predictor,
    table: Table,
    base: Any,
    *,
    method: str = "double",
    error: FloatArray | None = None,
    n_calls: int = 0,
) -> Explanation:
    """Return an Explanation of ``values`` (N, P, O) with everything else filled in from the predictor's answers."""
    answers = predictor.raw(table)
    base = np.broadcast_to(np.asarray(base, float), answers.shape).copy()
    gap = answers - base - values.sum(1)
    if one := len(predictor.outputs) == 1:
        values, base, answers, gap = values[..., 0], base[:, 0], answers[:, 0], gap[:, 0]
        error = error[..., 0] if error is not None else None
    assert one or values.ndim == 3
    record = RunRecord(method, {"of": "prediction", "fill": "marginal", "scale": predictor.scale}, 0, table.fingerprint(), 0.0, n_calls)
    return Explanation(
        values=values, base_values=base, columns=tuple(predictor.columns), outputs=tuple(map(str, predictor.outputs)), data=table.frame,
        scale=predictor.scale, method=method, record=record, predictions=answers, error=error, gap=gap, n_calls=n_calls,
    )  # fmt: skip


def honest(
    predictor: Predictor, X: Table, *, background: Table | None = None, random_state: int = 0, budget: Any = None, **_: Any
) -> Explanation:
    """Return exact Shapley values of all columns by enumeration: 2^P N B model rows, for P <= 8."""
    table, reference = X.select(predictor.columns), _reference(predictor, background)
    engine = CoalitionEngine(View(predictor), table, reference, Players.of(predictor.columns))
    n, p = len(table), len(predictor.columns)
    z = (np.arange(2**p)[:, None] >> np.arange(p)) & 1 == 1
    v = engine.mean_over_background(np.repeat(np.arange(n), 2**p), np.tile(z, (n, 1))).reshape(n, 2**p, -1)
    values = game_shapley(lambda present: v[:, sum(2**j for j in present)], p).transpose(1, 0, 2)
    return made_explanation(values, predictor, X, engine.empty.mean(0), n_calls=2**p * n * len(reference))


def _reference(predictor: Predictor, background: Table | None) -> Table:
    kept = predictor.background() if background is None else background
    assert kept is not None
    return kept.select(predictor.columns).take(slice(0, 32))


def ignores_the_model(
    predictor: Predictor, X: Table, *, background: Table | None = None, random_state: int = 0, budget: Any = None, **_: Any
) -> Explanation:
    """Return how unusual each cell is, whatever the model: what an edge detector is to a picture."""
    reference = matrix(_reference(predictor, background), predictor.columns)
    distance = (matrix(X, predictor.columns) - reference.mean(0)) / (reference.std(0) + 1e-12)
    values = np.repeat(distance[:, :, None], len(predictor.outputs), 2)
    return made_explanation(values, predictor, X, 0.0)


def leaves_a_gap(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values of which every third row lost a tenth."""
    made = honest(predictor, X, **options)
    values = made.values.copy()
    values[::3] *= 0.9
    return replace(made, values=values)


def credits_a_dummy(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values of which the last column is given 5 % from the first: the sum stays right."""
    made = honest(predictor, X, **options)
    values = made.values.copy()
    values[:, -1] += 0.05 * values[:, 0]
    values[:, 0] *= 0.95
    return replace(made, values=values)


def ranks_backwards(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values in the wrong places: the largest goes to the column with the smallest."""
    made = honest(predictor, X, **options)
    order = np.argsort(made.values, axis=1)
    values = np.empty_like(made.values)
    np.put_along_axis(values, order, np.take_along_axis(made.values, order[:, ::-1], 1), 1)
    return replace(made, values=values)


def hides_the_largest(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values in the wrong places: the one of largest size goes to the column with the smallest."""
    made = honest(predictor, X, **options)
    order = np.argsort(np.abs(made.values), axis=1)
    values = np.empty_like(made.values)
    np.put_along_axis(values, order, np.take_along_axis(made.values, order[:, ::-1], 1), 1)
    return replace(made, values=values)


def jumps(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values that change places with the last digits of the cells: the same row gets the same values, its double others."""
    made = honest(predictor, X, **options)
    keys = cell_hashes(X, tuple(predictor.columns), canonical=True).sum(1, dtype=np.uint64)
    order = mix(keys[:, None] + np.arange(made.values.shape[1], dtype=np.uint64)).argsort(1)
    order = order if made.values.ndim == 2 else np.broadcast_to(order[..., None], made.values.shape)
    return replace(made, values=np.take_along_axis(made.values, order, 1))


def random_values(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return values drawn at random, the same for every model and seed."""
    made = honest(predictor, X, **options)
    return replace(made, values=stream(1, "random values").standard_normal(made.values.shape))


def unstable(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values with noise as large as themselves, drawn anew with every seed."""
    made = honest(predictor, X, **options)
    noise = stream(options.get("random_state", 0), "unstable").standard_normal(made.values.shape)
    return replace(made, values=made.values + 1.5 * np.abs(made.values).mean() * noise)


def sampled(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values with noise of a stated size, a tenth of the mean value; a larger ``budget`` halves it. Not wrong."""
    made = honest(predictor, X, **options)
    size = 0.1 * np.abs(made.values).mean() / (2.0 if options.get("budget") else 1.0)
    noise = stream(options.get("random_state", 0), "sampled").standard_normal(made.values.shape)
    return replace(made, values=made.values + size * noise, error=np.full(made.values.shape, size), n_calls=1000)


def states_tiny_errors(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return sampled values whose stated errors are ten times too small."""
    made = sampled(predictor, X, **options)
    return replace(made, error=np.asarray(made.error) / 10)


def depends_on_row_order(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values scaled by the row's place in the table."""
    made = honest(predictor, X, **options)
    return replace(made, values=made.values * (1 + 0.01 * np.arange(len(X))).reshape(-1, *[1] * (made.values.ndim - 1)))


def depends_on_column_order(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return what occlusion one after the other, from left to right, gives: each column is credited in the order of the table."""
    made = honest(predictor, X, **options)
    table = X.select(predictor.columns)
    engine = CoalitionEngine(View(predictor), table, _reference(predictor, options.get("background")), Players.of(predictor.columns))
    rows, p = np.arange(len(table)), len(predictor.columns)
    chain = [engine.mean_over_background(rows, np.tile(np.arange(p) < k, (len(rows), 1))) for k in range(p + 1)]
    values = np.diff(np.stack(chain, 1), axis=1)
    return replace(made, values=values[..., 0] if made.values.ndim == 2 else values)


def changes_its_input(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values and overwrite a cell of the caller's frame."""
    made = honest(predictor, X, **options)
    first = X.frame.columns[0]
    X.frame[first] = X.frame[first].to_numpy()[::-1]
    return made


def overspends(predictor: Predictor, X: Table, **options: Any) -> Explanation:
    """Return honest values, and use twice the budget it was given."""
    made = honest(predictor, X, **options)
    budget = options.get("budget")
    return replace(made, n_calls=2 * budget if budget else made.n_calls)
