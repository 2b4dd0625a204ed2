"""Columns read as words for how their cells are written: dates of several forms, numbers among words, clock times, pairs of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from pellucid.audit.view import View, listed, share
from pellucid.results import Finding
from pellucid.results.text import percent
from pellucid.table import ColumnType
from pellucid.table.hints import text_code
from pellucid.table.parse import date_forms, is_null_word, to_numbers

__all__ = ["several_forms"]

MOST, FEWEST = 2000, 20
MOSTLY, LEAST = 0.9, 0.5
"""Share of the cells that are dates of some form, and that are numbers, from which on the column is meant so."""
FEW = 5
LETTERED = re.compile(r"\d+[^\W\d_]")
NEARLY = 0.95
CLOCK = re.compile(r"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?")
PART = r"(?:0|[1-9]\d{0,4})(?:[.,]\d{1,4})?"
PAIR = re.compile(rf"{PART} ?([/:x×*]|'|-to-) ?{PART} ?(?:\"|'')?")
"""A number, a sign, a number; what starts with a 0 is rather a code."""


def several_forms(view: View, name: str) -> Iterator[Finding]:
    """Yield the finding that a column of words is one of dates, or of numbers, written in several ways, or of clock times or pairs.

    Notes
    -----
    Cost: at most 2,000 of its distinct texts are read.
    """
    if view.kind(name) not in (ColumnType.CATEGORY, ColumnType.TEXT, ColumnType.IDENTIFIER):
        return
    codes, texts = view.levels(name)
    step = max(1, -(-len(texts) // MOST))
    some = [t.strip() for t in texts[::step]]
    yield from _times_and_pairs(view, name, [t for t in some if not is_null_word(t)])
    if len(some) < FEWEST or not any(c.isdigit() for t in some[:200] for c in t):
        return
    forms = date_forms([t for t in some if not is_null_word(t)])
    dates = sum(map(len, forms.values()))
    if len(forms) > 1 and dates >= MOSTLY * len(some):
        yield _dates(view, name, forms, some)
    elif not dates:
        yield from _numbers(view, name, codes, texts)


def _times_and_pairs(view: View, name: str, some: list[str]) -> Iterator[Finding]:
    """Tell clock times and pairs of numbers: as words they have no order and no size."""
    if len(some) < FEW:
        return
    shown, kind = listed(some[:3]), view.kind(name).value
    severity = "low" if view.kind(name) is ColumnType.CATEGORY else "medium"
    read = f"was read as {kind}" + (", which a model does not read" if view.kind(name) is ColumnType.IDENTIFIER else "")
    if sum(CLOCK.fullmatch(t) is not None for t in some) >= NEARLY * len(some):
        words = f"'{name}' holds times such as {shown}; it {read}, so that no model knows which is later or longer"
        remedy = "give them as numbers, 14:35 as 14.58 hours or as 875 minutes, and read the table again"
        yield view.finding("values: times", severity, (name,), words, remedy)
        return
    signs = [m[1] for t in some if (m := PAIR.fullmatch(t))]
    if len(signs) >= NEARLY * len(some) and len(set(signs)) == 1:
        words = f"'{name}' holds two numbers in a cell, such as {shown}; it {read}, so that no model knows how large they are"
        remedy = "if they are amounts and no codes, give each a column of its own, or their ratio where that is what is meant"
        yield view.finding("values: pairs of numbers", severity, (name,), words, remedy)


def _dates(view: View, name: str, forms: dict[str, list[str]], some: list[str]) -> Finding:
    shown = ", ".join(f"'{found[0]}' ({percent(len(found) / len(some), 0)})" for found in list(forms.values())[:4])
    words = (
        f"'{name}' holds dates written in {len(forms)} ways, so that it was read as {view.kind(name).value} and no model knows its time: "
    )
    words += f"such as {shown}"
    if any({f[:5], *forms} & {"%m/%d", "%m-%d", "%m.%d"} for f in forms) and any(f[:2] == "%d" for f in forms):
        words += "; day first in some and month first in others, by cells that leave no doubt"
    remedy = "write them alike at the source, best as 2020-12-31, and read the table again"
    return view.finding("values: several forms", "medium", (name,), words, remedy, figures={f: len(t) for f, t in forms.items()})


def _numbers(view: View, name: str, codes: np.ndarray, texts: tuple[str, ...]) -> Iterator[Finding]:
    if view.kind(name) is ColumnType.IDENTIFIER or len(texts) < FEWEST:
        return
    values, bad = to_numbers(pd.Series(list(texts), dtype=object))
    number = np.append(~np.isnan(values) & ~bad, False)[codes]
    word = (codes >= 0) & ~number
    if not (number.sum() >= LEAST * max(int((codes >= 0).sum()), 1) and word.any()) or len(np.unique(codes[number])) < FEWEST:
        return
    others = pd.Series(np.asarray(texts, object)[codes[word]]).value_counts()
    if len(others) > FEWEST:
        return  # words of many kinds: no column of numbers with remarks, but names that may be numbers
    if text_code(name, texts) or all(LETTERED.fullmatch(t.strip()) for t in others.index):
        return  # codes, some with a letter: none is larger
    first = [f"{text} ({count:,})" for text, count in others.head(5).items()]
    words = f"'{name}' holds numbers in {share(int(number.sum()), len(view))} and words in {int(word.sum()):,}: {listed(first)}; it was "
    words += f"read as {view.kind(name).value}, so that no model knows which number is larger"
    codes_of = ", ".join(f"'{t}'" for t in others.index[:3])
    remedy = f"if the words stand for missing, read the table with missing={{'{name}': [{codes_of}]}}; else give them a column of their own"
    yield view.finding("values: several forms", "medium", (name,), words, remedy, rows=np.flatnonzero(word))
