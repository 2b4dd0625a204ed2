"""Frames of every library in and out, and typed errors for what is no table."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pellucid.errors import ArgumentError, CellError, ColumnError, EmptyTableError, RequestError
from pellucid.table.frames import from_any, to_library

pl = pytest.importorskip("polars")

PLAIN = {
    "a": [1, 2, 3],
    "b": [0.5, None, 2.5],
    "c": ["x", None, "z"],
    "d": [True, False, True],
    "e": [datetime.datetime(2020, 1, d) for d in (1, 2, 3)],
}


@pytest.mark.parametrize(("make", "library"), [(pd.DataFrame, "pandas"), (pl.DataFrame, "polars"), (pa.table, "pyarrow"), (dict, "pandas")])
def test_libraries_there_and_back(make, library):
    frame, got = from_any(make(PLAIN))
    assert got == library
    assert list(frame.columns) == list("abcde")
    np.testing.assert_equal(frame["b"].to_numpy(np.float64, na_value=np.nan), [0.5, np.nan, 2.5])
    assert frame["c"].isna().tolist() == [False, True, False]
    back = to_library(frame, got)
    again, _ = from_any(back)
    assert again["c"].isna().tolist() == [False, True, False]
    assert again["a"].tolist() == [1, 2, 3]
    assert type(back).__module__.split(".")[0] == library.replace("dict", "pandas")


def test_lazy_frames_series_and_records():
    assert from_any(pl.LazyFrame({"a": [1]}))[1] == "polars"
    assert list(from_any(pd.Series([1, 2], name="z"))[0].columns) == ["z"]
    assert list(from_any(pl.Series("z", [1, 2]))[0].columns) == ["z"]
    frame, library = from_any([{"a": 1, "b": "x"}, {"a": 2}])
    assert (library, frame["b"].isna().tolist()) == ("pandas", [False, True])


def test_arrays():
    frame, library = from_any(np.arange(6.0).reshape(3, 2))
    assert (list(frame.columns), library) == (["x0", "x1"], "numpy")
    assert to_library(frame, "numpy").tolist() == [[0, 1], [2, 3], [4, 5]]
    mixed, library = from_any([[1, "a"], [2.5, "b"]])
    assert (mixed["x0"].tolist(), library) == ([1, 2.5], "numpy")
    assert mixed["x0"].dtype == np.float64
    structured = np.array([(1, 2.5)], dtype=[("n", "i4"), ("v", "f8")])
    assert list(from_any(structured)[0].columns) == ["n", "v"]
    objects = from_any(np.array([[1, "a"], [None, "b"]], dtype=object))[0]
    np.testing.assert_equal(objects["x0"].to_numpy(), [1.0, np.nan])


def test_nothing_is_copied_where_nothing_changes():
    cells = np.random.default_rng(0).normal(size=(50, 3))
    assert np.shares_memory(from_any(cells)[0].to_numpy(), cells)
    frame = pd.DataFrame({"a": cells[:, 0], "b": list("xyzuv") * 10})
    assert np.shares_memory(from_any(frame)[0]["a"].to_numpy(), frame["a"].to_numpy())
    source = pd.DataFrame(cells)
    renamed = from_any(source)[0]
    assert list(renamed.columns) == ["0", "1", "2"]
    assert np.shares_memory(renamed.to_numpy(), source.to_numpy())


def test_the_callers_frame_is_left_alone():
    frame = pd.DataFrame({"a": [decimal.Decimal("1.5"), None], 3: ["x", "y"]})
    before = frame.copy(deep=True)
    made = from_any(frame)[0]
    pd.testing.assert_frame_equal(frame, before)
    assert made["a"].dtype == np.float64


def columns(**cells):
    return from_any(pd.DataFrame(cells))[0]


def test_cells_of_python_objects():
    date = datetime.date
    frame = columns(
        dec=pd.Series([decimal.Decimal("1.25"), None], dtype=object),
        day=pd.Series([date(2020, 1, 1), None], dtype=object),
        far=pd.Series([date(1600, 1, 1), date(9999, 12, 31)], dtype=object),
        gap=[datetime.timedelta(hours=1), None],
        clock=pd.Series([datetime.time(1, 0), None], dtype=object),
        flag=pd.Series([True, None], dtype=object),
        whole=pd.Series([1, 2], dtype=object),
        mixed=pd.Series([1, "x"], dtype=object),
        raw=pd.Series([b"ab", None], dtype=object),
        huge=pd.Series([10**30, 1], dtype=object),
    )
    assert frame["dec"].iloc[0] == 1.25
    assert frame["day"].dtype.kind == "M"
    assert frame["far"].notna().all()
    assert frame["gap"].iloc[0] == 3600.0
    assert frame["clock"].iloc[0] == 3600.0
    assert frame["flag"].tolist() == [True, None]
    assert frame["whole"].dtype == np.int64
    assert frame["mixed"].tolist() == [1, "x"]
    assert frame["raw"].iloc[0] == "ab"
    assert frame["huge"].iloc[0] == str(10**30)


def test_extension_types():
    frame = columns(
        category=pd.Categorical(["b", "a"], categories=["c", "b", "a"], ordered=True),
        period=pd.period_range("2020-01", periods=2, freq="M"),
        bins=pd.cut([1, 5], [0, 2, 6]),
        sparse=pd.arrays.SparseArray([0.0, 1.0]),
        days=pd.array([datetime.date(2020, 1, 1), None], dtype=pd.ArrowDtype(pa.date32())),
        money=pd.array([decimal.Decimal("1.50"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
        codes=pd.array(["u", "v"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        half=np.array([1.5, 2.5], np.float16),
    )
    assert list(frame["category"].cat.categories) == ["b", "a"]
    assert frame["period"].dtype.kind == "M"
    assert list(frame["bins"].cat.categories) == ["(0, 2]", "(2, 6]"]
    assert frame["sparse"].tolist() == [0.0, 1.0]
    assert frame["days"].dtype.kind == "M"
    assert frame["money"].iloc[0] == 1.5
    assert isinstance(frame["codes"].dtype, pd.CategoricalDtype)
    assert frame["half"].dtype == np.float32


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), ColumnError, "'a'"),
        (lambda: pd.DataFrame([[1, 2]], columns=[1, "1"]), ColumnError, "'1'"),
        (lambda: pd.DataFrame({"a": [[1], [2]]}), CellError, "column 'a'"),
        (lambda: pd.DataFrame({"a": [{"k": 1}, None]}), CellError, "nested"),
        (lambda: pl.DataFrame({"a": [[1], [2]]}), CellError, "nested"),
        (lambda: pa.table({"a": [{"k": 1}]}), CellError, "nested"),
        (lambda: {"a": np.zeros((2, 2))}, CellError, "arrays"),
        (lambda: {"a": [[1], [2]]}, CellError, "nested"),
        (lambda: pd.DataFrame({"a": [1 + 2j]}), CellError, "Complex data not supported"),
        (lambda: pd.DataFrame({"a": [1 + 2j, "x"]}), CellError, "Complex data not supported"),
        (lambda: np.ones((2, 2), complex), CellError, "Complex data not supported"),
        (lambda: np.ones(3), ColumnError, "Reshape your data"),
        (lambda: np.ones((2, 2, 2)), ColumnError, "3D array"),
        (lambda: np.ones((3, 0)), ColumnError, r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"),
        (lambda: np.ones((0, 3)), EmptyTableError, "no rows"),
        (lambda: pd.DataFrame({"a": []}), EmptyTableError, "no rows"),
        (list, EmptyTableError, "no rows"),
        (lambda: {"a": [1], "b": [1, 2]}, ColumnError, "equal length"),
        (lambda: [[1, 2], [3]], ColumnError, "equal length"),
        (lambda: 3, ArgumentError, "no table"),
        (lambda: None, ArgumentError, "no table"),
        (object, ArgumentError, "no table"),
    ],
)
def test_what_is_no_table(data, error, says):
    with pytest.raises(error, match=says) as caught:
        from_any(data())
    assert "\n" not in str(caught.value)


def test_sparse_matrices():
    from scipy import sparse

    for make in (sparse.csr_matrix, sparse.coo_array, sparse.dok_matrix):
        with pytest.raises(ArgumentError, match="sparse"):
            from_any(make(np.eye(2)))


def test_mixed_cells_go_back():
    frame = pd.DataFrame({"a": pd.Series([1, "x", None], dtype=object)})
    assert to_library(frame, "polars")["a"].to_list() == ["1", "x", None]
    assert to_library(frame, "pyarrow")["a"].to_pylist() == ["1", "x", None]
    with pytest.raises(RequestError, match="unknown library"):
        to_library(frame, "dask")


def test_single_cells_by_name_are_no_columns() -> None:
    with pytest.raises(ColumnError, match=r"cells, not columns.*'age'.*one such mapping per row"):
        from_any({"age": 31, "sex": "F"})


def test_whole_numbers_of_another_library_beyond_64_bits_are_names():
    cells = pd.Series([np.uint64(2**63 + 5), np.uint64(3)], dtype=object)
    assert from_any(pd.DataFrame({"a": cells}))[0]["a"].tolist() == [str(2**63 + 5), "3"]
