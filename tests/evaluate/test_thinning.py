"""Fewer training rows by score: which rows stay, copies that can be spared, a class that cannot."""

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError, TargetError
from pellucid.evaluate.effect import probabilities
from pellucid.evaluate.refit import TableRefit, codes_of
from pellucid.evaluate.thinning import kept_rows, thinned
from pellucid.table import read_table
from pellucid.testing.checks_audit import clean_frame
from pellucid.testing.predictors import FunctionPredictor, made_table


def test_rows_stay_by_their_score():
    scores = np.array([0.3, 0.9, 0.1, 0.7, 0.5])
    assert kept_rows(scores, 0.4, "hardest").tolist() == [1, 3]
    assert kept_rows(scores, 0.4, "easiest").tolist() == [0, 2]
    assert len(kept_rows(scores, 0.6, "random")) == 3
    # of two rows with scores 3 and 1 the first is drawn three times in four
    drawn = np.mean([kept_rows(np.array([3.0, 1.0]), 0.5, "sample", seed)[0] == 0 for seed in range(2000)])
    assert abs(drawn - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)
    for keep, how in ((1.0, "hardest"), (0.5, "best")):
        with pytest.raises(RequestError):
            kept_rows(scores, keep, how)


@pytest.fixture(scope="module")
def rows():
    """Return (refit over 300 rows that each stand twice, held-out rows)."""
    frame = clean_frame(900)
    frame = frame.assign(ill=np.where(frame["pressure"] > 120, "yes", "no"))
    twice = read_table(frame.iloc[np.r_[0:300, 0:300]].reset_index(drop=True), target="ill")
    truth, classes = codes_of(twice)
    return TableRefit(None, twice.drop(["ill"]), truth, classes), read_table(frame.iloc[300:].reset_index(drop=True), target="ill")


def test_copies_can_be_spared_and_a_class_cannot(rows):
    refit, held = rows
    first = np.r_[np.ones(300), np.zeros(300)]
    made = thinned(refit, held, first, keep=0.5)
    assert made.verdict == "pass"
    assert "can be spared" in made.words
    assert made.interval[0] <= made.figure <= made.interval[1]
    one_class = 1.0 * (refit.target == 1) + 1e-3 * np.arange(600) / 600
    made = thinned(refit, held, one_class, keep=float((refit.target == 1).mean()) + 0.01)  # a few rows of the other class are left
    assert made.verdict == "fail"
    assert made.figure < made.null


def test_what_cannot_be_tried_is_said(rows):
    refit, held = rows
    with pytest.raises(RequestError, match="other rows"):
        thinned(refit, held, np.ones(5))
    with pytest.raises(RequestError, match="seeds"):
        thinned(refit, held, np.ones(600), seeds=1)
    with pytest.raises(TargetError):
        thinned(refit, held.drop(["ill"]), np.ones(600))


def test_classes_of_a_model_are_found_however_they_are_written():
    """1.0 is the class that the table writes as 1; unread, all probabilities were 0 and every comparison a tie."""
    table = made_table(pd.DataFrame({"x": [0.0, 2.0]}))
    for classes in ((1.0, 2.0), (1, 2), ("1", "2")):
        model = FunctionPredictor(lambda m: m[:, 0] / 2, table, outputs=(str(classes[1]),), classes=classes, scale="probability")
        assert probabilities(model, table, ("1", "2")).tolist() == [[1, 0], [0, 1]]


@pytest.mark.long
def test_the_lowest_third_by_el2n_can_be_spared_and_the_highest_cannot():
    """Rows of a rule: those far from its border teach nothing, those beside it do."""
    import pellucid as pld
    from pellucid.audit import el2n
    from pellucid.audit.training_rows import watched

    frame = clean_frame(1800)
    frame = frame.assign(ill=np.where(frame["pressure"] > 120, "yes", "no"))
    train, held = (read_table(f.reset_index(drop=True), target="ill") for f in (frame.iloc[:1000], frame.iloc[1000:]))
    refit = pld.TabularClassifier(backbone="mlp", max_steps=60, random_state=0, verbose=0).fit(train).refitter()
    scores = el2n.scores(watched(refit))
    assert thinned(refit, held, scores, keep=0.7, how="hardest").verdict == "pass"
    worse = thinned(refit, held, scores, keep=0.7, how="easiest")
    assert worse.verdict == "fail"
    assert worse.interval[1] < 0


@pytest.mark.long
def test_half_of_the_rows_by_variance_of_gradients_keeps_the_score_or_the_words_say_no(tables):
    """Seen: wine keeps its R² with half the rows drawn by the score (+.008); titanic's AUC falls by .04, and the words say so."""
    import pellucid as pld
    from pellucid.audit.row_scores import row_scores

    def tried(table, n, kind):
        table = table.take(np.random.default_rng(0).permutation(len(table)))
        refit = kind(backbone="mlp", max_steps=150, verbose=0, random_state=0).fit(table.take(slice(0, n))).refitter()
        return thinned(refit, table.take(slice(n, None)), row_scores(refit, "vog"), keep=0.5, how="sample")

    wine = tried(read_table(tables / "wine_quality_white.csv", target="quality"), 2500, pld.TabularRegressor)
    assert wine.verdict == "pass"
    assert wine.interval[0] > -0.01
    assert "the rest can be spared" in wine.words
    people = read_table(tables / "titanic.csv").drop(["PassengerId", "Name", "Ticket", "Cabin"]).with_roles(target="Survived")
    titanic = tried(people, 500, pld.TabularClassifier)
    assert titanic.verdict == "fail"
    assert titanic.interval[0] < -0.01
    assert "no, it costs more" in titanic.words or "not shown" in titanic.words
