"""Words of text cells: what leaving one out does, and how a cell's words share its worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.probe.words import split_words
from pellucid.results import Words
from pellucid.table import Column, ColumnType, Schema, Table

WORTH = {"good": 3.0, "bad": -2.0, "not": 0.5}


class Reader:
    """A model of a text and a number: words have worths, and "not good" is another thing than its words."""

    columns, outputs, classes, task, scale = ("size", "text"), ("y",), (), "regression", "target"
    rows_asked = 0

    def raw(self, table):
        self.rows_asked += len(table)
        texts = [t or "" for t in table.texts("text")]
        words = [t.split() for t in texts]
        pairs = np.array([-5.0 * ("not" in w and "good" in w) for w in words])
        return (np.array([sum(WORTH.get(x, 0.0) for x in w) for w in words]) + pairs + table.numbers("size"))[:, None]

    def background(self):
        return made([1.0], ["fine"])


def made(sizes, texts, index=None):
    frame = pd.DataFrame({"size": sizes, "text": pd.Series(texts, dtype=object)})
    frame.index = range(len(frame)) if index is None else index
    return Table(frame, Schema((Column("size", ColumnType.NUMBER), Column("text", ColumnType.TEXT))))


@pytest.fixture
def rows():
    return made([1.0, 2.0, 3.0, 4.0], ["a good  house", None, "not good bad", "plain"], index=list("wxyz"))


def test_words_left_out_one_by_one(rows):
    model = Reader()
    answer = explain(model, rows, method="occlusion_words")
    assert isinstance(answer, Words)
    assert answer.words["text"] == (("a", "good", "house"), (), ("not", "good", "bad"), ("plain",))
    values = [v[:, 0].tolist() for v in answer.values["text"]]
    assert values == [[0, 3, 0], [], [-4.5, -2, -2], [0]]
    assert answer.error is None
    frame = answer.to_frame()
    assert frame[frame.row == "y"][["position", "word", "value"]].to_numpy().tolist() == [[0, "not", -4.5], [1, "good", -2], [2, "bad", -2]]
    assert answer.top(2, 1) == [("text", "not", -4.5)]
    assert answer.record.n_calls == model.rows_asked
    assert rows.frame["text"].iloc[0] == "a good  house"


def test_shapley_values_of_words_share_what_they_do_together(rows):
    answer = explain(Reader(), rows, method="occlusion_words", options={"values": "shapley"}, random_state=0)
    np.testing.assert_allclose(answer.values["text"][2][:, 0], [0.5 - 2.5, 3 - 2.5, -2], atol=1e-9)
    np.testing.assert_allclose(answer.values["text"][0][:, 0], [0, 3, 0], atol=1e-9)
    assert answer.values["text"][1].shape == (0, 1)
    assert answer.error["text"][2].max() == 0  # no more than two words act together: exact


def test_sampled_words_add_up_and_their_errors_cover():
    words = [f"w{k}" for k in range(14)]

    class Busy(Reader):
        def raw(self, table):
            here = np.array([[w in (t or "").split() for w in words] for t in table.texts("text")])
            z = np.where(here, 1.0, -1.0)
            return (np.tanh(z[:, :5].sum(1)) * z[:, 5] + np.sin(z[:, 3:].sum(1)) + here @ np.arange(14.0))[:, None]

    table = made([0.0] * 6, [" ".join(np.random.default_rng(s).permutation(words)) for s in range(6)])
    ask = lambda **more: explain(Busy(), table, method="occlusion_words", options={"values": "shapley"}, random_state=1, **more)  # noqa: E731
    rough, fine = ask(budget=1600), ask(precision=0.003)
    full, empty = Busy().raw(table), Busy().raw(made([0.0], [None]))
    for answer in (rough, fine):
        np.testing.assert_allclose([v.sum() for v in answer.values["text"]], full[:, 0] - empty[0, 0], atol=1e-9)
    assert rough.record.n_calls <= 1600
    off = np.concatenate(rough.values["text"]) - np.concatenate(fine.values["text"])
    error = np.hypot(np.concatenate(rough.error["text"]), np.concatenate(fine.error["text"]))
    assert (np.abs(off) <= 1.96 * error + 1e-9).mean() > 0.85  # 84 values in 6 draws


def test_long_cells_are_cut_into_runs_and_say_so():
    assert split_words("a b c d e", 2) == ("a b c ", "d e")
    assert split_words(None, 2) == split_words("  ", 2) == ()
    answer = explain(Reader(), made([1.0], ["good good good bad"]), method="occlusion_words", options={"most": 2})
    assert answer.words["text"] == (("good good", "good bad"),)
    assert answer.values["text"][0][:, 0].tolist() == [6, 1]
    assert any("runs of words" in c for c in answer.record.caveats)


def test_requests_that_cannot_be_met(rows):
    for words, options in {"not known": {"values": "lime"}, "most": {"most": 1}, "not read": {"columns": ["title"]}}.items():
        with pytest.raises(RequestError, match=words):
            explain(Reader(), rows, method="occlusion_words", options=options)
    with pytest.raises(RequestError, match="at least 11 model rows"):
        explain(Reader(), rows, method="occlusion_words", budget=5)
    assert explain(Reader(), rows, method="occlusion_words", budget=11).record.n_calls <= 11


def test_a_network_finds_the_planted_word():
    draw = np.random.default_rng(0)
    fillers = np.array(["kitchen", "garden", "street", "window", "corner", "table", "river", "market"])
    texts = [" ".join(draw.permutation([*draw.choice(fillers, 4, replace=False), *(["luxury"] if k % 2 else [])])) for k in range(300)]
    frame = pd.DataFrame({"text": texts, "size": draw.normal(size=300)})
    y = 10.0 * (np.arange(300) % 2) + frame["size"]
    model = pld.TabularRegressor(backbone="mlp", max_steps=150, verbose=0, random_state=0, schema={"text": "text"}).fit(frame, y)
    rows = frame[frame.text.str.contains("luxury")].head(8)
    answer = model.explain(rows, method="occlusion_words")
    first = [answer.top(i, 1)[0] for i in range(8)]
    assert sum(word == "luxury" for _, word, _ in first) >= 7
    assert np.mean([value for _, _, value in first]) > 1


def test_the_words_of_a_linear_text_model_are_its_coefficients():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng, names = np.random.default_rng(0), np.array(["good", "bad", "fine", "poor", "room", "view"])
    texts = [" ".join(rng.choice(names, rng.integers(2, 5), replace=False)) for _ in range(150)]
    liked = np.array([("good" in t) + ("fine" in t) - ("bad" in t) - ("poor" in t) + 0.3 * rng.normal() > 0 for t in texts])
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, liked)
    weight = dict(zip(model[0].get_feature_names_out(), model[-1].coef_[0]))
    frame = pd.DataFrame({"text": texts})
    options = {"columns": ["text"]}
    answer = explain(
        lambda X: model.decision_function(X["text"]), frame.head(10), method="occlusion_words", background=frame, options=options
    )
    for words, values in zip(answer.words["text"], answer.values["text"]):
        np.testing.assert_allclose(values[:, 0], [weight[w] for w in words], atol=1e-12)
    assert [w for _, w, _ in answer.top(0, 2)] == sorted(texts[0].split(), key=lambda w: -abs(weight[w]))[:2]
