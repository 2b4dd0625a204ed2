"""Whole networks: their entrances agree, rows are independent, layers can be reset, users' backbones fit in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet

OWN = {
    "tabm": {"members": 3, "width": 16},
    "tabm_additive": {"members": 3, "width": 16},
    "tabm_mini": {"members": 3, "width": 16},
    "mlp": {"width": 16},
    "ft_transformer": {"heads": 2, "blocks": 2},
    "resnet": {"width": 16},
    "label_attention": {"heads": 2},
    "autoint": {"attention_width": 8, "deep": 16},
    "tabtransformer": {"width": 16, "layers": 1, "heads": 2},
    "excelformer": {"heads": 2, "layers": 2},
    "armnet": {"width": 16, "neurons": 4, "deep": 16},
    "additive": {},
    "senn": {"width": 16},
    "prototype": {"width": 16, "d_row": 8},
    "retrieval": {"width": 16, "neighbours": 4},
}


def make(sizes, name: str, n_outputs: int = 2, seed: int = 0, **options) -> TableNet:
    return TableNet(sizes, name, n_outputs, d_token=8, options=OWN[name] | options, seed=seed).eval()


@pytest.fixture(params=sorted(OWN))
def name(request) -> str:
    return request.param


def test_every_registered_network_is_tested_here() -> None:
    networks = {e.name for e in registry.entries("backbone") if e.takes in ("flat", "tokens")}
    assert networks == set(OWN)


def test_the_entrances_agree(sizes, cells, name) -> None:
    net = make(sizes, name)
    out, tokens = net(cells), net.tokens(cells)
    parts = net.parts(tokens)
    assert out.shape == (23, net.n_members, 2)
    assert tokens.shape == (23, 5, net.d_token)
    assert parts.shape == (23, 5, net.part_width)
    torch.testing.assert_close(net.outputs_from_tokens(tokens), out)
    if net.couplings is None:
        torch.testing.assert_close(net.outputs_from_parts(parts), out, rtol=1e-5, atol=1e-6)
    if net.additive:
        torch.testing.assert_close(net.outputs_from_parts(net.sums(tokens)), out, rtol=1e-5, atol=1e-6)
    hidden = net.named_parts(cells)["hidden"]
    torch.testing.assert_close(net.head(hidden), out, rtol=1e-5, atol=1e-6)


def test_rows_are_independent(sizes, cells, name) -> None:
    net = make(sizes, name)
    alone = torch.cat([net(cells.take(slice(i, i + 1))) for i in range(23)])
    torch.testing.assert_close(net(cells), alone, rtol=1e-5, atol=1e-6)


def test_gradient_reaches_every_parameter(sizes, cells, name) -> None:
    still = {"dropout": 0.0} if "dropout" in registry.get("backbone", name).reads else {}
    net = make(sizes, name, **still)
    net(cells).square().sum().backward()
    untouched = [n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)]
    assert untouched == []


def test_a_masked_column_has_exactly_no_influence(sizes, cells, name) -> None:
    net = make(sizes, name)
    tokens = net.tokens(cells).detach().requires_grad_()
    masked = torch.zeros(23, 5, dtype=torch.bool)
    masked[:, 2] = True
    masked[:9, 4] = True
    out = net.outputs_from_tokens(tokens, masked)
    gradient = torch.autograd.grad(out.sum(), tokens)[0]
    assert not gradient[masked].any()
    assert gradient[~masked].any()
    other = torch.where(masked[..., None], torch.randn_like(tokens), tokens)
    assert torch.equal(net.outputs_from_tokens(other, masked), out)


def test_equal_seeds_give_equal_weights_and_leave_the_callers_numbers_alone(sizes, name) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (make(sizes, name, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_reset_changes_the_named_layers_only(sizes, name) -> None:
    net = make(sizes, name)
    assert net.layers()[0] == "head"
    assert net.layers()[-1] == "embedding"
    covered = [p for p, _ in net.named_parameters() if any(p == n or p.startswith(n + ".") for n in net.layers())]
    assert len(covered) == len(dict(net.named_parameters()))
    before = {n: p.clone() for n, p in net.named_parameters()}
    net.reset(net.layers()[:2], 3)
    for n, p in net.named_parameters():
        inside = any(n == layer or n.startswith(layer + ".") for layer in net.layers()[:2])
        constant = bool((before[n] == before[n].flatten()[0]).all())
        assert torch.equal(p, before[n]) != (inside and not constant), n
    with pytest.raises(RequestError, match="no layer 'nose'"):
        net.reset(["nose"], 0)


def test_no_weight_decay_names_are_matrices(sizes, name) -> None:
    net = make(sizes, name)
    shapes = dict(net.named_parameters())
    assert net.matrices() or name == "additive"  # curves and tables of terms alone
    assert all(shapes[n].ndim == 2 and "embedding" not in n and "norm" not in n for n in net.matrices())


class Flattened(nn.Module):
    """A user's backbone: one hidden layer, no contract of ours beyond the shapes."""

    def __init__(self, n_tokens: int, d_token: int, width: int = 12, shape: str = "NH") -> None:
        super().__init__()
        self.layer, self.shape = nn.Linear(n_tokens * d_token, width), shape

    def forward(self, tokens: torch.Tensor):
        hidden = torch.relu(self.layer(tokens.flatten(1)))
        if self.shape == "NH":
            return hidden
        return hidden.unflatten(1, (2, -1)) if self.shape == "NKH" else (hidden, {"inside": hidden})


