"""How columns act together: every index of interaction, exact by fast Moebius transforms, else sampled with standard errors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.indices import EFFICIENT, INDICES, local_terms, of_game, of_one_worth, sets_up_to
from pellucid.explain.interaction_sampling import SetSampler
from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames
from pellucid.explain.tree_values import taken
from pellucid.protocols import FloatArray
from pellucid.results import Interactions

__all__ = ["explain", "interactions"]

EXACT_PLAYERS = 14
"""Most columns that differ, of one enumerated game: 16,384 evaluations."""
EXACT_ROWS = 2**17
"""Model rows per explained row up to which enumeration is chosen without being asked for."""
MOST_SETS = 20_000
TREE_INDICES = tuple(i for i in INDICES if i != "fbii")  # whose constant is not the mean answer

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Interactions:
    """Return one value per row and set of at most ``order`` columns, by the index that ``options["index"]`` names.

    Indices: ``"k-sii"`` (adds up to the prediction), ``"sii"``, ``"stii"`` (adds up; a single column's value is its effect alone),
    ``"fsii"`` (adds up; the sum of products of columns closest to the model), ``"fbii"`` (the same with all coalitions alike, does not add
    up; ``base_values`` is its constant), ``"mobius"`` and ``"banzhaf"``. Sources: see :func:`pellucid.explain.indices.coefficient`.

    Cost per row: sum over background rows of 2^d where exact (d = columns in which two rows differ, at most 14), else what the budget
    gives, 50,000 model rows where there is none. Where exact, the values carry no error but, under the conditional fill, that of the
    background rows in use.
    """
    index, order = str(question.options["index"]), question.options["order"]
    if index not in INDICES:
        raise RequestError(f"unknown index {index!r}", expected=f"one of {', '.join(INDICES)}")
    return interactions(question, index, order)


def interactions(question: Question, index: str, order: Any) -> Interactions:
    """Return the interactions of one index and order, by the cheaper way that the budget allows."""
    p = len(question.players)
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 1:
        raise RequestError("the order cannot be used", expected="a whole number from 1", got=repr(order))
    order = min(int(order), p)
    sets = sets_up_to(p, order) if _count(p, order) <= MOST_SETS else _too_many(p, order)
    if index in TREE_INDICES and order <= 2 and (trees := taken(question, functools.partial(of_one_worth, index, order), order)):
        constant, told = np.tile(trees.base, (len(trees.full), 1)), {"index": index, "order": order, "way": "trees"}
        return _result(question, trees.full, sets, trees.values, None, constant, told, [])
    rows = RowGames(question)
    n, o = len(question.table), rows.engine.n_outputs
    by_set, variance, constant = np.zeros((n, len(sets), o)), np.zeros((n, len(sets), o)), np.tile(rows.base, (n, 1))
    exact = _affordable(rows)
    step = max(1, min(16, 2**22 // max(1, len(sets) * len(rows.nobody))))
    for s in range(0, int(exact.sum()), step):
        block = np.flatnonzero(exact)[s : s + step]
        rows.engine.forget()
        one, made = _whole_games(rows, block, sets, index, order)
        constant[block], by_set[block] = one[:, :o], made[..., :o]
        _, error = rows.told(made)
        variance[block] = 0.0 if error is None else error**2
    left, settings = np.flatnonzero(~exact), {"index": index, "order": order, "way": "exact"}
    caveats: list[str] = []
    if len(left):
        rows.engine.forget()
        sampler = SetSampler(rows, left, sets, index, order)
        constant[left], by_set[left], variance[left] = sampler.solve()
        settings |= {"way": "sampled", "coalitions": sampler.n_coalitions}
        if index == "fbii":
            settings["constant_error"] = sampler.constant_error  # largest standard error of ``base_values``
        caveats = sampler.caveats()
    stated = variance if len(left) or len(rows.left_out) > 1 else None
    return _result(question, rows.engine.full, sets, by_set, stated, constant, settings, caveats + rows.about_errors + rows.lateness())


def _count(p: int, order: int) -> int:
    from math import comb

    return sum(comb(p, k) for k in range(1, order + 1))


def _too_many(p: int, order: int) -> npt.NDArray[np.bool_]:
    raise RequestError(
        "there are too many sets of columns",
        expected=f"at most {MOST_SETS:,}",
        got=f"{_count(p, order):,} sets of up to {order} of {p} columns",
        do="choose a smaller order, or put columns into groups=",
    )


def _affordable(rows: RowGames) -> npt.NDArray[np.bool_]:
    """Return (N,) which rows are enumerated."""
    n, out = len(rows.q.table), []
    limit = rows.free or (min(EXACT_ROWS, rows.timed(EXACT_ROWS)) if rows.q.budget.rows is None else rows.budget())
    for block in rows.blocks():
        games, owner, _ = rows.games(block)
        total = np.bincount(owner, solve.exact_cost(games.sizes) * rows.cost, len(block))
        largest = np.maximum.reduceat(games.sizes, np.searchsorted(owner, np.arange(len(block))))
        out.append((total <= limit) & (largest <= EXACT_PLAYERS))
    return np.concatenate(out) if n else np.zeros(0, bool)


def _whole_games(rows: RowGames, block: Ints, sets: npt.NDArray[np.bool_], index: str, order: int) -> tuple[FloatArray, FloatArray]:
    """Return (constants (n, K O), values (n, S, K O)) of some rows by enumeration of all their games."""
    games, owner, weight = rows.games(block)
    p, o = games.active.shape[1], games.start.shape[1]
    constant, values = np.zeros((len(block), o)), np.zeros((len(block), len(sets), o))
    idle = np.flatnonzero(games.sizes == 0)
    np.add.at(constant, owner[idle], weight[idle, None] * games.start[idle])
    for d, g, players in solve.by_size(games, np.arange(len(owner)), lambda d: (2**d + len(sets)) * o):
        one, terms = of_game(_table(games, g, players, d), index, order, d, p)
        np.add.at(constant, owner[g], weight[g, None] * one)
        at = _places(sets, players, index, order, d)
        full = np.concatenate([terms, np.zeros((len(g), 1, o))], axis=1)  # the last line stands for sets without a value
        np.add.at(values, owner[g], weight[g, None, None] * np.take_along_axis(full, at[:, :, None], 1))
    return constant, values


def _table(games: Games, g: Ints, players: Ints, d: int) -> FloatArray:
    """Return the worths (g, 2^d, O) of all coalitions."""
    ((*_, v),) = solve.ask_all(games, [(g, players, solve.subsets(d)[1:-1])])
    return np.concatenate([games.start[g][:, None], v, games.end[g][:, None]], axis=1)


def _places(sets: npt.NDArray[np.bool_], players: Ints, index: str, order: int, d: int) -> Ints:
    """Return (g, S): where each set's value stands among a game's terms, -1 where it has none."""
    codes, t = local_terms(index, order, d)
    place = np.full((2**d, order + 1), -1)
    place[codes, t] = np.arange(len(codes))
    local = sets[:, players]  # (S, g, d)
    code = (local @ (1 << np.arange(d))).T
    return np.asarray(place[code, sets.sum(1)[None, :]])


def _result(
    question: Question,
    full: FloatArray,
    sets: npt.NDArray[np.bool_],
    by_set: FloatArray,
    variance: FloatArray | None,
    constant: FloatArray,
    settings: dict[str, Any],
    caveats: list[str],
) -> Interactions:
    index, names = settings["index"], question.players.names
    adds_up = index in EFFICIENT
    return Interactions(
        sets=tuple(tuple(names[j] for j in np.flatnonzero(line)) for line in sets),
        by_set=by_set,
        columns=names,
        outputs=question.view.outputs,
        scale=question.view.scale,
        index=index,
        method=question.method,
        record=question.record(settings, caveats),
        error=None if variance is None else np.sqrt(variance),
        base_values=constant if adds_up or index == "fbii" else None,
        predictions=full if adds_up else None,
        gap=full - constant - by_set.sum(1) if adds_up else None,
        data=question.table.frame,
    )
