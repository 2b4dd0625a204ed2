"""What a report asks beyond one number per column: pairs, curves, rules, known rows, words, units, attention, clusters, what people can do.

Each is asked within a budget of seconds. What cannot be answered is said in words, so that the page tells what it does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.cli.subject import Subject
from pellucid.errors import PellucidError
from pellucid.results import Actions, Explanation
from pellucid.table import ColumnType

__all__ = ["Further", "ask_further", "columns_of", "has_rules"]

CURVES = 4
NEIGHBOURS = 5
MAPS = 16
"""Rows whose attention is kept: the page shows the mean, its twin holds each."""
CLUSTERED = 40
"""Fewest rows that are grouped by what decided them."""
CELLS = 20_000
"""Most values of interactions that are kept: rows times sets."""
TREE_ROWS = 4000
HEAD_ROWS = 200
PASSES = 30
"""Fewest passes of the sampler over a row's pairs that give errors worth drawing."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Further:
    """What to ask of whom, and for how long.

    Attributes
    ----------
    subject, rows : the model among its test rows, and which of them are explained.
    columns : the columns by their importance, the first the most important.
    seconds : for each single answer. seed : of all draws. want : the wanted answer, or None.
    reasons : an explanation of the same rows by what would move each answer, or None.
    """

    subject: Subject
    rows: Ints
    columns: tuple[str, ...]
    seconds: float
    seed: int
    want: Any = None
    reasons: Explanation | None = None

    def explain(self, method: str, of: Ints | slice, *, budget: Any = True, labels: bool = False, **options: Any) -> Any:
        """Return one answer of the model about some test rows, within the seconds of each answer, or ``budget`` model rows.

        labels : whether the true answers of these rows are given too.
        """
        from pellucid.explain import explain

        spend = f"{self.seconds:g}s" if budget is True else budget

        return explain(
            self.subject.model, self.subject.rows(of), method=method, background=self.subject.background,
            budget=spend, random_state=self.seed, y=self.subject.truth(of) if labels else None, options=options or None,
        )  # fmt: skip


def has_rules(subject: Subject) -> bool:
    """Return whether the table says what a person may change."""
    return bool(subject.test.schema.rules) or any(c.rule.words() != "free" for c in subject.test.schema if c.name != subject.target)


def ask_further(ask: Further) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return (answers by their name in the report's facts, in words what could not be answered)."""
    answers: dict[str, Any] = {}
    lost: list[str] = []
    for name, what, make in _questions(ask):
        try:
            made = make(ask)
        except PellucidError as error:
            lost.append(f"{what}: {error}")
            continue
        if made is not None:
            answers[name] = made
    return answers, tuple(lost)


def _questions(ask: Further) -> Sequence[tuple[str, str, Callable[[Further], Any]]]:
    s = ask.subject
    every: list[tuple[bool, str, str, Callable[[Further], Any]]] = [
        (len(ask.columns) > 1, "interactions", "How columns act together", _interactions),
        (True, "curves", "How the answer runs along the columns", _curves),
        (True, "rules", "The model in rules", _rules),
        (s.ours, "neighbours", "Known rows behind the answers", _neighbours),
        (has_rules(s), "actions", "What a person can change", _actions),
        (any(s.test.schema[c].type is ColumnType.TEXT for c in s.test.features), "texts", "Which words count", _texts),
        (s.differentiable and len(ask.columns) > 1, "units", "What single units answer to", _units),
        (s.attends, "attention", "Where the network looks", _attention),
        (s.attends and s.knows_truth, "heads", "What the attention heads are worth", _heads),
        (ask.reasons is not None and len(ask.rows) >= CLUSTERED, "clusters", "Rows decided for the same reason", _clusters),
    ]
    return [(name, what, make) for asked, name, what, make in every if asked]


def _interactions(ask: Further) -> Any:
    p, affordable = len(ask.columns), int(ask.seconds * ask.subject.pace())  # in model rows: small games cannot be stopped half way
    least = PASSES * p * (p + 1)
    n = int(np.clip(min(CELLS // (p * (p + 1) // 2), affordable // least), 2, 40))
    return ask.explain("interactions", ask.rows[:n], budget=max(affordable, n * least))


def _curves(ask: Further) -> Any:
    """Curves along the first columns whose cells stand in some order or are few levels: a text has neither."""
    schema = ask.subject.test.schema
    along = [c for c in ask.columns if schema[c].type is not ColumnType.TEXT]
    return ask.explain("ale", slice(None), columns=along[:CURVES]) if along else None


def _rules(ask: Further) -> Any:
    """Rules copy the model, not the truth: the rows it learned from serve as well, and are more."""
    from pellucid.explain import explain

    s = ask.subject
    most = s.train if len(s.train) > len(s.test) else s.test
    part = most.take(slice(0, TREE_ROWS)).drop([s.target])
    options = {"leaves": 8}
    return explain(
        s.model, part if s.ours else part.native(), method="surrogate_tree", background=s.background, budget=f"{ask.seconds:g}s",
        random_state=ask.seed, options=options,
    )  # fmt: skip


def _neighbours(ask: Further) -> Any:
    return ask.explain("nearest_rows", ask.rows, budget=None, k=NEIGHBOURS)


def _texts(ask: Further) -> Any:
    return ask.explain("occlusion_words", ask.rows)


def _units(ask: Further) -> Any:
    return ask.explain("unit_maps", ask.rows, budget=None, columns=list(ask.columns[:2]))


def _attention(ask: Further) -> Any:
    return ask.explain("attention_maps", ask.rows, budget=None, rows=MAPS)


def _heads(ask: Further) -> Any:
    return ask.explain("head_pruning", ask.subject.some_rows(HEAD_ROWS, ask.seed), budget=None, labels=True)


def _clusters(ask: Further) -> Any:
    return ask.explain("row_clusters", ask.rows, budget=None, labels=True, reasons=ask.reasons)


def _actions(ask: Further) -> Actions | None:
    from pellucid.act import act
    from pellucid.errors import RequestError

    want = ask.want
    if want is None:
        if ask.subject.task == "regression":
            raise RequestError("no wanted answer was named", do="name one with want= (--want '>= 3.5')")
        want = _rarest(ask.subject)
    made = act(
        ask.subject.model, ask.subject.test.take(ask.rows).drop([ask.subject.target]), want=want, background=ask.subject.background,
        budget=f"{ask.seconds:g}s", random_state=ask.seed,
    )  # fmt: skip
    return made if isinstance(made, Actions) else None


def _rarest(subject: Subject) -> Any:
    """Return the class answered least often, where no wanted answer is named: it is the one that people lack."""
    count = np.bincount(subject.answers().argmax(1), minlength=len(subject.classes))
    return subject.classes[int(np.argmin(np.where(count > 0, count, count.max() + 1)))]


def columns_of(main: Any, subject: Subject) -> tuple[str, ...]:
    """Return the input columns, the most important first where an explanation says so."""
    names = tuple(subject.test.features)
    if not isinstance(main, Explanation):
        return names
    order = [c for c in main.mean_abs().to_frame()["column"] if c in names]
    return (*order, *(c for c in names if c not in order))
