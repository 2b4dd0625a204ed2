"""Files as people have them: titles above the names, totals below the rows, spreadsheet days, units, two encodings, sorted times."""

import numpy as np
import pandas as pd
import pytest

from pellucid.audit.duplicates import find as copies
from pellucid.audit.order_dependence import find as order
from pellucid.audit.values import find
from pellucid.audit.view import View
from pellucid.errors import PellucidWarning
from pellucid.table import ColumnType, read_table


def told(source):
    return {f.kind: f for f in find(View(read_table(source)))}


def test_a_title_above_the_names_is_said_and_no_column_is_an_identifier_for_want_of_a_name(tmp_path):
    draw = np.random.default_rng(0)
    lines = [
        "Sales 2024,,,",
        "Region,Units,Price,Manager",
        *(f"R{i % 9},{draw.integers(1, 999)},{draw.gamma(2, 9):.2f},M{i % 3}" for i in range(80)),
    ]
    (tmp_path / "sales.csv").write_text("\n".join(lines) + "\n")
    made = told(tmp_path / "sales.csv")["values: no names"]
    assert made.severity == "high"
    assert "3 of 4 columns have no name" in made.evidence
    assert "row 0 reads like the names: 'Region'" in made.evidence
    schema = read_table(tmp_path / "sales.csv").schema
    assert not any(c.type is ColumnType.IDENTIFIER for c in schema)


def test_a_last_row_of_totals_or_means_is_named_and_a_plain_one_is_not():
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"product": [f"P{i % 9}" for i in range(150)], "units": draw.integers(1, 50, 150), "price": draw.gamma(3, 4, 150).round(2)}
    )
    assert "values: totals" not in told(frame)
    total = pd.DataFrame({"product": ["Total"], "units": [frame["units"].sum()], "price": [np.nan]})
    made = told(pd.concat([frame, total], ignore_index=True))["values: totals"]
    assert (made.columns, made.rows.tolist()) == (("units",), [150])
    unnamed = total.assign(product="P1", price=frame["price"].sum().round(2))
    assert told(pd.concat([frame, unnamed], ignore_index=True))["values: totals"].columns == ("units", "price")
    assert "values: totals" not in told(pd.concat([frame, unnamed.assign(price=3.0)], ignore_index=True))  # one sum alone may be chance
    mean = total.assign(product="Average", units=frame["units"].mean())
    assert told(pd.concat([frame, mean], ignore_index=True))["values: totals"].figures["what"] == "mean"


def test_days_as_spreadsheets_count_them_are_told():
    draw = np.random.default_rng(2)
    frame = {"order_date": draw.integers(44_500, 45_500, 200), "visits": draw.integers(44_500, 45_500, 200)}
    made = told(frame)["values: serial dates"]
    assert made.columns == ("order_date",)
    first = (pd.Timestamp("1899-12-30") + pd.Timedelta(days=int(frame["order_date"].min()))).date()
    assert made.figures["first"] == str(first)


def test_cells_of_another_unit_are_no_copies_of_each_other():
    cells = [f"{150 + i % 40} cm" for i in range(200)]
    cells[::40] = ["1.62 m", "1.85 m", "1.77 m", "1.71 m", "1.99 m"]
    frame = {"height": cells, "other": [float(i % 40 == 0) or i + 0.5 for i in range(200)]}
    view = View(read_table(frame))
    assert copies(view) == []
    made = told(frame)["values: unreadable"]
    assert "no numbers of 'cm'" in made.evidence
    assert made.remedy.startswith("convert those of another unit to cm")


def test_copies_that_chance_alone_would_make_are_no_fault():
    draw = np.random.default_rng(3)
    assert copies(View(read_table({"temperature": draw.normal(20, 5, 400).round(1)}))) == []  # a column's values repeat
    two = copies(View(read_table({"temperature": draw.normal(20, 1, 400).round(), "wind": draw.normal(5, 1, 400).round()})))
    assert [f.severity for f in two] == ["low"]
    assert "would meet by chance" in two[0].evidence


def test_lines_of_two_encodings_read_as_they_were_meant(tmp_path):
    cities = ["Zürich", "Genève", "Köln"]
    lines = [f"{i},{cities[i % 3]}\n".encode("latin-1" if i % 4 == 0 else "utf-8") for i in range(120)]
    (tmp_path / "mixed.csv").write_bytes(b"n,city\n" + b"".join(lines))
    with pytest.warns(PellucidWarning, match="90 lines with letters beyond ASCII are UTF-8 and 30 are not"):
        table = read_table(tmp_path / "mixed.csv")
    assert set(table.texts("city")) == set(cities)
    (tmp_path / "western.csv").write_bytes(b"n,city\n" + b"".join(f"{i},{cities[i % 3]}\n".encode("latin-1") for i in range(60)))
    assert set(read_table(tmp_path / "western.csv").texts("city")) == set(cities)


def test_rows_sorted_by_time_alone_are_not_called_alike():
    draw = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"ts": pd.date_range("2024-01-01", periods=600, freq="min"), "value": draw.normal(size=600), "other": draw.normal(size=600)}
    )
    [made] = order(View(read_table(frame)))
    assert made.severity == "low"
    assert "sorted by 'ts'; the other columns alone show no order" in made.evidence
    [made] = order(View(read_table(frame.assign(value=np.sin(np.arange(600) / 90), other=np.cos(np.arange(600) / 40)))))
    assert made.severity == "medium"
    assert "no independent draws, beyond being sorted by 'ts'" in made.evidence
