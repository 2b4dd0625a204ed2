"""Rows unlike those of training, told against what chance gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from pellucid.audit import audit
from pellucid.audit.unfamiliar import find
from pellucid.audit.view import View
from pellucid.table import apply_schema, read_table
from pellucid.training.familiarity import Familiarity


@pytest.fixture(scope="module")
def model(clean):
    table = read_table(clean(2000, 0), target="ill")
    fitted = Familiarity.fit(table.take(slice(0, 1000)), table.take(slice(1000, 2000)))
    return SimpleNamespace(schema=table.schema, certainty_=SimpleNamespace(familiarity=fitted), task="classification")


def test_rows_like_those_of_training_pass_in_silence(model, clean):
    loud = sum(bool(find(View(apply_schema(clean(300, 100 + s), model.schema), predictor=model))) for s in range(40))
    assert loud <= 3  # stated: 1 % of tables


def test_a_slip_of_units_in_new_rows_is_found_with_its_column(model, clean):
    new = clean(300, 1)
    new.loc[:29, "dose"] *= 1000
    f = find(View(apply_schema(new, model.schema), predictor=model))[0]
    assert set(range(30)) <= set(f.rows.tolist())
    assert f.columns[0] == "dose"
    assert "1 % would be usual" in f.evidence
    assert "unfamiliar rows" in {g.kind for g in audit(apply_schema(new, model.schema), predictor=model)}


def test_without_a_model_or_its_columns_there_is_nothing_to_say(model, clean):
    table = read_table(clean(100, 2))
    assert find(View(table)) == []
    assert find(View(table.drop(["dose"]), predictor=model)) == []
    assert np.isfinite(model.certainty_.familiarity.usual).all()
