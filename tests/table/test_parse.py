"""Text to numbers and dates, against hand-written answers, Python's own parser and round trips."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.table.parse import decide_decimal, guess_date_format, to_numbers, to_seconds

NUMBERS = {
    "12": 12, " 12 ": 12, "+7": 7, "-3.5": -3.5, "1e3": 1000, "-2.5E-2": -0.025, ".5": 0.5, "5.": 5, "$1,200": 1200, "-$5": -5,
    "$-5": -5, "€ 3.20": 3.2,
    "1,234,567.89": 1234567.89, "1 234 567": 1234567, "1\u00a0234": 1234, "1\u202f234,": None, "1'234": 1234, "(1,200)": -1200,
    "($3.50)": -3.5, "45%": 45, "45 %": 45,
    "12-": -12, "\u221212": -12, "USD 9": 9, "9 EUR": 9, "12*": 12, "12,34": None, "1,23,45,678": 12345678, "1.2.3": None, "abc": None,
    "1_000": 1000, "0x10": None,
    "0,345": None, "-0,345": None, "012,345": None, "0 345": None,
    "--5": None, "5 apples": None, "1e999": math.inf, "inf": math.inf, "-Infinity": -math.inf, "12 34": None, "": math.nan,
    " ": math.nan, "?": math.nan, "N/A": math.nan,
    "NaN": math.nan, "null": math.nan, "-": math.nan, "٣": 3, "１２": 12, "()": None, "$": None, "%": None,
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_number(text):
    value, bad = to_numbers(pd.Series([text], dtype=object))
    want = NUMBERS[text]
    assert bad[0] == (want is None)
    if want is not None:
        np.testing.assert_equal(value[0], want)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1.234,5", 1234.5), ("1234,5", 1234.5), ("-0,25 €", -0.25), ("1 234,5", 1234.5), ("12", 12), ("1.234", 1234), ("1.5", None),
        ("0.345", None), ("0,345", 0.345),
    ],
)  # fmt: skip
def test_decimal_comma(text, want):
    value, bad = to_numbers(pd.Series([text]), decimal=",")
    assert bad[0] == (want is None)
    if want is not None:
        assert value[0] == want


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([repr, "{:.6g}".format, "{:e}".format]))
def test_a_number_written_by_python_reads_back(value, write):
    text = write(value)
    assert to_numbers(pd.Series([text], dtype=object))[0][0] == float(text)
    comma = to_numbers(pd.Series([text.replace(".", ",")], dtype=object), decimal=",")
    assert comma[0][0] == float(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**12), 10**12), st.sampled_from([",", " ", "'", "\u00a0"]))
def test_grouped_digits_read_back(value, mark):
    text = f"{value:,}".replace(",", mark)
    assert to_numbers(pd.Series([text], dtype=object))[0][0] == value


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=12) | st.none() | st.integers() | st.floats() | st.booleans(), max_size=8), st.sampled_from([".", ","]))
def test_no_text_breaks_the_parser(cells, mark):
    series = pd.Series(cells, dtype=object)
    out, bad = to_numbers(series, mark)
    assert out.shape == bad.shape == (len(cells),)
    assert np.isnan(out[bad]).all()
    decide_decimal(series)
    guess_date_format(series)
    out, bad = to_seconds(series)
    assert np.isnan(out[bad]).all()


def test_typed_columns():
    for series in (
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, None], dtype="Float64"),
        pd.Series([1.0, np.nan]),
        pd.Series([1, None], dtype="int64[pyarrow]"),
    ):
        out, bad = to_numbers(series)
        np.testing.assert_equal(out, [1.0, np.nan])
        assert not bad.any()
    assert to_numbers(pd.Series([True, False]))[0].tolist() == [1.0, 0.0]
    assert to_numbers(pd.Series(pd.Categorical(["3", "x"])))[1].tolist() == [False, True]


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (["1,5", "2,75"], ","), (["1.5", "2.75"], "."), (["1.234,5"], ","), (["1,234.5"], "."), (["1,234", "5,678"], None), (["1.234"],
        "."), (["1.234.567"], ","),
        (["1,234,567"], "."), (["0,125"], ","), (["12", "13"], None), (["€ 12,50"], ","), (["12345,678"], ","), ([], None),
    ],
)  # fmt: skip
def test_decimal_mark(texts, want):
    assert decide_decimal(pd.Series(texts, dtype=object)) == want


DATES = {
    "%Y-%m-%d": "2021-03-15", "%Y/%m/%d": "2021/3/15", "%d/%m/%Y": "15/03/2021", "%m/%d/%Y": "03/15/2021", "%d.%m.%Y": "15.03.2021",
    "%d-%m-%Y": "15-03-2021",
    "%d %B %Y": "15 March 2021", "%d-%b-%Y": "15-Mar-2021", "%B %d, %Y": "March 15, 2021", "%b %d, %Y": "Mar 15, 2021",
    "%b-%Y": "Mar-2021", "%b %Y": "Mar 2021",
    "%Y-%m-%d %H:%M": "2021-03-15 08:30", "%Y-%m-%dT%H:%M:%S": "2021-03-15T08:30:01", "%Y-%m-%d %H:%M:%S.%f": "2021-03-15 08:30:01.250",
    "%m/%d/%Y %I:%M %p": "03/15/2021 8:30 PM", "%m/%d/%y": "03/15/21", "%Y-%m-%dT%H:%M:%S%z": "2021-03-15T08:30:01+02:00",
    "%a, %d %b %Y": "Mon, 15 Mar 2021",
    "%Y-%m": "2021-03",
}  # fmt: skip


@pytest.mark.parametrize("form", DATES)
def test_date_forms(form):
    series = pd.Series([DATES[form], None, "", "?"], dtype=object)
    assert guess_date_format(series) == form
    out, bad = to_seconds(series, form)
    want = datetime.strptime(DATES[form], form)
    want = want if want.tzinfo else want.replace(tzinfo=UTC)
    assert out[0] == want.timestamp()
    assert not bad.any()
    assert np.isnan(out[1:]).all()


@pytest.mark.parametrize(
    "text",
    ["Sat", "2006", "20200101", "1.2.3.4.5", "12/34", "555-1234", "10-20-30-40", "12:30", "3.14", "A-12-2020x", "1-5", "Late (16-30 days)"],
)
def test_what_is_no_date(text):
    assert guess_date_format(pd.Series([text] * 3)) is None


def test_dates_of_changing_precision():
    series = pd.Series(["2020-01-01", "2020-01-01T10:00", "2020-01-01 10:00:00.5", "1500-02-03"])
    assert guess_date_format(series) == "ISO8601"
    out, bad = to_seconds(series, "ISO8601")
    assert not bad.any()
    assert out[2] - out[0] == 36000.5


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))
def test_any_year_reads_back(moment):
    want = (moment.replace(tzinfo=UTC, microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    for form in ("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S"):
        out, bad = to_seconds(pd.Series([moment.replace(microsecond=0).strftime(form)], dtype=object), form)
        assert (out[0], bad[0]) == (want, False)


def test_date_columns_of_every_unit_and_zone():
    plain = pd.Series(pd.to_datetime(["2020-01-01 12:00", None]))
    for unit in ("s", "ms", "us", "ns"):
        np.testing.assert_equal(to_seconds(plain.astype(f"datetime64[{unit}]"))[0], [1577880000.0, np.nan])
    np.testing.assert_equal(to_seconds(plain.dt.tz_localize("Europe/Zurich"))[0], [1577876400.0, np.nan])
    np.testing.assert_equal(to_seconds(plain.astype("timestamp[us][pyarrow]"))[0], [1577880000.0, np.nan])
    assert to_seconds(pd.Series([1.5e9]), "epoch_s")[0][0] == 1.5e9
    assert to_seconds(pd.Series([1.5e12]), "epoch_ms")[0][0] == 1.5e9
    assert to_seconds(pd.Series([20200101.0]), "%Y%m%d")[0][0] == 1577836800.0


def test_distinct_texts_are_read_once():
    import time

    series = pd.Series(["$1,200", "(3)"] * 500_000, dtype=object)
    start = time.process_time()
    to_numbers(series)
    assert time.process_time() - start < 1.0
