"""What do single units of a network answer to? Maps of a hidden layer over two columns."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.grid import places
from pellucid.explain.question import Question
from pellucid.probe.budget import too_small
from pellucid.protocols import FloatArray
from pellucid.results import UnitMaps
from pellucid.table import Table

__all__ = ["explain"]


def explain(question: Question) -> UnitMaps:
    """Return the activation of single units along two columns, all other cells held as they are in one row.

    Smilkov, Carter, Sculley, Viegas, Wattenberg 2017, arXiv:1708.03788 (regions of the units of small networks). ``columns`` names two;
    None takes the two whose sweep from a row's cell to the others moves the answers most. Places are those of the curves: quantiles,
    levels, and the missing cell. The ``most`` units that vary most over the map are given; units of several members stand side by side.
    Cost: 2 (N + G^2) forward passes, G = ``points``, and at most 8 (C + 1) to choose the columns.

    # NOTE[DIFF] the source draws every unit of every layer of two-column networks; here one hidden
    layer (``layer``, by default the last), and other columns are held.
    """
    asked.no_groups(question)
    table = question.table.select(question.view.columns)
    points, most = asked.whole(question, "points", 2, 200), asked.whole(question, "most", 1, 1000)
    pair = _pair(question, table)
    at = question.options["row"]
    if isinstance(at, bool) or not isinstance(at, int | np.integer) or not 0 <= at < len(table):
        raise RequestError("there is no such row", expected=f"0 to {len(table) - 1}", got=repr(at))
    x, y = (places(table, name, points) for name in pair)
    needed, allowed = question.view.n_calls + 2 * (len(table) + len(x.cells) * len(y.cells)), asked.rows_allowed(question)
    if allowed is not None and needed > allowed:
        raise too_small("", needed, allowed, "lower the option points")
    grid = _grid(table, int(at), pair, x.source, y.source)
    layer = _layer(question)
    swept, own = question.view.hidden(grid, layer), question.view.hidden(table, layer)
    answers, told = question.view.raw(grid), question.view.raw(table)[:, 0]
    chosen = np.argsort(-swept.std(0), kind="stable")[:most]
    shape = (len(y.cells), len(x.cells))
    others = len(table.columns) > 2
    return UnitMaps(
        columns=pair, x=x.cells, y=y.cells, units=tuple(f"unit {u}" for u in chosen), values=swept[:, chosen].T.reshape(-1, *shape),
        outputs=question.view.outputs, answers=answers.T.reshape(-1, *shape), weights=_correlation(own[:, chosen], told),
        index=np.asarray(table.frame.index), activation=own[:, chosen], points=table.frame[list(pair)], scale=question.view.scale,
        method=question.method, held=table.frame.index[int(at)] if others else None,
        record=question.record({**question.options, "layer": layer, "columns": list(pair), "units": int(swept.shape[1])},
                               ("the cells of the other columns are those of one row; other rows may give other maps",) if others else ()),
    )  # fmt: skip


def _pair(question: Question, table: Table) -> tuple[str, str]:
    """Return the two columns asked for, or those whose cells, put into other rows, move the answers most."""
    given = asked.columns(question, table.columns)
    if given is not None or len(table.columns) < 3:
        names = tuple(given or table.columns)
        if len(names) != 2 or names[0] == names[1]:
            raise RequestError("unit maps speak of two columns", expected="two names in options={'columns': ...}", got=str(len(names)))
        return names[0], names[1]
    few = table.take(asked.sample(question, min(8, len(table))))
    turned = few.frame.iloc[np.roll(np.arange(len(few)), 1)]
    before = question.view.raw(few)
    moved = [float(np.abs(question.view.raw(few.with_cells({c: turned[c].array})) - before).mean()) for c in table.columns]
    first, second = sorted(int(j) for j in np.argsort(-np.asarray(moved), kind="stable")[:2])
    return table.columns[first], table.columns[second]


def _grid(table: Table, row: int, pair: tuple[str, str], across: np.ndarray, up: np.ndarray) -> Table:
    """Return one row per place, across first: the held row with the two columns' cells of other rows."""
    held = table.take(np.full(len(across) * len(up), row))
    source = {pair[0]: np.tile(across, len(up)), pair[1]: np.repeat(up, len(across))}
    return held.with_cells({c: table.frame[c].iloc[rows].array for c, rows in source.items()})


def _layer(question: Question) -> str:
    """Return the layer asked for, the last one where none is named."""
    known, wanted = question.view.hidden_layers(), question.options["layer"]
    if not known:
        raise RequestError("this method reads hidden layers, and the model has none", expected="a network of this package")
    if wanted is not None and wanted not in known:
        raise RequestError(f"there is no layer {wanted!r}", expected=f"one of {', '.join(known)}")
    return known[-1] if wanted is None else str(wanted)


def _correlation(units: FloatArray, answers: FloatArray) -> FloatArray:
    """Return the correlation of each unit (N, U) with the answers (N,); NaN where one of them does not vary."""
    a, b = units - units.mean(0), answers - answers.mean()
    scale = np.sqrt((a**2).sum(0) * (b**2).sum())
    return np.where(scale > 1e-12, (a * b[:, None]).sum(0) / np.where(scale > 1e-12, scale, 1.0), np.nan)
