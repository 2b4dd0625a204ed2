"""The table from above, for a report: which rows become points, their maps, the model's answers to them, and quick reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.cli.subject import LEVEL, Subject
from pellucid.errors import PellucidError
from pellucid.random import stream
from pellucid.report.facts import Seen
from pellucid.results import Explanation, Finding, Map
from pellucid.table import Table

__all__ = ["look"]

POINTS = 5000
NAMED = 1000
"""Most points kept for rows that findings name."""
EMBEDDED = 400
"""Rows of a t-SNE: the four that stand beside each other take some six seconds of a processor."""
LENT = 5
"""Rows that lend their cells to the quick reasons."""
LEAST = 10
"""Fewest points with quick reasons that are worth showing."""
SECONDS = {True: 4.0, False: 15.0}

Ints = npt.NDArray[np.int64]


def look(
    table: Table, subject: Subject | None, findings: Sequence[Finding], rows: Ints | None, own: bool, seed: int, quick: bool
) -> tuple[Seen | None, tuple[str, ...]]:
    """Return (the points, in words what could not be made).

    Parameters
    ----------
    rows : the explained test rows. own : True where the test rows are rows of ``table``; else the points are those of the test file.
    """
    try:
        return _look(table, subject, findings, rows, own, seed, quick)
    except PellucidError as error:
        return None, (f"The table from above: {error}",)


def _look(
    table: Table, subject: Subject | None, findings: Sequence[Finding], rows: Ints | None, own: bool, seed: int, quick: bool
) -> tuple[Seen, tuple[str, ...]]:
    whole = table if own or subject is None else subject.test
    if subject is not None:
        whole = whole.with_roles(target=subject.target)
    test = np.zeros(0, np.int64) if subject is None else subject.origin if own else np.arange(len(whole))
    first = np.zeros(0, np.int64) if subject is None or rows is None else test[rows]
    at = _points(len(whole), findings if own else (), first, test, seed)
    points, held = whole.take(at), np.isin(at, test)
    lost: list[str] = []
    maps, shown = _maps(points, subject, held, quick, seed, lost)
    answers = None if subject is None else _answers(subject, points)
    reasons, explained = (
        (None, None) if subject is None else _reasons(subject, points, np.isin(at, first), held, SECONDS[quick], seed, lost)
    )
    return (
        Seen(
            points.frame, at, maps, shown, None if subject is None else held, answers, reasons, explained,
            None if quick else _layers(subject, points, held, seed), _representatives(points, seed, lost),
        ),
        tuple(lost),
    )  # fmt: skip


def _points(n: int, findings: Sequence[Finding], first: Ints, test: Ints, seed: int) -> Ints:
    """Return positions of the points in order: explained rows, rows that findings name, test rows, and others, as far as there is room."""
    order = {"high": 0, "medium": 1, "low": 2}
    named = [np.asarray(f.rows, np.int64) for f in sorted(findings, key=lambda f: order[f.severity]) if len(f.rows) <= n // 2]
    queue = [first, np.concatenate(named or [first])[:NAMED], stream(seed, "points").permutation(test), stream(seed, "rest").permutation(n)]
    every = np.concatenate(queue)
    _, at = np.unique(every, return_index=True)
    return np.sort(every[np.sort(at)][:POINTS]).astype(np.int64)


def _maps(
    points: Table, subject: Subject | None, held: npt.NDArray[np.bool_], quick: bool, seed: int, lost: list[str]
) -> tuple[tuple[Map, ...], tuple[Ints, ...]]:
    """Return (maps of the table and of the network's layers, which points each shows)."""
    maps, shown = [], []
    unseen = np.flatnonzero(held)
    some = np.arange(len(points)) if len(points) <= EMBEDDED else np.sort(stream(seed, "embedded").permutation(len(points))[:EMBEDDED])
    few = unseen if len(unseen) <= EMBEDDED else np.sort(stream(seed, "embedded").permutation(unseen)[:EMBEDDED])
    wanted: list[tuple[Ints, str, str | None]] = [(np.arange(len(points)), "pca", None)]
    wanted += [] if quick else [(some, "tsne", None)]
    layers = () if subject is None else _layer_names(subject)
    if layers:
        wanted += [(unseen, "pca", layers[0]), (unseen, "pca", "last")] if len(layers) > 1 else [(unseen, "pca", "last")]
        wanted += [] if quick else [(few, "tsne", "last")]
    for rows, method, layer in wanted:
        if len(rows) < 30:
            continue
        try:
            made = _map(points.take(rows), None if layer is None or subject is None else subject.model, method, layer, seed)
        except PellucidError as error:
            lost.append(f"A map by {method}{f' of layer {layer}' if layer else ''}: {error}")
            continue
        # cells and answers stand once beside the points, not again with every map
        maps.append(replace(made, data=made.data[[]], target=None, answers=None, index=rows))
        shown.append(rows)
    return tuple(maps), tuple(shown)


def _map(points: Table, model: Any, method: str, layer: str | None, seed: int) -> Map:
    from pellucid.maps import map

    options = {"rows": None}
    made = map(points, method=method, random_state=seed, options=options) if model is None else map(
        model, X=points, layer=layer, method=method, random_state=seed, options=options
    )  # fmt: skip
    assert isinstance(made, Map)
    return made


def _layer_names(subject: Subject) -> tuple[str, ...]:
    if not subject.differentiable:
        return ()
    predictor = subject.model.predictor()
    return tuple(predictor.hidden_layers()) if hasattr(predictor, "hidden_layers") else ()


def _layers(subject: Subject | None, points: Table, held: npt.NDArray[np.bool_], seed: int) -> pd.DataFrame | None:
    if subject is None or subject.task != "classification" or not _layer_names(subject) or held.sum() < 30:
        return None
    from pellucid.maps.depth import silhouettes

    try:
        return silhouettes(subject.model, points.take(np.flatnonzero(held)), rows=1000, seed=seed)
    except PellucidError:
        return None  # one class alone among the points: nothing can stand apart


def _inputs(subject: Subject, points: Table) -> Any:
    part = points.drop([subject.target])
    return part if subject.ours else part.native()


def _answers(subject: Subject, points: Table) -> pd.DataFrame:
    """Return predicted and doubt of every point; of our models also interval and familiarity."""
    X = _inputs(subject, points)
    if subject.task == "classification":
        p = np.asarray(subject.model.predict_proba(X), float)
        best = p.argmax(1)
        out = pd.DataFrame({"predicted": np.asarray(subject.classes, object)[best], "doubt": 1 - p[np.arange(len(p)), best]})
    else:
        out = pd.DataFrame({"predicted": np.asarray(subject.model.predict(X), float)})
    if not subject.ours:
        return out
    try:
        sure = subject.model.uncertainty(X, level=LEVEL)
    except PellucidError:
        return out  # certainty was not fitted; the page says so where it speaks of certainty
    if sure.low is not None and sure.high is not None and sure.low.ndim == 1:
        out["low"], out["high"] = sure.low, sure.high
        out["doubt"] = (sure.high - sure.low) / 2
    if sure.familiarity is not None:
        out["familiarity"] = sure.familiarity
    return out


def _reasons(
    subject: Subject, points: Table, first: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_], seconds: float, seed: int, lost: list[str]
) -> tuple[Explanation | None, Ints | None]:
    """Return (quick contributions, at which points): what the answer loses when a cell is exchanged for those of a few other rows.

    As many points as the seconds allow at the model's pace, those that are explained in full and those of the test rows first.
    """
    from pellucid.explain import explain

    order = np.lexsort((np.arange(len(points)), ~held, ~first))
    lent = np.sort(stream(seed, "lent").permutation(len(subject.train))[:LENT])
    background = _inputs(subject, subject.train.take(lent))

    n = int(seconds * subject.pace() / (LENT * len(subject.test.features) + 1))
    if n < min(LEAST, len(order)):
        lost.append(f"Quick reasons at the points of the maps: the model is too slow for {LEAST} of them in {seconds:g} s")
        return None, None
    rows = np.sort(order[:n])
    try:
        made = explain(subject.model, _inputs(subject, points.take(rows)), method="occlusion", background=background, random_state=seed)
    except PellucidError as error:
        lost.append(f"Quick reasons at the points of the maps: {error}")
        return None, None
    return made, rows


def _representatives(points: Table, seed: int, lost: list[str]) -> Any:
    from pellucid.maps import map

    try:
        return map(points, method="representatives", random_state=seed, options={"rows": 1000})
    except PellucidError as error:
        lost.append(f"Rows that stand for the others: {error}")
        return None
