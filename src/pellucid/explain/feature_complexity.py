"""How much of a network does a feature take, when is it learned, and does it matter?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.explain.reading import FOLDS, Ints, Quantity, components, planted, predicted, r2
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import FeatureComplexity
from pellucid.table import Table

__all__ = ["explain"]

LEAST = 20
HELD = 0.9
NEVER = 0.1


def explain(question: Question) -> FeatureComplexity:
    """Return for each latent feature how late in the network it can be read, how late in training, and how much the answers follow it.

    Complexity is one less the mean over layers of the V-information that the layer's state has of the feature, V linear models (Fel,
    Bethune, Lampinen, Serre and Hermann 2024, arXiv:2407.06076; Xu and others 2020, arXiv:2002.10689): what a linear model of the tokens
    tells takes no computation, what only the last layer tells takes the whole network. For a number, V-information by Gaussian linear
    models is a function of R^2, and R^2 itself (cross-validated, 0 where negative) is used, which needs no scale. Features: the ``k``
    directions along which the last layer varies most, and ``options={"features": {"parity": (["a", "b"], values)}}``.

    ``refit`` (``model.refitter()``) trains the model once more with ``checkpoints`` copies of its weights, and tells from which share of
    the training on the last layer holds each feature: simple ones come first, as a rule, and matter more.

    # NOTE[DIFF] the source learns an overcomplete dictionary of directions; here they are the principal ones, which need no fit and are
    orthogonal; R^2 instead of bits. Directions are those of the model asked about; the watched training has the same seed and rows.

    Cost: L + T forward passes of at most ``rows`` rows, a ridge regression each; with ``refit`` one fit.
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
    states = [view.hidden(table, layer) for layer in layers]
    directions, share = _directions(states[-1], asked.whole(question, "k", 0, 50))
    things = [*directions, *planted(question, at)]
    if not things:
        raise RequestError("there is no feature to speak of", expected="k above 0, or functions of columns in the option 'features'")
    fold = stream(question.seed, "feature_complexity").permutation(len(at)) % FOLDS
    read = [_read(s, things, fold) for s in states]
    readable, error = (np.stack([r[k] for r in read]) for k in (0, 1))
    steps, over_time = _watched(question, table, things, fold)
    told = {**question.options, "features": sorted(question.options["features"] or ()), "refit": question.options["refit"] is not None}
    made = FeatureComplexity(
        tuple(q.name for q in things), tuple(q.kind for q in things), layers, readable, error,
        1 - readable.clip(0, 1).mean(0), np.sqrt(np.square(error).sum(0)) / len(layers), _importance(view.raw(table), things),
        np.concatenate([share, np.full(len(things) - len(share), np.nan)]), steps, over_time, _learned(steps, over_time), "",
        question.method, question.record({"options": told, "folds": FOLDS}, ("what can be read in a layer need not be used",)),
    )  # fmt: skip
    return FeatureComplexity(**{**vars(made), "words": _words(made)})


def _directions(states: FloatArray, k: int) -> tuple[list[Quantity], FloatArray]:
    """Return the leading directions of a layer's states (N, H) as quantities, and their share of its variance."""
    u, s, _ = np.linalg.svd(states - states.mean(0), full_matrices=False)
    kept = int(min(k, (s > 1e-9 * max(float(s[0]), 1e-300)).sum()))
    scores = u[:, :kept] / np.maximum(u[:, :kept].std(0), 1e-300)
    codes = np.zeros(len(u), np.int64)
    made = [Quantity(f"direction {j + 1}", "direction", scores[:, [j]], False, codes) for j in range(kept)]
    return made, np.square(s[:kept]) / max(float(np.square(s).sum()), 1e-300)


