"""Proposals for numbers: cells that are no number, slipped decimal points and units, impossible values, broken sums."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pellucid.audit.dependencies import Makes, made_of
from pellucid.audit.proposals import Proposal, number_cells
from pellucid.audit.slips import point_slips
from pellucid.audit.values import range_of, unit_slip
from pellucid.audit.view import FloatArray, View, amount
from pellucid.table import ColumnType

__all__ = ["propose"]

KEYS = str.maketrans({"o": "0", "O": "0", "l": "1", "I": "1", "|": "1", "S": "5", "B": "8", "Z": "2"})
"""Letters typed for the digits they look like."""
SURE_SPREAD = 0.09
"""Where the rest of the row tells the size of a cell this well (in powers of ten), a slip of its point is beyond doubt."""


def propose(view: View) -> Iterator[Proposal]:
    """Yield proposals for all number columns."""
    numbers = [n for n in view.table.columns if view.kind(n) is ColumnType.NUMBER]
    for name in numbers:
        yield from _unreadable(view, name)
        yield from _impossible(view, name)
        yield from _units(view, name)
    yield from _points(view)
    for made in made_of(view):
        yield from _sums(view, made)


def _unreadable(view: View, name: str) -> Iterator[Proposal]:
    rows = np.flatnonzero(view.unreadable(name))
    if not len(rows):
        return
    x = view.numbers(name)
    low, high = np.nanmin(x, initial=np.inf), np.nanmax(x, initial=-np.inf)
    for r in rows:
        text = str(view.table.frame[name].iloc[r])
        read = _reread(text, view.table.schema[name].decimal)
        if read is None:
            yield Proposal(int(r), name, None, "no number", 0.6, f"{text!r} is no number")
            continue
        inside = low <= read <= high
        where = f"lies {'within' if inside else 'outside'} the others"
        cell = number_cells(view, name, np.array([read]))[0]
        yield Proposal(int(r), name, cell, "mistyped number", 0.92 if inside else 0.7, f"{text!r} reads as {amount(read)}, which {where}")


def _reread(text: str, decimal: str) -> float | None:
    """Return the number that was meant, or None."""
    if not re.search(r"\d", text):
        return None
    other = "," if decimal == "." else "."
    for tried in (text.translate(KEYS), text.replace(other, decimal), re.sub(r"[^\w.,+-]+$|^[^\w.,+-]+", "", text), text.replace(" ", "")):
        bare = tried.strip().replace(decimal, ".")
        if tried != text and re.fullmatch(r"[+-]?\d+\.?\d*|[+-]?\.\d+", bare):
            return float(bare)
    return None


def _impossible(view: View, name: str) -> Iterator[Proposal]:
    bounds = range_of(view, name)
    if bounds is None:
        return
    x = view.numbers(name)
    low, high = bounds
    rows = np.flatnonzero((x < low) | (x > high))
    if not len(rows) or len(rows) > 0.2 * len(x):
        return
    for r in rows:
        turned = -x[r]
        usual = x[(x >= low) & (x <= high)]
        if low <= turned <= high and len(usual) and np.quantile(usual, 0.01) <= turned <= np.quantile(usual, 0.99):
            cell = number_cells(view, name, np.array([turned]))[0]
            yield Proposal(int(r), name, cell, "sign", 0.8, f"{amount(float(x[r]))} cannot be; without its sign it is usual")
        else:
            yield Proposal(int(r), name, None, "impossible", 0.6, f"{amount(float(x[r]))} cannot be in a column of this name")


def _units(view: View, name: str) -> Iterator[Proposal]:
    x = view.numbers(name)
    found = unit_slip(x)
    if found is None:
        return
    rows, factor, words = found
    sure = 0.92 if max(factor, 1 / factor) >= 100 else 0.8
    cells = number_cells(view, name, x[rows] / factor)
    verb = "divided" if factor > 1 else "multiplied"
    for r, cell in zip(rows, cells):
        yield Proposal(int(r), name, cell, "unit", sure, f"{amount(float(x[r]))} lies apart; {verb} by {words} it is among the others")


def _points(view: View) -> Iterator[Proposal]:
    for slip in point_slips(view):
        x = view.numbers(slip.column)[slip.rows]
        new = np.array([float(f"{v:.12g}") for v in x / 10.0**slip.powers])
        off = np.abs(np.log10(np.abs(new)) - np.log10(np.abs(slip.expected)))
        cells = number_cells(view, slip.column, new)
        for r, old, cell, expected, miss in zip(slip.rows, x, cells, slip.expected, off):
            sure = 0.95 if slip.spread <= SURE_SPREAD and miss <= 3 * slip.spread else 0.85
            why = f"{amount(float(old))} is off by a power of ten: the row says about {amount(float(f'{expected:.2g}'))}"
            yield Proposal(int(r), slip.column, cell, "decimal point", sure, why)


def _sums(view: View, made: Makes) -> Iterator[Proposal]:
    """Yield, for each broken sum or product, the one cell that a slipped point explains; else, unsure, the total or what else may be."""
    a, b, t = (view.numbers(n)[made.rows] for n in (made.left, made.right, made.total))
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (t - b, t - a) if made.sign == "+" else (t / b, t / a)
    what = f"{made.left!r} {made.sign} {made.right!r} = {made.total!r} holds in {100 * made.holds:.2f} % of the rows"
    should = {made.total: (t, made.should), made.left: (a, left), made.right: (b, right)}
    slipped = {n: _power(is_, wanted) for n, (is_, wanted) in should.items()}
    fits = {n: _fits(np.delete(view.numbers(n), made.rows), wanted) for n, (_, wanted) in should.items()}
    for k, r in enumerate(made.rows):
        certain = [n for n in should if slipped[n][k]]
        maybe = [n for n in should if fits[n][k]] or [made.total]
        name, sure = (certain[0], 0.95) if len(certain) == 1 else (maybe[0], 0.7 if made.total in maybe or len(maybe) == 1 else 0.5)
        cell = number_cells(view, name, np.array([float(should[name][1][k])]))[0]
        other = [f"or {n!r} should be {amount(float(should[n][1][k]))}" for n in maybe if n != name and sure < 0.95]
        yield Proposal(int(r), name, cell, "sum" if made.sign == "+" else "product", sure, "; ".join([what, *other]))


def _fits(others: FloatArray, wanted: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which wanted cells could stand in a column with these other cells: within their range, whole where all of them are."""
    known = others[np.isfinite(others)]
    whole = bool((known == np.round(known)).all())
    inside = (wanted >= known.min(initial=np.inf)) & (wanted <= known.max(initial=-np.inf))
    return np.asarray(inside & ((np.abs(wanted - np.round(wanted)) < 1e-9 * (1 + np.abs(wanted))) | (not whole)))


def _power(x: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return which numbers are the wanted ones but for their decimal point."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.log10(x / wanted)
    power = np.where(np.isfinite(power), power, 0.0)
    return np.asarray((np.abs(power - np.round(power)) < 1e-6) & (np.abs(np.round(power)) >= 1))
