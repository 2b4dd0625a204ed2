"""Fill a table and tell what that did to it: which cells, and how far the columns are from what was observed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.encode.filling import TableFill
from pellucid.encode.fills.base import Columns, FloatArray
from pellucid.encode.reach import powers, within_reach
from pellucid.results import Fills, RunRecord
from pellucid.table import Role, Table, read_table

__all__ = ["effect", "effects_of", "fill"]

FAR = 0.05
"""A filled column this far from its observed cells (KS or total variation), beyond chance, is called distorted."""
TURNED = 0.10
"""A correlation that moved so far is called distorted, and a variance that changed by twice as much."""


def fill(table: Any, method: Any = "median", *, fit_on: Any = None, target: str | None = None, seed: int = 0) -> Fills:
    """Fill missing cells, and list every one of them.

    Parameters
    ----------
    table : Table, frame or path. Its features are filled; target, weights, identifiers and texts stay as they are.
    method : a rule of ``pellucid.methods("fill")``, a pair with options (``("knn", {"k": 10})``), or a mapping of columns to either;
        ``"*"`` names all other columns. Rules that copy from neighbouring rows need ``with_roles(order=...)`` and stay in the group.
        The option ``indicator`` is for models, where it marks filled cells to the network; here every filled cell is in the list.
    fit_on : the rows that the rules learn from: a table, or positions in ``table`` or a mask of its rows; None: all rows, for a table that
        is not split.
    target : name of the target column; overrides the table's own.
    seed : of draws.

    Returns
    -------
    Fills : ``.table``, one line per cell in ``to_frame()``, what it did to each column in ``effects_frame()``, and ``undo()``.

    Raises
    ------
    RequestError : an unknown rule or option; a rule that needs an order where none is declared. ColumnError : an unknown column.

    Notes
    -----
    A single value pulls the variance of a column to (1 - m) of what it was, m the share of gaps, and correlations to sqrt(1 - m);
    draws keep the variance and pull correlations to 1 - m. Our models need no filling: missing is a state they learn.

    Examples
    --------
    >>> import pandas as pd
    >>> marks = pd.DataFrame({"test": range(1, 7), "mark": [96, 88, 86, None, 94, 86]})
    >>> filled = fill(read_table(marks).with_roles(order="test"), {"mark": "interpolate"})
    >>> filled.to_frame()[["row", "column", "new", "rule"]].to_dict("records")
    [{'row': 3, 'column': 'mark', 'new': 90, 'rule': 'interpolate'}]
    """
    began = time.perf_counter()
    table = table if isinstance(table, Table) else read_table(table)
    table = table if target is None else table.with_roles(target=target)
    rows = table if fit_on is None else fit_on if isinstance(fit_on, Table) else table.take(np.asarray(fit_on))
    rules = TableFill.fit(rows, method, seed=seed)
    after = rules.apply(table, by_place=True)
    values, changed = rules.complete(table, by_place=True)
    at, column = np.nonzero(changed)
    names = np.array(rules.columns.names, object)
    old, new = np.empty(len(at), object), np.empty(len(at), object)
    by_rule = {n: rules.rule_of(n) for n in rules.filled}
    for j in np.unique(column):
        mine = column == j
        old[mine] = table.frame[names[j]].iloc[at[mine]].to_numpy(object)
        new[mine] = np.array([*rules.cells(table, names[j], values[at[mine], j]), None], object)[:-1]
    effects = tuple(effects_of(rules, table, by_place=True))
    caveats = _caveats({str(names[j]): by_rule[names[j]] for j in np.unique(column)}, table)
    settings = {"method": method if isinstance(method, str) else repr(method), "fitted on": len(rows), "cells": len(at)}
    record = RunRecord("fill", settings, seed, table.fingerprint(), time.perf_counter() - began, caveats=caveats)
    rule = np.array([by_rule[n] for n in names[column]], object)
    return Fills(after, table, at.astype(np.int64), names[column], old, new, rule, effects, record)


def effects_of(rules: TableFill, table: Table, *, by_place: bool = False) -> list[dict[str, Any]]:
    """Return what fitted rules do to each column of a table that has gaps, one mapping a column."""
    values, changed = rules.complete(table, by_place=by_place)
    names = rules.columns.names
    return [effect(values, changed, rules.columns, int(j), rules.rule_of(names[j])) for j in np.flatnonzero(changed.any(axis=0))]


def _caveats(by_rule: Mapping[str, str], table: Table) -> tuple[str, ...]:
    ahead = [c for c, rule in by_rule.items() if rule in ("bfill", "interpolate")]
    order = table.schema.role(Role.ORDER)
    return (
        (f"{', '.join(map(repr, ahead))}: cells were copied from later rows of {order!r}; a forecast must not see them",) if ahead else ()
    )


def effect(values: FloatArray, changed: Any, columns: Columns, j: int, rule: str) -> dict[str, Any]:
    """Return what filling did to one column of the filled matrix (N, C); ``changed`` says which cells were filled."""
    gone = changed[:, j]
    whole, seen = values[:, j], values[~gone, j]
    seen, whole = seen[~np.isnan(seen)], whole[~np.isnan(whole)]
    n, k = len(whole), int(gone.sum())
    out: dict[str, Any] = {"column": columns.names[j], "rule": rule, "cells": k, "share": k / max(len(values), 1)}
    put_in = values[gone, j]
    apart = _variation(seen, put_in) if columns.is_level[j] else _kolmogorov(seen, put_in)
    distance, noise = apart * k / max(n, 1), 1.63 * np.sqrt(1 / max(len(seen), 1) + 1 / max(k, 1)) * k / max(n, 1)
    out |= {"distance": distance, "distance_of_filled": apart, "variance_ratio": np.nan, "correlation_change": np.nan, "partner": ""}
    p = powers(whole)  # variances of 1e300 would be infinite
    seen, whole = np.ldexp(seen, -p), np.ldexp(whole, -p)
    words = []
    if distance > max(FAR, noise):
        words.append(f"its distribution is {distance:.2f} away from the observed one")
    if not columns.is_level[j] and len(seen) > 1 and seen.var() > 0:
        out["variance_ratio"] = float(whole.var() / seen.var())
        out |= _relations(values, changed, columns, j)
        if abs(out["variance_ratio"] - 1) > 2 * TURNED:
            words.append(f"its variance is {out['variance_ratio']:.2f} times what was observed")
        if abs(out["correlation_change"]) > TURNED:
            words.append(f"its correlation with {out['partner']!r} moved by {out['correlation_change']:+.2f}")
    return out | {"distorted": bool(words), "words": "; ".join(words) or ("little" if distance > noise else "no more than chance would")}


def _kolmogorov(seen: FloatArray, filled: FloatArray) -> float:
    """Return the largest distance between two distribution functions."""
    if not len(seen) or not len(filled):
        return 0.0
    at = np.concatenate([seen, filled])
    a, b = (np.searchsorted(np.sort(v), at, side="right") / len(v) for v in (seen, filled))
    return float(np.abs(a - b).max())


def _variation(seen: FloatArray, filled: FloatArray) -> float:
    """Return half the summed differences of the shares of levels."""
    if not len(seen) or not len(filled):
        return 0.0
    size = int(max(seen.max(), filled.max())) + 1
    a, b = (np.bincount(v.astype(np.int64), minlength=size) / len(v) for v in (seen, filled))
    return float(np.abs(a - b).sum() / 2)


def _relations(values: FloatArray, changed: Any, columns: Columns, j: int) -> dict[str, Any]:
    """Return the largest change of the column's correlation with another number column, over rows where that one was observed."""
    best, partner = 0.0, ""
    near = within_reach(values)
    for i in np.flatnonzero(~columns.is_level):
        there = ~np.isnan(values[:, i]) & ~changed[:, i] & ~np.isnan(values[:, j])
        before = there & ~changed[:, j]
        if i == j or before.sum() < 10:
            continue
        x, y, a, b = near[there, i], near[there, j], near[before, i], near[before, j]
        if min(x.std(), y.std(), a.std(), b.std()) > 0:
            r, was = float(np.corrcoef(x, y)[0, 1]), float(np.corrcoef(a, b)[0, 1])
            moved = (r - was) * (1 if was >= 0 else -1)
            best, partner = (moved, columns.names[i]) if abs(moved) > abs(best) else (best, partner)
    return {"correlation_change": best, "partner": partner}
