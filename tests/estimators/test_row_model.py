"""The row model against laws that are known: normal tables, shares of levels, patterns of gaps, planted faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pellucid.errors import ArgumentError, EmptyTableError, ModelFileError, NotFittedError, RequestError, SourceError
from pellucid.estimators.row_model import RowModel
from pellucid.protocols import RowModel as Protocol
from pellucid.table import Table, read_table
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.testing.predictors import made_table
from pellucid.testing.strange import ranking, swapped
from pellucid.training.strangeness import cell_strangeness

MEAN, SPREAD = np.array([1.0, -20.0, 0.3]), np.array([1.0, 10.0, 0.1])
CORRELATION = np.array([[1.0, 0.8, -0.4], [0.8, 1.0, 0.1], [-0.4, 0.1, 1.0]])
COVARIANCE = CORRELATION * np.outer(SPREAD, SPREAD)


def normal(n: int, seed: int) -> Table:
    x = np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, n)
    return made_table({f"x{j}": x[:, j] for j in range(3)})


@pytest.fixture(scope="module")
def gaussian() -> RowModel:
    return RowModel(random_state=0, threads=1, max_steps=350).fit(normal(5000, 0))


@pytest.fixture(scope="module")
def mixed_model() -> RowModel:
    return RowModel(random_state=0, threads=1, max_steps=200).fit(mixed(500)[FEATURES])


def conditional(known: list[int], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (N, U) and covariance (U, U) of the unknown columns."""
    unknown = [j for j in range(3) if j not in known]
    if not known:
        return np.tile(MEAN, (len(x), 1)), COVARIANCE
    slope = COVARIANCE[np.ix_(unknown, known)] @ np.linalg.inv(COVARIANCE[np.ix_(known, known)])
    mean = MEAN[unknown] + (x[:, known] - MEAN[known]) @ slope.T
    return mean, COVARIANCE[np.ix_(unknown, unknown)] - slope @ COVARIANCE[np.ix_(known, unknown)]


@pytest.mark.parametrize("known", [[0], [2], [1, 2], []], ids=str)
def test_draws_have_the_conditional_law_of_a_normal_table(gaussian, known):
    rows = normal(150, 1)
    flags = np.isin(np.arange(3), known)
    draws = np.stack([t.frame.to_numpy() for t in gaussian.sample(rows, flags, 60, seed=0)])  # (60, N, 3)
    x = rows.frame.to_numpy()
    assert np.array_equal(draws[:, :, known], np.broadcast_to(x[:, known], draws[:, :, known].shape)), "known cells were changed"
    mean, covariance = conditional(known, x)
    unknown = [j for j in range(3) if j not in known]
    spread = np.sqrt(np.diag(covariance))
    off = (draws[:, :, unknown] - mean) / spread  # standard normal under the truth
    assert np.sqrt((off.mean(0) ** 2).mean()) < np.sqrt(1 / 60) + 0.12  # sampling, and what 5,000 rows leave to learn
    assert np.abs(off.std((0, 1)) - 1).max() < 4.5 / np.sqrt(2 * 9000) + 0.2
    if len(unknown) > 1:
        made, truth = np.corrcoef(off.reshape(-1, len(unknown)).T), covariance / np.outer(spread, spread)
        assert np.abs(made - truth).max() < 4.5 / np.sqrt(9000) + 0.08, "cells were drawn one by one, not together"


def test_shares_of_levels_given_another_cell_are_learned():
    draw = np.random.default_rng(0)
    city = draw.choice(["A", "B"], 4000, p=[0.7, 0.3])
    p = np.where(city == "A", 0.9, 0.2)
    kind = np.where(draw.random(4000) < p, "house", np.where(draw.random(4000) < 0.5, "flat", "hut"))
    model = RowModel(random_state=0, threads=1, max_steps=200).fit(made_table({"city": city, "kind": kind}))
    asked = made_table({"city": ["A"] * 1500 + ["B"] * 1500, "kind": ["hut"] * 3000})
    drawn = model.sample(asked, np.array([True, False]), 1, seed=3)[0].frame["kind"].to_numpy()
    for rows, truth in ((slice(0, 1500), [0.9, 0.05, 0.05]), (slice(1500, 3000), [0.2, 0.4, 0.4])):
        share = np.array([(drawn[rows] == k).mean() for k in ("house", "flat", "hut")])
        assert np.abs(share - truth).max() < 4.5 * np.sqrt(0.25 / 1500) + 0.03


def test_gaps_follow_their_own_pattern():
    draw = np.random.default_rng(0)
    married = draw.random(1500) < 0.5
    income = np.where(married, draw.normal(size=1500), np.nan)
    model = RowModel(random_state=0, threads=1, max_steps=200).fit(made_table({"married": married.astype(str), "spouse": income}))
    asked = made_table({"married": ["True"] * 500 + ["False"] * 500, "spouse": np.zeros(1000)})
    gone = model.sample(asked, np.array([True, False]), 1, seed=0)[0].missing("spouse")
    assert gone[:500].mean() < 0.05
    assert gone[500:].mean() > 0.95
    full = model.sample(made_table({"married": ["True"] * 300, "spouse": np.zeros(300)}), np.array([False, True]), 1, seed=0)[0]
    assert (full.frame["married"] == "True").mean() > 0.95


