"""The same shares of the output at every layer on the way back: what reaches a layer, what its constants keep, what is left over."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.relevance import MATRICES, ROWS, way_back
from pellucid.nn.gradients.tape import Function, Grads, Rule, Step, Tape, back, record

__all__ = ["FIRST", "LAST", "LayerShares", "layer_relevance"]

FIRST, LAST = "tokens", "(answer)"
Listen = Callable[[Callable[[str], None]], AbstractContextManager[object]]
"""Given what is to be called with the name of each stage that has ended, a context in which it is."""


@dataclass(frozen=True)
class LayerShares:
    """What one pass back leaves at the L layers, input side first: the tokens, the stages, the answer.

    Attributes
    ----------
    layers : (L,) names.
    reaching : (L, N, O) shares of a layer's results, summed over its units; of the last layer the answer itself.
    constants : (L, N, O) what the layer's operations give where all they read is 0 (biases above all), as a share of the answer.
    rest : (L, N, O) what reaches the layer's results and neither its inputs nor its constants: curved operations, epsilon.
    gross : (L, N, O) sizes of the shares of a layer's results, summed over its units: ``reaching`` before its signs cancel.
    worked : (L, N, O) sizes of the shares of what the layer's own matrices give, summed over units, mean over matrices; 0 without any.
    """

    layers: tuple[str, ...]
    reaching: torch.Tensor
    constants: torch.Tensor
    rest: torch.Tensor
    gross: torch.Tensor
    worked: torch.Tensor


def layer_relevance(
    function: Function, tokens: torch.Tensor, listen: Listen | None = None, rule: str = "epsilon", epsilon: float = 1e-6,
    gamma: float = 0.25, rows: int = ROWS,
) -> LayerShares:  # fmt: skip
    """Return the shares of the outputs at every layer; ``reaching`` of a layer less its constants and rest is that of the one below.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent.
    listen : context in which the network tells which stage has ended; without it each product with a matrix ends a layer.
    rule, epsilon, gamma, rows : as for :func:`~pellucid.nn.gradients.relevance.relevance`.

    Raises
    ------
    RequestError : there is no such rule.

    Notes
    -----
    Cost: one forward pass and O passes back per row, and two passes of two rows that tell which entries belong to which row. Where the
    operations differ with the number of rows, rows go one by one.

    Examples
    --------
    >>> first, second = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[1.0], [1.0]])
    >>> made = layer_relevance(lambda t: (t.flatten(1) @ first + 3) @ second, torch.tensor([[[2.0], [1.0]]]))
    >>> made.layers, made.reaching.flatten().round().tolist(), made.constants.flatten().round().tolist()
    (('tokens', 'matrix 1', 'matrix 2', '(answer)'), [5.0, 5.0, 11.0, 11.0], [0.0, 0.0, 6.0, 0.0])
    """
    parts = [_part(function, part, listen, (rule, epsilon, gamma)) for part in tokens.split(rows)]
    layers = parts[0][0]
    if any(names != layers for names, _ in parts):
        raise RequestError("the network goes through other layers for other rows", do="ask fewer rows at a time")
    return LayerShares(layers, *(torch.cat([p[k] for _, p in parts], 1) for k in range(5)))


def _part(
    function: Function, tokens: torch.Tensor, listen: Listen | None, how: tuple[str, float, float]
) -> tuple[tuple[str, ...], list[torch.Tensor]]:
    """Return the layers and, each (L, N, O), reaching, constants, rest, gross and worked."""
    tape, layers, place = _layered(function, tokens, listen)
    try:
        return layers, _accounts(tape, _Rows.of(function, tape, listen), place, len(layers), way_back(tape, *how))
    except _Unclear:
        one_by_one = [_part(function, row, listen, how) for row in tokens.split(1)]
        return layers, [torch.cat([p[k] for _, p in one_by_one], 1) for k in range(5)]


def _accounts(tape: Tape, rows: _Rows, place: list[int], layers: int, rule: Rule) -> list[torch.Tensor]:
    each = []
    for o in range(tape.output.shape[1]):
        start = torch.zeros_like(tape.output)
        start[:, o] = 1.0
        account = _Account(tape, rows, place, layers)
        back(tape, start, account.keeping(rule))
        each.append(account.close(tape.output[:, o]))
    return [torch.stack([e[k] for e in each], -1) for k in range(5)]


def _layered(function: Function, tokens: torch.Tensor, listen: Listen | None) -> tuple[Tape, tuple[str, ...], list[int]]:
    """Return the tape, the layers that have operations, input side first, and each step's place among them."""
    marks: list[tuple[int, str]] = []
    done = [0]

    def count(name: str, number: int, result: object) -> object:
        done[0] = number + 1
        return result

    with nullcontext() if listen is None else listen(lambda name: marks.append((done[0], name))):
        tape = record(function, tokens, count)
    if not marks:
        ends = [k + 1 for k, step in enumerate(tape.steps) if _is_matrix(step)]
        marks = [(end, f"matrix {k}") for k, end in enumerate(ends, 1)]
    names, place = [FIRST], list[int]()
    for end, name in [*marks, (len(tape.steps), LAST)]:
        if end > len(place):
            names += [] if name in names else [name]
            place += [names.index(name)] * (end - len(place))
    names += [] if names[-1] == LAST else [LAST]
    return tape, tuple(names), place


