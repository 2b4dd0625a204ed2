"""Maps against what they must equal: decompositions, brute force, scikit-learn's and scipy's figures, planted shapes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group
from sklearn.manifold import trustworthiness

import pellucid as pld
from pellucid.cli.keep import read_stage, write_stage
from pellucid.errors import ArgumentError, ColumnError, EmptyTableError, RequestError
from pellucid.maps.affinities import conditional
from pellucid.maps.classical_mds import AddPoint, scaled
from pellucid.maps.distances import gower
from pellucid.maps.mds import FewestStress, majorised
from pellucid.maps.neighbours import nearest, places_of, squares
from pellucid.maps.pca import principal
from pellucid.maps.quality import aligned, quality
from pellucid.maps.representatives import chosen, walk
from pellucid.maps.sne import divergence
from pellucid.maps.space import Space
from pellucid.table import read_table
from pellucid.testing.checks_map import planted_groups


def numbers(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])


@pytest.fixture(scope="module")
def draw():
    return np.random.default_rng(0)


# ---------------------------------------------------------------- rows as points


@pytest.fixture(scope="module")
def mixed():
    frame = pd.DataFrame(
        {
            "age": [20.0, 30.0, np.nan, 50.0, 60.0, 70.0],
            "sex": ["F", "M", "F", None, "M", "F"],
            "grade": pd.Categorical(["low", "high", "mid", "low", "high", "mid"], ["low", "mid", "high"], ordered=True),
        }
    )
    return read_table(frame, types={"sex": "category", "age": "number"})


def test_the_distance_of_mixed_rows_is_the_sum_over_cells(mixed):
    """Numbers and ranks on normal quantiles, 1 for different levels; a gap costs 1 more than the middle, and two gaps nothing."""
    space = Space(mixed)
    points = space(mixed)
    from pellucid.encode.numeric import NumberEncoder

    rank = np.array([0.0, 2.0, 1.0, 0.0, 2.0, 1.0])
    z, _ = NumberEncoder().fit(np.column_stack([mixed.numbers("age"), rank])).transform(np.column_stack([mixed.numbers("age"), rank]))
    codes, gone = mixed.levels("sex")[0], np.isnan(mixed.numbers("age"))
    for i in range(6):
        for j in range(6):
            wanted = (z[i, 0] - z[j, 0]) ** 2 + float(gone[i] != gone[j]) + float(codes[i] != codes[j]) + (z[i, 1] - z[j, 1]) ** 2
            assert ((points[i] - points[j]) ** 2).sum() == pytest.approx(wanted, abs=1e-6)


def test_a_gap_is_as_far_as_two_random_rows(draw):
    x = draw.normal(size=(4000, 1))
    x[:400] = np.nan
    points = Space(read_table(numbers(x)))(read_table(numbers(x)))
    far = squares(points[:50], points[400:]).mean()
    usual = squares(points[400:1400], points[2000:3000]).mean()
    assert far == pytest.approx(2.0, abs=0.1)  # 1 + the variance of normal quantiles
    assert usual == pytest.approx(2.0, abs=0.1)
    assert squares(points[:5], points[5:10]).max() < 1e-12


def test_texts_have_variance_one_and_like_texts_lie_together():
    words = [f"{a} {b} report about the weather" for a in ("red", "blue", "green") for b in ("fox", "bear", "wolf", "hare")] * 3
    words += ["quarterly balance of the accounts of the company number two"] * 5
    table = read_table(pd.DataFrame({"text": words, "x": np.arange(len(words), dtype=float)}), types={"text": "text"})
    space = Space(table)
    points = space(table)[:, [p.startswith("words") for p in space.parts]]
    assert points.var(0).sum() == pytest.approx(1.0, abs=1e-6)
    assert np.linalg.norm(points[0] - points[12]) < 1e-9  # the same text
    assert np.linalg.norm(points[0] - points[1]) < np.linalg.norm(points[0] - points[-1])


def test_unseen_and_rare_levels_share_a_corner(draw):
    many = [f"level {i}" for i in range(100)] + ["common"] * 100
    table = read_table(pd.DataFrame({"c": many, "x": draw.normal(size=200)}), types={"c": "category"})
    space = Space(table)
    new = table.take([0, 1]).with_cells({"c": ["never seen", "nor this"], "x": [0.0, 0.0]})
    a, b = space(new)
    assert np.isfinite(a).all()
    assert ((a - b) ** 2).sum() < 1e-12


# ---------------------------------------------------------------- pca and scaling


def test_pca_equals_the_decomposition_and_the_covariance(draw):
    x = draw.normal(size=(300, 6)) @ draw.normal(size=(6, 6))
    table = read_table(numbers(x))
    made = pld.map(table, method="pca")
    points = Space(table)(table)
    u, s, vt = np.linalg.svd(points - points.mean(0), full_matrices=False)
    scores = (u * s)[:, :2] * np.sign(vt[np.arange(2), np.abs(vt[:2]).argmax(1)])
    assert np.abs(made.coordinates - scores).max() <= 1e-6
    eigen = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(made.coordinates.var(0, ddof=1), eigen[:2], rtol=1e-9)
    assert made.figure("explained variance") == pytest.approx(eigen[:2].sum() / eigen.sum())
    assert made.loadings is not None
    top = made.loadings["x"].to_numpy()
    assert top[np.abs(top).argmax()] > 0
    np.testing.assert_allclose((made.loadings[["x", "y"]] ** 2).sum(), 1.0)
    np.testing.assert_allclose(made.place(table)[["x", "y"]], made.coordinates, atol=1e-9)


def test_the_randomised_decomposition_of_wide_tables_finds_the_same_plane(draw):
    signal = draw.normal(size=(600, 2)) * [30, 20]
    x = signal @ ortho_group.rvs(700, random_state=1)[:2] + draw.normal(size=(600, 700))
    _, axes, variance, whole = principal(x, 2, 0)
    _, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(variance, s[:2] ** 2 / 599, rtol=1e-6)
    assert np.abs(np.abs((axes * vt[:2]).sum(1)) - 1).max() < 1e-6
    assert whole == pytest.approx(x.var(0, ddof=1).sum())


def test_classical_scaling_equals_pca_up_to_sign(draw):
    table = read_table(numbers(draw.normal(size=(120, 5)) * [3, 2, 1, 1, 0.5]))
    a, b = (pld.map(table, method=m) for m in ("pca", "classical_mds"))
    sign = np.sign((a.coordinates * b.coordinates).sum(0))
    assert np.abs(a.coordinates - b.coordinates * sign).max() < 1e-8
    new = read_table(numbers(draw.normal(size=(7, 5))))
    np.testing.assert_allclose(a.place(new)[["x", "y"]], b.place(new)[["x", "y"]] * sign, atol=1e-7)


def test_a_planar_map_is_found_again(draw):
    """Classical scaling exactly, metric scaling from a bad start, both up to a turn; new points by their distances alone."""
    flat = draw.uniform(size=(80, 2)) * [3, 1]
    d = cdist(flat, flat)
    places, sizes, norms, negative = scaled(d)
    assert aligned(flat, places)[1] < 1e-12
    assert negative < 1e-9
    own, own_sizes, own_norms, _ = scaled(d[:60, :60])
    put = AddPoint(None, own, own_sizes, own_norms)  # type: ignore[arg-type]
    assert np.abs(cdist(put.place(d[60:, :60] ** 2), put.coordinates) - d[60:, :60]).max() < 1e-6
    moved, trace = majorised(d, places + draw.normal(size=places.shape) * 0.5, 500, 0.0)
    assert (np.diff(trace) <= 1e-12).all()
    assert aligned(flat, moved)[1] < 1e-6
    near = FewestStress(AddPoint(None, places, sizes, norms), None, places).place(d[:5])  # type: ignore[arg-type]
    np.testing.assert_allclose(near, places[:5], atol=1e-4)


def test_metric_scaling_equals_scikit_learn_from_the_same_start(draw):
    from sklearn.manifold import smacof

    x = draw.normal(size=(60, 6))
    d = cdist(x, x)
    start = scaled(d)[0]
    places, trace = majorised(d, start, 40, 0.0)
    other, stress = smacof(d, metric=True, n_components=2, init=start, n_init=1, max_iter=40, eps=0.0, normalized_stress=False)
    assert trace[-1] == pytest.approx(2 * stress / (60 * 59), rel=1e-3)  # theirs counts each pair once, and a step more or less
    assert aligned(places, other)[1] < 1e-3
    assert (np.diff(trace) <= 1e-12).all()


def test_the_stress_falls_and_is_printed(draw):
    made = pld.map(read_table(numbers(draw.normal(size=(60, 5)))), method="mds")
    assert made.trace is not None
    assert (np.diff(made.trace) <= 1e-12).all()
    assert made.figure("stress") == made.trace[-1] < made.trace[0]
    assert any("stress" in w for w in made.words())


def test_gowers_distance_by_brute_force(mixed):
    got = gower(mixed, mixed, mixed.columns)
    frame = mixed.frame
    for i in range(6):
        for j in range(6):
            parts = []
            if not (pd.isna(frame["age"][i]) or pd.isna(frame["age"][j])):
                parts.append(abs(frame["age"][i] - frame["age"][j]) / 50)
            parts += [float(frame[c][i] != frame[c][j]) for c in ("sex", "grade") if not (pd.isna(frame[c][i]) or pd.isna(frame[c][j]))]
            assert got[i, j] == pytest.approx(np.mean(parts))
    made = pld.map(planted_groups(), method="classical_mds", options={"distance": "gower"})
    assert made.figure("trustworthiness") > 0.9
    np.testing.assert_allclose(made.place(planted_groups().take([0, 1]))[["x", "y"]], made.coordinates[:2], atol=1e-6)


# ---------------------------------------------------------------- neighbour embedding


def test_the_entropy_of_every_line_is_the_logarithm_of_the_perplexity(draw):
    x = draw.normal(size=(90, 4)) * draw.uniform(0.1, 5, (90, 1))
    p = conditional(squares(x, x), 20.0)
    assert np.abs(-(p * np.log(np.maximum(p, 1e-300))).sum(1) - np.log(20)).max() < 1e-4
    assert np.abs(np.diag(p)).max() == 0
    np.testing.assert_allclose(p.sum(1), 1.0)


def test_the_gradient_of_sne_equals_finite_differences(draw):
    x, y = draw.normal(size=(25, 4)), draw.normal(size=(25, 2))
    p = conditional(squares(x, x), 6.0)
    loss, slope = divergence(y, p)
    q = np.exp(-cdist(y, y, "sqeuclidean"))
    np.fill_diagonal(q, 0.0)
    q /= q.sum(1, keepdims=True)
    off = ~np.eye(25, dtype=bool)
    assert loss == pytest.approx((p[off] * np.log(p[off] / q[off])).sum())
    for i, k in ((0, 0), (7, 1), (24, 0)):
        step = np.zeros_like(y)
        step[i, k] = 1e-6
        numeric = (divergence(y + step, p)[0] - divergence(y - step, p)[0]) / 2e-6
        assert slope[i, k] == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_the_loss_of_sne_falls_at_every_step():
    made = pld.map(planted_groups(), method="sne", options={"steps": 60})
    assert made.trace is not None
    assert (np.diff(made.trace) <= 1e-12).all()
    assert made.trace[-1] < 0.8 * made.trace[0]
    assert "not evidence" in made.caution
    assert made.other is not None
    assert "perplexity" in made.other_words


@pytest.fixture(scope="module")
def clusters():
    made = np.random.default_rng(4)
    group = np.arange(150) % 3
    return numbers(8 * np.eye(3)[group] + made.normal(size=(150, 3))), group


def test_three_planted_clusters_stand_apart_in_tsne(clusters):
    frame, group = clusters
    made = pld.map(frame, method="tsne")
    assert made.figure("trustworthiness") > 0.95
    assert made.trace is not None
    assert made.trace[-1] <= made.trace[0]
    assert made.second is not None
    assert 0 <= made.disparity <= 1
    rows, _ = nearest(made.coordinates, made.coordinates, 5, np.arange(150))
    assert (group[rows] == group[:, None]).mean() > 0.98
    assert "not evidence" in made.caution
    new = made.place(frame.head(30) + 0.05)
    near, _ = nearest(new[["x", "y"]].to_numpy(), made.coordinates, 5)
    assert (group[near] == group[:30, None]).mean() > 0.95


def test_without_opentsne_scikit_learn_answers_and_says_so(clusters, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openTSNE", None)
    made = pld.map(clusters[0].head(60), method="tsne")
    assert made.settings["library"] == "scikit-learn"
    assert "nearest rows" in made.placing
    assert any("openTSNE is not installed" in c for c in made.caveats)
    assert any("brought down" in c for c in made.caveats)
    assert made.place(clusters[0].head(3)).shape == (3, 3)


def test_a_row_unlike_the_map_is_said_to_be_unfamiliar(clusters):
    made = pld.map(clusters[0], method="pca")
    placed = made.place(clusters[0].iloc[[0]].assign(x0=-400.0, x1=400.0, x2=-400.0))
    assert placed["familiarity"].iloc[0] == 0


# ---------------------------------------------------------------- figures


def test_the_figures_equal_scikit_learn_and_brute_force(draw):
    x, y = draw.normal(size=(90, 6)), draw.normal(size=(90, 2))
    y += 0.7 * x[:, :2]
    got = quality(x, y, seed=0)
    assert got.values["trustworthiness"] == pytest.approx(trustworthiness(x, y, n_neighbors=15))
    assert got.values["continuity"] == pytest.approx(trustworthiness(y, x, n_neighbors=15))
    d, e = cdist(x, x), cdist(y, y)
    order, seen = (np.argsort(a + np.diag(np.full(90, np.inf)), 1)[:, :15] for a in (d, e))
    recall = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(order, seen)])
    assert got.values["kNN recall"] == pytest.approx(recall)
    three = np.random.default_rng(1).integers(0, 90, (200_000, 3))
    three = three[(three[:, 0] != three[:, 1]) & (three[:, 0] != three[:, 2]) & (three[:, 1] != three[:, 2])]
    kept = (d[three[:, 0], three[:, 1]] < d[three[:, 0], three[:, 2]]) == (e[three[:, 0], three[:, 1]] < e[three[:, 0], three[:, 2]])
    assert abs(got.values["triplet accuracy"] - kept.mean()) < 3 * got.errors["triplet accuracy"]
    from scipy.stats import spearmanr

    whole = spearmanr(d[np.triu_indices(90, 1)], e[np.triu_indices(90, 1)]).statistic
    assert abs(got.values["distance rank correlation"] - whole) < 3 * got.errors["distance rank correlation"]


def test_a_random_map_has_the_figures_of_chance(draw):
    got = quality(draw.normal(size=(400, 5)), draw.normal(size=(400, 2)), seed=0)
    assert abs(got.values["kNN recall"] - 15 / 399) < 4 * got.errors["kNN recall"]
    assert abs(got.values["triplet accuracy"] - 0.5) < 4 * got.errors["triplet accuracy"]
    assert abs(got.values["distance rank correlation"]) < 4 * got.errors["distance rank correlation"]
    assert got.values["trustworthiness"] == pytest.approx(0.5, abs=0.05)


def test_the_map_of_the_same_points_has_perfect_figures(draw):
    x = draw.normal(size=(60, 2))
    got = quality(x, 3 * x + 1, seed=0)
    assert min(got.values.values()) > 1 - 1e-9
    assert (got.kept == 1).all()


def test_equal_rows_share_the_middle_of_their_places():
    x = np.zeros((11, 1))
    x[10] = 5.0
    places = places_of(x, np.array([0, 10]), np.array([[1, 9, 10], [0, 5, 9]]))
    assert places.tolist() == [[5, 5, 10], [5, 5, 5]]


def test_alignment_equals_scipy(draw):
    a, b = draw.normal(size=(40, 2)), draw.normal(size=(40, 2))
    assert aligned(a, b)[1] == pytest.approx(procrustes(a, b)[2])
    turned = 2 * a @ np.array([[0.0, 1.0], [1.0, 0.0]]) + 5
    assert aligned(a, turned)[1] < 1e-12
    np.testing.assert_allclose(aligned(a, turned)[0], a, atol=1e-9)


# ---------------------------------------------------------------- representative rows


def test_the_walk_solves_its_equation(draw):
    w = np.abs(draw.normal(size=(30, 30)))
    w = np.triu(w, 1) + np.triu(w, 1).T
    step = w / w.sum(1, keepdims=True)
    exact = np.linalg.solve(np.eye(30) - 0.85 * step.T, np.full(30, 0.15 / 30))
    np.testing.assert_allclose(walk(w), exact, atol=1e-9)


def test_planted_prototypes_come_first_and_near_duplicates_do_not(draw):
    """In the middle of each of four clouds sits a prototype; the biggest cloud also holds five near-copies of its own."""
    middles = np.array([[0, 0], [9, 0], [0, 9], [9, 9]], float)
    cloud = np.concatenate([middles[k] + draw.normal(size=(n, 2)) for k, n in enumerate((60, 40, 40, 40))])
    x = np.concatenate([middles, middles[[0] * 5] + 1e-4 * draw.normal(size=(5, 2)), cloud])
    likeness = np.exp(-squares(x, x) / 2)
    picked = chosen(walk(likeness - np.diag(np.diag(likeness))), likeness, 4)
    where = squares(x[picked], middles).argmin(1)
    assert sorted(where.tolist()) == [0, 1, 2, 3], "one of each cloud, and no two copies"
    assert np.sqrt(squares(x[picked], middles).min(1)).max() < 0.75, "near the middle"


def test_representatives_cover_more_than_chance():
    made = pld.map(planted_groups(), method="representatives", options={"k": 3})
    assert set(made.data["group"]) == {"a", "b", "c"}
    assert made.coverage > made.chance[2]
    assert made.stands_for.sum() == len(planted_groups())


def test_representative_texts_are_central_and_unlike_each_other():
    draw = np.random.default_rng(0)
    themes = [["engine", "oil", "brake", "wheel", "gear"], ["flour", "sugar", "butter", "oven", "yeast"]]
    texts = [" ".join(draw.permutation(themes[i % 2])[:3]) + f" note {i}" for i in range(40)]
    texts += ["engine oil brake wheel gear", "engine oil brake wheel gear again", "flour sugar butter oven yeast"]
    table = read_table(pd.DataFrame({"note": texts, "x": np.arange(len(texts), dtype=float)}), types={"note": "text"})
    made = pld.map(table, method="representatives", options={"column": "note", "k": 2})
    assert {t.split()[0] for t in made.data["note"]} <= {"engine", "flour"}
    assert len({t.split()[0] for t in made.data["note"]}) == 2, "one of each theme, not the near-copy"
    with pytest.raises(ColumnError, match="no column of text"):
        pld.map(table, method="representatives", options={"column": "x"})


# ---------------------------------------------------------------- scatter


def test_a_scatter_counts_what_is_missing():
    made = pld.map(planted_groups(), method="scatter", options={"x": "x1", "y": "x3", "colour": "group", "size": "x2", "shape": "kind"})
    gone = int(planted_groups().frame["x3"].isna().sum())
    assert gone > 0
    assert made.n_left_out == gone == made.missing["x3"]
    assert len(made) == 120 - gone
    assert made.types["group"] == "category"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"x": "x1"}, RequestError, "two columns"),
        ({"x": "x1", "y": "nowhere"}, ColumnError, "not in the table"),
        ({"x": "x1", "y": "x1"}, RequestError, "twice"),
        ({"x": "x1", "y": "x2", "size": "kind"}, RequestError, "as a size"),
        ({"x": "x1", "y": "x2", "shape": "x3"}, RequestError, "as shapes"),
        ({"x": "x1", "y": "x2", "rows": 3}, RequestError, "at least 8"),
    ],
)
def test_a_scatter_that_cannot_be_drawn_says_why(options, error, words):
    with pytest.raises(error, match=words):
        pld.map(planted_groups(), method="scatter", options=options)


# ---------------------------------------------------------------- models


@pytest.fixture(scope="module")
def network():
    table = planted_groups()
    return pld.TabularClassifier(backbone="mlp", max_steps=60, random_state=0, verbose=0).fit(table)


def test_layers_of_a_network_are_mapped_and_new_rows_put_on_them(network):
    table = planted_groups()
    made = pld.map(network, X=table, layer="last", method="pca")
    state = network.predictor().hidden(table.select(network.predictor().columns), "last")
    assert made.what == "layer 'last' of the model"
    centred = state - state.mean(0)
    _, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(made.coordinates.std(0) ** 2 * len(table), s[:2] ** 2, rtol=1e-4)
    np.testing.assert_allclose(made.place(table.take([3, 4]))[["x", "y"]], made.coordinates[3:5], atol=1e-6)
    assert any("has not seen" in c for c in made.caveats)
    assert made.target == "group"
    assert made.answers is not None
    agree = made.answers["predicted"].astype(str).to_numpy() == np.asarray(network.predict(table)).astype(str)
    assert agree.all()
    doubt = 1 - network.predict_proba(table).max(1)
    np.testing.assert_allclose(made.answers["doubt"], doubt, atol=1e-6)


def test_a_model_without_layers_or_rows_is_refused(network):
    from sklearn.linear_model import LogisticRegression

    table = planted_groups()
    plain = LogisticRegression().fit(table.frame[["x1", "x2"]], table.frame["group"])
    with pytest.raises(RequestError, match="no hidden layers"):
        pld.map(plain, X=table.frame[["x1", "x2"]], layer="last")
    assert pld.map(plain, X=table.frame[["x1", "x2"]]).answers["predicted"].isin(["a", "b", "c"]).all()
    with pytest.raises(RequestError, match="Pass X="):
        pld.map(network)
    with pytest.raises(RequestError, match="no layer 'nowhere'"):
        pld.map(network, X=table, layer="nowhere")


def test_the_code_of_a_row_model_follows_a_curved_sheet_that_no_plane_follows():
    """Cells told from the two coordinates of held-out rows, by nearest rows: the code loses less than half of what the plane loses."""
    from sklearn.neighbors import KNeighborsRegressor

    draw = np.random.default_rng(0)
    a, b = draw.uniform(-2, 2, (2, 1500))
    frame = pd.DataFrame({"a": a, "a2": a**2, "b": b, "ab": a * b, "b2": b**2})
    train, new = frame.iloc[:1000], frame.iloc[1000:]
    row_model = pld.RowModel(random_state=0, max_steps=300).fit(train)
    lost = {}
    for name, made in (("code", pld.map(row_model, X=train, method="autoencoder2d")), ("plane", pld.map(train, method="pca"))):
        told = KNeighborsRegressor(10).fit(made.coordinates, train).predict(made.place(new)[["x", "y"]].to_numpy())
        lost[name] = float((((told - new) / frame.std()) ** 2).mean().mean())
    assert lost["code"] < 0.5 * lost["plane"], lost
    with pytest.raises(RequestError, match="row model"):
        pld.map(train, method="autoencoder2d")


# ---------------------------------------------------------------- requests, files


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: pld.map(t, method="pcb"), RequestError, "Did you mean .pca"),
        (lambda t: pld.map(t, options={"row": 5}), RequestError, "Did you mean .rows"),
        (lambda t: pld.map(t, options=[1]), ArgumentError, "mapping"),
        (lambda t: pld.map(t.take([0, 1, 2])), EmptyTableError, "at least 8"),
        (lambda t: pld.map(t, columns=["nowhere"]), ColumnError, "not in the table"),
        (lambda t: pld.map(t, layer="last"), RequestError, "only a model has layers"),
        (lambda t: pld.map(t, X=t), RequestError, "goes with a model"),
        (lambda t: pld.map(t, method="sne", options={"perplexity": 0.5}), RequestError, "above 1"),
        (lambda t: pld.map(t, method="mds", options={"distance": "taxi"}), RequestError, "mixed"),
        (lambda t: pld.map(t, method="representatives", options={"k": 0}), RequestError, "whole number"),
    ],
)
def test_a_wrong_request_says_what_to_do(call, error, words):
    with pytest.raises(error, match=words):
        call(planted_groups())


def test_rows_are_drawn_and_counted():
    made = pld.map(planted_groups(), options={"rows": 50}, columns=["x1", "x2"])
    assert len(made) == 50
    assert any("50 of 120" in c for c in made.caveats)
    assert made.settings["columns"] == ["x1", "x2"]


def test_a_map_is_kept_in_a_file_without_its_machinery(tmp_path):
    made = pld.map(planted_groups())
    write_stage(tmp_path / "map.npz", made)
    again = read_stage(tmp_path / "map.npz")
    np.testing.assert_array_equal(again.coordinates, made.coordinates)
    assert again.words() == made.words()
    with pytest.raises(RequestError, match="same session"):
        again.place(planted_groups())
    with pytest.raises(RequestError, match="no figure"):
        made.figure("beauty")


def test_silhouettes_go_from_the_cells_to_the_outputs(network):
    from pellucid.maps.depth import silhouettes

    made = silhouettes(network, planted_groups(), rows=200)
    assert list(made["layer"]) == ["(cells)", *network.predictor().hidden_layers(), "(outputs)"]
    assert made["silhouette"].iloc[-1] > made["silhouette"].iloc[0]
    assert (made["error"] > 0).all()
