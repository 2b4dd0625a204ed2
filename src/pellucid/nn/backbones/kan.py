"""Kolmogorov-Arnold network: a learned curve on every edge, sums at the nodes.

Liu and others 2024, arXiv:2404.19756.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.backbones.curves import directions
from pellucid.nn.splines import even_spline, rising, smooth_clip

__all__ = ["KAN", "KANLayer", "importance"]

BOUND = 3.0  # the splines live on (-3, 3); smooth_clip brings every number there


class KANLayer(nn.Module):
    """(N, I) to (N, J): ``y_j = sum_i w_ji silu(x_i) + sum_m c_jim B_m(clip(x_i))``.

    Edges that must rise or fall have coefficients in order, and ``w x`` with w of their sign in place of silu, which is not monotone.

    # NOTE[DIFF] No scale beside the coefficients: it adds nothing that they lack. The grid is fixed: inputs come scaled, and a smooth clip
    # keeps every number inside, so that splines never vanish and rising ones never fall.

    Parameters
    ----------
    n_in, n_out : I, J.
    pieces, degree : of the splines; degree 1 is a piecewise-linear curve.
    signs : (J, I) of +1, -1, 0 (free), or nan (no edge); None for all free.
    """

    signs: torch.Tensor

    def __init__(self, n_in: int, n_out: int, pieces: int = 5, degree: int = 3, signs: torch.Tensor | None = None) -> None:
        super().__init__()
        self.n_in, self.n_out, self.pieces, self.degree, self.size = n_in, n_out, pieces, degree, pieces + degree
        signs = torch.zeros(n_out, n_in) if signs is None else signs
        self.register_buffer("signs", signs, persistent=False)
        self.constrained = bool((signs != 0).any())
        self.base = nn.Parameter(torch.empty(n_out, n_in).uniform_(-1, 1) * (3 / n_in) ** 0.5)
        self.weight = nn.Parameter(0.1 / n_in**0.5 * torch.randn(n_out, n_in * self.size))

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        """Return the splines (..., M) at numbers (...)."""
        return even_spline(smooth_clip(x, BOUND), -BOUND, BOUND, self.pieces, self.degree)

    def coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return base weights (J, I) and coefficients (J, I, M) as they act."""
        c = self.weight.view(self.n_out, self.n_in, self.size)
        if not self.constrained:
            return self.base, c
        sign = self.signs.nan_to_num(0.0)
        edge = ~self.signs.isnan()
        base = torch.where(sign == 0, self.base, sign * functional.softplus(self.base - 3))
        return base * edge, torch.where((sign == 0)[..., None], c, sign[..., None] * rising(c)) * edge[..., None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        base, c = self.coefficients()
        out = functional.linear(functional.silu(x), base) if not self.constrained else self._based(x, base)
        return out + functional.linear(self.basis(x).flatten(1), c.flatten(1))

    def _based(self, x: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        bound = self.signs.nan_to_num(0.0) != 0
        return functional.linear(functional.silu(x), base * ~bound) + functional.linear(x, base * bound)

    def edges(self, x: torch.Tensor) -> torch.Tensor:
        """Return every edge's value, (N, J, I), for numbers (N, I)."""
        base, c = self.coefficients()
        bound = self.signs.nan_to_num(0.0) != 0
        line = torch.where(bound, x[:, None], functional.silu(x)[:, None])
        return base.to(x.dtype) * line + torch.einsum("nim,jim->nji", self.basis(x), c.to(x.dtype))


class KAN(nn.Module):
    """Tokens (N, C, D) to outputs (N, 1, O) by layers of edge curves.

    Cost: sum over layers of I * J * (M + 1) multiply-adds, and I * 12 * degree for the splines, a row.

    Parameters
    ----------
    n_tokens, d_token, n_outputs : C, D, O.
    hidden : widths of the hidden layers; () gives one curve per column, an additive model.
    pieces, degree : of the splines.
    penalty : weight of the sum of the edges' sizes (mean absolute coefficient, and base) and of their entropy, which leaves few edges.
    monotone : column index -> +1 (the output never falls along it) or -1. Half of the hidden nodes then rise: they alone are read from by
        such columns, and the edges that leave them rise.
    """

    additive = False
    stackable = True
    listed = True
    penalised = True
    members = 1
    wants = ("n_outputs",)

    def __init__(
        self, n_tokens: int, d_token: int, n_outputs: int, hidden: Sequence[int] = (64,), pieces: int = 8, degree: int = 3,
        penalty: float = 1e-4, monotone: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_tokens, self.d_token, self.width, self.penalty = n_tokens, d_token, n_outputs, penalty
        widths = [n_tokens * d_token, *(int(h) for h in hidden), n_outputs]
        signs = _edge_signs(directions(monotone, n_tokens).repeat_interleave(d_token), widths)
        self.layers = nn.ModuleList(KANLayer(i, j, pieces, degree, s) for i, j, s in zip(widths, widths[1:], signs))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def _penalty(self) -> torch.Tensor:
        """Return the sum over layers of edge sizes and of their entropy (the L1 and entropy terms of the paper, on coefficients)."""
        total = self.bias.new_zeros(())
        for layer in self.layers:
            base, c = layer.coefficients()  # type: ignore[operator]
            size = c.abs().mean(2) + base.abs() + 1e-8  # with the base: else splines grow to cancel it where a column does not matter
            share = size / size.sum()
            total = total + size.sum() - (share * share.log()).sum()
        return self.penalty * total

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (outputs (N, 1, O), penalty). Columns ``masked`` (N, C) stand at 0, the middle of the scaled values."""
        with torch.autocast(tokens.device.type, enabled=False):
            x = tokens.float() if masked is None else torch.where(masked[..., None], 0.0, tokens.float())
            x = x.flatten(1)
            for layer in self.layers:
                x = layer(x)
            return (x + self.bias)[:, None], {"penalty": self._penalty().expand(x.shape[0])}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the outputs with ``contributions`` (N, C, O) and ``bias`` (N, O), whose total they are, and the first layer's edges.

        The bias is the output where every column is 0. From there each curve is replaced by its secant (rise over run), layer by layer:
        the products of the secants share the change among the columns and leave nothing over. Without hidden layers the shares are the
        curves themselves. Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685 (the rescale rule, exact on sums of curves).
        """
        x = tokens.double() if masked is None else torch.where(masked[..., None], 0.0, tokens.double())
        x = x.flatten(1)
        zero = torch.zeros_like(x[:1])
        changes, runs = [], []
        for layer in self.layers:
            at, base = layer.edges(x), layer.edges(zero)  # type: ignore[operator]
            changes.append(at - base)
            runs.append(x - zero)
            x, zero = at.sum(2), base.sum(2)
        share = changes[-1]  # (N, O, I) of the last layer's inputs
        for change, run in zip(reversed(changes[:-1]), reversed(runs[1:])):
            secant = torch.where(run.abs() > 1e-12, 1 / torch.where(run.abs() > 1e-12, run, 1.0), 0.0)
            share = torch.bmm(share * secant[:, None], change)
        contributions = share.unflatten(2, (self.n_tokens, self.d_token)).sum(3).mT
        bias = (zero + self.bias).expand(len(x), -1)
        edges = changes[0].unflatten(2, (self.n_tokens, self.d_token)).sum(3)
        parts = {"contributions": contributions, "bias": bias, "edges": edges}
        return (x + self.bias).float()[:, None], {k: v.float() for k, v in parts.items()}

    @torch.no_grad()
    def curves(self, column: int, at: torch.Tensor) -> torch.Tensor:
        """Return the first layer's edge curves (S, J) of a column at scaled numbers ``at`` (S,); with J = O where nothing is hidden.

        A column with D above 1 has the sum of its D edges, read as the encoder ``plain`` fills them: the number first, then zeros.
        """
        first: KANLayer = self.layers[0]  # type: ignore[assignment]
        tokens = at.new_zeros(len(at), self.n_tokens, self.d_token)
        tokens[:, column, 0] = at
        edges = first.edges(tokens.flatten(1)).view(len(at), -1, self.n_tokens, self.d_token)
        return edges[:, :, column].sum(2)


def importance(
    net: KAN, tokens: torch.Tensor, selector: str = "L1", loss: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> torch.Tensor:
    """Return the columns' importance (C,) by one of four selectors.

    ``L1`` and ``L2``: sum of absolute, or root of the sum of squared, coefficients of a column's first-layer splines. ``SI``
    (sensitivity): mean over rows of the absolute gradients of the outputs. ``KO`` (knock-out): rise of the loss when a column's
    first-layer curves are set to zero.

    # NOTE[DIFF] KO changes the curves' output, not the cell: a masked cell still has the curve's value at 0.

    Parameters
    ----------
    tokens : (N, C, D). loss : outputs (N, O) -> scalar, for ``KO``.
    """
    first: KANLayer = net.layers[0]  # type: ignore[assignment]
    shape = (net.n_tokens, net.d_token)
    if selector in ("L1", "L2"):
        c = first.coefficients()[1].detach().view(first.n_out, *shape, first.size)
        return c.abs().sum((0, 2, 3)) if selector == "L1" else c.square().sum((0, 2, 3)).sqrt()
    if selector == "SI":
        x = tokens.detach().requires_grad_()
        gradients = [torch.autograd.grad(net(x)[0][..., o].sum(), x)[0] for o in range(net.width)]
        return torch.stack(gradients).abs().sum((0, 3)).mean(0)
    if selector != "KO" or loss is None:
        raise RequestError(f"the selector {selector!r} cannot be used", expected="'L1', 'L2', 'SI', or 'KO' with a loss")
    with torch.no_grad():
        edges = first.edges(tokens.float().flatten(1))
        total = edges.sum(2)
        parts = edges.view(*edges.shape[:2], *shape).sum(3)

        def after(x: torch.Tensor) -> torch.Tensor:
            for layer in list(net.layers)[1:]:
                x = layer(x)
            return loss(x + net.bias)

        return torch.stack([after(total - parts[:, :, c]) - after(total) for c in range(net.n_tokens)])


def _edge_signs(signs: torch.Tensor, widths: Sequence[int]) -> list[torch.Tensor | None]:
    """Return for each layer which edges rise (1), fall (-1), are free (0) or absent (nan)."""
    if not signs.any():
        return [None] * (len(widths) - 1)
    out: list[torch.Tensor | None] = []
    for n_out in widths[1:]:
        goal = torch.ones(n_out)
        if len(out) < len(widths) - 2:
            goal[: n_out // 2] = 0  # the free half; what must rise has no edge to it
        edge = torch.where(goal[:, None] == 0, torch.where(signs == 0, 0.0, torch.nan), signs[None].expand(n_out, -1))
        out.append(edge)
        signs = goal
    return out
