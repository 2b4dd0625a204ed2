"""One explanation on trial: what the trials are given, and how they are run one after the other within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid import registry
from pellucid.errors import ArgumentError, PellucidError, RequestError, TargetError
from pellucid.evaluate.figures import ALIKE, SAME, Figure, agreement, mean_figure
from pellucid.evaluate.refit import CloneRefit
from pellucid.probe.budget import Budget
from pellucid.probe.foreign import as_predictor, read
from pellucid.probe.masker import reference_rows
from pellucid.probe.view import View
from pellucid.protocols import DifferentiablePredictor, FloatArray, MemberPredictor, Predictor
from pellucid.random import as_seed, integer, stream
from pellucid.results import AttentionMaps, Curve, Explanation, Importance, Interactions, Rules, RunRecord, Trial
from pellucid.table import Table

__all__ = ["LEAST_ROWS", "Again", "Case", "NotTestable", "Short", "by_column", "cube", "run", "seconds_of"]

SECONDS = 120.0
BACKGROUND = 32
COARSE = 0.05
ROUGH = 0.1
"""For models that learned nothing: their small values cost many games to be told finely, and an error of a tenth lowers a rank agreement
by a hundredth."""
LEAST_ROWS = 8
LEAST_SECONDS = 1.0
"""A fit is given this much, however little is left."""
VOUCHED = 6
FAR = 0.25
"""Share of their size by which values may differ from those of the method, beside what it differs from itself."""
NAN = (float("nan"), float("nan"))
Answer = Explanation | Importance | Interactions | Curve | Rules | AttentionMaps
"""What can be tried. A trial that reads more than an answer gives is "not testable"."""


class NotTestable(Exception):
    """A trial does not apply here, or cannot be run: the reason, in words. A signal between a trial and its runner, never seen by users."""


class Short(NotTestable):
    """The time that a trial has does not reach: it is asked once more where the trials after it left some."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the time is short: {reason}; a larger budget for the trials would do")


class Again(Protocol):
    """Explains rows once more, with the settings of the explanation on trial."""

    def __call__(
        self, predictor: Any, X: Table, *, background: Table | None, random_state: int, budget: Any, precision: float | None
    ) -> Answer: ...


def cube(explanation: Answer) -> FloatArray:
    """Return the values as (N, P, O); what speaks of a whole table is one row.

    Sets of columns (Interactions), places along columns (Curve) and pairs of tokens (AttentionMaps, mean over layers and heads, whose
    numbers mean nothing in another network) stand where columns stand, so that their order can be compared.
    """
    if isinstance(explanation, Explanation):
        return explanation.cube()
    if isinstance(explanation, Interactions):
        return explanation.by_set
    if isinstance(explanation, Curve):
        # what a curve says is its shape: the level of a panel is not compared with that of another
        return np.concatenate([v - v.mean(0) for v in (explanation.values[c] for c in explanation.columns)])[None]
    if isinstance(explanation, Importance):
        return np.asarray(explanation.values)[None, :, None]
    if isinstance(explanation, AttentionMaps):
        return np.asarray(explanation.values.mean((1, 2)).reshape(len(explanation), -1, 1))
    raise NotTestable("rules give no number to each column")


def by_column(explanation: Answer) -> FloatArray:
    """Return the sizes (N, P) that an answer gives the columns, averaged over outputs; of a map how much each column is looked at."""
    return explanation.by_column() if isinstance(explanation, AttentionMaps) else np.asarray(np.abs(cube(explanation)).mean(2))


