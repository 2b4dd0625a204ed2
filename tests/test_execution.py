"""Where work runs: threads and memory are set inside a block and given back after it."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from pellucid.errors import RequestError
from pellucid.execution import SMALL, Threads, default_threads, executor, few_threads, keep_memory, limit_threads
from pellucid.nn.draws import dropout_mask, seed_draws
from pellucid.nn.layers import dropout, relu_dropout, scaled_relu_dropout


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_threads_are_restored() -> None:
    before = torch.get_num_threads()
    with limit_threads(1) as used:
        assert used == torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(RequestError, match="too small"), limit_threads(0):
        pass


@pytest.mark.skipif(default_threads() < 2, reason="one core")
def test_compiled_loops_use_one_core_on_few_cells_alone() -> None:
    import sklearn.ensemble  # noqa: F401  # brings an OpenMP library of its own

    def most() -> int:
        return max(found["num_threads"] for found in threadpool_info() if found["user_api"] == "openmp")

    with threadpool_limits(2, user_api="openmp"):
        with few_threads(SMALL):
            assert most() == 1
        assert most() == 2
        with few_threads(SMALL + 1):
            assert most() == 2


def test_several_processes_give_what_one_gives() -> None:
    assert list(executor(1).map(abs, [-1, 2, -3])) == list(executor(2).map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_threads_give_results_in_order_and_an_error_reaches_the_caller() -> None:
    met = set()

    def slow(i: int) -> int:
        met.add(threading.get_ident())
        time.sleep(0.01)
        if i == 99:
            raise ValueError("of a chunk")
        return -i

    with limit_threads(1):
        side_by_side = Threads(3)
        assert list(side_by_side.map(slow, range(9))) == [-i for i in range(9)]
        assert len(met) == 3
        assert threading.get_ident() in met
        assert list(side_by_side.map(slow, [])) == []
        with pytest.raises(ValueError, match="of a chunk"):
            side_by_side.map(slow, [1, 2, 99, 3])
    with pytest.raises(RequestError, match="too small"):
        Threads(1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told")
def test_freed_memory_is_kept_inside_and_given_back_after() -> None:
    size = 200 * 2**20
    with keep_memory() as kept:
        if not kept:
            pytest.skip("this C library takes no such options")
        block = torch.ones(size // 4)
        del block
        inside = _resident()
    assert inside - _resident() > size // 2


def test_relu_with_dropout_in_one_is_relu_and_dropout() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, 64, generator=draw, requires_grad=True)
    weight = torch.randn(40, 3, 64, generator=draw)
    results = []
    for function in (lambda: relu_dropout(x, 0.3, True), lambda: dropout(torch.relu(x), 0.3, True)):
        seed_draws(7)
        out = function()
        results.append((out, torch.autograd.grad((out * weight).sum(), x)[0]))
    for one, other in zip(*results):
        torch.testing.assert_close(one, other)
    assert 0.55 < float((results[0][0] > 0).sum() / (x > 0).sum()) < 0.85
    assert torch.equal(relu_dropout(x, 0.3, False), torch.relu(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scales_bias_relu_and_dropout_in_one_are_those_in_turn(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, 64, generator=draw).to(dtype).requires_grad_(True)
    scale, bias = (torch.randn(3, 64, generator=draw, requires_grad=True) for _ in range(2))
    weight = torch.randn(40, 3, 64, generator=draw)
    results = []
    for whole in (True, False):
        seed_draws(7)
        if whole:
            out = scaled_relu_dropout(x, scale, bias, 0.3, True)
        else:
            out = dropout(torch.relu(x * scale.to(dtype) + bias.to(dtype)), 0.3, True)
        results.append((out, *torch.autograd.grad((out.float() * weight).sum(), (x, scale, bias))))
    for one, other in zip(*results):
        assert one.dtype == other.dtype
        worst = float(other.detach().float().abs().max())
        torch.testing.assert_close(one, other, rtol=0.0, atol=worst * (1e-5 if dtype is torch.float32 else 2**-5))


def test_a_mask_does_not_depend_on_what_was_drawn_before() -> None:
    def draw() -> torch.Tensor:
        seed_draws(3)
        return dropout_mask((50, 7), 0.25, torch.device("cpu"), torch.float32).clone()

    before = draw()
    dropout_mask((5000, 1000), 0.25, torch.device("cpu"), torch.float32)  # makes the pool longer
    assert torch.equal(draw(), before)
    torch.testing.assert_close(before.unique(), torch.tensor([0.0, 4 / 3]))
