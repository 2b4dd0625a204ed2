"""Networks that know a better beginning than random weights: they are put there from their training rows, before the first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet
from pellucid.random import stream
from pellucid.training.objectives import Objective

__all__ = ["Solves", "begin", "usual"]


class Solves:
    """Says whether a start may go on: as long as there is time, or for a number of solves.

    Parameters
    ----------
    until : ``now()`` from which on it may not; None for no limit. most : the number, of a replay; None where time decides.

    Attributes
    ----------
    done : how many it was allowed. cut : whether one was refused.
    """

    def __init__(self, until: float | None = None, most: int | None = None, now: Callable[[], float] | None = None) -> None:
        self.until, self.most, self.now, self.done, self.cut = until, most, now or time.monotonic, 0, False

    def __call__(self) -> bool:
        if self.most is not None:
            more = self.done < self.most
        else:
            more = not self.cut and (self.until is None or self.now() < self.until)
        self.done, self.cut = self.done + more, self.cut or not more
        return more


def usual(objective: Objective) -> bool:
    """Return whether the place of an answer is learned by the usual loss of the task, to which laws of what is not known belong."""
    return objective.loss_function is None and (objective.named is None or bool(objective.extra))


def begin(
    nets: Sequence[TableNet], cells: Cells, target: torch.Tensor, weights: npt.NDArray[np.float64], parts: Sequence[npt.NDArray[np.int64]],
    objective: Objective, solves: Sequence[Solves] | None = None, seed: int = 0,
) -> bool:  # fmt: skip
    """Start each network on its own training part, where its backbone has ``start_from``; returns whether all were started.

    A loss of the user's own, or a named one, may want something else than the usual loss, so such fits begin at random weights.

    Parameters
    ----------
    nets : one for each part. cells, target : of all rows; the target as the objective prepared it. weights : (N,).
    parts : each network's training rows. solves : how many solves each network's start may take; None for all it asks for.
    seed : of what starts draw of their own ignorance; the starts themselves have nothing random in them.
    """
    if not hasattr(nets[0].backbone, "start_from") or not usual(objective):
        return False
    classes = objective.task == "classification"
    known = objective.kept(target).double().numpy()
    answers = known[:, 1:] if classes and objective.n_outputs == 1 else known
    done = []
    for g, (net, rows, go_on) in enumerate(zip(nets, parts, solves or [Solves() for _ in nets])):
        rows = rows[weights[rows] > 0]
        at = torch.from_numpy(rows)
        given = net.embedding, cells.take(at), answers[rows], weights[rows], classes, go_on
        done.append(bool(net.backbone.start_from(*given, draw=stream(seed, "start", g))))  # type: ignore[operator]
    if all(getattr(net.backbone, "quiet", False) for net in nets):  # one choice for all folds: they are one network
        for net in nets:
            net.backbone.leave_out_dropout()  # type: ignore[operator]
    return all(done)
