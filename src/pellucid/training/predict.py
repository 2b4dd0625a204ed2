"""Predictions in chunks of one size."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pellucid.nn.cells import Cells

__all__ = ["CHUNK", "predict_in_chunks"]

CHUNK = 512


@torch.inference_mode()
def predict_in_chunks(function: Callable[[Cells], torch.Tensor], cells: Cells, chunk: int = CHUNK) -> torch.Tensor:
    """Return ``function`` over all rows, on the processor, called with exactly ``chunk`` rows each time.

    Matrix products of different heights may round differently; with one height for every call a row's answer does not depend on its
    neighbours, its place or the number of rows asked. The last chunk is filled up with copies of its last row.

    Parameters
    ----------
    function : cells to a tensor whose first axis are the rows; a network in eval mode.
    cells : (N, ...).
    chunk : rows per call.
    """
    n = cells.n_rows
    results = []
    for start in range(0, n, chunk):
        rows = torch.arange(start, start + chunk, device=cells.numbers.device).clamp_(max=n - 1)
        results.append(function(cells.take(rows))[: n - start].cpu())
    if not results:
        one = Cells(*(torch.zeros((chunk, *t.shape[1:]), dtype=t.dtype, device=t.device) for t in cells))
        return function(one)[:0].cpu()
    return torch.cat(results)
