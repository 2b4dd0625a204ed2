"""Columns that say nothing, name the row, or say the same thing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pellucid.audit.forms import several_forms
from pellucid.audit.view import IntArray, View, amount, listed, share
from pellucid.encode.reach import within_reach
from pellucid.results import Finding
from pellucid.table import ColumnType, Role
from pellucid.table.hints import is_identifier_name, is_order_name

__all__ = ["find"]

NEARLY = 0.995
TWINS = 0.995
NUMBERED = re.compile(r"(no|nr|num|id)\.?$")
MOST_TOLD = 5
"""Groups of doubled columns that have a finding each; more of them are told in one."""
FEW_ROWS, FEW_VALUES = 20, 8
"""Of fewer rows, columns go one to one by chance unless they hold so many different values, or are a line of each other."""


def find(view: View) -> list[Finding]:
    """Return empty, constant and nearly constant columns, identifiers, and columns that double another."""
    if len(view) < 2:
        return []
    return [f for part in (_constant, _identifiers, _same_twice, _nearly_the_same) for f in part(view)]


def _constant(view: View) -> Iterator[Finding]:
    empty = [n for n in view.inputs if view.missing(n).all()]
    if empty:
        yield view.finding(
            "constants: empty column", "low", empty, f"{listed(empty)}: every cell is missing", "leave out; a model does not read it"
        )
    for name in view.inputs:
        codes = view.codes(name)
        known = codes[codes >= 0]
        if not len(known):
            continue
        count = np.bincount(known)
        top = int(count.max())
        value = _value(view, name, int(np.flatnonzero(codes == count.argmax())[0]))
        gaps = len(codes) - len(known)
        if top == len(known):
            words = f"'{name}' is {value} in every row" + (f" but the {gaps:,} where it is missing" if gaps else "")
            remedy = "leave out; a model does not read it"
            if view.kind(name) is not ColumnType.CONSTANT:
                remedy = "nothing to do where it is a mark, such as a tick: a model reads in which rows it stands"
            yield view.finding("constants: constant column", "low", (name,), words, remedy, figures={"value": value, "missing": gaps})
        elif top > NEARLY * len(codes) and len(codes) >= 200:
            rest = np.flatnonzero((codes != count.argmax()) & (codes >= 0))
            words = f"'{name}' is {value} in {share(top, len(codes))}, something else in only {len(rest):,}"
            remedy = "too few other rows to learn from; check whether they matter, else leave out"
            yield view.finding(
                "constants: nearly constant", "low", (name,), words, remedy, rows=rest, figures={"value": value, "share": top / len(codes)}
            )


def _value(view: View, name: str, row: int) -> str:
    """Return one cell as text."""
    if view.kind(name) is ColumnType.NUMBER:
        return amount(float(view.numbers(name)[row]), view.table.schema[name].unit)
    return f"'{view.table.frame[name].iloc[row]}'"


def _identifiers(view: View) -> Iterator[Finding]:
    """Tell identifiers, and columns that look like one but would be read."""
    # dates written in several ways have a finding of their own, and are no names
    found = [n for n in view.table.schema.identifiers if n in view.inputs and not any(several_forms(view, n))]
    if found:
        distinct = ", ".join(f"'{n}' ({len(np.unique(view.codes(n))):,} values in {len(view):,} rows)" for n in found[:5])
        repeated = [n for n in found if _repeats(view, n)]
        words = f"{distinct}: names of rows, which a model does not read" + (f"; values of {listed(repeated)} repeat" if repeated else "")
        remedy = (
            "if rows with one identifier belong together, keep them in one part: with_roles(group=...)" if repeated else "nothing to do"
        )
        severity = "medium" if repeated and view.table.schema.role(Role.GROUP) is None else "low"
        yield view.finding("constants: identifier", severity, found, words, remedy)
    for name in view.features:
        if name != view.table.target and len(view) > 50 and _counts_rows(view, name):
            words = f"'{name}' is a whole number, different in every row and in the order of the rows: it looks like an identifier"
            remedy = f"set with_types({name}='identifier') unless it measures something"
            yield view.finding("constants: looks like an identifier", "medium", (name,), words, remedy)


def _repeats(view: View, name: str) -> bool:
    codes = view.codes(name)
    known = codes[codes >= 0]
    return len(known) > 0 and len(np.unique(known)) < 0.99 * len(known)


def _counts_rows(view: View, name: str) -> bool:
    if view.kind(name) is not ColumnType.NUMBER:
        return False
    x = view.numbers(name)
    if np.isnan(x).any() or is_order_name(name):
        return False
    steps = np.abs(np.diff(x))
    # a table sorted by a quantity has steps of every size; numbers given out one after the other mostly have one
    regular = is_identifier_name(name) or NUMBERED.search(name.lower()) is not None or bool((steps == np.median(steps)).mean() >= 0.5)
    return regular and bool(np.all(x == np.round(x))) and bool((np.diff(x) > 0).all() or (np.diff(x) < 0).all())


def same_twice(view: View) -> list[list[str]]:
    """Return groups of columns whose cells determine each other one to one, in table order."""
    seen: dict[bytes, list[str]] = {}
    for name in view.features:
        codes = view.codes(name)
        if codes.min() == codes.max() or name == view.table.target:
            continue
        count = int(codes.max()) + 1
        few = len(codes) < FEW_ROWS and count < FEW_VALUES
        if few and count < 3:
            continue
        if few or count > len(codes) / 5:  # nearly all distinct: any two such columns go one to one, so only the same order counts
            key = codes
            # what rises, or falls, down the table has the order of all else that does, as years and a population: there only a line counts
            if view.is_number(name) and (few or _is_sorted(codes[codes >= 0])):
                x = within_reach(view.numbers(name)[:, None])[:, 0]
                key = np.nan_to_num(np.round((x - np.nanmin(x)) / np.ptp(x[codes >= 0]) * 1e9), nan=-1.0)
        else:
            first = np.unique(codes, return_index=True, return_inverse=True)
            key = first[1][first[2].reshape(-1)]  # each cell's first row: equal for columns that are renamings of each other
        seen.setdefault(key.astype(np.int64).tobytes() + (codes < 0).tobytes(), []).append(name)
    return [names for names in seen.values() if len(names) > 1]


def _is_sorted(codes: IntArray) -> bool:
    steps = np.diff(codes)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _same_twice(view: View) -> Iterator[Finding]:
    """Tell columns whose cells determine each other one to one; many groups of them in one finding."""
    found: dict[bool, list[list[str]]] = {}
    for names in same_twice(view):
        found.setdefault(all(view.table.frame[n].equals(view.table.frame[names[0]]) for n in names[1:]), []).append(names)
    for equal, groups in found.items():
        how = "hold the same cells" if equal else "say the same: each value of one goes with exactly one value of the other"
        severity = "medium" if equal else "low"
        for names in groups if len(groups) <= MOST_TOLD else []:
            remedy = f"keep one ({listed(names[:1])}); importance is shared out between twins at random"
            yield view.finding("constants: doubled column", severity, names, f"{listed(names)} {how}", remedy)
        if len(groups) > MOST_TOLD:
            shown = "; ".join(listed(g) for g in groups[:MOST_TOLD])
            words = f"in {len(groups):,} groups columns {how} ({shown}; and {len(groups) - MOST_TOLD:,} groups more)"
            remedy = "keep one of each group, as pellucid.reduce does; importance is shared out between twins at random"
            every = [n for g in groups for n in g]
            yield view.finding("constants: doubled column", severity, every, words, remedy, figures={"groups": groups})


def nearly_same(view: View) -> list[tuple[str, str, float]]:
    """Return pairs of number columns that are almost a straight line of each other, with their correlation."""
    names = [n for n in view.features if view.kind(n) is ColumnType.NUMBER and n != view.table.target]
    names = [n for n in names if np.unique(view.codes(n)[view.sample]).size > 2]
    if len(names) < 2 or len(view) < 30:
        return []
    x = within_reach(np.stack([view.numbers(n)[view.sample] for n in names]).T).T
    x = x - np.nanmean(x, axis=1, keepdims=True)
    there = ~np.isnan(x)
    x[~there] = 0.0
    norm = np.sqrt((x**2) @ there.T.astype(float))  # spread of i over the rows where j is there
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (x @ x.T) / (norm * norm.T)
    both = there.astype(float) @ there.T.astype(float)
    found, doubled = [], same_twice(view)
    for i, j in np.argwhere(np.triu((np.abs(r) > TWINS) & (both >= 30), 1)):
        a, b = names[i], names[j]
        if any(a in group and b in group for group in doubled):
            continue  # already told
        if np.array_equal(np.unique(view.codes(a), return_inverse=True)[1], np.unique(view.codes(b), return_inverse=True)[1]):
            continue  # rows sorted by both: that years go with a population makes no twins of them
        found.append((a, b, float(r[i, j])))
    return found


def _nearly_the_same(view: View) -> Iterator[Finding]:
    """Tell number columns that are almost a straight line of each other, those that hang together in one finding."""
    pairs = nearly_same(view)
    for names in _together(pairs):
        r = [c for a, _, c in pairs if a in names]
        words = f"'{names[0]}' and '{names[1]}' are nearly a straight line of each other (correlation {r[0]:.4f})"
        if len(names) > 2:
            ends = " to ".join(f"{v:.4f}" for v in (min(map(abs, r)), max(map(abs, r))))
            words = f"each of {listed(names)} is nearly a straight line of another of them ({len(r):,} pairs, correlation {ends})"
        remedy = "consider keeping one; importance is shared out between twins at random"
        yield view.finding("constants: nearly doubled", "low", names, words, remedy, figures={"correlation": max(r, key=abs)}, sampled=True)


def _together(pairs: list[tuple[str, str, float]]) -> list[list[str]]:
    """Return the columns of pairs in groups that no pair connects, in order."""
    groups: list[list[str]] = []
    for a, b, _ in pairs:
        mine = [g for g in groups if a in g or b in g]
        groups = [g for g in groups if g not in mine] + [list(dict.fromkeys([*(n for g in mine for n in g), a, b]))]
    return groups
