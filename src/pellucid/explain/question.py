"""A question about a model, made ready: who is asked, about which rows, against which background, with what budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.probe.budget import Budget
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.foreign import as_predictor
from pellucid.probe.masker import Drawer, Players, reference_rows
from pellucid.probe.tree_sum import CHECKED
from pellucid.probe.view import View
from pellucid.protocols import FloatArray, RowModel
from pellucid.random import as_seed
from pellucid.registry import Entry
from pellucid.results import Explanation, RunRecord
from pellucid.table import Table

__all__ = ["BACKGROUND_ROWS", "Budget", "Question", "ask"]

BACKGROUND_ROWS = 100
LATEST = 3.0
"""Times the seconds asked for, and seconds more, at which an answer that is still not there is refused."""
INSIDE = frozenset({"gradients", "hidden", "parts"})
"""Needs of methods whose number of model rows is fixed: a budget cannot thin them out, so it is refused where they pass it."""
FORWARD = ("contextual_decomposition", "contextual_decomposition_pairs")
"""Methods that need a network's operations and take no slope of them."""


@dataclass(frozen=True)
class Question:
    """Everything a method needs, checked.

    Attributes
    ----------
    method : registry name.
    view : the predictor with the outputs asked for; counts the rows it evaluates.
    table : the N rows; players : the P players; background : the B rows that lend their cells to absent players.
    kept : the rows the background was taken from. fill, budget, precision, seed : as asked.
    y : labels (N,), or None.
    options : the method's own settings, defaults included.
    kept_labels : true answers of ``kept``, (M,) labels or numbers or (M, O) numbers; None where they are not known.
    drawer : of the fill ``"row_model"``, else None; the background are then draws with nothing known.
    """

    method: str
    view: View
    table: Table
    players: Players
    background: Table
    kept: Table
    fill: str
    budget: Budget
    precision: float | None
    seed: int
    y: Any
    settings: Mapping[str, Any]
    caveats: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    kept_labels: Any = None
    drawer: Drawer | None = None
    started: float = field(default_factory=time.perf_counter)

    def engine(self, background: Table | None = None) -> CoalitionEngine:
        """Return the coalition engine over the rows and the background."""
        rows = self.background if background is None else background
        few = self.budget.rows is not None and self.budget.rows < len(self.table) + len(rows) + CHECKED
        return CoalitionEngine(self.view, self.table, rows, self.players, drawer=self.drawer, trees=not few)

    def record(self, settings: Mapping[str, Any] | None = None, caveats: Sequence[str] = ()) -> RunRecord:
        """Return the record of the answer, complete for replay; ``settings["evals_per_row"]`` is the model rows per explained row."""
        counted = {"evals_per_row": round(self.view.n_calls / max(1, len(self.table)), 1)}
        return RunRecord(
            method=self.method,
            settings={**self.settings, **counted, **(settings or {})},
            seed=self.seed,
            data=self.table.fingerprint(),
            duration=time.perf_counter() - self.started,
            n_calls=self.view.n_calls,
            caveats=(*self.caveats, *caveats),
        )

    def answer(
        self,
        values: FloatArray,
        base: FloatArray,
        predictions: FloatArray,
        *,
        error: FloatArray | None = None,
        complete: bool = True,
        settings: Mapping[str, Any] | None = None,
        caveats: Sequence[str] = (),
        says: str = "moves",
    ) -> Explanation:
        """Return the explanation from ``values`` (N, P, O), ``base`` (N, O) or (O,) and ``predictions`` (N, O)."""
        base = np.broadcast_to(base, predictions.shape).copy()
        gap = predictions - base - values.sum(1) if complete else None
        one = len(self.view.outputs) == 1

        def cut(a: FloatArray | None) -> FloatArray | None:
            return a[..., 0] if one and a is not None else a

        record = self.record(settings, caveats)
        return Explanation(
            values=values[..., 0] if one else values,
            base_values=base[..., 0] if one else base,
            columns=self.players.names,
            outputs=self.view.outputs,
            data=self.table.frame,
            scale=self.view.scale,
            method=self.method,
            record=record,
            predictions=predictions[..., 0] if one else predictions,
            error=cut(error),
            gap=cut(gap),
            n_calls=record.n_calls,
            says=says,
        )


