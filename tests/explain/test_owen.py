"""Owen values against all orders in which branches stay together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pellucid.errors import ArgumentError, RequestError
from pellucid.explain import explain
from pellucid.explain.owen import owen_cost, owen_weights, tree_order
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table


def orders(tree):
    """Yield all orders of the leaves in which every branch stays together."""
    if isinstance(tree, str):
        yield (tree,)
        return
    for arrangement in itertools.permutations(tree):
        for parts in itertools.product(*(tuple(orders(branch)) for branch in arrangement)):
            yield tuple(itertools.chain.from_iterable(parts))


def brute(worth, tree, names):
    """The mean rise of each name over those orders."""
    total, count = np.zeros(len(names)), 0
    for order in orders(tree):
        seen = frozenset()
        for name in order:
            total[names.index(name)] += worth[seen | {name}] - worth[seen]
            seen |= {name}
        count += 1
    return total / count


NAMES = ("a", "b", "c", "d", "e")
TREES = [
    (("a", "b"), ("c", "d", "e")),
    ((("a", "b"), "c"), ("d", "e")),
    NAMES,
    tuple((n,) for n in NAMES),
    (NAMES,),
    ("a", ("b", ("c", ("d", "e")))),
]


@pytest.fixture(scope="module")
def worth():
    """A random game of five players."""
    draw = np.random.default_rng(0)
    sets = [frozenset(c) for k in range(6) for c in itertools.combinations(NAMES, k)]
    return {s: float(draw.normal()) for s in sets}


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_values_are_means_over_the_orders_of_the_tree(worth, tree):
    z, weights = owen_weights(tree, NAMES)
    values = weights @ [worth[frozenset(n for n, here in zip(NAMES, line) if here)] for line in z]
    np.testing.assert_allclose(values, brute(worth, tree, NAMES), atol=1e-12)
    assert len(z) <= 2 * owen_cost(tree)


@pytest.mark.parametrize("tree", [NAMES, tuple((n,) for n in NAMES), (NAMES,)], ids=["flat", "singletons", "one union"])
def test_trees_that_bind_nobody_give_shapley_values(worth, tree):
    np.testing.assert_allclose(brute(worth, tree, NAMES), brute(worth, NAMES, NAMES), atol=1e-12)  # the oracle itself
    table = made_table(made_frame(30, 5, ()).rename(columns=dict(zip(("x1", "x2", "x3", "x4", "x5"), NAMES))))
    model = FunctionPredictor(lambda m: np.sin(m).prod(1) + m[:, 0] * m[:, 1], table)
    rows, background = table.take(slice(0, 5)), table.take(slice(10, 20))
    owen = explain(
        model, rows, background=background, method="owen", options={"tree": [list(t) if isinstance(t, tuple) else t for t in tree]}
    )
    np.testing.assert_allclose(owen.values, explain(model, rows, background=background, method="shapley_exact").values, atol=1e-9)


def test_random_orders_keep_branches_together_and_are_all_as_likely():
    tree = (("a", "b"), ("c", "d", "e"))
    counters = np.arange(6000, dtype=np.uint64) * np.uint64(7919)
    ranks = np.argsort(np.argsort(tree_order(3, counters, 0, tree, NAMES), axis=1), axis=1)
    assert (np.abs(ranks[:, 0] - ranks[:, 1]) == 1).all()
    assert (np.ptp(ranks[:, 2:], axis=1) == 2).all()
    _, count = np.unique(ranks, axis=0, return_counts=True)
    assert len(count) == 2 * 2 * 6
    assert np.square(count - 250).sum() / 250 < 52  # chi-square with 23 degrees: above this in one draw of 2,000


def test_sampled_values_cover_the_exact_ones_and_follow_no_listing_order():
    table = made_table(made_frame(40, 8, ()))
    model = FunctionPredictor(lambda m: np.sin(2 * m @ np.random.default_rng(1).normal(size=(8, 5))).sum(1), table)
    rows, background = table.take(slice(0, 8)), table.take(slice(16, 40))
    tree = [["x1", "x2", "x3"], ["x4", ["x5", "x6"]], "x7"]  # x8 stands at the root
    ask = lambda **more: explain(model, rows, background=background, method="owen", random_state=0, **more)  # noqa: E731
    truth = ask(options={"tree": tree}, budget=10**6)
    made = ask(options={"tree": tree}, budget=6000)
    other = ask(options={"tree": ["x7", "x8", [["x6", "x5"], "x4"], ["x3", "x1", "x2"]]}, budget=6000)
    assert truth.record.settings["way"] == "exact"
    assert made.record.settings["way"] == "sampled"
    assert truth.error is None
    np.testing.assert_allclose(truth.gap, 0, atol=1e-9)
    np.testing.assert_allclose(made.gap, 0, atol=1e-9)
    np.testing.assert_allclose(made.values, other.values, atol=1e-9)
    # 64 values of 8 rows: an honest share of 95 % falls below 86 % in under one draw of 500
    assert (np.abs(made.values - truth.values) <= 1.96 * made.error).mean() > 0.86


def test_correlated_columns_are_found_and_share_as_one():
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    table = made_table({"one": x, "two": x + 0.05 * draw.normal(size=200), "other": draw.normal(size=200)})
    model = FunctionPredictor(lambda m: m[:, 0] * m[:, 2], table)
    made = explain(model, table.take(slice(0, 5)), background=table, method="owen")
    assert made.record.settings["tree"] == [["one", "two"], "other"]
    pair = explain(model, table.take(slice(0, 5)), background=table, method="shapley_exact", groups={"pair": ["one", "two"]})
    np.testing.assert_allclose(made.values[:, :2].sum(1), pair.values[:, 0], atol=1e-9)  # the branch gets what it gets as a player


@pytest.mark.parametrize(
    ("tree", "error", "words"),
    [
        ([["x1", "x9"]], RequestError, "unknown"),
        ([["x1"], "x1"], RequestError, "twice"),
        ({"x1": 1}, ArgumentError, "nested lists"),
    ],
)
def test_wrong_trees_are_named(tree, error, words):
    table = made_table(made_frame(10, 2, ()))
    with pytest.raises(error, match=words):
        explain(FunctionPredictor(lambda m: m.sum(1), table), table, method="owen", options={"tree": tree})
