"""The number encoder: exact inverse, safe columns, bins where values pile up, weights as repetitions."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pellucid.encode.numeric import NumberEncoder, _searched
from pellucid.errors import DataError


def _table(n: int = 600) -> np.ndarray:
    rng = np.random.default_rng(0)
    piled = np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(8, 2, n).round())
    stamps = 1.6e9 + rng.integers(0, 10**7, n) + rng.random(n)
    x = np.stack([rng.normal(size=n), rng.lognormal(0, 3, n), piled, stamps, rng.integers(0, 5, n).astype(float)], 1)
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


def test_in_range_numbers_come_back() -> None:
    x = _table()
    encoder = NumberEncoder().fit(x)
    scaled, missing = encoder.transform(x)
    assert scaled.dtype == np.float32
    assert np.array_equal(missing, np.isnan(x))
    assert not scaled[missing].any()
    back = encoder.inverse(scaled)
    span = np.nanmax(x, 0) - np.nanmin(x, 0)
    # float32 keeps 24 bits of a scaled number of size 4, stretched by the flattest piece of the map
    assert (np.nanmax(np.abs(back - np.where(missing, np.nan, x)), 0) < 1e-4 * span).all()


def test_scaled_columns_have_a_normal_shape() -> None:
    scaled = NumberEncoder().fit(_table(5000)).transform(_table(5000))[0]
    for j in (0, 1, 3):
        assert abs(scaled[:, j].mean()) < 0.05
        assert abs(scaled[:, j].std() - 0.97) < 0.06  # 5 % of the cells are missing and hold 0


def test_outside_the_range_the_map_is_finite_monotone_and_counted() -> None:
    x = _table()
    encoder = NumberEncoder().fit(x)
    far = np.r_[-1e308, -1e12, -1e6, np.linspace(-5000, 5000, 301), 1e6, 1e12, 1e308][:, None].repeat(5, 1)
    scaled = encoder.transform(far)[0]
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled, axis=0) >= 0).all()
    assert np.array_equal(encoder.out_of_range(far), (far < encoder.low) | (far > encoder.high))
    assert not encoder.out_of_range(x).any()
    beyond = encoder.high + (encoder.high - encoder.low) * 0.3
    np.testing.assert_allclose(encoder.inverse(encoder.transform(beyond[None])[0])[0], beyond, rtol=1e-4)


def test_constant_and_empty_columns_are_safe() -> None:
    x = np.stack([np.full(40, 7.0), np.full(40, np.nan), np.r_[np.full(39, np.nan), 3.0]], 1)
    encoder = NumberEncoder(kind="both").fit(x, np.arange(40.0))
    scaled, missing = encoder.transform(np.array([[7.0, np.nan, 3.0], [8.0, 5.0, np.nan]]))
    assert np.isfinite(scaled).all()
    assert scaled[0, 0] == 0
    assert scaled[1, 0] > 0
    assert all(len(b) == 2 and b[0] < b[1] for b in encoder.bins)
    assert np.isnan(encoder.low[1])
    assert encoder.out_of_range(np.array([[8.0, 5.0, 3.0]])).tolist() == [[True, True, False]]
    assert missing.tolist() == [[False, True, False], [False, False, True]]


def test_no_number_columns_and_no_fit_rows() -> None:
    encoder = NumberEncoder().fit(np.zeros((5, 0)))
    assert encoder.transform(np.zeros((3, 0)))[0].shape == (3, 0)
    assert NumberEncoder().fit(np.zeros((0, 2))).transform(np.ones((3, 2)))[0].shape == (3, 2)


def test_timestamps_keep_their_resolution() -> None:
    stamps = 1.7e9 + np.arange(2000.0)[:, None]
    scaled = NumberEncoder().fit(stamps).transform(stamps)[0][:, 0]
    assert (np.diff(scaled) > 0).all()


@pytest.mark.parametrize("kind", ["quantile", "tree", "both"])
def test_bins_are_increasing_inside_the_range_and_bounded(kind: str) -> None:
    x = _table()
    encoder = NumberEncoder(16, kind).fit(x, np.nan_to_num(x[:, 0]) ** 2)
    scaled = np.where(np.isnan(x), np.nan, encoder.transform(x)[0])
    for j, edges in enumerate(encoder.bins):
        assert edges.dtype == np.float32
        assert (np.diff(edges) > 0).all()
        assert len(edges) <= (33 if kind == "both" else 17)
        assert edges[0] == np.nanmin(scaled[:, j])
        assert edges[-1] == np.nanmax(scaled[:, j])


def test_tree_bins_follow_the_target_where_values_pile_up() -> None:
    rng = np.random.default_rng(0)
    gain = np.where(rng.random(20_000) < 0.92, 0.0, rng.integers(1, 30_000, 20_000).astype(float))
    y = ((gain > 5100) & (gain < 5300)) | (gain > 20_000)
    encoder = NumberEncoder(32, "tree", 3).fit(gain[:, None], y.astype(int), task="classification")
    edges = encoder.inverse(encoder.bins[0].reshape(-1, 1))[:, 0]
    for cut in (5100, 5300, 20_000):
        assert np.abs(edges - cut).min() < 60
    assert np.abs(NumberEncoder(32).fit(gain[:, None]).bins[0].size) < 6


@pytest.mark.parametrize("kind", ["quantile", "tree", "both"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_weights_are_repetitions(kind: str, task: str) -> None:
    x = _table(400)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 400) if task == "classification" else np.nan_to_num(x[:, 0]) + 0.1 * rng.normal(size=400)
    w = rng.integers(0, 4, 400)
    weighted = NumberEncoder(24, kind, 5).fit(x, y, w.astype(float), task)
    repeated = NumberEncoder(24, kind, 5).fit(np.repeat(x, w, 0), np.repeat(y, w), None, task)
    np.testing.assert_allclose(weighted.transform(x)[0], repeated.transform(x)[0], atol=1e-6)
    for a, b in zip(weighted.bins, repeated.bins):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_size_of_weights_does_not_matter() -> None:
    x, w = _table(400), np.random.default_rng(1).random(400)
    one, two = (NumberEncoder(24, "both", 5).fit(x, np.nan_to_num(x[:, 0]), s * w) for s in (1.0, 1e-6))
    np.testing.assert_allclose(one.transform(x)[0], two.transform(x)[0], atol=1e-6)
    assert [len(b) for b in one.bins] == [len(b) for b in two.bins]


def test_state_goes_round() -> None:
    x = _table()
    encoder = NumberEncoder(16, "both").fit(x, np.nan_to_num(x[:, 0]))
    again = NumberEncoder.from_state(encoder.state())
    assert np.array_equal(again.transform(x)[0], encoder.transform(x)[0])
    assert all(np.array_equal(a, b) for a, b in zip(again.bins, encoder.bins))


def test_a_long_table_is_fitted_quickly() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32_000, 6)), rng.integers(0, 2, 32_000)
    started = time.process_time()
    NumberEncoder(128, "both", 3).fit(x, y, task="classification")
    assert time.process_time() - started < 3.0  # 0.5 s on a quiet machine


def test_scaling_in_blocks_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x = NumberEncoder().fit(_table(400)), 1.5 * _table(500)
    whole = encoder.transform(x)[0]
    monkeypatch.setattr("pellucid.encode.numeric.BLOCK", 7 * x.shape[1])
    assert np.array_equal(encoder.transform(x)[0], whole)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(DataError, match="do not fit"):
        NumberEncoder().fit(np.zeros(5))


def test_few_rows_and_many_are_searched_to_the_same_places() -> None:
    rng = np.random.default_rng(0)
    knots = np.sort(rng.normal(size=(40, 5)), 0)
    knots[20:, 2], knots[:, 3] = knots[20, 2], 1.0  # padded, and a single value
    x = np.concatenate([knots, rng.normal(size=(60, 5)) * 2])
    truth = np.maximum((knots[None] <= x[:, None]).sum(1) - 1, 0)
    assert np.array_equal(_searched(x, knots), truth)
    assert np.array_equal(np.concatenate([_searched(row[None], knots) for row in x]), truth)


def test_columns_without_time_for_a_tree_get_quantile_bins_and_are_counted() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = np.digitize(x.sum(1), [-1.0, 1.0])
    for kind in ("tree", "both"):
        whole, turns = NumberEncoder(8, kind).fit(x, y, task="classification"), iter([True])
        cut = NumberEncoder(8, kind).fit(x, y, task="classification", go_on=lambda turns=turns: next(turns, False))
        plain = NumberEncoder(8, "quantile").fit(x)
        assert (whole.plain, cut.plain) == (0, 2)
        assert [b.tolist() for b in cut.bins] == [b.tolist() for b in (whole.bins[0], *plain.bins[1:])]
