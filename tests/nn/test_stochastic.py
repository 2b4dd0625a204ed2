"""Networks with the statistics of single batches: what they hold, how far they spread, and what they cannot be made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.norms import GhostNorm, norms_over_rows
from pellucid.nn.stochastic import stochastic_statistics
from pellucid.nn.table_net import TableNet


class Lone(nn.Module):
    """Tokens to one norm, and nothing else."""

    def __init__(self, n_tokens: int, d_token: int, norm: type[nn.Module] = GhostNorm) -> None:
        super().__init__()
        self.norm = norm(n_tokens * d_token)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(tokens.flatten(1))


@pytest.mark.parametrize("norm", [GhostNorm, nn.BatchNorm1d])
def test_a_lone_norm_answers_by_mean_and_variance_of_each_batch(sizes, cells, norm) -> None:
    net = TableNet(sizes, lambda n, d: Lone(n, d, norm), 1, d_token=3, head="identity").eval()
    batches = torch.tensor([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
    before = {n: v.clone() for n, v in net.state_dict().items()}
    made = stochastic_statistics(net, cells, batches)
    x = net.tokens(cells).flatten(1).detach()
    for one, rows in zip(made, batches):
        of = x[rows]
        expected = (x - of.mean(0)) / (of.var(0) + 1e-5).sqrt()
        torch.testing.assert_close(one(cells)[:, 0].detach(), expected, rtol=1e-3, atol=1e-3)
        assert norms_over_rows(one)[0].momentum == norms_over_rows(net)[0].momentum
        assert not one.training
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items()), "the network itself stays as it is"


def test_the_layers_statistics_of_one_batch_belong_together(sizes, cells) -> None:
    options = {"width": 8, "blocks": 2, "dropout": 0.0}
    net = TableNet(sizes, "resnet", 1, d_token=3, options=options, embedding={"category_dropout": 0.0})
    rows = torch.arange(16)
    (one,) = stochastic_statistics(net, cells, rows[None])
    # of the batch itself the copy says what the training pass says, up to the unbiased variance
    with torch.no_grad():
        learning = net.train()(cells.take(rows))
        torch.testing.assert_close(one(cells.take(rows)), learning, rtol=0.15, atol=0.05)
        assert float((net.eval()(cells.take(rows)) - learning).abs().max()) > 0.2


@pytest.mark.parametrize("name", ["mlp", "tabm", "ft_transformer"])
def test_a_network_without_batch_norm_is_refused(sizes, cells, name) -> None:
    with pytest.raises(RequestError, match="this network has none"):
        stochastic_statistics(TableNet(sizes, name, 1, d_token=8), cells, torch.zeros(1, 4, dtype=torch.int64))


@pytest.mark.parametrize("name", ["resnet", "tabnet"])
def test_the_backbones_with_batch_norm_can_be_sampled(sizes, cells, name) -> None:
    width = 1 if name == "tabnet" else 4
    net = TableNet(sizes, name, 1, d_token=width, embedding={"number": "plain"}, seed=1).eval()
    batches = torch.stack([torch.randperm(23, generator=torch.Generator().manual_seed(s))[:16] for s in range(4)])
    with torch.no_grad():
        answers = torch.stack([one(cells) for one in stochastic_statistics(net, cells, batches)])
    assert torch.isfinite(answers).all()
    assert float(answers.std(0).mean()) > 1e-3
