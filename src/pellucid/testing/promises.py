"""Stated errors on trial: every method that states errors, on a small problem whose right answer is known.

A :class:`Promise` makes an answer with few model rows and gives it beside the truth: enumerated games, closed forms, or the same mean over
very many draws. ``covered`` is then the share of the values whose 95 % interval holds the truth. Answers of one draw share what was drawn,
so shares are counted draw by draw. Letters: N rows, P players, B background rows, S values of one draw.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.explain import explain
from pellucid.nn.gradients import token_gradients
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players, typical_row
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import Column, ColumnType, Schema, Table
from pellucid.testing.oracles import redrawn
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table, matrix
from pellucid.testing.samplers import GaussianRows

__all__ = ["PROMISES", "Drawn", "Promise", "covered"]

Z = 1.96
ROWS = 5
"""Rows explained by one draw."""


@dataclass(frozen=True)
class Drawn:
    """One draw: ``low``, ``high`` and ``truth`` (S,). Values stated as exact (``low`` equals ``high``) must be the truth."""

    low: FloatArray
    high: FloatArray
    truth: FloatArray

    @classmethod
    def of(cls, values: Any, error: Any, truth: Any) -> Drawn:
        """Return the draw of values and standard errors."""
        values, error, truth = (np.asarray(a, np.float64).ravel() for a in (values, error, truth))
        return cls(values - Z * error, values + Z * error, truth)

    def scaled(self, factor: float) -> Drawn:
        """Return the draw with its errors made larger or smaller: the saboteur of the check."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2 * factor
        return Drawn(middle - half, middle + half, self.truth)


@dataclass(frozen=True)
class Promise:
    """A method that states errors.

    Attributes
    ----------
    name, method : of the promise, and of the registry line. draw : gives a draw for a seed.
    exact : a stated error of 0 is a promise of its own; else it is an estimate that happens to be 0.
    wide : the method says that its intervals err to the wide side, so that errors half as large may still cover.
    """

    name: str
    method: str
    draw: Callable[[int], Drawn]
    exact: bool = True
    wide: bool = False


def covered(promise: Promise, draws: int, factor: float = 1.0, first: int = 0) -> FloatArray:
    """Return per draw the share of values within their stated 95 % interval, (draws,); draws in which all is exact do not count.

    Raises ``AssertionError`` where a value that is stated as exact is not the truth.
    """
    shares = []
    for seed in range(first, first + draws):
        made = promise.draw(seed).scaled(factor)
        stated = (made.high > made.low) | (not promise.exact)
        size = max(float(np.abs(made.truth).max()), 1e-300)
        off = np.abs(made.truth - made.low)[~stated]
        assert off.max(initial=0.0) <= 1e-6 * size, f"{promise.name}: a value without an error is off by {off.max():.2g}"
        if stated.any():
            shares.append(float(((made.low <= made.truth) & (made.truth <= made.high))[stated].mean()))
    return np.array(shares)


# ---------------------------------------------------------------- games of single rows


def _law(x: FloatArray) -> FloatArray:
    """Eight columns: four of them multiplied, three multiplied, one alone."""
    return np.asarray(np.tanh(x[:, :4]).prod(1) * 8 + x[:, 4] * x[:, 5] * x[:, 6] + x[:, 7])


@functools.lru_cache(maxsize=64)
def _rows(seed: int) -> tuple[FunctionPredictor, Table, Table, FloatArray, FloatArray]:
    """Return (model, rows, background, worths (N, 2^P), base) of one draw; bit j of a coalition's number says that player j is in."""
    table = made_table(made_frame(8 + ROWS, 8, (), seed=seed))
    background, rows = table.take(slice(0, 8)), table.take(slice(8, 8 + ROWS))
    model = FunctionPredictor(_law, background)
    engine = CoalitionEngine(View(model), rows, background, Players.of(model.columns))
    z = np.tile(_coalitions(8), (ROWS, 1))
    worth = engine.mean_over_background(np.repeat(np.arange(ROWS), 256), z).reshape(ROWS, 256)
    return model, rows, background, worth, engine.empty.mean(0)


