"""Cells far from what the rest of their row says: zeros among sizes, cells mistyped by any factor, and what is none of these."""

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.audit.off_sizes import _group, off_sizes
from pellucid.audit.row_sizes import row_sizes
from pellucid.audit.slips import point_slips
from pellucid.audit.steps import step_chance, widest_step_chance
from pellucid.audit.values import unit_slip
from pellucid.audit.view import View
from pellucid.table import read_table


def shells(n=600, seed=0):
    """Return sizes that tell each other to five percent, and a column that tells nothing."""
    draw = np.random.default_rng(seed)
    length = np.exp(draw.normal(0, 0.4, n)) * 50
    noise = lambda: np.exp(draw.normal(0, 0.05, n))  # noqa: E731
    frame = {"length": length, "height": 0.3 * length * noise(), "weight": 1e-3 * length**3 * noise(), "idle": draw.normal(size=n)}
    return pd.DataFrame(frame).round(2)


def found(frame, target=None):
    return {(f.kind, f.columns[0]): f for f in off_sizes(View(read_table(frame, target=target)))}


def test_zeros_and_strayed_cells_are_named_row_by_row():
    frame = shells()
    frame.loc[[7, 90], "height"] = 0
    frame.loc[[30, 400], "weight"] *= [4.0, 0.2]
    made = found(frame)
    assert set(made) == {("slips: a size of 0", "height"), ("slips: unlike the row", "weight")}
    assert made["slips: a size of 0", "height"].rows.tolist() == [7, 90]
    assert "missing={'height': [0]}" in made["slips: a size of 0", "height"].remedy
    strayed = made["slips: unlike the row", "weight"]
    assert strayed.rows.tolist() == [30, 400]
    true = shells()["weight"].iloc[[30, 400]].to_numpy()
    assert list(strayed.figures["expected"].values()) == pytest.approx(true, rel=0.35)


def test_one_wrong_cell_does_not_make_the_others_of_its_row_wrong():
    for row, name in enumerate(("length", "height", "weight")):
        frame = shells()
        frame.loc[11 + row, name] *= 5
        [((_, column), finding)] = found(frame).items()
        assert (column, finding.rows.tolist()) == (name, [11 + row])


def test_a_larger_row_is_no_error_though_it_is_beyond_all_others():
    frame = shells()
    frame.loc[5] = [900, 270, 729_000, 0]
    assert found(frame) == {}
    told = row_sizes(View(read_table(frame)), "weight")
    at = int(np.flatnonzero(told.rows == 5)[0])
    assert told.size[at] - told.trees[at] > 0.5  # trees reach no farther than what they saw
    assert told.total is not None
    assert abs(told.size[at] - told.total[at]) < 0.1


def test_clean_sizes_heavy_tails_and_counts_with_zeros_are_left_in_peace():
    assert not any(found(shells(seed=s)) for s in range(5))
    draw, frame = np.random.default_rng(1), shells()
    tail = frame["length"] * np.exp(0.1 * draw.standard_t(2, len(frame)))
    visits = draw.poisson(6, len(frame)) * (np.arange(len(frame)) > 0)  # zeros among counts are counts
    assert found(frame.assign(tail=tail, visits=visits)) == {}


def test_a_row_that_lacks_cells_is_judged_by_those_it_has():
    frame = shells()
    frame.loc[5] = [900, 270, np.nan, 0]
    frame.loc[50:60, "weight"] = np.nan
    assert found(frame) == {}


def test_the_cells_are_named_once():
    frame = shells()
    frame.loc[[7, 90], "height"] = 0
    named = [f.kind for f in pld.audit(frame) if 7 in f.rows and "height" in f.columns]
    assert len(named) == 1


def test_where_the_tail_is_heavy_it_is_said_so():
    draw, frame = np.random.default_rng(0), shells(800)
    loud = 0
    for _ in range(6):
        noise = 0.04 * draw.standard_t(3, len(frame))
        told = off_sizes(View(read_table(frame.assign(weight=(frame["weight"] * np.exp(noise)).round(2)))))
        loud += any(f.severity != "low" for f in told)
        assert all("these may be right" in f.evidence for f in told if f.severity == "low")
    assert loud == 0


def test_a_step_in_a_tail_is_told_at_the_stated_rate_and_not_above_it_in_lighter_ones():
    draw = np.random.default_rng(0)
    pareto = [step_chance(draw.pareto(2.0, 400) + 1, k) for _ in range(500) for k in (1, 3)]
    assert np.mean(np.array(pareto) < 0.05) == pytest.approx(0.05, abs=0.02)
    widest = [min(widest_step_chance(x, k, 1, 10) for k in range(1, 11)) for x in draw.pareto(2.0, (400, 400)) + 1]
    assert np.mean(np.array(widest) < 0.1) <= 0.14
    assert np.mean([step_chance(np.abs(draw.normal(size=400)), 1) < 0.05 for _ in range(500)]) < 0.03


