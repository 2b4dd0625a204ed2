"""Named losses against their definitions, what their answers mean, and what they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde
from torch.nn import functional

from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.errors import ArgumentError, RequestError, TargetError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.training.batches import Batches
from pellucid.training.loop import fit_network
from pellucid.training.losses import LOSSES, named_loss
from pellucid.training.objectives import Objective, classification, regression
from pellucid.training.predict import predict_in_chunks
from pellucid.training.recipe import TrainSettings, builder

QUICK = {"verbose": 0, "threads": 1, "random_state": 0}


def test_focal_is_cross_entropy_with_rows_already_right_counting_less() -> None:
    torch.manual_seed(0)
    raw, y = torch.randn(9, 3, 4), torch.randint(0, 4, (9,))
    p = raw.softmax(2).gather(2, y[:, None, None].expand(-1, 3, 1))[..., 0]
    made = classification(4).with_loss({"focal": {"gamma": 1.5}}, y.numpy())
    torch.testing.assert_close(made.losses(raw, y), (-((1 - p) ** 1.5) * p.log()).mean(1))
    plain = classification(4).with_loss({"focal": {"gamma": 0.0}}, y.numpy())
    torch.testing.assert_close(plain.losses(raw, y), classification(4).losses(raw, y))
    two, code = classification(2).with_loss("focal", np.array([0, 1])), torch.tensor([1, 0])
    far = torch.tensor([[[60.0]], [[60.0]]], requires_grad=True)
    two.losses(far, code).sum().backward()
    assert torch.isfinite(far.grad).all()
    torch.testing.assert_close(two.losses(far, code).detach(), torch.tensor([0.0, 60.0]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_logit_adjustment_adds_the_log_share_of_each_class(classes: int) -> None:
    torch.manual_seed(0)
    y = np.repeat(np.arange(classes), [70, 20, 10][:classes])
    share = torch.tensor(np.bincount(y) / len(y), dtype=torch.float32)
    made = classification(classes).with_loss({"logit_adjusted": {"tau": 2.0}}, y)
    raw = torch.randn(len(y), 2, made.n_outputs)
    full = raw if classes > 2 else torch.cat([torch.zeros_like(raw), raw], 2)
    codes = torch.from_numpy(y)
    expected = torch.stack([functional.cross_entropy(full[:, k] + 2 * share.log(), codes, reduction="none") for k in range(2)], 1).mean(1)
    torch.testing.assert_close(made.losses(raw, codes), expected)


def test_poisson_and_its_answers() -> None:
    y = np.array([0.0, 2, 5, 1])
    made = regression(y).with_loss("poisson", y)
    raw = torch.randn(4, 3, 1)
    prepared = made.prepare(y)
    mean = raw.exp() * y.mean()
    torch.testing.assert_close(made.answers(raw), mean.double())
    count = torch.tensor(y, dtype=torch.float32)[:, None, None].expand(-1, 3, 1)
    constant = count * float(np.log(y.mean()))  # of the unit, without a slope
    expected = (functional.poisson_nll_loss(mean.log(), count, reduction="none") + constant).mean((1, 2))
    torch.testing.assert_close(made.losses(raw, prepared) * float(y.mean()), expected, rtol=1e-5, atol=1e-5, check_dtype=False)
    from sklearn.metrics import mean_poisson_deviance

    answers = made.answers(raw).mean(1).numpy()
    assert made.named.score(y[:, None], answers, np.ones(4)) == pytest.approx(mean_poisson_deviance(y, answers[:, 0]))
    assert torch.isfinite(made.losses(torch.full((4, 1, 1), 1e4), prepared)).all()
    with pytest.raises(TargetError, match="not negative"):
        regression(y).with_loss("poisson", y - 1)


def test_the_quantile_loss_is_least_at_the_quantile() -> None:
    y = np.random.default_rng(0).exponential(size=4001)
    made = regression(y).with_loss({"quantile": {"level": 0.9}}, y)
    grid = np.linspace(0, 6, 601)
    raw = torch.tensor(((grid - made.center) / made.scale), dtype=torch.float32)
    mean = [float(made.losses(r.expand(len(y), 1, 1), made.prepare(y)).mean()) for r in raw]
    assert grid[int(np.argmin(mean))] == pytest.approx(np.quantile(y, 0.9), abs=0.011)
    with pytest.raises(RequestError, match="no such quantile"):
        named_loss({"quantile": {"level": 1.0}}, "regression")


def test_cisir_weights_are_those_of_the_density() -> None:
    rng = np.random.default_rng(0)
    y = np.r_[rng.normal(size=900), rng.normal(6, 1, 100)]
    made = regression(y).with_loss({"cisir": {"alpha": 0.85}}, y)
    p = gaussian_kde(y, bw_method="scott")(y)
    p = p / (1.001 * p.max())
    expected = np.maximum((1 - p**0.85) ** (1 / 0.85), 1e-3)
    found = made.named.importance(made.prepare(y)).numpy()
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=0.05, atol=0.02)
    assert found.mean() == pytest.approx(1, abs=1e-3)
    assert np.corrcoef(found, p)[0, 1] < -0.99


def test_cisir_is_the_weighted_error_plus_one_minus_the_correlation() -> None:
    y = np.random.default_rng(0).gamma(1.0, size=50)
    made = regression(y).with_loss({"cisir": {"correlation": 2.0}}, y)
    raw, target = torch.randn(50, 1, 1), made.prepare(y)
    r = np.corrcoef(raw[:, 0, 0].numpy(), y)[0, 1]
    expected = ((raw[:, 0, 0] - target[:, 0]).square() * made.named.importance(target)).mean() + 2 * (1 - r)
    assert float(made.losses(raw, target).mean()) == pytest.approx(float(expected), rel=1e-4)
    with pytest.raises(RequestError, match="learns one number"):
        regression(np.zeros((3, 2))).with_loss("cisir", np.zeros((3, 2)))


def test_stratified_batches_all_hold_rare_rows_and_every_row_once() -> None:
    y = np.random.default_rng(0).exponential(size=1003)
    batches = Batches([np.arange(1003)], 64, 0, strata=y)
    rare = set(np.argsort(-y)[: batches.per_epoch])
    seen = []
    for step in range(batches.per_epoch):
        rows, valid = batches.rows(step)
        assert len(rare & set(rows[0][valid[0]])) == 1
        assert abs(np.mean(y[rows]) - y.mean()) < 0.1
        seen += rows[0][valid[0]].tolist()
    assert sorted(seen) == list(range(1003))
    assert not np.array_equal(batches.rows(0)[0], batches.rows(batches.per_epoch)[0])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_named_loss_goes_round(name: str) -> None:
    y = np.arange(12) % 3
    made = classification(3) if LOSSES[name].task == "classification" else regression(y)
    made = made.with_loss(name, y)
    again = Objective.from_state(made.state())
    raw, target = torch.randn(12, 2, made.n_outputs), made.prepare(y)
    torch.testing.assert_close(again.losses(raw, target), made.losses(raw, target))
    assert torch.equal(again.answers(raw), made.answers(raw))


def test_what_is_no_loss_is_named() -> None:
    y = np.arange(4.0)
    with pytest.raises(ArgumentError, match="loss cannot be used for regression"):
        regression(y).with_loss("focal", y)
    with pytest.raises(RequestError, match="no option 'gama'"):
        classification(2).with_loss({"focal": {"gama": 1}}, np.array([0, 1]))
    with pytest.raises(ArgumentError, match="loss cannot be used"):
        TabularClassifier(loss="hinge", **QUICK).fit(np.arange(40.0)[:, None], np.arange(40) % 2)


def test_estimators_take_names_keep_them_and_answer_by_them(tmp_path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    counts = rng.poisson(np.exp(0.5 + X[:, 0]))
    model = TabularRegressor(loss="poisson", backbone="mlp", **QUICK).fit(X, counts)
    assert (model.predict(X) > 0).all()
    assert model.predict(X).mean() == pytest.approx(counts.mean(), rel=0.15)
    assert model.record_["training"]["stop_metric"] == "poisson"
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.loss == "poisson"
    why = model.explain(X[:4], method="integrated_gradients")  # it differentiates the answers, link and all
    np.testing.assert_allclose(why.values.sum(1) + why.base_values.ravel(), model.predict(X[:4]), rtol=0.02, atol=0.02)
    level = TabularRegressor(loss={"quantile": {"level": 0.9}}, max_steps=20, **QUICK).fit(X, X[:, 0] + rng.normal(size=400))
    level.save(tmp_path / "q")
    assert load(tmp_path / "q").loss == {"quantile": {"level": 0.9}}


def test_logit_adjustment_finds_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3))
    y = X[:, 0] + rng.normal(size=1500) > 2.3
    test = rng.normal(size=(4000, 3))
    truth = test[:, 0] + rng.normal(size=4000) > 2.3
    found = [
        TabularClassifier(loss=loss, backbone="mlp", max_steps=150, **QUICK).fit(X, y).predict(test) for loss in (None, "logit_adjusted")
    ]
    plain, adjusted = (((f & truth).sum() / truth.sum() + (~f & ~truth).sum() / (~truth).sum()) / 2 for f in found)
    assert adjusted > plain + 0.05


def imbalanced(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and a target with a long tail: the commonest values are far more than a thousand times as dense as the largest."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, np.exp(1.3 * x[:, 0] + 0.5 * x[:, 1]) + 0.1 * rng.normal(size=n)


def rare_and_all(loss: str | None, weights: bool, seed: int) -> tuple[float, float]:
    """Return (error on rare targets, correlation over all) on new rows."""
    (x, y), (new, truth) = imbalanced(seed), imbalanced(seed + 100, 20_000)
    made = regression(y).with_loss(loss, y)
    w = None
    if weights:
        bins = np.minimum(((y - y.min()) / (y.max() - y.min()) * 50).astype(int), 49)
        w = 1 / np.bincount(bins, minlength=50)[bins]
    edges = np.quantile(x[:, 0], np.linspace(0, 1, 17)).astype(np.float32)
    sizes = CellSizes(5, (edges,) * 5, (), 0, tuple(range(5)), (), ())
    cells = [Cells(torch.tensor(a, dtype=torch.float32), torch.zeros(a.shape, dtype=torch.bool), torch.zeros(len(a), 0, dtype=torch.int64),
                   torch.zeros(len(a), 0, 0)) for a in (x, new)]  # fmt: skip
    settings = TrainSettings(backbone="mlp", width=64, blocks=2, d_token=8, batch=256, steps=400, precision="fp32", compile=False)
    parts = [(np.arange(3200), np.arange(3200, 4000))]
    fitted = fit_network(builder(sizes, settings, 1), cells[0], y, w, parts, made, settings, seed=seed, threads=1, device="cpu")
    answer = made.answers(predict_in_chunks(fitted.net, cells[1])).mean(1)[:, 0].numpy()
    rare = truth > np.quantile(truth, 0.995)
    return float(np.abs(answer - truth)[rare].mean()), float(np.corrcoef(answer, truth)[0, 1])


@pytest.mark.long
def test_cisir_serves_rare_targets_better_than_squared_error_and_inverse_frequency() -> None:
    ways = {"plain": (None, False), "inverse": (None, True), "cisir": ("cisir", False)}
    found = {name: np.mean([rare_and_all(*way, seed) for seed in range(3)], 0) for name, way in ways.items()}
    assert found["cisir"][0] < min(found["plain"][0], found["inverse"][0])
    assert found["cisir"][1] > max(found["plain"][1], found["inverse"][1])
