"""Which training rows a network keeps, for backbones that answer by rows they remember."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from pellucid import random
from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet
from pellucid.training.objectives import Objective

__all__ = ["chosen_rows", "fill_banks"]

Rows = npt.NDArray[np.int64]


def fill_banks(
    nets: Sequence[TableNet], cells: Cells, target: torch.Tensor, parts: Sequence[Rows], objective: Objective, seed: int
) -> None:
    """Give each network rows of its own training part to keep, as many as every part has.

    Parameters
    ----------
    nets : one for each part. cells, target : of all rows; the target as the objective prepared it.
    parts : each network's training rows.
    """
    if nets[0].bank is None:
        return
    classes, answers = objective.task == "classification", objective.kept(target)
    backbone = nets[0].backbone
    most = min([int(backbone.most), *(len(rows) for rows in parts)])  # type: ignore[arg-type]
    labels = target.numpy() if classes and backbone.balanced else None
    for g, (net, rows) in enumerate(zip(nets, parts)):
        chosen = chosen_rows(rows, None if labels is None else labels[rows], most, random.stream(seed, "bank", g))
        at = torch.from_numpy(chosen)
        net.set_bank(cells.take(at), answers[at], of_classes=classes, rows=at)


def chosen_rows(rows: Rows, labels: npt.NDArray[np.int64] | None, most: int, rng: np.random.Generator) -> Rows:
    """Return ``most`` of the rows, in order: drawn evenly, or equally many of each label as far as they go.

    Examples
    --------
    >>> chosen_rows(np.arange(6), np.array([0, 0, 0, 0, 0, 1]), 2, np.random.default_rng(0))[-1]
    np.int64(5)
    """
    order = rng.permutation(len(rows))
    if labels is not None and most < len(rows):
        # the i-th row of its label comes before the (i + 1)-th of any
        drawn = labels[order]
        by_label = np.argsort(drawn, kind="stable")
        starts = np.searchsorted(drawn[by_label], drawn[by_label])
        turn = np.empty(len(rows), np.int64)
        turn[by_label] = np.arange(len(rows)) - starts
        order = order[np.argsort(turn, kind="stable")]
    return np.sort(rows[order[:most]])
