"""Files: what is read, how fast, and one typed line for everything that is no table."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid.errors import (
    ArgumentError,
    CellError,
    ColumnError,
    DataError,
    EmptyTableError,
    PellucidError,
    PellucidWarning,
    RequestError,
    SourceError,
    TargetError,
)
from pellucid.table import Table, apply_schema, infer_schema, iterate_parquet, read_table

CSV = "age,city,zip\n31,Bern,01234\n45,Rome,94110\n27,,60601\n"


def write(folder, text, name="t.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def check(table):
    assert table.columns == ("age", "city", "zip")
    assert table.numbers("age").tolist() == [31, 45, 27]
    assert table.texts("city").tolist() == ["Bern", "Rome", None]
    assert table.texts("zip").tolist() == ["01234", "94110", "60601"]
    assert [str(c.type) for c in table.schema] == ["number", "category", "category"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path, mark, end):
    check(read_table(write(tmp_path, CSV.replace(",", mark).replace("\n", end))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "name,n\nZoë,1\nJürgen,2\nRené,3\n"
    table = read_table(write(tmp_path, text, encoding=encoding))
    assert table.texts("name").tolist() == ["Zoë", "Jürgen", "René"]
    assert table.numbers("n").tolist() == [1, 2, 3]


def test_a_given_encoding(tmp_path):
    table = read_table(write(tmp_path, "имя,n\nОля,1\n", encoding="cp1251"), encoding="cp1251")
    assert table.columns == ("имя", "n")
    with pytest.raises(SourceError, match="cannot be decoded"):
        read_table(tmp_path / "t.csv", encoding="utf-8")
    with pytest.raises(SourceError, match="cannot be decoded"):
        read_table(tmp_path / "t.csv", encoding="klingon")


def _zip(raw):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data/t.csv", raw)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zip", _zip),
        (".zst", lambda b: pa.compress(b, "zstd", asbytes=True)),
        ("", bytes),
    ],
)
def test_compressed(tmp_path, suffix, pack):
    check(read_table(write(tmp_path, pack(CSV.encode()), f"t.csv{suffix}")))
    check(read_table(str(write(tmp_path, pack(CSV.encode()), "nameless"))))


@pytest.mark.parametrize("suffix", [".csv.gz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".parquet", ".feather", ".XLSX", ".xls"])
@pytest.mark.parametrize("content", [CSV.encode(), b"not found\n"])
def test_text_under_a_name_of_binary_data_is_refused(tmp_path, suffix, content):
    with pytest.raises(SourceError, match=rf"not what its name says .*t\{suffix}.*expected .* got bytes that begin with .*\.csv"):
        read_table(write(tmp_path, content, f"t{suffix}"))


def test_half_a_file_is_damaged_and_utf16_is_read(tmp_path):
    check(read_table(write(tmp_path, CSV.encode("utf-16"), "t.csv")))
    pd.DataFrame({"a": range(500)}).to_parquet(tmp_path / "whole.parquet")
    for name, raw in (("t.parquet", (tmp_path / "whole.parquet").read_bytes()), ("t.csv.gz", gzip.compress(CSV.encode() * 99))):
        with pytest.raises(SourceError, match=r"damaged .*again"):
            read_table(write(tmp_path, raw[: len(raw) // 2], name))


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow"])
def test_columnar_files(tmp_path, name):
    frame = pd.DataFrame({"age": [31, 45], "city": pd.Categorical(["Bern", "Rome"]), "when": pd.to_datetime(["2020-01-01", "1850-01-01"])})
    (frame.to_parquet if name == "t.parquet" else frame.to_feather)(tmp_path / name)
    table = read_table(tmp_path / name)
    assert [str(c.type) for c in table.schema] == ["number", "category", "date"]
    assert table.library == "pandas"


def test_quoted_cells_with_delimiters_newlines_and_quotes(tmp_path):
    table = read_table(write(tmp_path, 'a,"the\nname"\n1,"x, ""y"""\n2,"two\nlines"\n'))
    assert table.columns == ("a", "the name")
    assert table.frame["the name"].tolist() == ['x, "y"', "two\nlines"]


def test_decimal_comma_files(tmp_path):
    table = read_table(write(tmp_path, "preis;menge\n1.234,50;3\n0,75;4\n"))
    assert table.numbers("preis").tolist() == [1234.5, 0.75]
    assert table.schema["preis"].decimal == ","


