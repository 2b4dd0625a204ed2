"""TabNet: the laws of its masks, the equations by hand, and pretraining."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.backbones.tabnet import TabNet, aggregate, mask_entropy
from pellucid.nn.backbones.tabnet_pretraining import TabNetPretrainer, pretrain_tabnet
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.table_net import TableNet


def _net(columns: int = 6, width: int = 1, **options: object) -> TabNet:
    """Return a network whose norms have seen rows, and whose masks are as sparse as after training."""
    torch.manual_seed(0)
    net = TabNet(columns, width, **{"n_d": 4, "n_a": 4, **options})  # type: ignore[arg-type]
    for chooser in net.choosers:
        torch.nn.init.ones_(chooser.norm.weight)
    for _ in range(60):
        net(torch.randn(256, columns, width))
    return net.eval()


@pytest.mark.parametrize("mask", ["sparsemax", "entmax"])
@pytest.mark.parametrize("width", [1, 3])
def test_masks_and_importance_sum_to_one(mask: str, width: int) -> None:
    net = _net(width=width, mask=mask)
    tokens = torch.randn(50, 6, width)
    hidden, parts = net.explained(tokens)
    assert parts["masks"].shape == (50, 3, 6)
    assert (parts["masks"] >= 0).all()
    torch.testing.assert_close(parts["masks"].sum(2), torch.ones(50, 3))
    torch.testing.assert_close(parts["importance"].sum(1), torch.ones(50))
    torch.testing.assert_close(net(tokens)[0], hidden)
    torch.testing.assert_close(parts["decisions"].sum(1), hidden[:, 0])
    if mask == "sparsemax":
        assert (parts["masks"] == 0).float().mean() > 0.3, "the masks are not sparse"


def test_the_steps_by_hand() -> None:
    """M = sparsemax(P h(a)), [d, a] = f(M f), P shrinks by gamma - M, and out = W sum relu(d) + b."""
    from pellucid.nn.sparse import sparsemax

    net, tokens = _net(gamma=1.3), torch.randn(20, 6, 1)
    f = net.norm(tokens[..., 0])
    a, prior, total = net.first(f, net.shared)[:, 4:], torch.ones(20, 6), torch.zeros(20, 4)
    _, parts = net.explained(tokens)
    for i in range(3):
        h = net.choosers[i].norm(a @ net.choosers[i].linear.weight.T)
        mask = sparsemax(prior * h)
        d, a = net.steps[i](mask * f, net.shared).chunk(2, 1)
        prior, total = prior * (1.3 - mask), total + torch.relu(d)
        torch.testing.assert_close(parts["masks"][:, i], mask)
        torch.testing.assert_close(parts["information"][:, i], a)
    head = torch.nn.Linear(4, 2)
    torch.testing.assert_close(head(net(tokens)[0][:, 0]), total @ head.weight.T + head.bias)


def test_a_step_by_hand() -> None:
    """Gated layers: the first as it is, the others added and scaled by sqrt(1/2); shared matrices with norms of their own."""
    net = _net()
    step, x = net.steps[1], torch.randn(9, 6)
    y = x
    for i, layer in enumerate(step.layers):
        u, v = layer.norm(y @ (net.shared[i].weight if i < 2 else layer.weight).T).chunk(2, 1)
        y = u * torch.sigmoid(v) if i == 0 else (y + u * torch.sigmoid(v)) * math.sqrt(0.5)
    torch.testing.assert_close(step(x, net.shared), y)
    assert [layer.weight is None for layer in step.layers] == [True, True, False, False]


def test_with_gamma_one_no_column_is_used_wholly_twice() -> None:
    net, tokens = _net(gamma=1.0, n_steps=4), torch.randn(500, 6, 1)
    for chooser in net.choosers:
        torch.nn.init.constant_(chooser.norm.weight, 4.0)  # strong scores: many masks of one column
    masks = net.explained(tokens)[1]["masks"]
    full = masks == 1
    assert full.any(2).float().mean() > 0.2
    for i in range(3):
        later = masks[:, i + 1 :].amax(1)
        assert not later[full[:, i]].any(), "a column that one step used wholly is used again"


class _Wish(torch.nn.Module):
    """A chooser that always wants the same columns."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, information: torch.Tensor) -> torch.Tensor:
        return self.scores


