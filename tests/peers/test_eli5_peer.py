"""Words of a text and shuffled columns beside eli5: the same terms with the same weights, the same importances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.explain import explain
from pellucid.testing.predictors import made_frame

pytestmark = pytest.mark.peer

WORTH = {"good": 2, "bad": -2, "fine": 1, "poor": -1.5, "room": 0, "view": 0.3, "noise": -0.8, "clean": 1.2, "dirty": -1.2, "quiet": 0.7}


@pytest.fixture(scope="module")
def reader():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng, names = np.random.default_rng(0), np.array(list(WORTH))
    texts = [" ".join(rng.choice(names, rng.integers(3, 8), replace=False)) for _ in range(400)]
    liked = [sum(WORTH[w] for w in t.split()) + 0.5 * rng.normal() > 0 for t in texts]
    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, np.array(liked)), pd.DataFrame({"text": texts})


def test_the_terms_of_a_linear_text_model_are_eli5s(reader):
    eli5 = pytest.importorskip("eli5")
    model, frame = reader
    rows = frame.head(12)
    ours = explain(
        lambda X: model.decision_function(X["text"]), rows, method="occlusion_words", background=frame, options={"columns": ["text"]}
    )
    same = 0
    for i, text in enumerate(rows["text"]):
        told = eli5.explain_prediction(model[-1], text, vec=model[0]).targets[0]
        sign = 1 if told.target else -1  # theirs speaks of the class answered
        theirs = {f.feature: sign * f.weight for f in (*told.feature_weights.pos, *told.feature_weights.neg) if f.feature != "<BIAS>"}
        mine = dict(zip(ours.words["text"][i], ours.values["text"][i][:, 0]))
        assert mine == pytest.approx(theirs, abs=1e-9)
        order = sorted(theirs, key=lambda w: -abs(theirs[w]))[:3]
        same += [w for _, w, _ in ours.top(i, 3)] == order
    assert same == len(rows)


def test_shuffled_columns_lose_what_eli5_says():
    pytest.importorskip("eli5")
    from eli5.permutation_importance import get_score_importances
    from sklearn.linear_model import LinearRegression

    frame = made_frame(400, 4, ())
    y = frame.to_numpy() @ [3.0, 2.0, 1.0, 0.0] + np.random.default_rng(1).normal(size=400)
    model = LinearRegression().fit(frame, y)
    ours = explain(model.predict, frame, method="permutation_importance", y=y, background=frame, random_state=0)

    def score(X, truth):
        return -np.square(model.predict(pd.DataFrame(X, columns=frame.columns)) - truth).mean()

    _, each = get_score_importances(score, frame.to_numpy(), y, n_iter=20, random_state=0)
    theirs = np.mean(each, 0)
    assert ours.top(3) == tuple(frame.columns[np.argsort(-theirs)[:3]])
    assert ((ours.interval[:, 0] - 1e-3 <= theirs) & (theirs <= ours.interval[:, 1] + 1e-3)).all()
