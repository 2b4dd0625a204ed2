"""Distance correlation: the definition, independence, forms that no correlation sees, levels."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.probe.dependence import cell_distances, centred_distances, dependence, distance_correlation, number_distances
from pellucid.testing.predictors import made_frame, made_table


def centred(values):
    return centred_distances(number_distances(np.asarray(values, float)))


def test_the_definition_on_four_numbers():
    x, y = np.array([0.0, 1.0, 3.0, 4.0]), np.array([2.0, 0.0, 1.0, 5.0])
    a, b = (np.abs(v[:, None] - v[None, :]) for v in (x, y))
    a, b = (d - d.mean(0) - d.mean(1, keepdims=True) + d.mean() for d in (a, b))
    expected = np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))
    assert distance_correlation(centred(x), centred(y)) == pytest.approx(expected, rel=1e-12)


def test_it_sees_what_correlation_does_not():
    x = np.random.default_rng(0).standard_normal(200)
    correlation, p = dependence(centred(x), centred(x**2), np.random.default_rng(1))
    assert abs(np.corrcoef(x, x**2)[0, 1]) < 0.3
    assert correlation > 0.3
    assert p == pytest.approx(1 / 200)


def test_p_is_uniform_where_there_is_nothing():
    """Of 200 independent pairs about 5 % have p <= .05: at most 9.6 % by three standard errors."""
    draw = np.random.default_rng(2)
    p = [dependence(centred(draw.standard_normal(30)), centred(draw.standard_normal(30)), draw, 99)[1] for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)


def test_levels_and_gaps():
    table = made_table(made_frame(60, 1, (3,), 0, missing=0.2))
    for name in table.columns:
        d = cell_distances(table, name)
        assert d.shape == (60, 60)
        assert (d == d.T).all()
        assert np.isfinite(d).all()
    assert set(np.unique(cell_distances(table, "c1"))) <= {0.0, 1.0}
