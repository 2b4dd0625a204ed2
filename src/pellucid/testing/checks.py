"""The common checks, chosen by what a registry line declares.

A check is a public function ``check_<sentence>(subject)`` that raises ``AssertionError`` with a sentence. ``checks_for(entry)`` gives those
that an entry qualifies for, each bound to the entry, so that a method of your own is tested like ours::

    for check in checks_for(my_entry):
        check()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pellucid.registry import Entry

__all__ = ["Bound", "Check", "checks_for"]


@dataclass(frozen=True)
class Check:
    """A check and whom it is for.

    Attributes
    ----------
    function : raises AssertionError with a sentence.
    applies : whether an entry qualifies.
    long : True where it takes more than a few seconds.
    """

    function: Callable[[Any], None]
    applies: Callable[[Entry], bool]
    long: bool = False

    @property
    def name(self) -> str:
        """The sentence, as the function is called."""
        return self.function.__name__.removeprefix("check_")


@dataclass(frozen=True)
class Bound:
    """A check on one entry, ready to be called. ``reason`` says why the entry is exempt, empty where it is not."""

    check: Check
    entry: Entry
    subject: Any
    reason: str = ""

    @property
    def name(self) -> str:
        """Entry and sentence."""
        return f"{self.entry.kind}-{self.entry.name}-{self.check.name}"

    def __call__(self) -> None:
        self.check.function(self.subject)


def checks_for(entry: Entry) -> tuple[Bound, ...]:
    """Return the checks an entry qualifies for, by its kind, needs, axioms and input form."""
    from pellucid.testing import (
        checks_act,
        checks_answers,
        checks_audit,
        checks_backbone,
        checks_doubt,
        checks_embedding,
        checks_explainer,
        checks_fill,
        checks_map,
        checks_methods,
        checks_promise,
        checks_regularizer,
        checks_remedy,
        checks_scale,
        checks_select,
        checks_shift,
        checks_trial,
        checks_uncertainty,
    )  # fmt: skip

    rooms = {
        "explain": checks_explainer,
        "act": checks_act,
        "backbone": checks_backbone,
        "regularizer": checks_regularizer,
        "uncertainty": checks_uncertainty,
        "audit": checks_audit,
        "trial": checks_trial,
        "shift": checks_shift,
        "remedy": checks_remedy,
        "select": checks_select,
        "map": checks_map,
        "encoder": checks_embedding,
        "fill": checks_fill,
        "scale": checks_scale,
    }
    room: Any = checks_answers if entry.kind == "explain" and checks_answers.applies(entry) else rooms[entry.kind]
    room = checks_promise if entry.kind == "uncertainty" and checks_promise.applies(entry) else room
    subject = room.subject(entry)
    further: Any = checks_doubt.CHECKS if entry.kind == "uncertainty" else checks_methods.CHECKS if entry.kind == "explain" else ()
    return tuple(Bound(c, entry, subject, entry.exempt.get(c.name, "")) for c in (*room.CHECKS, *further) if c.applies(entry))
