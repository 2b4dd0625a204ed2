"""``model.export``: an ONNX runtime answers as the model does, on ordinary and on hostile rows."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier, TabularRegressor, registry
from pellucid.encode.dates import calendar
from pellucid.encode.numeric import NumberEncoder
from pellucid.errors import MissingExtraError, RequestError
from pellucid.estimators.onnx_front import level_codes, missing_numbers
from pellucid.estimators.onnx_module import CalendarParts, NumberScale
from pellucid.export import facts, feeds
from pellucid.table import Column, ColumnType
from pellucid.testing.mixed import FEATURES, mixed

QUICK = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 8}
HOSTILE = np.array([0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 1.7e308, 1e-30, 55.5, -1e9, np.nan])


def hostile() -> pd.DataFrame:
    """Return rows with everything that columns of these types can hold."""
    frame = mixed(24, 9)[FEATURES]
    frame["age"], frame["income"] = np.resize(HOSTILE, 24), np.resize(HOSTILE[::-1], 24)
    frame["city"] = [None, "", " Cork ", "Zürich", "cork", "日本", "Aachen", "(missing)"] * 3
    frame["size"] = ["small", "huge", None, "large", "medium ", "", "SMALL", "3"] * 3
    frame["member"] = [True, False] * 12
    days = [
        "0001-01-01",
        "9999-12-31T23:59:59",
        "1969-12-31T23:59:59",
        "1900-02-28",
        "2000-02-29",
        "2100-03-01",
        None,
        "2021-06-15T12:34:56",
    ]
    frame["joined"] = pd.Series(np.array(days * 3, "datetime64[s]"))
    frame["note"] = [None, "", "  ", "é", "日本語 テキスト", "a" * 400, "new flat", "İ ß"] * 3
    every = {c: [None] for c in FEATURES}
    return pd.concat([frame, pd.DataFrame({**every, "joined": [pd.NaT], "age": [np.nan], "income": [np.nan]})], ignore_index=True)


def session(model, path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model.export(path)
    return onnxruntime.InferenceSession(str(path))


@pytest.fixture(scope="session")
def exported(classifier, tmp_path_factory):
    """Return (model, session) of the default network, in folds."""
    return classifier, session(classifier, tmp_path_factory.mktemp("onnx") / "folds.onnx")


@pytest.fixture(scope="session")
def exported_numbers(tmp_path_factory):
    """Return (model, session) of one network that predicts two numbers."""
    table = mixed(2100, 2)
    y = np.column_stack([table["y"], 1e6 + 1e3 * table["y"]])
    model = TabularRegressor(backbone="tabm", **QUICK).fit(table[FEATURES], y)
    return model, session(model, tmp_path_factory.mktemp("onnx") / "numbers.onnx")


# -- the arithmetic, without a graph ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_are_scaled_as_the_encoder_does():
    r = np.random.default_rng(0)
    columns = [r.normal(size=500), np.exp(r.normal(8, 3, 500)), r.integers(0, 3, 500), np.full(500, 7.0), np.full(500, np.nan)]
    columns.append(r.choice([-1.5e308, 0.0, 1.5e308], 500))
    encoder = NumberEncoder().fit(np.column_stack(columns))
    rows = np.concatenate([np.resize(HOSTILE, (40, 6)), np.column_stack(columns)[:100], r.normal(0, 5, (100, 6))])
    with torch.no_grad():
        scaled, missing = NumberScale(encoder)(torch.from_numpy(rows))
    theirs, absent = encoder.transform(rows)
    assert np.array_equal(missing.numpy(), absent)
    assert np.allclose(scaled.numpy(), theirs, atol=1e-6)


def test_calendars_are_those_of_the_encoder():
    r = np.random.default_rng(0)
    seconds = np.concatenate(
        [
            *(r.uniform(-6.3e10, 2.6e11, 20_000), r.uniform(-1e9, 4e9, 20_000).round(), [np.nan, np.inf, -np.inf, 1e18, -1e300]),
            [0.0, -0.5, -1.0, 951782399.0, 951782400.0, 951868800.0, -2203891200.0, 4107542400.0, -62135596800.0, 253402300799.0],
            np.arange(-400, 400) * 86400.0,
        ]
    )
    with torch.no_grad():
        ours = CalendarParts()(torch.from_numpy(seconds)[:, None])[:, 0].numpy()
    assert np.allclose(ours, calendar(seconds), atol=1e-6)


def test_declared_codes_for_missing_cells_are_missing():
    assert missing_numbers(Column("x", ColumnType.NUMBER, missing=("-999", "2.5", "?", "-999.0", "inf"))) == [-999.0, 2.5]
    assert missing_numbers(Column("d", ColumnType.DATE, missing=("-1000",), date_format="epoch_ms")) == [-1.0]
    from pellucid.encode.categories import LevelEncoder

    codes = level_codes(LevelEncoder("c", ("a", "b")), Column("c", ColumnType.CATEGORY, missing=("b", "?")))
    assert codes == {"a": 2, "b": 0, "": 0, "?": 0}


# -- the file ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [mixed(200, 5)[FEATURES], hostile(), hostile()[:1], hostile()[-1:]], ids=["usual", "hostile", "one", "empty"]
)
def test_classes_are_answered_alike(exported, rows):
    model, run = exported
    labels, probabilities = run.run(["prediction", "probabilities"], feeds(run, rows))
    expected = model.predict_proba(rows)
    assert np.abs(probabilities - expected).max() < 1e-5
    sure = np.abs(expected[:, 1] - 0.5) > 1e-4
    assert np.array_equal(labels[sure], model.predict(rows)[sure])


@pytest.mark.parametrize("rows", [mixed(200, 5)[FEATURES], hostile(), hostile()[:1]], ids=["usual", "hostile", "one"])
def test_numbers_are_answered_alike_in_the_targets_unit(exported_numbers, rows):
    model, run = exported_numbers
    (values,) = run.run(None, feeds(run, rows))
    assert np.abs((values - model.predict(rows)) / model.engine_.objective.scale).max() < 1e-5


def test_no_rows_give_no_answers(exported, exported_numbers):
    nothing = mixed(2)[FEATURES][:0]
    for (_, run), shapes in ((exported, [(0,), (0, 2)]), (exported_numbers, [(0, 2)])):
        assert [out.shape for out in run.run(None, feeds(run, nothing))] == shapes


def test_the_file_says_what_it_is(exported, exported_numbers):
    about = facts(exported[1])
    assert [c["name"] for c in about["columns"]] == FEATURES
    assert {c["name"]: c["type"] for c in about["columns"]}["size"] == "ordered"
    assert about["classes"] == ["no", "yes"]
    assert about["backbone"] == "tabm_additive"
    assert about["task"] == "classification"
    assert facts(exported_numbers[1])["target"] == list(exported_numbers[0].target_.names)
    assert {i.name: i.type for i in exported[1].get_inputs()}["age"] == "tensor(double)"


def test_a_row_is_answered_whatever_stands_beside_it(exported):
    _, run = exported
    rows = feeds(run, hostile())
    whole = run.run(["probabilities"], rows)[0]
    for i in (0, 3, 24):
        one = run.run(["probabilities"], {k: v[i : i + 1] for k, v in rows.items()})[0]
        assert np.allclose(one[0], whole[i], atol=1e-6)


def test_what_cannot_be_exported_is_refused_by_name(classifier, tmp_path, monkeypatch):
    peer = TabularClassifier(backbone="linear", verbose=0).fit(mixed(100)[FEATURES], mixed(100)["label"])
    pytest.importorskip("onnxscript")
    with pytest.raises(RequestError, match="'linear' cannot be exported"):
        peer.export(tmp_path / "x.onnx")
    (tmp_path / "there.onnx").write_text("mine")
    with pytest.raises(RequestError, match="a file exists"):
        classifier.export(tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_text() == "mine"
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"pellucid\[export\]"):
        classifier.export(tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_columns_may_be_called_like_nodes_and_outputs(tmp_path):
    r = np.random.default_rng(0)
    frame = pd.DataFrame({"probabilities": r.normal(size=120), "net/w0": r.normal(size=120), "mul": r.choice(["a", "b"], 120)})
    model = TabularClassifier(backbone="mlp", **QUICK).fit(frame, (frame["net/w0"] > 0).astype(int))
    run = session(model, tmp_path / "names.onnx")
    labels, probabilities = run.run(None, feeds(run, frame))
    assert [o.name for o in run.get_outputs()] == ["prediction", "probabilities_"]
    assert np.abs(probabilities - model.predict_proba(frame)).max() < 1e-5
    assert labels.dtype == np.int64


NETWORKS = [e.name for e in registry.entries("backbone") if e.takes != "matrix"]
ENCODERS = [(e.takes, e.name) for e in registry.entries("encoder")]
REFUSED: dict[str, str] = {}
"""Backbones that cannot be exported, with the words of the refusal."""


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported_or_refused_by_name(name, tmp_path):
    table = mixed(250)
    model = TabularClassifier(backbone=name, **QUICK).fit(table[FEATURES], table["three"])
    if name in REFUSED:
        with pytest.raises(RequestError, match=REFUSED[name]):
            model.export(tmp_path / "x.onnx")
        return
    run = session(model, tmp_path / "x.onnx")
    for rows in (mixed(60, 5)[FEATURES], hostile()):
        found = run.run(["probabilities"], feeds(run, rows))[0]
        assert np.abs(found - model.predict_proba(rows)).max() < 1e-5


@pytest.mark.long
@pytest.mark.parametrize(("kind", "name"), ENCODERS)
def test_every_encoder_of_columns_is_exported(kind, name, tmp_path):
    table = mixed(250)
    model = TabularClassifier(backbone="mlp", **{kind: name}, **QUICK).fit(table[FEATURES], table["label"])
    run = session(model, tmp_path / "x.onnx")
    rows = hostile()
    assert np.abs(run.run(["probabilities"], feeds(run, rows))[0] - model.predict_proba(rows)).max() < 1e-5
