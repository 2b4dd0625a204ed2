"""What a person may change in one column: which way, how far, in which steps, to which levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pellucid.errors import RequestError

__all__ = ["FREE", "MOVES", "Rule"]

MOVES = ("free", "never", "up", "down")
_FORMS = "'free', 'never', 'up', 'down', 'integer', a (low, high) pair, a list of levels, or a mapping of move, low, high, step, allowed"


@dataclass(frozen=True)
class Rule:
    """How the cells of one column may change. A rule speaks of changed cells only: a cell that stays is never wrong.

    Attributes
    ----------
    move : ``"free"``, ``"never"``, ``"up"`` or ``"down"`` (numbers, dates and ordered levels).
    low, high : bounds of a number, in the column's unit; None = as far as the training rows go.
    step : a number changes by whole multiples of this; None = freely.
    allowed : the levels a cell may change to, as canonical text; None = any known level.

    Examples
    --------
    >>> Rule.of((10, 60)), Rule.of("never").words()
    (Rule(move='free', low=10.0, high=60.0, step=None, allowed=None), 'never changes')
    >>> Rule.of({"move": "up", "step": 1, "high": 16}).words("years")
    'only up, at most 16 years, in steps of 1 years'
    """

    move: str = "free"
    low: float | None = None
    high: float | None = None
    step: float | None = None
    allowed: tuple[str, ...] | None = None

    @classmethod
    def of(cls, value: Any, name: str = "") -> Rule:
        """Return the rule that ``value`` says; ``name`` is the column, for the message.

        Raises
        ------
        RequestError : a value of another form, an empty range, or a step that is not above 0.
        """
        if isinstance(value, Rule):
            return value
        if isinstance(value, str):
            if value in MOVES:
                return cls(value)
            if value == "integer":
                return cls(step=1.0)
        elif isinstance(value, Mapping):
            return cls._of_parts(dict(value), name)
        elif isinstance(value, list | tuple | set | frozenset) and value:
            if isinstance(value, list | tuple) and len(value) == 2 and all(v is None or _is_number(v) for v in value):
                return cls._checked(cls(low=_float(value[0]), high=_float(value[1])), name, value)
            return cls(allowed=_texts(value))
        raise RequestError(f"the rule for {name!r} cannot be used", expected=_FORMS, got=repr(value))

    @classmethod
    def _of_parts(cls, parts: dict[str, Any], name: str) -> Rule:
        given = dict(parts)
        low, high = given.pop("between", (given.pop("low", None), given.pop("high", None)))
        move, step, allowed = given.pop("move", "free"), given.pop("step", None), given.pop("allowed", None)
        numbers_fit = all(v is None or _is_number(v) for v in (low, high, step))
        if given or move not in MOVES or not numbers_fit or isinstance(allowed, str):
            raise RequestError(f"the rule for {name!r} cannot be used", expected=_FORMS, got=repr(parts))
        levels = None if allowed is None else _texts(allowed)
        return cls._checked(cls(move, _float(low), _float(high), _float(step), levels), name, parts)

    @staticmethod
    def _checked(rule: Rule, name: str, got: Any) -> Rule:
        if rule.low is not None and rule.high is not None and not rule.low <= rule.high:
            raise RequestError(f"the rule for {name!r} leaves nothing", expected="low at most high", got=repr(got))
        if rule.step is not None and not rule.step > 0:
            raise RequestError(f"the rule for {name!r} cannot be used", expected="a step above 0", got=repr(got))
        return rule

    def words(self, unit: str = "") -> str:
        """Return the rule in words."""
        if self.move == "never":
            return "never changes"
        after = f" {unit}" if unit else ""
        said = {"up": ["only up"], "down": ["only down"]}.get(self.move, [])
        said += [f"at least {self.low:g}{after}"] if self.low is not None else []
        said += [f"at most {self.high:g}{after}"] if self.high is not None else []
        said += [f"in steps of {self.step:g}{after}"] if self.step is not None else []
        said += [f"only to {', '.join(self.allowed)}"] if self.allowed is not None else []
        return ", ".join(said) or "free"

    def to_dict(self) -> Any:
        """Return the rule as plain JSON types, in its shortest form."""
        parts = {k: v for k in ("low", "high", "step") if (v := getattr(self, k)) is not None}
        if self.allowed is not None:
            parts["allowed"] = list(self.allowed)
        return self.move if not parts else parts | ({} if self.move == "free" else {"move": self.move})


FREE = Rule()


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    from pellucid.table.cells import level_text  # cells read columns, and columns hold rules

    return tuple(sorted({level_text(v) for v in values}))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