def test_words_for_missing_wait_for_the_type(tmp_path):
    table = read_table(write(tmp_path, "country,n,job\nNA,1,NA\nDE,?,clerk\nUS,NA,nurse\nZA,5,clerk\n"))
    assert table.texts("country").tolist() == ["NA", "DE", "US", "ZA"]
    np.testing.assert_equal(table.numbers("n"), [1, np.nan, np.nan, 5])
    assert table.frame["n"].dtype == np.float64
    assert table.schema["n"].missing == ("?", "NA")
    assert table.texts("job").tolist() == [None, "clerk", "nurse", "clerk"]


def test_namibia(tmp_path):
    table = read_table(write(tmp_path, "country\n" + "\n".join(["NA", "DE", "US", "ZA"] * 20) + "\n"))
    assert table.schema["country"].levels == ("DE", "NA", "US", "ZA")


def test_plain_numbers_are_stored_as_numbers_and_others_kept(tmp_path):
    table = read_table(write(tmp_path, "i,f,t,s,x\n1,1.5,$3,001,0x10\n2,,$4,002,7\n"))
    assert table.frame.dtypes["i"] == np.int64
    assert table.frame.dtypes["f"] == np.float64
    assert table.frame["t"].tolist() == ["$3", "$4"]
    assert table.numbers("t").tolist() == [3, 4]
    assert table.frame["s"].tolist() == ["001", "002"]
    assert table.frame["x"].tolist() == ["0x10", "7"]


def test_odd_headers(tmp_path):
    table = read_table(write(tmp_path, ",a ,b,\n1,2,3,\n5,6,7,\n"))
    assert table.columns == ("Unnamed: 0", "a", "b")
    assert read_table(write(tmp_path, "sep=;\na;b\n1;2\n")).columns == ("a", "b")
    assert read_table(write(tmp_path, "\n\na,b\n1,2\n\n3,4\n\n")).numbers("a").tolist() == [1, 3]
    assert read_table(write(tmp_path, "only\n1\n2\n")).columns == ("only",)
    assert read_table(write(tmp_path, "a,b\n1,2")).numbers("b").tolist() == [2]


def test_index_target_types_missing(tmp_path):
    path = write(tmp_path, "id,zip,age,y\nu1,10115,31,no\nu2,94110,-999,yes\nu3,60601,45,no\n")
    table = read_table(path, target="y", types={"zip": "category"}, missing={"age": [-999]}, index="id")
    assert table.index.tolist() == ["u1", "u2", "u3"]
    assert (table.target, table.features) == ("y", ("zip", "age"))
    np.testing.assert_equal(table.numbers("age"), [31, np.nan, 45])
    again = read_table(read_table(path), target="y", types={"zip": "category"}, missing={"age": [-999]})
    assert again.schema.names == ("id", "zip", "age", "y")
    np.testing.assert_equal(again.numbers("age"), [31, np.nan, 45])
    assert read_table(path, schema={"zip": "category"}).schema["zip"].levels == ("10115", "60601", "94110")
    with pytest.raises(TargetError, match="'z'"):
        read_table(path, target="z")
    with pytest.raises(ColumnError, match="'z'"):
        read_table(path, index="z")


# --- what is no table ----------------------------------------------------------------------------------------------------------------

BAD = {
    "empty.csv": (b"", SourceError, "empty"),
    "blank.csv": (b" \n\n \n", SourceError, "empty"),
    "header.csv": (b"a,b\n", EmptyTableError, "no rows"),
    "header2.csv": (b"a,b", EmptyTableError, "no rows"),
    "long.csv": (b"a,b\n1,2\n3,4,5\n", SourceError, "line 3"),
    "short.csv": (b"a,b\n1,2\n\n3\n", SourceError, "line 4"),
    "multi.csv": (b'a,b\n1,"x\ny"\n1,2,3\n', SourceError, "line 4"),
    "open.csv": (b'a,b\n1,"x\n' + b"1,2\n" * 300, SourceError, "cells|quote"),
    "twice.csv": (b"a,b,a\n1,2,3\n", ColumnError, "'a'"),
    "page.csv": (b"<!DOCTYPE html><html><body>Sign in</body></html>", SourceError, "web page"),
    "page.parquet": (b"  <html>", SourceError, "web page"),
    "data.csv": (b'[{"a": 1}]', SourceError, "JSON"),
    "bin.csv": (bytes(range(256)) * 20, SourceError, "binary"),
    "pic.csv": (b"\x89PNG\r\n\x1a\n" + bytes(100), SourceError, "picture"),
    "doc.csv": (b"%PDF-1.4 ...", SourceError, "PDF"),
    "cut.csv.gz": (gzip.compress(CSV.encode() * 999)[:-20], SourceError, "damaged"),
    "bad.parquet": (b"PAR1" + b"x" * 50, SourceError, "damaged"),
    "bad.arrow": (b"ARROW1" + b"x" * 50, SourceError, "damaged"),
    "bad.zip": (b"PK\x03\x04" + b"x" * 50, SourceError, "damaged"),
    "pickle.csv": (b"\x80\x04\x95" + bytes(50), SourceError, "pickle"),
    "book.xls": (b"\xd0\xcf\x11\xe0" + bytes(50), SourceError, "Excel"),
}


