"""Hostile tables: a fit or a typed one-line error, never a traceback from a library."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pellucid as pld

NAMES = ["plain", "<b>bold</b>", "日本語", "a b", "{{7*7}}", "", "é" * 40, "x[0]", "class"]


def columns(n: int) -> st.SearchStrategy[Any]:
    """Return a strategy of one column of n cells, hostile in one way."""
    cells = st.one_of(
        st.none(), st.integers(-(10**12), 10**12), st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=12), st.booleans(),
        st.sampled_from(["<script>alert(1)</script>", "?", "NA", "-999", "1,5", "£3", "2020-02-30", "9999-12-31", "0001-01-01"]),
    )  # fmt: skip
    return st.one_of(
        st.lists(cells, min_size=n, max_size=n),
        st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), min_size=n, max_size=n),
        st.lists(st.sampled_from(["a", "b", "<i>", None]), min_size=n, max_size=n),
        st.just([None] * n),
        st.just([np.nan] * n),
        st.just([7] * n),
        st.just([f"level {i}" for i in range(n)]),
        st.just([[1, 2]] * n),
        st.just([1 + 2j] * n),
        st.just(list(pd.date_range("1677-09-22", periods=n, freq="YS"))),
        st.lists(st.datetimes(), min_size=n, max_size=n),
    )


@st.composite
def tables(draw: Any) -> tuple[pd.DataFrame, list[Any]]:
    n = draw(st.integers(0, 30))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    frame = (
        pd.concat([pd.Series(draw(columns(n)), dtype=object, name=name) for name in names], axis=1) if n else pd.DataFrame(columns=names)
    )
    target = draw(
        st.one_of(
            st.lists(st.sampled_from(["no", "yes"]), min_size=n, max_size=n),
            st.just(["one"] * n),
            st.lists(st.integers(0, 3), min_size=n, max_size=n),
        )
    )
    return frame, target


def fits_or_says(call: Any) -> None:
    """Run ``call``; any error must be ours, and one line."""
    try:
        call()
    except pld.PellucidError as error:
        text = str(error)
        assert "\n" not in text
        assert len(text) > 10


@pytest.mark.parametrize(
    "options", [{"backbone": "linear"}, {"max_steps": 2, "members": 2, "backbone_options": {"width": 8}}], ids=["linear", "tabm"]
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(made=tables())
def test_a_hostile_table_fits_or_gives_a_typed_line(options: dict[str, Any], made: tuple[pd.DataFrame, list[Any]]) -> None:
    frame, target = made

    def call() -> None:
        model = pld.TabularClassifier(verbose=0, threads=1, random_state=0, **options).fit(frame, target)
        p = model.predict_proba(frame)
        assert p.shape == (len(frame), len(model.classes_))
        assert np.isfinite(p).all()

    fits_or_says(call)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(made=tables())
def test_a_hostile_table_is_audited_or_gives_a_typed_line(made: tuple[pd.DataFrame, list[Any]]) -> None:
    fits_or_says(lambda: pld.audit(made[0]))


def hostile() -> dict[str, pd.DataFrame]:
    n = 60
    y = np.arange(n) % 2
    r = np.random.default_rng(0)
    return {
        "one row": pd.DataFrame({"a": [1.0], "y": [0]}),
        "no row": pd.DataFrame({"a": pd.Series(dtype=float), "y": pd.Series(dtype=int)}),
        "only the target": pd.DataFrame({"y": y}),
        "all missing": pd.DataFrame({"a": [None] * n, "b": [np.nan] * n, "y": y}),
        "constant": pd.DataFrame({"a": 1, "b": "x", "y": y}),
        "infinite": pd.DataFrame({"a": [np.inf, *range(n - 1)], "y": y}),
        "one column": pd.DataFrame({"a": r.normal(size=n), "y": y}),
        "ten thousand levels": pd.DataFrame({"a": [f"level {i}" for i in r.integers(0, 10_000, 10_500)], "y": r.integers(0, 2, 10_500)}),
        "mixed types": pd.DataFrame({"a": [1, "two", 3.0, None, True] * 12, "y": y}),
        "nested": pd.DataFrame({"a": [[1, 2]] * n, "y": y}),
        "complex": pd.DataFrame({"a": r.normal(size=n) + 1j, "y": y}),
        "double names": pd.DataFrame(np.column_stack([r.normal(size=(n, 2)), y]), columns=["a", "a", "y"]),
        "far dates": pd.DataFrame({"a": ["0001-01-01", "9999-12-31", "1999-01-01"] * 20, "b": r.normal(size=n), "y": y}),
        "html": pd.DataFrame({"<script>alert(1)</script>": r.normal(size=n), "b": ["<img src=x onerror=alert(1)>", "ok"] * 30, "y": y}),
        "huge numbers": pd.DataFrame({"a": r.normal(size=n) * 1e300, "b": r.normal(size=n) * 1e-300, "y": y}),
        "target all missing": pd.DataFrame({"a": r.normal(size=n), "y": [None] * n}),
        "target constant": pd.DataFrame({"a": r.normal(size=n), "y": 1}),
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("kind", ["TabularClassifier", "TabularRegressor"])
def test_known_hostile_tables(name: str, kind: str) -> None:
    frame = hostile()[name]

    def call() -> None:
        options: dict[str, Any] = {
            "verbose": 0,
            "threads": 1,
            "random_state": 0,
            "max_steps": 2,
            "members": 2,
            "backbone_options": {"width": 8},
        }
        model = getattr(pld, kind)(**options).fit(frame, target="y")
        assert len(model.predict(frame)) == len(frame)

    fits_or_says(call)


@pytest.mark.parametrize(
    "name", ["one row", "no row", "only the target", "constant", "infinite", "nested", "complex", "double names", "target all missing"]
)
def test_what_cannot_be_learned_is_refused(name: str) -> None:
    with pytest.raises(pld.PellucidError):
        pld.TabularClassifier(verbose=0, backbone="linear").fit(hostile()[name], target="y")


def test_a_fold_without_rows_is_answered() -> None:
    """Three rows in five folds leave folds that hold out nothing."""
    frame = pd.DataFrame({"a": [None] * 3, "b": pd.date_range("1678-01-01", periods=3, freq="YS")})
    for options in ({"backbone": "linear"}, {"backbone": "lightgbm"}, {"max_steps": 2}):
        fits_or_says(lambda o=options: pld.TabularClassifier(verbose=0, threads=1, **o).fit(frame, ["no", "no", "yes"]))


LINEAR: dict[str, Any] = {"backbone": "linear", "verbose": 0, "random_state": 0}


def small(n: int = 60) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    cells = np.random.default_rng(0).normal(size=(n, 2))
    return pd.DataFrame(cells, columns=["a", "b"]), cells[:, 0] > 0


def test_answers_in_arrow_arrays_are_read() -> None:
    pa = pytest.importorskip("pyarrow")
    frame, yes = small()
    plain = pld.TabularClassifier(**LINEAR).fit(frame, np.where(yes, "y", "n"))
    arrow = pld.TabularClassifier(**LINEAR).fit(pa.Table.from_pandas(frame), pa.array(np.where(yes, "y", "n").tolist()))
    assert np.array_equal(plain.predict_proba(frame), arrow.predict_proba(pa.Table.from_pandas(frame)))


def test_masked_cells_are_missing_and_named_fields_are_columns() -> None:
    frame, yes = small()
    masked = np.ma.masked_less(frame.to_numpy(), -0.5)
    model = pld.TabularClassifier(**LINEAR).fit(masked, yes)
    assert np.array_equal((model.cell_notes(masked) == "missing").to_numpy(), masked.mask)
    assert pld.TabularClassifier(**LINEAR).fit(frame.to_records(index=False), yes).feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("words", [("False", "True"), ("no", "yes")])
def test_noughts_and_ones_are_read_as_the_flags_of_training(words: tuple[str, str]) -> None:
    frame, yes = small()
    flag = np.arange(60) % 3 == 0
    cells = flag if words[0] == "False" else np.where(flag, words[1], words[0])
    model = pld.TabularClassifier(**LINEAR).fit(frame.assign(c=cells), yes ^ flag)
    for new in (flag, flag.astype(int), flag.astype(float), pd.array(flag.astype(int), dtype="Int64")):
        assert np.array_equal(model.predict_proba(frame.assign(c=cells)), model.predict_proba(frame.assign(c=new)))
    assert (model.cell_notes(frame.assign(c=2))["c"] == "unseen").all()


def test_columns_may_be_called_like_arguments() -> None:
    frame, yes = small()
    frame = frame.assign(c=pd.Categorical(np.where(yes, "u", "v"))).set_axis(["self", "frame", "cells"], axis=1)
    model = pld.TabularClassifier(**LINEAR).fit(frame, yes)
    assert np.isfinite(model.explain(frame[:3], method="shapley", budget=2000).values).all()


def test_a_target_among_the_columns_is_told_and_one_of_its_name_is_not() -> None:
    frame, yes = small()
    answers = pd.Series(yes, name="y")
    with pytest.warns(pld.PellucidWarning, match=r"'y' of X holds the same cells.*target='y'"):
        pld.TabularClassifier(**LINEAR).fit(frame.assign(y=answers), answers)
    number = pd.Series(frame["b"].to_numpy() * 2 + 1, name="b")  # one answer per cell, but others: no word
    pld.TabularRegressor(**LINEAR).fit(frame, number)
    model = pld.TabularClassifier(**LINEAR).fit(frame.assign(y=frame["b"].to_numpy() > 0), answers)
    assert model.target_.names == ("y_1",)  # rows that hold the column "y" do not hold the truth
    with pytest.warns(pld.PellucidWarning, match="another order"):
        pld.TabularClassifier(**LINEAR).fit(frame, answers[::-1])


@pytest.mark.parametrize(
    "answers",
    [
        lambda yes: pd.cut(pd.Series(yes.astype(float)), 2),
        lambda yes: np.where(yes, np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
        lambda yes: np.where(yes, b"x", b"y"),
        lambda yes: pd.Series([True if v else "no" for v in yes]),
        lambda yes: pd.Series(yes, dtype="boolean").to_frame("y"),
    ],
    ids=["intervals", "dates", "bytes", "mixed", "column"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_labels_of_any_kind_are_learned_scored_and_saved(answers: Any, tmp_path: Any) -> None:
    frame, yes = small()
    y = answers(yes)
    model = pld.TabularClassifier(**LINEAR).fit(frame, y)
    assert model.score(frame, y) > 0.9
    assert model.explain(frame, method="permutation_importance", y=y, budget=4000).values.shape == (2,)
    model.save(tmp_path / "model")
    assert np.array_equal(pld.load(tmp_path / "model").predict(frame), model.predict(frame))


def test_labels_that_nothing_was_learned_of_are_no_score_of_zero() -> None:
    frame, yes = small()
    model = pld.TabularClassifier(**LINEAR).fit(frame, np.where(yes, "y", "n"))
    with pytest.raises(pld.PellucidError, match="does not know"):
        model.score(frame, yes)
    with pytest.raises(pld.PellucidError, match="written alike"):
        pld.TabularClassifier(**LINEAR).fit(frame, np.where(yes, "y", "y "))


def test_an_ordered_level_is_exchanged_for_one_of_other_rows() -> None:
    from pellucid.evaluate.max_sensitivity import exchanged

    made = [
        pd.DataFrame({"a": pd.Categorical(list(cells), categories=list(cats), ordered=True)})
        for cells, cats in (("ab", "ab"), ("cb", "bc"))
    ]
    table, reference = (pld.read_table(f, types={"a": "category"}) for f in made)
    new, done = exchanged(table, reference, np.random.default_rng(0))
    assert done.all()
    assert [t in ("b", "c") for t in new.texts("a")] == [True, True]


def test_columns_that_taught_nothing_are_told() -> None:
    frame, yes = small()
    model = pld.TabularClassifier(**LINEAR).fit(frame.assign(c=3, e=np.nan), yes)
    assert model.record_["caveats"] == [
        "2 columns without a second value are not read: 'c', 'e'; another value there in new rows changes nothing"
    ]