def _coalitions(p: int) -> npt.NDArray[np.bool_]:
    return np.asarray((np.arange(2**p)[:, None] >> np.arange(p)) & 1, bool)


def _orders(worth: FloatArray, orders: Any) -> FloatArray:
    """Return the mean over orders of arrival of what each player adds, (N, P)."""
    out, p = np.zeros((len(worth), len(orders[0]))), len(orders[0])
    for order in orders:
        before = 0
        for j in order:
            out[:, j] += worth[:, before | 1 << j] - worth[:, before]
            before |= 1 << j
    assert before == 2**p - 1
    return out / len(orders)


def _shapley(worth: FloatArray) -> FloatArray:
    """Return Shapley values (N, P) by their definition."""
    from math import factorial

    p = int(np.log2(worth.shape[1]))
    z = _coalitions(p)
    size = z.sum(1)
    share = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) if s < p else 0.0 for s in range(p + 1)])
    cells = [((worth[:, s | 1 << j] - worth[:, s]) * share[size[s]]).sum(1) for j in range(p) for s in [np.flatnonzero(~z[:, j])]]
    return np.stack(cells, 1)


def _banzhaf(worth: FloatArray) -> FloatArray:
    z = _coalitions(8)
    return np.stack([worth[:, z[:, j]].mean(1) - worth[:, ~z[:, j]].mean(1) for j in range(8)], 1)


def _line(worth: FloatArray) -> FloatArray:
    """Return the slopes of LIME's weighted least squares over all coalitions."""
    z = _coalitions(8)
    weight = np.exp(-(~z).sum(1) / (2 * 0.75**2 * 8))
    x = np.column_stack([np.ones(256), z])
    return np.asarray(np.linalg.solve(x.T @ (x * weight[:, None]), x.T @ (worth * weight).T).T[:, 1:])


TREE = [["x1", "x2", "x5"], ["x3", ["x4", "x6"]], "x7", "x8"]


@functools.cache
def _tree_orders() -> list[tuple[int, ...]]:
    """Return all orders in which every branch of ``TREE`` stays together, by columns' numbers."""

    def of(tree: Any) -> list[tuple[int, ...]]:
        if isinstance(tree, str):
            return [(int(tree[1:]) - 1,)]
        inner = [of(branch) for branch in tree]
        return [
            tuple(j for part in parts for j in part)
            for places in itertools.permutations(range(len(tree)))
            for parts in itertools.product(*(inner[k] for k in places))
        ]

    return of(TREE)


def _game(method: str, truth: Callable[[FloatArray], FloatArray], budget: int, **options: Any) -> Callable[[int], Drawn]:
    """Return the draw of a method that gives one value per row and column; ``budget`` model rows per row explained."""

    def draw(seed: int) -> Drawn:
        model, rows, background, worth, _ = _rows(seed)
        asked: dict[str, Any] = {"options": options} if options else {}
        made = explain(model, rows, method=method, background=background, random_state=seed, budget=budget * ROWS, **asked)
        assert made.error is not None, f"{method} states no error with {budget} model rows a row"
        return Drawn.of(made.values, made.error, truth(worth))

    return draw


def _redrawn(seed: int) -> Drawn:
    """How much farther rounds that draw a column anew move the answer: all rounds there are, each as likely as it is drawn."""
    model, rows, background, *_ = _rows(seed)
    made = explain(model, rows, method="reagent", background=background, random_state=seed)
    assert made.error is not None
    return Drawn.of(made.values, made.error, redrawn(model, rows, background))


def _sets(method: str, **options: Any) -> Callable[[int], Drawn]:
    def draw(seed: int) -> Drawn:
        model, rows, background, *_ = _rows(seed)
        asked: dict[str, Any] = {"method": method, "background": background, "options": options, "random_state": seed}
        made, truth = explain(model, rows, budget=450 * ROWS, **asked), explain(model, rows, **asked)
        assert made.error is not None, "the sets were enumerated"
        assert truth.error is None, "the truth was sampled"
        return Drawn.of(made.by_set, made.error, truth.by_set)

    return draw


