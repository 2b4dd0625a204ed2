"""Members one after the other: the answers of the plain path, and matrices that are made anew when weights change."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn.utils import parametrize

from pellucid.nn import folding
from pellucid.nn.backbones.mlp import MLP, FlatBackbone
from pellucid.nn.backbones.tabm import TabM, TabMMini
from pellucid.nn.bayes import DrawnHead, GaussianWeight
from pellucid.nn.draws import MaskSet, sharing
from pellucid.nn.folding import _relu
from pellucid.nn.heads import BlendHead, MemberHead

N, C, D, K, H, OUT = 40, 5, 6, 3, 32, 2


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """Give every weight a value of its own, as training would: scales start at 1."""
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(1 + 0.3 * torch.randn_like(p)).add_(0.05 * torch.randn_like(p))
    return module.eval()


def pair(kind: type[FlatBackbone]) -> tuple[FlatBackbone, MemberHead, torch.Tensor]:
    torch.manual_seed(3)
    net = kind(C, D, H, 3) if kind is MLP else kind(C, D, K, H, 3)
    return moved(net), moved(MemberHead(net.members, H, OUT)), torch.randn(N, C, D)  # type: ignore[return-value]


def both(net: FlatBackbone, head: MemberHead, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the plain path's outputs and those of members in turn."""
    with torch.no_grad():
        found = net.in_turn(x)
        assert found is not None
        return head(net.from_sum(net.first(net.first.total(x)).flatten(1))[0]), head(found[0])


@pytest.mark.parametrize("kind", [MLP, TabM, TabMMini])
def test_members_in_turn_answer_as_the_plain_path_does(kind: type[FlatBackbone]) -> None:
    net, head, x = pair(kind)
    plain, quick = both(net, head, x)
    assert quick.shape == (N, net.members, OUT)
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        found = net.in_turn(net.parts(x).sum(1), summed=True)
        assert found is not None
        torch.testing.assert_close(head(found[0]), plain, rtol=1e-5, atol=1e-5)


def test_heads_of_every_kind_read_members_in_turn() -> None:
    net, _, x = pair(TabM)
    drawn = moved(DrawnHead(K, H, OUT, draws=4))
    blend, own = BlendHead(K, H, OUT), {"additive": torch.randn(N, OUT)}
    moved(blend).share.fill_(0.3)
    for head, parts in ((drawn, ()), (blend, (own,)), (MemberHead(K, H, OUT, shared=True), ())):
        with torch.no_grad():
            torch.testing.assert_close(head(net.in_turn(x)[0], *parts), head(net(x)[0], *parts), rtol=1e-5, atol=1e-5)  # type: ignore[index]


def changes(net: FlatBackbone) -> dict[str, object]:
    """Ways in which weights change."""

    def step() -> None:
        optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
        net(torch.randn(8, C, D))[0].square().sum().backward()
        optimiser.step()

    def replace() -> None:
        net.first.scale_out = torch.nn.Parameter(torch.randn(K, H))

    other = moved(copy.deepcopy(net)).state_dict()
    return {
        "an optimiser's step": step,
        "a loaded state": lambda: net.load_state_dict(other),
        "states put in place": lambda: net.load_state_dict(copy.deepcopy(other), assign=True),
        "a weight put in place of another": replace,
        "a write without gradients": lambda: moved(net.blocks[0]),
        "a write while answering": lambda: torch.inference_mode()(lambda: net.blocks[1].scale_in.add_(0.5))(),
    }


@pytest.mark.parametrize("how", list(changes(pair(TabM)[0])))
def test_a_change_of_weights_is_noticed(how: str) -> None:
    net, head, x = pair(TabM)
    before = both(net, head, x)[1]
    changes(net)[how]()  # type: ignore[operator]
    plain, quick = both(net, head, x)
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-5)
    assert (quick - before).abs().max() > 1e-3


def test_the_check_of_changes_can_fail() -> None:
    """What nobody can notice, a write past autograd, leaves old matrices in use: the comparison above sees it."""
    net, head, x = pair(TabM)
    both(net, head, x)
    net.blocks[0].weight.data.mul_(2.0)
    plain, quick = both(net, head, x)
    assert (plain - quick).abs().max() > 1e-3


