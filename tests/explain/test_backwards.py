"""DeepLIFT, relevance, guided gradients, bits and parts as users call them."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.evaluate import trial
from pellucid.explain import explain
from pellucid.testing.predictors import fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def setting():
    table = made_table(made_frame(120, 4, (3,)))
    frame = table.frame
    y = np.where(frame.x1 * frame.x2 + (frame.c1 == "level 1") > 0.3, "yes", "no")
    return fit_network(table, y, steps=150), table, table.take(slice(0, 12))


def test_deeplift_against_the_background_is_the_mean_over_its_rows(setting):
    net, table, rows = setting
    some = table.take(slice(20, 25))
    made = explain(net, rows, method="deeplift", background=some, options={"reference": "background"})
    each = [explain(net, rows, method="deeplift", background=some.take([k])) for k in range(5)]
    np.testing.assert_allclose(made.values, np.mean([e.values for e in each], 0), atol=1e-9)
    np.testing.assert_allclose(made.base_values, net.raw(some)[:, 0].mean(), atol=1e-9)
    assert np.abs(made.gap).max() < 1e-9
    with pytest.raises(RequestError, match="reference"):
        explain(net, rows, method="deeplift", options={"reference": "mean"})


def test_cells_equal_to_the_reference_get_exactly_nothing(setting):
    net, _, rows = setting
    made = explain(net, rows, method="deeplift", background=rows.take([3]))
    assert (made.values[3] == 0).all()


def test_relevance_and_base_are_the_answer_and_the_options_are_kept(setting):
    net, _, rows = setting
    for rule in ("epsilon", "gamma"):
        made = explain(net, rows, method="lrp", options={"rule": rule})
        np.testing.assert_allclose(made.base_values + made.values.sum(1), net.raw(rows)[:, 0], atol=1e-9)
        assert made.record.settings["rule"] == rule
        assert made.gap is None
    with pytest.raises(RequestError, match="rule"):
        explain(net, rows, method="lrp", options={"rule": "zplus"})


def test_guided_gradients_are_marked_as_a_control_and_tried(setting):
    net, table, rows = setting
    made = explain(net, rows, method="guided_backprop", background=table, random_state=0)
    assert any("control" in c for c in made.record.caveats)
    (tried,) = trial(made, net, rows, names=["weight_randomisation"], random_state=0)
    assert tried.verdict in ("pass", "fail")
    assert np.isfinite(tried.figure)


def test_bits_name_the_columns_that_are_read(setting):
    _, table, rows = setting
    net = fit_network(table, 2 * table.frame.x1.to_numpy() - table.frame.x2.to_numpy(), steps=250)
    made = explain(net, rows, method="information_bottleneck", random_state=0)
    assert made.scale == "bits"
    assert (made.values >= 0).all()
    mean = made.values.mean(0)
    assert mean[:2].min() > 3 * mean[2:].max()
    with pytest.raises(RequestError, match="bottleneck"):
        explain(net, rows, method="information_bottleneck", options={"beta": (0.0,)})


def test_parts_of_a_group_are_those_of_its_columns_and_of_their_pair(setting):
    net, _, rows = setting
    made = explain(net, rows, method="contextual_decomposition_pairs")
    assert len(made.sets) == 10
    whole = explain(net, rows, method="contextual_decomposition")
    assert whole.gap is None
    grouped = explain(net, rows, method="contextual_decomposition", groups={"both": ["x1", "x2"]})
    pair = made.by_set[:, made.sets.index(("x1", "x2")), 0]
    np.testing.assert_allclose(grouped.values[:, 0], whole.values[:, 0] + whole.values[:, 1] + pair, atol=1e-9)
    with pytest.raises(RequestError, match="no pairs"):
        explain(net, rows, method="contextual_decomposition_pairs", groups={"all": ["x1", "x2", "x3", "x4", "c1"]})
