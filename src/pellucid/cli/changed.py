"""What a report tells of a table beyond its findings: cells to repair, fills, groups, the use of more rows, and what has changed.

Each is asked within its time. What cannot be answered is said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.cli import gather
from pellucid.cli.subject import LEVEL, Subject
from pellucid.errors import PellucidError
from pellucid.results import GroupTable, LearningCurve, Shift
from pellucid.table import Table

__all__ = ["Changed", "ask_changed"]

GROUPINGS = 2
"""Columns whose groups are compared."""
SIZES = 4
SMALLEST = 32
"""The smallest size of a learning curve is this part of the rows, or 100 rows."""
FEW = 5000
"""Rows up to which learning curves are drawn twice."""
FITS = 4.0
"""Fits of all rows that the curve of one model costs, about."""


@dataclass(frozen=True)
class Changed:
    """What to ask of which rows.

    Attributes
    ----------
    table : the table of the report. subject : the model among its rows; None where there is none.
    new : rows of another file, to be compared with ``table``; None where there is none. against : an older table, or None.
    seconds : for learning curves, 0 for none. seed : of all draws.
    """

    table: Table
    subject: Subject | None
    new: Table | None
    against: Table | None
    seconds: float
    seed: int


def ask_changed(ask: Changed) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return (answers by their name in the report's facts, in words what could not be answered)."""
    answers: dict[str, Any] = {}
    lost: list[str] = []
    for name, what, make in _questions(ask):
        try:
            answers |= {name: made} if (made := make(ask)) is not None else {}
        except PellucidError as error:
            lost.append(f"{what}: {error}")
    if "shift" in answers:
        answers["shift_words"] = _between(ask)
    return answers, tuple(lost)


def _questions(ask: Changed) -> Sequence[tuple[str, str, Callable[[Changed], Any]]]:
    s = ask.subject
    ours = s is not None and s.ours
    every: list[tuple[bool, str, str, Callable[[Changed], Any]]] = [
        (True, "repairs", "Cells that are probably wrong", _repairs),
        (ours, "filled", "What filling did", _filled),
        (s is not None, "group_tables", "How the answers fall out by group", _groups),
        (s is not None and s.train.target is not None and ask.seconds > 0, "learning", "Whether more rows would help", _learning),
        (ask.against is not None or ask.new is not None, "shift", "What has changed", _shift),
    ]
    return [(name, what, make) for asked, name, what, make in every if asked]


def _repairs(ask: Changed) -> Any:
    from pellucid.audit.repair import repair

    found = repair(ask.table, seed=ask.seed)
    return found if len(found) or found.read_as_missing else None


def _filled(ask: Changed) -> Any:
    assert ask.subject is not None
    return tuple(ask.subject.model.record_.get("filled", ())) or None


def _groups(ask: Changed) -> tuple[GroupTable, ...] | None:
    """Return one table per grouping column; a column of one group alone says nothing."""
    from pellucid.audit.by_group import by_group

    s = ask.subject
    assert s is not None
    if not (s._known()).any():
        return None
    names = gather.group_columns(s.test.drop([s.target]), GROUPINGS)
    answers, certain = _answers_of(s)
    level = LEVEL if certain else None
    made = (by_group(answers, s.test, by=n, positive=_event(s), level=level, seed=ask.seed) for n in names)
    return tuple(m for m in made if len(m.groups) > 1) or None


def _answers_of(s: Subject) -> tuple[Any, bool]:
    """Return (what answers for the rows, whether it says how certain it is): a model, or numbers where it is from elsewhere."""
    if s.ours:
        return s.model, bool(s.model.certainty_.conformals)
    if s.task == "regression" or len(s.classes) == 2:
        answers = s.answers()
        return (answers[:, 1] if answers.ndim > 1 else answers), False
    return s.model, False


def _event(s: Subject) -> Any:
    return s.classes[1] if len(s.classes) == 2 else None


def _learning(ask: Changed) -> LearningCurve | None:
    """Return curves of the rivals, and of the model itself where training it again some times fits into the seconds."""
    from pellucid.evaluate import learning_curve

    s = ask.subject
    assert s is not None
    models: list[Any] = ["linear", "hist_gb"]
    own = s.ours and s.name not in models
    slow = own and FITS * float(s.model.record_.get("seconds", np.inf)) >= ask.seconds
    if own and not slow:
        models.insert(0, (s.name, s.model))
    n = int((~s.train.missing(s.target)).sum())
    sizes = sorted({round(v) for v in np.geomspace(min(max(100, n // SMALLEST), n), n, SIZES)})
    if sizes[0] < 100:
        return None  # too few rows to tell what fewer would do
    curve = learning_curve(
        s.train, models, sizes=sizes, repeats=2 if n <= FEW else 1, test=s.test, budget=ask.seconds, random_state=ask.seed
    )
    left_out = f" {s.name} is not among them: there was no time to train it again at every size, so what more rows bring it is not known."
    return replace(curve, words=curve.words + left_out) if slow else curve


def _shift(ask: Changed) -> Shift:
    """Return what has changed since the older table, or from the table to the rows of the other file."""
    from pellucid.audit.shift import shift

    s = ask.subject
    goal = ask.table.target if s is None else s.target
    old, new = (
        None if t is None else t.with_roles(target=goal) if goal in t.columns else t
        for t in ((ask.against, ask.table) if ask.against is not None else (ask.table, ask.new))
    )
    return shift(old, new, model=None if s is None else s.model, random_state=ask.seed)


def _between(ask: Changed) -> str:
    if ask.against is not None:
        return f"From {len(ask.against):,} rows of an older table to the {len(ask.table):,} rows of this one."
    assert ask.new is not None
    return f"From the {len(ask.table):,} rows of this table to the {len(ask.new):,} rows of the test file."
