"""What the bias-free part of a network still tells of an attribute on rows it did not learn from, taken out in closed form.

Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff, Biderman 2023, "LEACE: perfect linear concept erasure in closed form", NeurIPS
(arXiv:2306.03819). Letters: n rows, D numbers of the wide hidden state, R directions of the free part, L levels of all attributes.

# NOTE[DIFF] The source erases from the state itself, along the directions that tell the attribute there. Here a few directions M' h of the
wide state h answer, and what they share with the attributes is taken out by what h tells of these: M' h - B' V' h, with V the ridge
regression of the levels on h. V is fitted on the rows that were learned from, B on the stop rows, where the state has not had the chance
to hide the attribute by heart; of B only the share beyond what chance makes of so few rows is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from pellucid.nn.cells import Cells
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet

__all__ = ["erase", "erased"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RIDGE, MOST, FEWEST = 0.03, 20_000, 50
CHUNK = 4096


def erased(matrix: FloatArray, wide: FloatArray, hot: FloatArray, held_wide: FloatArray, held_hot: FloatArray) -> FloatArray:
    """Return the directions (D, R) whose numbers share nothing linear with the levels on the held rows, but for what chance makes.

    Parameters
    ----------
    matrix : (D, R) the directions. wide, hot : (n, D), (n, L) states and levels of learned rows. held_wide, held_hot : of other rows.

    Notes
    -----
    Cost: one solve of D equations. Where the state tells nothing of the levels on the held rows, nothing can be taken out.
    """
    hot, held_hot = hot - hot.mean(0), held_hot - held_hot.mean(0)
    centred, held, n = wide - wide.mean(0), held_wide - held_wide.mean(0), len(held_wide)
    spread = centred.T @ centred
    ridge = RIDGE * np.trace(spread) / len(spread) + 1e-12
    readout = np.linalg.solve(spread + ridge * np.eye(len(spread)), centred.T @ hot)
    turn, levels = _whitening(held_hot)
    shared = turn.T @ held_hot.T @ (held @ matrix) / n  # (L, R), the levels without correlations and at variance 1
    told = turn.T @ held_hot.T @ (held @ readout @ turn) / n  # (L, L)
    found = ((shared / np.maximum((held @ matrix).std(0), 1e-12)) ** 2).sum(0)
    beyond = np.clip(1 - levels / n / np.maximum(found, 1e-300), 0, 1)  # independent ones share levels / n on average
    out: FloatArray = matrix - readout @ turn @ np.linalg.pinv(told, rcond=0.05) @ (shared * beyond)
    return out


def _whitening(centred: FloatArray) -> tuple[FloatArray, int]:
    """Return (L, L) that takes the correlations from centred levels (n, L), and how many of them there are apart from the rest."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    keep = values > 1e-9 * max(float(values.max()), 1e-300)
    return np.asarray(vectors * np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)), int(keep.sum())


def erase(net: TableNet | StackedNet, cells: Cells, parts: Sequence[tuple[Ints, Ints]], attributes: Ints, levels: Sequence[int]) -> None:
    """Take out of each network's free part what it still tells of the attributes on the stop rows, in place.

    Parameters
    ----------
    net : settled networks, several for each part of ``parts`` (train rows, stop rows) where they are snapshots. cells : (N, ...).
    attributes : (N, A) codes, -1 where unknown. levels : how many there are of each attribute.

    Notes
    -----
    A network without enough stop rows is left as it is. Cost: a pass over at most 20,000 learned rows, and the stop rows.
    """
    n_nets = net.n_nets if isinstance(net, StackedNet) else 1
    known = (attributes >= 0).all(1)
    hot = np.concatenate([np.eye(n + 1)[attributes[:, a]][:, :n] for a, n in enumerate(levels)], 1)
    for g in range(n_nets):
        train, stop = (rows[known[rows]] for rows in parts[g * len(parts) // n_nets])
        train = train[:: max(1, -(-len(train) // MOST))]
        if len(stop) < FEWEST or len(train) < FEWEST:
            continue
        one = net.single(g) if isinstance(net, StackedNet) else net
        learned, held = (_wide(one, cells, rows) for rows in (train, stop))
        body, head = one.backbone, one.head
        old = body.matrix.detach().double().flatten(0, 1).numpy()
        new = erased(old, learned, hot[train], held, hot[stop])
        moved = torch.from_numpy(learned.mean(0) @ (new - old) / body.matrix.shape[0]).float()
        changed = {
            "backbone.matrix": torch.from_numpy(new).float().view_as(body.matrix),
            "head.bias": head.bias - (moved @ body.turn) @ head.weight[0],  # type: ignore[operator,index]
        }
        _put(net, g, changed)


def _wide(net: TableNet, cells: Cells, rows: Ints) -> FloatArray:
    at = torch.from_numpy(rows)
    with torch.inference_mode():
        found = [net.backbone.wide(net.tokens(cells.take(at[s : s + CHUNK]))) for s in range(0, len(at), CHUNK)]  # type: ignore[operator]
    return torch.cat(found).flatten(1).double().numpy()


@torch.no_grad()
def _put(net: TableNet | StackedNet, g: int, changed: dict[str, torch.Tensor]) -> None:
    held = dict((net.net if isinstance(net, StackedNet) else net).named_parameters())
    for name, value in changed.items():
        (held[name][g] if isinstance(net, StackedNet) else held[name]).copy_(value)
