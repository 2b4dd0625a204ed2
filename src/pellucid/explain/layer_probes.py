"""What is still readable in each layer of a fitted network: linear probes, and how much of the layer each column takes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.explain.reading import FOLDS, Quantity, cells_of, components, levels_of, mapping, numbers_of, of_any, planted, predicted, r2
from pellucid.intervals import error_of_mean
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import LayerProbes
from pellucid.table import ColumnType, Table

__all__ = ["explain", "variance_share"]

Ints = npt.NDArray[np.int64]
LEAST = 20


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
    if not things:
        raise RequestError(
            "there is nothing to look for in the layers", expected="labels, or a column of numbers, dates or levels that differ",
            do="pass y=, or options={'withheld': {'name': cells}}",
        )  # fmt: skip
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


def _quantities(question: Question, table: Table, at: Ints) -> list[Quantity]:
    """Return the target where it is known, the columns that can be told, withheld columns and features."""
    view, n = question.view, len(question.table)
    out: list[Quantity] = []
    if question.y is not None:
        labels = cells_of(question.y, n, "y")[at]
        out.append(levels_of("(target)", "target", labels) if view.classes else numbers_of("(target)", "target", labels.astype(float)))
    for name in view.columns:
        kind = table.schema[name].type
        if kind in (ColumnType.NUMBER, ColumnType.DATE):
            values = table.numbers(name) if kind is ColumnType.NUMBER else table.seconds(name)
            out.append(numbers_of(name, "column", values, (name,)))
        elif kind is not ColumnType.TEXT:
            codes, texts = table.levels(name)
            out.append(levels_of(name, "column", np.array([*texts, "missing"], object)[codes], (name,)))
    for name, cells in mapping(question, "withheld").items():
        out.append(of_any(str(name), "withheld", cells_of(cells, n, name)[at]))
    out += planted(question, at)
    return [q for q in out if len(np.unique(q.codes)) > 1]


# ---------------------------------------------------------------- probes


def _probe(states: FloatArray, things: Sequence[Quantity], fold: Ints, shuffle: Ints) -> tuple[FloatArray, ...]:
    """Return (readable, error, null, accuracy, variance), each (Q,), of one layer."""
    x = components(states)
    width = [q.marks.shape[1] for q in things]
    goal = np.concatenate([q.marks for q in things], 1)
    told, told_null = (predicted(x, g, fold) for g in (goal, goal[shuffle]))
    ends = np.cumsum([0, *width])
    out = np.full((5, len(things)), np.nan)
    for k, q in enumerate(things):
        cut = slice(ends[k], ends[k + 1])
        out[0, k], out[1, k] = r2(q.marks, told[:, cut])
        out[2, k] = r2(q.marks[shuffle], told_null[:, cut])[0]
        out[3, k] = (told[:, cut].argmax(1) == q.codes).mean() if q.levels else np.nan
        out[4, k] = variance_share(states, q.codes)
    return tuple(out)


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


def _effects(question: Question, table: Table, things: Sequence[Quantity]) -> tuple[FloatArray, FloatArray]:
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
        out[:, k] = each.mean(), float(error_of_mean(each))
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
