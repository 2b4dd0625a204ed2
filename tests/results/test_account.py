"""The account of one row: every printed number is a cell of its table, errors and verdicts are said, unknowns too."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.results import Explanation, RunRecord, Trial

NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def explanation(seed: int = 0, n: int = 30, outputs: int = 1) -> Explanation:
    rng = np.random.default_rng(seed)
    columns = ("age", "x1", "city 7", "income")
    data = pd.DataFrame(
        {"age": rng.integers(18, 80, n), "x1": rng.normal(0, 1, n), "city 7": rng.choice(["Bern 3", None], n),
         "income": rng.lognormal(8, 2, n)},
        index=rng.permutation(10_000)[:n],
    )  # fmt: skip
    shape = (n, 4) if outputs == 1 else (n, 4, outputs)
    values = rng.normal(0, 1, shape) * 10.0 ** rng.integers(-3, 4, shape)
    base = rng.normal(0, 1, (n,) if outputs == 1 else (n, outputs))
    record = RunRecord("shapley", caveats=("asked with 100 rows of 1,000", "x1 was never below 0"))
    return Explanation(
        values, base, columns, tuple(f"class {o}" for o in range(outputs)), data, "log-odds", "shapley", record, base + values.sum(1) + 0.5,
        np.abs(values) * rng.uniform(0, 1, shape), np.full(base.shape, 0.5), 100,
    )  # fmt: skip


def trials() -> list[Trial]:
    record = RunRecord("deletion", seed=3)
    made = Trial("deletion", 0.123, (0.1, 0.15), 0.0, "pass", "words", record, "shapley")
    failed = dataclasses.replace(made, name="weight_randomisation", figure=0.8765, null=0.5, verdict="fail")
    return [made, failed, dataclasses.replace(made, name="members", figure=np.nan, verdict="not testable")]


@pytest.mark.parametrize("outputs", [1, 3])
def test_every_number_that_is_printed_is_in_the_table(outputs):
    e = explanation(outputs=outputs)
    for row in range(len(e)):
        for k in (0, 2, 4):
            told = e.words(row, output=outputs - 1, k=k, trials=trials(), units={"age": "years", "income": "EUR 2020"})
            held = set(NUMBER.findall(" ".join(told.to_frame()["text"])))
            printed = set(NUMBER.findall(str(told)))
            assert printed
            assert printed <= held, printed - held


def test_the_numbers_are_those_of_the_explanation():
    e = explanation(3)
    told = e.words(5, k=4)
    frame = told.to_frame()
    contributions = frame[frame["item"] == "contribution"].set_index("column")["value"]
    for j, column in enumerate(e.columns):
        assert contributions[column] == pytest.approx(e.values[5, j])
    assert frame.loc[frame["item"] == "answer", "value"].item() == pytest.approx(e.predictions[5])
    halves = frame[frame["item"] == "half of the 95 % interval"].set_index("column")["value"]
    for column, half in halves.items():
        assert half == pytest.approx(1.959964 * e.error[5, e.columns.index(column)], rel=1e-6)


def test_signs_are_words_and_doubtful_ones_have_no_direction():
    e = explanation()
    values = np.tile([2.0, -1.0, 0.1, 0.0], (len(e), 1))
    error = np.tile([0.1, 0.1, 0.1, 0.0], (len(e), 1))
    told = str(dataclasses.replace(e, values=values, error=error).words(0, k=4))
    assert re.search(r"age = \d+ raises the answer by 2\.0", told)
    assert re.search(r"x1 = \S+ lowers the answer by 1\.0", told)
    assert "Estimated too coarsely to say even the direction: city 7" in told
    assert "income" not in told


def test_columns_that_do_nothing_are_counted_among_the_others():
    e = explanation()
    told = str(dataclasses.replace(e, values=np.tile([2.0, 0.0, 0.0, 0.0], (len(e), 1))).words(0, k=3))
    assert "The 3 other columns do not move it." in told


def test_a_base_that_is_no_answer_without_columns_is_not_called_so():
    e = explanation()
    assert "where no column is known" in str(e.words(0))
    assert "where no column is known" not in str(dataclasses.replace(e, gap=None, error=None, method="lrp").words(0))


def test_verdicts_are_told_failures_first():
    e = explanation()
    failed = e.words(0, trials=trials())
    assert "failed 1 of its trials: weight randomisation (figure 0.8765, null 0.5). Do not rely on it." in str(failed)
    assert "Trials without a verdict: 1" in str(failed)
    passed = e.words(0, trials=trials()[:1])
    assert "passed 1 of its trials and failed none" in str(passed)
    assert "was not tested" in str(e.words(0))
    assert "was not tested" in str(e.words(0, trials=[dataclasses.replace(trials()[0], subject="occlusion")]))


def test_sums_are_told():
    e = explanation()
    assert "miss the answer by 0.5" in str(e.words(0))
    assert "add up to the answer" in str(dataclasses.replace(e, gap=np.zeros(len(e))).words(0))
    assert "does not promise" in str(dataclasses.replace(e, gap=None).words(0))


def test_sentences_of_the_row_come_first():
    e = explanation()
    one, two = e.words(0), e.words(1)
    assert one.sentences[one.n_own :] == two.sentences[two.n_own :]
    assert one.sentences[: one.n_own] != two.sentences[: two.n_own]
    assert "x1 was never below 0." in one.sentences


@pytest.mark.parametrize(("row", "output"), [(99, 0), (-1, 0), (0, 1)])
def test_what_is_not_there_is_refused(row, output):
    with pytest.raises(RequestError, match="no such"):
        explanation().words(row, output=output)
