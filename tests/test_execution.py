"""Where work runs: threads and memory are set inside a block and given back after it."""

from __future__ import annotations

import sys

import pytest
import torch

from pellucid.errors import RequestError
from pellucid.execution import executor, keep_memory, limit_threads
from pellucid.nn.layers import dropout, relu_dropout, seed_dropout


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


def test_several_processes_give_what_one_gives() -> None:
    assert list(executor(1).map(abs, [-1, 2, -3])) == list(executor(2).map(abs, [-1, 2, -3])) == [1, 2, 3]


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
        seed_dropout(7)
        out = function()
        results.append((out, torch.autograd.grad((out * weight).sum(), x)[0]))
    for one, other in zip(*results):
        torch.testing.assert_close(one, other)
    assert 0.55 < float((results[0][0] > 0).sum() / (x > 0).sum()) < 0.85
    assert torch.equal(relu_dropout(x, 0.3, False), torch.relu(x))
