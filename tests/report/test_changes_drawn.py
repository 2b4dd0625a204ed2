"""Figures of shift, groups, learning curves, repairs, fills and parted models: the numbers land where they belong, with their bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.audit.by_group import by_group
from pellucid.errors import RequestError
from pellucid.report.charts import chart, kinds
from pellucid.results import CostOfShift, GroupTable, Leaderboard, LearningCurve, Parting, RunRecord, Shift
from pellucid.table import read_table

BAD = "<b>income</b> & rent"
RECORD = RunRecord("made")


@pytest.fixture(scope="module")
def groups() -> GroupTable:
    draw = np.random.default_rng(0)
    sex, ill = draw.choice(["F", "M <i>", "x"], 1200, p=[0.5, 0.48, 0.02]), draw.random(1200) < 0.4
    table = read_table(pd.DataFrame({"sex": sex, "ill": np.where(ill, "yes", "no")}), target="ill")
    return by_group(draw.random(1200) < 0.3 + 0.3 * ill + 0.15 * (sex == "F"), table, by="sex")


def cost() -> CostOfShift:
    return CostOfShift(
        ("age", BAD, "the relation"), np.array([0.02, 0.3, -0.05]), np.array([0.01, 0.03, 0.02]), 0.5, 0.77, "log loss", "nats", 900.0,
        0.01,
        "made", RECORD,
    )  # fmt: skip


def shift(of: CostOfShift | None) -> Shift:
    drift = pd.DataFrame({
        "column": ["age", BAD, "city"], "effect": [0.05, 0.8, 0.02], "effect_unit": ["sd", "sd", "TV"], "by_chance": [0.06, 0.06, 0.03],
        "q": [0.4, 1e-9, 0.8], "changed": [False, True, False],
    })  # fmt: skip
    return Shift(drift, {"auc": 0.7}, (), of, "made", RECORD)


def curve() -> LearningCurve:
    rows = [
        {"model": m, "rows": n, "noise": 0.0, "score": s, "low": s - 0.02, "high": s + 0.02, "repeats": 3}
        for m, scores in (("tabm", (0.6, 0.74, 0.85)), ("linear", (0.7, 0.72, 0.73)))
        for n, s in zip((100, 400, 1600), scores)
    ]
    return LearningCurve(tuple(rows), "roc_auc", "linear", {("tabm", 0.0): 1600}, "made", RECORD)


def parting(groups: GroupTable) -> Parting:
    rows = [{"model": m, "score": s, "difference": s - 0.8, "low": s, "high": s} for m, s in (("as it is", 0.8), ("bias-free", 0.78))]
    told = {
        "as it is": {"sex": {"auc": 0.9, "low": 0.88, "high": 0.92, "null": 0.53, "rows": 900.0}},
        "bias-free": {"sex": {"auc": 0.51, "low": 0.49, "high": 0.54, "null": 0.53, "rows": 900.0}},
    }
    board = Leaderboard(tuple(rows), "roc_auc", "as it is", "made", RECORD)
    return Parting(("sex",), board, told, 0.01, {"as it is": {"sex": groups}, "bias-free": {"sex": groups}}, "made", RECORD)


def made(groups: GroupTable) -> dict[str, object]:
    """Return one result for each figure."""
    frame = pd.DataFrame({"town": ["Bern", "Basel", "Geneva"] * 40 + ["Genexa"], "size": range(121)})
    gaps = pd.DataFrame(
        {
            "age": np.r_[np.random.default_rng(0).normal(40, 9, 100), [np.nan] * 30],
            "size": np.arange(130.0) ** 2,
            "city": ["a", "b"] * 50 + [None] * 30,
        }
    )
    return {
        "drift": shift(cost()), "cost": cost(), "rates": groups, "learning": curve(), "repairs": pld.repair(frame),
        "fills": pld.fill(gaps, {"age": "mean", "city": "mode"}), "parting": parting(groups),
    }  # fmt: skip


def test_every_result_has_its_figure_and_text_from_data_stays_text(groups):
    for kind, result in made(groups).items():
        assert kinds(result)[0] == kind
        figure = chart(result)
        text = figure.to_json()
        assert figure.layout.title.text, "a figure says what it shows"
        assert figure.layout.xaxis.title.text, kind
        assert "<b>income" not in text
        assert "M <i>" not in text
        assert "\\u003cb\\u003eincome" not in text
        assert len({t.marker.color for t in figure.data if t.type == "bar" and isinstance(t.marker.color, str)}) <= 6


def test_shares_of_the_cost_stand_with_their_bars(groups):
    figure = chart(shift(cost()), "cost")
    bars = {float(y): (float(x), float(e)) for t in figure.data for x, y, e in zip(t.x, t.y, t.error_x.array)}
    assert bars[0.0] == (0.3, pytest.approx(1.96 * 0.03, rel=1e-3))
    assert bars[1.0][0] == -0.05
    assert bars[2.0][0] == 0.02
    with pytest.raises(RequestError, match="cost"):
        chart(shift(None), "cost")


def test_drift_is_told_in_multiples_of_chance():
    figure = chart(shift(None))
    found = {t.name: list(t.x) for t in figure.data}
    assert found["changed"] == [pytest.approx(0.8 / 0.06)]
    assert len(found["no more than chance"]) == 2


def test_rates_have_bars_and_the_width_that_chance_has(groups):
    figure = chart(groups)
    band, *points = figure.data
    tpr = next(k for k, m in enumerate(m for m in groups.rates if m in ("prevalence", "selection_rate", "tpr")) if m == "tpr")
    assert band.x[list(band.y).index(tpr)] == pytest.approx(100 * groups.gaps["tpr"].by_chance_95)
    women = next(t for t in points if t.name.startswith("F"))
    rate = groups.rates["tpr"]["F"]
    assert women.x[tpr] == pytest.approx(100 * rate.value)
    assert women.error_x.array[tpr] == pytest.approx(100 * (rate.high - rate.value))
    few = next(t for t in points if t.name.startswith("x"))
    assert all(s.endswith("-open") for s in few.marker.symbol), "what rests on too few rows looks hollow"


def test_the_size_from_which_a_model_is_better_is_marked():
    figure = chart(curve())
    assert [s.x0 for s in figure.layout.shapes] == [1600]
    assert "1,600" in figure.layout.annotations[0].text
    assert figure.data[0].error_y.array == pytest.approx((0.02,) * 3)