@pytest.mark.parametrize("name", BAD)
def test_no_table(tmp_path, name):
    raw, error, says = BAD[name]
    with pytest.raises(error, match=says) as caught:
        read_table(write(tmp_path, raw, name))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    assert caught.value.do or caught.value.expected


def test_paths(tmp_path):
    write(tmp_path, CSV, "people.csv")
    with pytest.raises(SourceError, match=r"no such file.*Did you mean 'people\.csv'"):
        read_table(tmp_path / "peopel.csv")
    with pytest.raises(SourceError, match=r"no such file.*Check the path"):
        read_table(tmp_path / "no.csv")  # only the ending is alike
    with pytest.raises(SourceError, match=r"folder.*'people\.csv'"):
        read_table(tmp_path)
    with pytest.raises(SourceError, match="Download"):
        read_table("https://example.org/t.csv")
    with pytest.raises(SourceError, match="no path"):
        read_table("")
    with pytest.raises(SourceError, match="no path"):
        read_table("a\0b")
    with pytest.raises(SourceError, match=r"no path|no such file"):
        read_table("x" * 5000)
    with pytest.raises(ArgumentError):
        read_table(7)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    with pytest.raises(SourceError, match="exactly one"):
        read_table(tmp_path / "two.zip")
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(SourceError, match="Excel"):
        read_table(tmp_path / "book.xlsx")


# --- new data ------------------------------------------------------------------------------------------------------------------------


def test_new_data_take_the_old_schema(tmp_path):
    old = read_table(
        write(tmp_path, "id,age,zip,y\n" + "".join(f"u{i},{i % 60},0{1000 + i % 40},{i % 2}\n" for i in range(200))), target="y"
    )
    assert old.schema.identifiers == ("id",)
    new = apply_schema({"zip": ["01001", "01002"], "more": [1, 2], "age": [50, 60]}, old.schema)
    assert new.columns == ("age", "zip")
    assert new.schema["zip"] == old.schema["zip"]
    assert apply_schema(old, old.schema, ignore=["y"]).columns == ("id", "age", "zip")
    with pytest.raises(ColumnError, match="'age' is missing"):
        apply_schema({"zip": ["01001"]}, old.schema)
    with pytest.raises(ColumnError, match="2 columns are missing"):
        apply_schema({"Zip": ["01001"]}, old.schema)
    text = apply_schema({"zip": ["01001"], "age": ["old"]}, old.schema)
    with pytest.raises(CellError, match="column 'age', row 0"):
        text.numbers("age")
    file = read_table(write(tmp_path, "zip,age\n01001,?\n01002,7\n", "new.csv"), schema=old.schema)
    np.testing.assert_equal(file.numbers("age"), [np.nan, 7])
    assert file.texts("zip").tolist() == ["01001", "01002"]


def test_arrays_are_matched_by_position():
    cells = np.random.default_rng(0).normal(size=(30, 3))
    schema = infer_schema(cells)
    assert apply_schema(cells[:2], schema).numbers("x2").tolist() == cells[:2, 2].tolist()
    with pytest.raises(ColumnError, match="3 columns, got 2"):
        apply_schema(cells[:, :2], schema)
    named = infer_schema(pd.DataFrame(cells, columns=list("abc")))
    with pytest.warns(PellucidWarning, match="by position"):
        assert apply_schema(cells[:2], named).columns == ("a", "b", "c")
    with pytest.warns(PellucidWarning, match="by position"):
        assert apply_schema(pd.DataFrame(cells[:2], columns=list("abc")), schema).columns == ("x0", "x1", "x2")


def test_truth_under_another_name():
    schema = infer_schema({"smoker": ["no", "yes"] * 9})
    assert apply_schema({"smoker": [True, False]}, schema).texts("smoker").tolist() == ["yes", "no"]
    assert apply_schema({"smoker": ["yes", "no"]}, schema).texts("smoker").tolist() == ["yes", "no"]