@dataclass(frozen=True)
class Case:
    """Everything a trial may use.

    Attributes
    ----------
    explanation, predictor, table, y : what is on trial, who was explained, the N rows and their labels.
    settings : the options the explanation was made with.
    background : up to 32 rows for the trials' own comparisons; ``given`` the rows the user passed, or None.
    refit : trains again, or None.
    again : explains again.
    seed, deadline : of this trial; the deadline in ``time.perf_counter`` seconds.
    end : when all trials must be over, in the same seconds. pace : seconds of the slowest fit so far (``"fit"``), kept by all trials.
    few : the trial takes the least rows and repetitions that it can judge by.
    cut : what this trial did less of than planned, because the time was short.
    root : the seed of all trials. vouched : what :meth:`vouch` found, kept by all trials.
    """

    explanation: Answer
    predictor: Predictor
    table: Table
    y: Any
    settings: Mapping[str, Any]
    background: Table | None
    given: Table | None
    refit: Any
    again: Again
    seed: int
    deadline: float = np.inf
    end: float = np.inf
    pace: dict[str, float] = field(default_factory=dict)
    few: bool = False
    cut: list[str] = field(default_factory=list)
    root: int = 0
    vouched: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """True where one answer speaks of all rows together."""
        made = self.explanation
        return isinstance(made, Importance | Curve) or (isinstance(made, Interactions) and made.data is None)

    @property
    def values(self) -> FloatArray:
        """The values on trial, (N, P, O)."""
        return cube(self.explanation)

    @property
    def unsigned(self) -> bool:
        """True where values are sizes without a direction."""
        return self.whole or bool((self.values >= 0).all())

    def left(self) -> float:
        """Return the seconds left."""
        return self.deadline - time.perf_counter()

    def on_time(self) -> None:
        """Stop the trial where the time of all trials is over: called before each step that can take long."""
        if time.perf_counter() >= self.end:
            raise Short("that of all trials was over before this one was done")

    def pays(self, fits: int) -> None:
        """Stop the trial where so many fits, as slow as the slowest so far, take more than its share and half of all the time left."""
        need, left = fits * self.pace.get("fit", 0.0), max(self.left(), (self.end - time.perf_counter()) / 2)
        if need > left:
            raise Short(f"{fits} fits would take about {need:.2g} s and {left:.2g} s are left")

    def trained(self, *, max_steps: int | None = None, **changes: Any) -> Predictor:
        """Return the model trained again, by all of its own steps or ``max_steps``, however busy the machine is.

        The clock only keeps a fit from going on after all trials are over: a model that it cut short has learned by the second, and is
        not judged.
        """
        self.on_time()
        left, options = self.end - time.perf_counter(), {}
        if getattr(self.refit, "limits", False):
            options = {"max_steps": max_steps} | ({} if np.isinf(left) else {"time_limit": float(max(left, LEAST_SECONDS))})
        model: Predictor = self.refit(**changes, **options)
        if getattr(model, "hurried", False):
            raise Short(f"a model that is trained again was not done in the {max(left, LEAST_SECONDS):.2g} s that were left")
        return model

    def times(self, most: int, least: int) -> int:
        """Return how often something is repeated at most."""
        return self.reduced(least if self.few else most, most, "repetitions")

    def reduced(self, done: int, planned: int, what: str) -> int:
        """Return ``done``, and note where it is less than planned: the verdict then stands only where its interval leaves no doubt."""
        if done < planned:
            self.cut.append(f"{done} of {planned} {what}")
        return done

    def several(self, one: Callable[[int], FloatArray], most: int, least: int) -> FloatArray:
        """Return ``one(0)``, ``one(1)`` ... stacked: as many as the time reaches, as the slowest so far shows, and ``least`` at least."""
        out: list[FloatArray] = []
        slowest, most = 0.0, self.times(most, least)
        while len(out) < most:
            missing = max(1, least - len(out))
            if out and missing * slowest > self.left():
                if len(out) >= least:
                    self.reduced(len(out), most, "repetitions")
                    break
                more = f"{missing} more explanation{'s' * (missing > 1)} would take about {missing * slowest:.2g} s"
                raise Short(f"{more} and {max(self.left(), 0):.2g} s are left")
            began = time.perf_counter()
            out.append(one(len(out)))
            slowest = max(slowest, time.perf_counter() - began)
        return np.stack(out)

    def view(self) -> View:
        """Return the predictor with the outputs that were explained."""
        return View(self.predictor, self.settings.get("output"), self.settings.get("versus"))

    def needs_columns(self, least: int) -> None:
        """Stop the trial where there are too few columns to have an order."""
        if self.values.shape[1] < least:
            raise NotTestable(f"an order of columns needs at least {least} of them, and the explanation has {self.values.shape[1]}")

    def needs_contributions(self) -> None:
        """Stop the trial where the answer is not one number per column."""
        if not isinstance(self.explanation, Explanation | Importance):
            raise NotTestable(f"this test reads one number per column, and the answer is {type(self.explanation).__name__}")

    def needs_rows(self) -> None:
        """Stop the trial where the answer is not one signed number per row and column."""
        self.needs_contributions()
        if self.whole:
            raise NotTestable("the method speaks of the whole table, not of rows")

    def pick(self, calls: float, most: int = 50, *, coarse: bool = False) -> npt.NDArray[np.int64]:
        """Return positions of the rows that can be explained ``calls`` times in the time left: at most ``most``, at least 8 (or all)."""
        n = len(self.table)
        if self.whole:
            most = least = n = min(n, 500)
        else:
            most, least = min(n, most), min(n, LEAST_ROWS)
        per_row = self.explanation.record.duration / max(1, len(self.table))
        used = self.settings.get("background_rows")
        if coarse and used and self.background is not None:
            per_row *= min(1.0, len(self.background) / used)
        planned, most = most, least if self.few else most
        affordable = most if per_row <= 0 else int(self.left() / (calls * per_row))
        if affordable < least or self.left() <= 0:
            need = f"{least} rows would take about {calls * per_row * least:.2g} s and {max(self.left(), 0):.2g} s are left"
            raise Short(need)
        return self.some(self.reduced(min(most, affordable), planned, "rows"))

    def all_of(self, calls: float, most: int) -> npt.NDArray[np.int64]:
        """Return positions of ``most`` rows (or all) to be explained ``calls`` times: no fewer, however short the time."""
        rows = replace(self, few=False).pick(calls, most, coarse=True)
        n = min(len(self.table), 500 if self.whole else most)
        if len(rows) < n:
            raise Short(f"{n} rows must be explained {calls:g} times, and it reaches for {len(rows)}")
        return rows

    def some(self, most: int) -> npt.NDArray[np.int64]:
        """Return positions of at most so many rows, drawn by chance and in the table's order."""
        return np.sort(stream(self.seed, "rows").permutation(len(self.table))[:most])

    def explain(
        self,
        predictor: Any,
        rows: npt.NDArray[np.int64] | Table,
        *,
        seed: int | None = None,
        background: Table | None = None,
        coarse: bool = False,
        to: float = COARSE,
    ) -> Answer:
        """Return the explanation of some rows (positions, or a table of other rows) by the same method and settings.

        ``coarse`` is for comparing orders of columns: the trials' own background, and standard errors of at most
        ``to`` instead of 2 %.
        """
        self.on_time()
        table = rows if isinstance(rows, Table) else self.table.take(rows)
        # what sums of trees cost hangs little on the number of rows
        share = 1.0 if self.settings.get("way") == "trees" else len(table) / max(1, len(self.table))
        budget = _share(self.settings.get("budget"), share)
        precision = self.settings.get("precision")
        if coarse:
            background, precision = self.background, max(precision, to) if precision else None
        seed = self.seed if seed is None else seed
        again = self.again(predictor, table, background=background, random_state=seed, budget=budget, precision=precision)
        if cube(again).shape[1:] != self.values.shape[1:]:
            raise NotTestable("explaining again gave other columns or outputs")
        return again

    def reached(self, predictor: Any, table: Table) -> int:
        """Return how many of the rows of a table can be explained in the time left, as the first of them show."""
        if self.whole:
            return len(table)
        first = min(len(table), 2 * LEAST_ROWS)
        began = time.perf_counter()
        self.explain(predictor, table.take(slice(0, first)), coarse=True)
        each = (time.perf_counter() - began) / max(1, first)
        return min(len(table), int(max(0.0, self.left()) / max(each, 1e-9)))

    def compared(self) -> Table | None:
        """Return the background rows that the explanation compares with: those given, or those it drew from the kept ones, drawn again.

        None where they cannot be had, or where the method also reads the rows they were drawn from: with its own seed it draws them again.
        """
        known = {e.name: e.needs for e in registry.entries("explain")}
        gradients = "gradients" in known.get(self.explanation.record.method, ())
        if self.given is not None or gradients or self.settings.get("fill", "marginal") != "marginal":
            return self.given
        kept, size, seed = self.predictor.background(), self.settings.get("background_rows", 0), self.explanation.record.seed
        if kept is None or seed is None:
            return None
        drawn = reference_rows(kept.select(self.predictor.columns), "marginal", size=size, seed=seed, given=False)[0]
        return drawn if drawn.fingerprint() == self.settings.get("background") else None

    def own(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return the values on trial of some rows, (n, P, O)."""
        return self.values if self.whole else self.values[rows]

    def vouch(self) -> None:
        """Stop a trial that explains anew where its verdict would not be one on the values on trial.

        The method is asked once more for at most 6 rows, and again where it says something else: where it agrees with itself and not with
        these values, they are not the ones it gives (of another model, of other rows, or changed since), and passing the method would
        pass them unseen.
        """
        if "reason" not in self.vouched:
            n = len(self.table)
            most = min(n, 500) if self.whole else min(n, VOUCHED)
            rows = np.sort(stream(self.root, "vouched").permutation(n)[:most])
            # with its own seed a method compares with the same background rows and draws the same numbers
            own, seed = self.own(rows), self.explanation.record.seed
            first = cube(self.explain(self.predictor, rows, seed=seed, background=self.given))
            self.vouched["reason"] = ""
            if _apart(own, first) > FAR:
                # the other way round: what hangs on a row's place in the lot does not agree with itself
                turned = self.explain(self.predictor, rows[::-1], seed=seed, background=self.given)
                second = cube(turned) if self.whole else cube(turned)[::-1]
                self.vouched["reason"] = _foreign(own, first, second, self.explanation.record.method)
        if self.vouched["reason"]:
            raise NotTestable(self.vouched["reason"])

    def verdict(
        self, name: str, figure: Figure, null: float, passed: bool, words: str, *, clear: bool | None = None, **details: Any
    ) -> Trial:
        """Return the result of a trial that was run; ``tried``, or else ``rows``, in the details is how many rows it rests on.

        ``clear`` : whether no more work could turn the verdict but by chance; None: where the interval lies on one side of ``null``. What
        was cut short and is not clear is no verdict: a slower machine must not fail what a faster one passes.
        """
        value, low, high = map(float, figure)
        if not np.isfinite([value, low, high]).all():
            raise NotTestable("its figure is no number: the model, or its explanation, gives values that are missing or infinite")
        if self.cut and not (not low <= null <= high if clear is None else clear):
            raise Short(f"it reached for {', '.join(self.cut)}, whose figure ({figure}) does not decide")
        rows = details.get("tried", details.get("rows"))
        if isinstance(rows, int):
            words = f"{words} Tried on {rows} row{'s' if rows != 1 else ''}."
        record = RunRecord(name, dict(self.settings), self.seed, self.table.fingerprint())
        return Trial(name, value, (low, high), null, "pass" if passed else "fail", words, record, self.explanation.record.method, details)

    def untested(self, name: str, reason: str) -> Trial:
        """Return the result of a trial that gave no verdict."""
        record = RunRecord(name, dict(self.settings), self.seed, self.table.fingerprint())
        return Trial(
            name, np.nan, NAN, np.nan, "not testable", f"Not tested: {reason.rstrip('.')}.", record, self.explanation.record.method
        )


def _apart(one: FloatArray, other: FloatArray) -> float:
    """Return how far values (n, P, O) are from others, as a share of the size of these."""
    size = float(np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / size if size > 0 else 0.0


def _foreign(own: FloatArray, first: FloatArray, second: FloatArray, method: str) -> str:
    """Return why values (n, P, O) are not those of a method, asked twice more; "" where they are, or it is unsteady.

    Values of another size in the same order are not told from those of a method that scales them by the rows it is given.
    """
    itself, order = _apart(second, first), mean_figure(agreement(own, first[None], signed=True)).value
    # a constant has no order, and agrees with nothing
    if itself >= ALIKE or _apart(own, first) <= FAR + 2 * itself or order >= SAME:
        return ""
    told = "give every column the same value" if np.isnan(order) else f"agree with it at {order:.2f} in the order of the columns"
    return (
        f"the values on trial are not those that {method!r} gives for these rows: asked twice more, its values differ by "
        f"{100 * itself:.0f} % of their size; those on trial differ from them by {100 * _apart(own, first):.0f} %, and {told}. "
        "This test explains anew, and would judge other values"
    )


def _share(budget: Any, factor: float) -> Any:
    """Return the budget for another amount of work: numbers and seconds scale."""
    asked = Budget.of(budget)
    if asked.rows is not None:
        return max(1, round(asked.rows * factor))
    return None if asked.seconds is None else f"{max(0.1, asked.seconds * factor):.3f}s"


def _again(explanation: Answer, settings: Mapping[str, Any], y: Any) -> Again:
    """Return what explains again through the registry, with the explanation's own method and settings."""

    def again(predictor: Any, X: Table, *, background: Table | None, random_state: int, budget: Any, precision: float | None) -> Answer:
        from pellucid.explain import explain

        native = getattr(predictor, "native", lambda table: table)  # models from elsewhere are asked in their own frames
        options = {k: settings[k] for k in ("output", "versus", "groups", "fill", "options") if settings.get(k) is not None}
        if isinstance(explanation, Importance) and y is not None:
            options["y"] = y
        if isinstance(explanation, AttentionMaps):  # its own number of rows is how many were to be shown
            options["options"] = {"rows": len(X)}
        answer: Answer = explain(
            predictor,
            native(X),
            method=explanation.record.method,
            background=None if background is None else native(background),
            random_state=random_state,
            budget=budget,
            precision=precision,
            **options,
        )
        return answer

    return again


def _background(predictor: Predictor, given: Table | None, fill: str, seed: int) -> Table | None:
    """Return the rows the trials compare with; conditional and typical-row fills need all of them."""
    kept = given if given is not None else predictor.background()
    if kept is None or len(kept) == 0:
        return None
    kept = kept.select(predictor.columns)
    if len(kept) <= BACKGROUND or fill != "marginal":
        return kept
    return kept.take(np.sort(stream(seed, "trial background").choice(len(kept), BACKGROUND, replace=False)))


def _shown(maps: AttentionMaps, table: Table) -> npt.NDArray[np.int64] | None:
    """Return the positions of the rows that maps show, among those they were drawn from; None for all, or where labels do not tell."""
    labels = table.frame.index
    if len(table) <= len(maps) or not labels.is_unique:
        return None
    found = np.asarray(labels.get_indexer(pd.Index(maps.index)), np.int64)
    return found if (found >= 0).all() else None


def _case(explanation: Any, model: Any, X: Any, y: Any, refit: Any, random_state: Any, background: Any, explain_again: Any) -> Case:
    if not isinstance(explanation, Answer):
        raise ArgumentError(
            "only explanations can be tried",
            expected="an Explanation, Importance, Interactions, Curve, Rules or AttentionMaps",
            got=type(explanation).__name__,
        )
    settings = dict(explanation.record.settings)
    of = settings.get("of", "prediction")
    scale = settings.get("scale", getattr(explanation, "scale", None)) if of == "prediction" else None
    predictor = as_predictor(model, X, background, scale=scale if scale in ("log-odds", "probability") else None, of=of)
    table = read(predictor, X)
    if y is not None and len(np.asarray(y)) != len(table):
        raise TargetError("X and y have different lengths", expected=f"{len(table)} labels", got=str(len(np.asarray(y))))
    if isinstance(explanation, AttentionMaps) and (shown := _shown(explanation, table)) is not None:
        table, y = table.take(shown), None if y is None else np.asarray(y)[shown]
    if isinstance(explanation, Explanation | AttentionMaps) and len(table) != len(explanation):
        raise RequestError(
            "X are not the rows that were explained",
            expected=f"{len(explanation)} rows",
            got=f"{len(table)} rows",
            do="pass the rows given to explain",
        )
    seed = as_seed(random_state)
    given = None if background is None else read(predictor, background)
    if refit is True:
        refit = model.refitter() if hasattr(model, "refitter") else CloneRefit(model, predictor, table, y)
    again = explain_again or _again(explanation, settings, y)
    return Case(
        explanation,
        predictor,
        table,
        y,
        settings,
        _background(predictor, given, settings.get("fill", "marginal"), seed),
        given,
        refit or None,
        again,
        seed,
        root=seed,
    )


def _one(entry: registry.Entry, case: Case) -> tuple[Trial, bool]:
    """Run one trial; what does not apply, or fails with one of our own errors, is "not testable" with the reason. True: no time."""
    started, late = time.perf_counter(), False
    try:
        result: Trial = registry.resolve(entry)(case)
    except NotTestable as reason:
        result, late = case.untested(entry.name, str(reason)), isinstance(reason, Short)
    except PellucidError as error:
        result = case.untested(entry.name, f"the test could not be run ({str(error).rstrip('.')})")
    return replace(result, record=replace(result.record, duration=time.perf_counter() - started)), late


def _can(entry: registry.Entry, case: Case) -> bool:
    """Return whether the case has what a trial says it needs, as far as that can be told without running it."""
    has = {
        "refit": case.refit is not None,
        "labels": case.y is not None or case.refit is not None,
        "gradients": isinstance(case.predictor, DifferentiablePredictor),
        "members": isinstance(case.predictor, MemberPredictor) and case.predictor.n_members > 1,
    }
    return all(has.get(need, True) for need in entry.needs)


def seconds_of(budget: Any, usual: float) -> float:
    """Return the seconds of a budget: a number of them, text such as ``"30s"`` or ``"2min"``, or None for the usual ones.

    Examples
    --------
    >>> seconds_of(None, 120.0), seconds_of(30, 120.0), seconds_of("2min", 1.0)
    (120.0, 30.0, 120.0)
    """
    if isinstance(budget, str):
        return float(Budget.of(budget).seconds or 0.0)
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | float | np.number) or not budget > 0):
        raise RequestError("the budget cannot be used", expected="seconds above 0, text such as '30s', or None", got=repr(budget))
    return usual if budget is None else float(budget)


