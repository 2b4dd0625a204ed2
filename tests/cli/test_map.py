"""``pellucid map``: one page, whole or not at all."""

from __future__ import annotations

import json

import pytest


def test_a_map_is_one_page_with_its_figures(run, people_csv, tmp_path):
    out = tmp_path / "map.html"
    done = run("map", people_csv, "--target", "buys", "--method", "classical_mds", "--option", "rows=60", "--out", out, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert told["rows"] == 60
    assert {f["figure"] for f in told["figures"]} >= {"trustworthiness", "kNN recall", "explained variance"}
    page = out.read_text(encoding="utf-8")
    assert "60 of" in page, "the page says that rows were drawn"
    assert page.count('class="draw"') >= 4
    assert "unsafe-eval" not in page.split("</head>")[0], "nothing here is drawn by the graphics card"
    assert "http" not in page.split("<main", 1)[1].split("<script>", 1)[0]


def test_a_scatter_and_representatives_are_pages_too(run, people_csv, tmp_path):
    for method, options in (("scatter", ["--target", "buys"]), ("representatives", ["--option", "k=3"])):
        done = run("map", people_csv, "--method", method, *options, "--out", tmp_path / f"{method}.html", "--quiet")
        assert done.code == 0, done.err
        assert (tmp_path / f"{method}.html").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--method", "tea_leaves"), "tea_leaves"), (("--option", "row=3"), "rows"), (("--layer", "last"), "only a model has layers")],
)
def test_what_cannot_be_mapped_leaves_no_file(run, people_csv, tmp_path, options, words):
    done = run("map", people_csv, "--out", tmp_path / "map.html", *options)
    assert done.code == 1
    assert words in done.err
    assert not list(tmp_path.glob("*map*"))


def test_a_model_colours_the_map(run, linear_model, people_csv, tmp_path):
    out = tmp_path / "map.html"
    done = run("map", people_csv, "--model", linear_model, "--out", out, "--option", "rows=80")
    assert done.code == 0, done.err
    assert "coloured by doubt" in out.read_text(encoding="utf-8")
    done = run("map", people_csv, "--model", linear_model, "--layer", "last", "--out", tmp_path / "layer.html")
    assert done.code == 1
    assert "hidden layers" in done.err
    assert not (tmp_path / "layer.html").exists()