def test_parquet_in_batches(tmp_path):
    frame = pd.DataFrame({"a": np.arange(1000) * 0.5, "b": np.tile(["x", "y"], 500)})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=300)
    parts = list(iterate_parquet(tmp_path / "t.parquet", 250))
    assert sum(map(len, parts)) == 1000
    assert max(map(len, parts)) <= 250
    pd.testing.assert_frame_equal(pd.concat([p.frame for p in parts]), frame, check_dtype=False)
    with pytest.raises(SourceError):
        next(iterate_parquet(write(tmp_path, b"nonsense", "u.parquet")))


# --- round trips, speed, hostile tables ----------------------------------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS, st.integers(-99, 99)), min_size=1, max_size=6), st.sampled_from([",", ";", "\t", "|"]))
def test_what_pandas_writes_is_read(tmp_path, rows, mark):
    frame = pd.DataFrame(rows, columns=["a", "b", "n"])
    frame.to_csv(tmp_path / "t.csv", sep=mark, index=False, quoting=1)
    table = read_table(tmp_path / "t.csv", types={"a": "text", "b": "text"})
    assert table.frame["n"].astype(int).tolist() == frame["n"].tolist()
    for name in "ab":
        cells = table.frame[name]
        if cells.dtype.kind in "iuf":
            continue
        assert [v if isinstance(v, str) else "" for v in cells] == frame[name].tolist()


def test_adult_is_read_fast(tables):
    read_table(tables / "penguins.csv")
    start = time.process_time()
    table = read_table(tables / "adult_train.csv.gz", target="income")
    took = time.process_time() - start
    assert (len(table), len(table.schema)) == (32_561, 15)
    assert took < 0.6
    print(f"adult_train.csv.gz read and typed in {took:.2f} s")


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        [
            "<script>alert(1)</script>",
            "ä" * 40,
            "\ud800",
            "NA",
            "1e400",
            "=1+1",
            "9999-12-31",
            "0001-01-01",
            "31/31/2020",
            "\x00",
            "𝕏",
            "1,2",
            "(5)",
        ]
    )
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.complex_numbers()
    | st.binary(max_size=3)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=1), st.integers(), max_size=1)
    | st.uuids()
)
NAMES = (
    st.text(max_size=5)
    | st.integers(0, 2)
    | st.sampled_from(["<b>x</b>", "", "a", "a"])
    | st.none()
    | st.tuples(st.text(max_size=1), st.integers(0, 1))
)


def one_line(error: PellucidError, says: str = ""):
    assert "\n" not in str(error)
    assert says in str(error)


def everything(table: Table):
    """Read every cell in every way that its type allows."""
    for column in table.schema:
        kind = str(column.type)
        table.missing(column.name)
        if kind == "number":
            table.numbers(column.name)
        elif kind == "date":
            table.seconds(column.name)
        table.levels(column.name)
    table.fingerprint()
    table._repr_html_()
    apply_schema(table, table.schema)
    assert type(table.schema).from_dict(table.schema.to_dict()) == table.schema


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hostile_tables_give_a_table_or_one_typed_line(data):
    n = data.draw(st.integers(0, 5))
    names = data.draw(st.lists(NAMES, max_size=4))
    columns = [
        data.draw(st.lists(ODD, min_size=n, max_size=n) | st.lists(st.sampled_from([data.draw(ODD)]), min_size=n, max_size=n))
        for _ in names
    ]
    try:
        frame = pd.concat([pd.Series(c, dtype=object) for c in columns], axis=1) if columns else pd.DataFrame(index=range(n))
        frame.columns = pd.Index(names, tupleize_cols=False, dtype=object)
        everything(read_table(frame))
    except PellucidError as error:
        one_line(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass"))
    | st.text("a1,;\n\"\t|'.- ", max_size=80).map(str.encode)
)
def test_hostile_files_give_a_table_or_one_typed_line(tmp_path, raw):
    try:
        everything(read_table(write(tmp_path, raw)))
    except PellucidError as error:
        one_line(error)


