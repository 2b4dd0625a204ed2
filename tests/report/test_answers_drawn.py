"""Every class of answer has its figures: they draw, hold the numbers of the answer, keep text from data as text, refuse what they lack."""

from __future__ import annotations

import dataclasses
import json
import re

import made
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from pellucid.errors import RequestError
from pellucid.intervals import wilson
from pellucid.report.charts import chart, kinds
from pellucid.report.charts.local import strongest_partner
from pellucid.results import Interactions, Result, Trial

ANSWERS = made.everything()
EVERY = [(i, kind) for i, answer in enumerate(ANSWERS) for kind in kinds(answer)]
OURS = re.compile(r"<br>|</?b>|</?i>|<span style='(color:#\w{6}|font-size:12px)'>|</span>|<extra></extra>")


def texts(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from texts(v)
    elif isinstance(value, list):
        for v in value:
            yield from texts(v)
    elif isinstance(value, str):
        yield value


def test_every_result_class_has_figures():
    import pellucid.results as results

    drawn_elsewhere = {"Leaderboard", "Prediction", "Trial", "Finding"}  # test_charts
    drawn_elsewhere |= {"Map", "Scatter", "Representatives"}  # test_maps
    told_in_words = {"Account", "Fills", "Reduction", "RepairTrace", "Repairs", "Scaled"}  # lists of cells
    drawn_elsewhere |= {"FeatureSets", "Parting"}  # test_changes_drawn
    told_in_words |= {"CostOfShift", "GroupTable", "LearningCurve", "Shift", "Weights"}  # tables with intervals
    classes = {n for n in results.__all__ if isinstance(c := getattr(results, n), type) and issubclass(c, Result) and c is not Result}
    assert classes - drawn_elsewhere - told_in_words == {type(a).__name__ for a in ANSWERS}


@pytest.mark.parametrize(("i", "kind"), EVERY, ids=[f"{type(ANSWERS[i]).__name__}-{k}-{i}" for i, k in EVERY])
def test_it_draws_and_text_stays_text(i, kind):
    answer = ANSWERS[i]
    if kind in ("swarm", "halo") and answer.swarm is None:
        with pytest.raises(RequestError, match="speak of one model"):
            chart(answer, kind)
        return
    figure = chart(answer, kind)
    assert len(figure.data) >= 1
    assert figure.layout.title.text
    for text in texts(json.loads(figure.to_json())["data"] + [json.loads(figure.to_json())["layout"]]):
        assert "<" not in OURS.sub("", text), text


def test_pairs_are_means_of_sizes_with_their_errors():
    answer = made.interactions()
    bars = chart(answer, "pairs").data[0]
    size = np.abs(answer.by_set[:, 4:, 0])
    order = np.argsort(-size.mean(0), kind="stable")
    assert np.allclose(bars.x, size.mean(0)[order])
    students = t.ppf(0.975, len(size) - 1) * size.std(0, ddof=1)[order] / np.sqrt(len(size))
    assert np.allclose(bars.error_x.array, students, rtol=1e-4)
    row = chart(answer, "pairs", row=3).data[0]
    assert sorted(row.x) == pytest.approx(sorted(answer.by_set[3, 4:, 0]))
    assert np.allclose(row.error_x.array, 1.96 * 0.05)


def test_the_matrix_is_symmetric_and_leaves_unmeasured_pairs_empty():
    grid = np.array(chart(made.interactions(), "matrix").data[0].z, float)
    assert np.allclose(grid, grid.T, equal_nan=True)
    assert np.isnan(grid[0, 3])
    assert np.isnan(grid[1, 3])
    assert np.nanmax(grid) == grid[0, 1]


def test_the_halo_follows_the_closed_form():
    """f = xi + xj + xi xj with factors a, b: the models at the edge lose (1 - a)^2 + (1 - b)^2 + (1 - ab)^2 = epsilon."""
    answer = made.rashomon(0.1)
    line = chart(answer, "halo", column=f"{made.NAMES[0]} x {made.NAMES[1]}").data[0]
    a, b = np.array(line.x), np.array(line.y)
    assert len(a) == 49  # one model in each of 48 directions, closed
    assert (a[0], b[0]) == (a[-1], b[-1])
    assert np.allclose(made.circle(a, b), 0.1, atol=1e-9)
    angle = np.unwrap(np.arctan2(b[:-1] - 1, a[:-1] - 1))
    assert (np.diff(angle) > 0).all()  # once round, in order
    with pytest.raises(RequestError, match="no pair"):
        chart(answer, "halo", column="a x b")


def test_the_swarm_has_a_point_for_every_model_and_ranges_stand_beside_the_bars():
    answer = made.rashomon()
    swarm = chart(answer)
    assert sum(len(t.x) for t in swarm.data) == len(answer.swarm)
    ends = [t for t in chart(answer, "pairs").data if t.type == "scatter" and t.mode == "lines+markers"]
    assert [list(t.x) for t in ends] == [[answer.low[0, s, 0], answer.high[0, s, 0]] for s in range(2)]


def test_curves_shade_where_rows_are_and_draw_bands():
    answer = made.curve()
    figure = chart(answer, column="age", output="yes", units={"age": "years"})
    bars = next(t for t in figure.data if t.type == "bar")
    assert np.allclose(bars.y, answer.share["age"])
    line = next(t for t in figure.data if t.type == "scatter" and t.mode == "lines+markers")
    assert np.allclose(line.y, answer.values["age"][:12, 0])  # the missing cell is a mark of its own
    band = next(t for t in figure.data if t.type == "scatter" and t.fill == "toself")
    assert np.allclose(band.y, [*answer.interval["age"][:12, 0, 1], *answer.interval["age"][:12, 0, 0][::-1]])
    assert figure.layout.xaxis.title.text == "age (years)"
    levels = chart(answer, column="city", output=0)
    assert "Oslo &lt;i&gt;" in levels.layout.xaxis.ticktext
    with pytest.raises(RequestError, match="no curve of"):
        chart(answer, column="weight")
    with pytest.raises(RequestError, match="no output"):
        chart(answer, output="maybe")


@pytest.mark.parametrize("written", ["{:.1f} kg", "{:.1f}", "CHF {:.2f}"])
def test_numbers_written_as_text_are_drawn_as_numbers(written):
    e = made.explanation()
    cells = np.arange(len(e)) / 4 + 0.25
    texts = [written.format(v).replace(".", ",") for v in cells]
    drawn = chart(dataclasses.replace(e, data=e.data.assign(age=texts)), "dependence", column="age")
    assert np.allclose(drawn.data[0].x, np.round(cells, 1), atol=0.06)


def test_dependence_is_coloured_by_the_strongest_interaction():
    e, pairs = made.explanation(), made.interactions()
    by_pairs = chart(e, "dependence", column="age", interactions=pairs)
    assert made.NAMES[1].replace("<", "&lt;").replace(">", "&gt;") in by_pairs.layout.title.text.replace("<br>", " ")
    order = pd.Series(e.data[made.NAMES[1]]).rank(pct=True)
    assert np.allclose(by_pairs.data[0].marker.color, order)
    assert list(by_pairs.data[0].customdata) == list(range(len(e)))


def test_names_that_are_half_numbers_are_levels_not_places_on_an_axis():
    e = made.explanation()
    tickets = [str(1000 + k) if k % 4 else f"A/5 {k}" for k in range(len(e))]
    codes = [str(k % 7) if k % 20 else "?" for k in range(len(e))]  # numbers with a sign for "unknown"
    held = dataclasses.replace(e, data=e.data.assign(age=tickets))
    assert chart(held, "dependence", column="age").layout.xaxis.ticktext is not None
    numbers = chart(dataclasses.replace(e, data=e.data.assign(age=codes)), "dependence", column="age")
    assert numbers.layout.xaxis.ticktext is None


def test_a_partner_is_found_where_there_is_one_and_none_where_there_is_none():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(0, 1, (300, 4)), columns=list("abcd"))
    e = dataclasses.replace(
        made.explanation(), data=data, columns=tuple("abcd"), values=np.zeros((300, 4)), base_values=np.zeros(300),
        predictions=np.zeros(300), error=None, gap=None,
    )  # fmt: skip
    product = np.zeros((300, 4))
    product[:, 0] = data["a"] + 0.7 * data["a"] * data["c"]
    assert strongest_partner(dataclasses.replace(e, values=product), "a")[0] == "c"
    found = 0
    for seed in range(40):
        alone = np.zeros((300, 4))
        alone[:, 0] = data["a"] ** 2 + np.random.default_rng(seed).normal(0, 0.3, 300)
        found += strongest_partner(dataclasses.replace(e, values=alone), "a")[0] is not None
    assert found <= 8  # 40 searches at 1 in 20: more than 8 would happen once in 10,000
    none = dataclasses.replace(made.interactions(), sets=(("age",),), by_set=np.ones((made.N, 1, 1)), error=None)
    assert strongest_partner(e, "a", pairs=none)[0] != "b"


