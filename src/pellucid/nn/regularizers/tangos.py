"""TANGOS: each hidden unit should look at few columns, and no two at the same ones; and the map of who looks at what.

Jeffares, Liu, Crabbé, Imrie, van der Schaar 2023, arXiv:2303.05506. ``a[i, j]`` is the attribution of hidden unit i to column j: the
derivative of the unit with respect to the column's token, or the length of that derivative where a token has more than one number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from pellucid.errors import RequestError
from pellucid.nn.regularizers.base import Regularizer, Trace

if TYPE_CHECKING:
    from pellucid.nn.cells import Cells
    from pellucid.nn.table_net import TableNet

__all__ = ["Tangos", "columns_held", "has_closed_form", "jacobian", "overlap", "specialisation", "unit_map"]

TINY = 1e-6
UNITS = 32  # hidden units at once in a map of all of them
ROWS = {True: 64, False: 16}  # measured of a batch, by whether the Jacobian has a closed form


class Tangos(Regularizer):
    """``lambda1`` times the mean attribution plus ``lambda2`` times the mean absolute cosine of two units' attributions.

    # NOTE[DIFF] The mean attribution is over columns too, as in the released code (the paper's formula sums them): its weight then means
    # the same for tables of any width. Attributions are to tokens, whose derivatives are measured by their length, not to one-hot slots.
    # All pairs of the drawn units count, by one matrix product, where the reference draws 50 pairs; ``pairs`` draws. The first ``rows`` of
    # a batch, whose order is random, stand for all of it: a mean over fewer rows and units is the same on average, and the Jacobian is
    # what costs.

    Parameters
    ----------
    lambda1, lambda2 : weights of the two terms.
    units : hidden units drawn anew for each step; all of them where there are no more.
    pairs : number of pairs drawn for the second term; None takes all pairs.
    rows : most rows of a batch that are measured; None: 64 where the Jacobian has a closed form, 16 elsewhere.

    Notes
    -----
    Cost for ``mlp``, ``tabm`` and ``tabm_mini``: one forward pass and ``units`` times the size of the matrices for each measured row; for
    other backbones one forward and ``units`` backward passes over the measured rows, and a second derivative through them.
    """

    def __init__(
        self, lambda1: float = 0.1, lambda2: float = 0.1, units: int = 16, pairs: int | None = None, rows: int | None = None
    ) -> None:  # fmt: skip
        if units < 2 or (rows is not None and rows < 1) or (pairs is not None and pairs < 1):
            raise RequestError("tangos compares hidden units", expected="units of at least 2, and pairs and rows of at least 1")
        self.lambda1, self.lambda2, self.units, self.pairs, self.rows = lambda1, lambda2, units, pairs, rows

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        total, n = trace.hidden.shape[1] * trace.hidden.shape[2], len(trace.tokens)
        most = self.rows or ROWS[has_closed_form(net.backbone)]
        drawn = torch.rand(total, device=trace.tokens.device).argsort()[: self.units]
        attributions = _lengths(jacobian(net, trace.tokens[:most], drawn))
        each = self.lambda1 * specialisation(attributions) + self.lambda2 * overlap(attributions, self.pairs)
        # rows that are not measured cost nothing, and the others that much more
        return each if n <= most else nn.functional.pad(each * (n / most), (0, n - most))


def specialisation(attributions: torch.Tensor) -> torch.Tensor:
    """Return each row's mean absolute attribution (N,), from attributions (N, M, C) of M units."""
    return attributions.abs().mean((1, 2))


def overlap(attributions: torch.Tensor, pairs: int | None = None) -> torch.Tensor:
    """Return each row's mean absolute cosine (N,) over pairs of different units' attributions (N, M, C).

    ``pairs`` units are drawn with another one each, the same for all rows; None takes all M (M - 1) / 2 pairs. A unit without
    attribution has cosine 0 with every other.
    """
    m = attributions.shape[1]
    unit = attributions / (torch.linalg.vector_norm(attributions, dim=2, keepdim=True) + TINY)
    if pairs is None:
        gram = unit @ unit.mT
        # the diagonal is left out by its mask: the cosine of a unit with itself is 1, or 0 for a dead one
        apart = 1 - torch.eye(m, dtype=gram.dtype, device=gram.device)
        mean: torch.Tensor = (gram.abs() * apart).sum((1, 2)) / max(m * (m - 1), 1)
        return mean
    one = (torch.rand(pairs, device=unit.device) * m).long()
    other = (one + 1 + (torch.rand(pairs, device=unit.device) * (m - 1)).long()) % m
    drawn: torch.Tensor = (unit.index_select(1, one) * unit.index_select(1, other)).sum(2).abs().mean(1)
    return drawn