class _Reader(FunctionPredictor):
    """A law of which of seven words stand in a text."""

    @staticmethod
    def law(here: FloatArray) -> FloatArray:
        """Return the answers (N,) to flags (N, 7)."""
        return np.asarray(here[:, :4].prod(1) * 3 + here[:, 3:6].prod(1) - here[:, 1:6].prod(1) * 2 + here[:, 6])

    def raw(self, table: Table) -> FloatArray:
        """Return the law's values (N, 1)."""
        return self.law(np.array([[f"w{j}" in str(t).split() for j in range(7)] for t in table.frame["text"]], float))[:, None]


def _words(seed: int) -> Drawn:
    """Shapley values of the seven words of a text."""
    draw = stream(seed, "words")
    text = [" ".join(f"w{j}" for j in draw.permutation(7)) for _ in range(ROWS)]
    schema = Schema((Column("text", ColumnType.TEXT), Column("x", ColumnType.NUMBER)))
    table = Table(made_table({"text": text, "x": draw.normal(size=ROWS)}).frame, schema)
    model = _Reader(lambda x: x[:, 0], table, columns=("text", "x"))
    asked: dict[str, Any] = {"method": "occlusion_words", "options": {"values": "shapley"}, "background": table, "random_state": seed}
    made = explain(model, table, budget=100 * ROWS, **asked)
    truth = _shapley(_Reader.law(_coalitions(7).astype(float))[None])[0]
    order = [[int(w[1:]) for w in line] for line in made.words["text"]]  # the words as they stand in each text
    pick = lambda a: np.concatenate([np.asarray(line).ravel() for line in a["text"]])  # noqa: E731
    return Drawn.of(pick(made.values), pick(made.error), truth[np.concatenate(order)])


# ---------------------------------------------------------------- draws given the known cells


class _NormalModel:
    """A row model that knows the normal law it draws from; rows with one number are drawn by the same chance."""

    def __init__(self, law: GaussianRows) -> None:
        self.law, self.columns_ = law, law.columns

    def sample(self, table: Table, known: npt.NDArray[np.bool_], n: int, seed: Any) -> list[Table]:
        """Return one table with the unknown cells drawn from their exact law."""
        x = matrix(table, self.columns_)
        numbers, at = np.unique(seed, return_inverse=True)
        chance = np.stack([stream(int(s), "normal").standard_normal(x.shape[1]) for s in numbers])[at]
        patterns, which = np.unique(known, axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == k)
            if not pattern.all():
                slopes, covariance = self.law.moments(pattern)
                mean = x[np.ix_(rows, np.flatnonzero(pattern))] @ slopes.T
                x[np.ix_(rows, np.flatnonzero(~pattern))] = mean + chance[rows][:, ~pattern] @ np.linalg.cholesky(covariance).T
        return [table.with_cells(dict(zip(self.columns_, x.T)))]

    def score(self, table: Table) -> dict[str, FloatArray]:
        """Return nothing: no test of draws asks how odd a row is."""
        return {}