def test_errors_say_whose_order_is_not_settled():
    e = made.explanation()
    values = np.tile([1.0, 0.99, 0.5, 0.1], (made.N, 1))
    e = dataclasses.replace(e, values=values, error=np.full_like(values, 0.02))
    marks = chart(e, "errors", row=0).data[0]
    assert list(marks.marker.symbol) == ["circle-open", "circle-open", "circle", "circle"]
    assert np.allclose(marks.error_x.array, 1.96 * 0.02)


def test_words_mark_what_is_strong_by_sign():
    answer = made.words()
    title = chart(answer, row=0).layout.title.text
    cell, values = answer.words["note"][0], answer.values["note"][0][:, 0]
    strong = np.abs(values) >= 0.15 * np.abs(values).max()
    assert title.count("▲") == int((strong & (values > 0)).sum())
    assert title.count("▼") == int((strong & (values < 0)).sum())
    assert len(cell) > strong.sum()
    assert "the cell is missing" in chart(answer, row=1).layout.title.text


def test_attention_can_be_chosen_by_layer_and_head():
    answer = made.attention()
    figure = chart(answer)
    (menu,) = figure.layout.updatemenus
    labels = [b.label for b in menu.buttons]
    assert "layer 1, head 2" in labels
    place = labels.index("layer 1, head 2")
    assert menu.buttons[place].args[0]["visible"] == [k == place for k in range(len(labels))]
    assert np.allclose(figure.data[place].z, 100 * answer.values[:, 1, 2].mean(0))
    assert np.allclose(np.sum(chart(answer, row=2).data[0].z, axis=1), 100)


