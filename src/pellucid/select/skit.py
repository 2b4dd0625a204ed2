"""Selection by betting: may be stopped at any time, and says by how fast a bet is won which column is stronger.

Three nulls. ``"marginal"``: the response has nothing to do with the column. ``"conditional"``: nothing beyond the other columns.
``"local"``, row by row: with some cells of the row known, knowing this one as well does not change the distribution of the answer.

Source: Teneggi and Sulam 2024, "I Bet You Did Not Mean That", arXiv:2405.19146. Letters: T steps.

# NOTE[DIFF] ``"conditional"`` puts half of its money on the paper's witness of kernels and half on forecasts of the response
# (``forecast``). The witness compares distances in all columns together and sees the strongest column alone: of four columns with weights
# 2, 1, 1 and .5 among eight, 500 observations found a quarter. Two fair games played side by side are one fair game. The forecasts hold the
true cell against eight drawn ones: who knows the law and holds it against one wins half as much a step as who holds it against the law.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.results import Selection
from pellucid.select.ask import Ask
from pellucid.select.betting import (
    WARM,
    bandwidth,
    bet,
    kernel,
    payoffs,
    payoffs_of_draws,
    square_distances,
    two_samples,
    witness_of_pairs,
)
from pellucid.select.control import by_e_values
from pellucid.select.forecast import Forecasts
from pellucid.table import ColumnType, Table

__all__ = ["select"]

KINDS = ("conditional", "marginal", "local")
LEAST, MOST_DRAWN = 60, 400_000
DRAWS = 8
"""Drawn cells that a forecast from the true one is held against at every step."""


def select(question: Ask) -> Selection:
    """Return the columns whose bets are won. Cost: 9 T^2 kernel values a column and 4 T^3 once; of single rows 2 T model rows a cell."""
    kind, steps = question.options["kind"], int(question.options["steps"])
    if kind not in KINDS:
        raise RequestError(f"unknown kind {kind!r}", expected=f"one of {', '.join(map(repr, KINDS))}")
    if steps < LEAST:
        raise RequestError("so few steps cannot win a bet", expected=f"steps of at least {LEAST}", got=str(steps))
    games = {"conditional": _conditional, "marginal": _marginal, "local": _local}[kind](question, steps)
    # the hardest threshold of the control of all tests together; a bet that reached it alone has nothing more to win
    stop = len(games) * len(games[0]) / question.level
    wealth, path = (np.mean(part, axis=0) for part in zip(*(bet(paid, stop) for paid in games)))
    shape = (len(question.table), len(question.columns)) if kind == "local" else (len(question.columns),)
    e = wealth.reshape(shape)
    over = path >= 1 / question.level
    each = 2.0 if kind == "marginal" else 1.0  # observations that a step sees
    first = np.where(over.any(1), each * (over.argmax(1) + 1), np.nan).reshape(shape)
    chosen = by_e_values(e, question.level)
    return question.answer(chosen, np.log(e), "e-bh", _words(question, chosen, first, kind), rows=kind == "local", e_values=e, steps=first)


def _response(question: Ask, rows: Table, at: np.ndarray) -> FloatArray:
    """Return what is bet on (n, W): the model's answers, or the labels where there is no model; classes as marks."""
    if question.view is not None:
        raw = question.view.raw(rows)
        return np.asarray(raw / np.maximum(raw.std(0), 1e-300))
    y = question.labels()[at]
    return np.asarray(y[:, None] == np.arange(question.classes), np.float64) if question.classes else y[:, None]


def _points(table: Table, name: str, other: Table | None = None) -> FloatArray:
    """Return a column as points (N, W): standard numbers with a mark of missing ones, or marks of levels, at distance 1; scaled by
    ``other``."""
    base = table if other is None else other
    if table.schema[name].type in (ColumnType.NUMBER, ColumnType.DATE):
        values, known = (t.numbers(name) if t.schema[name].type is ColumnType.NUMBER else t.seconds(name) for t in (table, base))
        here = known[~np.isnan(known)]
        centre, spread = (here.mean(), here.std() or 1.0) if len(here) else (0.0, 1.0)
        return np.column_stack([np.nan_to_num((values - centre) / spread), np.isnan(values)])
    texts, levels = table.texts(name), base.levels(name)[1]
    marks = np.stack([*(texts == t for t in levels), ~np.isin(texts.astype(str), levels)], axis=1)
    return np.asarray(marks / np.sqrt(2))


def _taken(question: Ask, most: int) -> tuple[Table, np.ndarray]:
    at = stream(question.seed, "order").permutation(len(question.table))[:most]
    if len(at) < LEAST:
        raise RequestError("too few rows to bet on", expected=f"{LEAST} rows", got=str(len(at)))
    return question.table.take(at), at


