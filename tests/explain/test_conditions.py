"""Conditions in words: the shorter way round."""

from pellucid.explain.conditions import Condition
from pellucid.table import read_table

GRADES = [f"{a}{b}" for a in "ABC" for b in "12345"]


def test_many_levels_left_out_are_told_by_those_that_stay():
    table = read_table({"grade": GRADES * 4})
    out = Condition("grade", "not in", levels=tuple(GRADES[:13]))
    assert out.text(table) == "grade is one of C4, C5 (or a level not in these rows)"
    assert Condition("grade", "not in", levels=tuple(GRADES[:14])).text(table) == "grade is C5 (or a level not in these rows)"
    assert Condition("grade", "not in", levels=("A1", "A2")).text(table) == "grade is none of A1, A2"
    every = Condition("grade", "not in", levels=tuple(GRADES), or_missing=True).text(table)
    assert every.startswith("grade is none of A1, ")
    assert every.endswith("(or missing)")
