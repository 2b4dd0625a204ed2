"""Dropout kept on when answering: a network as S networks, each with one mask for all rows.

Gal, Ghahramani 2016, arXiv:1506.02142.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from pellucid import random
from pellucid.errors import RequestError
from pellucid.nn.beside import beside
from pellucid.nn.cells import Cells
from pellucid.nn.coupling import CouplingsOf
from pellucid.nn.draws import MaskSet, sharing
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet

__all__ = ["DropoutNet", "drops_out"]


def drops_out(net: TableNet | StackedNet) -> bool:
    """Tell whether anything in the backbone drops out."""
    backbone = net.net.backbone if isinstance(net, StackedNet) else net.backbone
    shares = (v for m in backbone.modules() for k, v in vars(m).items() if "dropout" in k and isinstance(v, float))
    return any(v > 0 for v in shares)


class DropoutNet(CouplingsOf, nn.Module):
    """A network in evaluation, S times, each time with other entries of its hidden states set to 0: outputs (N, S * K, O).

    A mask is drawn once and shared by all rows, so each of the S is one function and rows can be compared. Norms over rows keep their
    record. The members of a stack of networks stay together: network 0's S * K first.

    # NOTE[DIFF] The paper adds 1/tau to the variance of numbers; here noise is measured on held-out rows (``uncertainty``).

    Parameters
    ----------
    net : a trained network or stack; used, not copied. draws : S. seed : of the masks; the same seed gives the same answer.

    Raises
    ------
    RequestError : the network was trained without dropout, so that its masks mean nothing.

    Notes
    -----
    Cost: cells are embedded once, all that follows S times. The spread depends on the share that is dropped, not on the number of rows.
    """

    def __init__(self, net: TableNet | StackedNet, draws: int, seed: int) -> None:
        super().__init__()
        if not drops_out(net):
            raise RequestError(
                "mc_dropout needs a network that was trained with dropout", got="dropout=0", do="fit with dropout=0.1, say, or use members"
            )
        self.net, self.draws, self.seed = net, draws, seed
        self.n_nets = net.n_nets if isinstance(net, StackedNet) else 1
        self.n_members, self.n_outputs, self.n_columns = draws * net.n_members, net.n_outputs, net.n_columns
        self.additive, self.stackable = net.additive, net.stackable
        self.jumps = net.jumps
        self._masks = [MaskSet(random.integer(seed, "mask", s)) for s in range(draws)]

    def _each(self, function: Callable[[torch.Tensor], torch.Tensor], given: torch.Tensor) -> torch.Tensor:
        """Return the outputs (N, S * K, O) of a function of tokens or parts under every mask."""
        core = self.net.net if isinstance(self.net, StackedNet) else self.net
        if core.bank is not None:
            function(given[:1])  # the kept rows are encoded without masks
        outs = []
        for masks in self._masks:
            with sharing(masks):
                outs.append(function(given))
        every = torch.stack(outs, 1).unflatten(2, (self.n_nets, -1))  # (N, S, G, K, O)
        joined: torch.Tensor = every.transpose(1, 2).flatten(1, 3)
        return joined

    def forward(self, cells: Cells) -> torch.Tensor:
        return self.outputs_from_tokens(self.net.tokens(cells))

    @property
    def drawn(self) -> bool:
        """Whether doubt has draws of what the members have in common, in which nothing drops out."""
        return self.net.moved

    def doubting(self, cells: Cells) -> torch.Tensor:
        """Return the outputs (N, K', O) with draws of what the members have in common beside them; the masks stand for the last layers."""
        moves = self.net.moves(cells)
        return beside(self(cells), moves if moves.ndim == 4 else moves[:, None])

    def tokens(self, cells: Cells) -> torch.Tensor:
        """Return the embedded cells (N, C, D)."""
        return self.net.tokens(cells)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return one part per column (N, C, W); nothing drops out before them."""
        return self.net.parts(tokens)

    @property
    def d_token(self) -> int:
        """D."""
        return self.net.d_token

    @property
    def part_width(self) -> int:
        """W."""
        return self.net.part_width

    @property
    def _behind(self) -> TableNet | StackedNet:
        return self.net  # nothing drops out in couplings

    def sums(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what is read of whole rows, (N, W)."""
        return self.net.sums(tokens)

    def outputs_from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, S * K, O), differentiable in the tokens."""
        return self._each(self.net.outputs_from_tokens, tokens)

    def outputs_from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, S * K, O) from parts, or from their sum."""
        return self._each(self.net.outputs_from_parts, parts)

    def named_parts(self, cells: Cells) -> dict[str, torch.Tensor]:
        """Return the named parts without dropout."""
        return self.net.named_parts(cells)

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers, output side first."""
        return self.net.layers()

    def reset(self, layers: Sequence[str], seed: int) -> DropoutNet:
        """Give the named layers fresh initial weights, in place; returns the network."""
        self.net.reset(layers, seed)
        return self

    def single(self, g: int) -> TableNet:
        """Return network ``g`` of the stack alone, without dropout, a copy."""
        import copy

        return self.net.single(g) if isinstance(self.net, StackedNet) else copy.deepcopy(self.net)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the weights of the one network: masks follow from the seed."""
        return dict(self.net.state_dict(*args, **kwargs))