def test_numbers_that_pass_near_zero_and_heavy_tails_are_no_unit_slips():
    draw = np.random.default_rng(0)
    clean = [10 + 3 * draw.standard_t(2, 800) for _ in range(40)]
    assert not any(unit_slip(np.abs(x).round(3)) for x in clean)
    for _ in range(5):
        y = np.exp(draw.normal(0, 0.5, 800))
        y[:8] *= 1000
        assert unit_slip(y)[0].size == 8


def test_small_rows_and_heavy_tails_are_no_slips_of_the_point():
    """Trees stop at the smallest rows they were taught; the sum of logarithms goes on, and finds that such a row fits itself."""
    frame = shells(800)
    frame.loc[5] = [3.0, 0.9, 0.027, 0.0]
    assert not point_slips(View(read_table(frame.assign(weight=frame["weight"].round(4)))))
    draw = np.random.default_rng(2)
    tails = [frame.assign(height=(frame["height"] * np.exp(0.04 * draw.standard_t(2, len(frame)))).round(3)) for _ in range(8)]
    assert not any(point_slips(View(read_table(t))) for t in tails)
    frame.loc[40, "height"] *= 10
    [slip] = point_slips(View(read_table(frame)))
    assert slip.rows.tolist() == [40]


def test_a_zero_among_large_counts_is_named_but_not_where_a_level_goes_with_it():
    draw, frame = np.random.default_rng(3), shells(800)
    frame["rooms"] = (40 * frame["length"] * np.exp(draw.normal(0, 0.05, 800))).round().astype(int)
    frame.loc[0, "rooms"] = 90  # another count far below the usual one: whole numbers may be small
    frame.loc[0, ["length", "height", "weight"]] = [2.25, 0.68, 0.01]
    frame["kind"] = draw.choice(["flat", "house"], 800)
    lost = frame.assign(rooms=frame["rooms"].where(~frame.index.isin([10, 200, 640]), 0))
    made = found(lost)
    assert made["slips: a size of 0", "rooms"].rows.tolist() == [10, 200, 640]
    assert ("slips: a size of 0", "rooms") not in found(lost.assign(kind=frame["kind"].where(lost["rooms"] > 0, "office")))


def test_a_zero_that_ends_a_scale_or_follows_from_another_column_is_none():
    draw = np.random.default_rng(0)
    years = np.round(draw.normal(11, 3.2, 2000)).clip(0, 20)
    years[:12] = [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4]
    school = pd.DataFrame({"father": years, "mother": (years + np.round(draw.normal(0, 1, 2000))).clip(1, 20), "x": draw.normal(size=2000)})
    assert ("slips: a size of 0", "father") not in found(school)
    pupils = draw.integers(200, 2000, 400)
    computers = np.round(pupils * draw.uniform(0.08, 0.2, 400))
    pupils[:6], computers[:6] = [12, 20, 31, 40, 44, 60], 0
    rate = pd.DataFrame({"pupils": pupils, "computers": computers, "each": computers / pupils})
    assert ("slips: a size of 0", "each") not in found(rate)


def test_strayed_cells_that_no_step_parts_from_a_tail_are_named_as_a_group():
    draw = np.random.default_rng(5)
    n = 2500
    rooms = draw.lognormal(6, 0.6, n)
    beds = (rooms / 4 * np.exp(draw.normal(0, 0.06, n))).round()
    beds[:4] *= [2.7, 2.2, 0.42, 1.8]  # right, and far off: no step parts what is wrong from them
    rows = 10 + np.sort(draw.choice(n - 10, 40, replace=False))
    wrong = beds.copy()
    wrong[rows] *= draw.uniform(3, 8, len(rows)) ** draw.choice([-1, 1], len(rows))
    found = [f for f in _told(rooms, wrong.round(), draw) if f.columns == ("beds",)]
    assert len(found) == 1
    assert found[0].severity == "low"
    assert "cells of another kind" in found[0].evidence
    assert np.isin(found[0].rows, rows).all()
    assert len(found[0].rows) >= 0.8 * len(rows)


def _told(rooms, beds, draw):
    people = (rooms * np.exp(draw.normal(0, 0.3, len(rooms)))).round(1)
    return off_sizes(View(read_table({"rooms": rooms.round(), "beds": beds, "people": people})))


def test_a_group_is_more_numerous_than_what_lies_inside_it():
    tail = np.exp(-np.arange(1.0, 2000) / 50) / 5
    assert _group(tail, 0.02) is None
    named, chance, inside = _group(np.append(tail, np.linspace(0.5, 0.9, 20)), 0.3)
    assert named.sum() == 20
    assert named[-20:].all()
    assert chance < 1e-4
    assert inside == 0