def _is_matrix(step: Step) -> bool:
    """Return whether a step multiplies what depends on the tokens with weights."""
    return step.name in MATRICES and len(step.active) == 1


class _Account:
    """What one pass back leaves at each layer, each (L, N).

    The share of a tensor crosses all layers between the one that made it and the one that reads it: what passes a layer by is counted
    there too, and a stage that is gone through again counts once more forwards, less what comes back.
    """

    def __init__(self, tape: Tape, rows: _Rows, place: list[int], layers: int) -> None:
        self.tape, self.rows, self.place = tape, rows, place
        self.net, self.constants, self.gross, self.worked = (tape.output.new_zeros(layers, len(tape.output)) for _ in range(4))
        self.matrices = [0] * layers
        self.crossing: list[dict[Made, tuple[torch.Tensor, torch.Tensor]]] = [{} for _ in range(layers)]

    def keeping(self, rule: Rule) -> Rule:
        """Return the rule, with books kept of what it does."""

        def kept(k: int, came: Grads) -> Grads:
            gone = rule(k, came)
            step, layer = self.tape.steps[k], self.place[k]
            self._alone(k, step, layer, came)
            for tensor, key, share in zip(step.inputs(), step.keys, gone):
                if share is not None:
                    self._cross(self.rows.maker(key, k), layer, tensor, share)
            return gone

        return kept

    def close(self, output: torch.Tensor) -> list[torch.Tensor]:
        """Return reaching, constants, rest, gross and worked, the answer (N,) added at the layers above the one that made it."""
        made = self.place[-1] if self.place else 0
        self.net[made:] += output
        self.gross[made:] += output.abs()
        for layer, crossing in enumerate(self.crossing):
            for at, (tensor, share) in crossing.items():
                self.gross[layer] += self.rows.sums(at, _shares(tensor, share).abs())
        rest = self.net.diff(dim=0, prepend=self.net[:1]) - self.constants
        each = self.worked / torch.tensor(self.matrices, device=output.device).clamp(min=1)[:, None]
        return [self.net, self.constants, rest, self.gross, each]

    def _cross(self, made: Made, layer: int, tensor: torch.Tensor, share: torch.Tensor) -> None:
        below = 0 if made[0] < 0 else self.place[made[0]]
        if below == layer:
            return
        through = self.rows.sums(made, _shares(tensor, share))
        sign = 1 if below < layer else -1
        self.net[min(below, layer) : max(below, layer)] += sign * through
        for between in range(below, layer):
            had = self.crossing[between].get(made)
            self.crossing[between][made] = (tensor, share if had is None else had[1] + share)

    def _alone(self, k: int, step: Step, layer: int, came: Grads) -> None:
        """Book what the step gives where all it reads is 0, and the sizes of what a matrix gives beyond that."""
        if all(m is None for m in came):
            return
        # minus infinity says that a place is closed, at 0 too
        alone = step.apply([torch.where(a.isfinite(), 0.0, a) if a.is_floating_point() else a for a in step.inputs()])
        for j, (m, own, out) in enumerate(zip(came, alone, step.outputs)):
            if m is not None and own.is_floating_point():
                own = torch.where(own.isfinite(), own, 0.0)
                self.constants[layer] += self.rows.sums((k, j), _shares(own, m))
                if _is_matrix(step):
                    self.worked[layer] += self.rows.sums((k, j), _shares(out - own, m).abs())
                    self.matrices[layer] += 1


