"""What pairs of columns add to composed rows of additive networks whose parts do not hold it (``nn.coupling``).

A pair's term depends on where its two cells come from, each from the row or from the background row: four terms a game. With z 1 where a
column takes the row's cell they are

    t(b, b) + z_l (t(x, b) - t(b, b)) + z_r (t(b, x) - t(b, b)) + z_l z_r (t(x, x) - t(x, b) - t(b, x) + t(b, b)),

so that a coalition costs three numbers a pair, however wide the bases and many the columns. Letters: N rows, g games, m coalitions,
P pairs, P' columns in pairs, Q entries of the sum that terms are added to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.nn.coupling import Couplings, added_up
from pellucid.probe.masker import Players
from pellucid.probe.view import View

if TYPE_CHECKING:
    import torch

__all__ = ["Coupling", "rises"]


def rises(
    at_row: torch.Tensor, at_back: torch.Tensor, own: torch.Tensor, other: torch.Tensor, of: torch.Tensor | None, players: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what each player would add by slopes at the rows and by those at background rows, (r, b, players, O) twice.

    Parameters
    ----------
    at_row, at_back : slopes by columns' vectors (r, O, C, D), (b, O, C, D). own, other : these vectors, (r, C, D), (b, C, D).
    of : (C,) the player of each column; None where each is its own.
    """
    import torch

    by_row = torch.einsum("rocd,rcd->rco", at_row, own)[:, None] - torch.einsum("rocd,bcd->rbco", at_row, other)
    by_back = torch.einsum("bocd,rcd->rbco", at_back, own) - torch.einsum("bocd,bcd->bco", at_back, other)
    if of is None:
        return by_row, by_back
    none = by_row.new_zeros(*by_row.shape[:2], players, by_row.shape[3])
    return none.index_add(2, of, by_row), none.index_add(2, of, by_back)


class Coupling:
    """The coupled columns of a network, as players.

    Attributes
    ----------
    slots : (Q,) the entries of a sum that terms are added to. columns : (P',) the coupled columns.
    players : (P',) their players. left, right : (P,) the players of the pairs' columns.
    """

    def __init__(self, network: Any, couplings: Couplings, players: Players, device: torch.device) -> None:
        import torch

        of = torch.as_tensor(players.of_column, device=device)
        self.network, self.columns, self.slots = network, couplings.columns.to(device), couplings.slots.to(device)
        at_left, at_right = (self.columns[t.to(device)] for t in (couplings.left, couplings.right))
        self.players, self.left, self.right = of[self.columns], of[at_left], of[at_right]

    @classmethod
    def of(cls, view: View, players: Players, device: torch.device) -> Coupling | None:
        """Return the couplings of a network; None where it has none."""
        found = getattr(view.network, "couplings", None) if view.additive else None
        return None if found is None else cls(view.network, found, players, device)

    def into(self, sums: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
        """Return sums (n, W) with terms (n, Q) added, in place."""
        return sums.index_add_(1, self.slots, terms.to(sums.dtype))

    def terms(self, bases: torch.Tensor) -> torch.Tensor:
        """Return the sum of the pairs' terms (n, Q) of rows with these bases (n, P', V)."""
        return added_up(self.network, bases)

    def gains(self, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Return what terms gain over those of the background rows, (g, 3 P, Q), where the left column comes from the row, the right one,
        and further where both do; from bases (g, P', V)."""
        import torch

        ask = self.network.coupled
        none, both, left, right = ask(other, other), ask(own, own), ask(own, other), ask(other, own)
        return torch.cat([left - none, right - none, both - left - right + none], 1)

    def taken(self, z: torch.Tensor) -> torch.Tensor:
        """Return which of these gains a coalition has, (..., 3 P), from its players (..., players)."""
        import torch

        left, right = z[..., self.left], z[..., self.right]
        return torch.cat([left, right, left * right], -1)

    def slopes(self, at_sums: torch.Tensor, bases: torch.Tensor) -> torch.Tensor:
        """Return the slopes of the outputs by the bases, (n, O, P', V), from those by the sums (n, O, W) and the bases (n, P', V)."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            x = bases.clone().requires_grad_()
            terms, by_terms = self.terms(x), at_sums[..., self.slots].clone()
            o = range(by_terms.shape[1])
            return torch.stack([torch.autograd.grad((terms * by_terms[:, k]).sum(), x, retain_graph=k < o[-1])[0] for k in o], 1)
