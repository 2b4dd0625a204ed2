"""What stands beside a row on the page: slices, rows for like reasons, known rows, units, words, ways to change."""

from __future__ import annotations

import dataclasses

import fixture
import made
import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.report.answers import methods_of
from pellucid.report.beside import alike, slices
from pellucid.report.facts import ReportData
from pellucid.report.html import to_html
from pellucid.report.page import context
from pellucid.report.rows import payload, row_kinds
from pellucid.results import Trial


def frame_of(n: int) -> pd.DataFrame:
    """Return cells of the two columns of the unit maps."""
    return pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (n, 2)), columns=list(made.unit_maps().columns))


def full():
    """Return a report that holds one of everything, about the same rows."""
    data = fixture.classification()
    e = data.explanation
    n, index = len(e), np.asarray(e.data.index)
    rng = np.random.default_rng(0)
    near, act, text = made.neighbours(), made.actions(), made.words()
    columns = e.columns[:3]
    share = rng.random((n, 3))
    label = index[4]
    sentence = ("good", made.BAD, "bad")
    return dataclasses.replace(
        data,
        interactions=dataclasses.replace(made.interactions(), outputs=("y",)),
        curves=made.curve(),
        rules=made.rules(),
        neighbours=dataclasses.replace(
            near, index=index, positions=rng.integers(0, 12, (n, 5)), distance=rng.random((n, 5)), weight=None, credibility=rng.random(n)
        ),
        actions=dataclasses.replace(
            act, index=index, columns=columns, responsiveness=share, interval=np.stack([share, share], -1),
            reached=np.arange(n) == 0, fixed=np.arange(n) == 1, rules=dict.fromkeys(columns, "free"),
            options=act.options.iloc[:1].assign(row=label),
            changes=pd.DataFrame({"row": [label], "option": [1], "column": ["age"], "before": [30], "after": [40]}),
            unreached=pd.DataFrame({"row": [index[5]], "why": [f"no way {made.BAD}"]}),
        ),
        texts=dataclasses.replace(
            text, words={"note": (sentence,) * n}, values={"note": (np.array([[2.0], [0.1], [-1.0]]),) * n}, error=None, data=e.data,
        ),
        units=dataclasses.replace(made.unit_maps(), index=index, activation=rng.normal(0, 1, (n, 3)), points=frame_of(n)),
        attention=made.attention(),
        clusters=made.clusters(),
        heads=made.head_importance(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return full()


@pytest.fixture(scope="module")
def page(data):
    return payload(data)


@pytest.fixture(scope="module")
def html(data):
    return to_html(data)


def test_parts_must_speak_of_the_same_rows(data):
    for name in ("neighbours", "actions", "texts"):
        short = getattr(made, {"texts": "words"}.get(name, name))()
        with pytest.raises(RequestError, match="different rows"):
            dataclasses.replace(data, **{name: short})
    with pytest.raises(RequestError, match="different rows"):
        dataclasses.replace(data, units=made.unit_maps())


def test_slices_are_the_rows_they_name(data, page):
    by = {s["name"]: (k, s["values"]) for k, s in enumerate(page["slices"])}
    assert {"error", "answer", "true class"} <= set(by)
    wrong = row_kinds(data)["wrong"]
    for row in page["rows"]:
        k, values = by["error"]
        assert (values[row["slices"][k]] == "wrong") is bool(wrong[row["at"]])
        k, values = by["answer"]
        assert values[row["slices"][k]] == str(data.prediction.point[row["at"]])
    assert all(2 <= len(s["values"]) <= 24 for s in page["slices"])
    assert slices(dataclasses.replace(data, explanation=None, neighbours=None), np.zeros(0, bool)) == {}


def test_rows_for_like_reasons_are_the_nearest(data, page):
    flat = data.explanation.cube().reshape(len(data.explanation), -1)
    near = alike(data.explanation)
    for i in range(0, len(flat), 13):
        distance = np.linalg.norm(flat - flat[i], axis=1)
        distance[i] = np.inf
        assert np.allclose(np.sort(distance)[:5], distance[near[i]])
        assert i not in near[i]
    places = {row["at"]: k for k, row in enumerate(page["rows"])}
    assert page["rows"][3]["like"] == [places[j] for j in near[page["rows"][3]["at"]] if j in places]


def test_known_rows_bring_distance_truth_and_the_cells_that_weigh(data, page):
    row = page["rows"][2]
    i = row["at"]
    assert len(row["known"]["rows"]) == 5
    part = data.neighbours.rows(i)
    assert [r["truth"].split(", ")[-1] for r in row["known"]["rows"]] == [f"{v:.10g}" for v in part["y"]]
    assert row["known"]["columns"] == ["age"] or set(row["known"]["columns"]) <= set(part.columns)


def test_units_lead_to_rows_that_are_on_the_page(data, page):
    assert any("units" in row for row in page["rows"])
    for row in page["rows"][:20]:
        for unit in row.get("units", ()):
            assert abs(float(unit["size"].replace("\u2212", "-"))) >= 0.99  # what lies nearer to its mean does not stand out
            k = data.units.units.index(unit["name"])
            apart = np.abs(data.units.activation[:, k] - data.units.activation[row["at"], k])
            apart[row["at"]] = np.inf
            expected = [j for j in np.argsort(apart, kind="stable")[:5] if any(r["at"] == j for r in page["rows"])]
            assert [page["rows"][p]["at"] for p in unit["rows"]] == expected


def test_words_keep_sign_and_share(page):
    (cell,) = page["rows"][0]["text"]
    assert cell["words"][1] == made.BAD
    assert cell["shares"] == [1.0, 0.05, -0.5]
    assert cell["more"] == 0


def test_what_a_person_can_change(data, page):
    by = {row["at"]: row["change"] for row in page["rows"]}
    assert by[0]["words"].startswith("This row has the wanted answer")
    assert by[4]["ways"] == ["age = 30 → 40 years"]
    assert by[5]["words"] == f"no way {made.BAD}"
    assert by[7]["words"].startswith("No change within the rules")


def test_the_account_of_a_row_is_that_of_its_answer(data, page):
    row = page["rows"][0]
    e = data.explanation
    names = [str(o) for o in e.outputs]
    answer = str(data.prediction.point[row["at"]])
    told = e.words(row["at"], output=names.index(answer) if answer in names else 0, units=data.unit_of)
    assert row["told"] == list(told.sentences[: told.n_own])


def test_a_map_of_attention_stands_beside_its_verdicts(data, html):
    """The trials that were not run are told as well; those of the page are those of this map, not of another method."""
    told = html[html.index("This map on trial") :]
    first, second = (told.index(f"<b>{name}</b>: It was not tried") for name in ("weight randomisation", "roar"))
    assert first < second < told.index("plot-attention")
    name = "weight_randomisation"
    verdict = Trial(name, 0.9, (0.8, 1.0), 0.5, "fail", "It is the same.", made.record(name), "attention_maps")
    other = dataclasses.replace(verdict, subject="attention", verdict="pass")
    found = context(ReportData("t", "s", 1, 1, (), attention=data.attention, trials=(other, verdict)))
    assert [(t["name"], t["status"]) for t in found["attention_trials"]] == [("weight randomisation", "fail"), ("roar", "untested")]
    assert "FAIL: weight randomisation" in found["plots"]["attention"].figure["layout"]["title"]["text"]
    assert "Trials: FAIL weight randomisation, NOT TESTED roar." in found["plots"]["attention"].alt
    assert next(m for m in found["methods"] if m["name"] == "attention_maps")["shown"]


def test_attention_that_hangs_on_the_weights_alone_has_not_passed(data):
    """Any attention that was learned does: whether what it looks at is needed, removal says."""
    name, record = "weight_randomisation", made.record("a")
    changed = Trial(name, 0.1, (0.0, 0.2), 0.5, "pass", "It changed.", record, "attention_maps")
    facts = ReportData("t", "s", 1, 1, (), attention=data.attention, trials=(changed,))
    assert methods_of(facts) == {"attention_maps": "untested"}
    needed = dataclasses.replace(changed, name="roar")
    assert methods_of(dataclasses.replace(facts, trials=(changed, needed))) == {"attention_maps": "pass"}
    assert methods_of(dataclasses.replace(facts, trials=(dataclasses.replace(changed, subject="shapley"),))) == {"shapley": "pass"}


def test_rules_that_do_not_copy_the_model_are_not_shown(data):
    record = dataclasses.replace(data.rules.record, settings={"speaks_for_the_model": False})
    found = context(dataclasses.replace(data, rules=dataclasses.replace(data.rules, record=record)))["rules"]
    assert (found["lines"], found["words"]) == ([], "The rules copy the model.")


def test_every_part_has_its_figure_and_twin(data):
    found = context(data)
    plots = found["plots"]
    assert {"pairs", "matrix", "curve0", "curve3", "actions", "units", "attention", "clusters", "cluster_errors", "heads"} <= set(plots)
    assert plots["cluster_errors"].rows[1][1] == "5 of 14"
    assert len(plots["curve0"].rows) == 13
    assert all(p.alt for p in plots.values())
    assert found["rules"]["lines"][0]["if"] == []  # the widest rule first
    assert found["changes"]["asking"] == len(data.explanation) - 1
    assert any("failed" in t or "passed" in t or "not tested" in t for t in found["told"])


def test_the_page_stays_small_and_holds_the_chapters(html):
    for head in ("How the answer runs along a column", "What columns do together", "The model copied in rules", "Inside the network"):
        assert head in html
    assert "What can a person change?" in html
    assert len(html) < 7_500_000
    bare = to_html(fixture.regression())
    assert "What can a person change?" not in bare  # only where the table has rules
    assert "Inside the network" not in bare


def test_a_failed_trial_is_said_beside_the_figures(html):
    assert "These explanations failed a trial" in to_html(fixture.classification(fail="deletion"))
    assert "These explanations failed a trial" not in html


def test_sizes_of_explanations_are_drawn_where_two_models_have_one() -> None:
    from pellucid.report.plots import _measured

    known, unknown = {"explanation_size": 3.0, "score": 0.5}, {"explanation_size": float("nan"), "score": 0.5}
    assert _measured([known, known, unknown, {"score": 0.1}]) == 2
    assert _measured([unknown, unknown, {"explanation_size": None, "score": 0.2}]) == 0
