"""Rules that join columns, as conditions in text: read by a parser of their own, computed on whole columns, never executed as code.

::

    hours <= 40                                     a condition that every changed row must keep
    if job == 'student' then hours <= 20            a condition under a condition
    income >= before(income)                        before(x): the cell as it was
    not changed(job) or changed(employer)           changed(x): whether the cell differs from before
    job in ('clerk', 'nurse'), city is missing      lists, gaps
    age = before(age) + 2 * (education - before(education))     a link: one equals sign sets the column after each change
    `hours-per-week` < 60                           names with other signs stand between backticks

Truth has three values: a comparison with a missing cell is neither true nor false, and only what is false breaks a rule
(Kleene 1952, Introduction to Metamathematics, section 64). Inside, false is 0, unknown 0.5, true 1; "and" is the minimum, "or" the maximum.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ColumnError, RequestError, did_you_mean, quote
from pellucid.table.cells import level_text
from pellucid.table.schema import Schema
from pellucid.table.table import Table
from pellucid.table.types import ColumnType

__all__ = ["Condition", "parse"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>'[^']*'|\"[^\"]*\")|`(?P<quoted>[^`]+)`"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign><=|>=|==|!=|[<>=+\-*/(),]))"
)
_WORDS = {"if", "then", "and", "or", "not", "in", "is", "missing", "before", "changed", "true", "false"}
_DEPTH = 50
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


@dataclass(frozen=True)
class _Value:
    """A column, a literal or what was computed: ``kind`` is number, date, text or truth; ``order`` the levels of an ordered column."""

    kind: str
    data: Any
    order: tuple[str, ...] = ()

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        if self.kind == "text":
            return np.asarray(pd.isna(np.asarray(self.data, object)))
        return np.asarray(np.isnan(np.asarray(self.data, float)))


_Node = Callable[[Table, Table], _Value]


@dataclass(frozen=True)
class Condition:
    """A rule that joins columns.

    Attributes
    ----------
    text : as the user wrote it.
    columns : the columns it reads of the changed row (and sets, where it is a link).
    sets : the column that a link sets; None for a condition.
    """

    text: str
    columns: frozenset[str]
    sets: str | None
    _test: _Node | None
    _value: _Node | None

    def truth(self, before: Table, after: Table) -> npt.NDArray[np.float64]:
        """Return (N,): 1 where the rows ``after`` keep the condition, 0 where they break it, 0.5 where missing cells leave it open.

        A link without a condition is 1 everywhere: it cannot be broken.
        """
        if self.sets is not None or self._test is None:
            return np.ones(len(after))
        return np.broadcast_to(np.asarray(self._test(before, after).data, float), (len(after),))

    def linked(self, before: Table, after: Table) -> npt.NDArray[np.float64]:
        """Return the numbers (N,) that a link gives its column; where its condition is not true, the cells as they are."""
        assert self.sets is not None
        assert self._value is not None
        value = np.broadcast_to(np.asarray(self._value(before, after).data, float), (len(after),))
        if self._test is None:
            return value
        return np.where(np.asarray(self._test(before, after).data, float) == 1, value, after.numbers(self.sets))


def parse(text: str, schema: Schema) -> Condition:
    """Return the rule that ``text`` says of the columns of ``schema``.

    Raises
    ------
    RequestError : text that is no rule, or compares what cannot be compared. ColumnError : a column that does not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> from pellucid.table import Column, ColumnType, Schema, Table
    >>> schema = Schema((Column("age", ColumnType.NUMBER), Column("hours", ColumnType.NUMBER)))
    >>> rule = parse("if age < 18 then hours <= 20", schema)
    >>> rows = Table(pd.DataFrame({"age": [16.0, 16.0, 40.0], "hours": [15.0, 30.0, 30.0]}), schema)
    >>> rule.truth(rows, rows).tolist()
    [1.0, 0.0, 1.0]
    """
    made = _Parser(text, schema).statement()
    empty = Table(pd.DataFrame({c.name: pd.Series([], dtype=float) for c in schema}), schema)
    for node in (made._test, made._value):
        if node is not None:
            node(empty, empty)  # types that do not fit show on no rows at all
    return made


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str, schema: Schema) -> None:
        self.text, self.schema, self.at, self.depth = str(text), schema, 0, 0
        self.tokens = self._tokens()
        self.read: set[str] = set()

    def _tokens(self) -> list[tuple[str, str]]:
        out, at = [], 0
        while self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if found is None:
                raise self._error(f"cannot read {self.text[at:].strip()[:20]!r}")
            kind = str(found.lastgroup)
            word = found.group(kind)
            out.append(("word", word) if kind == "name" and word in _WORDS else (kind, word))
            at = found.end()
        return out

    def _error(self, why: str) -> RequestError:
        return RequestError(
            f"the rule {self.text[:80]!r} cannot be used: {why}",
            expected="a condition such as \"if job == 'student' then hours <= 20\"",
            do="put column names with other signs than letters and digits between backticks",
        )

    def _peek(self, *words: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][1] in words and self.tokens[self.at][0] in ("word", "sign")

    def _take(self, *words: str) -> str | None:
        if not self._peek(*words):
            return None
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _need(self, word: str) -> None:
        if self._take(word) is None:
            got = self.tokens[self.at][1] if self.at < len(self.tokens) else "the end"
            raise self._error(f"expected {word!r} before {got!r}")

    def statement(self) -> Condition:
        test = None
        if self._take("if"):
            test = self._truth(self._or())
            self._need("then")
        link = self._link()
        if link is None:
            body = self._truth(self._or())
            test = body if test is None else _joined([_negated(test), body], np.maximum)
        if self.at < len(self.tokens):
            raise self._error(f"{self.tokens[self.at][1]!r} is too much")
        sets, value = link or (None, None)
        return Condition(self.text, frozenset(self.read), sets, test, value)

    def _link(self) -> tuple[str, _Node] | None:
        if self.at + 1 >= len(self.tokens) or self.tokens[self.at + 1] != ("sign", "="):
            return None
        name = self._column()
        if self.schema[name].type is not ColumnType.NUMBER:
            raise self._error(f"only a number column can be set, and {name!r} is {self.schema[name].type}")
        self._need("=")
        return name, self._number(self._sum())

    def _or(self) -> _Node:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else _joined([self._truth(p) for p in parts], np.maximum)

    def _and(self) -> _Node:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else _joined([self._truth(p) for p in parts], np.minimum)

    def _not(self) -> _Node:
        if not self._take("not"):
            return self._comparison()
        self._deeper()
        return _negated(self._truth(self._not()))

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self._error("it is nested too deeply")

    def _comparison(self) -> _Node:
        left = self._sum()
        if self._take("is"):
            negative = self._take("not") is not None
            self._need("missing")
            return _is_missing(left, negative)
        negative = self._peek("not") and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] == ("word", "in")
        if negative:
            self._need("not")
        if self._take("in"):
            found = _joined([self._compared(left, "==", value) for value in self._list()], np.maximum)
            return _negated(found) if negative else found
        chain = []
        while sign := self._take(*_COMPARE):
            right = self._sum()
            chain.append(self._compared(left, sign, right))
            left = right
        return left if not chain else _joined(chain, np.minimum)

    def _list(self) -> list[_Node]:
        self._need("(")
        values = [self._sum()]
        while self._take(","):
            values.append(self._sum())
        self._need(")")
        return values

    def _sum(self) -> _Node:
        left = self._product()
        while sign := self._take("+", "-"):
            left = self._computed(left, sign, self._product())
        return left

    def _product(self) -> _Node:
        left = self._unary()
        while sign := self._take("*", "/"):
            left = self._computed(left, sign, self._unary())
        return left

    def _unary(self) -> _Node:
        if not self._take("-"):
            return self._atom()
        self._deeper()
        return self._computed(lambda before, after: _Value("number", 0.0), "-", self._unary())

    def _atom(self) -> _Node:
        if self._take("("):
            self._deeper()
            inside = self._or()
            self._need(")")
            return inside
        if word := self._take("before", "changed"):
            self._need("(")
            name = self._column()
            self._need(")")
            return (
                (lambda before, after: _cells(before, name)) if word == "before" else (lambda before, after: _changed(before, after, name))
            )
        if word := self._take("true", "false"):
            return lambda before, after: _Value("text", word.capitalize())
        if self.at >= len(self.tokens):
            raise self._error("it ends too early")
        kind, token = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return lambda before, after: _Value("number", float(token))
        if kind == "text":
            self.at += 1
            return lambda before, after: _Value("text", token[1:-1].strip())
        name = self._column()
        return lambda before, after: _cells(after, name)

    def _column(self) -> str:
        kind, name = self.tokens[self.at] if self.at < len(self.tokens) else ("", "the end")
        if kind not in ("name", "quoted"):
            raise self._error(f"expected a column before {name!r}")
        if name not in self.schema:
            raise ColumnError(
                f"the rule {self.text[:80]!r} names a column {name!r} that does not exist",
                expected=f"one of {quote(self.schema.names, 12)}",
                do=did_you_mean(name, self.schema.names) or "put text between quotation marks",
            )
        self.at += 1
        self.read.add(name)
        return name

    def _of_kind(self, node: _Node, kind: str, words: str) -> _Node:
        def checked(before: Table, after: Table) -> _Value:
            value = node(before, after)
            if value.kind != kind:
                raise self._error(f"expected {words}, got a {value.kind}")
            return value

        return checked

    def _truth(self, node: _Node) -> _Node:
        return self._of_kind(node, "truth", "a condition")

    def _number(self, node: _Node) -> _Node:
        return self._of_kind(node, "number", "a number")

    def _computed(self, left: _Node, sign: str, right: _Node) -> _Node:
        a, b = self._number(left), self._number(right)

        def compute(before: Table, after: Table) -> _Value:
            with np.errstate(divide="ignore", invalid="ignore"):
                out = np.asarray(_COMPUTE[sign](a(before, after).data, b(before, after).data), float)
            return _Value("number", np.where(np.isinf(out), np.nan, out))  # a division by 0 is not known

        return compute

    def _compared(self, left: _Node, sign: str, right: _Node) -> _Node:
        def compare(before: Table, after: Table) -> _Value:
            a, b = self._common(left(before, after), right(before, after), sign)
            unknown = a.missing | b.missing
            x, y = (np.where(np.asarray(v.missing), _fill(v), v.data) for v in (a, b))
            return _Value("truth", np.where(unknown, 0.5, np.asarray(_COMPARE[sign](x, y), float)))

        return compare

    def _common(self, a: _Value, b: _Value, sign: str) -> tuple[_Value, _Value]:
        """Return both sides in one kind that the sign can compare."""
        if "date" in (a.kind, b.kind) and "text" in (a.kind, b.kind):
            a, b = (self._moment(v) if v.kind == "text" else v for v in (a, b))
        if {a.kind, b.kind} == {"number", "text"}:
            a, b = (_Value("text", level_text(v.data)) if v.kind == "number" and np.ndim(v.data) == 0 else v for v in (a, b))
        if a.kind != b.kind or a.kind == "truth":
            raise self._error(f"a {a.kind} cannot be compared with a {b.kind}")
        if a.kind == "text" and sign not in ("==", "!="):
            order = a.order or b.order
            if not order:
                raise self._error(f"levels without an order cannot be compared with {sign}")
            a, b = (self._rank(v, order) for v in (a, b))
        return a, b

    def _moment(self, value: _Value) -> _Value:
        stamp = pd.to_datetime(value.data, errors="coerce", utc=True) if np.ndim(value.data) == 0 else None
        if stamp is None or pd.isna(stamp):
            raise self._error(f"{value.data!r} is no date")
        return _Value("date", stamp.timestamp())

    def _rank(self, value: _Value, order: tuple[str, ...]) -> _Value:
        place = {text: float(k) for k, text in enumerate(order)}
        if np.ndim(value.data) == 0 and value.data not in place:
            raise self._error(f"{value.data!r} is none of the levels {', '.join(order[:12])}")
        ranks = [place.get(t, np.nan) for t in np.atleast_1d(np.asarray(value.data, object))]
        return _Value("number", ranks[0] if np.ndim(value.data) == 0 else np.array(ranks, float))


def _fill(value: _Value) -> Any:
    return "" if value.kind == "text" else 0.0


def _cells(table: Table, name: str) -> _Value:
    column = table.schema[name]
    if column.type is ColumnType.NUMBER:
        return _Value("number", table.numbers(name))
    if column.type is ColumnType.DATE:
        return _Value("date", table.seconds(name))
    return _Value("text", table.texts(name), column.levels if column.type is ColumnType.ORDERED else ())


def _changed(before: Table, after: Table, name: str) -> _Value:
    a, b = _cells(before, name), _cells(after, name)
    both, one = a.missing & b.missing, a.missing ^ b.missing
    x, y = (np.where(v.missing, _fill(v), v.data) for v in (a, b))
    return _Value("truth", np.where(both, 0.0, np.where(one, 1.0, (x != y).astype(float))))


def _joined(nodes: list[_Node], how: Any) -> _Node:
    def join(before: Table, after: Table) -> _Value:
        out = nodes[0](before, after).data
        for node in nodes[1:]:
            out = how(out, node(before, after).data)
        return _Value("truth", out)

    return join


def _negated(node: _Node) -> _Node:
    return lambda before, after: _Value("truth", 1.0 - np.asarray(node(before, after).data, float))


def _is_missing(node: _Node, negative: bool) -> _Node:
    return lambda before, after: _Value("truth", (node(before, after).missing != negative).astype(float))
