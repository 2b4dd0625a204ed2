"""Proposals for misspelt levels. Frequent levels are never merged, nor those that differ only in digits; in doubt nothing is changed.

A slip is rare (at most 3 rows or 0.01 %), a letter or two away from a level that is 20 times as frequent, nearer to it than to any other
by two letters, and its rows look like rows of that level. Damerau 1964, doi:10.1145/363958.363994. Where many levels are as rare (job
titles, say), rareness is no sign of a slip, and no such proposal is sure: a fireman is no foreman.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pellucid.audit.proposals import Proposal
from pellucid.audit.rows_alike import alike, voters
from pellucid.audit.values import RARE_SHARE, TIMES, fold, may_be_slip, rare_spellings, slips
from pellucid.audit.view import IntArray, View
from pellucid.table import ColumnType

__all__ = ["propose"]

USUAL, FURTHER = 0.1, 3
"""Share of the rows in rare levels from which on rareness says nothing; further levels in which a word has to stand to be one."""
LOOKS = {"А": "A", "В": "B", "С": "C", "Е": "E", "Н": "H", "К": "K", "М": "M", "О": "O", "Р": "P", "Т": "T", "Х": "X", "а": "a", "с": "c"}
LOOKS |= {"е": "e", "о": "o", "р": "p", "х": "x", "у": "y", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M"}
"""Cyrillic and Greek letters that look like Latin ones."""
SEXES = ("f", "m", "female", "male", "w", "woman", "man", "d", "diverse", "x", "other", "nonbinary", "unknown", "u", "i")
ANSWERS = ("y", "n", "yes", "no", "true", "false", "t", "f", "0", "1", "unknown")
DOMAINS = (
    (r"gender|sex", frozenset(SEXES)),
    (r"(is|has)?_?(smoker|married|employed|active|approved|default)", frozenset(ANSWERS)),
)
"""Columns whose name says what their levels can be."""


def propose(view: View) -> Iterator[Proposal]:
    """Yield proposals for all level columns, and for columns of few rows whose name says what their levels can be."""
    for name in view.table.columns:
        if view.kind(name).is_level or (view.kind(name) in (ColumnType.TEXT, ColumnType.IDENTIFIER) and _domain(name)):
            yield from _column(view, name)


def _domain(name: str) -> frozenset[str] | None:
    return next((levels for rule, levels in DOMAINS if re.fullmatch(rule, name.strip().lower())), None)


def _column(view: View, name: str) -> Iterator[Proposal]:
    codes, levels = view.levels(name)
    count = np.bincount(codes[codes >= 0], minlength=len(levels))
    wishes: dict[int, tuple[int, str, float, str]] = {}
    for found in (_outside_domain(name, levels), _misspelt(view, name, codes, levels, count), _same_letters(levels, count)):
        wishes |= {i: wish for i, wish in found.items() if i not in wishes or wishes[i][2] < wish[2]}
    for i, (j, rule, sure, why) in wishes.items():
        rows = np.flatnonzero(codes == i)
        new = view.table.frame[name].iloc[int(np.flatnonzero(codes == j)[0])]
        yield from (Proposal(int(r), name, new, rule, sure, why) for r in rows)
    yield from _look_alikes(view, name, codes, levels)


def _outside_domain(name: str, levels: tuple[str, ...]) -> dict[int, tuple[int, str, float, str]]:
    """Return levels that the column cannot have, with the one they were meant to be."""
    known = _domain(name)
    if known is None:
        return {}
    inside = [j for j, text in enumerate(levels) if _latin(text).casefold() in known]
    out = {}
    for i, text in enumerate(levels):
        near = [j for j in inside if 0 < slips(fold(text), fold(levels[j])) <= 1]
        if i not in inside and len(near) == 1 and len(inside) >= 2:
            why = f"{text!r} is none of the levels of a column {name!r}, and {levels[near[0]]!r} is one letter away"
            out[i] = (near[0], "domain", 0.92, why)
    return out


def _misspelt(view: View, name: str, codes: IntArray, levels: tuple[str, ...], count: IntArray) -> dict[int, tuple[int, str, float, str]]:
    pairs = rare_spellings(levels, count)
    bins = voters(view, name, codes) if pairs else []
    rare = count[count <= max(3, 1e-4 * count.sum())].sum() / max(1, count.sum())
    most = 0.85 if rare > USUAL else 1.0
    out = {}
    for i, j in pairs:
        sure = _sureness(i, j, levels, count)
        unlike = sure >= 0.9 and (_disagree(bins, codes, i, j) or _elsewhere(view, codes, i, j))
        against = _own_word(i, j, levels) or ("its rows do not look like those" if unlike else "")
        often = "1 row" if count[i] == 1 else f"{count[i]:,} rows"
        why = f"{levels[i]!r} stands in {often} and is spelt almost like {levels[j]!r} in {count[j]:,}"
        out[i] = (j, "spelling", 0.7 if against else min(sure, most), why + (f"; but {against}" if against else ""))
    return out


def _own_word(i: int, j: int, levels: tuple[str, ...]) -> str:
    """Return, in words, that what level i has in place of level j's words stands in further levels too; empty where it does not."""
    words = set(levels[i].casefold().split()) - set(levels[j].casefold().split())
    for word in sorted(words):
        n = sum(word in level.casefold().split() for level in levels) - 1
        if n >= FURTHER:
            return f"{word!r} stands in {n:,} other levels"
    return ""


