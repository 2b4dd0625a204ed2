"""Shapley values of models, against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.execution import Threads, default_threads, limit_threads
from pellucid.explain import explain, row_games
from pellucid.testing.oracles import brute_shapley, product_pair, restaurant
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, TinyNetwork, fit_network, made_frame, made_table

EVERY = ("shapley", "shapley_exact", "shapley_permutation", "shapley_kernel")


@pytest.fixture(scope="module")
def rough():
    """A function with interactions of high order, its rows and its background."""
    table = made_table(made_frame(60, 6, ()))
    weights = np.random.default_rng(5).normal(size=(6, 12))
    model = FunctionPredictor(lambda m: 5 * np.sin(m @ weights).sum(1) + m.prod(1), table.take(slice(20, 60)))
    return model, table.take(slice(0, 20)), table.take(slice(20, 60))


@pytest.mark.parametrize("method", EVERY)
def test_the_restaurant(method):
    model, row, background = restaurant()
    answer = explain(model, row, background=background, method=method, random_state=0)
    np.testing.assert_allclose(answer.values, [[180, 360, 460]], atol=30 if method == "shapley_permutation" else 1e-6)
    np.testing.assert_allclose(answer.values.sum(), 1000, atol=1e-9)


@pytest.mark.parametrize("method", EVERY)
def test_a_linear_model_is_solved_exactly_by_every_way(method):
    table = made_table(made_frame(40, 7, ()))
    model = LinearPredictor([1, -2, 0, 3, 0.5, 0, 7], table.take(slice(0, 25)), intercept=3)
    answer = explain(model, table, method=method, random_state=0)
    np.testing.assert_allclose(answer.values, model.truth(table), atol=1e-6)
    np.testing.assert_allclose(answer.base_values, model.raw(table.take(slice(0, 25))).mean(), atol=1e-9)
    assert (np.abs(answer.gap) <= 1e-5 * np.ptp(answer.predictions)).all()
    assert np.abs(answer.values[:, [2, 5]]).max() < 1e-12


def test_a_product_of_two_columns():
    model, rows, background, values = product_pair()
    np.testing.assert_allclose(explain(model, rows, background=background).values, values, atol=1e-9)


def test_unread_and_equal_columns_get_exactly_nothing():
    frame = made_frame(30, 3, (2,))
    table = made_table(frame.assign(x3=1.0))
    answer = explain(FunctionPredictor(lambda m: np.exp(m[:, 0]) * m[:, 1], table), table, method="shapley_permutation", random_state=0)
    assert (answer.values[:, 2:] == 0).all()


def test_columns_that_play_the_same_part_get_the_same():
    frame = made_frame(30, 3, ())
    table = made_table(frame.assign(x2=frame.x1))
    model = FunctionPredictor(lambda m: np.tanh(m[:, 0] + m[:, 1]) * m[:, 2], table)
    answer = explain(model, table, method="shapley_exact")
    np.testing.assert_allclose(answer.values[:, 0], answer.values[:, 1], atol=1e-12)


@pytest.mark.parametrize("groups", [None, {"g": ["x2", "c1"]}])
def test_a_network_against_brute_force(groups):
    table = made_table(made_frame(40, 3, (3, 2), missing=0.1))
    net = fit_network(table, np.array(["a", "b", "c"])[np.arange(40) % 3], steps=40)
    rows, background = table.take(slice(0, 3)), table.take(slice(10, 18))
    answer = explain(net, rows, background=background, method="shapley_exact", groups=groups)
    assert answer.error is None
    if groups is None:
        np.testing.assert_allclose(answer.values, brute_shapley(net, rows, background), atol=1e-9)
    else:
        assert answer.columns == ("x1", "g", "x3", "c2")
    np.testing.assert_allclose(answer.values.sum(1) + answer.base_values, net.raw(rows), atol=1e-9)
    contrast = explain(net, rows, background=background, method="shapley_exact", groups=groups, output="c", versus="a")
    np.testing.assert_allclose(contrast.values, answer.values[:, :, 2] - answer.values[:, :, 0], atol=1e-9)


def test_errors_say_how_far_the_truth_is(rough):
    model, rows, background = rough
    truth = explain(model, rows, background=background, method="shapley_exact").values
    answers = [explain(model, rows, background=background, method="shapley_permutation", precision=0.3, random_state=s) for s in range(5)]
    z = np.concatenate([(a.values - truth) / a.error for a in answers])
    assert 0.90 <= (np.abs(z) < 1.96).mean() <= 0.985  # 600 values, but those of one row are dependent
    assert all((np.abs(a.gap) < 1e-9).all() for a in answers)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 10, 60])
def test_stated_errors_cover_at_the_stated_rate(size):
    table = made_table(made_frame(200 + size, 7, ()))
    weights = np.random.default_rng(5).normal(size=(7, 12))
    model = FunctionPredictor(lambda m: 5 * np.sin(m @ weights).sum(1) + m.prod(1), table)
    rows, background = table.take(slice(0, 200)), table.take(slice(200, 200 + size))
    truth = explain(model, rows, background=background, method="shapley_exact").values
    for seed in range(3):
        answer = explain(model, rows, background=background, method="shapley_permutation", precision=0.2, random_state=seed)
        z = (answer.values - truth) / answer.error
        assert 0.90 <= (np.abs(z) < 1.96).mean() <= 0.975


def test_more_precision_costs_more_and_is_reached(rough):
    model, rows, background = rough
    loose, tight = (
        explain(model, rows, background=background, method="shapley_permutation", precision=p, random_state=0) for p in (0.2, 0.05)
    )
    assert tight.n_calls > loose.n_calls
    assert (np.sqrt((tight.error**2).mean(1)) <= 0.05 * np.abs(tight.values).mean(1)).all()


def test_the_budget_is_kept_and_counted(rough):
    model, rows, background = rough
    before = model.rows_asked
    answer = explain(model, rows, background=background, method="shapley_permutation", budget=25_000, random_state=0)
    assert answer.n_calls == model.rows_asked - before <= 25_000
    assert answer.n_calls > 12_000
    with pytest.raises(RequestError, match="budget is too small"):
        explain(model, rows, background=background, budget=1000)
    with pytest.raises(RequestError, match="do not fit the budget"):
        explain(model, rows, background=background, budget=1000, method="shapley_exact")


def test_small_games_are_exact_without_being_asked(rough):
    model, rows, background = rough
    assert explain(model, rows, background=background).error is None
    assert explain(model, rows, background=background, budget=5_000_000).error is None


@pytest.mark.parametrize("method", ["shapley_permutation", "shapley_kernel"])
def test_seconds_that_ran_out_still_leave_an_answer_for_every_row(rough, method):
    model, _, background = rough
    rows = made_table(made_frame(150, 6, (), seed=1))  # several blocks: the last begin after the deadline
    answer = explain(model, rows, background=background, method=method, budget="0.001s", random_state=0)
    assert (answer.error > 0).any(1).all()
    np.testing.assert_allclose(answer.gap, 0, atol=1e-9)
    assert any("time budget was passed" in c for c in answer.record.caveats)


def test_too_many_columns_for_enumeration_are_refused():
    table = made_table(made_frame(4, 22, ()))
    with pytest.raises(RequestError, match="out of reach"):
        explain(FunctionPredictor(lambda m: m.sum(1), table), table, method="shapley_exact")


@pytest.mark.parametrize("method", ["shapley_permutation", "shapley_kernel"])
def test_order_of_rows_columns_and_background_changes_nothing(rough, method):
    model, rows, background = rough
    ask = lambda r, b, m=model: explain(m, r, background=b, method=method, precision=0.3, random_state=4)  # noqa: E731
    plain = ask(rows, background)
    flipped = ask(rows.take(slice(None, None, -1)), background.take(slice(None, None, -1)))
    np.testing.assert_allclose(flipped.values[::-1], plain.values, atol=1e-9)
    np.testing.assert_allclose(ask(rows.take([3]), background).values[0], plain.values[3], atol=1e-9)
    names = tuple(reversed(model.columns))
    mirrored = FunctionPredictor(lambda m: model.function(m[:, ::-1]), background.select(names))
    if method == "shapley_permutation":
        np.testing.assert_allclose(ask(rows.select(names), background.select(names), mirrored).values[:, ::-1], plain.values, atol=1e-9)
    assert not np.allclose(explain(model, rows, background=background, method=method, precision=0.3, random_state=5).values, plain.values)


def test_copies_in_the_background_weigh_what_they_are_worth():
    table = made_table(made_frame(12, 3, ()))
    model = FunctionPredictor(lambda m: np.sin(m).prod(1), table)
    few, many = table.take([0, 1]), table.take([0, 0, 0, 1])
    answer = explain(model, table, background=many, method="shapley_exact")
    truth = [explain(model, table, background=few.take([k]), method="shapley_exact").values for k in (0, 1)]
    np.testing.assert_allclose(answer.values, 0.75 * truth[0] + 0.25 * truth[1], atol=1e-12)
    np.testing.assert_allclose(answer.gap, 0, atol=1e-12)


def test_the_baseline_fill_compares_with_one_row():
    table = made_table(made_frame(30, 3, (3,)))
    model = FunctionPredictor(lambda m: m[:, 0] * m[:, 1] + m[:, 3], table)
    answer = explain(model, table, fill="baseline")
    row = explain(model, table, background=table.take([0]), fill="baseline")
    np.testing.assert_allclose(row.base_values, model.raw(table.take([0]))[0, 0])
    assert (row.values[0] == 0).all()
    assert "typical row" in answer.record.caveats[0]


@pytest.mark.parametrize("method", ["shapley_exact", "shapley_permutation"])
def test_the_conditional_fill_credits_a_copy_that_the_model_does_not_read(method):
    draw = np.random.default_rng(0)
    x = np.repeat(draw.normal(size=40), 2)
    table = made_table({"x": x, "copy": x, "other": draw.normal(size=80)})
    model = FunctionPredictor(lambda m: m[:, 0], table)
    marginal = explain(model, table.take(slice(0, 10)), background=table, method=method, random_state=0)
    conditional = explain(model, table.take(slice(0, 10)), background=table, fill="conditional", method=method, random_state=0)
    np.testing.assert_allclose(marginal.values[:, 1], 0, atol=1e-12)
    share = conditional.values[:, 1] / (conditional.predictions - conditional.base_values)
    assert np.median(share) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(conditional.gap, 0, atol=1e-9)


def test_the_missing_fill_shows_absent_columns_as_missing_cells():
    frame = made_frame(20, 2, (3,))
    table = made_table(frame)
    seen = []

    def model(f):
        seen.append(f.isna().to_numpy())
        return f["x1"].fillna(10.0) * f["x2"].fillna(1.0) + f["c1"].isna()

    made = explain(model, frame, background=frame, fill="missing", method="shapley_exact")
    np.testing.assert_allclose(made.base_values, 11.0)
    np.testing.assert_allclose(made.gap, 0, atol=1e-12)
    alone = explain(model, frame, background=frame, fill="missing", method="occlusion")
    np.testing.assert_allclose(alone.values[:, 0], frame.x1 * frame.x2 - 10 * frame.x2, atol=1e-12)
    np.testing.assert_allclose(alone.values[:, 2], -1.0, atol=1e-12)
    assert np.concatenate(seen).any(0).all()
    assert "did not learn from rows with hidden columns" in made.record.caveats[0]
    net = TinyNetwork(table, seed=0)
    gone = table.with_cells({"x1": np.full(20, np.nan)})
    own = explain(net, table, fill="missing", method="occlusion")
    np.testing.assert_allclose(own.values[:, 0], (net.raw(table) - net.raw(gone))[:, 0], atol=1e-9)


def test_whole_numbers_of_numpy_cannot_be_missing():
    x = np.arange(12).reshape(6, 2)
    with pytest.raises(RequestError, match="whole numbers cannot be missing"):
        explain(lambda a: a[:, 0], x, background=x, fill="missing")
    assert explain(lambda a: np.nan_to_num(a).sum(1), x.astype(float), background=x.astype(float), fill="missing").values.shape == (6, 2)


def test_a_network_that_learned_with_hidden_columns_says_so():
    from pellucid import TabularRegressor

    frame = made_frame(120, 2, ())
    fit = lambda **more: TabularRegressor(backbone="mlp", max_steps=20, verbose=0, random_state=0, **more).fit(frame, frame.x1.to_numpy())  # noqa: E731
    masked = fit(regularizers={"mask_columns": None}).explain(frame[:3], fill="missing")
    assert "as it learned from rows with hidden columns" in masked.record.caveats[0]
    assert "did not learn" in fit().explain(frame[:3], fill="missing").record.caveats[0]


@pytest.mark.skipif(default_threads() < 2, reason="one core")
@pytest.mark.parametrize("settings", [{"budget": 40 * 220}, {"precision": 0.1}, {}], ids=["budget", "precision", "default"])
def test_blocks_side_by_side_answer_with_the_same_bits(monkeypatch, settings):
    table = made_table(made_frame(70, 7, ()))
    model = TinyNetwork(table.take(slice(40, 70)))
    model.concurrent = True
    monkeypatch.setattr(row_games, "BLOCK", 10)
    at_once, before = [], Threads.map
    monkeypatch.setattr(Threads, "map", lambda self, function, chunks: before(self, function, at_once.append(1) or chunks))

    def asked(threads):
        with limit_threads(threads):
            return explain(model, table.take(slice(0, 40)), method="shapley", random_state=0, **settings)

    one = asked(1)
    assert not at_once
    two = asked(2)
    assert at_once, "nothing ran side by side"
    assert one.n_calls == two.n_calls
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.error, two.error)


def test_a_budget_near_the_cost_of_exact_values_is_kept_and_not_refused():
    """Rows that were enumerated with all of the budget could not pay for what is set aside for the others."""
    frame = made_frame(130, 8, (), 3)
    table = made_table(frame.assign(x1=frame["x1"].round(), x2=(2 * frame["x2"]).round() / 2))
    net = fit_network(table, table.numbers("x1") * table.numbers("x2") + table.numbers("x3"), steps=30)
    rows, background = table.take(slice(0, 6)), table.take(slice(100, 130))
    exact = explain(net, rows, background=background, method="shapley_exact").n_calls
    for budget in (int(1.05 * exact), int(1.08 * exact)):
        assert explain(net, rows, background=background, budget=budget, random_state=0).n_calls <= budget


def test_errors_of_the_conditional_fill_tell_what_other_background_rows_would_change():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(3000, 4)) @ np.linalg.cholesky(0.4 + 0.6 * np.eye(4)).T
    table = made_table({f"x{j}": x[:, j] for j in range(4)})
    model = FunctionPredictor(lambda m: np.stack([m[:, 0] + m[:, 1] * m[:, 2], m[:, 3]], 1), table, outputs=("a", "b"))
    rows, pool = table.take(slice(0, 8)), np.arange(8, 3000)
    made = [explain(model, rows, background=table.take(draw.choice(pool, 80, False)), fill="conditional") for _ in range(40)]
    values, errors = (np.stack([getattr(m, what) for m in made]) for what in ("values", "error"))
    z = (values - values.mean(0)) / errors
    # 40 backgrounds, each of which moves all values of a row together: as if some 40 x 8 / 2
    assert 0.90 <= (np.abs(z) < 1.96).mean() <= 0.985
    assert 0.85 < np.median(np.sqrt(np.square(errors).mean(0)) / values.std(0, ddof=1)) < 1.5
    for m in made:
        np.testing.assert_allclose(m.gap, 0, atol=1e-9)
    large = explain(model, rows, background=table.take(draw.choice(pool, 1500, False)), fill="conditional", method="banzhaf")
    assert np.median(large.error) < 0.65 * np.median(errors)
