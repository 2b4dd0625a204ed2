"""The page in a real browser with the network cut."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from pathlib import Path

import fixture
import made
import pytest
import test_beside

from pellucid.report.html import to_json, write_html

pytestmark = pytest.mark.browser

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with sync_api.sync_playwright() as play:
        try:
            made = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium on this machine: {str(error).splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {name: write_html(getattr(fixture, name)(), folder / f"{name}.html") for name in ("classification", "regression", "audit_only")}
    return made | {"full": write_html(test_beside.full(), folder / "full.html")}


class Visit:
    """One page, opened without network; everything it says or asks for is noted."""

    def __init__(self, browser, path: Path, size: dict[str, int], **options) -> None:
        self.context = browser.new_context(viewport=size, offline=True, **options)
        self.page = self.context.new_page()
        self.asked, self.said, self.dialogs = [], [], []
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.on("console", lambda m: self.said.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.said.append(f"error: {e}"))
        self.page.on("dialog", lambda d: (self.dialogs.append(d.message), d.dismiss()))
        self.page.route(re.compile("^(?!file:).*"), lambda route: route.abort())
        self.url = path.as_uri()
        self.page.goto(self.url)

    def draw_all(self) -> None:
        """Open every fold and bring every figure near the screen, as a reader does who scrolls through."""
        self.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        waiting = """() => { const left = [...document.querySelectorAll('[data-figure]')].filter(b => !b.dataset.drawn);
                            if (left.length) left[0].scrollIntoView({ behavior: 'instant' }); return left.length; }"""
        for _ in range(200):  # not wait_for_function: the page's policy forbids evaluating text
            if self.page.evaluate(waiting) == 0:
                return
            self.page.wait_for_timeout(50)
        pytest.fail("some figures were not drawn")


@pytest.fixture
def visit(browser, pages):
    opened = []

    def go(name: str, size=WIDE, **options) -> Visit:
        opened.append(Visit(browser, pages[name], size, **options))
        return opened[-1]

    yield go
    for one in opened:
        one.context.close()


@pytest.mark.parametrize(
    ("name", "size"),
    [("classification", WIDE), ("classification", PHONE), ("regression", PHONE), ("audit_only", PHONE), ("full", WIDE), ("full", PHONE)],
    ids=["classes-desktop", "classes-phone", "numbers-phone", "audit-phone", "full-desktop", "full-phone"],
)
def test_page_renders_without_network_errors_or_sideways_scrolling(visit, name, size):
    seen = visit(name, size)
    seen.draw_all()
    assert seen.asked == [seen.url]  # nothing but the file itself
    assert seen.said == []
    assert seen.dialogs == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    drawn = seen.page.locator("[data-figure] .main-svg").count()
    assert drawn > 0
    assert seen.page.locator("h1").inner_text()


def test_verdict_fits_the_first_screen(visit):
    for name in ("classification", "regression"):
        box = visit(name).page.locator("header.verdict").bounding_box()
        assert box["y"] + box["height"] <= 800


OVERLAPPING = """() => [...document.querySelectorAll('[data-figure]')].filter(b => {
  const [t, l] = [b.querySelector('.gtitle'), b.querySelector('.legend')].map(e => e && e.getBoundingClientRect());
  return t && l && l.left < t.right && l.top < t.bottom && l.bottom > t.top;
}).map(b => b.dataset.figure)"""


@pytest.mark.parametrize("size", [pytest.param(WIDE, marks=pytest.mark.long), PHONE], ids=["wide", "phone"])
def test_no_legend_reaches_its_title(visit, size):
    seen = visit("full", size)
    seen.draw_all()
    seen.page.wait_for_timeout(300)
    assert seen.page.locator("[data-figure] .legend").count() > 3
    assert seen.page.evaluate(OVERLAPPING) == []


def test_hostile_text_is_inert(visit):
    seen = visit("classification")
    seen.draw_all()
    page = seen.page
    for k in range(0, page.locator("#row-table tbody tr").count(), 17):
        page.locator("#row-table tbody tr").nth(k).click()
    page.locator("#row-detail details summary", has_text="All its cells").click()
    assert page.locator("img").count() == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 4  # two data blocks, plotly, the page's own
    assert seen.dialogs == []
    assert "<script>alert(1)</script>" in page.locator("h1").inner_text()
    shown = page.locator("body").inner_text()
    assert "{{7*7}}" in shown
    assert '"><img src=x onerror=alert(2)>' in shown
    # plotly draws names as text too: the tags are seen, not obeyed
    labels = page.evaluate("[...document.querySelectorAll('#plot-importance .ytick text')].map(t => t.textContent).join('|')")
    assert "<script>alert(1)</script>" in labels


def test_page_policy_stops_scripts_that_are_not_its_own(visit):
    seen = visit("regression")
    seen.page.evaluate("() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); }")
    assert seen.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in line for line in seen.said)


def test_rows_open_filter_and_search(visit):
    data = fixture.classification()
    page = visit("classification").page
    rows, detail = page.locator("#row-table tbody tr"), page.locator("#row-detail")
    assert rows.count() == len(data.explanation)
    page.locator(".filters button", has_text="wrong").click()
    wrong = sum(str(a) != str(b) for a, b in zip(data.prediction.point, data.truth))
    assert rows.count() == wrong
    assert page.locator("#row-count").inner_text() == f"{wrong} of {len(data.explanation)} rows"
    page.locator(".filters button", has_text="all").first.click()
    position = str(data.positions[7])
    page.locator("#row-search").fill(position)
    page.locator(f"#row-table button[aria-label='open row {position}']").click()
    assert detail.get_attribute("data-row") == position
    text = detail.inner_text()
    assert f"Row {position}" in text
    assert f"age = {data.explanation.data['age'].iloc[7]} years" in text
    assert "PASS" in text
    assert f"{100 * data.prediction.probabilities[7].max():.1f} %" in text
    page.locator("#row-search").fill("no such cell anywhere")
    assert rows.count() == 0


def test_waterfall_in_the_page_adds_up(visit):
    data = fixture.regression()
    page = visit("regression").page
    for k in (0, 40, 80):
        page.locator(f"#row-table button[aria-label='open row {data.explanation.data.index[k]}']").click()
        values = page.locator("#row-detail .fall td.v").all_inner_texts()
        base, *steps, answer = (float(v.replace("−", "-").replace("+", "").replace(",", "")) for v in values)
        assert base + sum(steps) == pytest.approx(answer, abs=0.01 * len(values))
        assert answer == pytest.approx(data.explanation.predictions[k], abs=0.01)


def test_keyboard_opens_definitions_and_rows(visit):
    page = visit("classification").page
    term = page.locator(".head-score .term").first
    term.focus()
    page.keyboard.press("Enter")
    assert page.locator(".definition:popover-open").inner_text().startswith("accuracy")
    page.keyboard.press("Escape")
    assert page.locator(".definition:popover-open").count() == 0
    page.locator("#row-table button").nth(3).focus()
    page.keyboard.press("Enter")
    assert page.locator("#row-detail").get_attribute("data-row") == page.locator("#row-table button").nth(3).inner_text()


def test_failed_trial_is_seen_first(browser, tmp_path):
    path = write_html(fixture.classification(fail="weight_randomisation"), tmp_path / "failed.html")
    page = Visit(browser, path, WIDE).page
    assert page.locator(".card").first.locator(".badge").inner_text() == "FAIL"
    assert page.locator("details.trial").first.get_attribute("class") == "trial fail"
    assert page.locator("#row-detail .badge").inner_text() == "FAIL"
    page.context.close()


def test_numbers_on_the_page_are_those_of_the_twin(visit):
    data = fixture.classification()
    twin = json.loads(to_json(data))

    def numbers(value) -> set[float]:
        if isinstance(value, dict | list):
            inside = value.values() if isinstance(value, dict) else value
            return set().union(*map(numbers, inside)) if inside else set()
        return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()

    known = numbers(twin)
    shown = visit("classification").page.evaluate("[...document.querySelectorAll('data')].map(d => Number(d.value))")
    assert len(shown) > 60
    assert [v for v in shown if v not in known] == []


def test_no_javascript_still_shows_the_verdict(visit):
    page = visit("classification", java_script_enabled=False).page
    assert "Do not use this model yet" in page.locator(".use").inner_text()
    assert page.locator("noscript").count() == 1


def test_print_keeps_everything(visit):
    seen = visit("regression")
    seen.page.emulate_media(media="print")
    assert seen.page.locator("nav.chapters").is_visible() is False
    assert len(seen.page.pdf()) > 20_000


LIGHT = "[...document.styleSheets[0].cssRules].find(r => r.selectorText === ':root').style.getPropertyValue('--fail-g').trim()"


def test_a_dark_screen_prints_dark_ink_and_whole_tables(visit):
    seen = visit("full", {"width": 720, "height": 1000}, color_scheme="dark")
    page, ink = seen.page, "getComputedStyle(document.querySelector('[data-figure] .gtitle')).fill"
    page.locator("[data-figure]").first.scroll_into_view_if_needed()
    page.locator("[data-figure] .gtitle").first.wait_for()
    assert page.evaluate(ink) == "rgb(213, 219, 224)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    seen.draw_all()
    assert page.evaluate(ink) == "rgb(51, 51, 51)"
    assert page.evaluate("[...document.querySelectorAll('.twin .scroll')].filter(e => e.scrollHeight > e.clientHeight + 2).length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')").strip() == "#000"
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--fail-g')").strip() == page.evaluate(LIGHT)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ink) == "rgb(213, 219, 224)"


def test_accessible_structure(visit):
    page = visit("classification").page
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].filter(h => h.offsetParent).map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate(
        "[...document.querySelectorAll('[data-figure]')].every(f => f.getAttribute('role') === 'img' && f.getAttribute('aria-label'))"
    )
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size === document.querySelectorAll('[id]').length")


def test_wide_table_of_many_outputs_stays_small(browser, tmp_path):
    import numpy as np
    import pandas as pd

    e = fixture.classification().explanation
    rng = np.random.default_rng(5)
    names = tuple(f"column {j}" for j in range(300))
    frame = pd.DataFrame(rng.normal(size=(200, 300)), columns=list(names))
    frame["column 7"] = ["word " * 500] * 200
    values = rng.normal(size=(200, 300, 8))
    wide = dataclasses.replace(
        e,
        values=values,
        base_values=np.zeros((200, 8)),
        columns=names,
        outputs=tuple("abcdefgh"),
        data=frame,
        predictions=values.sum(1),
        error=None,
        gap=None,
    )
    data = dataclasses.replace(fixture.classification(), explanation=wide, others=(), prediction=None, truth=None, positions=None)
    path = write_html(data, tmp_path / "wide.html")
    assert path.stat().st_size < 8_000_000
    seen = Visit(browser, path, PHONE)
    assert seen.page.locator("#row-table tbody tr").count() >= 20
    assert seen.said == []
    seen.context.close()


def points(page, key: str) -> list[int]:
    """Return the rows whose points a figure shows now."""
    return page.evaluate("k => document.getElementById('plot-' + k).data.flatMap(t => t.customdata ? [...t.customdata] : [])", key)


def test_slices_filter_the_list_and_the_figures_of_points(visit):
    seen = visit("full")
    seen.draw_all()
    page = seen.page
    every = set(points(page, "dependence0"))
    rows = page.evaluate("JSON.parse(document.getElementById('rows-data').textContent)")
    place = next(k for k, s in enumerate(rows["slices"]) if s["name"] == "error")
    value = rows["slices"][place]["values"].index("wrong")
    wanted = {r["at"] for r in rows["rows"] if r["slices"][place] == value}
    page.select_option(f"select[data-slice='{place}']", str(value))
    assert page.locator("#row-table tbody tr").count() == len(wanted)
    assert set(points(page, "dependence0")) == wanted & every
    assert set(points(page, "beeswarm")) == wanted
    drawn = page.evaluate("[...document.getElementById('plot-dependence0').data].map(t => [t.x.length, (t.customdata || t.x).length])")
    assert all(a == b for a, b in drawn)
    assert f"{len(wanted)} rows" in page.locator("#slice-note").inner_text()
    page.select_option(f"select[data-slice='{place}']", "")
    assert set(points(page, "dependence0")) == every
    assert page.locator("#slice-note").is_hidden()
    assert seen.said == []


def test_from_a_row_to_its_unit_to_another_row_in_two_clicks(visit):
    page = visit("full").page
    page.locator("#row-table tbody tr").nth(3).click()
    first = page.locator("#row-detail").get_attribute("data-row")
    link = page.locator("#row-detail .units .to-row").first
    target = link.inner_text().removeprefix("row ")
    link.click()
    assert page.locator("#row-detail").get_attribute("data-row") == target
    assert target != first
    page.locator("#row-detail .links .to-row").first.click()
    assert page.locator("#row-detail").get_attribute("data-row") != target


def test_words_are_marked_and_stay_text(visit):
    page = visit("full").page
    page.locator("#row-table tbody tr").nth(2).click()
    marks = page.locator("#row-detail .marked mark")
    assert marks.all_inner_texts() == ["good▲", "bad▼"]
    assert made.BAD in page.locator("#row-detail .marked").inner_text()
    assert page.evaluate("getComputedStyle(document.querySelector('mark.down')).backgroundImage").startswith("repeating-linear-gradient")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desktop", "phone"])
def test_attention_is_chosen_from_a_list(visit, size):
    """From a list of the page's own: plotly's cannot be tapped where it is longer than the figure, nor reached by keys."""
    seen = visit("full", size)
    seen.draw_all()
    page = seen.page
    shown = "[...document.getElementById('plot-attention').data].map(t => t.visible === true)"
    assert page.evaluate(shown)[0] is True
    page.locator("#plot-attention").scroll_into_view_if_needed()
    page.get_by_role("combobox", name="layer and head").select_option(index=4)
    page.wait_for_timeout(100)
    assert page.evaluate(shown).index(True) == 4
    assert page.locator("#plot-attention .updatemenu-header").count() == 0


def test_ways_to_change_are_told_person_by_person(visit):
    page = visit("full").page
    rows = page.evaluate("JSON.parse(document.getElementById('rows-data').textContent).rows.map(r => r.at)")
    page.locator("#row-table tbody tr").nth(rows.index(4)).click()
    assert page.locator("#row-detail .ways").inner_text() == "age = 30 → 40 years"