@pytest.mark.parametrize(("shape", "members"), [("NH", 1), ("NKH", 2), ("parts", 1)])
def test_a_users_backbone(sizes, cells, shape: str, members: int) -> None:
    net = TableNet(sizes, Flattened, 3, d_token=4, options={"shape": shape}).eval()
    assert net(cells).shape == (23, members, 3)
    assert not net.additive
    torch.testing.assert_close(net.outputs_from_parts(net.parts(net.tokens(cells))), net(cells))
    assert ("inside" in net.named_parts(cells)) == (shape == "parts")
    net.reset(net.layers()[:1], 1)


def test_a_users_backbone_with_a_wrong_shape_is_named(sizes) -> None:
    with pytest.raises(RequestError, match="backbone's output cannot be used"):
        TableNet(sizes, lambda c, d: nn.Unflatten(0, (1, -1)), 1)


def test_identity_head_gives_the_hidden_state(sizes, cells) -> None:
    net = TableNet(sizes, "mlp", 16, d_token=8, options=OWN["mlp"], head="identity").eval()
    assert torch.equal(net(cells), net.named_parts(cells)["hidden"])
    with pytest.raises(RequestError, match="unknown head"):
        TableNet(sizes, "mlp", 1, head="neck")


def test_missing_and_unseen_paths_are_finite(sizes, cells, name) -> None:
    n = cells.n_rows
    empty = Cells(
        torch.zeros_like(cells.numbers), torch.ones_like(cells.missing), torch.zeros_like(cells.codes), torch.zeros_like(cells.vectors)
    )
    unseen = cells._replace(codes=torch.ones_like(cells.codes))
    for given in (empty, unseen):
        assert torch.isfinite(make(sizes, name)(given)).all()
    answers = make(sizes, name)(empty)  # the blocks of a matrix product may round a last row otherwise
    assert torch.allclose(answers, answers[:1].expand_as(answers), atol=1e-6)
    assert n == 23


APART = {"tabm", "tabm_additive", "tabm_mini", "mlp", "ft_transformer", "label_attention", "autoint", "tabtransformer", "excelformer"}


def test_where_rows_are_said_to_be_apart_a_part_of_a_batch_learns_as_the_whole(sizes, cells, name) -> None:
    net = make(sizes, name).train()
    assert net.rows_apart == (name in APART)
    for module in net.modules():
        vars(module).update({k: 0.0 for k, v in vars(module).items() if k.endswith("dropout") and isinstance(v, float)})
    if net.rows_apart:
        half = torch.arange(0, 23, 2)
        torch.testing.assert_close(net(cells)[half], net(cells.take(half)), rtol=1e-4, atol=1e-5)


def test_of_a_users_backbone_nothing_is_known(sizes) -> None:
    assert not TableNet(sizes, lambda n, d: nn.Flatten(), 1, d_token=4).rows_apart