def test_draws_hold_cells_as_the_user_writes_them(mixed_model):
    frame = mixed(60, 5)[FEATURES]
    table = read_table(frame)
    drawn = mixed_model.sample(table, np.zeros(len(FEATURES), bool), 2, seed=1)
    assert len(drawn) == 2
    for made in drawn:
        assert made.columns == table.columns
        assert (made.frame.dtypes == table.frame.dtypes).all()
        assert set(made.frame["note"].str.split().str[0]) <= {"red", "old", "new"}
        made.numbers("income"), made.seconds("joined")
    assert not drawn[0].frame.equals(drawn[1].frame)


def test_rows_of_one_seed_share_their_draws_and_order_does_not_matter(gaussian):
    rows = normal(20, 4)
    seeds = np.arange(20, dtype=np.uint64)
    one = gaussian.sample(rows, np.array([True, False, False]), 1, seeds)[0].frame.to_numpy()
    order = np.random.default_rng(0).permutation(20)
    two = gaussian.sample(rows.take(order), np.array([True, False, False]), 1, seeds[order])[0].frame.to_numpy()
    np.testing.assert_allclose(one[order], two, rtol=1e-4)
    twins = gaussian.sample(rows.take([0, 0]), np.zeros(3, bool), 1, np.array([7, 7], np.uint64))[0].frame.to_numpy()
    assert np.array_equal(twins[0], twins[1])
    again = gaussian.sample(rows, np.zeros(3, bool), 1, 5)[0].frame
    assert again.equals(gaussian.sample(rows, np.zeros(3, bool), 1, 5)[0].frame)


def test_a_cell_is_told_from_the_others(gaussian):
    rows = normal(300, 6)
    made = gaussian.reconstruct(rows, np.array([True, False, True])).frame["x1"].to_numpy()
    mean, covariance = conditional([0, 2], rows.frame.to_numpy())
    assert np.sqrt(((made - mean[:, 0]) ** 2).mean() / covariance[0, 0]) < 0.3
    alone = gaussian.reconstruct(rows).frame.to_numpy()
    assert np.corrcoef(alone[:, 1], mean[:, 0])[0, 1] > 0.9
    with pytest.raises(Exception, match="x1"):
        gaussian.reconstruct(rows.drop(["x1"]))


