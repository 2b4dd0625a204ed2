"""The split plan: shares, disjoint parts, strata, copies, groups, order, and hostile inputs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import EmptyTableError, ModelFileError, RequestError
from pellucid.table import Plan, copies, make_plan, read_table


def table_of(n: int, seed: int = 0, **more):
    rng = np.random.default_rng(seed)
    return read_table(pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(list("xyz"), n), **more}))


def parts_of(plan: Plan) -> np.ndarray:
    part = np.full(plan.n_rows, -1)
    for k, rows in enumerate((plan.train, plan.stop, plan.certify)):
        assert (part[rows] == -1).all()
        part[rows] = k
    assert (part >= 0).all()
    return part


def test_shares_and_strata():
    y = np.random.default_rng(1).choice(["a", "b", "c"], 5000, p=[0.7, 0.28, 0.02])
    plan = make_plan(table_of(5000), y, task="classification", seed=3)
    part = parts_of(plan)
    assert len(plan.certify) == 500
    assert len(plan.stop) == round(0.15 * 4500)
    for level in "abc":
        share = (y == level).mean()
        for k in range(3):
            assert abs((y[part == k] == level).mean() - share) < 1.5 / (part == k).sum()
    assert plan.rule == "stratified"
    assert plan.folds is None


def test_at_least_200_certify_and_no_stop_rows_beside_an_evaluation_set():
    plan = make_plan(table_of(2000), np.arange(2000.0), task="regression", seed=0, stop_given=True)
    assert (len(plan.certify), len(plan.stop), plan.rule) == (200, 0, "random")
    assert "evaluation set" in plan.words


def test_stop_rows_are_capped():
    n = 90_000
    plan = make_plan(table_of(n), np.arange(n, dtype=float), task="regression", seed=0)
    assert (len(plan.stop), len(plan.certify)) == (10_000, 9_000)


def test_small_tables_are_folded_and_stratified():
    y = np.repeat([0, 1], [960, 39])
    y = np.append(y, 2)
    plan = make_plan(table_of(1000), y, task="classification", seed=0)
    assert len(plan.train) == 1000
    assert len(plan.stop) == len(plan.certify) == 0
    assert sorted(np.bincount(plan.folds)) == [200] * 5
    per_fold = np.bincount(plan.folds[y == 1], minlength=5)
    assert per_fold.max() - per_fold.min() <= 1
    assert plan.lone.tolist() == [999]


def test_same_seed_same_plan_and_other_seed_another():
    table, y = table_of(3000), np.arange(3000.0)
    one, two, other = (make_plan(table, y, task="regression", seed=s) for s in (1, 1, 2))
    assert one == two
    assert one != other


@pytest.mark.parametrize("n", [400, 4000])
def test_copies_stay_together(n):
    rng = np.random.default_rng(5)
    twice, b = rng.integers(0, n // 2, n), rng.choice(["u", "v", None], n // 2)  # rows entered about twice
    rows = pd.DataFrame({"id": np.arange(n), "a": twice / 7, "b": b[twice]})
    table, y = read_table(rows), rng.integers(0, 2, n)
    assert table.schema.identifiers == ("id",)  # which does not make copies different
    plan = make_plan(table, y, task="classification", seed=0)
    side = plan.folds if plan.folds is not None else parts_of(plan)
    spread = pd.Series(side).groupby([rows["a"], rows["b"].fillna("-"), y]).nunique()
    assert spread.max() == 1
    assert "copies" in plan.words


def test_copies_numbers_equal_brute_force():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"a": rng.integers(0, 4, 200) * 0.5, "b": rng.choice(["p", "q", None], 200), "c": pd.Categorical(rng.choice(["k", "l"], 200))}
    )
    got, y = copies(read_table(frame), (want := rng.integers(0, 2, 200))), want
    rows = [tuple(map(str, r)) for r in frame.assign(y=y).itertuples(index=False)]
    for i in range(0, 200, 7):
        assert [got[i] == got[j] for j in range(200)] == [rows[i] == rows[j] for j in range(200)]


def test_a_table_of_few_possible_rows_is_not_held_together():
    rng = np.random.default_rng(0)
    table = read_table(pd.DataFrame(rng.integers(0, 2, (4000, 3)), columns=list("abc")))
    plan = make_plan(table, rng.integers(0, 2, 4000), task="classification", seed=0)
    assert (len(plan.certify), "few different rows" in plan.words) == (400, True)


def test_copies_that_come_by_chance_are_not_held_together():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    cells = np.round(np.array([[1.0, 4.3], [2.0, 0.9], [-1.4, 2.9]])[y] + rng.normal(size=(300, 2))).astype(int)  # 9 copies of a row
    frame = pd.DataFrame(cells, columns=list("ab"))
    assert "few different rows" in make_plan(read_table(frame), y, task="classification", seed=0).words
    few = pd.DataFrame(rng.choice(["u", "v", "w"], (150, 4)), columns=list("abcd"))  # one or two copies, among 160 possible rows
    assert "few different rows" in make_plan(read_table(few), rng.integers(0, 2, 150), task="classification", seed=0).words
    twice = pd.concat([frame.assign(c=rng.normal(size=300).round(1))] * 2, ignore_index=True)  # entered twice
    plan = make_plan(read_table(twice), np.tile(y, 2), task="classification", seed=0)
    assert "copies of others and stay with them" in plan.words
    assert np.array_equal(plan.folds[:300], plan.folds[300:])


@pytest.mark.parametrize("n", [600, 6000])
def test_groups_stay_together(n):
    rng = np.random.default_rng(0)
    patient = rng.integers(0, n // 6, n)
    table = read_table(pd.DataFrame({"a": rng.normal(size=n), "patient_id": patient})).with_roles(group="patient_id")
    y = rng.integers(0, 2, n)
    plan = make_plan(table, y, task="classification", seed=0)
    side = plan.folds if plan.folds is not None else parts_of(plan)
    assert pd.Series(side).groupby(patient).nunique().max() == 1
    assert plan.rule == "grouped"
    again = make_plan(table_of(n), y, task="classification", seed=0, groups=patient)
    side = again.folds if again.folds is not None else parts_of(again)
    assert pd.Series(side).groupby(patient).nunique().max() == 1
    if n == 6000:
        assert abs(len(plan.certify) - 600) < 20


def test_groups_and_copies_are_joined():
    n = 3000
    group = np.repeat(np.arange(n // 3), 3)
    a = np.random.default_rng(0).normal(size=n)
    a[2], a[3] = 9.0, 9.0  # a copy that links two groups
    y = np.zeros(n)
    plan = make_plan(read_table(pd.DataFrame({"a": a})), y, task="regression", seed=1, groups=group)
    assert len(set(parts_of(plan)[:6])) == 1


def test_order_is_respected():
    n = 5000
    day = np.random.default_rng(0).permutation(n)
    frame = pd.DataFrame({"a": np.random.default_rng(1).normal(size=n), "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(day, "D")})
    plan = make_plan(read_table(frame).with_roles(order="day"), np.zeros(n), task="regression", seed=0)
    assert day[plan.train].max() < day[plan.stop].min() <= day[plan.stop].max() < day[plan.certify].min()
    assert plan.rule == "ordered"
    small = make_plan(table_of(100), np.zeros(100), task="regression", seed=0, order=day[:100])
    means = pd.Series(day[:100]).groupby(small.folds).agg(["min", "max"])
    assert (means["max"].to_numpy()[:-1] < means["min"].to_numpy()[1:]).all()


def test_rows_without_a_moment_train():
    n = 3000
    when = np.arange(n, dtype=float)
    when[-50:] = np.nan
    plan = make_plan(table_of(n), np.zeros(n), task="regression", seed=0, order=when)
    assert set(range(n - 50, n)) <= set(plan.train)


def test_every_class_trains_where_groups_would_carry_it_away():
    n = 4000
    group = np.repeat(np.arange(n // 10), 10)
    for lone in range(0, 400, 40):
        y = (group == lone).astype(int)
        plan = make_plan(table_of(n), y, task="classification", seed=0, groups=group)
        assert set(y[plan.train]) == {0, 1}


def test_a_class_of_one_row_trains():
    y = np.zeros(3000, int)
    y[7] = 1
    plan = make_plan(table_of(3000), y, task="classification", seed=0)
    assert 7 in plan.train
    assert plan.lone.tolist() == [7]


def test_written_and_read():
    for n in (500, 3000):
        plan = make_plan(table_of(n), np.arange(n) % 3, task="classification", seed=4)
        back = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
        assert back == plan
        np.testing.assert_array_equal(back.certify, plan.certify)
        assert back.describe() == plan.words
    with pytest.raises(ModelFileError):
        Plan.from_dict({"rows": 3, "parts": "AAAA"})


def test_errors():
    with pytest.raises(EmptyTableError, match="at least 2"):
        make_plan(table_of(1), [0], task="regression", seed=0)
    with pytest.raises(RequestError, match="groups do not fit"):
        make_plan(table_of(9), np.zeros(9), task="regression", seed=0, groups=[1])
    with pytest.raises(RequestError, match="unknown task"):
        make_plan(table_of(9), np.zeros(9), task="ranking", seed=0)


def test_all_rows_the_same():
    plan = make_plan(read_table({"a": [1] * 9, "b": [1, 2] + [1] * 7}), [0] * 9, task="classification", seed=0)
    assert len(plan.train) == 9
    plan = make_plan(read_table({"a": [1] * 9}), [0] * 9, task="classification", seed=0)
    assert len(plan.train) == 9


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_tiny_inputs_give_a_plan(data):
    n = data.draw(st.integers(1, 40))
    rows = pd.DataFrame(
        {
            "a": data.draw(st.lists(st.sampled_from([0.0, 1.5, None, 7.25]), min_size=n, max_size=n)),
            "b": data.draw(st.lists(st.sampled_from("uvw"), min_size=n, max_size=n)),
        }
    )
    y = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    groups = data.draw(st.none() | st.lists(st.integers(0, 4), min_size=n, max_size=n))
    order = data.draw(st.none() | st.lists(st.floats(0, 1) | st.none(), min_size=n, max_size=n))
    below = data.draw(st.sampled_from([0, 2000]))
    task = data.draw(st.sampled_from(["classification", "regression"]))
    try:
        plan = make_plan(
            read_table(rows),
            np.array(y),
            task=task,
            seed=data.draw(st.integers(0, 9)),
            groups=groups,
            order=order,
            fold_below=below,
            certify_min=data.draw(st.integers(0, 300)),
        )
    except EmptyTableError:
        assert n < 2
        return
    parts_of(plan)
    assert len(plan.train) > 0
    if plan.folds is not None:
        assert len(plan.folds) == n
        assert set(plan.folds) == set(range(plan.folds.max() + 1))
    assert Plan.from_dict(plan.to_dict()) == plan
    if groups is not None and "few different" not in plan.words:
        assert pd.Series(parts_of(plan)).groupby(groups).nunique().max() == 1


def test_real_tables(tables):
    for name, target in (("wine_quality_white.csv", "quality"), ("mammography.csv.gz", "class")):
        table = read_table(tables / name, target=target)
        y = table.frame[target].to_numpy()
        task = "classification" if target == "class" else "regression"
        plan = make_plan(table, y, task=task, seed=0)
        part = parts_of(plan)
        assert pd.Series(part).groupby([table.frame[c] for c in table.columns]).nunique().max() == 1
        assert abs(len(plan.certify) - 0.1 * len(table)) < 8
        if task == "classification":
            assert abs((y[plan.certify] == 1).mean() - (y == 1).mean()) < 0.002


def test_a_plan_is_printed_in_a_line():
    plan = make_plan(read_table({"x": np.arange(3000.0)}), np.arange(3000.0), task="regression", seed=0)
    assert len(repr(plan)) < 600
    assert f"train={len(plan.train):,} rows" in repr(plan)


def test_rows_of_a_model_that_does_not_stop_by_them_are_told_as_rows_that_train():
    tall, short = (read_table({"x": list(range(n))}, types={"x": "number"}) for n in (3000, 300))
    plan = lambda table, **how: make_plan(table, np.arange(len(table)), task="regression", seed=0, **how).words  # noqa: E731
    assert "2,295 train, 405 decide when to stop, 300 certify" in plan(tall)
    assert "2,700 train, 300 certify" in plan(tall, stopping=False)
    assert "helps to tell when they stop" in plan(short)
    assert "stop" not in plan(short, stopping=False)
