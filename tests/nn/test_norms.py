"""Ghost batch norm against the loop it replaces, and against the framework's batch norm."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from pellucid.errors import RequestError
from pellucid.nn.norms import GhostNorm, move_records


def _like(norm: GhostNorm) -> torch.nn.BatchNorm1d:
    theirs = torch.nn.BatchNorm1d(len(norm.weight), momentum=norm.momentum)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    theirs.weight.data, theirs.bias.data = norm.weight.data.clone(), norm.bias.data.clone()
    return theirs


def _loop(norm: torch.nn.BatchNorm1d, x: torch.Tensor, ends: list[int]) -> torch.Tensor:
    return torch.cat([norm(x[a:b]) for a, b in zip([0, *ends], ends)])


def test_no_group_has_one_row() -> None:
    assert torch.isfinite(GhostNorm(3, group=2)(torch.randn(5, 3))).all()


# a group of 8: whole groups; 4 rows left (half a group: their own); 3 left (they join the last); less than one group; one and a bit
@pytest.mark.parametrize(
    ("rows", "ends"), [(32, [8, 16, 24, 32]), (8, [8]), (28, [8, 16, 24, 28]), (27, [8, 16, 27]), (5, [5]), (9, [9]), (2, [2])]
)
def test_it_equals_the_loop_over_groups(rows: int, ends: list[int]) -> None:
    torch.manual_seed(0)
    ours = GhostNorm(3, group=8, momentum=0.3)
    theirs = _like(ours)
    for _ in range(3):
        x = torch.randn(rows, 3) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 3.0, -1.0])
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        out, expected = ours(a), _loop(theirs, b, ends)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
        factor = torch.randn_like(out)
        (out * factor).sum().backward()
        (expected * factor).sum().backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.mean, theirs.running_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, theirs.running_var, rtol=1e-5, atol=1e-6)
    x = torch.randn(6, 3)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-6)


def test_without_groups_it_is_batch_norm() -> None:
    torch.manual_seed(0)
    ours = GhostNorm(4)
    theirs, x = _like(ours), torch.randn(19, 4)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, theirs.running_var)


def test_one_row_is_normalised_by_the_record_and_leaves_it() -> None:
    norm = GhostNorm(2, group=4)
    norm(torch.randn(16, 2) * 3)
    held, x = norm.mean.clone(), torch.randn(1, 2)
    out = norm.train()(x)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, norm.eval()(x))
    assert torch.equal(norm.mean, held)


def test_a_constant_column_and_half_precision_stay_finite() -> None:
    norm = GhostNorm(2, group=4)
    x = torch.ones(12, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        out = norm(x)
    assert out.dtype == torch.float32
    assert not out.any()


@pytest.mark.parametrize("rows", [16, 19])
def test_a_stack_of_networks_moves_its_records_at_once(rows: int) -> None:
    """Batched over networks every output and record equals that of the network alone."""
    torch.manual_seed(0)
    norms, x = [GhostNorm(3, group=8) for _ in range(4)], torch.randn(4, rows, 3)
    params, buffers = stack_module_state(norms)
    out = vmap(lambda p, b, given: functional_call(norms[0], (p, b), (given,)))(params, buffers, x)
    for g in range(4):
        alone = GhostNorm(3, group=8)
        torch.testing.assert_close(out[g], alone(x[g]), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(buffers["mean"][g], alone.mean)
        torch.testing.assert_close(buffers["var"][g], alone.var)


def test_groups_of_one_row_are_refused() -> None:
    with pytest.raises(RequestError, match="too small"):
        GhostNorm(3, group=1)


def test_a_pace_changes_the_scale_only_as_fast() -> None:
    """The same function at the start; one optimizer's step of the weights moves the scale ``pace`` times as far."""
    x, moved = torch.randn(16, 3), []
    for pace in (1.0, 0.1):
        norm = GhostNorm(3, group=8, pace=pace)
        torch.testing.assert_close(norm(x), GhostNorm(3, group=8)(x))
        torch.testing.assert_close(norm.eval()(x).detach(), x * (norm.var + norm.eps).rsqrt() - norm.mean * (norm.var + norm.eps).rsqrt())
        with torch.no_grad():
            norm.weight += 0.5
        moved.append(norm.scale().detach() - 1)
    torch.testing.assert_close(moved[1], 0.1 * moved[0])


@pytest.mark.parametrize("rows", [16, 27, 28])
def test_records_moved_together_are_those_moved_alone(rows: int) -> None:
    torch.manual_seed(0)
    alone = [GhostNorm(width, group=8, momentum=m) for width, m in ((3, 0.1), (2, 0.1), (3, 0.1), (3, 0.4))]
    together = [GhostNorm(len(n.weight), group=8, momentum=n.momentum) for n in alone]
    statistics, ends = [], [end for start, n, size in alone[0].blocks(rows) for end in range(start + size, start + n * size + 1, size)]
    for norm in alone:
        x = torch.randn(rows, len(norm.weight)) * 3 + 1
        norm(x)
        groups = [x[a:b] for a, b in zip([0, *ends], ends)]
        of_groups = [(g.mean(0), g.var(0, correction=0)) for g in groups]
        statistics.append(tuple(torch.stack(each, 1) for each in zip(*of_groups)))
    move_records(together, statistics, tuple(len(g) for g in groups))
    for a, b in zip(alone, together):
        torch.testing.assert_close(a.mean, b.mean)
        torch.testing.assert_close(a.var, b.var)
