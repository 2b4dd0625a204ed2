"""Planted tables: the columns said to count are those the law reads, row by row; corrupted regions are where they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.testing import planted, saboteurs
from pellucid.testing.oracles import SYN_AUC
from pellucid.testing.planted import COLUMNS, LAWS, best_score, made, misses_a_region, predictor, recovery, region
from pellucid.testing.predictors import matrix


def test_there_are_at_least_fifty_laws_of_many_kinds():
    assert len(LAWS) >= 50
    assert len({law.family for law in LAWS.values()}) >= 9
    assert all(law.words and set(law.always) <= set(COLUMNS) for law in LAWS.values())


@pytest.mark.parametrize("corrupted", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_the_columns_said_to_count_are_those_the_law_reads(law, corrupted):
    """Changing a column that does not count in a row moves no value; one that counts moves some. By brute force on the law itself."""
    table = made(law, 300, seed=3, corrupted=corrupted)
    model = predictor(law, table.features, corrupted=corrupted)
    before = model.raw(table.features)[:, 0]
    np.testing.assert_allclose(before, table.signal, atol=1e-12)
    draw, cells = np.random.default_rng(0), matrix(table.features, COLUMNS)
    for j, name in enumerate(COLUMNS):
        moved = np.zeros(300, bool)
        for _ in range(8):
            other = cells.copy()
            other[:, j] = cells[draw.permutation(300), j]
            moved |= np.abs(model.function(other) - before) > 1e-12
        assert not moved[~table.used[:, j]].any(), f"{name} moves rows in which it is said not to count"
        if table.used[:, j].any():
            assert moved[table.used[:, j]].any(), f"{name} is said to count and moves nothing"


def test_tables_are_pinned():
    """Seeds are fixed: the same bits on every machine, another table with another seed."""
    one, two, other = made("pair", 50), made("pair", 50), made("pair", 50, seed=1)
    assert one.table.fingerprint() == two.table.fingerprint() != other.table.fingerprint()
    assert made("line", 3).features.columns == COLUMNS


def test_noise_is_the_share_it_is_said_to_be():
    table = made("wave", 20_000, noise=0.5)
    assert best_score(table) == pytest.approx(1 / (1 + 0.25), abs=0.01)
    assert best_score(made("wave", 2000, noise=0.0)) == 1.0
    classes = made("wave", 4000, noise=None)
    assert set(classes.target) == {"0", "1"}
    assert 0.8 < best_score(classes) < 1


def test_syn_tables_keep_the_published_best_score():
    for number in (1, 3, 4):
        assert best_score(planted.syn(number, 20_000)) == pytest.approx(SYN_AUC["code"][number - 1], abs=0.012)


def test_corrupted_regions_are_where_they_are_said_to_be():
    for name in ("line", "both", "x1 or x2"):
        clean, broken = made(name, 1000, noise=0.0), made(name, 1000, noise=0.0, corrupted=True)
        there = broken.facts["corrupted"]
        assert 0.1 < there.mean() < 0.3
        np.testing.assert_array_equal(clean.signal[~there], broken.signal[~there])
        assert np.abs(clean.signal[there] - broken.signal[there]).mean() > 0.5
        assert broken.used[:, COLUMNS.index("x4")].all()
        assert (broken.used[:, COLUMNS.index("x5")] >= there).all()


def test_a_description_that_misses_the_region_is_caught_and_a_whole_one_is_not():
    """The law as it would be without the region is a good description of four rows in five, and wrong in the region."""
    for name in ("plane", "both", "slopes", "wave"):
        law = LAWS[name]
        clean = predictor(name, made(name, 10).features)
        whole = predictor(name, made(name, 10).features, corrupted=True)
        found = misses_a_region(name, lambda t, m=clean: m.raw(t)[:, 0])
        assert found["missed"], law.words
        assert found["outside"] == 0
        assert not misses_a_region(name, lambda t, m=whole: m.raw(t)[:, 0])["missed"]
    # a description that is poor everywhere does not miss the region in particular
    assert not misses_a_region("wave", lambda t: np.zeros(len(t)))["missed"]


def test_exact_shapley_values_name_the_columns_that_count_and_random_ones_do_not():
    laws = ("line", "plane", "both", "slopes", "x1 or x2", "levels of one")
    good, bad = (
        recovery(lambda model, rows, background, f=f: f(model, rows, background=background), laws, rows=15)
        for f in (saboteurs.honest, saboteurs.random_values)
    )
    assert good["precision"].mean() > 0.95
    assert (good["fdr"] <= 0.35).all()
    assert bad["precision"].mean() < 0.7
    assert (good["tpr"] >= bad["tpr"]).all()


def test_the_block_table_holds_its_signal_where_it_says():
    table = planted.block(4000, seed=1)
    x = np.column_stack([table.features.numbers(c) for c in table.features.columns])
    z = np.where(table.target == "1", 1.0, -1.0)
    assert np.abs(np.mean(x[table.used] * np.repeat(z, 3))) == pytest.approx(1, abs=0.03)
    assert np.mean(x[~table.used] * np.repeat(z, 3)) == pytest.approx(0, abs=0.03)
    assert region({"x4": np.array([0.0, 1.0])}).tolist() == [False, True]