@pytest.mark.parametrize(
    "frame",
    [
        {"a": [None, None]},
        {"a": [1]},
        {"a": [np.inf, 1.0]},
        {"a": ["x"] * 100},
        {"a": [f"level {i}" for i in range(10_000)] * 2},
        {"<img src=x onerror=alert(1)>": ["<b>1</b>", "2"]},
        {"a": pd.to_datetime(pd.Series(["1600-01-01", "9999-12-31"]), format="%Y-%m-%d", errors="coerce")},
        {"a": ["1600-01-01", "9999-12-31"]},
        {"a": pd.Series([pd.NA, pd.NaT, None, np.nan], dtype=object)},
        {"a": pd.array([None, None], dtype="Int64")},
        {"a": pd.Categorical([None, None])},
        {"a": pd.Categorical([1, "x", None])},
        {"a": pd.Series([pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-01", tz="Asia/Tokyo")], dtype=object)},
    ],
)
def test_hostile_columns(frame):
    try:
        everything(read_table(frame))
    except CellError as error:
        one_line(error, "infinite")


@pytest.mark.parametrize("hollow", [";;", "  ", " ; ; ", '"";"";""'])
def test_a_line_without_a_cell_is_no_row(tmp_path, hollow):
    """Spreadsheets write an empty line between blocks as delimiters alone: it has no answer and no cells to miss."""
    text = f"age;city;zip\n31;Bern;01234\n{hollow}\n45;Rome;94110\n\n27;;60601\n{hollow}\n"
    with pytest.warns(PellucidWarning, match="2 empty lines are left out"):
        check(read_table(write(tmp_path, text)))
    with pytest.raises(EmptyTableError, match="no cell"):
        read_table(write(tmp_path, "age;city;zip\n;;\n;;\n"))


def test_a_gap_in_a_row_is_no_empty_line(tmp_path):
    table = read_table(write(tmp_path, "age,city\n,Bern\n31,\n,Rome\n"))
    assert len(table) == 3


def test_a_column_of_nearly_the_same_name_is_proposed_and_the_target_is_not_new():
    old = read_table({"age": [31, 45, 9], "city": ["Bern", "Rome", "Oslo"]})
    new = pd.DataFrame({"Age": [50], "city": ["Oslo"], "income": [3]})
    with pytest.raises(ColumnError, match=r"new columns 'Age'\. Rename 'Age' to 'age'"):
        apply_schema(new, old.schema, ignore=["income"])


def test_declared_codes_free_a_column_of_a_table_as_they_do_one_of_a_frame():
    frame = pd.DataFrame({"a": ["zz"] * 50 + [f"{1.5 * i}" for i in range(60)], "b": range(110)})
    table = read_table(frame)
    assert str(table.schema["a"].type) != "number"
    freed = read_table(table, missing={"a": ["zz"]})
    assert freed.schema == read_table(frame, missing={"a": ["zz"]}).schema
    set_by_hand = read_table(table.with_types(b="category"), missing={"b": [7]})
    assert str(set_by_hand.schema["b"].type) == "category", "what the user has set stays"
    assert "7" not in set_by_hand.schema["b"].levels


@pytest.mark.parametrize("asked", ["survived", " Survived", "Survivd", "SURVIVED"])
def test_a_name_not_found_is_told_with_the_one_that_is_meant(asked):
    frame = pd.DataFrame({"Survived": [0, 1, 1], "Age": [3, 4, 5]})
    table = read_table(frame)
    for call in (
        lambda: read_table(frame, target=asked),
        lambda: read_table(frame, types={asked: "category"}),
        lambda: read_table(frame, missing={asked: [0]}),
        lambda: read_table(frame, index=asked),
        lambda: table.with_types(**{asked: "category"}),
        lambda: table.with_roles(target=asked),
        lambda: table.schema[asked],
    ):
        with pytest.raises(DataError, match=r"Did you mean 'Survived'\?$"):
            call()


def test_names_that_stand_twice_in_a_header(tmp_path):
    path = write(tmp_path, b"a,b,a,a.1,b\n1,2,3,4,5\n2,3,4,5,6\n", "twice.csv")
    with pytest.raises(ColumnError, match=r"'a' in columns 1 and 3; 'b' in columns 2 and 5.*doubled='number'"):
        read_table(path)
    with pytest.warns(PellucidWarning, match="'a' in column 3 is called 'a.2', 'b' in column 5 is called 'b.1'"):
        table = read_table(path, doubled="number")
    assert table.columns == ("a", "b", "a.2", "a.1", "b.1")
    assert [int(table.numbers(c)[0]) for c in table.columns] == [1, 2, 3, 4, 5]
    with pytest.raises(RequestError, match="'refuse', 'number'"):
        read_table(path, doubled="first")
