"""Sobol indices: which share of the answer's variance comes from each column, alone and with all its interactions?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.explain import asked
from pellucid.explain.grid import on_line
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Importance
from pellucid.table import Table

__all__ = ["explain"]

BLOCKS = 8
"""Runs of the design that are left out in turn for the intervals: each is a net of its own that avoids the places of the others,
so that intervals err to the wide side."""
LARGE = 1024
"""Samples from which the runs are cut from one net. Below, a run is too short to be a fair part of its net, and its spread says little:
each is then scrambled by itself, at some cost in precision (L'Ecuyer and Lemieux 2002, doi:10.1007/0-306-48102-2_20)."""

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Importance:
    """Return the total Sobol index of each player, (P,), with 95 % intervals over parts of the design.

    Sobol 2001, doi:10.1016/S0378-4754(00)00270-6; estimators of Jansen 1999, doi:10.1016/S0010-4655(98)00154-4: with independent draws A
    and B and C_i = A with player i from B, ST_i = mean (f(A) - f(C_i))^2 / 2 Var f and S_i = 1 - mean (f(B) - f(C_i))^2 / 2 Var f.
    Cells are drawn by scrambled Sobol points through each column's own sorted cells, so levels, dates and missing cells keep their shares;
    the columns of a group are drawn from one row together. Several outputs: variances are added up (Lamboni et al. 2011).
    ``record.settings``: ``first_order``, ``first_order_interval``, ``sum_of_first_order``, ``variance``. Cost: samples (P + 2) model rows.
    """
    table = question.table.select(question.view.columns)
    p, size = len(question.players), asked.whole(question, "samples", 2 * BLOCKS, 2**24)
    size = asked.affordable(question, size, p + 2, 0, 2 * BLOCKS)
    parts = _design(question, table, 2 ** int(np.log2(size)))  # (R, 2 P + 1)
    total, first, variance = _indices(parts.mean(0), p)
    spread = np.stack([np.concatenate(_indices(np.delete(parts, r, 0).mean(0), p)[:2]) for r in range(BLOCKS)])
    half = _t(BLOCKS - 1) * np.sqrt((BLOCKS - 1) / BLOCKS * np.square(spread - spread.mean(0)).sum(0))
    interval = np.column_stack([total - half[:p], total + half[:p]])
    settings = {
        "samples": 2 ** int(np.log2(size)),
        "first_order": dict(zip(question.players.names, first.tolist())),
        "first_order_interval": {c: [a - h, a + h] for c, a, h in zip(question.players.names, first.tolist(), half[p:].tolist())},
        "sum_of_first_order": float(first.sum()),
        "variance": variance,
    }
    caveats = ["columns are drawn independently of each other; where they go together in the table, the shares are not those of real rows"]
    if variance == 0:
        caveats.append("the answer does not vary")
    return Importance(total, interval, question.players.names, "share of variance", question.method, question.record(settings, caveats))


def _design(question: Question, table: Table, size: int) -> FloatArray:
    """Return per block the mean squared differences for totals (P,) and for first orders (P,), and the variance: (R, 2 P + 1)."""
    from scipy.stats import qmc

    p = len(question.players)
    net = lambda *key: qmc.Sobol(2 * p, scramble=True, seed=np.random.default_rng(integer(question.seed, "sobol", *key)))  # noqa: E731
    design = net().random(size) if size >= LARGE else np.concatenate([net(r).random(size // BLOCKS) for r in range(BLOCKS)])
    engine = CoalitionEngine(
        question.view, _drawn(question, table, design[:, :p]), _drawn(question, table, design[:, p:]), question.players
    )
    a, b, rows = engine.full, engine.empty, np.arange(size)
    out = np.empty((BLOCKS, 2 * p + 1))
    for i in range(p):
        c = engine.evaluate(rows, rows, np.broadcast_to(np.arange(p) != i, (size, p)))
        for k, x in ((i, a), (p + i, b)):
            out[:, k] = np.square(x - c).sum(1).reshape(BLOCKS, -1).mean(1) / 2
        engine.forget()
    centre = np.concatenate([a, b]).mean(0)
    out[:, -1] = np.square(np.stack([a, b]) - centre).sum(2).reshape(2, BLOCKS, -1).mean((0, 2))
    return out


def _indices(parts: FloatArray, p: int) -> tuple[FloatArray, FloatArray, float]:
    """Return (total (P,), first order (P,), variance) from the means of :func:`_design`; zeros where nothing varies."""
    variance = float(parts[-1])
    scale = float(np.abs(parts).max())
    if variance <= 1e-24 * max(scale, 1e-300) or variance == 0:
        return np.zeros(p), np.zeros(p), 0.0
    return parts[:p] / variance, 1 - parts[p : 2 * p] / variance, variance


def _drawn(question: Question, table: Table, u: FloatArray) -> Table:
    """Return rows whose players' cells stand at quantiles ``u`` (n, P) of their own order."""
    cells = {}
    at = np.minimum((u * len(table)).astype(np.int64), len(table) - 1)
    order: dict[int, Ints] = {}
    for j, name in enumerate(table.columns):
        player = int(question.players.of_column[j])
        if player not in order:
            line = on_line(table, name)
            order[player] = np.argsort(table.levels(name)[0] if line is None else line, kind="stable")
        cells[name] = table.frame[name].array.take(order[player][at[:, player]])
    return Table(pd.DataFrame(cells), table.schema, table.library)


def _t(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
