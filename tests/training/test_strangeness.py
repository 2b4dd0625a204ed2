"""Densities of hidden states, texts and sizes of errors: closed forms, enumeration and known truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pellucid.errors import EmptyTableError, ModelFileError, RequestError
from pellucid.results import plain
from pellucid.table import read_table
from pellucid.training.density import DENSITIES, ConjNorm, Directions, HiddenNeighbours, Mahalanobis, bregman
from pellucid.training.local_error import LocalError, ResidualForest
from pellucid.training.strangeness import Strangeness, false_alarms, place
from pellucid.training.text_surprise import CharacterModel


@pytest.fixture(scope="module")
def states():
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(6, 6))
    return rng.normal(size=(4000, 6)) @ turn, rng.normal(size=(4000, 6)) @ turn


def test_mahalanobis_follows_chi_square(states):
    kept, new = states
    assert stats.kstest(Mahalanobis.fit(kept).scores(new), "chi2", args=(6,)).pvalue > 0.01
    labels = np.arange(4000) % 2
    parted = kept + 50 * labels[:, None]
    assert stats.kstest(Mahalanobis.fit(parted, labels).scores(parted[:2000]), "chi2", args=(6,)).pvalue > 0.001


def test_bregman_of_two_is_half_the_squared_distance_and_its_gradient_is_right():
    rng = np.random.default_rng(1)
    z, m = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    for i in range(5):
        np.testing.assert_allclose(bregman(z, m, 2.0)[i], 0.5 * ((z[i] - m) ** 2).sum(1))
    for p in (1.5, 3.0):
        phi = lambda a, p=p: 0.5 * np.sum(np.abs(a) ** p) ** (2 / p)  # noqa: E731
        slope = np.array([(phi(m[0] + h) - phi(m[0] - h)) / 2e-6 for h in 1e-6 * np.eye(4)])
        assert bregman(z, m, p)[2, 0] == pytest.approx(phi(z[2]) - phi(m[0]) - (z[2] - m[0]) @ slope, rel=1e-6)
        assert (bregman(z, m, p) >= 0).all()


def test_conjnorm_of_two_is_a_gaussian_and_the_power_is_chosen_on_held_out_rows(states):
    kept, new = states
    two, far = ConjNorm.fit(kept, power=2.0), Mahalanobis.fit(kept)
    np.testing.assert_allclose(two.scores(new) - two.scores(new)[0], 0.5 * (far.scores(new) - far.scores(new)[0]), atol=1e-8)
    rng = np.random.default_rng(2)
    decoys = np.column_stack([rng.permutation(c) for c in new.T])
    chosen = ConjNorm.fit(kept, held=new, decoys=decoys)
    part = lambda m: np.mean(m.scores(decoys)[:, None] > m.scores(new)[None, :])  # noqa: E731
    assert part(chosen) >= part(two)


def test_hidden_neighbours_by_brute_force():
    rng = np.random.default_rng(3)
    kept, new = rng.normal(size=(40, 3)), rng.normal(size=(7, 3))
    measure = HiddenNeighbours.fit(kept)
    z = measure.directions(new) / measure.scale
    known = [np.sort(np.sqrt(((z[i] - measure.kept) ** 2).sum(1)))[:10].mean() for i in range(7)]
    np.testing.assert_allclose(measure.scores(new), known)
    with pytest.raises(EmptyTableError, match="at least 3"):
        Directions.fit(kept[:2])


def test_states_come_back(states):
    for name, kind in DENSITIES.items():
        fitted = Strangeness.of_states(name, states[0][:200], states[1][:100], states[1][100:200], None, {})
        back = Strangeness.from_state(plain(fitted.state()))
        np.testing.assert_allclose(back.measure.scores(states[1][200:220]), fitted.measure.scores(states[1][200:220]))
        with pytest.raises(ModelFileError):
            kind.from_state({"centre": [0.0]})


def test_places_and_false_alarms():
    rng = np.random.default_rng(4)
    percent = place(rng.random(3000), np.sort(rng.random(1999)))
    assert stats.kstest(percent / 100, "uniform").pvalue > 0.001
    mean, low, high = false_alarms(1999, 1.0)
    shares = [(place(rng.random(500), np.sort(rng.random(1999))) < 1).mean() for _ in range(200)]
    assert np.mean(shares) == pytest.approx(mean, abs=4 * np.std(shares) / np.sqrt(200))
    assert low < mean < high
    assert false_alarms(50, 1.0) == (0, 0, 0)


def test_probabilities_of_characters_add_up():
    model = CharacterModel.fit(["abab", "abba", "baab"] * 5)
    for before in ("", "a", "ab", "zz"):
        total = 0.0
        for letter in ("a", "b", "\u4e00"):
            text = before + letter
            own = model.surprise([text])[0] * len(text) - (model.surprise([before])[0] * len(before) if before else 0)
            total += np.exp(-own)
        assert total == pytest.approx(1)
    assert model.surprise([""])[0] == 0


def test_texts_name_the_odd_column_and_miss_nothing_where_there_is_no_text():
    rng = np.random.default_rng(5)
    words = ["the", "red", "house", "by", "old", "sea", "with", "small", "garden", "near", "market", "street"]
    made = [" ".join(rng.choice(words, 7)) for _ in range(400)]
    table = read_table(pd.DataFrame({"a": made, "b": made[::-1]}), types={"a": "text", "b": "text"})
    fitted = Strangeness.of_texts(table.take(slice(0, 250)), table.take(slice(250, 400)))
    odd = table.take(slice(0, 60)).with_cells({"b": ["".join(rng.permutation(list(t))) for t in made[:60]]})
    parts = fitted.text_parts(odd)
    assert (parts.argmax(1) == 1).mean() > 0.95
    assert (place(parts.max(1), fitted.reference) < 5).mean() > 0.9
    gone = fitted.text_parts(table.take(slice(0, 5)).with_cells({"a": [None] * 5}))
    assert (gone[:, 0] == 0).all()
    with pytest.raises(RequestError, match="no column of text"):
        Strangeness.of_texts(*[read_table({"x": [1.5, 2.5, 3.5, 4.5]})] * 2)


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"x": rng.normal(size=3000), "level": rng.choice(["calm", "wild"], 3000), "idle": rng.normal(size=3000)})
    frame.loc[::50, "idle"] = np.nan
    spread = np.where(frame["level"] == "wild", 4.0, 1.0)
    y = frame["x"] + spread * rng.normal(size=3000)
    return read_table(frame), frame["x"].to_numpy()[:, None, None], y.to_numpy()[:, None], spread


def test_the_forest_tells_the_size_of_errors_and_their_quantiles(noisy):
    table, members, y, spread = noisy
    local = LocalError.fit(table, members, y, None, 0)
    told, low, high = local.answers(table, members[:, :, 0], 0)
    for s in (1.0, 4.0):
        rows = spread == s
        assert told[rows].mean() == pytest.approx(s * np.sqrt(2 / np.pi), rel=0.15)
        assert low[rows].mean() == pytest.approx(-1.645 * s, rel=0.2)
        assert high[rows].mean() == pytest.approx(1.645 * s, rel=0.2)
    assert local.width < 0.95
    flat = LocalError.fit(table, members, members[:, :, 0] + np.random.default_rng(7).normal(size=(3000, 1)), None, 0)
    assert flat.width > 0.98  # nothing is gained where there is nothing to tell: the default stays one width


def test_one_gross_error_does_not_hide_that_errors_differ(noisy):
    table, members, y, _ = noisy
    y = y.copy()
    y[5] += 1000.0  # its leaf alone makes the plain mean of the widths larger than the constant one
    local = LocalError.fit(table.take(slice(0, 800)), members[:800], y[:800], None, 0)
    assert local.width < 0.95


def test_forests_are_the_peers_and_come_back(noisy):
    from sklearn.ensemble import RandomForestRegressor

    table, members, y, _ = noisy
    rng = np.random.default_rng(8)
    x, residual = rng.normal(size=(500, 3)), rng.normal(size=500)
    forest = ResidualForest.fit(x, residual, 3)
    leaf = int(np.clip(500 // 60, 10, 40))
    peer = RandomForestRegressor(40, min_samples_leaf=leaf, max_features=0.7, random_state=3).fit(x.astype(np.float32), np.abs(residual))
    leaves = peer.apply(x)
    known = np.mean([[np.abs(residual)[leaves[:, t] == leaves[i, t]].mean() for t in range(40)] for i in range(50)], axis=1)
    np.testing.assert_allclose(forest.answers(x[:50])[0], known)
    folds = np.arange(3000) % 3
    local = LocalError.fit(table, members, y, folds, 0)
    back = LocalError.from_state(plain(local.state()))
    some = table.take(slice(0, 40))
    np.testing.assert_allclose(back.answers(some, members[:40, :, 0], 0), local.answers(some, members[:40, :, 0], 0))
    own = local.answers(some, members[:40, :, 0], 0, folds[:40])
    every = local.answers(some, members[:40, :, 0], 0)
    np.testing.assert_array_equal(own[0], every[0][np.arange(40), folds[:40]])
    assert LocalError.fit(table.take(slice(0, 20)), members[:20], y[:20], None, 0) is None
    with pytest.raises(ModelFileError):
        LocalError.from_state({"forests": []})


def test_a_reference_on_another_scale_is_refused() -> None:
    saved = Strangeness("row_model", None, np.arange(4.0)).state()
    assert Strangeness.from_state(saved).reference.tolist() == [0.0, 1.0, 2.0, 3.0]
    del saved["score"]
    with pytest.raises(ModelFileError, match="earlier version"):
        Strangeness.from_state(saved)
