"""Columns that say nothing, name the row, or say the same thing twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.forms import several_forms
from pellucid.audit.view import View, amount, listed, share
from pellucid.encode.reach import within_reach
from pellucid.results import Finding
from pellucid.table import ColumnType, Role

__all__ = ["find"]

NEARLY = 0.995
TWINS = 0.995


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
    return not np.isnan(x).any() and bool(np.all(x == np.round(x))) and bool((np.diff(x) > 0).all() or (np.diff(x) < 0).all())


def same_twice(view: View) -> list[list[str]]:
    """Return groups of columns whose cells determine each other one to one, in table order."""
    seen: dict[bytes, list[str]] = {}
    for name in view.features:
        codes = view.codes(name)
        if codes.min() == codes.max() or name == view.table.target:
            continue
        count = int(codes.max()) + 1
        if count > len(codes) / 5:  # nearly all distinct: any two such columns go one to one, so only the same order counts
            key = codes
        else:
            first = np.unique(codes, return_index=True, return_inverse=True)
            key = first[1][first[2].reshape(-1)]  # each cell's first row: equal for columns that are renamings of each other
        seen.setdefault(key.astype(np.int64).tobytes() + (codes < 0).tobytes(), []).append(name)
    return [names for names in seen.values() if len(names) > 1]


def _same_twice(view: View) -> Iterator[Finding]:
    """Tell columns whose cells determine each other one to one."""
    for names in same_twice(view):
        equal = all(view.table.frame[n].equals(view.table.frame[names[0]]) for n in names[1:])
        how = "hold the same cells" if equal else "say the same: each value of one goes with exactly one value of the other"
        remedy = f"keep one ({listed(names[:1])}); importance is shared out between twins at random"
        yield view.finding("constants: doubled column", "medium" if equal else "low", names, f"{listed(names)} {how}", remedy)


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
    found = []
    for i, j in np.argwhere(np.triu((np.abs(r) > TWINS) & (both >= 30), 1)):
        a, b = names[i], names[j]
        if np.array_equal(np.unique(view.codes(a), return_inverse=True)[1], np.unique(view.codes(b), return_inverse=True)[1]):
            continue  # already told as doubled
        found.append((a, b, float(r[i, j])))
    return found


def _nearly_the_same(view: View) -> Iterator[Finding]:
    """Tell pairs of number columns that are almost a straight line of each other."""
    for a, b, r in nearly_same(view):
        words = f"'{a}' and '{b}' are nearly a straight line of each other (correlation {r:.4f})"
        remedy = "consider keeping one; importance is shared out between twins at random"
        yield view.finding("constants: nearly doubled", "low", (a, b), words, remedy, figures={"correlation": r}, sampled=True)
