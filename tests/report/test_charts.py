"""Figures: every kind draws, numbers land where they belong, text from data stays text."""

from __future__ import annotations

import dataclasses
import json

import fixture
import numpy as np
import pytest

from pellucid.errors import ArgumentError, RequestError
from pellucid.report.charts import chart, kinds, reliability_chart
from pellucid.report.charts.data import missing_cells
from pellucid.report.charts.local import waterfall
from pellucid.report.charts.style import safe
from pellucid.report.charts.trials import history


@pytest.fixture(scope="module")
def classes():
    return fixture.classification()


@pytest.fixture(scope="module")
def numbers():
    return fixture.regression()


def everything(data):
    """All results of a report that can be drawn, with all their kinds."""
    results = [data.explanation, data.explanation.mean_abs(), data.prediction, data.leaderboard, *data.trials[:3]]
    results += [r for r in (data.calibration, data.missing) if r is not None]
    results += [list(data.trials)] + ([list(data.findings)] if data.findings else [])
    return [(r, kind) for r in results for kind in kinds(r)]


def drawable(result, kind) -> bool:
    needs = {
        "probabilities": "probabilities",
        "row": "probabilities",
        "interval": "low",
        "doubt": "aleatoric",
        "familiarity": "familiarity",
        "samples": "samples",
    }
    if kind == "power_readability":
        return "explanation_size" in result.rows[0]
    if kind == "curve":
        return "curve" in result.details
    return getattr(result, needs.get(kind, "record"), True) is not None


@pytest.mark.parametrize("which", ["classes", "numbers"])
def test_every_kind_draws_or_says_what_it_lacks(which, request):
    for result, kind in everything(request.getfixturevalue(which)):
        if not drawable(result, kind):
            with pytest.raises(RequestError):
                chart(result, kind)
            continue
        figure = chart(result, kind)
        assert len(figure.data) >= 1, kind
        assert figure.layout.title.text, kind


@pytest.mark.parametrize("which", ["classes", "numbers"])
def test_text_from_data_is_never_markup(which, request):
    data = request.getfixturevalue(which)
    figures = [chart(r, k) for r, k in everything(data) if drawable(r, k)] + [
        missing_cells(data.columns, data.n_rows),
        history(data.history),
    ]
    figures += [chart(data.explanation, "dependence", column=c) for c in data.explanation.columns]

    def texts(value):
        if isinstance(value, dict):
            for v in value.values():
                yield from texts(v)
        elif isinstance(value, list):
            for v in value:
                yield from texts(v)
        elif isinstance(value, str):
            yield value

    for figure in figures:
        for text in texts(json.loads(figure.to_json())):
            assert "<" not in text.replace("<br>", ""), text
    assert safe("<b>&amp;") == "&lt;b&gt;&amp;amp;"


def test_waterfall_goes_from_the_base_to_the_answer(classes, numbers):
    for data, row, output in ((classes, 5, 1), (numbers, 3, 0)):
        e = data.explanation
        bars, ends = waterfall(e, row, output, k=4).data[:2]
        base, x = np.asarray(bars.base, float), np.asarray(bars.x, float)
        assert len(bars.x) == 5  # four columns and the others
        assert base[0] == pytest.approx(e.base_values[row] if e.base_values.ndim == 1 else e.base_values[row, output])
        assert base[-1] + x[-1] == pytest.approx(e.predictions[row] if e.predictions.ndim == 1 else e.predictions[row, output])
        assert np.allclose(base[1:], (base + x)[:-1])
        assert np.all(np.diff(np.abs(x[:4])) <= 0)
        assert list(ends.x) == pytest.approx([base[0], base[-1] + x[-1]])
        marks = np.asarray(bars.marker.pattern.shape)
        assert ((x < 0) == (marks == "/")).all()  # the sign is seen without colour


