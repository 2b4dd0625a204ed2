"""Tree-mimic: a box by hand, walls that sharpen, and a box that is learned."""

from __future__ import annotations

import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.backbones.tree_mimic import TreeMimic


def _box(sharpness: float) -> TreeMimic:
    """Return one region: x1 > 0.2 and x2 < 0.5, of three columns."""
    net = TreeMimic(3, 1, regions=1, cuts=2, sharpness=sharpness)
    with torch.no_grad():
        net.choice.copy_(torch.tensor([[[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]]))
        net.direction.copy_(torch.tensor([[[-1.0], [1.0]]]))
        net.bias.copy_(torch.tensor([[0.2, -0.5]]))
        net.log_sharpness.fill_(sharpness).log_()
    return net


def test_a_box_by_hand() -> None:
    net = _box(4.0)
    rows = torch.tensor([[0.3, 0.4, 9.0], [0.1, 0.4, -9.0], [0.3, 0.6, 0.0], [-0.05, 0.6, 0.0], [0.1, 0.6, 0.0]])[..., None]
    member, parts = net.explained(rows)
    # 0.1 beyond a wall costs 0.4; 0.25 beyond it, all; costs of two walls add up
    torch.testing.assert_close(member[:, 0, 0], torch.tensor([1.0, 0.6, 0.6, 0.0, 0.2]))
    torch.testing.assert_close(parts["outside"][1, 0], torch.tensor([0.4, 0.0]))
    torch.testing.assert_close(net(rows)[0], member)
    assert net.rules()["masks"].tolist() == [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]


def test_the_boundary_sharpens_with_c_and_the_rectangle_is_told() -> None:
    x = torch.rand(20_000, 3, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    truth = (x[:, 0, 0] > 0.2) & (x[:, 1, 0] < 0.5)
    between, right = [], []
    for sharpness in (2.0, 8.0, 32.0, 128.0):
        member = _box(sharpness)(x)[0][:, 0, 0]
        between.append(float(((member > 0) & (member < 1)).float().mean()))
        right.append(float(((member > 0.5) == truth).float().mean()))
    assert between == sorted(between, reverse=True)
    assert between[-1] < 0.01 < 0.3 < between[0]
    assert right == sorted(right)
    assert right[-1] > 0.99


def test_masked_columns_have_no_influence() -> None:
    torch.manual_seed(0)
    net, x, masked = TreeMimic(3, 2, regions=8), torch.randn(7, 3, 2), torch.zeros(7, 3, dtype=torch.bool)
    masked[:, 1] = True
    other = x.clone()
    other[:, 1] += 9
    assert torch.equal(net(x, masked)[0], net(other, masked)[0])
    assert not torch.equal(net(x)[0], net(other)[0])


def test_a_rectangle_among_noise_columns_is_learned() -> None:
    """Two thresholds, three columns that say nothing: 99 % of new rows are told."""
    torch.manual_seed(0)
    x = torch.rand(12_000, 5, 1) * 2 - 1
    y = ((x[:, 0, 0] > 0.2) & (x[:, 1, 0] < 0.5)).float()
    net, head = TreeMimic(5, 1, regions=64, cuts=2, sharpness=2.0), torch.nn.Linear(64, 1)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], 0.03)
    for step in range(500):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / 500)
        rows = torch.randint(4000, (512,))
        hidden, parts = net(x[rows])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(hidden[:, 0])[:, 0], y[rows]) + parts["penalty"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        said = head(net(x[4000:])[0][:, 0])[:, 0] > 0
    assert float((said == (y[4000:] > 0)).float().mean()) >= 0.99


def test_the_penalty_is_the_entropy_of_the_masks() -> None:
    net = TreeMimic(4, 1, regions=1, cuts=2, lambda_sparse=0.5)
    with torch.no_grad():
        net.choice.copy_(torch.tensor([[[9.0, 0, 0, 0], [0, 0, 0, 0]]]))
    penalty = net(torch.randn(3, 4, 1))[1]["penalty"]
    torch.testing.assert_close(penalty, torch.full((3,), 0.5 * float(torch.tensor(4.0).log()) / 2))


@pytest.mark.parametrize("wrong", [{"sharpness": 0.0}, {"mask": "hard"}])
def test_bad_options_are_refused(wrong: dict) -> None:
    with pytest.raises(RequestError):
        TreeMimic(3, 1, **wrong)
