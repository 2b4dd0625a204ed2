"""``bayes=``: a fitted network becomes a sample of networks, whose disagreement is the doubt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.nn.cells import Cells
from pellucid.nn.stack import StackedNet
from pellucid.nn.stochastic import sampled_norms, stochastic_statistics
from pellucid.nn.table_net import TableNet
from pellucid.random import stream

__all__ = ["METHODS", "check_sampled", "n_samples", "sampled"]

METHODS = {"stochastic_bn": 16}
"""What ``bayes=`` may name, and how many networks it draws; ``{"stochastic_bn": {"samples": 32}}`` draws others."""


def n_samples(bayes: Any) -> int:
    """Return the number of networks drawn, 1 where nothing is asked for.

    Examples
    --------
    >>> n_samples(False), n_samples("stochastic_bn"), n_samples({"stochastic_bn": {"samples": 4}})
    (1, 16, 4)
    """
    if bayes is False:
        return 1
    if isinstance(bayes, str):
        return METHODS[bayes]
    ((_, given),) = bayes.items()
    return int(given["samples"])


def check_sampled(bayes: Any, build: Callable[[int], TableNet]) -> None:
    """Raise before a long fit where the network cannot be sampled afterwards."""
    if bayes is not False:
        sampled_norms(build(0))


def sampled(
    net: TableNet | StackedNet, bayes: Any, cells: Cells, parts: Sequence[npt.NDArray[np.int64]], batch: int, seed: int
) -> TableNet | StackedNet:
    """Return the network as ``bayes=`` asks for it: S networks for each fold, the folds one after the other.

    Parameters
    ----------
    net : trained, one network or one per fold. cells : (N, ...) all rows. parts : the training rows of each network.
    batch : rows of a training step.
    """
    if bayes is False:
        return net
    drawn: list[TableNet] = []
    for g, rows in enumerate(parts):
        draw, size = stream(seed, "stochastic_bn", g), min(batch, len(rows))
        batches = np.stack([draw.choice(rows, size, replace=False) for _ in range(n_samples(bayes))])
        one = net.single(g) if isinstance(net, StackedNet) else net
        drawn += stochastic_statistics(one, cells, torch.from_numpy(batches))
    return StackedNet(drawn).eval()
