"""Columns whose cells are written in several ways, and those whose cells are not."""

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.audit.forms import several_forms
from pellucid.audit.view import View
from pellucid.table import read_table
from pellucid.table.parse import date_forms

DAYS = pd.date_range("2023-01-01", periods=300, freq="D")
FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y")


def column(cells):
    """Return the findings about a column of these cells."""
    view = View(read_table(pd.DataFrame({"c": list(cells), "n": np.arange(len(cells)) % 7})))
    return list(several_forms(view, "c"))


def test_dates_of_several_forms_are_named_with_an_example_of_each():
    mixed = [day.strftime(FORMS[k % 3]) for k, day in enumerate(DAYS)]
    [found] = column(mixed)
    assert found.severity == "medium"
    assert "written in 3 ways" in found.evidence
    assert set(found.figures) == set(FORMS)
    assert "day first in some and month first in others" in found.evidence
    kinds = [f.kind for f in pld.audit(pd.DataFrame({"c": mixed, "n": np.arange(300) % 7}))]
    assert "values: several forms" in kinds
    assert "constants: identifier" not in kinds, "dates are no names of rows"
    counts = {form: sum(k % 3 == i for k in range(300)) for i, form in enumerate(FORMS)}
    assert {f: len(t) for f, t in date_forms(mixed).items()} == counts


def test_numbers_among_words_are_named_with_the_words():
    cells = [str(k) if k % 4 else ["none yet", "unknown"][k % 8 // 4] for k in range(300)]
    [found] = column(cells)
    assert found.rows.tolist() == list(range(0, 300, 4))
    assert "'none yet (38)'" in found.evidence
    assert "missing={'c': ['none yet', 'unknown']}" in found.remedy


@pytest.mark.parametrize("cells", [
    [day.strftime("%Y-%m-%d") for day in DAYS], [f"A{k:04d}" for k in range(300)], [f"street {k}" for k in range(300)],
    ["red", "blue", "3 green"] * 100, [str(k) for k in range(300)], [f"{k} {'AB'[k % 2]}{k}" for k in range(300)],
])  # fmt: skip
def test_columns_of_one_form_are_left_in_peace(cells):
    assert column(cells) == []


@pytest.mark.parametrize("n", [12, 300])
def test_clock_times_and_pairs_of_numbers_are_told_and_dates_and_codes_are_not(n):
    draw = np.random.default_rng(0)
    hour, minute = draw.integers(0, 24, n), draw.integers(0, 60, n)
    [times] = column([f"{h:02d}:{m:02d}" for h, m in zip(hour, minute)])
    assert times.kind == "values: times"
    assert "no model knows which is later" in times.evidence
    [pairs] = column([f"{100 + h}/{40 + m}" for h, m in zip(hour, minute)])
    assert pairs.kind == "values: pairs of numbers"
    assert "constants: identifier" not in [f.kind for f in pld.audit(pd.DataFrame({"c": [f"{h}:{m:02d}" for h, m in zip(hour, minute)]}))]
    for cells in ([f"{k:03d}/{k % 7:02d}" for k in range(n)], [f"{k}:{k % 7}:99" for k in range(n)], [f"{k} / of 3" for k in range(n)]):
        assert column(cells) == []
