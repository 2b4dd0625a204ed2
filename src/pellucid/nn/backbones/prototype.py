"""Predictions as weighted averages of training rows' answers: the model is its own explanation.

Attention over stored rows follows Snell, Swersky, Zemel 2017, arXiv:1703.05175 (class means) and Ye, Yin, Zhan 2024, arXiv:2407.03257
(neighbours by a learned distance). The votes for and against, and the radius within which a decision cannot change, follow the idea of
Saralajew, Holdijk, Rees, Villmann 2019, arXiv:1812.01214.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.backbones.mlp import linear_blocks
from pellucid.nn.bank import Memory
from pellucid.nn.layers import relu_dropout

__all__ = ["Prototype", "RowEncoder", "Votes", "certified_radius", "distances", "masked_out", "votes"]

SHARE = 1e-3  # of the weight is spread over all rows, so that no class has a probability of 0
LEAST = 1e-6


class RowEncoder(nn.Module):
    """Tokens (N, C, D) to one vector a row (N, E): linear maps, ReLU between them.

    Parameters
    ----------
    n_tokens, d_token : C, D. width, blocks : of the hidden layers. d_row : E. dropout : while training.
    """

    def __init__(self, n_tokens: int, d_token: int, width: int, blocks: int, d_row: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = nn.Linear(n_tokens * d_token, width)
        self.blocks = nn.ModuleList(linear_blocks(width, blocks - 1))
        self.last = nn.Linear(width, d_row)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
        x = self.first(tokens.flatten(1))
        for layer in self.blocks:
            x = layer(relu_dropout(x, self.dropout, self.training))
        return self.last(relu_dropout(x, self.dropout, self.training))  # type: ignore[no-any-return]

    @torch.no_grad()
    def lipschitz(self) -> float:
        """Return how much farther than two rows' tokens their vectors can lie apart: the product of the layers' largest stretches."""
        stretches = [torch.linalg.matrix_norm(layer.weight.double(), 2) for layer in (self.first, *self.blocks, self.last)]
        return float(torch.stack(stretches).prod())


class Prototype(nn.Module):
    """Tokens (N, C, D) and kept rows to raw outputs (N, 1, O): the weighted average of the kept rows' answers.

    A row's weight falls with its distance, ``softmax(-|f(x) - f(x_i)| / tau)``; f and tau are learned. For numbers the output is that
    average, so it never leaves the range of the kept answers. For classes it is the logarithm of the averaged classes (two classes: the
    log-odds), where a share of 0.001 of the weight is spread evenly. In training a row never sees itself.

    Parts: ``"weights"`` (N, P), which sum to 1 and whose average of the answers is the prediction.

    Parameters
    ----------
    n_tokens, d_token, n_outputs : C, D, O.
    width, blocks, dropout : of the network f.
    d_row : E.
    prototypes : most rows that are kept; the classes have equal shares.
    sampled : rows that one step reads.
    mode : ``"rows"``, or ``"means"``: the distance to each class's mean decides, ``softmax(-|f - mean|^2 / tau)``, and a class of a few
        rows can be added by keeping them.

    Cost: the network f, and P * E multiply-adds a row.

    # NOTE[DIFF] Distances of vectors that are not brought to length 1: their stretch is then bounded, and a radius can be certified.
    """

    wants = ("n_outputs",)
    remembers = True
    balanced = True
    stackable = True

    def __init__(
        self, n_tokens: int, d_token: int, n_outputs: int, width: int = 256, blocks: int = 2, dropout: float = 0.1, d_row: int = 64,
        prototypes: int = 2000, sampled: int = 1000, mode: str = "rows",
    ) -> None:  # fmt: skip
        super().__init__()
        if mode not in ("rows", "means"):
            raise RequestError(f"unknown mode {mode!r} of the prototypes", expected="'rows' or 'means'")
        self.members, self.width, self.mode = 1, n_outputs, mode
        self.most, self.sampled = prototypes, sampled
        self.encoder = RowEncoder(n_tokens, d_token, width, blocks, d_row, dropout)
        self.log_tau = nn.Parameter(torch.zeros(()))

    @property
    def tau(self) -> torch.Tensor:
        """Distance over which a weight falls to 1/e."""
        return self.log_tau.exp()

    def remember(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the vectors (P, E) of kept rows; in full precision, as those that they are compared with."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.encoder(tokens.float())  # type: ignore[no-any-return]

    def forward(
        self, tokens: torch.Tensor, masked: torch.Tensor | None = None, *, memory: Memory, same: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (raw (N, 1, O), parts); ``same`` (N, P) rows do not count."""
        with torch.autocast(tokens.device.type, enabled=False):
            f = self.encoder(tokens.float(), masked)
            weights = self._of_means(f, memory, same) if self.mode == "means" else self._of_rows(f, memory, same)
            if memory.of_classes:
                weights = (1 - SHARE) * weights + SHARE / weights.shape[1]
            answer = weights @ memory.answers
            return _raw(answer, memory.of_classes)[:, None], {"weights": weights}

    def _of_rows(self, f: torch.Tensor, memory: Memory, same: torch.Tensor | None) -> torch.Tensor:
        return masked_out(-distances(f, memory.encoded) / self.tau, same).softmax(1)

    def _of_means(self, f: torch.Tensor, memory: Memory, same: torch.Tensor | None) -> torch.Tensor:
        """Return weights (N, P) that give each class its probability and share it evenly among the class's rows."""
        if not memory.of_classes:
            raise RequestError("class means need classes", do="use mode='rows' to predict numbers")
        counts = memory.answers.sum(0).expand(len(f), -1)
        total = (memory.answers.T @ memory.encoded).expand(len(f), -1, -1)
        used = f.new_ones(len(f), len(memory.answers))
        if same is not None:
            out = same.float()
            counts, used = counts - out @ memory.answers, 1 - out
            own = memory.answers[:, :, None] * memory.encoded[:, None]
            total = total - (out @ own.flatten(1)).view(total.shape)
        means = total / counts.clamp(min=1)[..., None]
        scores = masked_out(-(f[:, None] - means).square().sum(2) / self.tau, counts < 0.5)
        each = scores.softmax(1) / counts.clamp(min=1)
        return used * (each @ memory.answers.T)


