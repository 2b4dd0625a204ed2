"""How attention weights enter the output: the weights of one pass, and the output's derivative in each."""

from __future__ import annotations

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.relevance import derivative
from pellucid.nn.gradients.tape import WEIGHTS, Function, Step, back, record

__all__ = ["attention_slopes", "without_heads"]

ROWS = 256
FILLING = 16  # softmax rows may be filled up to a multiple of this many places


def attention_slopes(function: Function, tokens: torch.Tensor, heads: int, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return for each layer the attention weights (N, heads, Q, T) and the outputs' slopes in them (N, O, heads, Q, T).

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent.
    heads, size : of the network's attention maps: heads, T. Q is T, or 1 where the last layer asks for one token alone.

    Raises
    ------
    RequestError : no softmax of the pass has that form.

    Notes
    -----
    Cost: one forward pass and O passes back per row.
    """
    pieces = [_some(function, part, heads, size) for part in tokens.split(ROWS)]
    if not pieces[0]:
        raise RequestError("no attention weights were found on the way to the output", do="use how='map'")
    return [(torch.cat([p[k][0] for p in pieces]), torch.cat([p[k][1] for p in pieces])) for k in range(len(pieces[0]))]


def without_heads(function: Function, tokens: torch.Tensor, heads: int, size: int) -> torch.Tensor:
    """Return the outputs (L, heads, N, O) with one head at a time taken out: its weights are 0, so it mixes nothing.

    Parameters
    ----------
    function, tokens, heads, size : as for :func:`attention_slopes`; the layers are counted alike.

    Notes
    -----
    Cost: L heads + 1 forward passes.
    """
    return torch.cat([_without(function, part, heads, size) for part in tokens.split(ROWS)], 2)


def _without(function: Function, tokens: torch.Tensor, heads: int, size: int) -> torch.Tensor:
    tape, n = record(function, tokens), len(tokens)
    places = [k for k, s in enumerate(tape.steps) if s.name in WEIGHTS and _shaped(s, n, heads, size)]
    out = []
    for k in places:
        whole = tape.steps[k].outputs[0]
        networks = _form(whole, n, heads, size).shape[0]
        queries = min(whole.numel() // (whole.shape[-1] * n * heads), size)
        for g in range(networks):
            out.append(torch.stack([_pruned(function, tokens, k, (networks, n, heads, queries), g, h) for h in range(heads)]))
    return torch.stack(out) if out else torch.zeros(0, heads, n, tape.output.shape[1])


def _pruned(function: Function, tokens: torch.Tensor, place: int, shape: tuple[int, ...], network: int, head: int) -> torch.Tensor:
    """Return the outputs (N, O) of a pass in which one step's weights of one head are 0."""

    def change(name: str, number: int, result: torch.Tensor) -> torch.Tensor:
        if number != place:
            return result
        kept = result.clone().reshape(*shape, result.shape[-1])
        kept[network, :, head] = 0.0
        return kept.reshape(result.shape)

    return record(function, tokens, change).output


def _some(function: Function, tokens: torch.Tensor, heads: int, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    tape, n = record(function, tokens), len(tokens)
    places = [k for k, s in enumerate(tape.steps) if s.name in WEIGHTS and _shaped(s, n, heads, size)]
    slopes: dict[int, list[torch.Tensor]] = {k: [] for k in places}
    for o in range(tape.output.shape[1]):
        start = torch.zeros_like(tape.output)
        start[:, o] = 1.0
        watch: dict[int, list[torch.Tensor]] = {k: [] for k in places}
        back(tape, start, lambda k, came: derivative(tape.steps[k], came), watch)
        for k in places:
            slopes[k].append(watch[k][0] if watch[k] else torch.zeros_like(tape.steps[k].outputs[0]))
    layers = []
    for k in places:
        given, found = _form(tape.steps[k].outputs[0], n, heads, size), [_form(m, n, heads, size) for m in slopes[k]]
        layers += [(given[g], torch.stack([f[g] for f in found], 1)) for g in range(len(given))]
    return layers


def _shaped(step: Step, n: int, heads: int, size: int) -> bool:
    """Tell whether a result holds weights of all heads: (N, heads, T or 1, T), rows and heads folded or not, G networks in front or not."""
    out = step.outputs[0]
    width, maps = out.shape[-1], out.numel() / (out.shape[-1] * n * heads)
    return size <= width < size + FILLING and (maps == 1 or maps % size == 0)


def _form(values: torch.Tensor, n: int, heads: int, size: int) -> torch.Tensor:
    """Return (G, N, heads, Q, T); the filling is cut off."""
    queries = min(values.numel() // (values.shape[-1] * n * heads), size)
    return values.reshape(-1, n, heads, queries, values.shape[-1])[..., :size]