def jacobian(net: TableNet, tokens: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """Return d hidden / d tokens (N, M, C, D) of the units (M,), positions in the flattened (K, H); dropout is off.

    The result can be differentiated by the network's parameters. Closed form for ``mlp`` and ``tabm``, reverse mode for any other backbone.
    """
    return _closed(net.backbone, tokens, units) if has_closed_form(net.backbone) else _reverse(net, tokens, units)


def has_closed_form(backbone: nn.Module) -> bool:
    """Return whether a backbone is linear maps with ReLUs between them and nothing else."""
    from pellucid.nn.backbones.mlp import MLP
    from pellucid.nn.backbones.tabm import TabM, TabMMini

    return type(backbone) in (MLP, TabM, TabMMini)


def _closed(backbone: Any, tokens: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """Return ``diag(h_L > 0) W_L ... diag(h_1 > 0) W_1`` at the units: which ReLUs are open does not change with the weights.

    W is that of the unit's own member, ``s W r`` with the member's scales: they multiply what is passed on, so no matrix is made anew.
    """
    layers = [backbone.first, *backbone.blocks]
    with torch.no_grad():
        x = torch.relu(layers[0](layers[0].total(tokens)))
        opened = [x > 0]
        for layer in layers[1:]:
            x = torch.relu(layer(x))
            opened.append(x > 0)
    member, unit = units // backbone.width, units % backbone.width

    def scaled(out: torch.Tensor, layer: Any, side: str) -> torch.Tensor:
        scale = getattr(layer, side, None)
        return out if scale is None else out * scale.index_select(0, member)

    out = torch.eye(backbone.width, dtype=tokens.dtype, device=tokens.device).index_select(0, unit)
    for layer, gate in zip(reversed(layers), reversed(opened)):
        out = scaled(out * gate.index_select(1, member), layer, "scale_out") @ layer.weight
        out = scaled(out, layer, "scale_in")
    slopes: torch.Tensor = out.unflatten(2, tokens.shape[1:])
    return slopes


def _reverse(net: TableNet, tokens: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    remembered = net._remembered()  # kept rows, for backbones that answer by them

    def chosen(given: torch.Tensor) -> torch.Tensor:
        return net._run(net.backbone(given, **remembered))[0].flatten(1).index_select(1, units)

    # the fast attention kernels cannot be differentiated twice, the plain one can
    with _without_noise(net.backbone), sdpa_kernel(SDPBackend.MATH):
        hidden, pull = vjp(chosen, tokens)[:2]
        one_hot = torch.eye(len(units), dtype=hidden.dtype, device=hidden.device)
        out: torch.Tensor = vmap(lambda e: pull(e.expand_as(hidden))[0], out_dims=1)(one_hot)
    return out


@contextlib.contextmanager
def _without_noise(module: nn.Module) -> Iterator[None]:
    """Hold a module in evaluation mode."""
    was = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was)


def _lengths(slopes: torch.Tensor) -> torch.Tensor:
    """Return attributions (N, M, C) from derivatives (N, M, C, D)."""
    return slopes[..., 0] if slopes.shape[3] == 1 else torch.linalg.vector_norm(slopes, dim=3)


@torch.no_grad()
def unit_map(net: TableNet, cells: Cells, batch: int = 256) -> torch.Tensor:
    """Return which hidden unit looks at which column: the mean absolute attribution over the rows, (K * H, C).

    Parameters
    ----------
    net : a trained network; of a stack, one of its networks (``stack.single(g)``).
    cells : (N, ...) rows to average over.
    batch : rows at once.

    Notes
    -----
    Cost: as the penalty, with all units.
    """
    tokens = net.tokens(cells)
    units = torch.arange(net.hidden(cells.take(slice(0, 2)))[0].numel(), device=tokens.device)
    pieces = []
    for some in units.split(UNITS):  # a backward pass each: their number bounds the memory
        total = tokens.new_zeros(len(some), net.n_columns)
        for part in tokens.split(batch):
            total += _lengths(jacobian(net, part, some)).abs().sum(0)
        pieces.append(total / len(tokens))
    return torch.cat(pieces)


def columns_held(attributions: torch.Tensor, share: float = 0.9) -> torch.Tensor:
    """Return how many columns hold ``share`` of each unit's attribution, (M,), from attributions (M, C); 0 for a dead unit.

    Examples
    --------
    >>> columns_held(torch.tensor([[8.0, 1.0, 1.0], [5.0, 4.0, 1.0], [0.0, 0.0, 0.0]])).tolist()
    [2, 2, 0]
    """
    size = attributions.abs()
    held = size.sort(1, descending=True).values.cumsum(1) / size.sum(1, keepdim=True).clamp(min=1e-30)
    return torch.where(size.sum(1) > 0, (held < share - TINY).sum(1) + 1, 0)
