"""The solvers against games whose values are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pellucid.explain.games import Games, exact, exact_cost, kernel, permutation_cost, permutations, shapley_weights
from pellucid.probe.hashing import name_hashes
from pellucid.testing.oracles import RESTAURANT, game_shapley


def play(tables, active=None, counters=None):
    """Return games from tables (G, 2^P, O); line k of a table is the worth of the players whose bits are set in k."""
    size = tables.shape[1].bit_length() - 1
    calls = []

    def evaluate(game, z):
        calls.append(len(game))
        return tables[game, z @ (1 << np.arange(size))]

    active = np.ones((len(tables), size), bool) if active is None else active
    counters = np.arange(len(tables), dtype=np.uint64) if counters is None else counters
    full = active @ (1 << np.arange(size))
    games = Games(active, tables[:, 0], tables[np.arange(len(tables)), full], evaluate, counters, name_hashes(tuple(map(str, range(size)))))
    return games, calls


def random_tables(games, players, outputs=1, seed=0):
    return np.random.default_rng(seed).normal(size=(games, 2**players, outputs))


def brute(table, players):
    return game_shapley(lambda s: table[sum(1 << j for j in s)], players)


def order_two(games, players, seed=0):
    """Games in which no more than two players interact."""
    draw = np.random.default_rng(seed)
    single, pair = draw.normal(size=(games, players)), draw.normal(size=(games, players, players))
    bits = (np.arange(2**players)[:, None] >> np.arange(players)) & 1
    return (bits @ single.T + np.einsum("si,sj,gij->sg", bits, bits, pair)).T[..., None]


def test_the_restaurant():
    order = ["".join(c for j, c in enumerate("ABC") if k >> j & 1) for k in range(8)]
    table = np.array([RESTAURANT[s] for s in order], float)[None, :, None]
    games, _ = play(table)
    np.testing.assert_allclose(exact(games, np.array([0]))[0, :, 0], [180, 360, 460], atol=1e-6)
    runs = np.mean([permutations(games, np.array([0]), k, 0)[0][0, :, 0] for k in range(400)], axis=0)
    np.testing.assert_allclose(runs, [180, 360, 460], atol=15)


@pytest.mark.parametrize("players", [1, 2, 5])
def test_exact_values_of_random_games(players):
    tables = random_tables(4, players, outputs=2)
    games, calls = play(tables)
    np.testing.assert_allclose(exact(games, np.arange(4)), [brute(t, players) for t in tables], atol=1e-12)
    assert sum(calls) == 4 * exact_cost(players)


def test_axioms_on_random_games():
    one, two = random_tables(3, 4, seed=1), random_tables(3, 4, seed=2)
    solve = lambda t: exact(play(t)[0], np.arange(len(t)))  # noqa: E731
    np.testing.assert_allclose(solve(2 * one - 3 * two), 2 * solve(one) - 3 * solve(two), atol=1e-12)  # linearity
    np.testing.assert_allclose(solve(one).sum(1), one[:, -1] - one[:, 0], atol=1e-12)  # efficiency
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    count = np.random.default_rng(0).normal(size=5)[bits.sum(1)][None, :, None]
    values = solve(count)[0, :, 0]
    np.testing.assert_allclose(values, values[0], atol=1e-12)  # symmetry


def test_inactive_players_get_exactly_nothing():
    tables = random_tables(1, 4)
    active = np.array([[True, False, True, True]])
    for values in (exact(play(tables, active)[0], np.array([0])), permutations(play(tables, active)[0], np.array([0]), 0, 0)[0]):
        assert values[0, 1, 0] == 0.0


def test_one_paired_pass_is_exact_up_to_two_interacting_players():
    tables = order_two(20, 6)
    games, calls = play(tables)
    values, _ = permutations(games, np.arange(20), 0, 0)
    np.testing.assert_allclose(values, exact(games, np.arange(20)), atol=1e-9)
    assert calls[0] == 20 * permutation_cost(6)


def test_kernel_regression_is_exact_up_to_two_interacting_players_and_by_enumeration():
    games, _ = play(order_two(20, 7))
    values, variance = kernel(games, np.arange(20), 4, 0)
    np.testing.assert_allclose(values, exact(games, np.arange(20)), atol=1e-8)
    assert variance.max() < 1e-16
    small, _ = play(random_tables(3, 4))
    np.testing.assert_allclose(kernel(small, np.arange(3), 8, 0)[0], exact(small, np.arange(3)), atol=1e-12)


def test_sampled_passes_are_unbiased_and_complete():
    tables = random_tables(1, 5, seed=3)
    games, _ = play(np.repeat(tables, 4000, axis=0))
    values, _ = permutations(games, np.arange(4000), 0, 0)
    truth, error = brute(tables[0], 5), values.std(0) / np.sqrt(4000)
    assert (np.abs(values.mean(0) - truth) < 4 * error).all()
    np.testing.assert_allclose(values.sum(1), (games.end - games.start), atol=1e-12)


def test_kernel_errors_are_about_right():
    tables = random_tables(1, 6, seed=4)
    games, _ = play(np.repeat(tables, 500, axis=0))
    values, variance = kernel(games, np.arange(500), 4, 0)
    z = (values - brute(tables[0], 6)) / np.sqrt(variance)
    assert 0.9 < (np.abs(z) < 1.96).mean() < 0.99
    assert 0.8 < variance.mean() / values.var(0).mean() < 1.6
    np.testing.assert_allclose(values.sum(1), (games.end - games.start), atol=1e-9)


def test_draws_follow_counters_and_not_places():
    tables = random_tables(6, 5, seed=5)
    counters = np.arange(6, dtype=np.uint64) * np.uint64(7919)
    one = permutations(play(tables, counters=counters)[0], np.arange(6), 0, 9)[0]
    other = permutations(play(tables[::-1], counters=counters[::-1])[0], np.arange(6), 0, 9)[0]
    np.testing.assert_array_equal(one, other[::-1])


def test_weights_are_those_of_all_orders():
    values = np.random.default_rng(0).normal(size=16)
    by_orders = np.zeros(4)
    for order in itertools.permutations(range(4)):
        seen = 0
        for j in order:
            by_orders[j] += values[seen | 1 << j] - values[seen]
            seen |= 1 << j
    np.testing.assert_allclose(shapley_weights(4) @ values, by_orders / math.factorial(4), atol=1e-12)
