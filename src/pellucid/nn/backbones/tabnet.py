"""TabNet: decision steps, each of which chooses its columns row by row.

Arik and Pfister 2021, arXiv:1908.07442.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.backbones.tabnet_pass import TINY, Layer, Places, Walk, walked
from pellucid.nn.norms import GhostNorm, move_records
from pellucid.nn.sparse import entmax15, entmax15_back, sparsemax, sparsemax_back, sparsemax_by_support

__all__ = ["FeatureTransformer", "Steps", "TabNet", "aggregate", "mask_entropy"]

MASKS = {"sparsemax": sparsemax, "entmax": entmax15}
MASKS_ONCE = {"sparsemax": sparsemax_by_support, "entmax": entmax15}
MASKS_BACK = {"sparsemax": sparsemax_back, "entmax": entmax15_back}
USED_UP = -1e9  # score of a column that a mask may not choose: far below any other, and finite, so that a row may have no other


class Steps(NamedTuple):
    """What the decision steps did.

    Shape
    -----
    masks : S of (N, C), weights that sum to 1. decisions : S of (N, N_d), after ReLU. information : S of (N, N_a), for the next mask.
    """

    masks: list[torch.Tensor]
    decisions: list[torch.Tensor]
    information: list[torch.Tensor]


class GatedLayer(nn.Module):
    """``u * sigmoid(v)`` with (u, v) = norm(W z): rows (N, n_in) to (N, w).

    Parameters
    ----------
    n_in, width : of the input, and w.
    group, momentum : of the ghost norm.
    own : the layer has a matrix of its own; else it is called with a shared one, and only the norm is its own.
    """

    def __init__(self, n_in: int, width: int, group: int, momentum: float, own: bool = True) -> None:
        super().__init__()
        if own:
            self.weight = nn.Parameter(gated_weight(n_in, width))
        else:
            self.register_parameter("weight", None)
        self.norm = GhostNorm(2 * width, group, momentum)

    def forward(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return functional.glu(self.norm(functional.linear(x, matrix)))


class FeatureTransformer(nn.Module):
    """Gated layers in a chain, (N, n_in) to (N, w); from the second on each adds to what it reads, times sqrt(1/2).

    Parameters
    ----------
    n_in, width : of the input, and w.
    shared, own : number of layers whose matrices are given at the call, and of those with matrices of their own.
    group, momentum : of the ghost norms, which are never shared.
    """

    def __init__(self, n_in: int, width: int, shared: int, own: int, group: int, momentum: float) -> None:
        super().__init__()
        if shared + own < 1:
            raise RequestError("a feature transformer needs layers", expected="n_shared + n_own of at least 1")
        self.layers = nn.ModuleList(
            GatedLayer(n_in if i == 0 else width, width, group, momentum, own=i >= shared) for i in range(shared + own)
        )

    def matrix(self, i: int, shared: nn.ModuleList) -> torch.Tensor:
        """Return the matrix of layer ``i``."""
        layer: Any = self.layers[i]
        of: Any = shared[i] if layer.weight is None else layer
        matrix: torch.Tensor = of.weight
        return matrix

    def forward(self, x: torch.Tensor, shared: nn.ModuleList) -> torch.Tensor:
        for i, layer in enumerate(self.layers):
            change = layer(x, self.matrix(i, shared))
            x = change if i == 0 else (x + change) * 0.5**0.5
        return x


class Chooser(nn.Module):
    """Scores of the next mask: norm(W a), (N, N_a) to (N, C).

    # NOTE[DIFF] The norm's weights start at 0.1 instead of 1, so that the first masks are nearly equal for all columns. Masks that start
    sparse close columns before anything was learned of them, and a closed column has no gradient that could open it: on Syn2 the area
    under the curve after 300 steps is .79 that way and .89 this way, and .75 and .93 of the masks' weight lie on the true columns.
    # NOTE[DIFF] ``pace``: how fast the norm's scale is learned beside all else. A mask that depends on the row tells the step something by
    which columns it opens, useless ones among them: on Syn1 it opens the second column where the first is positive, and any other where
    not. A slow scale leaves the masks to the norm's shift, which is the same for all rows, for as long as that serves.
    """

    def __init__(self, n_a: int, n_tokens: int, group: int, momentum: float, pace: float) -> None:
        super().__init__()
        self.linear = _linear(torch.randn(n_tokens, n_a) * n_a**-0.25)
        self.norm = GhostNorm(n_tokens, group, momentum, pace=pace)
        nn.init.constant_(self.norm.weight, 0.1 / pace)

    def forward(self, information: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.norm(self.linear(information))
        return scores


class TabNet(nn.Module):
    """Tokens (N, C, D) to hidden states (N, 1, N_d), the sum of the steps' decisions, with the masks by which columns were read.

    Step i reads ``M[i] * f`` with ``M[i] = sparsemax(P[i-1] * norm(W_i a[i-1]))`` and ``P[i] = P[i-1] * (gamma - M[i])``, where f are
    the normalised tokens. Its layers give a decision d[i] and the information a[i] for the next mask; hidden is ``sum_i relu(d[i])``.

    Parameters
    ----------
    n_tokens, d_token : C, D. One weight of a mask holds for the whole token.
    n_d, n_a, n_steps : N_d, N_a, S.
    gamma : relaxation; at 1 a column that one step used wholly is closed to the later ones.
    lambda_sparse : weight of the masks' entropy in the loss.
    n_shared, n_own : layers of a step whose matrices all steps share, and of its own.
    group, momentum : rows of a ghost norm's group, and its momentum (torch's convention).
    mask : ``"sparsemax"`` or ``"entmax"`` (1.5).
    pace : at which masks learn to depend on the row; below 1 where the same columns are thought to count in all rows.

    Notes
    -----
    # NOTE[DIFF] A column whose prior is 0 is excluded from the mask; by the formula its score would be 0, which is the best score
    where all others are negative. Columns ``masked`` are excluded in the same way.
    # NOTE[DIFF] The head has a bias.

    Cost: (S + 1) * (2 * C * D * w + 6 * w**2) + S * N_a * C multiply-adds a row, w = N_d + N_a.
    """

    additive = False
    stackable = True
    penalised = True
    members = 1

    def __init__(
        self, n_tokens: int, d_token: int, n_d: int = 16, n_a: int = 16, n_steps: int = 3, gamma: float = 1.5, lambda_sparse: float = 1e-3,
        n_shared: int = 2, n_own: int = 2, group: int = 128, momentum: float = 0.05, mask: str = "sparsemax",
        pace: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if mask not in MASKS:
            raise RequestError(f"unknown mask {mask!r}", expected=f"one of {', '.join(MASKS)}")
        if n_steps < 1 or gamma < 1 or pace <= 0:
            raise RequestError(
                "the decision steps cannot be made", expected="n_steps and gamma of at least 1, and a pace above 0",
                got=f"{n_steps}, {gamma} and {pace}",
            )  # fmt: skip
        self.n_tokens, self.d_token, self.width, self.n_d, self.n_steps = n_tokens, d_token, n_d, n_d, n_steps
        self.gamma, self.lambda_sparse, self.mask = gamma, lambda_sparse, mask
        flat, width = n_tokens * d_token, n_d + n_a
        self.norm = GhostNorm(flat, momentum=momentum)
        self.shared = nn.ModuleList(_linear(gated_weight(flat if i == 0 else width, width)) for i in range(n_shared))
        self.first = FeatureTransformer(flat, width, n_shared, n_own, group, momentum)
        self.choosers = nn.ModuleList(Chooser(n_a, n_tokens, group, momentum, pace) for _ in range(n_steps))
        self.steps = nn.ModuleList(FeatureTransformer(flat, width, n_shared, n_own, group, momentum) for _ in range(n_steps))

    def features(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return the normalised tokens f (N, C, D); 0, the mean of training, where ``masked`` (N, C)."""
        f: torch.Tensor = self.norm(tokens.flatten(1)).unflatten(1, (self.n_tokens, self.d_token))
        return f if masked is None else torch.where(masked[..., None], 0.0, f)

    def decide(self, f: torch.Tensor, prior: torch.Tensor) -> Steps:
        """Go through the steps from features (N, C, D) and the columns' prior P[0] (N, C); columns of prior 0 are never chosen."""
        done = Steps([], [], [])
        information = self.first(f.flatten(1), self.shared)[:, self.n_d :]
        for chooser, step in zip(self.choosers, self.steps):
            scores = torch.where(prior > 0, prior * chooser(information), USED_UP)
            mask = MASKS[self.mask](scores)
            decision, information = step((f * mask[..., None]).flatten(1), self.shared).tensor_split((self.n_d,), 1)
            prior = prior * (self.gamma - mask)
            done.masks.append(mask)
            done.decisions.append(torch.relu(decision))
            done.information.append(information)
        return done

    def _steps(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> Steps:
        with torch.autocast(tokens.device.type, enabled=False):  # its products are small, and the masks must stay exact
            open_to = tokens.new_ones(tokens.shape[:2]) if masked is None else (~masked).to(tokens.dtype)
            return self.decide(self.features(tokens.float(), masked), open_to.float())

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, N_d), ``penalty`` (N,)). Columns ``masked`` (N, C) have exactly no influence."""
        if self._learns(tokens.shape[0], masked):
            total, entropy = self._walk(tokens)
        else:
            done = self._steps(tokens, masked)
            total, entropy = _total(done), sum((mask_entropy(m) for m in done.masks), tokens.new_zeros(tokens.shape[0]))
        return total[:, None], {"penalty": self.lambda_sparse / self.n_steps * entropy}

    def _learns(self, rows: int, masked: torch.Tensor | None) -> bool:
        """Tell whether this is the usual pass of training, which is written out by hand.

        Functional transforms (networks stacked by ``vmap``, derivatives in a regularizer) and the compiler go through the modules. The
        written pass can be differentiated once; a second derivative is refused by the framework.
        """
        usual = self.training and rows > 1 and masked is None and self.gamma > 1 and not torch.compiler.is_compiling()
        return usual and not getattr(torch._C, "_are_functorch_transforms_active", lambda: True)()

    def _layers(self) -> tuple[list[list[tuple[torch.Tensor, GhostNorm]]], list[tuple[torch.Tensor, GhostNorm]]]:
        """Return matrices and norms: of the first transformer and of each step's, and of the choosers."""
        transformers: list[Any] = [self.first, *self.steps]
        choosers: list[Any] = list(self.choosers)
        chains = [[(t.matrix(i, self.shared), layer.norm) for i, layer in enumerate(t.layers)] for t in transformers]
        return chains, [(chooser.linear.weight, chooser.norm) for chooser in choosers]

    def _walk(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what :meth:`_steps` comes to while training: (decisions' sum (N, N_d), masks' summed entropy (N,))."""
        with torch.autocast(tokens.device.type, enabled=False):
            f = self.norm(tokens.float().flatten(1))
            chains, choosers = self._layers()
            places = Places.of(choosers[0][1].blocks(len(f)), f.device)
            walk = Walk(
                places, [[_layer(*of) for of in chain] for chain in chains], [_layer(*of) for of in choosers], self.n_d, self.gamma,
                self.norm.eps, (MASKS_ONCE if f.device.type == "cpu" else MASKS)[self.mask], MASKS_BACK[self.mask],
            )  # fmt: skip
            total, entropy = walked(walk, f, self.n_tokens, self.lambda_sparse > 0)
        norms = [[norm for _, norm in chain] for chain in chains]
        met = [*norms[0], *(norm for (_, own), chain in zip(choosers, norms[1:]) for norm in (own, *chain))]
        move_records(met, walk.statistics, places.sizes)
        return total, entropy

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same hidden state with what the steps did.

        ``masks`` (N, S, C); ``importance`` (N, C), the masks weighed by the size of their steps' decisions, rows that sum to 1;
        ``decisions`` (N, S, N_d), whose sum over steps is hidden; ``information`` (N, S, N_a).
        """
        done = self._steps(tokens, masked)
        masks, decisions, information = (torch.stack(values, 1) for values in done)
        parts = {"masks": masks, "importance": aggregate(masks, decisions), "decisions": decisions, "information": information}
        return _total(done)[:, None], parts


def aggregate(masks: torch.Tensor, decisions: torch.Tensor) -> torch.Tensor:
    """Return the columns' importance (N, C) from masks (N, S, C) and decisions after ReLU (N, S, N_d); rows sum to 1.

    A row in which no step decided anything gets the plain mean of its masks.
    """
    sizes = decisions.sum(2)
    sizes = torch.where(sizes.sum(1, keepdim=True) > 0, sizes, 1.0)
    weighed = (masks * sizes[..., None]).sum(1)
    return weighed / weighed.sum(1, keepdim=True)


def mask_entropy(mask: torch.Tensor) -> torch.Tensor:
    """Return the entropy (N,) of masks (N, C): 0 where one column has it all, log C where all are equal."""
    return (mask * -torch.log(mask + TINY)).sum(1)


def gated_weight(n_in: int, width: int) -> torch.Tensor:
    """Return the initial matrix (2 w, n_in) of a gated layer: normal with deviation sqrt(2) n_in^(-1/4).

    This is Glorot's normal law times the gain sqrt((n_in + 2 w) / sqrt(n_in)) of the reference implementation.
    """
    weight: torch.Tensor = torch.randn(2 * width, n_in) * (2**0.5 * n_in**-0.25)
    return weight


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight
    return layer


def _layer(matrix: torch.Tensor, norm: GhostNorm) -> Layer:
    return Layer(matrix, norm.scale(), norm.bias)


def _total(done: Steps) -> torch.Tensor:
    total = done.decisions[0]
    for decision in done.decisions[1:]:
        total = total + decision
    return total
