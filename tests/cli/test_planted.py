"""What is planted in the demonstration is found by the audits, and by position."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.cli.planted import FAULTS, TARGET, UNITS, diabetes, planted_table


@pytest.fixture(scope="module")
def table():
    return planted_table(0)


def test_the_table_is_the_known_one_and_the_faults(table):
    assert len(diabetes()) == 442
    assert len(table) == 442 + 12
    assert table.target == TARGET
    assert {c.name: c.unit for c in table.schema if c.unit} == UNITS
    assert (table.frame["hdl"] == -999).sum() >= 9
    assert (table.frame["cholesterol"] < 10).sum() >= 7
    assert (table.frame["age"] > 120).sum() >= 2


def test_the_same_seed_plants_the_same_faults(table):
    assert planted_table(0).fingerprint() == table.fingerprint()
    assert planted_table(1).fingerprint() != table.fingerprint()


def test_the_audits_find_what_was_planted(table):
    from pellucid.audit import audit

    found = {(f.kind, f.columns): f for f in audit(table, seed=0)}
    kinds = {kind for kind, _ in found}
    assert {"duplicates: exact copies", "values: unit slip", "missing: code", "values: impossible"} <= kinds
    assert len(FAULTS) == 4
    slip = found["values: unit slip", ("cholesterol",)]
    assert np.array_equal(slip.rows, np.flatnonzero(table.frame["cholesterol"] < 10))
    code = found["missing: code", ("hdl",)]
    assert np.array_equal(code.rows, np.flatnonzero(table.frame["hdl"] == -999))
