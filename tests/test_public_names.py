"""What users import, and that importing it costs nothing until it is used."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

import pellucid

PUBLIC = {
    *("TabularClassifier", "TabularRegressor", "RowModel", "Table", "Schema", "read_table", "load"),
    *("act", "audit", "chart", "compare", "explain", "fit_explainer", "map", "report", "select", "trial", "uncertainty"),
    *("Entry", "methods", "propose_groups", "register"),
    *("by_group", "learning_curve", "prove", "reweigh", "shift"),
    *("fill", "scale", "reduce", "repair", "trace_repairs"),
    *("PellucidError", "PellucidWarning", "DataError", "SourceError", "EmptyTableError", "ColumnError", "CellError", "TargetError"),
    *("RequestError", "MissingExtraError", "ArgumentError", "NotFittedError", "NotOfferedError", "ModelFileError"),
    "__version__",
}


def test_the_public_names_are_these():
    assert set(pellucid.__all__) == PUBLIC
    assert set(dir(pellucid)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name):
    assert getattr(pellucid, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pellucid.nonsense


@pytest.mark.parametrize(
    "name", ["act", "audit", "compare", "explain", "report", "trial", "uncertainty", "chart", "methods", "read_table", "load"]
)
def test_functions_are_callable(name):
    assert callable(getattr(pellucid, name))


def test_functions_stay_callable_whatever_was_imported_first():
    code = (
        "import pellucid.act, pellucid.explain, pellucid.audit, pellucid.uncertainty, pellucid.report, pellucid as pld;"
        "assert all(callable(getattr(pld, n)) for n in ('act', 'explain', 'audit', 'uncertainty', 'report'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def fastest(*arguments: str) -> float:
    """Return the processor seconds of the fastest of several runs: the wall time of a single-threaded start that nothing else disturbs."""
    seconds = []
    for _ in range(5):
        began = _children_seconds()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)
        seconds.append(_children_seconds() - began)
    return min(seconds)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_import_takes_under_three_tenths_of_a_second():
    assert fastest("-c", "import pellucid") < 0.3


def test_help_takes_under_six_tenths_of_a_second():
    assert fastest("-m", "pellucid", "--help") < 0.6


@pytest.mark.parametrize("code", ["import pellucid", "import pellucid.cli.app"])
def test_nothing_heavy_is_imported_before_it_is_used(code):
    heavy = ["torch", "pandas", "sklearn", "plotly", "scipy", "numpy", "pyarrow"]
    look = f"{code}; import sys, json; print(json.dumps([n for n in {heavy} if n in sys.modules]))"
    printed = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True, timeout=60).stdout
    assert json.loads(printed) == []


def test_models_that_are_no_networks_are_explained_without_the_framework_of_networks():
    look = "import pellucid.explain.row_games, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True, timeout=60).stdout == "False\n"


def test_the_package_is_marked_as_typed():
    from importlib.resources import files

    assert (files("pellucid") / "py.typed").is_file()