def _drawn(method: str) -> Callable[[int], Drawn]:
    """Return the draw of a linear model of correlated columns whose absent cells are drawn given the known ones."""
    weights = np.array([2.0, -1.0, 0.5, 0.0])
    law = GaussianRows.equal(4, 0.6)
    z = _coalitions(4)

    def draw(seed: int) -> Drawn:
        background, rows = law.rows(30, seed), law.rows(ROWS, seed + 100_000)
        x = matrix(rows, law.columns)
        worth = np.empty((ROWS, 16))
        for s, known in enumerate(z):
            slopes, _ = law.moments(known)
            worth[:, s] = x[:, known] @ weights[known] + x[:, known] @ slopes.T @ weights[~known]
        model = FunctionPredictor(lambda a: a @ weights, background)
        asked: dict[str, Any] = {"fill": "row_model", "row_model": _NormalModel(law), "random_state": seed}
        made = explain(model, rows, method=method, background=background, **asked)
        truth = {
            "shapley": lambda: _orders(worth, list(itertools.permutations(range(4)))),
            "occlusion": lambda: np.stack([worth[:, 15] - worth[:, 15 - 2**j] for j in range(4)], 1),
            "inclusion": lambda: np.stack([worth[:, 2**j] - worth[:, 0] for j in range(4)], 1),
            "banzhaf": lambda: np.stack([worth[:, z[:, j]].mean(1) - worth[:, ~z[:, j]].mean(1) for j in range(4)], 1),
        }[method]()
        return Drawn.of(made.values, made.error, truth)

    return draw


# ---------------------------------------------------------------- gradients


def _network(method: str, many: int, kept: int = 20, **options: Any) -> Callable[[int], Drawn]:
    """Return the draw of a method that averages gradients of a small network; the truth is the mean over ``many`` other draws."""

    def draw(seed: int) -> Drawn:
        table = made_table(made_frame(kept + ROWS, 4, (3,), seed=seed))
        background, rows = table.take(slice(0, kept)), table.take(slice(kept, kept + ROWS))
        model = TinyNetwork(background, seed=seed)
        asked: dict[str, Any] = {"method": method, "background": background}
        made = explain(model, rows, options={"samples": 32, **options}, random_state=seed, **asked)
        truth = explain(model, rows, options={"samples": many, **options}, random_state=seed + 100_000, **asked)
        return Drawn.of(made.values, made.error, truth.values)

    return draw


def _path(seed: int) -> Drawn:
    """Integrated gradients of a network with kinks against very many places in the middles of equal steps of the path."""
    import torch

    table = made_table(made_frame(30 + ROWS, 4, (3,), seed=seed))
    background, rows = table.take(slice(0, 30)), table.take(slice(30, 30 + ROWS))
    model = TinyNetwork(background, seed=seed)
    made = explain(model, rows, method="integrated_gradients", background=background, precision=0.02)
    change = model.tokens(rows) - model.tokens(typical_row(background))
    places = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    path = (model.tokens(rows) - change)[:, None] + places[None, :, None, None] * change[:, None]
    _, slopes = token_gradients(model.from_tokens, path.flatten(0, 1))
    truth = (slopes[:, 0].unflatten(0, (ROWS, 2000)).mean(1) * change).sum(-1)
    return Drawn.of(made.values, made.error, truth)


def _choice(seed: int) -> Drawn:
    """How often each of six columns is among the two that a selector draws."""
    import torch

    from pellucid.explain.selectors import sampled_chances

    logits = torch.as_tensor(stream(seed, "logits").normal(0, 1.5, (ROWS, 6)))
    chance, error = sampled_chances(logits, 2, seed)
    weight = logits.exp().numpy()
    total, truth = weight.sum(1, keepdims=True), np.zeros(weight.shape)
    for j in range(6):  # first, or second after another: drawing without replacement in proportion to exp(logit)
        others = [k for k in range(6) if k != j]
        second = [weight[:, k] / total[:, 0] * weight[:, j] / (total[:, 0] - weight[:, k]) for k in others]
        truth[:, j] = weight[:, j] / total[:, 0] + np.sum(second, axis=0)
    return Drawn.of(chance.numpy(), error.numpy(), truth)


# ---------------------------------------------------------------- whole tables


def _whole(seed: int, n: int = 200) -> tuple[FunctionPredictor, Table, Table, FloatArray]:
    """Return (model x1 + x1 x2 / 2 + x3, rows drawn anew, background, labels with noise); x4 is not read."""
    law = GaussianRows(np.eye(4))
    rows, background = law.rows(n, seed), law.rows(40, 100_000)
    model = FunctionPredictor(_sum, background)
    return model, rows, background, model.raw(rows)[:, 0] + 0.5 * stream(seed, "noise").standard_normal(n)


