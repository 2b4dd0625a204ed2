"""Several networks of one build, trained and evaluated as one: the folds of a small table, or a plain ensemble."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from pellucid import random
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells
from pellucid.nn.coupling import Couplings, with_pairs
from pellucid.nn.regularizers.base import Learned
from pellucid.nn.table_net import TableNet

__all__ = ["StackedNet"]


class _Method(nn.Module):
    """A network whose call is one of its methods, so that it can be called with other weights."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, method: str, *arguments: Any) -> Any:
        return getattr(self.net, method)(*arguments)


class StackedNet(nn.Module):
    """G independent networks of one build with the interface of one :class:`TableNet`.

    Their members stand side by side: outputs are (N, G * K, O), tokens (N, C, G * D), parts (N, C, G * W). Every parameter holds
    its G versions along axis 0, so one optimizer moves all of them and no network sees another.

    Parameters
    ----------
    nets : networks of one build; copied.
    """

    def __init__(self, nets: Sequence[TableNet]) -> None:
        super().__init__()
        if not nets:
            raise RequestError("a stack needs at least one network")
        first = nets[0]
        self.n_nets, self.stackable, self.additive, self.jumps = len(nets), first.stackable, first.additive, first.jumps
        self.plain, self.mixes = first.plain, first.mixes
        self.n_members, self.n_outputs, self.n_columns = len(nets) * first.n_members, first.n_outputs, first.n_columns
        self._matrices, self._layers, self._each_members = first.matrices(), first.layers(), first.n_members
        self.net = copy.deepcopy(first)
        params, buffers = stack_module_state(list(nets))
        self._put(params, buffers)
        if self.net.bank is not None:
            self.net.bank.tended = True
        self._method = [_Method(self.net)]  # in a list: a view of the same network, not a part of its own

    def _put(self, params: dict[str, Any], buffers: dict[str, Any]) -> None:
        for name, value in params.items():
            owner, _, leaf = name.rpartition(".")
            self.net.get_submodule(owner)._parameters[leaf] = nn.Parameter(value.detach(), requires_grad=value.requires_grad)
        for name, value in buffers.items():
            owner, _, leaf = name.rpartition(".")
            self.net.get_submodule(owner)._buffers[leaf] = value

    def _call(self, method: str, *arguments: Any, own: bool) -> Any:
        """Call a method of all networks; ``own``: every argument has a leading axis G, else all networks share it. Results lead with G."""
        if self.net.bank is not None and not self.training and method != "encoded_bank":
            self._remember()
        unread = self.net.unread
        if self.stackable:
            values, module = dict(self._state(unread)), self._method[0].train(self.training)

            def one(state: dict[str, torch.Tensor], *given: Any) -> Any:
                return functional_call(module, state, (method, *given))

            dims = (0, *(0 if own else None for _ in arguments))
            return vmap(one, in_dims=dims, randomness="different")(values, *arguments)
        given = [[_pick(a, g) for a in arguments] if own else arguments for g in range(self.n_nets)]
        results = [self._of(g, method, *given[g], unread=unread) for g in range(self.n_nets)]
        if isinstance(results[0], torch.Tensor):
            return torch.stack(results)
        if isinstance(results[0], Learned):
            return Learned(*(torch.stack(values) for values in zip(*results)))
        return {k: torch.stack([r[k] for r in results]) for k in results[0]}

    def _of(self, g: int, method: str, *arguments: Any, unread: tuple[str, ...] = ()) -> Any:
        """Return what a method of network ``g`` gives; ``unread``: beginnings of the names of weights that it does not read."""
        values = {name: value[g] for name, value in self._state(unread)}
        return functional_call(self._method[0].train(self.training), values, (method, *arguments))

    def _state(self, unread: tuple[str, ...]) -> Iterator[tuple[str, torch.Tensor]]:
        for name, value in (*self.net.named_parameters(), *self.net.named_buffers()):
            if not name.startswith(unread):
                yield f"net.{name}", value

    def _remember(self) -> None:
        """Encode the rows that the networks keep, where weights or rows have changed."""
        bank, stamp = self.net.bank, tuple(p._version for p in self.net.parameters())
        assert bank is not None
        if bank.stale(stamp):
            with torch.inference_mode(False), torch.no_grad():
                bank.keep(self._call("encoded_bank", own=False), stamp)

    def set_bank(self, cells: Cells, answers: torch.Tensor, *, of_classes: bool, rows: torch.Tensor | None = None) -> None:
        """Let every network keep these rows in place of all others; see ``TableNet.set_bank``."""
        self.net.set_bank(cells, answers, of_classes=of_classes, rows=rows)
        assert self.net.bank is not None
        for name in (*Cells._fields, "answers", "rows", "kind"):
            given = getattr(self.net.bank, name)
            setattr(self.net.bank, name, given.expand(self.n_nets, *given.shape).clone())

    def each(self, cells: Cells) -> torch.Tensor:
        """Return (G, B, K, O) from cells with a leading axis G: every network reads rows of its own."""
        return self._call("forward", cells, own=True)  # type: ignore[no-any-return]

    def learn(self, cells: Cells, target: torch.Tensor | None = None, attributes: torch.Tensor | None = None) -> Learned:
        """Return what the loss reads, each with a leading axis G, from cells, a target and attributes with a leading axis G."""
        given = [t for t in (target, attributes) if t is not None]
        return self._call("learn", cells, *given, own=True)  # type: ignore[no-any-return]

    def forward(self, cells: Cells) -> torch.Tensor:
        return _join(self._call("forward", cells, own=False), 1)

    @property
    def drawn(self) -> bool:
        """See ``TableNet.drawn``."""
        return self.net.drawn

    @property
    def moved(self) -> bool:
        """See ``TableNet.moved``."""
        return self.net.moved

    def moves(self, cells: Cells) -> torch.Tensor:
        """Return each network's draws ``TableNet.moves``, (N, G, R, O')."""
        return torch.stack([self._of(g, "moves", cells) for g in range(self.n_nets)], 1)

    def doubting(self, cells: Cells) -> torch.Tensor:
        """Return the networks' outputs ``TableNet.doubting`` side by side, (N, G * K', O), made one network after the other: draws look up
        knots, which no batch over networks can."""
        return torch.cat([self._of(g, "doubting", cells) for g in range(self.n_nets)], 1)

    def tokens(self, cells: Cells) -> torch.Tensor:
        """Return the networks' tokens side by side, (N, C, G * D)."""
        return _join(self._call("tokens", cells, own=False), 2)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the networks' parts side by side, (N, C, G * W)."""
        return self._in_turn("parts", 2, self._split(tokens))

    def _in_turn(self, method: str, axis: int, *arguments: torch.Tensor) -> torch.Tensor:
        """Return what a method of each network gives, arguments with a leading axis G, side by side along ``axis``.

        One network after the other: side by side their matrices would be copied into another order at every call.
        """
        unread = self.net.unread
        each = [self._of(g, method, *(a[g] for a in arguments), unread=unread) for g in range(self.n_nets)]
        return _join(torch.stack(each), axis)

    def outputs_from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, G * K, O) from tokens (N, C, G * D)."""
        return _join(self._call("outputs_from_tokens", self._split(tokens), own=True), 1)

    @property
    def d_token(self) -> int:
        """G * D."""
        return self.n_nets * self.net.d_token

    @property
    def part_width(self) -> int:
        """G * W."""
        return self.n_nets * self.net.part_width

    @property
    def couplings(self) -> Couplings | None:
        """The networks' couplings side by side: of one build, they couple the same columns."""
        one = self.net.couplings
        if one is None:
            return None
        columns, left, right = (t if t.ndim == 1 else t[0] for t in one[:3])  # a stack has one copy a network
        slots = one.slots + self.net.part_width * torch.arange(self.n_nets, device=one.slots.device)[:, None]
        return Couplings(columns, left, right, slots.flatten())

    def bases(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the networks' bases side by side, (N, P', G * V)."""
        return _join(self._call("bases", self._split(tokens), own=True), 2)

    def coupled(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the networks' pairs' terms side by side, (N, P, G * Q)."""
        return self._in_turn("coupled", 2, self._split(left), self._split(right))

    def coupled_sum(self, bases: torch.Tensor) -> torch.Tensor:
        """Return the sums of the networks' pairs' terms side by side, (N, G * Q)."""
        return self._in_turn("coupled_sum", 1, self._split(bases))

    def sums(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what is read of whole rows, (N, G * W); see ``TableNet.sums``."""
        return with_pairs(self, tokens, self.parts(tokens).sum(1))

    def outputs_from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, G * K, O) from parts (N, C, G * W), or from :meth:`sums` (N, G * W) where ``additive``."""
        return _join(self._call("outputs_from_parts", self._split(parts), own=True), 1)

    def named_parts(self, cells: Cells) -> dict[str, torch.Tensor]:
        """Return each network's named parts with a leading axis G."""
        return dict(self._call("named_parts", cells, own=False))

    def _split(self, joined: torch.Tensor) -> torch.Tensor:
        split: torch.Tensor = joined.unflatten(-1, (self.n_nets, -1)).movedim(-2, 0)
        return split

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers, output side first."""
        return self._layers

    def matrices(self) -> tuple[str, ...]:
        """Return the names of the hidden matrices."""
        return self._matrices

    @torch.no_grad()
    def reset(self, layers: Sequence[str], seed: int) -> StackedNet:
        """Give the named layers of every network fresh initial weights, in place; returns the stack."""
        fresh = [self.net.fresh(random.integer(seed, "net", g)) for g in range(self.n_nets)]
        unknown = sorted(set(layers) - set(self.layers()))
        if unknown:
            raise RequestError(f"there is no layer {unknown[0]!r}", expected=f"some of {', '.join(self.layers())}")
        new = stack_module_state(fresh)[0]
        for name, value in self.net.named_parameters():
            if any(name == layer or name.startswith(f"{layer}.") for layer in layers):
                value.copy_(new[name])
        return self

    @torch.no_grad()
    def single(self, g: int) -> TableNet:
        """Return network ``g`` alone, a copy."""
        net = self.net.fresh(0)
        net.load_state_dict({name: value[g] for name, value in self.net.state_dict().items()})
        net.leave_out_silent()
        return net.train(self.training)


def _join(each: torch.Tensor, axis: int) -> torch.Tensor:
    """Return (G, N, ...) with G joined into ``axis`` of the single network's result."""
    joined: torch.Tensor = each.movedim(0, axis).flatten(axis, axis + 1)
    return joined


def _pick(argument: Any, g: int) -> Any:
    return Cells(*(t[g] for t in argument)) if isinstance(argument, Cells) else argument[g]
