"""What pairs of columns add to a network's sum of parts: a sum over columns that is not quite one.

A term of two columns depends on both cells, so no column's part can hold it. Held as each column's basis in a place of its own, which the
sum keeps apart, it would make every part as wide as the bases of all columns together. Beside the parts it costs what the pairs cost.
Letters: N rows, C columns, P pairs, P' columns in pairs, W width of a part, Q entries of the sum that the terms are added to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # explainers of any model import this, and need no torch for models that are no networks
    import torch

__all__ = ["Couplings", "CouplingsOf", "added_up", "with_pairs"]


class Couplings(NamedTuple):
    """Which columns are coupled, and where their terms go.

    A network that has them offers ``bases(tokens (N, C, D)) -> (N, P', V)``, what the terms read of each coupled column, and
    ``coupled(left, right) -> (N, P, Q)``, the terms where the left columns come from rows with the bases ``left`` (N, P', V) and the right
    ones from rows with ``right``. It may offer ``coupled_sum(bases) -> (N, Q)``, the sum of the terms of whole rows, where that costs less.

    Attributes
    ----------
    columns : (P',) numbers of the coupled columns. left, right : (P,) places among these of each pair's columns.
    slots : (Q,) the entries of the sum (N, W) that the terms, added up over pairs, are added to.
    """

    columns: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    slots: torch.Tensor


class CouplingsOf:
    """The couplings of what stands behind: a class says in ``_behind`` which network it passes them on from."""

    @property
    def _behind(self) -> Any:
        raise NotImplementedError  # each class its own

    @property
    def couplings(self) -> Couplings | None:
        """Which pairs of columns add what no part holds to the sum of the parts; None where none do."""
        found: Couplings | None = getattr(self._behind, "couplings", None)  # networks of others need not know the word
        return found

    def bases(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the pairs' terms read of the coupled columns, (N, P', V)."""
        bases: torch.Tensor = self._behind.bases(tokens)
        return bases

    def coupled(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the pairs' terms (N, P, Q), of left columns from rows with bases ``left`` and right ones from rows with ``right``."""
        terms: torch.Tensor = self._behind.coupled(left, right)
        return terms

    def coupled_sum(self, bases: torch.Tensor) -> torch.Tensor:
        """Return the sum of the pairs' terms of whole rows, (N, Q)."""
        return added_up(self._behind, bases)


def with_pairs(network: Any, tokens: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return the summed parts (N, W) of rows with their pairs' terms added, in place; what ``outputs_from_parts`` reads of whole rows."""
    couplings = getattr(network, "couplings", None)
    if couplings is None:
        return total
    bases = network.bases(tokens)
    return total.index_add_(1, couplings.slots.to(total.device), added_up(network, bases).to(total.dtype))


def added_up(network: Any, bases: torch.Tensor) -> torch.Tensor:
    """Return the sum of the pairs' terms (N, Q) of rows with these bases (N, P', V)."""
    at_once = getattr(network, "coupled_sum", None)
    total: torch.Tensor = network.coupled(bases, bases).sum(1) if at_once is None else at_once(bases)
    return total
