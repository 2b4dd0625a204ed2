"""Imports point down only. An ``ast`` walk over the package, imports inside functions counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "pellucid"

FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(rooms.split())
    for rooms in (
        "errors",
        "registry random execution export files intervals",
        "table trees",
        "protocols results",
        "encode nn",
        "training",
        "estimators",
        "probe",
        "explain uncertainty audit select act maps",
        "evaluate",
        "report",
        "cli serve",
        "testing",
    )
)
"""Bottom to top. ``errors`` lies beneath its floor's other rooms; ``testing`` may import everything and is imported by nothing."""

FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FACES = ("", "__init__", "__main__")
"""The package's face and the entry of the command line lie above everything; the rooms do not import the face."""

NARROW = {
    "nn": {"errors", "registry", "random", "execution"},
    "report": {"errors", "registry", "random", "execution", "files", "intervals", "table", "protocols", "results"},
}
"""Rooms that may see less than what lies below them: a network never sees a table, a report sees results only."""

BLIND_TO_ESTIMATORS = frozenset({"probe", "explain", "uncertainty", "audit", "select", "act", "maps"})
"""What asks a model questions sees the protocols, never the estimators."""


def room_of(module: str) -> str:
    """Return the room of a dotted name below the package: ``pellucid.nn.layers`` -> ``nn``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def modules_imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import in a module, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, node.module] if node.module else above)
            # ``from pellucid import nn`` names a room, ``from pellucid.nn import layers`` is a room already
            yield from ((node.lineno, f"{module}.{alias.name}" if module == "pellucid" else module) for alias in node.names)


def fault(here: str, there: str) -> str | None:
    """Return why room ``here`` may not import room ``there``, or None where it may."""
    if here == there or here in FACES:
        return None
    if there not in FLOOR_OF:
        return f"imports the package's face ({there or 'pellucid'})" if here != "testing" else None
    if there == "testing":
        return "imports testing, which nothing in the package may"
    if here in NARROW and there not in NARROW[here]:
        return f"{here} may only import {', '.join(sorted(NARROW[here]))}"
    if here in BLIND_TO_ESTIMATORS and there == "estimators":
        return f"{here} must see protocols, not estimators"
    if FLOOR_OF[there] == FLOOR_OF[here]:
        return f"{here} and {there} are siblings on one floor"
    return f"{there} lies above {here}" if FLOOR_OF[there] > FLOOR_OF[here] else None


def faults(package: Path) -> list[str]:
    """Return every import of the package that breaks a rule, as text."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        here = parts[0]
        if here not in FLOOR_OF and here not in FACES:
            found.append(f"{path.name}: the room {here!r} stands on no floor")
            continue
        dotted = ".".join(["pellucid", *parts[:-1]])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(package)
        for line, module in modules_imported(tree, dotted):
            if module.split(".")[0] == "pellucid" and (why := fault(here, room_of(module))):
                found.append(f"{where}:{line}: {why}")
            # reading the installed version is no import of code
            if module.split(".")[0] == "importlib" and not module.startswith("importlib.metadata") and here != "registry":
                found.append(f"{where}:{line}: only registry may import by name")
        names = (n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "__import__")
        found += [f"{where}:{n.lineno}: only registry may import by name" for n in names if here != "registry"]
    return found


def test_imports_point_down_only():
    assert faults(PACKAGE) == []


def test_every_room_on_disk_stands_on_a_floor():
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert rooms - set(FACES) <= set(FLOOR_OF)
    assert {"table", "nn", "explain", "cli"} <= rooms


@pytest.mark.parametrize(
    ("file", "code", "why"),
    [
        ("nn/mlp.py", "from pellucid.table import Table", "may only import"),
        ("nn/mlp.py", "def f():\n    import pellucid.explain.shapley", "may only import"),
        ("table/read.py", "def f():\n    from pellucid.results import Finding", "lies above"),
        ("explain/shapley.py", "from pellucid.uncertainty import conformal", "siblings"),
        ("maps/pca.py", "from pellucid.explain import shapley", "siblings"),
        ("random.py", "from pellucid.registry import Entry", "siblings"),
        ("probe/engine.py", "from pellucid.estimators.base import Base", "must see protocols"),
        ("explain/shapley.py", "from pellucid import TabularClassifier", "face"),
        ("explain/shapley.py", "from .. import audit", "siblings"),
        ("explain/shapley.py", "from ..audit import missing", "siblings"),
        ("training/loop.py", "from pellucid import explain", "lies above"),
        ("report/html.py", "from pellucid.explain.shapley import explain", "may only import"),
        ("audit/missing.py", "from pellucid.testing import tables", "which nothing"),
        ("explain/shapley.py", "import importlib\nimportlib.import_module('pellucid.audit')", "by name"),
        ("explain/shapley.py", "from importlib import import_module", "by name"),
        ("explain/shapley.py", "__import__('pellucid.audit')", "by name"),
        ("cellar/old.py", "x = 1", "no floor"),
    ],
)
def test_saboteur_a_wrong_tree_goes_red(tmp_path, file, code, why):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    found = faults(tmp_path)
    assert len(found) == 1
    assert why in found[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("registry/__init__.py", "import importlib\nfrom pellucid.errors import RequestError"),
        ("cli/app.py", "from pellucid.estimators import TabularClassifier\nfrom pellucid.report.html import write_html"),
        ("__init__.py", "from pellucid.estimators import TabularClassifier"),
        ("cli/version.py", "def f():\n    from importlib.metadata import version"),
        ("testing/checks.py", "import pellucid as pld\nfrom pellucid.explain import shapley"),
    ],
)
def test_a_right_tree_stays_green(tmp_path, file, code):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert faults(tmp_path) == []
