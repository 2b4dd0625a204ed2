"""A sentence encoder of the user's own, in place of the n-grams."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.encode.table_encoder import TableEncoder
from pellucid.encode.text import TextVectors
from pellucid.errors import ArgumentError, RequestError
from pellucid.table import read_table

calls: list[list[str]] = []


def lengths(texts: list[str]) -> np.ndarray:
    """Return length and number of vowels."""
    calls.append(texts)
    return np.array([[len(t), sum(c in "aeiou" for c in t)] for t in texts], float)


def _frame(n: int = 240) -> pd.DataFrame:
    words = ["river", "stone", "a long winter evening", "oak", "the old mill by the sea", "io", "quay", "strength of the wall"]
    draw = np.random.default_rng(0)
    text = [" ".join(draw.choice(words, 4)) + f" {i}" for i in range(n)]
    return pd.DataFrame({"note": text, "x": draw.normal(size=n)})


def test_each_distinct_text_is_encoded_once_and_scaled() -> None:
    calls.clear()
    coded = (np.array([0, 1, 0, -1]), ("aa", "bbb", "never used"))
    text = TextVectors(lengths).fit([coded])
    assert calls == [["aa", "bbb"]]
    raw = lengths(["aa", "bbb"])
    out = text(*coded)
    np.testing.assert_allclose(out[:2], raw / np.sqrt((raw**2).mean()), rtol=1e-6)
    assert np.array_equal(out[2], out[0])
    assert not out[3].any()


def test_it_takes_the_place_of_the_n_grams() -> None:
    table = read_table(_frame()).with_types(note="text")
    encoder = TableEncoder(lengths).fit(table, np.zeros(240), task="regression")
    assert encoder.vector_width == 2
    np.testing.assert_allclose(encoder.vectors(table)[:, 0] * encoder.text.scale, lengths(list(table.frame["note"])), rtol=1e-5)
    again = TableEncoder.from_state(encoder.state(), lengths)
    assert np.array_equal(again.vectors(table), encoder.vectors(table))


@pytest.mark.parametrize("wrong", [lambda t: np.zeros(len(t)), lambda t: np.zeros((len(t) + 1, 2)), lambda t: np.full((len(t), 2), np.nan)])
def test_what_is_no_vector_per_text_is_refused(wrong) -> None:
    with pytest.raises(ArgumentError, match="sentence encoder's output"):
        TextVectors(wrong).fit([(np.array([0]), ("a",))])


def test_another_width_later_is_refused() -> None:
    text = TextVectors(lengths).fit([(np.array([0]), ("abc",))])
    text.encode = lambda t: np.zeros((len(t), 3))
    with pytest.raises(ArgumentError, match="another width"):
        text(np.array([0]), ("abc",))


def test_a_model_keeps_its_name_alone_and_gets_it_back(tmp_path) -> None:
    frame = _frame()
    y = frame["note"].str.len() / 10 + frame["x"]
    model = TabularRegressor(backbone="mlp", text=lengths, schema={"note": "text"}, max_steps=60, random_state=0, verbose=0).fit(frame, y)
    assert np.corrcoef(model.predict(frame), y)[0, 1] > 0.9
    model.save(tmp_path / "m")
    assert "lengths" in (tmp_path / "m" / "encoder.json").read_text()
    with pytest.raises(ArgumentError, match=r"load\(path, text="):
        load(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m", text=lengths).predict(frame), model.predict(frame))


def test_a_model_without_text_does_not_ask_for_it(tmp_path) -> None:
    frame = _frame()[["x"]]
    model = TabularRegressor(backbone="mlp", text=lengths, max_steps=5, random_state=0, verbose=0).fit(frame, frame["x"].rename("goal"))
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict(frame), model.predict(frame))


def test_other_words_are_refused() -> None:
    with pytest.raises(RequestError, match="a callable that maps strings"):
        TabularRegressor(text="words").fit(_frame(), np.zeros(240))


@pytest.mark.long
@pytest.mark.skipif("PELLUCID_TABLES" not in os.environ, reason="needs the public tables")
def test_a_text_column_adds_to_the_score_of_a_public_table() -> None:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(f"{os.environ['PELLUCID_TABLES']}/titanic.csv")
    bare = ["Pclass", "Age", "SibSp", "Parch", "Fare"]  # without the sex, which names tell
    gains = []
    for seed in range(5):
        train, test = train_test_split(frame, test_size=0.3, random_state=seed, stratify=frame["Survived"])
        areas = []
        for columns in (bare, [*bare, "Name"]):
            schema = {"Name": "text"} if "Name" in columns else None
            model = TabularClassifier(backbone="linear", random_state=0, verbose=0, threads=1, schema=schema)
            model.fit(train[columns], train["Survived"])
            areas.append(roc_auc_score(test["Survived"], model.predict_proba(test[columns])[:, 1]))
        gains.append(areas[1] - areas[0])
    # .079, standard error .011, when this was written
    assert np.mean(gains) - 2 * np.std(gains, ddof=1) / np.sqrt(5) > 0.03
