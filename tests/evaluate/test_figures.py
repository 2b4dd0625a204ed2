"""Rank agreement against scipy, intervals against their promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from pellucid.evaluate import figures
from pellucid.evaluate.figures import Figure


def test_rank_correlation_equals_scipy_row_by_row():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(20, 7)), draw.integers(0, 3, (20, 7)).astype(float)  # ties on one side
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b)]
    np.testing.assert_allclose(figures.rank_correlation(a, b), expected, atol=1e-12)
    assert np.isnan(figures.rank_correlation(np.ones((1, 4)), a[:1, :4])).all()


def test_agreement_averages_outputs_and_signs_matter():
    draw = np.random.default_rng(1)
    one = draw.normal(size=(5, 6, 2))
    np.testing.assert_allclose(figures.agreement(one, -one[None], signed=False), 1.0)
    np.testing.assert_allclose(figures.agreement(one, -one[None], signed=True), -1.0)
    assert figures.top_kept(one, -one[None]).tolist() == [[1.0] * 5]


def test_mean_interval_covers_when_repetitions_and_rows_scatter():
    draw = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        values = 0.2 + 0.1 * draw.normal(size=(10, 1)) + 0.1 * draw.normal(size=(1, 20)) + 0.1 * draw.normal(size=(10, 20))
        f = figures.mean_figure(values)
        inside += f.low <= 0.2 <= f.high
    assert inside / 400 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)


def test_bootstrap_interval_covers_a_mean():
    draw = np.random.default_rng(3)
    inside = sum(f.low <= 0 <= f.high for f in (figures.bootstrap_mean(draw.normal(size=50), draw) for _ in range(300)))
    assert inside / 300 >= 0.94 - 3 * np.sqrt(0.94 * 0.06 / 300)  # a percentile interval of 50 rows is a little narrow


@pytest.mark.parametrize(
    ("sizes", "signed", "expected"),
    [
        ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), "changed"),
        ((0.6, 0.5, 0.7), (0.0, -0.1, 0.1), "changed"),
        ((0.4, 0.2, 0.6), (0.4, 0.2, 0.6), "open"),
        ((0.6, 0.4, 0.8), (0.6, 0.4, 0.8), "alike"),
        ((0.95, 0.9, 1.0), (0.0, -0.1, 0.1), "alike"),
    ],
)
def test_an_explanation_changed_where_its_order_or_its_directions_turned(sizes, signed, expected):
    assert figures.judge(Figure(*sizes), Figure(*signed)) == expected


def test_cells_without_contribution_on_both_sides_do_not_make_explanations_alike():
    draw = np.random.default_rng(4)
    a, b = draw.normal(size=(2, 200, 6))
    pad = np.zeros((200, 20))
    plain, padded = (
        figures.rank_correlation(np.abs(a), np.abs(b)),
        figures.rank_correlation(np.hstack([np.abs(a), pad]), np.hstack([np.abs(b), pad])),
    )
    np.testing.assert_allclose(plain, padded, atol=1e-12)


def test_intervals_of_few_rows_cover():
    """Percentiles of resampled means of 8 rows hold the truth in 88 % of the cases; 95 % are stated."""
    draw = np.random.default_rng(1)
    found = [figures.bootstrap_mean(draw.normal(size=8), draw, 500) for _ in range(800)]
    assert np.mean([f.low <= 0 <= f.high for f in found]) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 800)
    assert figures.bootstrap_mean(np.array([0.0, 0.0, 1.0]), draw).low == 0.0  # a share stays a share
