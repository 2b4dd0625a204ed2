"""Predictions in chunks of one size."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch

from pellucid.execution import Executor, InProcess, Threads, default_threads, keep_memory, limit_threads
from pellucid.nn.cells import Cells

__all__ = ["CHUNK", "predict_in_chunks"]

CHUNK = 512
CHUNK_BF16 = 2048  # matrix units want taller products
SEVERAL = 4  # chunks from which threads pay


def predict_in_chunks(
    function: Callable[[Cells], torch.Tensor], cells: Cells, chunk: int | None = None, precision: str = "fp32", concurrent: bool = True
) -> torch.Tensor:
    """Return ``function`` over all rows, on the processor, called with exactly ``chunk`` rows each time.

    Matrix products of different heights may round differently; with one height for every call a row's answer does not depend on its
    neighbours, its place or the number of rows asked. The last chunk is filled up with copies of its last row. Chunks run side by side,
    one thread each: that is faster than sharing every product, and no answer depends on the number of threads.

    Parameters
    ----------
    function : cells to a tensor whose first axis are the rows; a network in eval mode.
    cells : (N, ...).
    chunk : rows per call; 512, or 2048 in bf16.
    precision : ``"fp32"``, or ``"bf16"`` for matrix products.
    concurrent : whether the function may be called by several threads at once; a stack of networks may not.
    """
    n, device = cells.n_rows, cells.numbers.device
    chunk = chunk or (CHUNK if precision == "fp32" else CHUNK_BF16)

    def one(start: int) -> torch.Tensor:
        # both modes belong to a thread
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            rows = torch.arange(start, start + chunk, device=device).clamp_(max=n - 1)
            out = function(cells.take(rows))[: n - start].cpu()
            return out if out.dtype is not torch.bfloat16 else out.float()

    if n == 0:
        blank = Cells(*(torch.zeros((chunk, *t.shape[1:]), dtype=t.dtype, device=device) for t in cells))
        with torch.inference_mode():
            return function(blank)[:0].cpu()
    starts = range(0, n, chunk)
    alone = device.type != "cpu" or len(starts) < SEVERAL or not concurrent
    threads = 1 if alone else min(torch.get_num_threads(), default_threads())
    with limit_threads(1 if device.type == "cpu" else "auto"), contextlib.nullcontext() if alone else keep_memory():
        where: Executor = InProcess() if threads == 1 else Threads(threads)
        return torch.cat(list(where.map(one, starts)))