def _shares(tensor: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
    """Return the shares of a tensor's entries; what is left out of a sum (at minus infinity, times 0) has none."""
    return torch.where(multiplier == 0, 0.0, tensor * multiplier)


Made = tuple[int, int]
"""Which result of which step; (-1, 0) are the tokens."""


@dataclass
class _Rows:
    """Which entries of a step's results belong to which row, found from two passes of two rows, in one order and in the other.

    An axis of length a * N * b belongs to the rows where the two passes give the same once its middle is turned round.
    """

    n: int
    one: Tape
    other: Tape
    makers: dict[int, list[Made]]
    found: dict[Made, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Function, tape: Tape, listen: Listen | None) -> _Rows:
        """Return the rows of a tape's tensors; unclear where its operations depend on the number of rows."""
        n, two = len(tape.tokens), tape.tokens[[0, -1]]
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(two.shape, generator=generator, dtype=two.dtype).to(two.device)
        two = two + noise * (tape.tokens.std(correction=0) + 1e-6)
        makers: dict[int, list[Made]] = {id(tape.tokens): [(-1, 0)]}
        for k, step in enumerate(tape.steps):
            for j, key in enumerate(step.made):
                makers.setdefault(key, []).append((k, j))
        if n == 1:
            return cls(n, tape, tape, makers)
        with nullcontext() if listen is None else listen(lambda name: None):  # a network that is listened to may go another way
            one, other = record(function, two), record(function, two.flip(0))
        if any([s.name for s in t.steps] != [s.name for s in tape.steps] for t in (one, other)):
            raise _Unclear
        return cls(n, one, other, makers)

    def maker(self, key: int, before: int) -> Made:
        """Return which result a step reads: an operation in place makes the same tensor anew."""
        made = self.makers[key]
        return made[bisect_left(made, (before, 0)) - 1]

    def sums(self, at: Made, values: torch.Tensor) -> torch.Tensor:
        """Return the sums (N,) of values in the form of a result over what belongs to each row."""
        if self.n == 1:
            return values.sum().reshape(1)
        if at not in self.found:
            self.found[at] = (0, 1) if at[0] < 0 else self._axis(at, values)
        axis, before = self.found[at]
        apart: torch.Tensor = values.unflatten(axis, (before, self.n, -1)).movedim(axis + 1, 0)
        return apart.flatten(1).sum(1)

    def _axis(self, at: Made, values: torch.Tensor) -> tuple[int, int]:
        """Return the axis of the rows, and how many times they follow one another along it."""
        k, j = at
        one, other = (t.steps[k].outputs[j].nan_to_num() for t in (self.one, self.other))
        fits: list[tuple[float, int, int]] = []
        for axis, size in enumerate(one.shape):
            if size % 2 or size // 2 * self.n != values.shape[axis] or one.shape[:axis] != values.shape[:axis]:
                continue
            for before in (b for b in range(1, size // 2 + 1) if size // 2 % b == 0):
                turned = one.unflatten(axis, (before, 2, -1)).flip(axis + 1).flatten(axis, axis + 2)
                fits.append((float((turned - other).abs().max()), axis, before))
        off, axis, before = min(fits, default=(float("inf"), 0, 1))
        if not off <= 1e-4 * (float(one.abs().max()) + 1e-6):
            raise _Unclear
        return axis, before


class _Unclear(Exception):
    """It cannot be told which entry belongs to which row."""