def _conditional(question: Ask, steps: int) -> list[FloatArray]:
    """Return the payoffs (P, T) of the witness of kernels, and those of the forecasts."""
    rows, at = _taken(question, steps)
    y = _response(question, rows, at)
    ky = kernel(square_distances(y, y))
    own = [_points(rows, name) for name in question.columns]
    squares = [square_distances(p, p) for p in own]
    total, products = np.sum(squares, axis=0), np.sum([p @ p.T for p in own], axis=0)
    width, size = 2 * bandwidth(total), np.diag(products)[:WARM].mean()
    forecasts = Forecasts(np.exp(-total / width) + products / size, y)
    witness, gains = [], []
    for j, name in enumerate(question.columns):
        drawn = [_points(question.drawn(j, rows, k), name, rows) for k in range(DRAWS)]
        rest, new, n = ky * kernel(total - squares[j]), drawn[0], len(rows)
        # one bandwidth for true and drawn cells: else the kernel could tell them apart
        both = square_distances(np.concatenate([own[j], new]), np.concatenate([own[j], new]))
        k = kernel(both)
        witness.append(two_samples(rest * k[:n, :n], rest * k[:n, n:], rest * k[n:, :n], rest * k[n:, n:]))
        # exp(-(a + b)) as a product: the other columns' part is the same for every draw
        others, base = np.exp(-(total - squares[j]) / width), products / size
        changed = (others * np.exp(-square_distances(own[j], d) / width) + base + own[j] @ (d - own[j]).T / size for d in drawn)
        gains.append(np.stack([forecasts.gains(c) for c in changed], 1))
    return [payoffs(np.stack(witness)), payoffs_of_draws(np.stack(gains))]


def _marginal(question: Ask, steps: int) -> list[FloatArray]:
    """Return the payoffs of the witness (P, T); a step is a pair of observations."""
    rows, at = _taken(question, 2 * steps)
    y = _response(question, rows, at)
    ky = kernel(square_distances(y, y))
    points = [_points(rows, name) for name in question.columns]
    return [payoffs(np.stack([witness_of_pairs(ky, kernel(square_distances(p, p))) for p in points]))]


def _local(question: Ask, steps: int) -> list[FloatArray]:
    """Return the payoffs of the witness (N P, T): answers with a random set of the row's cells and this one known, against without it."""
    n, p = len(question.table), len(question.columns)
    if 2 * n * p * steps > MOST_DRAWN:
        raise RequestError(
            f"{n} rows of {p} columns take {2 * n * p * steps} drawn rows",
            expected=f"at most {MOST_DRAWN}",
            do="pass fewer rows, or fewer steps",
        )
    view, draw = question.model(), stream(question.seed, "sets")
    row, column = np.repeat(np.arange(n), p), np.tile(np.arange(p), n)
    followed = question.chosen_output(view.raw(question.table))[row]
    # every test and step: another set of the other columns, any size as often
    size = draw.integers(0, max(1, p), (n * p, steps, 1))
    known = draw.random((n * p, steps, p)).argsort(2).argsort(2) < size
    answers = []
    for here in (True, False):
        mask = known.copy()
        mask[np.arange(n * p), :, column] = here
        table = question.table.take(np.repeat(row, steps))
        (drawn,) = question.sampler.sample(table, mask.reshape(-1, p), 1, integer(question.seed, "local", here) % 2**31)
        answers.append(view.raw(drawn)[np.arange(n * p * steps), np.repeat(followed, steps)].reshape(n * p, steps))
    out = []
    for a, b in zip(*answers):
        both = np.concatenate([a, b])[:, None]
        # the bandwidth comes from the first answers of both kinds
        squares = square_distances(both, both)
        order = np.arange(2 * steps).reshape(2, steps).T.reshape(-1)
        k = kernel(squares[np.ix_(order, order)])
        t, f = slice(0, None, 2), slice(1, None, 2)
        out.append(two_samples(k[t, t], k[t, f], k[f, t], k[f, f]))
    return [payoffs(np.stack(out))]


def _words(question: Ask, chosen: np.ndarray, first: np.ndarray, kind: str) -> str:
    limit = f"on average at most {100 * question.level:g} % of them are false"
    if not chosen.any():
        return f"No bet was won: no column is shown to count ({100 * question.level:g} % false discoveries at most)."
    if kind == "local":
        rows = f"{int(chosen.any(1).sum())} of {len(chosen)} rows"
        return f"In {rows} the answer changes with some cell known ({int(chosen.sum())} cells; {limit})."
    order = np.argsort(np.where(chosen, np.nan_to_num(first, nan=np.inf), np.inf), kind="stable")[: int(chosen.sum())]
    told = ", ".join(f"{question.columns[j]} after {first[j]:.0f} observations" for j in order)
    beyond = "" if kind == "marginal" else " beyond the other columns"
    return f"These columns tell something{beyond}, the strongest first: {told} ({limit})."
