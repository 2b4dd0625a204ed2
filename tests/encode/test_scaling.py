"""Scaling and reduction: there and back, out of range, along rows, with reasons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid import TabularRegressor
from pellucid.encode.numeric import NumberEncoder
from pellucid.errors import ColumnError, RequestError
from pellucid.table import read_table


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(0)
    return pd.DataFrame({"a": draw.lognormal(2, 1, 800), "b": draw.normal(-50, 3, 800), "c": 7.0, "k": draw.choice(["x", "y"], 800)})


@pytest.mark.parametrize("method", ["minmax", "zscore", "robust", "quantile"])
def test_there_and_back(frame, method):
    made = pld.scale(frame, method, columns=["a", "b"])
    spread = np.ptp(frame[["a", "b"]].to_numpy(), axis=0)
    assert (np.abs(made.inverse() - frame[["a", "b"]]) <= 1e-9 * spread).all(axis=None)
    assert made.table.frame["k"].equals(frame["k"])
    z = made.table.frame[["a", "b"]].to_numpy()
    if method == "minmax":
        assert np.allclose([z.min(0), z.max(0)], [[0, 0], [1, 1]])
    elif method == "zscore":
        assert np.abs(z.mean(0)).max() < 1e-6
        assert np.abs(z.std(0) - 1).max() < 1e-6
    elif method == "robust":
        assert np.abs(np.median(z, axis=0)).max() < 0.01
        assert np.abs(np.quantile(z, 0.75, axis=0) - np.quantile(z, 0.25, axis=0) - 1).max() < 0.02


def test_beyond_the_range_numbers_go_on_or_stop(frame):
    train = frame.iloc[:400]
    kept = pld.scale(read_table(frame), "minmax", columns="a", fit_on=np.arange(400))
    low, high = train["a"].min(), train["a"].max()
    assert np.allclose(kept.table.frame["a"], (frame["a"] - low) / (high - low))
    assert np.allclose(kept.inverse()[:, 0], frame["a"])
    clipped = pld.scale(frame, "minmax", columns="a", outside="clip", fit_on=np.arange(400))
    assert clipped.table.frame["a"].between(0, 1).all()
    assert kept.transform(np.array([[high + (high - low)]]))[0, 0] == pytest.approx(2.0)


def test_a_constant_and_gaps_are_safe():
    table = read_table(pd.DataFrame({"c": [7.0, 7.0, np.nan, 7.0], "d": [1.0, 2.0, np.nan, 4.0]}), types={"c": "number"})
    for method in ("minmax", "zscore", "robust", "quantile"):
        made = pld.scale(table, method)
        assert made.table.frame["c"].dropna().eq(0).all()
        assert made.table.frame["c"].isna().tolist() == [False, False, True, False]
        np.testing.assert_allclose(made.inverse()[:, 0], [7, 7, np.nan, 7])


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_rows_get_unit_length_and_come_back(norm):
    frame = pd.DataFrame({"a": [3.0, 0.0, 1.0], "b": [4.0, 0.0, np.nan], "k": ["u", "v", "w"]})
    made = pld.scale(frame, norm, axis="rows")
    length = np.nansum(np.abs(made.table.frame[["a", "b"]]) ** (1 if norm == "l1" else 2), axis=1)
    assert np.allclose(length, [1, 0, 1])
    np.testing.assert_allclose(made.inverse(), frame[["a", "b"]])
    assert made.to_frame()["axis"].eq("rows").all()
    with pytest.raises(RequestError, match="one by one"):
        made.transform(np.ones((1, 2)))


def test_what_cannot_be_scaled(frame):
    for error, options in ((ColumnError, {"columns": ["k"]}), (RequestError, {"axis": "depth"}), (RequestError, {"method": "zscor"})):
        with pytest.raises(error):
            pld.scale(frame, **options)
    with pytest.raises(RequestError, match="scale"):
        TabularRegressor(backbone="linear", scale="l2").fit(frame[["a"]], frame["b"])


@pytest.mark.parametrize("method", ["minmax", "zscore", "robust"])
def test_the_encoder_of_a_model_scales_as_asked(frame, method):
    x = frame[["a", "b"]].to_numpy()
    encoder = NumberEncoder(scale=method).fit(x)
    z, _ = encoder.transform(x)
    assert np.allclose(z, pld.scale(frame, method, columns=["a", "b"]).table.frame[["a", "b"]], atol=1e-5)
    assert np.allclose(encoder.inverse(z.astype(float)), x, rtol=1e-5, atol=1e-4)
    assert np.isfinite(encoder.transform(np.array([[1e30, -1e30]]))[0]).all()
    again = NumberEncoder.from_state(encoder.state())
    assert np.array_equal(again.transform(x)[0], z)


def test_columns_may_be_scaled_differently(frame):
    model = TabularRegressor(backbone="mlp", scale={"a": "minmax"}, max_steps=2, verbose=0, random_state=0).fit(
        frame[["a", "b"]], frame["b"].rename("goal")
    )
    assert model.engine_.encoder.numeric.scale == ["minmax", "quantile"]
    with pytest.raises(ColumnError, match="'zz'"):
        TabularRegressor(backbone="mlp", scale={"zz": "minmax"}, max_steps=2, verbose=0).fit(frame[["a", "b"]], frame["b"].rename("goal"))


def test_what_says_nothing_is_left_out_with_its_reason(frame):
    wide = frame.assign(
        twice=2 * frame["a"], code=frame["k"].map({"x": "one", "y": "two"}), near=frame["b"] + 1e-3 * frame["a"], empty=np.nan
    )
    wide = pd.concat(
        [wide, wide.iloc[[5, 9]], wide.iloc[[7]].assign(a=wide["a"].iloc[7] + 1e-6, twice=2 * wide["a"].iloc[7])], ignore_index=True
    )
    made = pld.reduce(wide, near=1e-3)
    dropped = {c["column"]: c["kept"] for c in made.columns}
    assert dropped == {"c": "", "empty": "", "twice": "a", "code": "k", "near": "b"}
    assert made.rows.tolist() == [800, 801, 802]
    assert made.like.tolist() == [5, 9, 7]
    assert "standard deviations" in made.reasons[2]
    assert made.table.columns == ("a", "b", "k")
    assert made.restore().frame.equals(wide)
    assert len(made.to_frame()) == 8
    exact = pld.reduce(wide)
    assert exact.rows.tolist() == [800, 801]
    assert pld.reduce(wide, rows=False).table.n_rows == len(wide)


def test_the_row_that_stands_for_others_is_kept():
    """Rows in a chain, each near the next: none is left out for the sake of one that is left out itself."""
    chain = pd.DataFrame({"x": [*np.arange(12) * 0.6, *np.arange(200) * 50.0]})
    told = pld.reduce(chain, near=1.0 / chain["x"].std()).to_frame().query("what == 'row'")
    assert len(told)
    assert not set(told["kept"]) & set(told["which"])
