"""Verdicts that an answer carries with it, and those that views of attention are never shown without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pellucid.results.verdicts import Trial

__all__ = ["ATTENDING", "OWED", "RETRAINS", "VERDICT_WORDS", "Tried", "owed_of", "verdict_line"]

VERDICT_WORDS = {"pass": "PASS", "fail": "FAIL", "not testable": "NOT TESTED"}
OWED = {
    "weight_randomisation": "whether it changes when the weights are drawn anew",
    "roar": "whether a model trained again without the columns looked at most knows less",
}
"""The trials that attention is never shown without, and what each would tell."""
RETRAINS = frozenset({"roar"})
ATTENDING = frozenset({"attention", "attention_maps", "column_relations", "masks"})
"""Methods that show where a network looks, which is no evidence of what it answers by."""


def verdict_line(name: str, verdict: str, words: str) -> str:
    """Return what a trial said, in a line.

    Examples
    --------
    >>> verdict_line("weight_randomisation", "not testable", "Not tested: it has no weights.")
    'NOT TESTED, weight randomisation: it has no weights.'
    """
    return f"{VERDICT_WORDS[verdict]}, {name.replace('_', ' ')}: {words.removeprefix('Not tested: ')}"


def owed_of(result: Any, trials: Sequence[Trial] = ()) -> tuple[str, ...]:
    """Return the trials that an answer must not be shown without and of which there is no verdict, by name."""
    if not _made_by(result) & ATTENDING:
        return ()
    return tuple(name for name in OWED if not any(t.name == name for t in trials))


def _made_by(result: Any) -> frozenset[str]:
    """Return the method of a result and the one behind it: means of attention over rows are attention."""
    return frozenset({str(getattr(r, "method", "")) for r in (result, getattr(result, "record", None))})


class Tried:
    """An answer that keeps the verdicts of its trials; what shows attention says those of :data:`OWED`, or that they were not tested."""

    method: str
    trials: tuple[Trial, ...]

    def with_trials(self, trials: Sequence[Trial]) -> Self:
        """Return the answer with the verdicts of its trials (:func:`pellucid.trial`); one of the same name takes the place of the older."""
        own = [t for t in trials if t.subject in _made_by(self)]
        new = {t.name for t in own}
        return replace(self, trials=(*(t for t in self.trials if t.name not in new), *own))  # type: ignore[type-var]

    def verdicts(self) -> tuple[tuple[str, str, str], ...]:
        """Return (trial, ``"pass"``, ``"fail"`` or ``"not testable"``, words) of the trials that are owed, and of others that were run."""
        run = {t.name: t for t in self.trials}
        owed = owed_of(self)
        lines = []
        for name in (*owed, *(n for n in run if n not in owed)):
            verdict, words = (run[name].verdict, run[name].words) if name in run else ("not testable", f"it was not tried {OWED[name]}.")
            lines.append((name, verdict, words.removeprefix("Not tested: ")))
        return tuple(lines)

    def _told(self) -> tuple[str, ...]:
        return tuple(verdict_line(*line) for line in self.verdicts())