def _sureness(i: int, j: int, levels: tuple[str, ...], count: IntArray) -> float:
    """Return how sure it is that level i is a slip of j, by letters and frequencies alone."""
    a, b = fold(levels[i]), fold(levels[j])
    distance, shortest = slips(a, b), min(len(a), len(b))
    sure = 0.97 if distance == 1 and shortest >= 5 else 0.93 if distance == 1 and shortest == 4 else 0.85 if distance == 1 else 0.8
    sure = 0.93 if distance == 2 and shortest >= 8 else sure
    rivals = [k for k in np.flatnonzero(count >= TIMES) if k != j and may_be_slip(a, fold(levels[k]), len(levels))]
    second = min((slips(a, fold(levels[k])) for k in rivals), default=3)
    if second <= distance:
        return 0.5
    if count[i] > max(3, 1e-4 * count.sum()):  # the same slip so often is rather a level of its own
        sure = min(sure, 0.75)
    return sure if second >= min(distance + 2, 3) else min(sure, 0.85)


def _disagree(bins: list[IntArray], codes: IntArray, i: int, j: int) -> bool:
    """Return whether the rows of level i are most unlike those of j, by a naive Bayes comparison with all rows."""
    return bool(alike(bins, codes == j)[codes == i].mean() < np.log(0.05))


def _elsewhere(view: View, codes: IntArray, i: int, j: int) -> bool:
    """Return whether some number of all rows of level i lies beyond all those of j, which chance gives once in n / 2 rows."""
    mine, its = codes == i, codes == j
    for name in [c for c in view.features if view.is_number(c)][:40]:
        x = view.numbers(name)
        here, there = x[mine][~np.isnan(x[mine])], x[its]
        if len(here) and (here.min() > np.nanmax(there, initial=-np.inf) or here.max() < np.nanmin(there, initial=np.inf)):
            return True
    return False


def _same_letters(levels: tuple[str, ...], count: IntArray) -> dict[int, tuple[int, str, float, str]]:
    """Return rare levels that differ from a frequent one only by case, blanks or hyphens."""
    groups: dict[str, list[int]] = {}
    for i, level in enumerate(levels):
        if re.search(r"[^\W\d_]", level):
            groups.setdefault(fold(level), []).append(i)
    out = {}
    for group in groups.values():
        group = sorted(group, key=lambda i: -count[i])
        for i in group[1:]:
            j = group[0]
            blanks = " ".join(levels[i].casefold().split()) == " ".join(levels[j].casefold().split())
            rare = count[i] <= max(3, RARE_SHARE * count.sum()) and count[j] >= TIMES * count[i]
            times = "1 row" if count[i] == 1 else f"{count[i]:,} rows"
            sure = 0.96 if rare and blanks else 0.85 if rare else 0.7
            out[i] = (
                j,
                "same letters",
                sure,
                f"{levels[i]!r} ({times}) differs from {levels[j]!r} ({count[j]:,}) in case or blanks",
            )
    return out


def _latin(text: str) -> str:
    return "".join(LOOKS.get(c, c) for c in text)


def _look_alikes(view: View, name: str, codes: IntArray, levels: tuple[str, ...]) -> Iterator[Proposal]:
    """Yield levels with letters of another alphabet that only look like Latin ones."""
    mixed = any(re.search(r"[A-Za-z]", t) for t in levels)
    for i, text in enumerate(levels):
        plain = _latin(text)
        if mixed and plain != text and plain.isascii():
            sure = 0.95 if plain in levels else 0.85
            why = f"{text!r} holds letters of another alphabet that look like {plain!r}"
            yield from (Proposal(int(r), name, plain, "look-alike letters", sure, why) for r in np.flatnonzero(codes == i))