def distances(f: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
    """Return the distances (N, P) between vectors (N, E) and (P, E), with a gradient at 0."""
    squares = f.square().sum(1, keepdim=True) + encoded.square().sum(1) - 2 * f @ encoded.T
    return (squares.clamp(min=0) + LEAST).sqrt()


def masked_out(scores: torch.Tensor, without: torch.Tensor | None) -> torch.Tensor:
    """Return scores that no weight is left to where ``without``; finite, should that be everywhere."""
    return scores if without is None else torch.where(without, -1e9, scores)


def _raw(answer: torch.Tensor, of_classes: bool) -> torch.Tensor:
    """Return raw outputs (N, O) of averaged answers (N, A)."""
    if not of_classes:
        return answer
    logs = answer.clamp(min=LEAST).log()
    return logs[:, 1:] - logs[:, :1] if answer.shape[1] == 2 else logs


class Votes(NamedTuple):
    """What each kept row says of one decision; (N, P) each, and never both for the same row.

    ``support`` minus ``against``, summed, is the lead of the first class's probability over the second one's.
    """

    support: torch.Tensor
    against: torch.Tensor


def votes(weights: torch.Tensor, answers: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> Votes:
    """Return which kept rows vote for class ``first`` (N,) rather than ``second`` (N,), and which against it.

    Parameters
    ----------
    weights, answers : (N, P) of a prediction; (P, A) one-hot.
    """
    lead = weights * (answers[:, first] - answers[:, second]).T
    return Votes(lead.clamp(min=0), (-lead).clamp(min=0))


@torch.no_grad()
def certified_radius(backbone: Prototype, weights: torch.Tensor, answers: torch.Tensor, tokens: bool = True) -> torch.Tensor:
    """Return for each row a radius (N,) such that no change of its tokens of at most that length changes its predicted class.

    A weight's logarithm changes by at most the change of its distance over tau, so the ratio of two classes changes by at most
    ``exp(2 r / tau)`` when the row's vector moves by r; tokens move the vector by at most the network's stretch. It is a lower bound,
    and a cautious one for deep networks.

    Parameters
    ----------
    backbone : in ``"rows"`` mode. weights, answers : (N, P) of a prediction, with the even share in them; (P, A) one-hot.
    tokens : of changes of all C * D entries of the tokens together; False: of the row's vector.
    """
    if backbone.mode != "rows":
        raise RequestError("a radius can be certified for kept rows alone", expected="mode='rows'", got=repr(backbone.mode))
    weights, answers = weights.double(), answers.double()
    even = answers.mean(0) * SHARE
    mass = weights @ answers - even  # what the distances decide
    top = (mass + even).argmax(1, keepdim=True)
    one, prior = mass.gather(1, top), even[top]
    # the lead that the even share gives to the other class; below 0 it helps, and is not counted
    gap = (even - prior).clamp(min=0)
    ratio = 0.5 * (one / mass.clamp(min=1e-300)).log()
    root = (gap + (gap.square() + 4 * one * mass.clamp(min=0)).sqrt()) / (2 * one)
    move = torch.where(gap > 0, -0.5 * root.clamp(min=1e-300).log(), ratio).scatter(1, top, torch.inf)
    radius = move.amin(1).clamp(min=0) * backbone.tau.double()
    return radius / backbone.encoder.lipschitz() if tokens else radius
