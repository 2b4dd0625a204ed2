"""The file: complete, small, whole or absent, the same twice."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import fixture
import pytest

from pellucid.errors import RequestError
from pellucid.report.assemble import assemble
from pellucid.report.html import to_html, to_json, to_text, write_html, write_whole

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(fixture.classification())


def outside(page: str) -> str:
    """The page without the inlined drawing library and data blocks: what this package wrote."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_small_enough(page):
    assert len(page.encode()) < 8_000_000


def test_asks_for_nothing_from_outside(page):
    own = outside(page)
    assert re.findall(r'(?:src|href|action|poster|data)="(?!#)[^"]*"', own.replace('content="default-src', "")) == []
    assert "@import" not in own
    assert "url(" not in own
    assert "connect-src 'none'" in own
    assert own.count("<script") == 0
    assert page.count("<script>") == 2  # plotly once, the page's own once


def test_hostile_text_is_escaped_everywhere(page):
    own = outside(page)
    for text in ("<script>alert", "<img src=x", "</script><b>"):
        assert text not in own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in own
    assert "{{7*7}}" in own
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.S):
        assert "<" not in block
        json.loads(block)


def test_same_facts_give_the_same_bytes(page):
    assert to_html(fixture.classification()) == page
    assert to_json(fixture.classification()) == to_json(fixture.classification())


def test_twins_hold_the_verdict(page):
    data = fixture.classification()
    verdict = assemble(data)
    twin = json.loads(to_json(data))
    assert twin["verdict"]["use"] == verdict.use
    assert twin["data"]["scores"][0]["value"] == data.scores[0].value
    assert len(twin["data"]["explanation"]["values"]) == len(data.explanation)
    text = to_text(data)
    for words in (verdict.use, *verdict.weak, *verdict.unknown, *(line.words for line in verdict.lines)):
        assert words in text
        assert words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;") in outside(
            page
        )


def test_every_trial_and_finding_is_on_the_page(page):
    data, own = fixture.classification(), outside(page)
    assert own.count('<details class="trial') == len(data.trials)
    assert own.count('<details class="finding') == len(data.findings)
    for words in ("PASS", "FAIL", "NOT TESTED"):
        assert words in own
    assert data.command in own


def test_text_that_cannot_be_encoded_is_written(tmp_path):
    data = dataclasses.replace(fixture.audit_only(), title="half a pair \ud800 \x00")
    assert "half a pair" in write_html(data, tmp_path / "x.html").read_text(encoding="utf-8")


def test_old_file_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(RequestError, match=r"report\.html\); got disk full"):
        write_whole("new", path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_writer_leaves_no_half_file(tmp_path):
    path = tmp_path / "report.html"
    code = (
        "import os, sys, time\n"
        "from pellucid.report import html\n"
        "os.fsync = lambda f: (print('written beside', flush=True), time.sleep(60))\n"
        "html.write_whole('x' * 5_000_000, sys.argv[1])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "written beside"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not path.exists()
    write_whole("whole", path)
    assert path.read_text() == "whole"


def test_file_mode_follows_the_umask(tmp_path):
    path = write_whole("x", tmp_path / "a.html")
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_importing_the_report_draws_nothing_in():
    asked = ", ".join(f"{name!r} in sys.modules" for name in ("plotly", "jinja2", "torch"))
    code = f"import sys, pellucid.report.html, pellucid.report.charts; print({asked})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["False"] * 3
