"""The table from above: every kind of figure draws, points are those of the rows, text from data stays text, a click opens a row."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.cli.seen import _points, look
from pellucid.errors import RequestError
from pellucid.report.charts import chart, kinds
from pellucid.report.charts.points import levels_of, sizes
from pellucid.report.facts import ColumnFact, ReportData, Seen
from pellucid.report.html import to_html, write_html
from pellucid.report.page import _depth_words
from pellucid.report.sights import points_payload
from pellucid.results import Finding, Map, RunRecord
from pellucid.table import read_table

EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def table():
    draw = np.random.default_rng(0)
    group = np.arange(90) % 3
    cells = {f"x{j}": 5.0 * (group == j) + draw.normal(size=90) for j in range(3)}
    cells["x2"][:4] = np.nan
    cells[EVIL] = np.array(["a", EVIL, "c"])[group]
    cells["group"] = np.array(["a", "b", "c"])[group]
    cells["when"] = pd.date_range("2020-01-01", periods=90, freq="D")
    return read_table(pd.DataFrame(cells), target="group", types={EVIL: "category", "group": "category"})


@pytest.fixture(scope="module")
def maps(table):
    return {m: pld.map(table, method=m, options={"steps": 20} if m in ("mds", "sne") else None) for m in ("pca", "mds", "sne")}


def test_every_kind_of_figure_draws_and_escapes(table, maps):
    made = replace(maps["sne"], answers=pd.DataFrame({"predicted": table.frame["group"].to_numpy(), "doubt": np.linspace(0, 1, 90)}))
    drawn = 0
    for result in (made, maps["pca"], maps["mds"]):
        for kind in kinds(result):
            lacks = {"loadings": result.loadings, "loss": result.trace, "perplexity": result.other}
            lacks |= dict.fromkeys(("predicted", "doubt"), result.answers)
            if kind in lacks and lacks[kind] is None:
                with pytest.raises(RequestError):
                    chart(result, kind)
                continue
            figure = chart(result, kind)
            drawn += 1
            text = str(figure.to_dict())  # plotly's own JSON hides what would be an element
            assert "<img" not in text
            assert sum(len(t.x) for t in figure.data if t.x is not None) > 0
    assert drawn == 21
    assert len(chart(made, column="x0").data[0].x) == 90
    with pytest.raises(RequestError, match="no column"):
        chart(made, column="nowhere")


def test_the_points_of_a_map_are_its_coordinates(maps):
    figure = chart(maps["pca"])
    drawn = np.concatenate([np.column_stack([t.x, t.y]) for t in figure.data])
    wanted = maps["pca"].coordinates
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(wanted[:, 0]), rtol=1e-5)
    assert [t.name for t in figure.data] == ["group: a (30)", "b (30)", "c (30)"]


def test_five_columns_stand_in_one_scatter_with_legends_in_their_units(table):
    asked = {"x": "x0", "y": "x1", "colour": "when", "size": "x2", "shape": "group"}
    figure = chart(pld.map(table.with_units(x2="kg"), method="scatter", options=asked))
    names = [t.name for t in figure.data if t.name]
    assert any(n.startswith("x2 ") and n.endswith(" kg") for n in names)
    assert {"a (30)", "b (30)", "c (30)"} <= set(names)
    assert "2020-01" in str(figure.data[0].marker.colorbar.ticktext)
    assert "90 rows" in figure.layout.title.text
    gone = chart(pld.map(table, method="scatter", options={"x": "x0", "y": "x2"}))
    assert "4 without x or y are left out" in gone.layout.title.text
    spread = chart(pld.map(table, method="scatter", options={"x": "group", "y": "x1"}))
    assert "spread a little" in spread.layout.xaxis.title.text
    assert list(spread.layout.xaxis.ticktext) == ["a (30)", "b (30)", "c (30)"]


def test_a_map_is_coloured_by_moments_of_a_time_zone():
    hours = pd.date_range("2020-01-01", periods=60, freq="h", tz="Europe/Zurich")
    frame = pd.DataFrame({"x": np.arange(60) / 7, "y": np.arange(60) % 17, "when": hours})
    figure = chart(pld.map(frame, method="pca"), kind="points", column="when")
    assert "2020-01" in str(figure.data[0].marker.colorbar.ticktext)


def test_a_hundred_thousand_points_are_one_layer():
    draw = np.random.default_rng(0)
    n = 120_000
    big = read_table(pd.DataFrame({"a": draw.normal(size=n), "b": draw.normal(size=n), "g": draw.choice(list("xyz"), n)}))
    dense = chart(pld.map(big, method="scatter", options={"x": "a", "y": "b"}))
    assert dense.data[0].type == "heatmap"
    assert int(np.asarray(dense.data[0].text, int).sum()) == 100_000
    assert dense.layout.title.text.startswith("100,000 of 120,000 rows")
    coloured = chart(pld.map(big, method="scatter", options={"x": "a", "y": "b", "colour": "g"}))
    layers = [t for t in coloured.data if t.type == "scattergl" and len(t.x) > 1]
    assert len(layers) == 1
    assert len(layers[0].x) == 100_000
    assert len(coloured.to_json()) < 3_000_000


def test_areas_follow_the_cells_and_rare_levels_are_grey():
    diameter, told = sizes(pd.Series([0.0, 50.0, 100.0, np.nan]))
    area = diameter**2
    assert (area[1] - area[0]) / (area[2] - area[0]) == pytest.approx(0.5, abs=0.02)
    assert len(told) == 3
    codes, names = levels_of(pd.Series([*"aabbccddeeffgh", None]))
    assert names[-2:] == ["other levels (2)", "missing (1)"]
    assert (codes[-3:] == [len(names) - 2, len(names) - 2, len(names) - 1]).all()


def test_rows_that_findings_name_and_explained_rows_are_among_the_points(monkeypatch):
    monkeypatch.setattr("pellucid.cli.seen.POINTS", 100)
    finding = Finding("odd", "low", (), "", "", RunRecord("odd"), rows=np.array([7, 11, 4999]))
    at = _points(5000, [finding], np.array([3, 5]), np.arange(1000, 1200), 0)
    assert len(at) == 100
    assert {3, 5, 7, 11, 4999} <= set(at.tolist())
    assert ((at >= 1000) & (at < 1200)).sum() == 95
    assert (np.diff(at) > 0).all()


@pytest.fixture(scope="module")
def page(table):
    finding = Finding("strange_rows", "high", ("x0",), "they are strange", "look at them", RunRecord("odd"), rows=np.array([7, 11]))
    seen, lost = look(table, None, [finding], None, True, 0, True)
    assert lost == ()
    columns = tuple(ColumnFact(c, str(table.schema[c].type)) for c in table.columns)
    return ReportData("groups", "groups.csv", 90, len(columns), columns, target="group", findings=(finding,), seen=seen)


def test_the_page_holds_points_and_no_element_from_data(page):
    told = points_payload(page)
    assert told["id"] == list(range(90))
    assert told["findings"][0]["points"] == [7, 11]
    assert [len(m["x"]) for m in told["maps"]] == [90]
    places = np.column_stack([told["maps"][0]["x"], told["maps"][0]["y"]])
    exact = page.seen.maps[0].coordinates
    assert np.corrcoef(places[:, 0], exact[:, 0])[0, 1] > 0.9999
    html = to_html(page)
    assert "<img" not in html.split("<script>")[0].split('id="points-data"')[0]
    assert "Show them on the map" in html
    assert "rows with shuffled columns" in html
    assert len(html) < 12_000_000
    json.dumps(page.to_dict())


def test_points_that_do_not_fit_are_refused(page):
    with pytest.raises(RequestError, match="do not fit"):
        replace(page.seen, positions=page.seen.positions[:-1])
    assert isinstance(page.seen, Seen)
    assert isinstance(page.seen.maps[0], Map)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_point_opens_its_row(page, tmp_path, width):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = write_html(page, tmp_path / "page.html")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with sync_api.sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium on this machine: {str(error).splitlines()[0]}")
        visit = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
        said: list[str] = []
        visit.on("console", lambda m: said.append(m.text))
        visit.on("pageerror", lambda e: said.append(str(e)))
        visit.on("dialog", lambda d: said.append("dialog") or d.dismiss())
        visit.goto(path.as_uri())
        card = visit.locator("#sight-card")
        visit.fill("#sight-find", "7")
        visit.keyboard.press("Enter")
        assert "Row 7" in card.inner_text()
        assert "strange rows" in card.inner_text()
        visit.focus("#sight-canvas")
        for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
            visit.keyboard.press(key)
        assert re.search(r"Row \d+", card.inner_text())
        # the place of a row's point is where its coordinates say
        box = visit.locator("#sight-canvas").bounding_box()
        x, y = (np.asarray(points_payload(page)["maps"][0][k], float) for k in "xy")
        size = min((box["width"] - 32) / x.max(), (box["height"] - 32) / y.max())
        at = (box["width"] - size * x.max()) / 2 + size * x[20], (box["height"] + size * y.max()) / 2 - size * y[20]
        visit.locator("#sight-canvas").click(position={"x": at[0], "y": at[1]})
        near = [i for i in range(90) if np.hypot(x[i] - x[20], y[i] - y[20]) * size < 3]
        assert card.get_attribute("data-row") in {str(i) for i in near}
        # one tap after the other, where a reader would tap: what a tap opens does not take the map away from under the finger
        box, opened = visit.locator("#sight-canvas").bounding_box(), []
        for k in range(0, 90, 6):
            visit.mouse.click(
                box["x"] + (box["width"] - size * x.max()) / 2 + size * x[k], box["y"] + (box["height"] + size * y.max()) / 2 - size * y[k]
            )
            opened.append(int(card.get_attribute("data-row")))
        off = np.array([np.hypot(x[i] - x[k], y[i] - y[k]) * size for i, k in zip(opened, range(0, 90, 6))])
        assert (off < 3).all()
        visit.select_option("#sight-colour", label="x2")
        assert "missing (4)" in visit.locator("#sight-legend").inner_text()
        assert visit.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
    assert said == []


def test_layers_that_are_not_in_order_are_said_so_and_a_half_beside_is_no_layer_on_the_way():
    layers = pd.DataFrame({
        "layer": ["(cells)", "first", "additive", "last", "(outputs)"], "silhouette": [0.30, 0.42, 0.60, 0.35, 0.64],
        "error": 0.01, "rows": 200, "beside": [False, False, True, False, False],
    })  # fmt: skip
    words = _depth_words(SimpleNamespace(seen=SimpleNamespace(layers=layers)))
    assert "the classes come apart, but not layer by layer: in last they stand closer together" in words
    assert "additive" not in words
    layers.loc[3, "silhouette"] = 0.5
    assert "in no layer on the way" in _depth_words(SimpleNamespace(seen=SimpleNamespace(layers=layers)))
    assert _depth_words(SimpleNamespace(seen=None)) == ""