def _sum(x: FloatArray) -> FloatArray:
    return np.asarray(x[:, 0] + 0.5 * x[:, 0] * x[:, 1] + x[:, 2])


def _table(method: str, truth: Callable[[], FloatArray], precision: float | None = None, **options: Any) -> Callable[[int], Drawn]:
    def draw(seed: int) -> Drawn:
        model, rows, background, y = _whole(seed)
        asked: dict[str, Any] = {"precision": precision, **({"options": options} if options else {})}
        made = explain(model, rows, method=method, background=background, y=y, random_state=seed, **asked)
        if hasattr(made, "by_set"):
            return Drawn.of(made.by_set, made.error, truth())
        return Drawn(made.interval[:, 0], made.interval[:, 1], truth())

    return draw


def _nearly_equal(seed: int) -> Drawn:
    """The ends of the scores of x1 x2 / 2 over all models m1 x1 + m1 m2 x1 x2 / 2 + x3 whose loss is at most 1.1 times the least, .25.

    The loss is (m1 - 1)^2 + (m1 m2 - 1)^2 / 4 + .25 and the score -m1 m2 / 2: its ends lie where m1 = 1.
    """
    model, rows, background, y = _whole(seed)
    asked: dict[str, Any] = {"columns": ["x1", "x2"], "shuffles": 6}
    made = explain(model, rows, method="rashomon", background=background, y=y, random_state=seed, options=asked)
    ends = -0.5 * (1 + np.sqrt(0.1) * np.array([1.0, -1.0]))
    held = float(made.low.item()), float(made.high.item())
    return Drawn(np.array([held[0], held[0]]), np.array([held[1], held[1]]), ends)


@functools.cache
def _sage() -> FloatArray:
    """Return the fall of the squared error shared out over all orders, for rows without end and the one background of ``_whole``."""
    model, _, background, _ = _whole(0)
    x, b, z = GaussianRows(np.eye(4)).rows(100_000, 7), matrix(background, model.columns), _coalitions(4)
    cells, worth = matrix(x, model.columns), np.empty((1, 16))
    for s, known in enumerate(z):
        one, two, three = (cells[:, j] if known[j] else np.full(len(cells), b[:, j].mean()) for j in range(3))
        both = one * two if known[0] or known[1] else np.full(len(cells), (b[:, 0] * b[:, 1]).mean())
        worth[0, s] = -np.square(_sum(cells) - (one + both / 2 + three)).mean()
    return np.asarray(_orders(worth, list(itertools.permutations(range(4))))[0])


def _sobol(samples: int, seed: int) -> Drawn:
    """Ishigami's function of three uniform columns, whose indices are known (Saltelli et al. 2008)."""
    grid = np.pi * (2 * (np.arange(4001) + 0.5) / 4001 - 1)
    table = made_table({f"x{j}": stream(3, "shuffled", j).permutation(grid) for j in range(3)})
    model = FunctionPredictor(lambda x: np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]), table)
    made = explain(model, table, method="sobol", options={"samples": samples}, background=table.take(slice(0, 2)), random_state=seed)
    first = np.array(list(made.record.settings["first_order_interval"].values()))
    both = np.concatenate([made.interval, first])
    return Drawn(both[:, 0], both[:, 1], np.array([0.557589, 0.442411, 0.243684, 0.313905, 0.442411, 0.0]))


def _curve(method: str) -> Callable[[int], Drawn]:
    def draw(seed: int) -> Drawn:
        model, rows, background, _ = _whole(seed)
        asked: dict[str, Any] = {"options": {"columns": ["x1"], "points": 8}, "background": background}
        made = explain(model, rows, method=method, random_state=seed, **asked)
        place = np.asarray(made.points["x1"], float)
        truth = place.copy()  # the other columns have mean 0
        if method == "ale":  # centred over the rows that take part: the middle of each row's step
            x = matrix(rows, ("x1",))[:, 0]
            inside = x[(x >= place[0]) & (x <= place[-1])]
            step = np.maximum(np.searchsorted(place, inside) - 1, 0)
            truth -= ((place[step] + place[step + 1]) / 2).mean()
        ends = made.interval["x1"][:, 0]
        return Drawn(ends[:, 0], ends[:, 1], truth)

    return draw


