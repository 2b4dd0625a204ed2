"""A whole network for one table: cells to tokens, backbone, head, with the entrances that explanations use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pellucid import random, registry
from pellucid.errors import RequestError
from pellucid.nn.bank import Bank, Memory
from pellucid.nn.bayes import drawn_head, mean_field
from pellucid.nn.bayes import penalty as spread_penalty
from pellucid.nn.beside import beside
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.coupling import CouplingsOf, with_pairs
from pellucid.nn.decompose import NARROW, Decomposition, Narrowed
from pellucid.nn.embeddings import CellEmbedding
from pellucid.nn.folding import InTurn, unwatched
from pellucid.nn.heads import BlendHead, IdentityHead, MemberHead
from pellucid.nn.norms import norms_over_rows
from pellucid.nn.regularizers.base import Learned, Mixed, Regularizer, Trace

__all__ = ["TableNet"]

HEADS: Mapping[str, type[nn.Module]] = {"linear": MemberHead, "identity": IdentityHead, "blend": BlendHead}

Factory = Callable[..., nn.Module]


class TableNet(CouplingsOf, nn.Module):
    """Encoded rows to the members' raw outputs (N, K, O).

    Raw outputs are logits or standardised values; ``training.objectives`` turns them into answers.

    Parameters
    ----------
    sizes : what the cells look like.
    backbone : name of a registered backbone, or a factory ``(n_tokens, d_token, **options) -> nn.Module`` whose module maps tokens
        (N, C, D) to (N, H), to (N, K, H), or to one of these with a dictionary of named parts.
    n_outputs : O.
    d_token : D.
    options : keyword arguments of the backbone.
    head : ``"linear"``, ``"identity"`` (the backbone's own output is used), ``"blend"`` (:class:`BlendHead`), or a factory
        ``(members, width, n_outputs) -> nn.Module``.
    embedding : keyword arguments of :class:`CellEmbedding`.
    regularizers : pairs (registered name, pairs of options); they act on :meth:`learn` alone.
    bayes : weights with a spread, the options of ``nn.bayes.mean_field``; None: plain weights.
    drawn : S draws of the last layer side by side (``nn.bayes.drawn_head``), 0 for the layer itself.
    decompose : options of ``nn.decompose.Decomposition`` (``levels`` at least), for a hidden state that should not tell the attributes of
        a row; they act on :meth:`learn` alone. None: no such thing.
    extra : how many of the O outputs say more than a place (spreads, distances of quantiles); backbones do not know of them.
    seed : of the initial weights; equal seeds give equal bits.

    Attributes
    ----------
    sizes : what the cells look like.
    additive : True where the parts of the columns are summed before anything else reads them.
    jumps : where the outputs jump and what slopes of them are, in words; empty for a network without jumps.
    n_members, n_outputs, n_columns, d_token : K, O, C, D.
    enters : True where parts are more than the tokens.
    part_width : W.
    bank : the training rows that the network keeps and answers by (:class:`Bank`), for backbones that remember; else None.
    done : share of the fit that is done, which training sets.
    losses : the loss of each row (N,) from outputs and a prepared target, where training has put it; regularizers alone read it.
    plain : True where the loss is that of the outputs alone, so that :meth:`learn` need not be called.
    mixes : True where a row may have to answer for another one too.
    rows_apart : True where it is known that no row of a batch has a part in what another one gives, while training too.

    Notes
    -----
    A backbone class may state: ``wants``, the facts it is built with (``"sizes"``: a :class:`CellSizes`, ``"n_outputs"``);
    ``penalised``, that it returns a part ``"penalty"`` (N,) which is added to the loss; ``remembers``, that it is called with
    ``memory`` (a :class:`Memory`) and ``same`` (N, P) as well, and has ``remember``, ``most``, ``sampled`` and ``balanced``;
    ``front``, how many further entries at the front of a token hold the cells as an additive model reads them;
    ``jumps``, words on where its outputs jump (slopes are then told with them);
    ``additive``, ``stackable``, ``members`` and ``width`` as its own files say. It has ``parts`` and ``from_sum`` where it is additive;
    where it is not it may have ``parts`` and ``from_parts``, if cells pass some of it before they meet.
    """

    def __init__(
        self,
        sizes: CellSizes,
        backbone: str | Factory = "tabm",
        n_outputs: int = 1,
        *,
        d_token: int = 24,
        options: Mapping[str, Any] | None = None,
        head: str | Factory = "linear",
        embedding: Mapping[str, Any] | None = None,
        regularizers: Sequence[tuple[str, Sequence[tuple[str, Any]]]] = (),
        bayes: Mapping[str, Any] | None = None,
        drawn: int = 0,
        extra: int = 0,
        decompose: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._arguments: dict[str, Any] = {
            "sizes": sizes, "backbone": backbone, "n_outputs": n_outputs, "d_token": d_token, "options": options, "head": head,
            "embedding": embedding, "regularizers": regularizers, "bayes": bayes, "drawn": drawn, "extra": extra,
            "decompose": decompose,
        }  # fmt: skip
        factory = registry.resolve(registry.get("backbone", backbone)) if isinstance(backbone, str) else backbone
        front = int(getattr(factory, "front", 0))
        self.sizes, self.n_columns, self.n_outputs = sizes, sizes.n_columns, n_outputs
        self._d_token, self._front, self._parts_of_front = d_token, front, n_outputs - extra if front else 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(random.integer(seed, "weights"))
            self.embedding = CellEmbedding(sizes, d_token, **(embedding or {}), front=front)
            known = {"sizes": sizes, "n_outputs": n_outputs - extra}
            facts = {name: known[name] for name in getattr(factory, "wants", ())}
            self.backbone = factory(sizes.n_columns, d_token, **facts, **(options or {}))
            self.additive, self.jumps = bool(getattr(self.backbone, "additive", False)), str(getattr(self.backbone, "jumps", ""))
            remembers = getattr(self.backbone, "remembers", False)
            self.bank = Bank(sizes, n_outputs, self.backbone.sampled) if remembers else None  # type: ignore[arg-type]
            self.n_members, width = self._shape()
            if decompose:
                decompose = dict(decompose)
                self.backbone = Narrowed(self.backbone, self.n_members, width, int(decompose.pop("narrow", NARROW)))
                self.n_members, width = 1, self.backbone.width
            self.head = _head(head)(self.n_members, width, n_outputs)
            if extra and isinstance(self.head, IdentityHead):
                raise RequestError(
                    "a distribution needs more outputs than this backbone's sum has",
                    do="choose a backbone with a linear head, such as 'tabm'",
                )
            self.parting = None
            if decompose:
                self.parting = Decomposition(sizes.n_columns * self.d_token, width, **decompose)
            self.spread = dict(bayes) if bayes else None
            if self.spread is not None:
                mean_field(self, self.spread)
            if drawn:
                drawn_head(self, drawn)
        self.done = 0.0
        self.regularizers = [registry.resolve(registry.get("regularizer", name))(**dict(given)) for name, given in regularizers]
        self.losses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
        self.plain = all(r.between_steps for r in self.regularizers) and not getattr(self.backbone, "penalised", False)
        self.plain &= self.embedding.width is None and self.spread is None and self.parting is None
        own = any(map(callable, (backbone, head, *(embedding or {}).values())))  # a user's own module may do anything
        self.rows_apart = self.plain and self.bank is None and not own and not norms_over_rows(self)
        self.mixes = any(type(r).mix is not Regularizer.mix for r in self.regularizers)
        self.enters = self.additive or callable(getattr(self.backbone, "from_parts", None))
        self._part_width = self._width_of_parts()
        self.stackable = bool(getattr(self.backbone, "stackable", False))

    def _shape(self) -> tuple[int, int]:
        """Return (K, H) as the backbone states them, or as two rows through it show."""
        if hasattr(self.backbone, "members") and hasattr(self.backbone, "width"):
            return int(self.backbone.members), int(self.backbone.width)  # type: ignore[arg-type]
        was = self.backbone.training
        with torch.no_grad():
            hidden, _ = self._run(self.backbone.eval()(torch.zeros(2, self.n_columns, self.d_token)))
        self.backbone.train(was)
        return int(hidden.shape[1]), int(hidden.shape[2])

    def _width_of_parts(self) -> int:
        """Return W as one row through the backbone shows it."""
        if not self.enters:
            return self.d_token
        with torch.no_grad():
            return int(self.parts(torch.zeros(1, self.n_columns, self.d_token)).shape[2])

    def set_apart(self, apart: bool) -> None:
        """Compute only what is trained, or all again; for backbones with a ``front``."""
        self.embedding.apart = self.backbone.apart = apart

    def leave_out_silent(self) -> None:
        """Compute no half of the answer whose share is 0; tokens and parts are then those of the other half alone."""
        share = getattr(self.head, "share", None)
        if share is not None and hasattr(self.backbone, "apart"):
            self.set_apart(not bool(share.any()))

    @property
    def linear_parts(self) -> bool:
        """Whether parts are linear in tokens, and a constant."""
        return self.additive and bool(getattr(self.backbone, "linear_parts", False))

    @property
    def unread(self) -> tuple[str, ...]:
        """Beginnings of the names of weights that no answer reads at present."""
        found: tuple[str, ...] = tuple(f"backbone.{n}" for n in getattr(self.backbone, "unread", ()))
        return (*found, "embedding.front.") if self.embedding.apart else found

    @property
    def d_token(self) -> int:
        """D, as tokens are at present."""
        return self._d_token + (0 if self.embedding.apart else self._front)

    @property
    def part_width(self) -> int:
        """W, as parts are at present."""
        if not self.enters:
            return self.d_token
        return self._part_width - (self._parts_of_front if self.embedding.apart else 0)

    @staticmethod
    def _run(out: Any) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return what a backbone gave as (hidden (N, K, H), parts)."""
        hidden, parts = out if isinstance(out, tuple) else (out, {})
        if not isinstance(hidden, torch.Tensor) or hidden.ndim not in (2, 3):
            got = f"shape {tuple(hidden.shape)}" if isinstance(hidden, torch.Tensor) else type(hidden).__name__
            raise RequestError(
                "the backbone's output cannot be used", expected="a tensor (N, H) or (N, K, H), or such a tensor and a dictionary", got=got
            )
        return (hidden if hidden.ndim == 3 else hidden[:, None]), parts

    def tokens(self, cells: Cells) -> torch.Tensor:
        """Return the embedded cell of each source column, (N, C, D)."""
        tokens: torch.Tensor = self.embedding(cells)
        return tokens

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return one vector per column, (N, C, W), at the furthest point up to which columns do not mix."""
        return self.backbone.parts(tokens) if self.enters else tokens  # type: ignore[operator]

    @property
    def _behind(self) -> nn.Module | None:
        return self.backbone if self.additive else None

    def sums(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what is read of whole rows of an additive network: the sum of their parts and of their pairs' terms, (N, W)."""
        return with_pairs(self, tokens, self.parts(tokens).sum(1))

    def outputs_from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, K, O) from parts (N, C, W), or from :meth:`sums` (N, W) where ``additive``: from parts then too, where
        there are no ``couplings``."""
        if not self.enters:
            return self.outputs_from_tokens(parts)
        if not self.additive:
            return self._read(*self._run(self.backbone.from_parts(parts)))  # type: ignore[operator]
        if parts.ndim == 3 and self.couplings is not None:
            raise RequestError("pairs of columns add what no part holds", expected="sums (N, W)", do="enter with net.sums(tokens)")
        total = parts.sum(1) if parts.ndim == 3 else parts
        found = self._in_turn(total, summed=True)
        return self._read(*(self.backbone.from_sum(total) if found is None else found))  # type: ignore[operator]

    def outputs_from_tokens(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return outputs (N, K, O), differentiable in ``tokens`` (N, C, D); columns ``masked`` (N, C) have no influence."""
        found = self._in_turn(tokens) if masked is None else None
        return self._read(*(self._through(tokens, masked) if found is None else found))

    def forward(self, cells: Cells, masked: torch.Tensor | None = None) -> torch.Tensor:
        return self._read(*(self._answered(cells) if masked is None else self._through(self.embedding(cells), masked, cells)))

    def _in_turn(self, given: torch.Tensor, summed: bool = False) -> tuple[InTurn, Mapping[str, torch.Tensor]] | None:
        """Return the members' hidden states one after the other, and parts, where backbone and head can do without all at once."""
        if not hasattr(self.backbone, "in_turn") or not isinstance(self.head, MemberHead) or not unwatched(self.head):
            return None
        found: tuple[InTurn, Mapping[str, torch.Tensor]] | None = self.backbone.in_turn(given, summed)  # type: ignore[operator]
        return found

    def _read(self, hidden: torch.Tensor | InTurn, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the head's outputs (N, K, O)."""
        return self.head(hidden, parts) if getattr(self.head, "reads_parts", False) else self.head(hidden)  # type: ignore[no-any-return]

    def _through(
        self, tokens: torch.Tensor, masked: torch.Tensor | None = None, cells: Cells | None = None, partner: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, K, H), parts). While training no row sees itself, or its ``partner`` (N,), among the kept rows."""
        given: dict[str, Any] = {} if masked is None else {"masked": masked}
        return self._run(self.backbone(tokens, **given, **self._remembered(cells, partner)))

    # -- kept rows -----------------------------------------------------------------------------------------------------------

    def _remembered(self, cells: Cells | None = None, partner: torch.Tensor | None = None) -> dict[str, Any]:
        """Return what a backbone that remembers reads besides tokens."""
        if self.bank is None:
            return {}
        bank = self.bank
        if self.training:
            kept, answers = bank.draw()
            same = None if cells is None else bank.same(cells, kept)
            if same is not None and partner is not None:
                same = same | same[partner]
            return {"memory": Memory(self._encoded(kept), answers, bank.of_classes), "same": same}
        if not bank.tended and bank.stale(stamp := tuple(p._version for p in self.parameters())):
            with torch.inference_mode(False), torch.no_grad():
                bank.keep(self.encoded_bank(), stamp)
        return {"memory": Memory(bank.encoded, bank.answers, bank.of_classes)}

    def _encoded(self, cells: Cells) -> torch.Tensor:
        return self.backbone.remember(self.embedding(cells))  # type: ignore[operator,no-any-return]

    def encoded_bank(self) -> torch.Tensor:
        """Return the vectors (P, E) of the kept rows."""
        assert self.bank is not None
        return self._encoded(self.bank.cells)

    def set_bank(self, cells: Cells, answers: torch.Tensor, *, of_classes: bool, rows: torch.Tensor | None = None) -> None:
        """Keep these rows in place of all others: answers (P, A), classes one-hot or standardised values, and their numbers (P,)."""
        if self.bank is None:
            raise RequestError("this backbone keeps no rows", do="use a backbone that does, such as 'prototype' or 'retrieval'")
        self.bank.put(cells, answers, of_classes, rows)

    def learn(self, cells: Cells, target: torch.Tensor | None = None, attributes: torch.Tensor | None = None) -> Learned:
        """Return what the loss reads: outputs, and what the backbone and the regularizers add to it.

        ``target`` (N,) or (N, O) is for regularizers that look where the loss grows, ``attributes`` (N, A) for a decomposed network: its
        outputs are those of both parts together, then those of the bias-free part, (N, 2 K, O).
        """
        shown = cells
        for regularizer in self.regularizers:
            shown = regularizer.change(self, shown, target)
        tokens, partner, share = self._mixed(self.embedding(shown))
        n = tokens.shape[0]
        hidden, parts = self._through(tokens, cells=cells, partner=partner)
        trace = Trace(tokens, hidden, parts, self._read(hidden, parts))
        outputs, added = trace.outputs, list[torch.Tensor]()
        if self.parting is not None and attributes is not None:
            aware, cost = self.parting.learn(tokens, hidden, attributes, self.done)
            outputs, added = torch.cat([self._read(hidden + aware, parts), outputs], 1), [cost]
        added += [p for r in self.regularizers if (p := r.penalty(self, trace)) is not None]
        if self.embedding.width is not None:
            added.append(self.embedding.width.penalty())
        if self.spread is not None:
            added.append(spread_penalty(self, self.spread, self.done, tokens))
        penalty = sum((p.expand(n) for p in added), parts.get("penalty", tokens.new_zeros(n)))
        return Learned(outputs, penalty, partner, share)

    def _mixed(self, tokens: torch.Tensor) -> Mixed:
        """Return the rows to learn from; of two regularizers that mix answers the second would lose the first one's."""
        mixed: Mixed | None = None
        for regularizer in self.regularizers:
            made = regularizer.mix(self, tokens)
            if isinstance(made, Mixed) and mixed is not None:
                raise RequestError("two regularizers mix the answers of rows", expected="one of them at a time")
            if isinstance(made, Mixed):
                mixed = made
            tokens = tokens if made is None else made.tokens if isinstance(made, Mixed) else made
        n = tokens.shape[0]
        if mixed is None:
            return Mixed(tokens, torch.arange(n, device=tokens.device), tokens.new_ones(n))
        return mixed._replace(tokens=tokens)

    @property
    def drawn(self) -> bool:
        """Whether doubt has draws of what the members have in common or of what their last layers do not know."""
        return self.moved or bool(getattr(self.head, "turned", False))

    @property
    def moved(self) -> bool:
        """Whether there are :meth:`moves`: none where what the members have in common is left out."""
        head: Any = self.head
        if self.embedding.apart or not hasattr(head, "sways"):
            return False
        return bool(head.share.max() > 0 and self.backbone.drawn) or bool(head.sways.any())

    def moves(self, cells: Cells) -> torch.Tensor:
        """Return R draws of how far outputs may lie from what the members have in common answers, (N, R, O'), of the first O' outputs:
        its own, and those of its share."""
        head: Any = self.head
        hidden, parts = self._answered(cells)
        swayed = head.swayed(head.linear(hidden), parts["additive"])
        out: torch.Tensor = head.share * self.backbone.moves(cells) + swayed  # type: ignore[operator]
        return out

    def doubting(self, cells: Cells) -> torch.Tensor:
        """Return the outputs (N, K', O) of the members that doubt is asked of; all draws there are stand beside them."""
        head: Any = self.head
        if not head.turned:
            return beside(self(cells), self.moves(cells)[:, None])
        hidden, parts = self._answered(cells)
        own = parts.get("additive")
        out: torch.Tensor = head.doubted(hidden, own, None if own is None else self.backbone.moves(cells))  # type: ignore[operator]
        return out

    def _answered(self, cells: Cells) -> tuple[torch.Tensor | InTurn, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, K, H) or the members' in turn, parts)."""
        tokens = self.embedding(cells)
        found = self._in_turn(tokens)
        return self._through(tokens, cells=cells) if found is None else found

    def hidden(self, cells: Cells) -> torch.Tensor:
        """Return the hidden state (N, K, H)."""
        return self._through(self.embedding(cells), cells=cells)[0]

    def named_parts(self, cells: Cells) -> dict[str, torch.Tensor]:
        """Return what the backbone shows of its inside (attention, masks, weights), by name, rows first, and the ``hidden`` state."""
        show = getattr(self.backbone, "explained", self.backbone)
        tokens = self.embedding(cells)
        hidden, parts = self._run(show(tokens, **self._remembered(cells)))
        aware = {} if self.parting is None else {"aware": self.parting.aware(tokens)}
        return {"hidden": hidden, **aware, **parts}

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers, output side first."""
        names = ["embedding", *(f"backbone.{n}" for n in _blocks(self.backbone)), "head"]
        return tuple(n for n in reversed(names) if any(p == n or p.startswith(f"{n}.") for p, _ in self.named_parameters()))

    def fresh(self, seed: int, **changes: Any) -> TableNet:
        """Return an untrained network of the same build, some arguments changed."""
        return TableNet(**self._arguments | changes, seed=seed).to(next(self.parameters()).device)

    @torch.no_grad()
    def reset(self, layers: Sequence[str], seed: int) -> TableNet:
        """Give the named layers fresh initial weights, in place; returns the network."""
        unknown = sorted(set(layers) - set(self.layers()))
        if unknown:
            raise RequestError(f"there is no layer {unknown[0]!r}", expected=f"some of {', '.join(self.layers())}")
        new = dict(self.fresh(seed).named_parameters())
        for name, value in self.named_parameters():
            if any(name == layer or name.startswith(f"{layer}.") for layer in layers):
                value.copy_(new[name])
        return self

    def matrices(self) -> tuple[str, ...]:
        """Return the names of the hidden matrices of the backbone, the ones an optimizer may treat as matrices."""
        return tuple(n for n, p in self.named_parameters() if n.startswith("backbone.") and n.endswith("weight") and p.ndim == 2)


def _head(head: str | Factory) -> Factory:
    if not isinstance(head, str):
        return head
    if head not in HEADS:
        raise RequestError(f"unknown head {head!r}", expected=f"one of {', '.join(HEADS)} or a module factory")
    return HEADS[head]


def _blocks(backbone: nn.Module) -> list[str]:
    """Return the names of a backbone's pieces in order: children, lists of blocks opened, and parameters of its own beside them."""
    names: list[str] = []
    for name, child in backbone.named_children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            names += [f"{name}.{i}" for i, _ in child.named_children()]
        else:
            names.append(name)
    own = [name for name, _ in backbone.named_parameters(recurse=False)]
    return names[:1] + own + names[1:]
