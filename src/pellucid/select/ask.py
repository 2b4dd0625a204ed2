"""A request for a selection made ready: the rows that are tested, the model, the draws, the level."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, EmptyTableError, RequestError, TargetError, quote
from pellucid.probe.foreign import as_predictor, read
from pellucid.probe.sampler import Conditionals, Sampler
from pellucid.probe.truth import known_truth
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, stream
from pellucid.registry import Entry
from pellucid.results import RunRecord, Selection
from pellucid.select.quick import QuickModel
from pellucid.table import Table

__all__ = ["Ask", "ask"]

CHUNK = 100_000


@dataclass
class Ask:
    """Everything a selector needs, checked.

    Attributes
    ----------
    table : the N rows that are tested, of the P input columns. y : (N,) class numbers or numbers, (N, O) of several outputs, or None.
    view : the model, which has not seen these rows where it was fitted here; None where the method needs none and none was given.
    sampler : draws cells given the others. level, seed, options : as asked.
    classes : number of classes of ``y``; 0 for numbers. kept : the rows the draws are learned from, where nothing else is given.
    """

    method: str
    table: Table
    y: FloatArray | None
    view: View | None
    sampler: Sampler
    level: float
    seed: int
    options: Mapping[str, Any]
    classes: int
    settings: Mapping[str, Any]
    kept: Table
    caveats: tuple[str, ...] = ()
    started: float = field(default_factory=time.perf_counter)

    @property
    def columns(self) -> tuple[str, ...]:
        """The P columns."""
        return self.table.columns

    def model(self) -> View:
        """Return the model, or an error that says one is needed."""
        if self.view is None:
            raise RequestError(f"{self.method!r} asks a model", do="pass the fitted model and X=, or a table with a target")
        return self.view

    def labels(self) -> FloatArray:
        """Return the labels, or an error that says they are needed."""
        if self.y is None:
            raise RequestError(f"{self.method!r} compares losses, and there are no labels", do="pass y=")
        return self.y

    def known(self, column: int, n: int | None = None) -> npt.NDArray[np.bool_]:
        """Return (N, P): every cell known but those of one column."""
        out = np.ones((len(self.table) if n is None else n, len(self.columns)), bool)
        out[:, column] = False
        return out

    def drawn(self, column: int, table: Table, chunk: int = 0) -> Table:
        """Return the rows with one column drawn anew given the others."""
        seed = integer(self.seed, "draws", self.columns[column], chunk) % 2**31
        (made,) = self.sampler.sample(table, self.known(column, len(table)), 1, seed)
        return made

    def answers(self, column: int, n: int, table: Table | None = None) -> FloatArray:
        """Return the model's answers (n, N, O) to the rows with one column drawn anew n times, at most 100,000 rows at a time."""
        rows, view = self.table if table is None else table, self.model()
        at, out = np.arange(len(rows)), []
        step = max(1, CHUNK // len(rows))
        for s in range(0, n, step):
            size = min(step, n - s)
            raw = view.raw(self.drawn(column, rows.take(np.tile(at, size)), s))
            out.append(raw.reshape(size, len(rows), -1))
        return np.concatenate(out)

    def chosen_output(self, raw: FloatArray) -> npt.NDArray[np.int64]:
        """Return the output that is followed in each row: the only one, or the largest."""
        return np.asarray(raw.argmax(1) if raw.shape[1] > 1 else np.zeros(len(raw), int))

    def answer(
        self, chosen: npt.NDArray[np.bool_], statistic: FloatArray, control: str, words: str, *, rows: bool = False, **more: Any
    ) -> Selection:
        """Return the selection with its record; ``rows``: it speaks of single rows."""
        calls = 0 if self.view is None else self.view.n_calls
        record = RunRecord(
            self.method, dict(self.settings), self.seed, self.table.fingerprint(), time.perf_counter() - self.started, calls, self.caveats
        )
        index = np.asarray(self.table.index) if rows else None
        return Selection(self.columns, chosen, statistic, self.level, control, words, self.method, record, index=index, **more)


def ask(
    subject: Any,
    entry: Entry,
    *,
    X: Any,
    y: Any,
    target: str | None,
    level: float,
    background: Any,
    sampler: Any,
    output: Any,
    random_state: Any,
    options: Mapping[str, Any] | None,
) -> Ask:
    """Return the request, or an error that says what is wrong with it. See :func:`pellucid.select.select`."""
    chosen, seed = entry.settled(options, "{'draws': 199}"), as_seed(random_state)
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise RequestError("the level cannot be used", expected="a share between 0 and 1, such as 0.1", got=repr(level))
    if sampler is not None and not hasattr(sampler, "sample"):
        raise ArgumentError("the sampler cannot draw", expected="sample(table, known, n, seed)", got=type(sampler).__name__)
    settings = {"level": level, "output": output, "options": dict(chosen), "sampler": type(sampler).__name__ if sampler else "Conditionals"}
    model = X is not None or callable(getattr(subject, "predict", None)) or (hasattr(subject, "raw") and not isinstance(subject, Table))
    if not model:
        return _of_table(subject, entry, y, target, level, background, sampler, seed, chosen, settings)
    if X is None:
        raise RequestError("a model is tested on rows", do="pass X=")
    probability = "labels" in entry.needs and getattr(subject, "classes_", None) is not None
    predictor = as_predictor(subject, X, background, scale="probability" if probability else None)
    view = View(predictor, output)
    table = read(predictor, X).select(predictor.columns)
    kept = table if background is None and predictor.background() is None else predictor.background()
    kept = read(predictor, background) if background is not None else kept
    assert kept is not None
    labels, classes = (None, 0) if y is None else _judged(view, y, len(table))
    return _made(entry, table, labels, view, sampler, kept.select(table.columns), level, seed, chosen, classes, settings, ())


def _of_table(
    subject: Any, entry: Entry, y: Any, target: str | None, level: float, background: Any, sampler: Any, seed: int,
    chosen: Mapping[str, Any], settings: Mapping[str, Any],
) -> Ask:  # fmt: skip
    """Return the request about a table: a model of boosted trees is fitted on half of its rows where the method asks one."""
    from pellucid.table import read_table

    table = subject if isinstance(subject, Table) else read_table(subject, target=target)
    table = table.with_roles(target=target) if target is not None and isinstance(subject, Table) else table
    inputs = table.select(table.features)
    if y is None and table.target is not None:
        y = table.numbers(table.target) if table.schema[table.target].type == "number" else table.texts(table.target)
    if y is None:
        raise RequestError("the table has no target", do="pass target=, or a model and X=")
    here = np.array([v is not None and v == v for v in np.asarray(y, object)])
    inputs, labels = inputs.take(np.flatnonzero(here)), np.asarray(y)[here]
    if background is not None and not isinstance(background, Table):
        raise ArgumentError("the background of a table is a table", expected="a Table", got=type(background).__name__)
    kept = inputs if background is None else background.select(inputs.columns)
    if len(set(labels.tolist())) < 2:
        raise TargetError(
            "the target does not vary, so no column can tell anything about it",
            expected="two values or more",
            got=f"{len(labels)} rows of {quote(dict.fromkeys(labels.tolist()))}",
        )
    codes, classes = _codes(labels)
    if "black box" not in entry.needs and "labels" not in entry.needs:
        return _made(entry, inputs, codes, None, sampler, kept, level, seed, chosen, classes, settings, ())
    order = stream(seed, "halves").permutation(len(inputs))
    fit, test = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    model = QuickModel(inputs.take(fit), codes[fit], classes, integer(seed, "model") % 2**31)
    caveat = f"the model is of boosted trees fitted on {len(fit)} rows; the other {len(test)} were tested"
    return _made(entry, inputs.take(test), codes[test], View(model), sampler, kept, level, seed, chosen, classes, settings, (caveat,))


def _made(
    entry: Entry, table: Table, y: FloatArray | None, view: View | None, sampler: Any, kept: Table, level: float, seed: int,
    options: Mapping[str, Any], classes: int, settings: Mapping[str, Any], caveats: tuple[str, ...],
) -> Ask:  # fmt: skip
    if len(table) == 0:
        raise EmptyTableError("there are no rows to test")
    drawn = sampler if sampler is not None else Conditionals(kept)
    if sampler is None:
        caveats = (*caveats, f"cells were drawn by a Gaussian copula learned from {len(kept)} rows")
    return Ask(entry.name, table, y, view, drawn, float(level), seed, options, classes, settings, kept, caveats)


def _judged(view: View, y: Any, n: int) -> tuple[FloatArray, int]:
    """Return (class numbers (n,), or numbers (n,), or (n, O) of several outputs; number of classes, two where one is asked about)."""
    truth = known_truth(view, y, n).astype(np.float64)
    if view.task != "classification":
        return truth[:, 0] if truth.shape[1] == 1 else truth, 0
    return truth, 2 if len(view.outputs) == 1 else len(view.classes)


def _codes(y: npt.NDArray[Any]) -> tuple[FloatArray, int]:
    """Return (class numbers or numbers, number of classes) of a table's labels: numbers where there are more than two."""
    classes, codes = np.unique(y, return_inverse=True)
    if y.dtype.kind in "iuf" and len(classes) > 2:
        return y.astype(np.float64), 0
    return codes.astype(np.float64), len(classes)