def test_unit_maps_show_the_units_and_the_answer():
    answer = made.unit_maps()
    maps = [t for t in chart(answer).data if t.type == "heatmap"]
    assert np.allclose([m.z for m in maps[:-1]], answer.values)
    assert np.allclose(maps[-1].z, answer.answers[0])
    row = chart(answer, row=4)
    diamond = next(t for t in row.data if t.type == "scatter")
    assert diamond.marker.symbol == "diamond"


def test_seats_are_all_there():
    seats = made.importance().seats(30)
    assert sum(len(t.x) for t in chart(seats).data) == 30
    assert [len(t.x) for t in chart(seats).data] == sorted(seats.values.astype(int), reverse=True)
    assert sum(len(t.x) for t in chart(made.importance(), "seats").data) == 100


def test_tables_hold_the_lines_of_the_answer():
    rules, near, act = made.rules(), made.neighbours(), made.actions()
    assert "0.84 (0.8 to 0.88)" in chart(rules).layout.title.text
    cells = chart(near, row=3).data[0].cells.values
    assert list(cells[0]) == [str(v) for v in near.rows(3).index]
    assert chart(act, "options").data[0].cells.values[1][1] == "age 20 -&gt; 41"
    bars = chart(act).data[0]
    left = ~act.reached
    assert max(bars.x) == pytest.approx(100 * act.responsiveness[left][:, :2].mean(0).max())
    assert len(bars.x) == 2  # the third column may not change
    chosen = made.selection()
    filled = chart(chosen).data[0]
    assert len(filled.x) == chosen.chosen.sum()


def test_a_column_chosen_in_every_row_is_not_certain_to_be_so_in_the_next():
    rows = made.selection(rows=True)
    flags = np.ones_like(rows.chosen)
    bars = chart(dataclasses.replace(rows, chosen=flags)).data[0].error_x
    low, high = wilson(len(flags), len(flags))
    assert min(bars.arrayminus) == pytest.approx(100 * (1 - float(low)))
    assert min(bars.arrayminus) > 0
    assert max(bars.array) == 100 * float(high) - 100


@pytest.mark.parametrize("kind", ["waterfall", "pairs", "neighbours", "words", "responsiveness", "rules", "units", "selection"])
def test_rows_that_are_not_there_are_refused(kind):
    answer = next(a for a in ANSWERS if kind in kinds(a) and getattr(a, "index", 0) is not None)
    if kind == "rules":
        answer = dataclasses.replace(made.rules(), rules=tuple(dataclasses.replace(r, row="row 1") for r in made.rules().rules))
    with pytest.raises(RequestError, match="no such row"):
        chart(answer, kind, row=10_000)


def test_verdicts_are_told_beside_the_chart():
    failed = Trial("deletion", 0.1, (0.0, 0.2), 0.0, "fail", f"words {made.BAD}", made.record("deletion"), "shapley")
    passed = dataclasses.replace(failed, name="stability", verdict="pass")
    title = chart(made.explanation(), trials=[passed, failed]).layout.title.text
    assert title.endswith("<br>FAIL: deletion<br>PASS: stability")


def test_sets_of_more_than_two_columns_are_drawn_as_bars():
    three = Interactions(
        (made.NAMES[:3],), np.full((2, 1, 1), 0.4), made.NAMES, ("y",), "points", "mobius", "interactions", made.record("i")
    )
    assert chart(three).data[0].x[0] == pytest.approx(0.4)
    with pytest.raises(RequestError, match="single columns only"):
        chart(dataclasses.replace(three, sets=(("age",),)), "pairs")