def run(
    explanation: Any,
    model: Any,
    X: Any,
    y: Any = None,
    *,
    refit: Any = None,
    budget: float | str | None = None,
    names: Sequence[str] | None = None,
    random_state: Any = 0,
    background: Any = None,
    explain_again: Any = None,
) -> list[Trial]:
    """Run the trials. See :func:`pellucid.evaluate.trial`."""
    allowed = seconds_of(budget, SECONDS)
    chosen = [registry.get("trial", n) for n in names] if names is not None else list(registry.entries("trial"))
    case = _case(explanation, model, X, y, refit, random_state, background, explain_again)
    end = time.perf_counter() + allowed
    out: dict[str, Trial] = {}
    todo, few = list(chosen), False
    while todo:
        short = []
        for k, entry in enumerate(todo):
            now = time.perf_counter()
            # what earlier trials did not use is shared among those still to come that can be run at all
            share = now + (end - now) / max(1, sum(_can(e, case) for e in todo[k:]))
            own = replace(case, deadline=end if few else share, end=end, few=few, cut=[], seed=integer(case.seed, entry.name) % 2**31)
            out[entry.name], late = _one(entry, own)
            short += [entry] if late else []
        # where a share was too small: one after the other with what the others left, on few rows, as long as that helps one of them
        helped = not few or len(short) < len(todo)
        todo, few = short if helped and time.perf_counter() < end else [], True
    return [out[entry.name] for entry in chosen]
