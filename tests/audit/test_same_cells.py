"""One finding per cell: the most telling one stays, the rest keep what is theirs."""

import numpy as np

from pellucid.audit import audit
from pellucid.audit.same_cells import once
from pellucid.audit.slips import find as slips
from pellucid.audit.values import find as values
from pellucid.audit.view import View
from pellucid.results import Finding, RunRecord
from pellucid.table import read_table
from pellucid.testing.defects import unit_slip


def finding(kind, rows, columns=("price",), severity="low"):
    return Finding(kind, severity, columns, kind, "", RunRecord(kind), np.asarray(rows, np.int64))


def test_the_most_telling_finding_stays_and_is_as_grave_as_the_rest():
    made = once([finding("values: impossible", [3, 8], severity="high"), finding("slips: decimal point", [8, 3])])
    assert [(f.kind, f.severity) for f in made] == [("slips: decimal point", "high")]


def test_cells_that_are_left_stay_with_their_own_finding():
    made = once([finding("slips: decimal point", [1, 2, 9]), finding("values: unit slip", [1, 2])])
    assert [f.rows.tolist() for f in made] == [[9], [1, 2]]
    assert "2 of these rows are named by the finding 'values: unit slip'" in made[0].evidence


def test_other_columns_other_rows_and_findings_of_whole_rows_are_left_alone():
    given = [
        finding("values: unit slip", [1, 2]), finding("slips: decimal point", [1, 2], ("weight",)), finding("values: impossible", [5]),
        finding("duplicates: exact copies", [1, 2]), finding("label errors", [1, 2]), finding("values: heavy tail", []),
    ]  # fmt: skip
    assert once(given) == given


def test_a_broken_rule_is_not_told_again_where_one_of_its_cells_is():
    broken = finding("dependencies: broken", [1, 2, 7], ("price", "count", "total"))
    made = once([broken, finding("values: unit slip", [1, 2], ("count",))])
    assert made[0].rows.tolist() == [7]


def test_thousandfold_cells_are_named_once(clean):
    base = clean(800, 0)
    base["weight"] = 0.4 * base["pressure"] + np.random.default_rng(0).normal(0, 1, 800)
    made = unit_slip(base, "weight", 0)
    view = View(read_table(made.frame))
    both = [f.kind for f in (*values(view), *slips(view)) if set(made.rows) <= set(f.rows.tolist())]
    assert len(both) >= 2  # two audits see them, the table's audit tells them once
    named = [f for f in audit(made.frame) if "weight" in f.columns and np.isin(f.rows, made.rows).any() and len(f.rows) < 400]
    assert [f.kind for f in named] == ["values: unit slip"]


def test_slipped_points_are_moved_back_by_their_remedy(clean):
    from pellucid.evaluate.remedies.cells import _corrected
    from pellucid.testing.defects import decimals

    base = clean(800, 0)
    base["weight"] = (0.4 * base["pressure"] + np.random.default_rng(0).normal(0, 1, 800)).round(2)
    made = decimals(base, "weight", 0)
    [found] = [f for f in slips(View(read_table(made.frame))) if f.columns == ("weight",)]
    words, table = _corrected(read_table(made.frame), ["weight"], found.rows, dict(found.figures), found.kind)
    assert words == "moving the decimal point of"
    np.testing.assert_allclose(table.numbers("weight")[found.rows], base["weight"][found.rows])
