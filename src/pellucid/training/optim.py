"""Optimizers: Muon for hidden matrices, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

__all__ = ["AdamW", "Muon", "Optimizers", "orthogonalised"]

# Odd polynomials of degree five, one a round, each the best that is left to do after the ones before for singular values from .003 to 1
# times the norm (Amsel, Persson, Musco, Gower 2025, arXiv:2505.16932; found by linear programs). Small gradients of a table's network are
# nearly of low rank (half of their singular values lie below .01 of the norm), so what a round multiplies small ones by is what counts:
# three rounds multiply by 119, the five of K. Jordan and others 2024 (https://kellerjordan.github.io/posts/muon/) by 485 at twice the cost.
_ROUNDS = ((8.3837, -24.7659, 18.3571), (4.0434, -3.0114, 0.5695), (3.5056, -2.6267, 0.5257))


def orthogonalised(
    matrices: torch.Tensor, rounds: Sequence[tuple[float, float, float]] = _ROUNDS, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return (..., m, n) with every singular value brought near 1, all matrices at once; singular vectors are kept.

    Parameters
    ----------
    matrices : (..., m, n).
    rounds : coefficients of x, x**3 and x**5, one odd polynomial a round; each costs three products of the smaller side.
    dtype : in which to multiply; None keeps the input's.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-12)).to(dtype or matrices.dtype)
    batch = x.shape[:-2]
    x = x.reshape(-1, *x.shape[-2:])
    for a, b, c in rounds:
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.reshape(*batch, *x.shape[-2:]).to(matrices.dtype)
    return x.mT if tall else x


class AdamW:
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019, arXiv:1711.05101), for a list of tensors.

    # NOTE[DIFF] The framework's kernel without ``torch.optim``, whose first use imports the compiler, which costs seconds. One pass over a
    # tensor instead of nine: plain arithmetic took an eighth of a small network's step.
    """

    def __init__(
        self, params: Sequence[torch.Tensor], lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.params, self.lr, self.weight_decay, self.betas, self.eps = list(params), lr, weight_decay, betas, 1e-8
        self.steps = torch.zeros((), device=self.params[0].device if self.params else None)
        self.state = {"mean": [torch.zeros_like(p) for p in self.params], "square": [torch.zeros_like(p) for p in self.params]}

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Update the parameters with the learning rate times ``factor``."""
        self.steps += 1
        held = zip(self.params, self.state["mean"], self.state["square"])
        moved = [(p, p.grad, mean, square) for p, mean, square in held if p.grad is not None]
        if moved:
            params, grads, means, squares = (list(tensors) for tensors in zip(*moved))
            torch._fused_adamw_(
                params, [_laid_out(g, p) for g, p in zip(grads, params)], means, squares, [], [self.steps] * len(moved),
                lr=self.lr * factor, beta1=self.betas[0], beta2=self.betas[1], weight_decay=self.weight_decay, eps=self.eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip


def _laid_out(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the gradient in the parameter's order of memory: the fused kernel reads both from end to end, whatever their strides."""
    return gradient if gradient.stride() == like.stride() else torch.empty_like(like).copy_(gradient)


class Muon:
    """Momentum whose update matrix is orthogonalised; for hidden matrices (..., out, in), stacked or not.

    Parameters
    ----------
    params : tensors of at least two dimensions.
    lr : typical size of an update's singular values, before the factor ``sqrt(max(1, out / in))``.
    weight_decay : decoupled.
    momentum : of the running gradient, with Nesterov's look ahead.
    dtype : in which the orthogonalisation multiplies.
    """

    def __init__(
        self,
        params: Sequence[torch.Tensor],
        lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.params, self.lr, self.weight_decay, self.momentum, self.dtype = list(params), lr, weight_decay, momentum, dtype
        self.steps = torch.zeros((), dtype=torch.int64)
        self.state = {"momentum": [torch.zeros_like(p) for p in self.params]}

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Update the parameters with the learning rate times ``factor``."""
        self.steps += 1
        lr = self.lr * factor
        for same in self._alike():
            params, held, grads = ([one[i] for one in same] for i in range(3))
            torch._foreach_lerp_(held, grads, 1 - self.momentum)
            ahead = torch._foreach_lerp(grads, held, self.momentum)
            moved = orthogonalised(ahead[0][None] if len(ahead) == 1 else torch.stack(ahead), dtype=self.dtype)
            shape = max(1.0, moved.shape[-2] / moved.shape[-1]) ** 0.5
            torch._foreach_mul_(params, 1 - lr * self.weight_decay)
            torch._foreach_add_(params, list(moved.unbind(0)), alpha=-lr * shape)

    def _alike(self) -> list[list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
        """Return (parameter, momentum, gradient) of those that have one, those of one shape together: one product serves them all."""
        groups = dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]()
        for p, held in zip(self.params, self.state["momentum"]):
            if p.grad is not None:
                groups.setdefault(p.shape, []).append((p, held, p.grad))
        return list(groups.values())


class Optimizers:
    """The optimizers of one network, moved together.

    Decay applies to matrices of the backbone and to heads; embeddings, scales, norms and biases are left alone.

    Parameters
    ----------
    named : parameters by name.
    matrices : names of the hidden matrices.
    lr, weight_decay : of AdamW.
    muon_lr, muon_decay : of Muon; ``muon_lr=0`` gives everything to AdamW.
    dtype : of Muon's products.
    """

    def __init__(
        self, named: Mapping[str, torch.nn.Parameter], matrices: Iterable[str], *, lr: float, weight_decay: float, muon_lr: float = 0.0,
        muon_decay: float = 0.01, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        held = set(matrices)
        muon = [n for n in named if n in held and muon_lr > 0 and min(named[n].shape[-2:]) >= 16]
        rest = [n for n in named if n not in muon]
        decay = [n for n in rest if n in held or (n.startswith("head") and n.endswith("weight"))]
        free = [n for n in rest if n not in decay]
        self._params = list(named.values())
        self.all: list[AdamW | Muon] = [
            AdamW([named[n] for n in decay], lr, weight_decay),
            AdamW([named[n] for n in free], lr),
            Muon([named[n] for n in muon], muon_lr, muon_decay, dtype=dtype),
        ]

    def step(self, factor: float) -> None:
        """Update all parameters with the learning rates times ``factor``, and drop the gradients."""
        for optimizer in self.all:
            optimizer.step(factor)
        for p in self._params:
            p.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the optimizers' state by name, as tensors."""
        state = {f"{i}.{key}.{j}": t for i, o in enumerate(self.all) for key, held in o.state.items() for j, t in enumerate(held)}
        return state | {f"{i}.steps": o.steps for i, o in enumerate(self.all)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up the state that ``tensors`` gave."""
        for name, held in self.tensors().items():
            held.copy_(tensors[name])