def test_matrices_are_kept_while_weights_stay_and_neither_copied_nor_saved() -> None:
    net, head, x = pair(TabM)
    both(net, head, x)
    first = folding.folded(net.first, torch.float32)
    both(net, head, x)
    assert folding.folded(net.first, torch.float32) is first
    assert folding.folded(net.first, torch.bfloat16)[0].dtype is torch.bfloat16
    twin = copy.deepcopy(net)
    assert twin.first not in folding._kept
    assert set(vars(twin.first)) == set(vars(net.first))
    moved(twin)
    torch.testing.assert_close(*both(twin, head, x), rtol=1e-5, atol=1e-5)


def test_weights_put_in_for_one_call_are_used_and_forgotten() -> None:
    net, head, x = pair(TabM)
    plain = both(net, head, x)[0]
    other = {name: torch.nn.Parameter(p.detach() * 1.5) for name, p in net.named_parameters()}

    class Answer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return head(self.net.in_turn(x)[0])

    with torch.no_grad():
        quick = torch.func.functional_call(Answer(), {f"net.{n}": p for n, p in other.items()}, (x,))
    twin = copy.deepcopy(net)
    twin.load_state_dict(other)
    torch.testing.assert_close(quick, both(twin, head, x)[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both(net, head, x)[1], plain, rtol=1e-5, atol=1e-5)


def test_weights_that_are_computed_are_folded_anew() -> None:
    net, head, x = pair(TabM)
    parametrize.register_parametrization(net.blocks[0], "weight", GaussianWeight((H, H), 1.0, 0.1))
    net.eval()
    before = both(net, head, x)[1]
    with torch.no_grad():
        net.blocks[0].parametrizations.weight.original.mul_(2.0)
    plain, quick = both(net, head, x)
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-5)
    assert (quick - before).abs().max() > 1e-3


def test_whoever_wants_more_than_answers_gets_the_plain_path() -> None:
    net, _, x = pair(TabM)
    assert net.in_turn(x) is None  # gradients are on
    with torch.no_grad():
        assert net.in_turn(x) is not None
        assert net.train().in_turn(x) is None
        net.eval()
        with sharing(MaskSet(0)):
            assert net.in_turn(x) is None
        hook = net.blocks[1].register_forward_hook(lambda *_: None)
        assert net.in_turn(x) is None
        hook.remove()
        assert torch.func.vmap(lambda rows: torch.tensor(net.in_turn(rows) is None), randomness="error")(x[:, None]).all()


def test_relu_by_bits_is_relu_for_every_number_of_half_precision() -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    x = bits.view(torch.bfloat16)
    found, wanted = folding._relu(x), torch.relu(x)
    number = ~torch.isnan(x)
    assert number.sum() == 2**16 - 254  # all but the two times 127 patterns of NaN
    assert torch.equal(found[number], wanted[number])
    assert torch.isnan(found[torch.isnan(x) & (bits > 0)]).all()
    single = torch.tensor([-1.5, 0.0, 2.0])
    assert torch.equal(folding._relu(single), torch.tensor([0.0, 0.0, 2.0]))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_relu_is_relu_in_both_precisions(kind: torch.dtype) -> None:
    x = torch.tensor([-math.inf, -3.0, -1e-30, -0.0, 0.0, 1e-30, 2.5, math.inf, math.nan], dtype=kind)
    torch.testing.assert_close(_relu(x), torch.relu(x), equal_nan=True, rtol=0, atol=0)
    draw = torch.randn(4000, generator=torch.Generator().manual_seed(0)).to(kind)
    assert torch.equal(_relu(draw), torch.relu(draw))
    # bits of a NaN with its sign set lie below 0: only there do the precisions part, and no cell holds one
    signed = torch.tensor([-1], dtype=torch.int16).view(torch.bfloat16)
    assert torch.isnan(signed).all()
    assert _relu(signed).item() == 0
