"""Attention as maps by layer and head; what single units answer to two columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.cli.explain import _owed, _verdicts
from pellucid.errors import RequestError
from pellucid.evaluate import trial
from pellucid.explain import explain
from pellucid.report.charts import chart
from pellucid.testing.checks_trial import linear_refit
from pellucid.testing.predictors import FunctionPredictor, TellingNetwork, TinyNetwork, made_frame, made_table, matrix


@pytest.fixture(scope="module")
def table():
    return made_table(made_frame(60, 4, (3,)))


def test_attention_maps_are_the_networks_own(table):
    network = TellingNetwork(table)
    made = explain(network, table.take(slice(0, 9)), method="attention_maps")
    assert np.array_equal(made.values, network.named_parts(table.take(slice(0, 9)))["attention"])
    assert made.tokens == network.columns
    frame = made.to_frame()
    assert np.allclose(frame.groupby("from")["value"].sum(), 1)
    assert np.allclose(made.mean(0, 0), made.values[:, 0, 0].mean(0))
    assert np.allclose(made.mean(row=3), made.values[3, 0, 0])
    with pytest.raises(RequestError, match="no layer 4"):
        made.mean(layer=4)


class Learned(TellingNetwork):
    """A network whose attention hangs on its weights alone."""

    def _attend(self, tokens):
        of = self.stages.parts.sum(1)
        _, terms = super()._attend(tokens)
        return (of @ of.roll(1, 1).mT + 0.0 * tokens.sum()).softmax(-1).expand(len(tokens), len(of), len(of)), terms


class Fixed(TellingNetwork):
    """A network whose attention is the same whatever its weights are: it looks at the last column, which its parts make the least of."""

    def _attend(self, tokens):
        size = tokens.shape[1]
        scores = torch.arange(size, dtype=tokens.dtype) + torch.arange(size, dtype=tokens.dtype)[:, None] / 100 + 0.0 * tokens.sum()
        _, terms = super()._attend(tokens)
        return scores.softmax(-1).expand(len(tokens), size, size), terms


def test_a_map_is_never_shown_without_its_trials(table):
    """Before they are run it says so, in its text, in a notebook and in the figure; after, it says how they ended."""
    net, rows = Learned(table), table.take(slice(0, 12))
    made = explain(net, rows, method="attention_maps")
    for shown in (str(made), made._repr_html_(), chart(made).layout.title.text):
        assert "NOT TESTED" in shown
        assert "weight randomisation" in shown
        assert "roar" in shown
    (tried,) = trial(made, net, rows, names=["weight_randomisation"], random_state=0)
    assert tried.verdict == "pass", tried.words
    assert "pairs of tokens" in tried.words
    kept = made.with_trials([tried])
    assert f"PASS, weight randomisation: {tried.words}" in str(kept)
    title = chart(kept).layout.title.text
    assert "PASS: weight randomisation" in title
    assert "NOT TESTED: roar" in title
    assert kept.to_dict()["trials"][0]["verdict"] == "pass"
    for method in ("attention", "column_relations"):
        assert "NOT TESTED: weight randomisation, roar" in chart(explain(net, rows, method=method)).layout.title.text


def test_a_map_that_does_not_hang_on_the_weights_fails(table):
    net, rows = Fixed(table), table.take(slice(0, 12))
    made = explain(net, rows, method="attention_maps")
    (tried,) = trial(made, net, rows, names=["weight_randomisation"], random_state=0)
    assert tried.verdict == "fail", tried.words
    assert "FAIL, weight randomisation" in str(made.with_trials([tried]))
    assert "FAIL: weight randomisation" in chart(made, trials=[tried]).layout.title.text


@pytest.mark.parametrize("method", ["attention", "attention_maps", "column_relations", "masks"])
def test_the_command_line_tries_what_it_shows_of_attention(table, method):
    net, rows = Fixed(table), table.take(slice(0, 12))
    made = explain(net, rows, method=method)
    lines = _verdicts(made, _owed(made, net, rows, 0))
    assert lines[0].startswith("FAIL, weight randomisation: With random weights")
    assert lines[1].startswith("NOT TESTED, roar: whether a model trained again")
    assert _owed(explain(net, rows, method="gradient"), net, rows, 0) == []


def test_a_map_that_looks_past_the_columns_that_count_fails_roar():
    table = made_table(made_frame(240, 5, (), 7))
    y = matrix(table, table.columns) @ np.array([3.0, -2.0, 1.0, 0.0, 0.0]) + 0.3 * np.random.default_rng(0).standard_normal(240)
    net = Fixed(table)
    made = explain(net, table, method="attention_maps", options={"rows": 12}, random_state=0)
    assert made.by_column().argmax(1).tolist() == [4] * 12
    (tried,) = trial(made, net, table, y, names=["roar"], refit=linear_refit, random_state=0)
    assert tried.verdict == "not testable"  # of 240 rows 12 are shown, and it learns from those that were asked about
    whole = explain(net, table, method="attention_maps", options={"rows": 240})
    (tried,) = trial(whole, net, table, y, names=["roar"], refit=linear_refit, random_state=0)
    assert tried.verdict == "fail", tried.words
    assert tried.interval[1] < 0


def test_a_map_on_which_nothing_can_be_read_says_so(table):
    flat = TellingNetwork(table)
    flat.stages.parts.data *= 1e-3
    assert any("almost alike" in c for c in explain(flat, table, method="attention_maps").record.caveats)
    assert not any("almost alike" in c for c in explain(Fixed(table), table, method="attention_maps").record.caveats)


def test_attention_maps_take_as_many_rows_as_asked(table):
    made = explain(TellingNetwork(table), table, method="attention_maps", options={"rows": 7}, random_state=0)
    assert len(made) == 7
    assert set(made.index) <= set(table.frame.index)


def test_networks_without_attention_are_refused(table):
    with pytest.raises(RequestError, match=r"shows nothing|no attention"):
        explain(TinyNetwork(table), table, method="attention_maps")


def test_unit_maps_of_a_two_column_model_are_its_units():
    """Nothing is held where there are two columns: each map is the unit's state at the cells of its place."""
    table = made_table(made_frame(40, 2, ()))
    network = TinyNetwork(table, seed=3)
    made = explain(network, table, method="unit_maps", options={"points": 6, "most": 100})
    assert made.columns == ("x1", "x2")
    assert made.held is None
    grid = made_table({"x1": np.tile(made.x.astype(float), len(made.y)), "x2": np.repeat(made.y.astype(float), len(made.x))})
    truth = network.hidden(grid, "last")
    units = [int(name.split()[1]) for name in made.units]
    assert sorted(units) == list(range(truth.shape[1]))
    assert np.allclose(made.values.reshape(len(units), -1).T, truth[:, units])
    assert np.allclose(made.answers.reshape(-1), network.raw(grid)[:, 0])
    assert np.allclose(made.activation, network.hidden(table, "last")[:, units])
    assert (np.diff(made.values.reshape(len(units), -1).std(1)) <= 1e-12).all()  # those that vary most come first


