"""Rules between number columns that nearly all rows keep, learned from the table: equations, orders, and ratios that a group fixes.

``total = a + b - c``, ``net = 0.81 gross``; ``start <= end``; ``fee / amount`` the same for all rows of one tariff. Rows that break a rule
are named, with the cell that is probably wrong where the rules together tell it. Sums and products of two columns and columns that decide
each other are those of :mod:`pellucid.audit.dependencies`.

After Fariha, Tiwari, Radhakrishna, Gulwani, Meliou 2021, "Conformance constraint discovery", SIGMOD, doi:10.1145/3448016.3452795.

# NOTE[DIFF] The source keeps every direction of little variance, with a bound of four standard deviations, and weighs violations. Here a
rule must hold to the last written decimal in 99 % of the rows, and terms are dropped while it still does: a reader can check such a rule,
and a row that breaks it has a wrong cell, not merely a rare one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.audit.dependencies import HOLDS, made_of, tick
from pellucid.audit.view import BoolArray, FloatArray, IntArray, View, amount, share
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["Conforms", "blamed", "find", "learned"]

MOST_EQUATIONS, MOST_ORDERS, MOST_RATIOS, MOST_GROUPS = 40, 40, 40, 20
FEW_ROWS = 2000
FEWEST = 100
EXACT = 0.97
"""Share of the rows that keep an equation or a ratio to the last decimal; more of them may be broken than of an order, as none is kept by
chance."""
TOGETHER = 0.5
"""Least correlation, within groups, of the logarithms of two columns whose ratio a group may fix: one row in twenty may be far off."""
SHARP = 0.1
"""A rule is told apart from chance only where it is at most so wide, as a share of the spread of what it fixes."""
BY_CHANCE = {True: 0.05, False: 0.25}
"""An order says something where columns dealt out at random would break it in at least this share of the rows; less will do where the names
have a word in common."""
EDGE, FAR = 20.0, 0.25
"""An order is a rule, not a tail, where rows are this many times as frequent just inside its edge as just beyond, and where those beyond
lie this far, as a share of the usual gap."""


@dataclass(frozen=True)
class Conforms:
    """A rule of one table.

    Attributes
    ----------
    kind : ``"equation"``, ``"order"`` or ``"ratio"``. columns : of the rule; of an equation and a ratio the fixed column comes first.
    words : the rule as a reader writes it. support : rows that can speak of it. holds : share of them that keep it.
    rows : (n,) positions of those that do not.
    solved : by number column (n,) what it would be if the others of the row are right; empty for an order.
    law : what :class:`~pellucid.training.rules.Rule` needs beside these.
    """

    kind: str
    columns: tuple[str, ...]
    words: str
    support: int
    holds: float
    rows: IntArray
    solved: dict[str, FloatArray] = field(default_factory=dict)
    law: dict[str, Any] = field(default_factory=dict)


def find(view: View) -> list[Finding]:
    """Return the rules that some rows break, with these rows and, where it can be told, the cell."""
    rules = learned(view)
    cells = blamed(view, rules)
    return [_finding(view, r, cells) for r in rules if len(r.rows)]


def _finding(view: View, rule: Conforms, cells: dict[int, tuple[str, float, float]]) -> Finding:
    mine = {int(r): cells[int(r)] for r in rule.rows if int(r) in cells and cells[int(r)][0] in rule.columns}
    row = int(rule.rows[0])
    shown = ", ".join(f"{c} {view.table.frame[c].iloc[row]}" for c in rule.columns)
    words = f"'{rule.words}' holds in {100 * rule.holds:.2f} % of {rule.support:,} rows, but not in {share(len(rule.rows), len(view))}, "
    words += f"such as row {row}: {shown}"
    words += f"; there '{mine[row][0]}' would be {amount(float(f'{mine[row][1]:.6g}'))}" if row in mine else ""
    figures = {
        "support": rule.support, "violation rate": 1 - rule.holds,
        "cells": {str(r): name for r, (name, _, _) in list(mine.items())[:1000]},
    }  # fmt: skip
    remedy = "one of these cells is probably wrong: look at the rows"
    if mine:
        remedy = "look at the named cells: 'repair' proposes what they should be"
    elif rule.kind == "order":
        remedy = "look at the rows: one of these cells is wrong, or the order is usual and no rule"
    return view.finding(f"conformance: {rule.kind}", "medium", rule.columns, words, remedy, rows=rule.rows, figures=figures)


def learned(view: View) -> list[Conforms]:
    """Return the rules of the table, broken or not.

    Notes
    -----
    Cost: one least-squares fit and its eliminations for each of at most 40 number columns, 1,600 pairs of at most 40, and those of 40 that
    grow together within the groups of one of 20 level columns, all on 2,000 rows; what holds there is checked on the whole table.
    """
    equations = list(_equations(view))
    fixed = {frozenset(e.columns) for e in equations}
    made = {frozenset((m.total, m.left, m.right)) for m in made_of(view)}
    ratios = [r for r in _ratios(view) if frozenset(r.columns[:2]) not in fixed]
    return [*(e for e in equations if frozenset(e.columns) not in made), *_orders(view), *ratios]


def _names(view: View, most: int, distinct: int = 10) -> list[str]:
    names = [n for n in view.features if view.kind(n) is ColumnType.NUMBER]
    target = view.table.target
    names += [target] if target is not None and view.kind(target) is ColumnType.NUMBER and target not in names else []
    return [n for n in names if len(np.unique(view.codes(n)[view.sample])) > distinct][:most]


def _some(view: View) -> IntArray:
    return np.asarray(view.sample[:: max(1, len(view.sample) // FEW_ROWS)])


# ------------------------------------------------------------------ equations


def _equations(view: View) -> Iterator[Conforms]:
    names = _names(view, MOST_EQUATIONS)
    x = np.stack([view.numbers(n)[_some(view)] for n in names], 1) if names else np.zeros((0, 0))
    whole = ~np.isnan(x).any(1)
    if len(names) < 2 or whole.sum() < FEWEST:
        return
    x = x[whole]
    ticks = np.array([max(tick(c), 1e-9) for c in x.T])
    low, high = np.quantile(x, [0.01, 0.99], axis=0)
    usual = ((x >= low - (high - low)) & (x <= high + (high - low))).all(1)
    best: dict[frozenset[int], tuple[int, tuple[int, list[int], FloatArray, float, float]]] = {}
    for k in range(len(names)):
        found = _equation(x[usual], k, ticks)
        if found is None:
            continue
        key, plain = frozenset((k, *found[0])), int((found[1] > 0).sum())  # a sum is easier to read than a difference
        if key not in best or plain > best[key][0]:
            best[key] = plain, (k, *found)
    for _, rule in best.values():
        checked = _check_equation(view, names, *rule)
        if checked is not None:
            yield checked


def _width(k: int, of: list[int], c: FloatArray, ticks: FloatArray) -> float:
    return float(1.01 * ticks[k] + (np.abs(c) * ticks[of]).sum() / 2)


def _equation(x: FloatArray, k: int, ticks: FloatArray) -> tuple[list[int], FloatArray, float, float] | None:
    """Return (columns, coefficients, constant, half-width) by which column k is fixed, of as few terms as will do."""
    others = [j for j in range(x.shape[1]) if j != k]
    fit = _fitted(x, k, others, ticks)
    if fit is None:
        return None
    while len(others) > 1:
        shares = np.abs(fit[0]) * x[:, others].std(0)
        for out in np.argsort(shares):
            fewer = [j for i, j in enumerate(others) if i != out]
            tried = _fitted(x, k, fewer, ticks)
            if tried is not None:
                others, fit = fewer, tried
                break
        else:
            break
    c, constant = fit
    return others, c, constant, _width(k, others, c, ticks)


def _fitted(x: FloatArray, k: int, of: list[int], ticks: FloatArray) -> tuple[FloatArray, float] | None:
    """Return (coefficients, constant) by least squares on the rows that are not far off, or None where they do not fix column k."""
    scale = np.maximum(x[:, of].std(0), 1e-300)
    middle = x[:, of].mean(0)
    design = np.column_stack([(x[:, of] - middle) / scale, np.ones(len(x))])
    keep = np.ones(len(x), bool)
    for _ in range(6):
        c = np.linalg.lstsq(design[keep], x[keep, k], rcond=1e-12)[0]
        off = np.abs(x[:, k] - design @ c)
        keep = off <= max(float(np.quantile(off, 0.9)), 1e-12)
    slopes = c[:-1] / scale
    near = np.round(slopes, 3)
    slopes = np.where(np.abs(slopes - near) <= 1e-3 * np.abs(near) / max(1.0, float(np.abs(near).max())), near, slopes)
    constant = float(np.median(x[keep, k] - x[keep][:, of] @ slopes))
    constant = 0.0 if abs(constant) <= ticks[k] else constant
    width = _width(k, of, slopes, ticks)
    slack = 1e-9 * np.abs(x[:, k])
    good = np.abs(x[:, k] - x[:, of] @ slopes - constant) <= width + slack
    spread = float(np.subtract(*np.quantile(x[:, k], [0.9, 0.1])))
    # numbers of many digits that differ in the last ones alone are anything's sum to what doubles may be off by
    return (slopes, constant) if good.mean() >= EXACT - 0.01 and width + slack.max() <= SHARP * spread else None


def _check_equation(
    view: View, names: list[str], k: int, of: list[int], c: FloatArray, constant: float, width: float
) -> Conforms | None:  # fmt: skip
    columns = [names[k], *(names[j] for j in of)]
    t, *parts = (view.numbers(n) for n in columns)
    made = sum((w * p for w, p in zip(c, parts)), np.full(len(t), constant))
    there = ~np.isnan(t) & ~np.isnan(made)
    with np.errstate(invalid="ignore"):
        off = there & (np.abs(t - made) > width + 1e-9 * np.abs(made))
    rows, holds = np.flatnonzero(off), 1 - off.sum() / max(int(there.sum()), 1)
    if holds < EXACT:
        return None
    miss = (t - made)[rows]
    solved = {columns[0]: made[rows]} | {n: p[rows] + miss / w for n, w, p in zip(columns[1:], c, parts)}
    words = f"{columns[0]} ="
    for i, (w, n) in enumerate(zip(c, columns[1:])):
        sign = ("- " if w < 0 else "") if i == 0 else ("- " if w < 0 else "+ ")
        words += f" {sign}{'' if abs(abs(w) - 1) < 1e-12 else f'{abs(w):.6g} '}{n}"
    words += "" if not constant else f" {'-' if constant < 0 else '+'} {abs(constant):.6g}"
    law = {"weights": tuple(float(w) for w in c), "constant": constant, "width": width}
    return Conforms("equation", tuple(columns), words, int(there.sum()), float(holds), rows, solved, law)


# ------------------------------------------------------------------ orders


def _orders(view: View) -> Iterator[Conforms]:
    numbers = _names(view, MOST_ORDERS, 5)
    dates = [n for n in view.inputs if view.kind(n) is ColumnType.DATE][:MOST_ORDERS]
    some = _some(view)
    for names in (numbers, dates):
        for a, b in itertools.permutations(names, 2):
            if view.table.schema[a].unit != view.table.schema[b].unit:
                continue
            x, y, least = view.numbers(a), view.numbers(b), BY_CHANCE[bool(_words(a) & _words(b))]
            if _is_order(x[some], y[some], 0.03, least):
                there = ~np.isnan(x) & ~np.isnan(y)
                if _is_order(x, y, 1 - HOLDS, least):
                    rows = np.flatnonzero(there & (x > y))
                    holds = 1 - len(rows) / max(int(there.sum()), 1)
                    yield Conforms("order", (a, b), f"{a} <= {b}", int(there.sum()), float(holds), rows)


def _words(name: str) -> set[str]:
    return {w for w in re.split(r"[^a-z]+", name.lower()) if len(w) > 2}


def _is_order(x: FloatArray, y: FloatArray, most: float, least: float) -> bool:
    """Return whether x <= y nearly always, though columns of these cells dealt out at random would often break it."""
    there = ~np.isnan(x) & ~np.isnan(y)
    gap = (y - x)[there]
    if len(gap) < FEWEST or (gap < 0).mean() > most:
        return False
    chance = 1 - np.searchsorted(np.sort(x[there]), y[there], side="right").mean() / len(gap)
    if chance < least or (gap < 0).mean() > chance / 5:
        return False
    if not _has_edge(gap):
        return False
    sizes = there & (x > 0) & (y > 0)
    if sizes.sum() < 0.5 * there.sum():
        return True
    # of sizes that grow with the row, the largest are far apart as numbers and near as shares: an edge stands on both scales
    return _has_edge(np.log(y[sizes]) - np.log(x[sizes]))


def _has_edge(gap: FloatArray) -> bool:
    """Return whether few gaps (n,) below 0 lie beyond an edge, and are not the end of a tail."""
    beyond = -gap[gap < 0]
    if not len(beyond):
        return True
    h = float(np.median(beyond))
    far = h >= FAR * float(np.median(gap))
    return bool(far and ((gap >= 0) & (gap <= h)).sum() >= EDGE * (beyond <= h).sum())


# ------------------------------------------------------------------ ratios that a group fixes


def _ratios(view: View) -> Iterator[Conforms]:
    names, some = _names(view, MOST_RATIOS), _some(view)
    groups = [n for n in view.features if view.kind(n).is_level and 2 <= len(view.levels(n)[1]) <= 200][:MOST_GROUPS]
    numbers = np.array([view.numbers(n)[some] for n in names]).reshape(len(names), len(some)).T
    together = {by: _together(numbers, view.levels(by)[0][some]) for by in groups}
    for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
        x, y = view.numbers(a), view.numbers(b)
        for by in groups:
            if not together[by][i, j]:
                continue
            g = view.levels(by)[0]
            quick = _kept(x[some], y[some], g[some], 0.04)
            if quick is None:
                continue
            found = _kept(x, y, g, 1 - EXACT)
            if found is None:
                continue
            ratio, width, off, there = found
            rows = np.flatnonzero(off)
            at = ratio[np.maximum(g, 0)][rows]
            with np.errstate(divide="ignore", invalid="ignore"):
                solved = {a: at * y[rows], b: x[rows] / at}
            holds = 1 - off.sum() / max(int(there.sum()), 1)
            said = {t: (float(r), float(w)) for t, r, w in zip(view.levels(by)[1], ratio, width) if np.isfinite(r)}
            words = f"{a} / {b} is fixed by {by}"
            yield Conforms("ratio", (a, b, by), words, int(there.sum()), float(holds), rows, solved, {"said": said})


def _together(x: FloatArray, g: IntArray) -> BoolArray:
    """Return (C, C): which of some columns (n, C) grow in proportion within the groups (n,), as correlations of their logarithms tell."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(x))
    known = np.isfinite(logs) & (g >= 0)[:, None]
    logs, at = np.where(known, logs, 0.0), np.maximum(g, 0)
    size, total = np.zeros((2, int(at.max(initial=0)) + 1, x.shape[1]))
    np.add.at(size, at, known)
    np.add.at(total, at, logs)
    inside = np.where(known, logs - (total / np.maximum(size, 1))[at], 0.0)
    length = np.sqrt((inside**2).sum(0))
    return np.asarray(inside.T @ inside >= TOGETHER * np.outer(length, length))