def labels(model: Any, X: Any) -> Any:
    """Return the target's cells where ``X`` holds them (a Table with a target, or a frame with the target column of fit), else None."""
    names: tuple[str, ...] = getattr(getattr(model, "target_", None), "names", ())
    if isinstance(X, Table):
        known = X.target or (names[0] if len(names) == 1 and names[0] in X.frame.columns else None)
        return None if known is None else X.frame[known].to_numpy()
    if len(names) == 1 and hasattr(X, "columns") and names[0] in list(X.columns):
        return np.asarray(X[names[0]])
    return None


def ask(
    model: Any,
    X: Any,
    *,
    entry: Entry,
    of: str = "prediction",
    output: Any = None,
    versus: Any = None,
    scale: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    fill: str = "marginal",
    background: Any = None,
    budget: Any = None,
    precision: float | None = None,
    random_state: Any = None,
    y: Any = None,
    options: Mapping[str, Any] | None = None,
    row_model: Any = None,
) -> Question:
    """Return the question, or an error that says what is wrong with it. See :func:`pellucid.explain.explain`.

    Methods that need the "whole table" speak of all rows together and need no background; those that also need "labels" compare losses.
    """
    chosen = entry.settled(options, "{'order': 2}")
    whole = "whole table" in entry.needs
    started, allowed = time.perf_counter(), Budget.of(budget)
    alone = whole or ("explainer" in entry.needs and "background" not in entry.needs)  # nothing is compared with other rows
    model = _own(chosen) if model is None else model
    if precision is not None and not (isinstance(precision, int | float | np.number) and 0 < precision < 1):
        raise RequestError("precision cannot be used", expected="a share between 0 and 1, such as 0.02", got=repr(precision))
    if groups is not None and not isinstance(groups, Mapping):
        raise ArgumentError("groups cannot be used", expected="a mapping such as {'person': ['age', 'sex']}", got=type(groups).__name__)
    given = background is not None
    predictor = as_predictor(model, X, X if alone and not given else background, scale=scale, of=of)
    if whole and "labels" in entry.needs and scale is None and predictor.task == "classification" and predictor.scale == "log-odds":
        predictor = as_predictor(model, X, X if not given else background, scale="probability", of=of)  # losses are taken of probabilities
    view = View(predictor, output, versus)
    if allowed.seconds is not None:
        view.until = started + LATEST * (allowed.seconds + 1)
    if allowed.rows is not None and INSIDE & set(entry.needs):
        view.most = allowed.rows
    table = view.read(X)
    y = labels(model, X) if y is None and whole else y
    if len(table) == 0:
        raise EmptyTableError("there are no rows to explain")
    seed, players = as_seed(random_state), Players.of(view.columns, groups)
    kept = view.read(background) if given else (table if alone else view.background())
    if kept is None or len(kept) == 0:
        raise RequestError("the model kept no rows to compare with", do="pass background=, or fit with keep_rows above 0")
    kept = kept.select(view.columns)
    drawer, reference, caveat = _reference(entry, predictor, kept, view.columns, fill, seed, row_model, given=given)
    settings = {
        "of": of,
        "output": output,
        "versus": versus,
        "scale": view.scale,
        "groups": dict(groups) if groups else None,
        "fill": fill,
        "budget": budget,
        "precision": precision,
        "background_rows": len(reference),
        "background": reference.fingerprint(),
        **({"options": dict(chosen)} if chosen else {}),
    }
    return Question(
        entry.name, view, table, players, reference, kept, fill, allowed, precision, seed, y, settings,
        (() if alone else _about_rows(entry, caveat, kept, given, fill, chosen)) + _about_jumps(entry, view), chosen,
        labels(model, background) if given else _known_labels(predictor), drawer, started,
    )  # fmt: skip