def test_a_larger_gamma_lets_steps_share_columns() -> None:
    """Steps that want the same columns get them the more the larger gamma is."""
    tokens, scores, overlap = torch.randn(500, 6, 1), torch.randn(500, 6).abs(), []
    for gamma in (1.0, 1.2, 1.5, 2.0, 3.0):
        net = TabNet(6, 1, 4, 4, n_steps=2, gamma=gamma).eval()
        net.choosers = torch.nn.ModuleList([_Wish(scores), _Wish(scores)])
        first, second = net.explained(tokens)[1]["masks"].unbind(1)
        overlap.append(float(torch.minimum(first, second).sum(1).mean()))
    assert overlap == sorted(overlap), overlap
    assert overlap[-1] > overlap[0] + 0.2, overlap


def test_masked_columns_are_neither_read_nor_chosen() -> None:
    net, tokens, masked = _net(), torch.randn(40, 6, 1), torch.zeros(40, 6, dtype=torch.bool)
    masked[:, 1] = True
    masked[:3] = True  # a row may have nothing left
    other = tokens.clone()
    other[:, 1] += 9
    (one, parts), (two, _) = net.explained(tokens, masked), net.explained(other, masked)
    assert torch.equal(one, two)
    assert not parts["masks"][3:, :, 1].any()
    assert torch.isfinite(one).all()
    torch.testing.assert_close(parts["masks"].sum(2), torch.ones(40, 3))
    assert not torch.equal(net(tokens)[0], net(other)[0])


def test_the_aggregate_by_hand_and_without_any_decision() -> None:
    masks = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]])
    decisions = torch.tensor([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(aggregate(masks, decisions), torch.tensor([[2.5 / 4, 1.5 / 4], [0.5, 0.5]]))


def test_the_penalty_is_the_mean_entropy_of_the_masks() -> None:
    torch.testing.assert_close(mask_entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])), torch.tensor([0.0, math.log(2)]))
    net, tokens = _net(lambda_sparse=0.3), torch.randn(30, 6, 1)
    entropy = mask_entropy(net.explained(tokens)[1]["masks"].flatten(0, 1)).view(30, 3).mean(1)
    torch.testing.assert_close(net(tokens)[1]["penalty"], 0.3 * entropy)


def test_a_larger_lambda_uses_fewer_columns_per_step() -> None:
    """Trained on a sum of all columns, masks spread; the penalty narrows them."""
    x = torch.randn(1024, 6, 1, generator=torch.Generator().manual_seed(0))
    y, used = x[..., 0].sum(1), []
    for weight in (0.0, 1.0, 10.0):
        torch.manual_seed(0)
        net, head = TabNet(6, 1, 4, 4, gamma=2.0, lambda_sparse=weight), torch.nn.Linear(4, 1)
        optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], 0.02)
        for step in range(60):
            rows = slice(256 * (step % 4), 256 * (step % 4 + 1))
            hidden, parts = net(x[rows])
            loss = (head(hidden[:, 0])[:, 0] - y[rows]).square().mean() + parts["penalty"].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        used.append(float((net.eval().explained(x)[1]["masks"] > 0).float().sum(2).mean()))
    assert used == sorted(used, reverse=True), used
    assert used[0] > used[-1] + 0.5, used


def test_the_first_masks_leave_nearly_all_columns_open() -> None:
    share = []
    for start in (None, 1.0):
        torch.manual_seed(0)
        net = TabNet(8, 1, momentum=0.9)
        for chooser in net.choosers if start else ():
            torch.nn.init.constant_(chooser.norm.weight, start)
        for _ in range(5):
            net(torch.randn(256, 8, 1))
        share.append(float((net.eval().explained(torch.randn(100, 8, 1))[1]["masks"] > 0).float().mean()))
    assert share[0] > 0.8 > 0.5 > share[1], share