def _kept(x: FloatArray, y: FloatArray, g: IntArray, most: float) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray] | None:
    """Return (ratio of each group, its width, rows that break it, rows that can speak) where x / y is fixed by the group, else None.

    The ratio is NaN of groups of fewer than five rows.
    """
    there = ~np.isnan(x) & ~np.isnan(y) & (g >= 0) & (y != 0)
    if there.sum() < FEWEST:
        return None
    rows = np.flatnonzero(there)
    share_of = x[rows] / y[rows]
    order = np.lexsort((share_of, g[rows]))
    start = np.searchsorted(g[rows][order], np.arange(int(g.max()) + 2))
    count = np.diff(start)
    middle = np.where(count > 0, share_of[order][np.minimum(start[:-1] + count // 2, len(rows) - 1)], np.nan)
    few = rows[:: max(1, len(rows) // FEW_ROWS)]
    wide = 1.01 * max(tick(x[few]), 1e-9) + np.abs(middle) * max(tick(y[few]), 1e-9) / 2
    width = wide[g[rows]]
    ratio = middle
    # the sums of the rows near the middle tell the ratio to more decimals than any one of them; rows that break it are left out
    for near in (1e-3, 0.0):
        close = np.abs(x[rows] - ratio[g[rows]] * y[rows]) <= 2 * width + near * np.abs(x[rows])
        top, under = (np.bincount(g[rows][close], v[rows][close], minlength=len(count)) for v in (x, y))
        ratio = np.where(under != 0, top / np.where(under != 0, under, 1), ratio)
    width = width + 1e-6 * np.abs(x[rows])
    off = np.abs(x[rows] - ratio[g[rows]] * y[rows]) > width
    if off.mean() > most:
        return None
    speaks = count[g[rows]] >= 5
    inside = x[rows] - np.bincount(g[rows], x[rows], minlength=len(count))[g[rows]] / np.maximum(count, 1)[g[rows]]
    spread = float(np.median(np.abs(inside)))
    told = ratio[count >= 5]
    if speaks.mean() < 0.9 or float(np.median(width)) > SHARP * spread or len(told) < 2 or np.ptp(told) <= 1e-3 * np.abs(told).max():
        return None
    broken = np.zeros(len(x), bool)
    broken[rows[off & speaks]] = True
    return np.where(count >= 5, ratio, np.nan), wide, broken, there


# ------------------------------------------------------------------ which cell


def blamed(view: View, rules: list[Conforms]) -> dict[int, tuple[str, float, float]]:
    """Return by row (column, what it should be, how sure) where the rules that determine cells point at one.

    A cell off by a power of ten is sure (0.95); the only cell that all broken rules share and no kept one reads (0.92); the only cell
    outside the range that its solved value is inside of (0.9). Elsewhere the column that the rule is written for, unsure (0.7).
    """
    solving = [r for r in rules if r.solved]
    out: dict[int, tuple[str, float, float]] = {}
    at: dict[int, list[tuple[Conforms, int]]] = {}
    for rule in solving:
        for i, row in enumerate(rule.rows.tolist()):
            at.setdefault(row, []).append((rule, i))
    ranges = {n: np.nanquantile(view.numbers(n), [0.005, 0.995]) for n in {c for r in solving for c in r.solved}}
    for row, votes in at.items():
        mine = {id(rule) for rule, _ in votes}
        out[row] = _cell(view, row, votes, [r for r in solving if id(r) not in mine], ranges)
    return out


def _cell(
    view: View, row: int, votes: list[tuple[Conforms, int]], kept: list[Conforms], ranges: dict[str, FloatArray]
) -> tuple[str, float, float]:
    solved = {n: float(v[i]) for rule, i in reversed(votes) for n, v in rule.solved.items()}
    now = {n: float(view.numbers(n)[row]) for n in solved}
    slipped = [n for n in solved if _is_power(now[n], solved[n])]
    if len(slipped) == 1:
        return slipped[0], solved[slipped[0]], 0.95
    shared = [n for n in solved if all(n in rule.solved for rule, _ in votes)]
    free = [n for n in shared if not any(n in r.solved and not np.isnan([view.numbers(c)[row] for c in r.solved]).any() for r in kept)]
    if len(free) == 1 and (len(votes) > 1 or kept):
        return free[0], solved[free[0]], 0.92
    low_high = {n: ranges[n] for n in (free or shared or list(solved))}
    odd = [n for n, (low, high) in low_high.items() if not low <= now[n] <= high and low <= solved[n] <= high]
    if len(odd) == 1:
        return odd[0], solved[odd[0]], 0.9
    first = next((n for n in votes[0][0].solved if n in (free or shared or solved)), votes[0][0].columns[0])
    return first, solved[first], 0.7


def _is_power(now: float, wanted: float) -> bool:
    if now == 0 or wanted == 0 or not np.isfinite(wanted) or now / wanted <= 0:
        return False
    power = np.log10(now / wanted)
    return bool(abs(power - round(power)) < 1e-4 and abs(round(power)) >= 1)