def test_waterfall_names_cells_with_units(classes):
    e = classes.explanation
    labels = waterfall(e, 0, units={"age": "years"}, k=12).layout.yaxis.ticktext
    assert any(label == f"age = {e.data['age'].iloc[0]} years" for label in labels)
    assert any("missing" in str(t) for i in range(20) for t in waterfall(e, i, k=12).layout.yaxis.ticktext)


def test_waterfall_whiskers_are_95_percent(classes):
    e = classes.explanation
    bars = waterfall(e, 2, 0, k=12).data[0]
    order = np.argsort(-np.abs(e.values[2, :, 0]), kind="stable")
    assert np.allclose(bars.error_x.array, 1.96 * e.error[2, order, 0])


def test_importance_bars_and_intervals(classes):
    importance = classes.importance
    bars = chart(importance).data[0]
    frame = importance.to_frame()
    assert np.allclose(bars.x, frame["importance"])
    assert np.allclose(bars.error_x.array, (frame["high"] - frame["importance"]).clip(0))


def test_equal_names_stay_apart(numbers):
    e = numbers.explanation
    same = dataclasses.replace(e, columns=("x" * 200 + "a", "x" * 200 + "b", *e.columns[2:]))
    assert len(chart(same, "importance").data[0].y) == len(set(chart(same, "importance").data[0].y)) == 8


def test_reliability_band_is_binomial(classes):
    from scipy.stats import binom

    curve = classes.calibration
    band = reliability_chart(curve).data[0]
    n = len(curve.count)
    assert np.allclose(band.y[:n], binom.ppf(0.975, curve.count, curve.predicted) / curve.count)
    assert np.allclose(band.y[n:][::-1], binom.ppf(0.025, curve.count, curve.predicted) / curve.count)


def test_usual_figures(classes, numbers):
    assert "Why row" in chart(classes.explanation, row=3).layout.title.text
    assert "Why row" in chart(classes.explanation[4]).layout.title.text
    assert "interval" in chart(numbers.prediction).layout.title.text
    assert "replaced" in chart(next(t for t in classes.trials if "curve" in t.details)).layout.xaxis.title.text


def test_refusals_say_what_is_possible(classes):
    with pytest.raises(ArgumentError, match="nothing can be drawn"):
        chart(object())
    with pytest.raises(ArgumentError, match="empty list"):
        chart([])
    with pytest.raises(RequestError, match="one of importance, beeswarm, waterfall, dependence"):
        chart(classes.explanation, "pie")
    with pytest.raises(RequestError, match="row from 0 to"):
        chart(classes.explanation, "waterfall", row=10_000)
    with pytest.raises(RequestError, match="no column 'nothing'"):
        chart(classes.explanation, "dependence", column="nothing")


def test_missing_everything_still_draws(numbers):
    e = numbers.explanation
    empty = dataclasses.replace(e, data=e.data.assign(rooms=np.nan), values=np.zeros_like(e.values))
    for kind in kinds(empty):
        assert chart(empty, kind, column="rooms").layout.title.text


def test_a_training_curve_shows_losses_and_no_counts_of_the_loop():
    from pellucid.report.charts.trials import history

    steps = [{"step": 10 * k, "epoch": k, "lr": 0.1, "train_loss": 1 / k, "stop_score": -1 / k, "seconds": k} for k in (1, 2, 3)]
    assert [t.name for t in history(steps).data] == ["train loss", "stop score"]


def test_doubt_of_numbers_is_in_the_square_of_their_unit_and_never_said_to_be_none():
    from pellucid.report.charts.certainty import doubt
    from pellucid.results import Prediction, RunRecord

    record = RunRecord("uncertainty", {}, 0, "", 0.0)
    some = Prediction(np.array([1.0, 2.0]), 0.9, record, aleatoric=np.array([4.0, 5.0]), epistemic=np.array([0.001, 0.002]))
    figure = doubt(some, "rings")
    assert "rings²" in figure.layout.xaxis.title.text
    assert "under 1 %" in figure.layout.title.text
    assert "squared units of the target" in doubt(some).layout.yaxis.title.text
