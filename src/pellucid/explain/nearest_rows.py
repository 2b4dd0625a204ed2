"""The training rows most like a row, layer by layer, and whether they bear its answer out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain.question import Question
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.results import Neighbours
from pellucid.table import Table
from pellucid.table.cells import level_text
from pellucid.table.frames import with_columns
from pellucid.training.familiarity import RowSpace, squared_distances

__all__ = ["Layer", "asked_layers", "data_of", "explain", "known_answers", "nearest"]

CELLS = "cells"
BLOCK = 4_000_000

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Neighbours:
    """Return the k nearest kept rows in one layer, and the answer's credibility over all layers asked.

    Papernot, McDaniel 2018, arXiv:1803.04765. In each layer the k nearest kept rows speak for their own true answers. An answer is
    contested by the share that says otherwise (numbers: by the distance of their mean from it); credibility is the share of kept rows whose
    own truth is contested at least as much by their neighbours.

    # NOTE[DIFF] kept rows are compared with themselves left out, not with a set put aside: the network has seen them, so their neighbours
    agree more than those of new rows, and credibility is on the careful side.

    Cost: N + M forward passes and N M H multiplications a layer, M kept rows.
    """
    view, table, kept = question.view, question.table, question.kept
    k = _checked(question)
    if question.budget.rows is not None and len(table) + len(kept) > question.budget.rows:
        raise too_small("", len(table) + len(kept), question.budget.rows, FEWER_ROWS)
    layers, shown = asked_layers(question)
    view.n_calls += len(table)
    answers = np.asarray(view.inner.raw(table), np.float64)
    truth, caveat = known_answers(question)
    found = {name: _in_layer(question, name, k) for name in dict.fromkeys((*layers, shown))}
    ours = [found[name] for name in layers]
    contested, usual, agreement = _contested(view, answers, truth, ours)
    credibility = (1 + (usual[None, :] >= contested[:, None] - 1e-12).sum(1)) / (1 + len(usual))
    positions, distance = found[shown][0], found[shown][1]
    return Neighbours(
        index=table.index, positions=positions, data=data_of(question, truth if not caveat else None), outputs=view.outputs,
        scale=f"distance in {shown}", method=question.method, distance=distance, credibility=credibility, agreement=agreement,
        record=question.record({"k": k, "layers": list(layers), "shown": shown}, (*caveat, "kept rows were learned from")),
    )  # fmt: skip


def _checked(question: Question) -> int:
    k = int(question.options["k"])
    if not 1 <= k < len(question.kept):
        raise RequestError("k cannot be used", expected=f"1 to {len(question.kept) - 1} of the kept rows", got=str(k))
    return k


def asked_layers(question: Question) -> tuple[tuple[str, ...], str]:
    """Return the layers that are read and the one whose neighbours are shown; the cells alone where a model has no layers."""
    hidden = question.view.hidden_layers()
    known = (CELLS, *hidden)
    asked = question.options["layers"]
    layers = (hidden or (CELLS,)) if asked == "all" else (asked,) if isinstance(asked, str) else tuple(asked)
    shown = question.options.get("layer") or known[-1]
    for name in (*layers, shown):
        if name not in known:
            raise RequestError(f"there is no layer {name!r}", expected=f"one of {', '.join(known)}, or 'all'")
    if not layers:
        raise RequestError("no layer was named", expected=f"some of {', '.join(known)}, or 'all'")
    return layers, str(shown)


def _in_layer(question: Question, layer: str, k: int) -> tuple[Ints, FloatArray, Ints]:
    """Return the k nearest kept rows of each row (N, k), their distances, and those of each kept row without itself (M, k)."""
    known = Layer(question.view, layer, question.kept)
    return *known.near(k, question.table), known.near(k)[0]


class Layer:
    """The kept rows in one layer of a model, or as they are written.

    Parameters
    ----------
    name : of a layer; ``"cells"`` for the cells. kept : M rows.
    """

    def __init__(self, view: View, name: str, kept: Table) -> None:
        self._view, self._name = view, name
        self._space = RowSpace.fit(kept) if name == CELLS else None
        self._kept = self._states(kept)

    def _states(self, table: Table) -> FloatArray:
        return self._view.hidden(table, self._name) if self._space is None else self._space.encode(table)

    def near(self, k: int, table: Table | None = None) -> tuple[Ints, FloatArray]:
        """Return the k nearest kept rows of each row, places and distances (N, k); of each kept row without itself for no table."""
        rows = self._kept if table is None else self._states(table)
        numbers = None if self._space is None else self._space.n_numbers
        return nearest(rows, self._kept, k, n_numbers=numbers, itself=table is not None)


def nearest(rows: FloatArray, kept: FloatArray, k: int, *, n_numbers: int | None = None, itself: bool = True) -> tuple[Ints, FloatArray]:
    """Return the k nearest of ``kept`` (M, H) to each of ``rows`` (N, H): places and Euclidean distances (N, k).

    ``n_numbers``: the columns are cells, of which so many are numbers; ``itself=False``: the rows are the kept ones, and none is its own
    neighbour.

    Examples
    --------
    >>> nearest(np.array([[0.0], [3.0]]), np.array([[0.0], [2.0], [9.0]]), 2)[0].tolist()
    [[0, 1], [1, 0]]
    """
    places, distances = np.empty((len(rows), k), np.int64), np.empty((len(rows), k))
    step = max(1, BLOCK // max(1, len(kept) * (1 if n_numbers is None else kept.shape[1])))
    norm = np.square(kept).sum(1) if n_numbers is None else None
    for s in range(0, len(rows), step):
        part = rows[s : s + step]
        if norm is None:
            square = squared_distances(part, kept, int(n_numbers or 0)).sum(-1)
        else:
            square = np.maximum(np.square(part).sum(1)[:, None] + norm - 2 * part @ kept.T, 0.0)
        if not itself:
            square[np.arange(len(part)), s + np.arange(len(part))] = np.inf
        places[s : s + step] = np.argsort(square, axis=1, kind="stable")[:, :k]
        distances[s : s + step] = np.sqrt(np.take_along_axis(square, places[s : s + step], 1))
    return places, distances


def known_answers(question: Question) -> tuple[Any, tuple[str, ...]]:
    """Return what the kept rows answer: class numbers (M,) or values (M, O'); the model's own, with a caveat, where none are known."""
    view, given = question.view, question.kept_labels
    if given is None:
        view.n_calls += len(question.kept)
        raw = np.asarray(view.inner.raw(question.kept), np.float64)
        return (_classes(view, raw) if view.classes else raw), (
            "the kept rows' true answers are not known: the model's own stand for them",
        )
    labels = np.asarray(given)
    if not view.classes:
        try:
            return labels.astype(float).reshape(len(labels), -1), ()
        except (TypeError, ValueError):
            raise RequestError(
                "the known rows' answers are labels, and the model names no classes", got=level_text(labels.reshape(-1)[0]),
                do="pass a model with classes_ and predict_proba, or known rows whose target is what it answers",
            ) from None  # fmt: skip
    place = {level_text(c): i for i, c in enumerate(view.classes)}
    codes = np.array([place.get(level_text(v), -1) for v in labels.tolist()], np.int64)
    if (codes < 0).any():
        raise RequestError("some labels of the background are no classes of the model", do="leave those rows out")
    return codes, ()


def _classes(view: Any, raw: FloatArray) -> Ints:
    level = 0.5 if view.scale == "probability" else 0.0
    return np.asarray(raw.argmax(1) if raw.shape[1] > 1 else raw[:, 0] > level, np.int64)


def _contested(view: Any, answers: FloatArray, truth: Any, found: list[Any]) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return how much the neighbours contest the rows' answers (N,) and the kept rows' truths (M,), and the share that agrees (N,)."""
    near, own = np.concatenate([f[0] for f in found], 1), np.concatenate([f[2] for f in found], 1)
    if view.classes:
        agreement = (truth[near] == _classes(view, answers)[:, None]).mean(1)
        return 1 - agreement, (truth[own] != truth[:, None]).mean(1), agreement
    return np.abs(truth[near].mean(1) - answers).sum(1), np.abs(truth[own].mean(1) - truth).sum(1), None


def data_of(question: Question, truth: Any) -> Any:
    """Return the kept rows as written, with their true answers where those are known."""
    frame = question.kept.frame
    if truth is None:
        return frame
    name = next(n for n in ("target", "true answer", "true answer of the row") if n not in frame.columns)
    if question.view.classes:
        return frame.assign(**{name: np.asarray(question.view.classes, object)[truth]})
    if truth.shape[1] == 1:
        return frame.assign(**{name: truth[:, 0]})
    return with_columns(frame, {f"{name} {output}": truth[:, o] for o, output in enumerate(question.view.inner.outputs)})
