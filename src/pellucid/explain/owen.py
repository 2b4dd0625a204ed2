"""Owen values: Shapley values when columns that belong together also arrive together."""

from __future__ import annotations

import functools
import itertools
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.question import Question
from pellucid.explain.row_games import MOST_ROWS, RowGames, answer
from pellucid.explain.sampling import Solver
from pellucid.probe.grouping import Tree, leaves, player_tree
from pellucid.probe.hashing import mix, name_hashes, uniforms
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

__all__ = ["explain", "owen_cost", "owen_weights", "tree_order"]

MOST_COALITIONS = 2**16

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def explain(question: Question) -> Explanation:
    """Return Owen values over a tree of columns: each branch shares as a player of its own, and then within itself.

    Owen 1977, doi:10.1007/978-3-642-45494-3_7; trees of more than one level: Winter 1989, International Journal of Game Theory
    18. ``options["tree"]`` is nested
    lists of players, ``[["height", "weight"], "age"]``; None takes the tree of correlated columns. What a branch gets in all is its
    Shapley value among its neighbours; a flat tree gives Shapley values.

    Cost: K B model rows per row where exact (K coalitions that the tree allows, far fewer than 2^P), else 2 (d - 1) B a pass, with standard
    errors.
    """
    tree = player_tree(question.kept, question.players, question.view.columns, question.options["tree"], question.seed)
    names = question.players.names
    b = len(question.background)
    most = MOST_ROWS if question.budget.rows is None else (question.budget.rows - b) / len(question.table) - 1
    rows = RowGames(question)
    if owen_cost(tree) <= MOST_COALITIONS:
        z, weights = owen_weights(tree, names)
        if (len(z) - 2) * b <= max(most, rows.free):  # nobody and everybody are known
            return _exact(rows, tree, z, weights)
    draw = functools.partial(tree_order, tree=tree, names=names)
    solver = Solver(solve.exact, functools.partial(_pass, draw=draw), solve.permutation_cost)
    return answer(question, solver, "passes", settings={"tree": _lists(tree)}, rows=rows)


def _lists(tree: Tree) -> Any:
    return tree if isinstance(tree, str) else [_lists(branch) for branch in tree]


def _exact(rows: RowGames, tree: Tree, z: BoolArray, weights: FloatArray) -> Explanation:
    n, inner = len(rows.q.table), ~z.all(1) & z.any(1)
    values, errors = [], []
    step = max(1, 2**18 // len(z))
    for s in range(0, n, step):
        block = np.arange(s, min(n, s + step))
        rows.engine.forget()
        v = np.empty((len(block), len(z), len(rows.nobody)))
        v[:, z.all(1)], v[:, ~z.any(1)] = rows.everybody[block][:, None], rows.nobody
        some = z[inner]
        v[:, inner] = rows.values(np.repeat(block, len(some)), np.tile(some, (len(block), 1))).reshape(len(block), len(some), v.shape[2])
        made, error = rows.told(np.einsum("pk,nko->npo", weights, v, optimize=True))
        values.append(made)
        errors += [] if error is None else [error]
    return rows.q.answer(
        np.concatenate(values), rows.base, rows.engine.full, error=np.concatenate(errors) if errors else None,
        settings={"way": "exact", "coalitions": len(z), "tree": _lists(tree)}, caveats=rows.about_errors,
    )  # fmt: skip


def _paths(tree: Tree) -> list[tuple[str, list[tuple[list[list[str]], list[str]]]]]:
    """Return (leaf, its path): at each level the other branches' leaves, and those of the branch that is gone into."""
    if isinstance(tree, str):
        return [(tree, [])]
    out = []
    for k, branch in enumerate(tree):
        others = [leaves(b) for j, b in enumerate(tree) if j != k]
        out += [(leaf, [(others, leaves(branch)), *path]) for leaf, path in _paths(branch)]
    return out


def owen_cost(tree: Tree) -> int:
    """Return how many pairs of coalitions the definition goes through: the sum over leaves of 2^(neighbours on the way to it)."""
    return sum(2 ** sum(len(others) for others, _ in path) for _, path in _paths(tree))


def owen_weights(tree: Tree, names: tuple[str, ...]) -> tuple[BoolArray, FloatArray]:
    """Return (coalitions (K, P), weights (P, K)) with the Owen values of a game v (K,) being weights @ v.

    Examples
    --------
    >>> z, weights = owen_weights((("A", "B"), "C"), ("A", "B", "C"))
    >>> worth = dict(zip([(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], [0, 400, 560, 720, 740, 780, 980, 1000]))
    >>> (weights @ [worth[tuple(np.flatnonzero(s).tolist())] for s in z]).round(6).tolist()
    [165.0, 345.0, 490.0]
    """
    place = {name: j for j, name in enumerate(names)}
    bits = lambda members: sum(1 << place[m] for m in members)  # noqa: E731
    found: dict[int, int] = {}
    entries: list[tuple[int, int, float]] = []
    for leaf, path in _paths(tree):
        before = [(0, 1.0)]  # coalitions that may have arrived, and how likely
        for others, _ in path:
            codes = [bits(o) for o in others]
            choices = [
                (sum(chosen), 1 / ((len(codes) + 1) * comb(len(codes), r)))
                for r in range(len(codes) + 1)
                for chosen in itertools.combinations(codes, r)
            ]
            before = [(s + c, p * q) for s, p in before for c, q in choices]
        for s, p in before:
            for code, sign in ((s, -1.0), (s | 1 << place[leaf], 1.0)):
                entries.append((place[leaf], found.setdefault(code, len(found)), sign * p))
    weights = np.zeros((len(names), len(found)))
    player, column, value = (np.array(e) for e in zip(*entries))
    np.add.at(weights, (player.astype(int), column.astype(int)), value)
    z = np.array([[code >> j & 1 for j in range(len(names))] for code in found], bool)
    return z, weights


def tree_order(seed: int, counters: npt.NDArray[np.uint64], step: int, tree: Tree, names: tuple[str, ...]) -> Ints:
    """Return numbers (G, P) that put the players in random orders in which every branch stays together."""
    key = np.zeros((len(counters), len(names)), np.int64)
    place = {name: j for j, name in enumerate(names)}
    level = [(tree, np.array([place[n] for n in leaves(tree)]))]
    while level:
        branch_hash = np.zeros(len(names), np.uint64)
        below = []
        for branch, _ in level:
            for child in () if isinstance(branch, str) else branch:
                members = np.array([place[n] for n in leaves(child)])
                # a sum over names: the order in which the tree lists them changes no draw
                branch_hash[members] = mix(name_hashes(tuple(leaves(child))).sum(dtype=np.uint64, keepdims=True))
                below.append((child, members))
        rank = _ranks(uniforms(seed, counters, branch_hash, step))
        key = _ranks(key * (len(names) + 1) + rank)
        level = below
    return key


def _ranks(values: npt.NDArray[Any]) -> Ints:
    """Return the dense ranks of each line; equal values have one rank."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, 1)
    dense = np.concatenate([np.zeros((len(values), 1), np.int64), np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1)], axis=1)
    out = np.empty_like(dense)
    np.put_along_axis(out, order, dense, 1)
    return out


def _pass(games: Games, which: Ints, step: int, seed: int, draw: Any) -> tuple[FloatArray, FloatArray]:
    return solve.permutations(games, which, step, seed, lambda g: draw(seed, games.counters[g], step))