def test_other_cells_are_those_of_one_row(table):
    network = TinyNetwork(table, seed=1)
    made = explain(
        network, table, method="unit_maps", options={"columns": ["x2", "c1"], "points": 5, "row": 4, "most": 3, "layer": "first"}
    )
    assert made.held == table.frame.index[4]
    place = list(made.y).index(table.frame["c1"].iloc[4])
    unit = int(made.units[0].split()[1])
    row = table.take(np.full(len(made.x), 4)).with_cells({"x2": made.x.astype(float)})
    assert np.allclose(made.values[0, place], network.hidden(row, "first")[:, unit])
    other = explain(network, table, method="unit_maps", options={"columns": ["x2", "c1"], "points": 5, "row": 9, "most": 3})
    assert not np.allclose(other.values[0], made.values[0])


def test_columns_are_chosen_by_what_moves_the_answer():
    table = made_table(made_frame(60, 5, ()))
    network = TinyNetwork(table, seed=0)
    for j, size in enumerate((0.01, 5.0, 0.01, 5.0, 0.01)):
        network.stages.parts.data[j] *= size
    assert explain(network, table, method="unit_maps", options={"points": 3}).columns == ("x2", "x4")


def test_weights_are_correlations_and_rows_like_a_row_are_near(table):
    made = explain(TinyNetwork(table, seed=2), table, method="unit_maps", options={"points": 4})
    answers = TinyNetwork(table, seed=2).raw(table)[:, 0]
    varying = [u for u in range(len(made)) if made.activation[:, u].std() > 0]
    for u in varying:
        assert made.weights[u] == pytest.approx(np.corrcoef(made.activation[:, u], answers)[0, 1])
    near = made.rows_like(varying[0], 7, 59)
    apart = np.abs(made.activation[near, varying[0]] - made.activation[7, varying[0]])
    assert 7 not in near
    assert (np.diff(apart) >= 0).all()
    assert len(made.strongest(3, 2)) == 2


WRONG = (
    *({"columns": ["x1"]}, {"columns": ["x1", "x2", "x3"]}, {"columns": ["x1", "nothing"]}),
    *({"row": 60}, {"layer": "middle"}, {"points": 1}),
)


@pytest.mark.parametrize("options", WRONG)
def test_what_cannot_be_used_is_refused(table, options):
    with pytest.raises(RequestError):
        explain(TinyNetwork(table), table, method="unit_maps", options=options)


def test_budgets_are_kept_or_refused(table):
    with pytest.raises(RequestError, match="budget is too small"):
        explain(TinyNetwork(table), table, method="unit_maps", budget=100)
    made = explain(TinyNetwork(table), table, method="unit_maps", budget=2000, options={"points": 5})
    assert made.record.n_calls <= 2000
    black = FunctionPredictor(lambda x: x[:, 0], table, columns=table.features)
    assert matrix(table, table.features).shape == (60, 5)
    with pytest.raises(RequestError, match="hidden layers"):
        explain(black, table, method="unit_maps")
