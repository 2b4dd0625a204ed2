"""Sets of columns and windows of time: the planted one wins, and what it says is what the table holds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pellucid.cli.app import app
from pellucid.errors import ColumnError, RequestError
from pellucid.evaluate import feature_sets
from pellucid.evaluate.column_sets import ages_of
from pellucid.report.charts import chart, kinds


def kidneys(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Filtration rates of 24 months, of which those of 4 and 8 months before the end tell the illness, and two undated columns."""
    draw = np.random.default_rng(seed)
    months = pd.period_range("2019-05", "2021-01", freq="4M")
    level = draw.normal(60, 10, n)
    frame = pd.DataFrame({f"gfr_{m}": (level + draw.normal(0, 8, n)).round(1) for m in months})
    frame["age"], frame["sex"] = draw.integers(30, 90, n), draw.choice(["F", "M"], n)
    slope = frame["gfr_2020-05"] - frame["gfr_2020-09"]
    frame["ill"] = np.where(slope / 8 + (frame["age"] - 60) / 30 + draw.logistic(size=n) * 0.5 > 0.5, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def found():
    return feature_sets(
        kidneys(), {"rates": "gfr_*", "person": ["age", "sex"]}, windows=[5, 12], model="linear", by="sex", target="ill", n_boot=300
    )  # fmt: skip


def test_the_months_of_a_column_are_read_from_its_name():
    assert ages_of(["gfr_2020Q1", "gfr_2020q3", "zip_12345"]) == {"gfr_2020Q1": 6.0, "gfr_2020q3": 0.0}
    assert ages_of(["x_20210315", "x_20210115"]) == {"x_20210315": 0.0, "x_20210115": 2.0}
    assert ages_of(["x_2019", "x_2021"]) == {"x_2019": 24.0, "x_2021": 0.0}
    assert ages_of(["m3", "x_m12", "room"]) == {"m3": 0.0, "x_m12": 9.0}
    assert ages_of(["year_2000", "size", "x1", "x2"]) == {}, "one date alone is no series"


def test_a_window_holds_the_columns_of_its_months(found):
    assert set(found.columns["last 5 months"]) == {"gfr_2021-01", "gfr_2020-09", "age", "sex"}
    assert set(found.columns["last 12 months"]) == {"gfr_2021-01", "gfr_2020-09", "gfr_2020-05", "age", "sex"}
    assert found.columns["undated columns"] == ("age", "sex") == found.columns["person"]
    assert found.ages["gfr_2019-05"] == 20.0


def test_the_window_that_holds_the_cause_is_as_good_as_all_and_the_shorter_one_is_not(found):
    frame = found.to_frame().set_index("set")
    whole, long, short = (frame.loc[s] for s in ("all columns", "last 12 months", "last 5 months"))
    assert whole["score"] > 0.8
    assert whole["difference"] == 0
    assert long["difference"] > -0.01, "nothing is lost with the rates before the cause"
    assert short["difference_high"] < 0
    assert frame.loc["person"]["difference_high"] < 0
    assert frame.loc["person"]["score"] == frame.loc["undated columns"]["score"], "equal sets get equal scores"
    assert (frame["low"] < frame["score"]).all()
    assert frame["calibration_error"].notna().all()


def test_errors_and_calibration_of_each_group_stand_beside(found):
    lines = found.groups_frame()
    assert len(lines) == 2 * len(found.columns)
    assert {"fnr_low", "fnr_high", "calibration_slope"} <= set(lines.columns)
    slope = lines[lines["set"] == "all columns"]
    assert ((slope["calibration_slope_low"] < 1.15) & (slope["calibration_slope_high"] > 0.85)).all()
    assert kinds(found) == ("leaderboard",)
    assert chart(found).data


def test_what_cannot_be_compared_is_said():
    bare = kidneys(100)[["age", "sex", "ill"]]
    with pytest.raises(RequestError, match="no column is dated"):
        feature_sets(bare, windows=[6], target="ill")
    with pytest.raises(RequestError, match="nothing to compare"):
        feature_sets(bare, target="ill")
    with pytest.raises(ColumnError, match="no column"):
        feature_sets(bare, {"labs": "gfr_*"}, target="ill")
    with pytest.raises(RequestError, match="within 0"):
        feature_sets(kidneys(100), windows=[0], target="ill")


def test_one_command_compares_windows(tmp_path):
    kidneys(600).to_csv(tmp_path / "k.csv", index=False)
    given = [
        "compare",
        str(tmp_path / "k.csv"),
        "--target",
        "ill",
        "--window",
        "5",
        "--window",
        "12",
        "--by",
        "sex",
        "--backbone",
        "linear",
    ]
    told = CliRunner().invoke(app, [*given, "--set", "labs=gfr_*"])
    assert told.exit_code == 0, told.output
    assert "last 12 months" in told.output
    assert "labs" in told.output
    assert "By sex" in told.output
    told = CliRunner().invoke(app, [*given, "--json", "--out", str(tmp_path / "o.csv")])
    assert json.loads(told.output)["columns"]["undated columns"] == ["age", "sex"]
    assert len(pd.read_csv(tmp_path / "o.csv")) == 4