@pytest.mark.parametrize("wrong", [{"mask": "softmax"}, {"gamma": 0.9}, {"n_steps": 0}, {"n_shared": 0, "n_own": 0}])
def test_bad_options_are_refused(wrong: dict) -> None:
    with pytest.raises(RequestError):
        TabNet(3, 1, **wrong)


@pytest.mark.parametrize("layers", [(0, 2), (2, 0), (1, 1)])
def test_shared_or_own_layers_may_be_absent(layers: tuple[int, int]) -> None:
    net = TabNet(3, 1, 4, 4, n_shared=layers[0], n_own=layers[1])
    net(torch.randn(8, 3, 1))[0].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def _copies(n: int = 1500) -> tuple[TableNet, Cells]:
    """Return rows of six columns that three numbers explain, the third pair by a curve."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(n, 3, generator=g)
    x = torch.cat([z, z[:, :2], z[:, 2:].square()], 1) + 0.1 * torch.randn(n, 6, generator=g)
    cells = Cells(x, torch.zeros_like(x, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0))
    sizes = CellSizes(6, (np.array([-1, 1], np.float32),) * 6, (), 0, tuple(range(6)), (), ())
    return TableNet(sizes, "tabnet", d_token=1, options={"n_d": 8, "n_a": 8}, embedding={"number": "plain"}), cells


def test_pretraining_tells_hidden_cells_better_than_their_mean() -> None:
    net, cells = _copies()
    train, test = cells.take(slice(0, 1200)), cells.take(slice(1200, None))
    before = {n: p.clone() for n, p in net.named_parameters()}
    state = torch.random.get_rng_state()
    made = pretrain_tabnet(net, train, steps=80, seed=1, lr=3e-2)
    assert torch.equal(state, torch.random.get_rng_state())
    assert made.before == pytest.approx(1, abs=0.2), "the first guess is not the mean"
    assert made.after < 0.8
    tokens = net.tokens(test).detach()
    hidden = made.pretrainer.hide(len(tokens), torch.Generator().manual_seed(5))
    spread, center = torch.std_mean(tokens, 0, correction=0)
    with torch.no_grad():
        assert made.pretrainer.loss(tokens, hidden, center, spread) < 0.85, "new rows are not told"
    changed = {n.split(".")[0] for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"backbone"}, "more or less than the encoder was trained"


def test_pretraining_is_repeatable_and_guesses_from_seen_cells_alone() -> None:
    losses = []
    for _ in range(2):
        net, cells = _copies(300)
        losses.append(pretrain_tabnet(net, cells, steps=5, seed=3)[1:])
    assert losses[0] == losses[1]
    model, tokens = TabNetPretrainer(net.backbone).eval(), torch.randn(10, 6, 1)
    hidden = model.hide(10, torch.Generator().manual_seed(0))
    other = torch.where(hidden[..., None], 7.0, tokens)
    assert torch.equal(model(tokens, hidden), model(other, hidden))


def test_constant_columns_do_not_spoil_the_loss() -> None:
    model, tokens = TabNetPretrainer(TabNet(3, 1, 4, 4)).eval(), torch.randn(10, 3, 1)
    tokens[:, 1] = 2.0
    spread, center = torch.std_mean(tokens, 0, correction=0)
    loss = model.loss(tokens, torch.ones(10, 3, dtype=torch.bool), center, spread)
    assert torch.isfinite(loss)
    assert loss < 50


def test_only_a_tabnet_is_pretrained() -> None:
    _, cells = _copies(20)
    with pytest.raises(RequestError, match="TabNet"):
        pretrain_tabnet(TableNet(CellSizes(1, (np.array([0, 1], np.float32),), (), 0, (0,), (), ()), "mlp"), cells)
