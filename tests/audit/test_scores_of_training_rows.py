"""Scores of training rows: gradients against a loop, planted label errors at the top, snapshots of a refit."""

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid as pld
from pellucid.audit import el2n, grand, vog
from pellucid.audit.row_scores import row_scores
from pellucid.audit.training_rows import watched
from pellucid.errors import RequestError
from pellucid.nn.gradients.row_norms import row_norms
from pellucid.nn.table_net import TableNet
from pellucid.table import read_table
from pellucid.testing.checks_audit import clean_frame
from pellucid.testing.checks_backbone import some_cells, some_sizes


@pytest.fixture(scope="module")
def planted():
    """Return (table, which labels are wrong): a rule that a network learns, a tenth of the labels turned over."""
    draw, frame = np.random.default_rng(0), clean_frame(600)
    wrong = draw.random(600) < 0.1
    return read_table(frame.assign(ill=np.where((frame["pressure"] > 120) ^ wrong, "yes", "no")), target="ill"), wrong


@pytest.fixture(scope="module")
def model(planted):
    return pld.TabularClassifier(backbone="mlp", max_steps=60, random_state=0, verbose=0).fit(planted[0])


@pytest.fixture(scope="module")
def runs(model):
    return watched(model.refitter())


def test_a_refit_keeps_snapshots_in_order(runs, model):
    assert len(runs.seeds) == 2
    first, last = runs.seeds[0][0], runs.seeds[0][-1]
    assert len(runs.seeds[0]) > 3
    table = runs.table.take(slice(0, 50))
    assert np.abs(first.raw(table)).mean() < np.abs(last.raw(table)).mean()  # it has become surer
    with pytest.raises(RequestError, match="step by step"):
        pld.TabularClassifier(backbone="linear", verbose=0).fit(runs.table, runs.target).refitter()(checkpoints=3)


def test_row_norms_are_those_of_a_loop(model):
    predictor, refit = model.predictor(), model.refitter()
    table, target = refit.table.take(slice(0, 12)), refit.target[:12]
    engine = predictor.engine
    loop = []
    for net in engine._single():
        weights = [p for p in net.parameters() if p.requires_grad]
        cells, goal, norms = engine.cells(table), engine.objective.prepare(target), []
        for i in range(len(table)):
            loss = engine.objective.losses(net(cells.take(slice(i, i + 1))).float(), goal[i : i + 1]).sum()
            grads = torch.autograd.grad(loss, weights, allow_unused=True)
            norms.append(float(sum((g.double() ** 2).sum() for g in grads if g is not None)) ** 0.5)
        loop.append(norms)
    np.testing.assert_allclose(predictor.gradient_norms(table, target), np.mean(loop, 0), rtol=1e-5)


def test_row_norms_follow_weights_that_are_single_numbers():
    cells = some_cells(3, 4)
    net = TableNet(some_sizes(4), "prototype", 1, d_token=6, options={"width": 16, "d_row": 8}, seed=0).eval()
    net.set_bank(some_cells(20, 4, 1), torch.randn(20, 1), of_classes=False)
    assert any(p.ndim == 0 for p in net.parameters())
    target = torch.randn(3)

    def losses(outputs, goal):
        return (outputs[:, 0, 0] - goal).square()

    with torch.no_grad():
        kept = net._remembered()  # rows that are kept stand as they are encoded
    for i, norm in enumerate(row_norms(net, cells, target, losses)):
        out = net._read(*net._run(net.backbone(net.embedding(cells.take(slice(i, i + 1))), **kept)))
        grads = torch.autograd.grad(losses(out, target[i : i + 1]).sum(), list(net.parameters()), allow_unused=True)
        assert norm == pytest.approx(float(sum(g.double().square().sum() for g in grads if g is not None)) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(("score", "times"), [(el2n, 5.0), (grand, 2.0)])
def test_wrong_labels_gather_at_the_top(planted, runs, score, times):
    wrong = planted[1]
    found = score.scores(runs)
    top = np.argsort(-found)[: len(found) // 20]
    assert wrong[top].mean() >= times * wrong.mean()


def test_scores_of_the_same_kind_agree(runs):
    a, b = pd.Series(el2n.scores(runs)), pd.Series(grand.scores(runs))
    assert a.rank().corr(b.rank()) > 0.1
    assert np.isfinite(vog.scores(runs)).all()


def test_el2n_is_the_norm_of_the_miss(runs):
    p = 1 / (1 + np.exp(-runs.early(0).raw(runs.table)[:, 0]))
    q = 1 / (1 + np.exp(-runs.early(1).raw(runs.table)[:, 0]))
    expected = np.sqrt(2) * (np.abs(p - runs.target) + np.abs(q - runs.target)) / 2
    np.testing.assert_allclose(el2n.scores(runs), expected)


@pytest.mark.long
def test_the_audit_names_them(planted, model, runs):
    found = {f.kind: f for f in pld.audit(planted[0], predictor=model, refit=True)}
    hard = found["training rows: el2n"]
    assert planted[1][hard.rows].mean() > 0.5
    assert "rank correlation with EL2N" in found["training rows: grand"].evidence


def test_a_score_needs_rows(model):
    with pytest.raises(RequestError, match="knows its rows"):
        row_scores(lambda **_: None)
