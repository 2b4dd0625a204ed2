"""Every example runs: docstrings of the package, code blocks of README and docs, scripts in examples/.

Blocks of one page share their names, so a page reads as one session. Blocks of the languages ``python`` and ``console`` are run; one that
starts with the comment ``<!-- not run -->`` above it is only shown. ``console`` blocks run the lines that start with ``$ pellucid``.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pellucid.registry
from pellucid.__main__ import main
from pellucid.cli import job

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"(<!-- not run -->\n)?^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(pellucid.__path__, "pellucid."):
        if not found.name.endswith("__main__"):
            yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_docstring_examples_run(name):
    source = (ROOT / "src" / Path(*name.split("."))).with_suffix(".py")
    source = source if source.is_file() else source.with_suffix("") / "__init__.py"
    if ">>>" not in source.read_text(encoding="utf-8"):
        pytest.skip("no examples here")
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0
    assert result.attempted > 0


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the (language, code) of the blocks that are run."""
    return [(language, code) for skip, language, code in BLOCK.findall(page.read_text(encoding="utf-8")) if not skip]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Return a folder to work in, with the small table that the pages speak of."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    frame.to_csv(tmp_path / "diabetes.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_blocks_run(page, desk, monkeypatch):
    found = blocks(page)
    if not found:
        pytest.skip("nothing to run on this page")
    # what goes on for as long as it may gets a second: the pages show how to ask, the answers are judged elsewhere
    monkeypatch.setattr(job.Budgets, "of", classmethod(lambda cls, quick: cls(1.0, 0.5, 1.0, 0.5)))
    names: dict[str, object] = {"__name__": "__main__"}
    for k, (language, code) in enumerate(found):
        if language == "python":
            exec(compile(code, f"{page.name} block {k}", "exec"), names)
        else:
            run_console(code, monkeypatch)


def run_console(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each line that starts with ``$ pellucid``: in this process, which has everything loaded."""
    monkeypatch.setenv("PELLUCID_TRACEBACK", "1")
    for line in code.splitlines():
        if line.startswith("$ pellucid"):
            arguments = shlex.split(line.partition("#")[0])[2:]
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert not left.value.code, line


def test_the_first_line_of_the_page_of_files_runs_in_a_process_of_its_own(desk):
    line = next(c for language, c in blocks(ROOT / "docs" / "files.md") if language == "console").splitlines()[0]
    arguments = shlex.split(line.partition("#")[0])[2:]
    done = subprocess.run([sys.executable, "-m", "pellucid", *arguments], cwd=desk, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_example_scripts_run(script, desk):
    shutil.copy(script, desk)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script.name], cwd=desk, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "pages"),
    [
        *(("backbone", "models.md"), ("explain", "why.md network.md"), ("trial", "believe.md"), ("select", "believe.md")),
        *(("audit", "data.md"), ("shift", "data.md"), ("remedy", "data.md"), ("act", "act.md")),
    ],
    ids=lambda v: str(v),
)
def test_every_method_has_its_line(kind, pages):
    text = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages.split())
    assert [n for n in pellucid.registry.names(kind) if f"`{n}`" not in text] == []


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in [*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / link).exists():
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_saboteur_a_broken_block_goes_red(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n<!-- not run -->\n```python\nnonsense\n```\n")
    [(language, code)] = blocks(page)
    assert language == "python"
    with pytest.raises(AssertionError):
        exec(code, {})
