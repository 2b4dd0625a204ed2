"""Rules between columns that a table keeps, planted into tables and broken in known rows."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.audit.conformance import blamed, find, learned
from pellucid.audit.view import View
from pellucid.table import read_table
from pellucid.testing.defects import Planted, judge

LEAST = 0.8
HIT = 0.01


def bills(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """Bills: an equation of four columns, a ratio that the tariff fixes, a day that is never before another."""
    draw = np.random.default_rng(seed)
    use, other = draw.gamma(4, 30, n).round(1), draw.gamma(3, 8, n).round(2)
    tariff = draw.choice(["day", "night", "green"], n, p=[0.5, 0.3, 0.2])
    energy = (use * pd.Series(tariff).map({"day": 0.31, "night": 0.22, "green": 0.36}).to_numpy()).round(2)
    rebate, began = draw.gamma(2, 3, n).round(2), draw.integers(1, 300, n)
    return pd.DataFrame({
        "use": use, "tariff": tariff, "energy": energy, "other": other, "rebate": rebate,
        "total": (energy + other - rebate).round(2), "began": began, "ended": began + draw.gamma(2, 15, n).round().astype(int),
        "age": draw.integers(18, 90, n),
    })  # fmt: skip


def rules_of(frame: pd.DataFrame, **options: object) -> dict[tuple[str, ...], str]:
    """Return by the columns of each rule its words."""
    return {r.columns: r.words for r in learned(View(read_table(frame, **options)))}


def broken(frame: pd.DataFrame, column: str, how: Callable[[np.ndarray, np.random.Generator], np.ndarray], seed: int) -> Planted:
    """Change some cells of a column."""
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.choice(len(frame), max(5, round(HIT * len(frame))), replace=False))
    cells = frame[column].to_numpy(float, copy=True)
    old = tuple(cells[rows])
    cells[rows] = how(cells, draw)[rows]
    return Planted("rule", frame.assign(**{column: cells}), rows, column, old)


HOW = {
    "a slipped point": lambda x, draw: x * 10,
    "another row's cell": lambda x, draw: draw.permutation(x) + np.ptp(np.quantile(x, [0.25, 0.75])) / 3,
}


def test_the_rules_of_a_table_are_learned_in_its_own_words():
    found = rules_of(bills())
    assert found["energy", "other", "rebate", "total"] == "energy = - other + rebate + total" or (
        found["other", "energy", "rebate", "total"] == "other = - energy + rebate + total"
    )
    assert found["use", "energy", "tariff"] == "use / energy is fixed by tariff"
    assert found["began", "ended"] == "began <= ended"
    assert len(found) == 3, "and nothing else is a rule"


def test_coefficients_and_constants_are_those_of_the_law():
    draw = np.random.default_rng(1)
    a, b = draw.normal(50, 9, (2, 500)).round(2)
    found = rules_of(pd.DataFrame({"fahrenheit": (32 + 1.8 * a).round(3), "celsius": a, "noise": b}))
    assert list(found.values()) == ["fahrenheit = 1.8 celsius + 32"]


def test_a_ratio_is_found_behind_many_other_numbers():
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(draw.normal(50, 9, (600, 16)).round(2), columns=[f"c{k}" for k in range(16)])
    zone = draw.choice(["north", "east", "south"], 600)
    amount = draw.gamma(3, 400, 600).round(2)
    fee = (amount * pd.Series(zone).map({"north": 0.05, "east": 0.08, "south": 0.11})).round(2)
    fee[::50] *= 10
    found = rules_of(frame.assign(zone=zone, amount=amount, fee=fee))
    assert found == {("amount", "fee", "zone"): "amount / fee is fixed by zone"}


@pytest.mark.parametrize("how", list(HOW))
@pytest.mark.parametrize(("column", "kind"), [("total", "equation"), ("energy", "ratio"), ("other", "equation")])
def test_rows_that_break_a_rule_are_named(column, kind, how):
    for seed in range(3):
        planted = broken(bills(seed=seed), column, HOW[how], seed)
        findings = [f for f in find(View(read_table(planted.frame))) if f.kind == f"conformance: {kind}"]
        score = judge(planted, np.unique(np.concatenate([f.rows for f in findings])))
        assert score.precision >= LEAST
        assert score.recall >= LEAST
        rate = findings[0].figures["violation rate"]
        assert 0 < rate < 0.02
        assert findings[0].figures["support"] == 900


def test_a_start_after_the_end_is_named():
    planted = broken(bills(), "began", lambda x, draw: x + 120, 0)
    findings = [f for f in find(View(read_table(planted.frame))) if f.kind == "conformance: order"]
    score = judge(planted, findings[0].rows)
    assert len(findings) == 1
    assert f"such as row {findings[0].rows[0]}: " in findings[0].evidence  # counted as in its list of rows, from 0
    assert score.precision >= LEAST
    assert score.recall >= LEAST


def test_two_broken_rules_point_at_the_cell_they_share_and_repair_writes_it():
    frame = bills()
    planted = broken(frame, "energy", HOW["another row's cell"], 4)
    view = View(read_table(planted.frame))
    cells = blamed(view, learned(view))
    named = [cells[r] for r in planted.rows]
    sure = [(c, v) for c, v, s in named if s >= 0.9]
    assert len(sure) >= LEAST * len(named)
    assert {c for c, _ in sure} == {"energy"}
    repairs = pld.repair(planted.frame).sure()
    mine = repairs[repairs.columns == "energy"]
    wanted = frame["energy"].to_numpy()[mine.rows]
    assert set(mine.rows) <= set(planted.rows.tolist())
    assert len(mine) >= LEAST * len(planted.rows)
    # the cell is written back to the last decimal but one: the ratio knows it to its own rounding
    assert np.abs(mine.new.astype(float) - wanted).max() < 0.06


def test_clean_tables_and_tails_are_left_in_peace():
    for seed in range(4):
        assert not find(View(read_table(bills(seed=seed))))
    draw = np.random.default_rng(0)
    x = draw.normal(0, 1, (3000, 2))
    # 0.6 % of these lie beyond by the law of their tail, which is no rule
    tail = pd.DataFrame({"low": x[:, 0] * 0.5, "high": 2.51 * 0.5**0.5 + 0.5 * x[:, 1]})
    assert not learned(View(read_table(tail))) or not find(View(read_table(tail)))
    assert not find(View(read_table(pd.DataFrame({"one": [1.0, 2.0, 3.0]}))))


@pytest.mark.skipif("PELLUCID_TABLES" not in os.environ, reason="needs the public tables")
@pytest.mark.parametrize("name", ["penguins", "diamonds", "abalone"])
def test_rules_planted_into_public_tables_are_found_and_the_tables_alone_are_silent(name):
    folder = os.environ["PELLUCID_TABLES"]
    if name == "penguins":
        frame = pd.read_csv(f"{folder}/penguins.csv").dropna().reset_index(drop=True)
        made, columns = (frame["bill_length_mm"] + 2 * frame["bill_depth_mm"] - 0.5 * frame["flipper_length_mm"]).round(2), "equation"
    elif name == "diamonds":
        frame = pd.read_csv(f"{folder}/diamonds.csv.gz").drop(columns=["x", "y", "z"]).sample(3000, random_state=0).reset_index(drop=True)
        rate = frame["color"].map(dict(zip("DEFGHIJ", (0.05, 0.08, 0.1, 0.19, 0.21, 0.07, 0.11))))
        made, columns = (frame["price"] * rate).round(2), "ratio"
    else:
        frame = pd.read_csv(f"{folder}/abalone.csv").iloc[:2000]
        numbers = frame.select_dtypes("number").columns
        made, columns = (3 * frame[numbers[0]] - frame[numbers[1]] + 7).round(4), "equation"
    assert not [f for f in find(View(read_table(frame))) if f.kind == f"conformance: {columns}"]
    for how in HOW.values():
        planted = broken(frame.assign(made=made), "made", how, 1)
        findings = [f for f in find(View(read_table(planted.frame))) if f.kind == f"conformance: {columns}"]
        score = judge(planted, np.unique(np.concatenate([f.rows for f in findings])))
        assert score.precision >= LEAST
        assert score.recall >= LEAST


def test_the_largest_of_sizes_that_follow_each_other_break_no_order():
    draw = np.random.default_rng(0)
    people = np.exp(draw.normal(10, 1.5, 400)).round()
    adults = (people * np.exp(draw.normal(-0.4, 0.08, 400))).round()
    adults[people.argmax()] = (people.max() * 1.03).round()
    assert not [
        r for r in learned(View(read_table(pd.DataFrame({"adults": adults, "people": people})))) if r.kind == "order" and len(r.rows)
    ]
