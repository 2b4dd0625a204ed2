"""Doubt and calibration beside other packages on the same inputs: netcal, laplace-torch, torch-uncertainty, MAPIE, betacal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.training import scoring
from pellucid.training.calibration_maps import fit_map
from pellucid.training.calibration_metrics import ece
from pellucid.training.calibrators import Temperature
from pellucid.training.laplace import fit_posterior
from pellucid.uncertainty.members import split_classes

pytestmark = pytest.mark.peer


def claims(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, n)
    return 1 / (1 + np.exp(-2 * z + 0.3)), (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)


def test_calibration_error_and_temperature_are_netcals() -> None:
    metrics = pytest.importorskip("netcal.metrics")
    p, y = claims()
    assert ece(p, y, 15) == pytest.approx(float(metrics.ECE(15).measure(p, y)), abs=1e-9)
    scaling = pytest.importorskip("netcal.scaling")
    theirs = scaling.TemperatureScaling(method="mle")
    theirs.fit(p, y)
    ours = Temperature.fit(np.column_stack([1 - p, p]), y).apply(np.column_stack([1 - p, p]))[:, 1]
    assert np.abs(ours - np.asarray(theirs.transform(p)).reshape(-1)).max() < 0.005


def test_beta_calibration_is_betacals() -> None:
    betacal = pytest.importorskip("betacal")
    p, y = claims()
    theirs = betacal.BetaCalibration(parameters="abm").fit(p.reshape(-1, 1), y)
    ours = fit_map("beta", np.column_stack([1 - p, p]), y, np.full(len(y), 1 / len(y)))
    assert np.abs(ours.apply(np.column_stack([1 - p, p]))[:, 1] - theirs.predict(p)).max() < 0.01  # ours has the pull of one row


@pytest.mark.parametrize("likelihood", ["regression", "classification"])
def test_the_last_layers_posterior_is_laplace_torchs(likelihood: str) -> None:
    laplace = pytest.importorskip("laplace", reason="laplace-torch asks for torchvision: install it and its parts with --no-deps")
    torch.manual_seed(0)
    x, n_out = torch.randn(60, 5), 1 if likelihood == "regression" else 2
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, n_out))
    y = torch.randn(60, 1) if likelihood == "regression" else torch.randint(0, 2, (60,))
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=60)
    theirs = laplace.Laplace(net, likelihood, subset_of_weights="last_layer", hessian_structure="full", prior_precision=2.0)
    theirs.fit(data)
    hidden = torch.cat([net[1](net[0](x)), torch.ones(60, 1)], 1).detach().double()[:, None]
    if likelihood == "regression":  # their noise is sigma = 1
        ours = fit_posterior(hidden, torch.ones(60, 1, 1, dtype=torch.float64), torch.ones(60, dtype=torch.float64), 2.0)
        order = [*range(7)]  # weights, then the bias
        torch.testing.assert_close(ours.covariance()[0, 0].float(), theirs.posterior_covariance[order][:, order], atol=1e-5, rtol=1e-4)
        return
    # two logits of theirs are one of ours: their difference, of prior variance 2 / tau
    p = net(x).softmax(1).detach().double()[:, 1]
    ours = fit_posterior(hidden, (p * (1 - p))[:, None, None], torch.ones(60, dtype=torch.float64), 1.0)
    _, variance = theirs._glm_predictive_distribution(x)
    difference = variance[:, 0, 0] + variance[:, 1, 1] - 2 * variance[:, 0, 1]
    torch.testing.assert_close(ours.variance(hidden)[:, 0, 0].float(), difference.detach(), atol=1e-5, rtol=1e-4)


def test_members_information_is_torch_uncertaintys() -> None:
    metric = _alone("torch_uncertainty", "metrics/classification/mutual_information.py").MutualInformation(reduction="none")
    p = np.random.default_rng(0).dirichlet(np.ones(3), (50, 4))
    metric.update(torch.from_numpy(p))
    np.testing.assert_allclose(split_classes(p)[1], metric.compute().numpy(), atol=1e-5)


def _alone(package: str, file: str):
    """Return one file of a package whose face asks for packages of images."""
    import importlib.util
    from pathlib import Path

    pytest.importorskip("torchmetrics")
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    spec = importlib.util.spec_from_file_location("alone", Path(found.submodule_search_locations[0]) / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_interval_score_is_mapies() -> None:
    regression = pytest.importorskip("mapie.metrics.regression")
    rng = np.random.default_rng(0)
    y, low = rng.normal(size=200), rng.normal(-1, 0.2, 200)
    high = low + rng.uniform(0.5, 3, 200)
    theirs = regression.regression_mwi_score(y, np.stack([low, high], 1)[:, :, None], 0.9)
    assert scoring.winkler(y, low, high, 0.9).mean() == pytest.approx(float(theirs), rel=1e-9)
