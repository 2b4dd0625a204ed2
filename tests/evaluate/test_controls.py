"""Names against words that mean nothing, and few columns against as many random ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier
from pellucid.errors import RequestError
from pellucid.estimators.names import name_vectors, random_words
from pellucid.evaluate.controls import few_columns, names_control

QUICK = {"backbone": "mlp", "max_steps": 40, "threads": 1}


def frame(n: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 10)), columns=[f"lab value {i}" for i in range(10)])
    logit = 2 * X["lab value 3"] - 2 * X["lab value 7"] + 1.5 * X["lab value 8"]
    return X.assign(ill=np.where(rng.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"))


def test_controls_are_vectors_of_other_columns_and_of_no_column() -> None:
    columns = ("age", "height", "blood_pressure", "weight")
    units = dict.fromkeys(columns, "")
    own, shuffled, words = (name_vectors(columns, units, i) for i in ("names", "shuffled", "words"))
    at = [int(np.flatnonzero((own == row).all(1))[0]) for row in shuffled]
    assert sorted(at) == [0, 1, 2, 3]
    assert all(i != j for i, j in enumerate(at)), "no column keeps its own name"
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), np.linalg.norm(own, axis=1))
    assert not any((own == row).all(1).any() for row in words)
    assert len(set(random_words(40))) == 40
    assert name_vectors(("age",), {"age": "years"}).any()
    assert np.array_equal(name_vectors(("age",), {"age": ""}, "shuffled"), name_vectors(("age",), {"age": ""})), "one column has no other"


def test_names_are_compared_with_their_controls_and_the_words_claim_no_more() -> None:
    board = names_control(frame(), target="ill", random_state=0, **QUICK)
    assert [r["model"] for r in board.rows] == ["names", "shuffled", "words", "random", "none"]
    assert board.reference == "names"
    assert board.record.method == "names_control"
    # the columns are told apart by what they hold: their names can add nothing
    assert board.words.startswith("No gain from the names' meaning is shown")
    scores = [r["score"] for r in board.rows]
    assert len(set(scores)) > 1, "the networks were given different vectors"


def test_the_chosen_columns_beat_random_ones_and_reach_all() -> None:
    board = few_columns(frame(), (4, 64), target="ill", draws=2, random_state=0, **QUICK)
    score = {r["model"]: r["score"] for r in board.rows}
    assert list(score) == ["all", "4 chosen", "4 random (1)", "4 random (2)"]
    assert set(board.record.settings["order"][:3]) == {"lab value 3", "lab value 7", "lab value 8"}
    assert score["4 chosen"] > score["all"] - 0.02
    assert score["4 chosen"] > max(v for k, v in score.items() if "random" in k)
    assert board.words.startswith("All columns: roc auc")
    told = few_columns(frame(), (2,), order=["lab value 0", "lab value 1"], target="ill", draws=0, **QUICK)
    assert {r["model"]: r["score"] for r in told.rows}["2 chosen"] < 0.65
    with pytest.raises(RequestError, match="too few columns"):
        few_columns(frame(), (10,), target="ill", **QUICK)
    with pytest.raises(RequestError, match="order names other columns"):
        few_columns(frame(), (2,), order=["x"], target="ill", **QUICK)


def test_unknown_identities_are_refused() -> None:
    with pytest.raises(RequestError, match="unknown identity"):
        TabularClassifier(embedding={"identity": "numbers"}, verbose=0, **QUICK).fit(frame(), target="ill")