def law_ratios(rows: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return (log p(cell) - log p(cell | rest), -log p(cell | rest)), each (N, 3), under the true law."""
    x, ratio, surprise = rows.frame.to_numpy(), np.zeros((len(rows), 3)), np.zeros((len(rows), 3))
    for j in range(3):
        mean, covariance = conditional([k for k in range(3) if k != j], x)
        surprise[:, j] = -norm.logpdf(x[:, j], mean[:, 0], np.sqrt(covariance[0, 0]))
        ratio[:, j] = surprise[:, j] + norm.logpdf(x[:, j], MEAN[j], SPREAD[j])
    return ratio, surprise


def test_an_exchanged_cell_is_told_as_well_as_the_true_law_tells_it(gaussian):
    usual = normal(4000, 11)
    odd, names = swapped(usual)
    (ratio, surprise), (odd_ratio, odd_surprise) = law_ratios(usual), law_ratios(odd)
    best, _ = ranking(cell_strangeness(ratio), cell_strangeness(odd_ratio))
    sums, _ = ranking(surprise.sum(1), odd_surprise.sum(1))
    assert best > sums + 0.005, "the likelihood ratio must tell more than the sum of surprises, which this test would else accept"
    a, b = gaussian.score(usual)["exchanged"], gaussian.score(odd)["exchanged"]
    ours, error = ranking(cell_strangeness(a), cell_strangeness(b))
    assert best - ours < 0.015, "what 5,000 rows leave to learn"  # both scores are of the same rows: the rows' own error cancels
    assert ours < best + 3 * error
    named = (np.array(gaussian.columns_)[b.argmax(1)] == names).mean()
    ideal = (np.array(gaussian.columns_)[odd_ratio.argmax(1)] == names).mean()
    assert named > ideal - 0.03
    # no cell is exchanged in usual rows: the mean ratio is 1 under the law of rows as they are
    assert abs(np.exp(ratio).mean() - 1) < 4 * np.exp(ratio).mean(1).std() / np.sqrt(4000)


def test_ordinary_cells_are_called_odd_no_more_often_than_said(gaussian):
    odd = gaussian.score(normal(1500, 7))
    assert odd["cell"].shape == (1500, 3)
    # -log of a probability of being at least as unlikely, in a row that may hold faults: one in twenty is above 3 at most
    assert 0.4 < odd["cell"].mean() < 1.1
    assert 0.005 < (odd["cell"] > np.log(20)).mean() < 0.06
    assert abs(odd["percentile"].mean() - 50) < 6


@pytest.mark.parametrize(("name", "gain"), [("german_credit.csv", 0.02), ("penguins.csv", 0.2)])
def test_cells_are_better_told_from_their_rows_than_from_their_columns(tables, name, gain):
    table = read_table(tables / name)
    order = np.random.default_rng(0).permutation(len(table))
    cut = int(0.75 * len(table))
    model = RowModel(random_state=0, threads=1, max_steps=250).fit(table.take(order[:cut]))
    new = table.take(order[cut:])
    told = model.score(new)["surprise"].mean()
    coded = model._book.read(new.select(model.columns_))
    shares = [np.log(np.maximum(c.counts, 0.5) / c.counts.sum()) for c in model._book.columns]
    alone = np.mean([-shares[j][coded.state[:, j].clip(0)] + coded.beyond[:, j] for j in range(len(shares))])
    assert told < alone - gain


def test_a_number_a_thousand_times_too_large_is_named(tables):
    table = read_table(tables / "california_housing.csv.gz").take(slice(0, 4000))
    model = RowModel(random_state=0, threads=1, max_steps=200).fit(table.take(slice(0, 3000)))
    new = table.take(slice(3000, 3400)).select(model.columns_)
    numbers = [c for c in new.columns if new.schema[c].type == "number"]
    draw = np.random.default_rng(0)
    frame = new.frame.astype(dict.fromkeys(numbers, float))
    planted = draw.integers(0, len(numbers), len(frame))
    for j, name in enumerate(numbers):
        rows = np.flatnonzero(planted == j)
        frame.iloc[rows, frame.columns.get_loc(name)] *= 1000
    wrong = Table(frame, new.schema)
    odd = model.score(wrong)
    named = np.array(model.columns_)[odd["cell"].argmax(1)]
    changed = np.array([new.frame[numbers[j]].iloc[i] != 0 for i, j in enumerate(planted)])
    assert (named == np.array(numbers)[planted])[changed].mean() >= 0.9
    assert (odd["percentile"][changed] > 95).mean() > 0.9


def test_the_code_has_two_numbers_that_tell_groups_apart():
    draw = np.random.default_rng(0)
    group = draw.integers(0, 3, 900)
    centres = np.array([[0, 0, 0, 0], [4, 4, 0, 0], [0, 0, 4, 4.0]])
    x = centres[group] + draw.normal(size=(900, 4))
    table = made_table({f"x{j}": x[:, j] for j in range(4)})
    model = RowModel(random_state=0, threads=1, max_steps=250).fit(table)
    code = model.code(table)
    assert code.shape == (900, 2)
    np.testing.assert_allclose(code[:, 0].std(), 1, atol=0.2)
    from sklearn.neighbors import KNeighborsClassifier

    assert KNeighborsClassifier(15).fit(code[:600], group[:600]).score(code[600:], group[600:]) > 0.9


def test_saved_and_read_again_it_answers_the_same(mixed_model, tmp_path, monkeypatch):
    path = tmp_path / "rows.safetensors"
    mixed_model.save(path)
    again = RowModel.load(path)
    frame = mixed(40, 9)[FEATURES]
    one, two = mixed_model.score(frame), again.score(frame)
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])
    known = np.arange(len(FEATURES)) % 2 == 0
    drawn = [m.sample(frame, known, 1, 0)[0].frame for m in (mixed_model, again)]
    pd.testing.assert_frame_equal(*drawn)
    np.testing.assert_array_equal(mixed_model.code(frame), again.code(frame))
    before = path.read_bytes()

    def full(arrays, place, metadata):
        place.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(RequestError, match="no space"):
        mixed_model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelFileError, match="damaged"):
        RowModel.load(path)
    with pytest.raises(SourceError):
        RowModel.load(tmp_path / "nowhere")


def test_the_same_seed_gives_the_same_model():
    frame = mixed(200)[FEATURES]
    one, two = (RowModel(random_state=3, threads=1, max_steps=20).fit(frame) for _ in range(2))
    np.testing.assert_array_equal(one.score(frame)["cell"], two.score(frame)["cell"])
    assert one.record_["loss"] < one.record_["trivial"] + 0.05


def test_what_cannot_be_is_refused(gaussian):
    with pytest.raises(NotFittedError):
        RowModel().score(pd.DataFrame({"a": [1]}))
    with pytest.raises(EmptyTableError):
        RowModel().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(RequestError):
        gaussian.sample(normal(3, 0), np.zeros(3, bool), 0)
    with pytest.raises(ArgumentError):
        gaussian.sample(normal(3, 0), np.zeros(3, bool), 1, np.zeros(2, np.uint64))
    assert isinstance(gaussian, Protocol)
