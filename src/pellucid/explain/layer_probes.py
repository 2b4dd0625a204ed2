"""What is still readable in each layer of a fitted network: linear probes, and how much of the layer each column takes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import LayerProbes
from pellucid.table import ColumnType, Table
from pellucid.table.cells import level_text

__all__ = ["explain", "variance_share"]

Ints = npt.NDArray[np.int64]
LEAST = 20
FOLDS = 5
WIDTH = 256
"""Leading components of a layer that a probe reads: more than rows could settle."""
LEVELS = 30
BINS = 10
ALPHAS = tuple(10.0**k for k in range(-2, 5))


@dataclass(frozen=True)
class _Quantity:
    """Something to be read: marks (N, W) with NaN where unknown, levels or None, codes (N,) of its values or bins, its columns."""

    name: str
    kind: str
    marks: FloatArray
    levels: bool
    codes: Ints
    columns: tuple[str, ...] = ()


def explain(question: Question) -> LayerProbes:
    """Return for every layer how well a linear model of its frozen state tells the target and each column, and what the layer is made of.

    ``readable`` (Alain and Bengio 2016, arXiv:1610.01644; Sharif Razavian and others 2014, arXiv:1403.6382): R^2 of ridge regression by
    5-fold cross-validation, its penalty chosen within the training parts; beside it the same with the quantity shuffled. What is readable
    need not be used. ``options``: ``withheld``, columns of the same rows that the model does not read (name -> N cells), such as one that
    it must not know; ``features``, functions of several columns, name -> (columns, N values).

    A caution for whoever reads concepts off a layer (Lampinen, Chan and Hermann 2024, arXiv:2405.05847): what takes up most of a layer is
    what is simple and was learned early, not what counts most in the answer. So ``variance`` (the share of the state's variance between
    values, numbers in ten bins, its bias removed) stands beside ``effect`` (the share of the answer's variance that goes when the cells are
    taken from other rows: total Sobol index, Jansen 1999); ``bias()`` gives their ratio.

    # NOTE[DIFF] layers wider than 256 are read by their leading components, which are found without the quantities.

    Cost: L forward passes of at most ``rows`` rows and 2 per column; a singular value decomposition per layer and fold.
    """
    asked.no_groups(question)
    view = question.view
    layers = view.hidden_layers()
    if not layers:
        raise RequestError("the model has no layers to be read", expected="a network of this package", do="use method='importances'")
    at = asked.sample(question, asked.whole(question, "rows", LEAST, 20_000))
    if len(at) < LEAST:
        raise EmptyTableError("too few rows to be probed", expected=f"at least {LEAST} rows", got=str(len(at)))
    table = question.table.take(at).select(view.columns)
    things = _quantities(question, table, at)
    draw = stream(question.seed, "layer_probes")
    fold = draw.permutation(len(at)) % FOLDS
    shuffle = draw.permutation(len(at))
    effect = _effects(question, table, things)
    read = [_probe(view.hidden(table, layer), things, fold, shuffle) for layer in layers]
    readable, error, null, accuracy, variance = (np.stack([r[k] for r in read]) for k in range(5))
    plain = np.array([np.bincount(q.codes).max() / len(at) if q.levels else np.nan for q in things])
    names, kinds = tuple(q.name for q in things), tuple(q.kind for q in things)
    told = {
        **question.options,
        "withheld": sorted(question.options["withheld"] or ()),
        "features": sorted(question.options["features"] or ()),
    }
    made = LayerProbes(
        layers, names, kinds, readable, error, null, accuracy, plain, variance, effect[0], effect[1], "", question.method,
        question.record({"options": told, "folds": FOLDS}, ("what can be read in a layer need not be used by the network",)),
    )  # fmt: skip
    return LayerProbes(**{**vars(made), "words": _words(made)})


# ---------------------------------------------------------------- quantities


def _quantities(question: Question, table: Table, at: Ints) -> list[_Quantity]:
    """Return the target where it is known, the columns that can be told, withheld columns and features."""
    view, n = question.view, len(question.table)
    out: list[_Quantity] = []
    if question.y is not None:
        labels = _cells(question.y, n, "y")[at]
        out.append(_levels("(target)", "target", labels) if view.classes else _numbers("(target)", "target", labels.astype(float)))
    for name in view.columns:
        kind = table.schema[name].type
        if kind in (ColumnType.NUMBER, ColumnType.DATE):
            values = table.numbers(name) if kind is ColumnType.NUMBER else table.seconds(name)
            out.append(_numbers(name, "column", values, (name,)))
        elif kind is not ColumnType.TEXT:
            codes, texts = table.levels(name)
            out.append(_levels(name, "column", np.array([*texts, "missing"], object)[codes], (name,)))
    for name, cells in _mapping(question, "withheld").items():
        out.append(_of_any(str(name), "withheld", _cells(cells, n, name)[at]))
    for name, given in _mapping(question, "features").items():
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ArgumentError("the option 'features' cannot be used", expected="name -> (columns, N values)", got=type(given).__name__)
        columns = (given[0],) if isinstance(given[0], str) else tuple(given[0])
        if unknown := [c for c in columns if c not in view.columns]:
            raise RequestError(f"the feature {name!r} names a column {unknown[0]!r} that the model does not read")
        out.append(_of_any(str(name), "feature", _cells(given[1], n, name)[at], columns))
    return [q for q in out if len(np.unique(q.codes)) > 1]


def _mapping(question: Question, option: str) -> Mapping[Any, Any]:
    given: Any = question.options[option]
    if given is not None and not hasattr(given, "items"):
        raise ArgumentError(f"the option {option!r} cannot be used", expected="a mapping of names", got=type(given).__name__)
    return given or {}


def _cells(values: Any, n: int, name: Any) -> npt.NDArray[Any]:
    cells = np.asarray(values)
    if cells.shape != (n,):
        raise RequestError(f"{name!r} does not fit the rows", expected=f"{n} cells", got=f"shape {cells.shape}")
    return cells


def _of_any(name: str, kind: str, cells: npt.NDArray[Any], columns: tuple[str, ...] = ()) -> _Quantity:
    is_number = cells.dtype.kind in "iuf" and len(np.unique(cells)) > 2
    return _numbers(name, kind, cells.astype(float), columns) if is_number else _levels(name, kind, cells, columns)


def _numbers(name: str, kind: str, values: FloatArray, columns: tuple[str, ...] = ()) -> _Quantity:
    """Return a number by its ranks on the line from -1 to 1: a probe is not led by a few large ones. Its codes are bins."""
    known = ~np.isnan(values)
    rank = pd.Series(values).rank().to_numpy()
    scaled = 2 * (rank - 0.5) / max(int(known.sum()), 1) - 1
    bins = np.floor((np.nan_to_num(scaled) + 1) / 2 * BINS).clip(0, BINS - 1)
    codes = np.unique(np.where(known, bins, -1), return_inverse=True)[1]
    return _Quantity(name, kind, scaled[:, None], False, codes.astype(np.int64), columns)


def _levels(name: str, kind: str, cells: npt.NDArray[Any], columns: tuple[str, ...] = ()) -> _Quantity:
    """Return levels by their marks; beyond 30 the rarer ones share one."""
    texts = np.array([level_text(v) for v in cells.tolist()], object).astype(str)
    names, codes, count = np.unique(texts, return_inverse=True, return_counts=True)
    order = np.argsort(-count, kind="stable")
    place = np.full(len(names), min(LEVELS, len(names) - 1))
    place[order[:LEVELS]] = np.arange(min(LEVELS, len(names)))
    codes = place[codes]
    return _Quantity(name, kind, np.eye(int(codes.max()) + 1)[codes], True, codes.astype(np.int64), columns)


# ---------------------------------------------------------------- probes


def _probe(states: FloatArray, things: Sequence[_Quantity], fold: Ints, shuffle: Ints) -> tuple[FloatArray, ...]:
    """Return (readable, error, null, accuracy, variance), each (Q,), of one layer."""
    x = _components(states)
    width = [q.marks.shape[1] for q in things]
    goal = np.concatenate([q.marks for q in things], 1)
    told, told_null = (_predicted(x, g, fold) for g in (goal, goal[shuffle]))
    ends = np.cumsum([0, *width])
    out = np.full((5, len(things)), np.nan)
    for k, q in enumerate(things):
        cut = slice(ends[k], ends[k + 1])
        out[0, k], out[1, k] = _r2(q.marks, told[:, cut])
        out[2, k] = _r2(q.marks[shuffle], told_null[:, cut])[0]
        out[3, k] = (told[:, cut].argmax(1) == q.codes).mean() if q.levels else np.nan
        out[4, k] = variance_share(states, q.codes)
    return tuple(out)


def _components(states: FloatArray) -> FloatArray:
    """Return the leading components of a layer, (N, F), scaled together."""
    x = states - states.mean(0)
    if x.shape[1] > WIDTH:
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        x = u[:, :WIDTH] * s[:WIDTH]
    spread = x.std(0)
    return np.asarray(x / max(float(np.sqrt(np.square(spread).mean())), 1e-12))


def _predicted(x: FloatArray, goal: FloatArray, fold: Ints) -> FloatArray:
    """Return what linear models of the other folds say of each row, (N, W); unknown cells are learned as the mean."""
    from sklearn.linear_model import RidgeCV

    out = np.empty_like(goal)
    for k in range(FOLDS):
        train = fold != k
        part = goal[train]
        filled = np.where(np.isnan(part), np.nanmean(part, 0), part)
        model = RidgeCV(alphas=ALPHAS, alpha_per_target=filled.shape[1] > 1).fit(x[train], filled)
        out[~train] = model.predict(x[~train]).reshape(-1, goal.shape[1])
    return out


def _r2(truth: FloatArray, told: FloatArray) -> tuple[float, float]:
    """Return (R^2 over all marks together, standard error over rows), rows that are not known left out."""
    known = ~np.isnan(truth).any(1)
    miss = np.square(truth[known] - told[known]).sum(1)
    total = np.square(truth[known] - truth[known].mean(0)).sum(1)
    r2 = 1 - miss.mean() / max(total.mean(), 1e-300)
    return float(r2), float((miss - (1 - r2) * total).std() / max(total.mean(), 1e-300) / np.sqrt(max(len(miss), 1)))


def variance_share(states: FloatArray, codes: Ints) -> float:
    """Return the share of the variance of states (N, H) that lies between groups of rows, its bias removed (Kelley 1935).

    Examples
    --------
    >>> variance_share(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 0, 1, 1]))
    1.0
    """
    n, groups = len(states), int(codes.max()) + 1
    centred = states - states.mean(0)
    total = float(np.square(centred).sum())
    if total <= 0 or n <= groups:
        return 0.0
    member = np.eye(groups)[codes]
    between = float((np.square(member.T @ centred).sum(1) / np.maximum(member.sum(0), 1)).sum()) / total
    return max(0.0, 1 - (1 - between) * (n - 1) / (n - groups))


# ---------------------------------------------------------------- effects


def _effects(question: Question, table: Table, things: Sequence[_Quantity]) -> tuple[FloatArray, FloatArray]:
    """Return (effect, standard error), each (Q,): half the mean square change of the answer by its variance, outputs together."""
    view, n = question.view, len(table)
    engine = CoalitionEngine(view, table, table, Players.of(view.columns))
    other = np.roll(np.arange(n), 1)[np.argsort(order := stream(question.seed, "layer_probes", "other").permutation(n))]
    other = order[other]
    spread = np.maximum(engine.full.std(0), 1e-12)
    out = np.full((2, len(things)), np.nan)
    for k, q in enumerate(things):
        if not q.columns:
            continue
        z = np.array([c not in q.columns for c in view.columns])
        moved = engine.evaluate(np.arange(n), other, np.broadcast_to(z, (n, len(z))))
        each = np.square((moved - engine.full) / spread).mean(1) / 2
        out[:, k] = each.mean(), each.std(ddof=1) / np.sqrt(n)
        engine.forget()
    return out[0], out[1]


def _words(made: LayerProbes) -> str:
    """Return what is to be seen: where the target can be read, what is forgotten, and where variance and effect part."""
    first, last, told = made.layers[0], made.layers[-1], []
    for q, (name, kind) in enumerate(zip(made.quantities, made.kinds)):
        if kind == "target":
            told.append(f"the target can be read to R^2 {made.readable[0, q]:.2f} in {first} and {made.readable[-1, q]:.2f} in {last}")
        if kind == "withheld":
            clear = made.readable[-1, q] > max(2 * made.error[-1, q], made.null[-1, q])
            told.append(f"{name}, which the model was not given, {'can' if clear else 'cannot'} be read in {last}")
    bias = made.bias().dropna()
    features = bias[bias["quantity"].isin([n for n, k in zip(made.quantities, made.kinds) if k == "feature"])]
    bias = features if len(features) > 1 else bias
    if len(bias) > 1:
        ratio = bias["ratio"].to_numpy()
        high, low = (str(bias["quantity"].iloc[int(i)]) for i in (ratio.argmax(), ratio.argmin()))
        times = f"{ratio.max() / max(ratio.min(), 1e-3):.1f} times as much of {last} as {low}"
        told.append(f"caution: for its effect on the answer {high} takes up {times}: its size in a layer does not say how much it counts")
    return "; ".join(told)