def _read(states: FloatArray, things: Sequence[Quantity], fold: Ints) -> tuple[FloatArray, FloatArray]:
    """Return (R^2, standard error), (Q,) each, of linear models of one layer."""
    told = predicted(components(states), np.concatenate([q.marks for q in things], 1), fold)
    ends = np.cumsum([0, *(q.marks.shape[1] for q in things)])
    each = [r2(q.marks, told[:, ends[k] : ends[k + 1]]) for k, q in enumerate(things)]
    return np.array([e[0] for e in each]), np.array([e[1] for e in each])


def _importance(answers: FloatArray, things: Sequence[Quantity]) -> FloatArray:
    """Return (Q,) the share of the answers' variance (N, O), outputs together, that a least-squares fit on the feature's marks tells."""
    y = (answers - answers.mean(0)) / np.maximum(answers.std(0), 1e-12)
    out = []
    for q in things:
        known = ~np.isnan(q.marks).any(1)
        design = np.column_stack([np.ones(int(known.sum())), q.marks[known]])
        told = design @ np.linalg.lstsq(design, y[known], rcond=None)[0]
        out.append(1 - np.square(y[known] - told).sum() / max(float(np.square(y[known] - y[known].mean(0)).sum()), 1e-300))
    return np.array(out)


def _watched(question: Question, table: Table, things: Sequence[Quantity], fold: Ints) -> tuple[FloatArray, FloatArray]:
    """Return (shares of the planned training (T,), R^2 of the last layer at each (T, Q)); empty where no refit was given."""
    refit: Any = question.options["refit"]
    if refit is None:
        return np.zeros(0), np.zeros((0, len(things)))
    if not callable(refit):
        raise ArgumentError("the option 'refit' cannot be used", expected="model.refitter()", got=type(refit).__name__)
    count = asked.whole(question, "checkpoints", 2, 100)
    made = refit(checkpoints=count)
    if not getattr(made, "checkpoints", ()):
        raise RequestError("the refit kept no checkpoints", expected="a network that trains for some steps")
    over = np.stack([_read(np.asarray(c.hidden(table, "last"), np.float64), things, fold)[0] for c in made.checkpoints])
    return np.arange(1, len(over) + 1) / count, over


def _learned(steps: FloatArray, over_time: FloatArray) -> FloatArray:
    """Return (Q,) the first step from which on a feature stays above 0.9 of its last value; NaN where it is never held."""
    if not len(steps):
        return np.full(over_time.shape[1], np.nan)
    held = over_time >= HELD * over_time[-1]
    stays = np.flip(np.minimum.accumulate(np.flip(held, 0), 0), 0)
    return np.where(over_time[-1] >= NEVER, steps[stays.argmax(0)], np.nan)


def _words(made: FeatureComplexity) -> str:
    """Return what is to be seen: the simplest and the most complex feature, and whether simple ones come first and matter more."""
    held = made.readable.max(0) >= NEVER  # what no layer tells is not complex, it is not there
    order = [int(q) for q in made.order() if held[q]]
    absent = [made.features[q] for q in np.flatnonzero(~held)]
    none = f"no layer tells {', '.join(absent[:3])}{' and more' if len(absent) > 3 else ''}"
    if not order:
        return none
    simple, hard = order[0], order[-1]
    say = lambda q: f"{made.features[q]} ({made.complexity[q]:.2f} ± {1.96 * made.complexity_error[q]:.2f})"  # noqa: E731
    told = [f"{say(simple)} takes least of the network" + (f", {say(hard)} most" if simple != hard else "")]
    if len(order) > 2:
        told.append(f"complexity goes with importance by rank correlation {_rank(made.complexity[held], made.importance[held]):.2f}")
        known = np.isfinite(made.learned) & held
        if known.sum() > 2 and len(np.unique(made.learned[known])) > 1:
            told.append(f"with the time of learning by {_rank(made.complexity[known], made.learned[known]):.2f}")
    return "; ".join([*told, none] if absent else told)


def _rank(a: FloatArray, b: FloatArray) -> float:
    from scipy.stats import rankdata

    x, y = (rankdata(v) for v in (a, b))
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0
