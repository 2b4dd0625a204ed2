"""The wanted answer: a class, or a condition on a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table.cells import level_text

__all__ = ["Goal"]

_CONDITION = re.compile(r"\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Goal:
    """What a person wants the model to answer.

    Attributes
    ----------
    words : in words.
    output : index of the output it speaks of; -1 for the first class of two, which has no output of its own.
    low, high : the answer must lie between, on the predictor's scale; of a class against all others None.
    open_ends : whether the bounds themselves are not enough.
    """

    words: str
    output: int
    low: float | None = None
    high: float | None = None
    open_ends: bool = False

    @classmethod
    def of(cls, view: View, want: Any) -> Goal:
        """Return the goal.

        Parameters
        ----------
        view : all outputs of the predictor.
        want : a class label (that class must be the model's answer); for numbers a condition such as ``">= 3.5"`` or a (low, high) pair; or
            a mapping of one class to its least probability or of one output to its condition, ``{"yes": 0.8}``, ``{"price": "< 100"}``.

        Raises
        ------
        RequestError : an unknown class or output, or what is no condition.
        """
        if want is None:
            raise RequestError("the wanted answer is missing", do=_hint(view))
        if isinstance(want, Mapping):
            if len(want) != 1:
                raise RequestError("one answer is wanted at a time", expected="a mapping of one item", got=f"{len(want)} items")
            name, value = next(iter(want.items()))
            return cls._probability(view, name, value) if view.classes else cls._number(view, name, value)
        if view.classes:
            return cls._class(view, want)
        if len(view.outputs) != 1:
            raise RequestError("the model has several outputs", do=f"name one: want={{{view.outputs[0]!r}: '>= 1'}}")
        return cls._number(view, view.outputs[0], want)

    @classmethod
    def _class(cls, view: View, want: Any) -> Goal:
        k = _place(view, want)
        words = f"the answer {view.classes[k]!r}"
        if len(view.outputs) > 1:
            return cls(words, k)
        level = 0.5 if view.scale == "probability" else 0.0
        return cls(words, 0, low=level, open_ends=True) if k == 1 else cls(words, 0, high=level)

    @classmethod
    def _probability(cls, view: View, name: Any, value: Any) -> Goal:
        k = _place(view, name)
        if not isinstance(value, int | float) or not 0 < value < 1 or view.scale not in ("probability", "log-odds"):
            raise RequestError("this probability cannot be wanted", expected="a number between 0 and 1", got=repr(value))
        words = f"the answer {view.classes[k]!r} with a probability of at least {value:g}"
        level = float(value) if view.scale == "probability" else float(np.log(value) - np.log1p(-value))
        if len(view.outputs) > 1 or k == 1:
            return cls(words, k if len(view.outputs) > 1 else 0, low=level)
        return cls(words, 0, high=1 - level if view.scale == "probability" else -level)

    @classmethod
    def _number(cls, view: View, name: Any, want: Any) -> Goal:
        if str(name) not in view.outputs:
            raise RequestError(f"there is no output {name!r}", expected=f"one of {quote(view.outputs, 12)}")
        at, called = view.outputs.index(str(name)), str(name) if len(view.outputs) > 1 else "an answer"
        if isinstance(want, str) and (found := _CONDITION.fullmatch(want)):
            sign, bound = found.group(1), float(found.group(2))
            low, high = (bound, None) if sign[0] == ">" else (None, bound)
            return cls(f"{called} {sign} {bound:g}", at, low, high, open_ends=len(sign) == 1)
        pair = isinstance(want, list | tuple) and len(want) == 2
        if pair and all(isinstance(v, int | float) and not isinstance(v, bool) for v in want) and want[0] <= want[1]:
            return cls(f"{called} from {want[0]:g} to {want[1]:g}", at, float(want[0]), float(want[1]))
        raise RequestError("this answer cannot be wanted of a number", expected="'>= 3.5' or a (low, high) pair", got=repr(want))

    def margin(self, raw: FloatArray) -> FloatArray:
        """Return (N,): how far answers (N, O) lie inside the wanted ones, on the predictor's scale; negative outside."""
        mine = raw[:, self.output]
        if self.low is None and self.high is None:
            rest = np.delete(raw, self.output, axis=1)
            return np.asarray(mine - rest.max(1))
        sides = [mine - self.low] if self.low is not None else []
        sides += [self.high - mine] if self.high is not None else []
        return np.asarray(np.min(sides, axis=0))

    def met(self, raw: FloatArray) -> npt.NDArray[np.bool_]:
        """Return (N,): whether answers (N, O) are wanted ones."""
        return self.enough(self.margin(raw))

    def enough(self, margin: FloatArray) -> npt.NDArray[np.bool_]:
        """Return whether margins are those of wanted answers."""
        return np.asarray(margin > 0 if self.open_ends or (self.low is None and self.high is None) else margin >= 0)


def _place(view: View, label: Any) -> int:
    """Return the number of a class, by its canonical text."""
    known = [level_text(c) for c in view.classes]
    if level_text(label) in known:
        return known.index(level_text(label))
    raise RequestError(f"there is no class {label!r}", expected=f"one of {quote(view.classes, 12)}", do=did_you_mean(label, known))


def _hint(view: View) -> str:
    return f"say which class is wanted: want={view.classes[0]!r}" if view.classes else "say what is wanted of the number: want='>= 3.5'"
