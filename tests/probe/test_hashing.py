"""Hashes follow contents, not positions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pellucid.probe.hashing import cell_hashes, name_hashes, uniforms
from pellucid.testing.predictors import made_table


def test_equal_cells_have_equal_hashes_and_only_they():
    table = made_table({"a": [1.0, 1.0, 2.0, np.nan, np.nan, -0.0, 0.0], "b": ["x", "x ", "y", None, np.nan, "1", "1.0"]})
    canonical = cell_hashes(table, ("a", "b"), canonical=True)
    assert canonical[0, 0] == canonical[1, 0] != canonical[2, 0]
    assert canonical[3, 0] == canonical[4, 0]
    assert canonical[5, 0] == canonical[6, 0]
    assert canonical[0, 1] == canonical[1, 1] != canonical[2, 1]
    written = cell_hashes(table, ("a", "b"), canonical=False)
    assert written[0, 1] != written[1, 1]
    assert written[3, 1] == written[4, 1]


def test_the_same_cell_differs_between_columns():
    table = made_table({"a": [1.0], "b": [1.0]})
    assert cell_hashes(table, ("a", "b"), canonical=True)[0, 0] != cell_hashes(table, ("a", "b"), canonical=True)[0, 1]


def test_every_dtype_has_hashes():
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "b": [True, False],
            "d": pd.to_datetime(["2020-01-01", None]),
            "c": pd.Categorical(["u", None]),
            "o": ["1", 1],
            "n": pd.array([1, None], "Int64"),
        }
    )
    hashes = cell_hashes(made_table(frame), tuple(frame.columns), canonical=False)
    assert (hashes[0] != hashes[1]).all()


def test_draws_are_uniform_and_follow_contents():
    counters, players = np.arange(20_000, dtype=np.uint64), name_hashes(("a", "b", "c"))
    draws = uniforms(3, counters, players, 0)
    orders = np.argsort(draws, axis=1) @ [9, 3, 1]
    counts = np.unique(orders, return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts / len(counters) - 1 / 6).max() < 5 * np.sqrt(1 / 6 * 5 / 6 / len(counters))
    again = uniforms(3, counters[::-1], players[[2, 0, 1]], 0)
    np.testing.assert_array_equal(again[::-1][:, [1, 2, 0]], draws)
    assert (uniforms(3, counters, players, 1) != draws).all()
    assert (uniforms(4, counters, players, 0) != draws).all()
