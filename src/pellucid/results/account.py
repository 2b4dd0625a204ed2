"""The reasons of one row in plain sentences. Templates only: every number that is printed is a cell of a table that comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import Result, RunRecord
from pellucid.results.owed import OWED, owed_of
from pellucid.results.text import cell, clean, join, number

if TYPE_CHECKING:
    from pellucid.results.contributions import Explanation
    from pellucid.results.verdicts import Trial

__all__ = ["Account", "account"]

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Account(Result):
    """The reasons of one row in sentences, with the figures they print.

    Attributes
    ----------
    sentences : one after the other; text from data is in one visible line, but not escaped for HTML.
    n_own : how many of the sentences, from the first on, speak of this row; the others hold for the whole explanation.
    figures : one line per printed figure: ``item``, ``column`` (empty where it speaks of the whole row), ``value``, ``text`` as printed.
    record : how the explanation came about.
    """

    sentences: tuple[str, ...]
    figures: pd.DataFrame
    record: RunRecord
    n_own: int = 0

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def to_frame(self) -> pd.DataFrame:
        """Return the printed figures: item, column, value, text."""
        return self.figures.copy()


@dataclass
class _Teller:
    """Notes every figure as it is printed."""

    lines: list[tuple[str, str, Any, str]] = field(default_factory=list)

    def __call__(self, item: str, value: Any, text: str, column: str = "") -> str:
        self.lines.append((item, column, value, text))
        return text

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.lines, columns=["item", "column", "value", "text"])


@dataclass(frozen=True)
class _Row:
    """One row and output of an explanation: values (P,), standard errors (P,) or None, base, answer, gap."""

    columns: tuple[str, ...]
    cells: tuple[Any, ...]
    units: Mapping[str, str]
    values: Any
    error: Any
    base: float
    answer: float
    gap: float | None
    of: str

    def half(self, j: int) -> float | None:
        """Half the 95 % interval of a value; None where it is exact."""
        return None if self.error is None or not np.isfinite(self.error[j]) else float(Z95 * self.error[j])


def account(
    explanation: Explanation,
    row: int = 0,
    *,
    output: int | str = 0,
    k: int = 3,
    trials: Sequence[Trial] = (),
    units: Mapping[str, str] | None = None,
) -> Account:
    """Return the reasons of one row in sentences; see :meth:`pellucid.results.Explanation.words`."""
    if not 0 <= row < len(explanation):
        raise RequestError("there is no such row in the explanation", expected=f"row from 0 to {len(explanation) - 1}", got=str(row))
    say, one = _Teller(), _row(explanation, row, explanation.output_at(output), units or {})
    order = np.argsort(-np.abs(one.values), kind="stable")
    k = min(max(0, k), int(np.count_nonzero(one.values)))  # a column that does nothing is one of the others
    if explanation.says == "moves":
        sentences = [
            _answer(say, one, explanation, row),
            *_reasons(say, one, order[:k]),
            *_others(say, one, order[k:]),
            _sum(say, one),
        ]
    else:
        sentences = [_answer(say, one, explanation, row), *_counts(say, one, order[:k], explanation)]
    shared = [*_tested(say, explanation, trials), *_unknown(say, explanation)]
    return Account((*sentences, *shared), say.frame(), explanation.record, len(sentences))


def _row(e: Explanation, row: int, output: int, units: Mapping[str, str]) -> _Row:
    at = lambda a: float(a[row, output] if np.ndim(a) == 2 else a[row])  # noqa: E731
    error = None if e.error is None else e.error.reshape(e.cube().shape)[row, :, output]
    cells = tuple(e.data[c].iloc[row] if c in e.data.columns else "(group of columns)" for c in e.columns)
    scale = e.answer_scale
    of = f" ({clean(scale, 40)} of {clean(e.outputs[output], 40)})" if scale in ("log-odds", "probability") else f" {clean(scale, 40)}"
    gap = None if e.gap is None else at(e.gap)
    return _Row(e.columns, cells, units, e.cube()[row, :, output], error, at(e.base_values), at(e.predictions), gap, of)


def _answer(say: _Teller, one: _Row, e: Explanation, row: int) -> str:
    label = say("row", e.data.index[row], clean(e.data.index[row], 40))
    answer = say("answer", one.answer, number(one.answer))
    base = say("base", one.base, number(one.base)) if e.says == "moves" else ""
    of = say("scale", None, one.of)  # a unit or a class may hold digits
    if e.says != "moves":
        return f"Row {label} is answered {answer}{of}."
    if not np.abs(one.values).sum() > 0:
        return f"Row {label} is answered {answer}{of}; no column moves it from the base {base}."
    known = "" if e.gap is None and e.error is None else " where no column is known"
    return f"Row {label} is answered {answer}{of}, starting from a base of {base}{known}."


def _reasons(say: _Teller, one: _Row, order: Any) -> list[str]:
    """One sentence per column that counts, and one for those whose estimate may be nothing."""
    out, doubtful = [], []
    for j in (int(j) for j in order if one.values[j] != 0):
        name, half = one.columns[j], one.half(j)
        shown = say("cell", one.cells[j], cell(name, one.cells[j], one.units.get(name, ""), most=60), name)
        by = say("contribution", float(one.values[j]), number(abs(one.values[j]), half), name)
        verb = "raises" if one.values[j] > 0 else "lowers"
        if half is None or half == 0:
            out.append(f"{shown} {verb} the answer by {by}, computed exactly." if half == 0 else f"{shown} {verb} the answer by {by}.")
        elif half < abs(one.values[j]):
            error = say("half of the 95 % interval", half, number(half, half), name)
            out.append(f"{shown} {verb} the answer by {by}, give or take {error}.")
        else:
            error = say("half of the 95 % interval", half, number(half, half), name)
            doubtful.append(f"{shown} (by {by}, give or take {error})")
    if doubtful:
        out.append(f"Estimated too coarsely to say even the direction: {join(doubtful)}.")
    return out


def _counts(say: _Teller, one: _Row, order: Any, e: Explanation) -> list[str]:
    """One sentence per column of values that do not move the answer by themselves, and one on what they are."""
    slopes, out = e.says == "slopes", []
    scale = say("scale", None, clean(e.scale, 60))
    for j in (int(j) for j in order if one.values[j] != 0):
        name, half = one.columns[j], one.half(j)
        shown = say("cell", one.cells[j], cell(name, one.cells[j], one.units.get(name, ""), most=60), name)
        by = say("contribution", float(one.values[j]), number(abs(one.values[j]) if slopes else one.values[j], half), name)
        error = "" if not half else f", give or take {say('half of the 95 % interval', half, number(half, half), name)}"
        verb = "raises" if one.values[j] > 0 else "lowers"
        out.append(f"At {shown} one more unit {verb} the answer by {by}{error}." if slopes else f"{shown} counts {by} ({scale}){error}.")
    what = (
        "These are slopes at the row, each in the unit of its column: they hold for small changes and cannot be ranked by size"
        if slopes
        else "These are sizes without a direction: they do not say whether a column raises or lowers the answer"
    )
    return [*out, f"{what}, and they do not add up to it." if not slopes else f"{what}."]


def _others(say: _Teller, one: _Row, rest: Any) -> list[str]:
    if not len(rest):
        return []
    total = float(one.values[rest].sum())
    n = say("other columns", len(rest), f"{len(rest):,}")
    if not np.any(one.values[rest]):
        return ["The one other column does not move it." if len(rest) == 1 else f"The {n} other columns do not move it."]
    by = say("contribution of the others", total, number(abs(total)))
    verb = "raises" if total >= 0 else "lowers"
    return [f"The one other column {verb} it by {by}."] if len(rest) == 1 else [f"The {n} other columns together {verb[:-1]} it by {by}."]


def _sum(say: _Teller, one: _Row) -> str:
    if one.gap is None:
        return "This method does not promise that base and contributions add up to the answer."
    moved = float(np.abs(one.values).sum())
    if abs(one.gap) <= 1e-6 * max(moved, abs(one.answer), 1e-12):
        return "Base and contributions add up to the answer."
    return f"Base and contributions miss the answer by {say('gap', one.gap, number(one.gap))}."


def _tested(say: _Teller, e: Explanation, trials: Sequence[Trial]) -> list[str]:
    """What the trials of this method said, failures first; of attention also which of those that it owes were not run."""
    method = e.record.method
    own = [t for t in trials if t.subject == method]
    name = say("method", None, clean(method, 60))
    if not own:
        return [f"Whether this explanation ({name}) speaks of the model was not tested."]
    groups = {v: [t for t in own if t.verdict == v] for v in ("fail", "pass", "not testable")}
    count = lambda v: say(f"trials: {v}", len(groups[v]), f"{len(groups[v]):,}")  # noqa: E731
    out = []
    if groups["fail"]:
        told = []
        for t in groups["fail"]:
            which = say("trial", None, clean(t.name, 60).replace("_", " "))
            figure = say("figure of the trial", t.figure, number(t.figure), t.name)
            null = say("null of the trial", t.null, number(t.null), t.name)
            told.append(f"{which} (figure {figure}, null {null})")
        out.append(f"This explanation ({name}) failed {count('fail')} of its trials: {join(told)}. Do not rely on it.")
    elif groups["pass"]:
        out.append(f"This explanation ({name}) passed {count('pass')} of its trials and failed none.")
    if groups["not testable"]:
        out.append(f"Trials without a verdict: {count('not testable')}.")
    return out + [f"It was not tried {OWED[name]} (trial {name.replace('_', ' ')})." for name in owed_of(e, own)]


def _unknown(say: _Teller, e: Explanation) -> list[str]:
    out = [
        "What is not known: whether changing a cell would change the outcome in the world; contributions describe the model, not causes."
    ]
    if e.error is None:
        out.append("No standard error is stated: the values are exact for this method's question, or the method gives none.")
    missing = [clean(c, 60) for c in e.columns if c in e.data.columns and e.data[c].isna().all()]
    out += [f"Never seen filled in these rows: {say('columns', None, join(missing))}."] if missing else []
    return out + [say("caveat", None, _sentence(clean(c, 400), e.columns)) for c in e.record.caveats]


def _sentence(text: str, names: tuple[str, ...]) -> str:
    """Return a caveat as a sentence; a column's name at its beginning stays as it is written."""
    if text.startswith(names):
        return f"{text.rstrip('.')}."
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