def _reference(
    entry: Entry, predictor: Any, kept: Table, columns: tuple[str, ...], fill: str, seed: Any, row_model: Any, *, given: bool
) -> tuple[Drawer | None, Table, str]:
    """Return (what draws absent cells, the rows whose cells absent columns hold, what to know of them); ``given``: rows of the caller."""
    if fill in ("row_model", "conditional") and not {"black box", "background"} <= set(entry.needs):
        raise RequestError(
            f"{entry.name!r} does not fill in columns given the known ones",
            got=f"fill={fill!r}",
            do="use method='shapley', or leave fill out",
        )
    if fill == "row_model":
        drawer = Drawer(_row_model(predictor, row_model), columns, seed)
        caveat = f"absent columns are drawn {BACKGROUND_ROWS} times given the known ones"
        caveat += ": values without a stated error have the error of those draws"
        return drawer, drawer.nobody(kept, BACKGROUND_ROWS), caveat
    reference, caveat = reference_rows(kept, fill, size=BACKGROUND_ROWS, seed=seed, given=given)
    if fill == "marginal" and len(reference) > 1:
        caveat += "; other rows give other values, which no error counts"
    if fill == "missing":
        caveat += _about_missing(predictor)
    if fill == "conditional":
        caveat += "; the few of them most like a row lend it their cells, so that other background rows give other values"
        caveat += "" if given else ": pass some 1,000 as background= where that matters"
    return None, reference, caveat


def _own(chosen: Mapping[str, Any]) -> Any:
    """Return the predictor of the labels that a fitted selector holds, for questions without a model."""
    from pellucid.explain.choice import own_predictor

    return own_predictor(chosen.get("explainer"))


def _known_labels(predictor: Any) -> Any:
    return predictor.background_labels() if hasattr(predictor, "background_labels") else None


def _row_model(predictor: Any, given: Any) -> Any:
    """Return the row model that was passed, or the predictor's own."""
    found = given if given is not None else getattr(predictor, "row_model", None)
    if found is None:
        raise RequestError(
            "fill='row_model' needs a row model, and the model has none",
            do="call model.fit_row_model() first, or pass row_model=pellucid.RowModel().fit(table)",
        )
    if not isinstance(found, RowModel):
        raise ArgumentError("row_model cannot be used", expected="a fitted pellucid.RowModel", got=type(found).__name__)
    return found


def _about_rows(entry: Entry, caveat: str, kept: Table, given: bool, fill: str, chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what to say of the rows compared with: ``caveat`` is about those that lend cells, and some methods let none do so."""
    whose = f"{len(kept)} rows {'that were given' if given else 'kept at fit'}"
    if "training rows" in entry.needs:
        return (f"the known rows are {whose}",)
    if fill != "marginal" or not {"gradients", "parts"} & set(entry.needs) or chosen.get("reference") == "background":
        return (caveat,)
    if entry.name in (*FORWARD, "lrp"):
        return ("nothing is compared with other rows: what stands in the network for this row is shared out",)
    return () if "parts" in entry.needs else (f"what is usual is told by {whose}",)


def _about_jumps(entry: Entry, view: View) -> tuple[str, ...]:
    """Return what a reader of slopes must know of a network that jumps; methods whose values add up take differences there.

    So do those that split the row's own activations on their way to the answer.
    """
    if not view.jumps or "gradients" not in entry.needs or "completeness" in entry.axioms or entry.name in FORWARD:
        return ()
    return (f"the network is no smooth curve: {view.jumps}. They say nothing of a jump: compare with method='shapley' or 'deeplift'",)


def _about_missing(predictor: Any) -> str:
    """Return what to add to the caveat: rows with many missing cells are nothing new only to a model that learned from such rows."""
    if getattr(predictor, "learned_missing", False):
        return ", as it learned from rows with hidden columns"
    native = getattr(predictor, "_types", {}).get("") if getattr(predictor, "library", "") == "numpy" else None
    if native is not None and np.dtype(native).kind in "iub":
        raise RequestError("whole numbers cannot be missing", expected="an array of floats", got=str(native), do="pass X.astype(float)")
    return ", and it did not learn from rows with hidden columns: such rows may be unlike any it knows (see regularizers='mask_columns')"
