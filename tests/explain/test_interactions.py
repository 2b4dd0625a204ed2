"""Every index of interaction against its figures, its definition, and its own sampled estimate."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb, factorial

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.indices import EFFICIENT, INDICES, coalition_weights, coefficient, monomial_weights, of_game, sets_up_to
from pellucid.testing.oracles import RESTAURANT_INDICES, restaurant
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

EVERY = (*INDICES, "joint")


def ask(model, rows, background, index, order=2, **more):
    method, options = ("joint_shapley", {}) if index == "joint" else ("interactions", {"index": index})
    return explain(model, rows, background=background, method=method, options={**options, "order": order}, **more)


@pytest.mark.parametrize(
    ("index", "order", "name"),
    [
        ("k-sii", 2, "k-SII"), ("sii", 2, "SII"), ("fsii", 2, "FSII"), ("stii", 2, "STII"), ("fbii", 2, "FBII"), ("mobius", 3, "Moebius"),
        ("banzhaf", 1, "Banzhaf"), ("joint", 2, "joint Shapley 2"), ("joint", 3, "joint Shapley 3"), ("k-sii", 1, "Shapley"),
        ("joint", 1, "Shapley"),
    ],
)  # fmt: skip
def test_the_restaurant(index, order, name):
    model, row, background = restaurant()
    made = ask(model, row, background, index, order)
    values = {"".join(s): v for s, v in zip(made.sets, made.by_set[0, :, 0])}
    truth = dict(RESTAURANT_INDICES[name])
    if "" in truth:
        assert made.base_values[0, 0] == pytest.approx(truth.pop(""), abs=1e-9)
    assert values == pytest.approx(truth, abs=1e-9)
    assert made.error is None
    if index in EFFICIENT:
        np.testing.assert_allclose(made.gap, 0, atol=1e-9)


def derivative(v, t_set, s_set):
    """The discrete derivative of the definition."""
    subsets = itertools.chain.from_iterable(itertools.combinations(t_set, r) for r in range(len(t_set) + 1))
    return sum((-1) ** (len(t_set) - len(sub)) * v[frozenset(s_set) | set(sub)] for sub in subsets)


def by_definition(index, v, t_set, p, order):
    """SII, Banzhaf and STII as sums of discrete derivatives over coalitions of the others."""
    rest = [j for j in range(p) if j not in t_set]
    t, total = len(t_set), 0.0
    if index == "stii" and t < order:
        return derivative(v, t_set, ())
    for s in range(len(rest) + 1):
        share = {"sii": 1 / ((p - t + 1) * comb(p - t, s)), "banzhaf": 0.5 ** (p - t), "stii": order / p / comb(p - 1, s)}[index]
        total += share * sum(derivative(v, t_set, c) for c in itertools.combinations(rest, s))
    return total


@pytest.fixture(scope="module")
def game():
    """A random game of 5 players: worths by set, and as a table by bit code."""
    table = np.random.default_rng(0).normal(size=32)
    return {frozenset(j for j in range(5) if k >> j & 1): table[k] for k in range(32)}, table


@pytest.mark.parametrize("index", ["sii", "banzhaf", "stii"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_indices_of_derivatives_are_their_definition(game, index, order):
    v, table = game
    _, values = of_game(table[None, :, None], index, order, 5, 5)
    sizes = [s for s in range(32) if 1 <= bin(s).count("1") <= order]
    truth = [by_definition(index, v, tuple(j for j in range(5) if s >> j & 1), 5, order) for s in sizes]
    np.testing.assert_allclose(values[0, :, 0], truth, atol=1e-12)


@pytest.mark.parametrize("index", ["fsii", "fbii"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_faithful_indices_are_least_squares(game, index, order):
    """FBII: all coalitions alike. FSII: the Shapley kernel, with nobody and everybody met exactly."""
    _, table = game
    z = (np.arange(32)[:, None] >> np.arange(5)) & 1
    monomials = [c for k in range(order + 1) for c in itertools.combinations(range(5), k)]
    x = np.array([[float(all(line[j] for j in c)) for c in monomials] for line in z])
    size = z.sum(1)
    if index == "fbii":
        beta = np.linalg.lstsq(x, table, rcond=None)[0]
    else:
        weight = np.array([1 / (comb(3, s - 1) * 4) if 0 < s < 5 else 0.0 for s in size])
        ends = x[[0, 31]]
        gram = np.block([[(x * weight[:, None]).T @ x, ends.T], [ends, np.zeros((2, 2))]])
        beta = np.linalg.lstsq(gram, np.concatenate([(x * weight[:, None]).T @ table, table[[0, 31]]]), rcond=None)[0][: len(monomials)]
    constant, values = of_game(table[None, :, None], index, order, 5, 5)
    codes = [sum(1 << j for j in c) for c in monomials[1:]]
    ordered = [s for s in range(32) if 1 <= bin(s).count("1") <= order]
    np.testing.assert_allclose(values[0, [ordered.index(c) for c in codes], 0], beta[1:], atol=1e-9)
    assert constant[0, 0] == pytest.approx(beta[0], abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_joint_values_average_over_orders_of_arriving_sets(game, order):
    """At each step, any of the sets of at most ``order`` players still to come is as likely as any other."""
    v, table = game
    total: dict[frozenset, float] = {}

    def play(here, chance):
        rest = [j for j in range(5) if j not in here]
        nexts = [frozenset(c) for k in range(1, min(order, len(rest)) + 1) for c in itertools.combinations(rest, k)]
        for arrival in nexts:
            total[arrival] = total.get(arrival, 0.0) + chance / len(nexts) * (v[here | arrival] - v[here])
            play(here | arrival, chance / len(nexts))

    play(frozenset(), 1.0)
    _, values = of_game(table[None, :, None], "joint", order, 5, 5)
    # terms are listed by size of the set, all players being active: one for each set
    from pellucid.explain.indices import local_terms

    codes, t = local_terms("joint", order, 5)
    for code, size, value in zip(codes, t, values[0, :, 0]):
        if bin(code).count("1") == size:
            assert value == pytest.approx(total[frozenset(j for j in range(5) if code >> j & 1)], abs=1e-12)


@pytest.mark.parametrize("index", EVERY)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_both_forms_of_an_index_are_one(game, index, order):
    """Weights of coalitions, weights of monomials, and transforms of the whole game say the same."""
    _, table = game
    sets = sets_up_to(5, order)
    z = (np.arange(32)[:, None] >> np.arange(5)) & 1 == 1
    weights = coalition_weights(index, order, 5)
    direct = [sum(float(weights[int(t.sum())][int(s.sum())][int((s & t).sum())]) * table[k] for k, s in enumerate(z)) for t in sets]
    moebius = [sum((-1) ** (int(r.sum()) - int(s.sum())) * table[k] for k, s in enumerate(z) if not (s & ~r).any()) for r in z]
    np.testing.assert_allclose(direct, monomial_weights(index, order, 5, sets, z) @ moebius, atol=1e-10)
    model, rows = as_model(table)
    made = ask(model, rows, rows.take([1]), index, order)
    np.testing.assert_allclose(made.by_set[0, :, 0], direct, atol=1e-10)


def as_model(table):
    """The game as a model of 0/1 columns: the first row is everybody, the second nobody."""
    p = int(np.log2(len(table)))
    rows = made_table({f"x{j}": [1.0, 0.0] for j in range(p)})
    return FunctionPredictor(lambda m: table[(m > 0.5) @ (1 << np.arange(p))], rows), rows


def test_the_weights_of_forty_columns_keep_their_digits():
    weights = coalition_weights("sii", 2, 40)
    for s, a in ((20, 1), (3, 2), (39, 2)):
        free = Fraction(1, 39 * comb(38, s - a))
        assert weights[2][s][a] == (-1) ** (2 - a) * free
    assert coefficient("fsii", 2, 1, 30) == -Fraction(1, 3) * 2 * Fraction(comb(29, 2), comb(31, 3))
    assert factorial(3) == 6


@pytest.mark.parametrize("index", EVERY)
def test_networks_with_categories_and_idle_columns_equal_the_definition(index):
    """Games of pairs of rows, each with the columns that differ, add up to the game of the row."""
    frame = made_frame(40, 3, (2, 2))
    background, rows = made_table(frame[:8]), made_table(frame[20:24])
    model = TinyNetwork(background, seed=1)
    z = (np.arange(32)[:, None] >> np.arange(5)) & 1 == 1
    from pellucid.probe.coalition import CoalitionEngine
    from pellucid.probe.masker import Players
    from pellucid.probe.view import View

    engine = CoalitionEngine(View(model), rows, background, Players.of(model.columns))
    table = engine.mean_over_background(np.repeat(np.arange(4), 32), np.tile(z, (4, 1))).reshape(4, 32)
    weights = coalition_weights(index, 2, 5)
    share = [[float(weights[int(t.sum())][int(s.sum())][int((s & t).sum())]) for s in z] for t in sets_up_to(5, 2)]
    truth = table @ np.array(share).T
    made = ask(model, rows, background, index)
    np.testing.assert_allclose(made.by_set[:, :, 0], truth, atol=1e-9)
    if index in EFFICIENT:
        np.testing.assert_allclose(made.gap, 0, atol=1e-9)


@pytest.fixture(scope="module")
def rough():
    """A model of 9 columns with interactions of many orders, rows and background."""
    table = made_table(made_frame(40, 9, ()))
    weights = np.random.default_rng(1).normal(size=(9, 5))
    model = FunctionPredictor(lambda m: np.sin(1.2 * m @ weights).sum(1) + m[:, :3].prod(1), table)
    return model, table.take(slice(0, 4)), table.take(slice(16, 40))


@pytest.mark.parametrize("index", EVERY)
def test_sampled_errors_cover(rough, index):
    model, rows, background = rough
    truth = ask(model, rows, background, index, budget=10**7)
    assert truth.error is None
    off, error = [], []
    for seed in range(5):
        made = ask(model, rows, background, index, budget=12_000, random_state=seed)
        assert made.record.n_calls <= 12_000
        assert made.record.settings["way"] == "sampled"
        off.append(made.by_set - truth.by_set)
        error.append(made.error)
    off, error = np.stack(off), np.stack(error)
    inside = np.abs(off) <= 1.96 * error + 1e-10
    # 900 values, sets of one row tied by common draws: as if 150 independent, two and a half errors of a share of 95 % are .045
    assert inside.mean() >= 0.905
    if index == "mobius":
        np.testing.assert_allclose(off, 0, atol=1e-10)  # terms of two columns need coalitions of two columns: all were played
    else:
        assert 0.7 < np.sqrt((off**2).mean() / (error**2).mean()) < 1.2


def test_a_game_of_two_columns_at_a_time_is_sampled_without_error(rough):
    _, rows, background = rough
    pairs = np.triu(np.random.default_rng(3).normal(size=(9, 9)))
    model = FunctionPredictor(lambda m: np.einsum("ni,nj,ij->n", m, m, pairs), background)
    one = background.take([0])
    truth = ask(model, rows, one, "k-sii", budget=10**6)
    made = ask(model, rows, one, "k-sii", budget=1500)
    assert (truth.record.settings["way"], made.record.settings["way"]) == ("exact", "sampled")
    np.testing.assert_allclose(made.by_set, truth.by_set, atol=1e-4 * np.abs(truth.by_set).max())


def test_precision_is_reached_by_more_coalitions(rough):
    model, rows, background = rough
    made = [ask(model, rows, background.take(slice(0, 4)), "k-sii", precision=p, budget=1700, random_state=0) for p in (0.9, 0.01)]
    assert made[0].record.n_calls < made[1].record.n_calls
    assert any("before the asked precision" in c for c in made[1].record.caveats)


def test_the_conditional_fill_and_groups_are_followed(rough):
    model, rows, background = rough
    groups = {"first": ["x1", "x2", "x3", "x4"], "second": ["x5", "x6", "x7"]}
    made = ask(model, rows, background, "k-sii", fill="conditional", groups=groups)
    plain = explain(model, rows, background=background, fill="conditional", method="shapley_exact", groups=groups)
    order_one = ask(model, rows, background, "k-sii", 1, fill="conditional", groups=groups)
    assert made.columns == ("first", "second", "x8", "x9")
    np.testing.assert_allclose(order_one.by_set[..., 0], plain.values, atol=1e-9)
    np.testing.assert_allclose(made.gap, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"index": "sij"}, "unknown index"), ({"order": 0}, "order cannot be used"), ({"order": True}, "order cannot be used")],
)
def test_wrong_requests_are_named(rough, options, words):
    model, rows, background = rough
    with pytest.raises(RequestError, match=words):
        explain(model, rows, background=background, method="interactions", options=options)
    with pytest.raises(RequestError, match="at least"):
        ask(model, rows, background, "sii", budget=200)


def test_too_many_sets_are_refused():
    table = made_table({f"x{j}": [0.0, 1.0] for j in range(80)})
    with pytest.raises(RequestError, match="too many sets"):
        explain(FunctionPredictor(lambda m: m.sum(1), table), table, method="interactions", options={"order": 4})