def _mean_size(seed: int) -> Drawn:
    """The mean absolute value of exact Shapley values over rows of a linear model."""
    law = GaussianRows(np.eye(3))
    rows, background = law.rows(60, seed), made_table({"x1": [0.0], "x2": [0.0], "x3": [0.0]})
    model = FunctionPredictor(lambda x: 2 * x[:, 0] - x[:, 1] + 0.5 * x[:, 2], background)
    made = explain(model, rows, method="shapley_exact", background=background).mean_abs()
    return Drawn(made.interval[:, 0], made.interval[:, 1], np.array([2, 1, 0.5]) * np.sqrt(2 / np.pi))


PROMISES: tuple[Promise, ...] = (
    Promise("shapley", "shapley", _game("shapley", _shapley, 420)),
    Promise("shapley_permutation", "shapley_permutation", _game("shapley_permutation", _shapley, 400)),
    Promise("shapley_kernel", "shapley_kernel", _game("shapley_kernel", _shapley, 900)),
    Promise("shapley_sampling", "shapley_sampling", _game("shapley_sampling", _shapley, 250)),
    Promise("shapley_stratified", "shapley_stratified", _game("shapley_stratified", _shapley, 1000)),
    Promise("banzhaf", "banzhaf", _game("banzhaf", _banzhaf, 400)),
    Promise("rise", "rise", _game("rise", _banzhaf, 120)),
    Promise("reagent", "reagent", _redrawn),
    Promise("owen", "owen", _game("owen", lambda worth: _orders(worth, _tree_orders()), 300, tree=TREE)),
    Promise("lime", "lime", _game("lime", _line, 600)),
    *(Promise(f"interactions {i}", "interactions", _sets("interactions", index=i)) for i in ("k-sii", "stii", "fsii", "banzhaf")),
    Promise("joint_shapley", "joint_shapley", _sets("joint_shapley")),
    Promise("occlusion_words", "occlusion_words", _words, False),
    *(Promise(f"{m} row_model", m, _drawn(m)) for m in ("shapley", "banzhaf", "occlusion", "inclusion")),
    *(Promise(f"expected_gradients {n}", "expected_gradients", _network("expected_gradients", 4000, n), False) for n in (20, 200)),
    *(Promise(m, m, _network(m, 4000), False) for m in ("smoothgrad", "smoothgrad_squared", "vargrad")),
    Promise("integrated_gradients", "integrated_gradients", _path),
    Promise("l2x", "l2x", _choice),
    Promise("permutation_importance", "permutation_importance", _table("permutation_importance", lambda: np.array([2.5, 0.5, 2.0, 0.0]))),
    Promise("sage", "sage", _table("sage", _sage, 0.5)),
    Promise("interaction_strength", "interaction_strength", _table("interaction_strength", lambda: np.array([0.2]), columns=["x1", "x2"])),
    Promise("rashomon", "rashomon", _table("rashomon", lambda: np.array([-0.5]), columns=["x1", "x2"], shuffles=6, steps=1)),
    Promise("rashomon range", "rashomon", _nearly_equal, wide=True),
    *(Promise(f"sobol {n}", "sobol", functools.partial(_sobol, n), wide=n >= 1024) for n in (512, 1024)),
    Promise("pdp", "pdp", _curve("pdp")),
    Promise("ale", "ale", _curve("ale")),
    Promise("mean_abs", "shapley", _mean_size),
)
"""What is promised, by whom. ``interactions`` stands for its other indices too: one estimator weights the same coalitions."""
