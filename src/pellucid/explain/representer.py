"""Representer values: the answer as a sum of one part per training row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.explain.last_layer import LastLayer
from pellucid.explain.nearest_rows import data_of, known_answers
from pellucid.explain.question import Question
from pellucid.protocols import FloatArray
from pellucid.results import Neighbours
from pellucid.results.text import number

__all__ = ["explain", "named", "scale_of"]

BLOCK = 4_000_000


def explain(question: Question) -> Neighbours:
    """Return the kept rows with the largest parts in each answer; all parts and ``rest`` add up to the refitted last layer's output.

    Yeh, Kim, Yen, Ravikumar 2018, arXiv:1811.09720; with ``penalty="l1"`` the sparse last layer of Tsai, Yeh, Ravikumar 2023,
    arXiv:2305.20002. ``strength`` is the penalty. A row's part is positive where it raises the output. ``record.settings["fidelity"]`` is
    the rank correlation of the refitted output with the model's own, ``["off"]`` how far apart the two are on average, on the scale of
    the model's answers, and ``["spread"]`` the standard deviation of the latter: what is explained is the refitted one. ``rest`` holds the
    parts of all other rows, and of numbers the mean of the kept rows (``["offset"]``). A part is what a row brings to the sum, not what
    would happen without it: ``influence`` speaks of that.
    Cost: two forward passes per row, one convex fit of the last layer on the M kept rows, and N M H multiplications.
    """
    options, view = question.options, question.view
    strength, k = float(options["strength"]), int(options["k"])
    if options["penalty"] not in ("l2", "l1") or not strength > 0 or k < 1:
        raise RequestError(
            "these options cannot be used", expected="penalty 'l2' or 'l1', strength above 0, k at least 1", got=str(dict(options))
        )
    layer, caveats = LastLayer.of(question)
    fit = layer.fit_l2(strength) if options["penalty"] == "l2" else layer.fit_l1(strength)
    full = view.linear(layer.rows @ fit.theta * layer.scale + (layer.center if layer.task == "numbers" else 0.0))
    positions, weight = named(question, lambda rows: fit.shares(rows, layer.kept) * layer.scale, layer.rows, k)
    view.n_calls += len(question.table)
    theirs = np.asarray(view.inner.raw(question.table), np.float64)
    offset = layer.center if layer.task == "numbers" else np.zeros(len(layer.center))
    settings = {
        "stationary": fit.gap,
        "fidelity": _fidelity(layer.comparable(layer.rows @ fit.theta), theirs),
        "zero_features": float((fit.theta == 0).mean()),
        "offset": view.linear(offset).tolist(),
    }
    ours = layer.comparable(layer.rows @ fit.theta * layer.scale + offset)
    if view.scale == "probability":
        ours = 1 / (1 + np.exp(-ours))
    words, settings["off"], settings["spread"] = _disagreement(view.linear(ours), view.linear(theirs), settings["fidelity"], view.scale)
    return Neighbours(
        index=question.table.index, positions=positions, data=data_of(question, None if caveats else known_answers(question)[0]),
        outputs=view.outputs, scale=scale_of(question), method=question.method, weight=weight, rest=full - weight.sum(1),
        record=question.record(settings, (*caveats, words)),
    )  # fmt: skip


def _disagreement(ours: FloatArray, theirs: FloatArray, fidelity: float | None, scale: str) -> tuple[str, float, float | None]:
    """Return the caveat, how far the refitted answers (N, O) are from the model's on average, and how far the latter are apart."""
    off = float(np.abs(ours - theirs).mean())
    spread = float(theirs.std(0).mean()) if len(theirs) > 1 else None
    words = f"parts add up to the answer of a last layer fitted again, which is off the model's own by {number(off)} ({scale}) on average"
    if spread is not None:
        words += f", where these rows' answers have a standard deviation of {number(spread)}"
    return words + (f"; it ranks them with a correlation of {fidelity}" if fidelity is not None else ""), off, spread


def scale_of(question: Question) -> str:
    """Return the unit of a last layer's outputs: log-odds, logits or the target's unit."""
    size = len(question.view.classes)
    return "log-odds of the last layer" if size == 2 else "logits of the last layer" if size else question.view.scale


def named(
    question: Question, parts: Callable[[FloatArray], FloatArray], rows: FloatArray, k: int
) -> tuple[npt.NDArray[np.int64], FloatArray]:  # fmt: skip
    """Return the places (N, k) and parts (N, k, O) of the kept rows with the largest parts: ``parts`` maps rows (n, H) to (n, M, O')."""
    m, n_outputs = len(question.kept), len(question.view.inner.outputs)
    k, step = min(k, m), max(1, BLOCK // (m * n_outputs))
    places, weights = [], []
    for s in range(0, len(rows), step):
        part = question.view.linear(parts(rows[s : s + step]))
        at = np.argsort(-np.abs(part).sum(2), axis=1, kind="stable")[:, :k]
        places.append(at)
        weights.append(np.take_along_axis(part, at[:, :, None], 1))
    return np.concatenate(places), np.concatenate(weights)


def _fidelity(ours: FloatArray, theirs: FloatArray) -> float | None:
    """Return the mean rank correlation of two sets of outputs (N, O); None where one of them is constant."""
    a, b = (np.asarray(pd.DataFrame(x).rank()) for x in (ours, theirs))
    a, b = a - a.mean(0), b - b.mean(0)
    size = np.sqrt(np.square(a).sum(0) * np.square(b).sum(0))
    return round(float(((a * b).sum(0) / size).mean()), 4) if (size > 0).all() else None
