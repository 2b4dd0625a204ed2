"""A network as an engine: encoded rows to member answers, tokens and gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.encode.table_encoder import EncodedTable, TableEncoder
from pellucid.errors import RequestError
from pellucid.estimators.names import name_vectors
from pellucid.execution import to_numpy
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.dropout_net import DropoutNet
from pellucid.nn.embeddings.identity import NAMED
from pellucid.nn.hidden import layer_names, layer_state
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.table import Table
from pellucid.training.objectives import Objective
from pellucid.training.predict import CHUNK, predict_in_chunks
from pellucid.training.recipe import TrainSettings, builder

__all__ = ["NetworkEngine", "as_cells", "cell_sizes"]

MASKS = 32  # draws of dropout where nobody asked for another number
ROWS_AT_ONCE = 65_536  # encoded at once when predicting: bounds memory, not results


def cell_sizes(encoder: TableEncoder, settings: TrainSettings | None = None) -> CellSizes:
    """Return what a network with these settings must know of the encoder's output."""
    slots = encoder.slots
    identity = None if settings is None else dict(settings.embedding).get("identity")
    return CellSizes(
        len(encoder.columns),
        encoder.numeric.bins,
        encoder.cardinalities,
        encoder.vector_width,
        slots.source("number"),
        slots.source("code"),
        slots.source("vector"),
        encoder.columns,
        name_vectors(encoder.columns, encoder.units, identity) if identity in NAMED else None,
    )


def as_cells(encoded: EncodedTable, device: torch.device | str = "cpu") -> Cells:
    """Return encoded rows as tensors."""
    arrays = (encoded.numbers, encoded.missing, encoded.codes, encoded.vectors)
    return Cells(*(torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays))


class NetworkEngine:
    """A fitted network with its encoder and objective.

    Attributes
    ----------
    net : the ``TableNet`` or, for folds, the ``StackedNet`` whose members are the fold networks' members in turn.
    objective : turns raw outputs into answers.
    settings : of network and training. ``n_folds`` : number of fold networks, 1 for a single one.
    n_samples : networks side by side for each of these: independent ones, snapshots or draws (``members=``, ``bayes=``); 1 where there
        is one.
    heads : draws of the last layer in each network, 0 for the layer itself. masks : draws of dropout, 0 for none; seed : of these.
    """

    differentiable = True

    def __init__(
        self, name: str, encoder: TableEncoder, net: Any, objective: Objective, settings: TrainSettings, n_folds: int = 1,
        n_samples: int = 1, heads: int = 0, masks: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.name, self.encoder, self.net, self.objective, self.settings, self.n_folds = (
            name,
            encoder,
            net.eval(),
            objective,
            settings,
            n_folds,
        )
        self.n_samples, self.heads, self.masks, self.seed = n_samples, heads, masks, seed
        self.core.leave_out_silent()
        self.history: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {}

    stages: tuple[tuple[int, dict[str, torch.Tensor]], ...] = ()

    def at_stage(self, k: int) -> NetworkEngine:
        """Return a copy with the weights of the k-th stage."""
        engine = copy.copy(self)
        engine.net, engine.stages = copy.deepcopy(self.net), ()
        core = engine.net.net if hasattr(engine.net, "single") else engine.net
        held = dict(core.named_parameters()) | dict(core.named_buffers())
        with torch.no_grad():
            for name, value in self.stages[k][1].items():
                held[name].copy_(value)
        return engine

    def gradient_norms(self, table: Table, target: npt.NDArray[Any]) -> FloatArray:
        """Return the norm of the gradient of each row's loss in all weights (N,); the mean over networks where there are several.

        ``target`` : (N,) class numbers or (N, O) numbers.
        """
        from pellucid.nn.gradients.row_norms import row_norms

        cells, goal = self.cells(table.select(self.encoder.columns)), self.objective.prepare(target).to(self.device)
        return np.asarray(np.mean([row_norms(net, cells, goal, self.objective.losses) for net in self._single()], axis=0))

    # ------------------------------------------------------------------ answers

    @property
    def n_members(self) -> int:
        """K, over all fold networks."""
        return int(self.net.n_members)

    @property
    def inner(self) -> Any:
        """The network or stack itself, without the masks of ``mc_dropout``."""
        return self.net.net if isinstance(self.net, DropoutNet) else self.net

    @property
    def core(self) -> TableNet:
        """One network of the build; in a stack it holds the weights of all."""
        return self.inner.net if isinstance(self.inner, StackedNet) else self.inner

    @property
    def in_common(self) -> tuple[float, ...]:
        """Share of each network's answer that its members have in common, an additive model's, where its ignorance is not known; else
        empty. Networks of earlier versions have no draws of it."""
        share = getattr(self.core.head, "share", None)
        return () if share is None or getattr(self.core.backbone, "drawn", False) else tuple(float(s) for s in share.flatten())

    @property
    def drawn(self) -> bool:
        """Whether doubt is asked of other members than answers are: of these with draws of what they have in common."""
        return bool(self.net.drawn)

    @property
    def untold(self) -> tuple[str, ...]:
        """What the draws leave out, in words, where they leave out anything."""
        own: Any = getattr(self.core.backbone, "drawn", False) and self.core.backbone.own
        many = bool(own) and bool(own.pairs) and not own.doubt.with_pairs and not self.core.embedding.apart
        words: tuple[str, ...] = ()
        if many:
            words += ("it takes the additive part's terms of two columns as known: they are too many to be drawn",)
        if late := self.record.get("untold"):
            return (*words, f"it is too small, for {late}")
        head: Any = self.core.head
        blended = hasattr(head, "turns") and float(head.share.min()) < 1 and not (self.heads or self.masks or self.settings.bayes)
        if blended and not head.turned:  # too many outputs, a loss of another kind, or a network of an earlier version
            words += ("it is too small, for what the members' last layers do not know is left out",)
        return words

    def asked_of(self, source: str | None, draws: int = MASKS) -> NetworkEngine:
        """Return the engine whose members are those of another source of doubt, which needs nothing from the fit: ``"mc_dropout"``."""
        if source is None or source == "members" or (source == "mc_dropout" and self.masks):
            return self
        if source != "mc_dropout":
            raise RequestError(
                f"the doubt {source!r} was not prepared when this model was fitted", expected="'members' or 'mc_dropout'",
                do=f"fit with bayes={source!r}",
            )  # fmt: skip
        self._true_dropout()
        net = DropoutNet(self.net, draws, integer(self.seed, "mc_dropout"))
        return NetworkEngine(
            self.name, self.encoder, net, self.objective, self.settings, self.n_folds, self.n_samples, self.heads, draws, self.seed
        )

    def _true_dropout(self) -> None:
        """Let a network that learned without dropout know it again after a load."""
        if self.record.get("dropout") == 0 and hasattr(self.core.backbone, "leave_out_dropout"):
            self.core.backbone.leave_out_dropout()  # type: ignore[operator]

    @property
    def concurrent(self) -> bool:
        """Whether several threads may ask at once: a stack puts its networks' weights into one of them in turn."""
        return isinstance(self.inner, TableNet)

    @property
    def size(self) -> int:
        """Number of weights, over all fold networks."""
        return sum(p.numel() for p in self.net.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(next(self.net.parameters()).device)

    def cells(self, table: Table) -> Cells:
        """Return encoded rows on the network's device."""
        return as_cells(self.encoder.transform(table), self.device)

    def apply(
        self, table: Table, function: Callable[[torch.Tensor], torch.Tensor], precision: str = "fp32",
        net: Callable[[Cells], torch.Tensor] | None = None,
    ) -> npt.NDArray[np.float64]:  # fmt: skip
        """Return ``function`` of the raw outputs (N, K, O) of a network, its own where none is given, row by row independent of what else
        is asked."""
        outs, asked = [], net or self.net
        for start in range(0, max(len(table), 1), ROWS_AT_ONCE):
            cells = self.cells(table.take(slice(start, start + ROWS_AT_ONCE)))
            outs.append(
                predict_in_chunks(lambda c: function(asked(c).float().cpu()), cells, precision=precision, concurrent=self.concurrent)
                .double()
                .numpy()
            )
        return np.concatenate(outs)

    def members(self, table: Table, precision: str = "fp32") -> FloatArray:
        """Return (N, K, O): probabilities, or values in the target's unit."""
        return self.apply(table.select(self.encoder.columns), self.objective.answers, precision)

    def doubting(self, cells: Cells) -> torch.Tensor:
        """Return the raw outputs (N, K', O) of the members that doubt is asked of: with draws beside them where there are some."""
        found: torch.Tensor = self.net.doubting(cells) if self.drawn else self.net(cells)
        return found

    def members_and_doubt(self, table: Table, drawn: bool = True) -> tuple[FloatArray, FloatArray | None]:
        """Return the answers (N, K', O) of the members that doubt is asked of and what each says of its own doubt
        (``Objective.own_doubt``; None where they say nothing), in one pass.

        ``drawn`` : ask :meth:`doubting`; else :meth:`members`.
        """
        o = self.objective

        def both(raw: torch.Tensor) -> torch.Tensor:
            own = o.own_doubt(raw.double())
            return o.answers(raw) if own is None else torch.cat([o.answers(raw), own], 2)

        found = self.apply(table.select(self.encoder.columns), both, net=self.doubting if drawn else None)
        return (found, None) if found.shape[2] == o.n_answers else (found[..., : o.n_answers], found[..., o.n_answers :])

    def law(self, table: Table) -> dict[str, FloatArray]:
        """Return the members' distributions of a number, (N, K, ...) each; see ``Objective.law``. Nothing where the head gives none."""
        names = [k for k in self.objective.law(torch.zeros(1, 1, self.objective.n_outputs)) if k != "levels"]
        table = table.select(self.encoder.columns)

        def one(raw: torch.Tensor, name: str) -> torch.Tensor:
            return self.objective.law(raw.double())[name]

        out: dict[str, FloatArray] = {name: self.apply(table, partial(one, name=name)) for name in names}
        if "quantiles" in out:
            out["levels"] = np.asarray(self.objective.named.levels)  # type: ignore[union-attr]
        return out

    def out_of_fold(self, table: Table, folds: npt.NDArray[np.int64]) -> FloatArray:
        """Return for each planned row (N, O) the answer of the fold network that did not learn from it."""
        answers = self.members(table)
        per_fold = answers.reshape(len(answers), self.n_folds, answers.shape[1] // self.n_folds, answers.shape[2]).mean(2)
        return np.asarray(per_fold[np.arange(len(answers)), folds])

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D), where the weights are."""
        return predict_in_chunks(self.net.tokens, self.cells(table), concurrent=self.concurrent).to(self.device, copy=True)

    def _single(self) -> list[Any]:
        """Return the networks one by one: folds and samples stand side by side in a stack."""
        return [self.net.single(g) for g in range(self.net.n_nets)] if hasattr(self.net, "single") else [self.net]

    def hidden_layers(self) -> tuple[str, ...]:
        """Return the names of the layers, input side first."""
        return layer_names(self._single()[0])

    def hidden(self, table: Table, layer: str) -> FloatArray:
        """Return the state of one layer (N, H); those of several networks stand side by side."""
        cells = self.cells(table.select(self.encoder.columns))
        # listening to a layer changes the network for as long as it lasts, so one chunk at a time
        states = [predict_in_chunks(partial(layer_state, net, layer=layer), cells, concurrent=False) for net in self._single()]
        return np.asarray(torch.cat(states, 1).double().numpy())

    def parts(self, table: Table) -> dict[str, npt.NDArray[Any]]:
        """Return what the backbone shows of its inside, by name, rows first; with folds or samples axis 1 counts the networks.

        The terms of a listed sum (``contributions``, ``pairs``, ``bias``) are in the target's unit, for classes in log-odds before
        calibration.
        """
        cells, pieces, several = self.cells(table.select(self.encoder.columns)), [], self.n_folds * self.n_samples > 1
        with torch.inference_mode():
            for start in range(0, cells.n_rows, CHUNK):
                found = self.net.named_parts(cells.take(slice(start, start + CHUNK)))
                pieces.append({name: part.movedim(0, 1) if several else part for name, part in found.items()})
        out = {name: to_numpy(torch.cat([p[name] for p in pieces])) for name in pieces[0]} if pieces else {}
        if self.objective.task == "regression" and "contributions" in out:
            out |= {name: out[name] * self.objective.scale for name in ("contributions", "pairs", "bias") if name in out}
            out["bias"] = out["bias"] + self.objective.center
        return out

    def shown(self, table: Table, line: tuple[float, float], only: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return :meth:`parts` as answers read them: one network (the mean, or the one of member ``only``).

        Terms are multiplied by the first number of ``line``, and the second one is added to their constant.
        """
        found, nets = self.parts(table), self.n_folds * self.n_samples
        if nets > 1:
            found = {k: v.mean(1) if only is None else v[:, only * nets // self.n_members] for k, v in found.items()}
        found |= {k: found[k] * line[0] for k in ("contributions", "pairs", "bias", "rules") if k in found}
        found |= {"bias": found["bias"] + line[1]} if "bias" in found and line[1] else {}
        if "rules" in found and self.objective.task == "regression":
            found["rules"] = found["rules"] * self.objective.scale
        backbone: Any = self.core.backbone
        if found.get("pairs") is not None and found["pairs"].shape[1]:
            found["pair_columns"] = np.broadcast_to(np.asarray(backbone.pairs), (len(table), len(backbone.pairs), 2))
        attending = getattr(backbone, "attending", None)
        if "attention" in found and attending is not None:
            maps, columns = found["attention"], len(self.encoder.columns)
            at = attending.cpu().numpy().reshape(-1, maps.shape[-1])[0]  # a stack has one copy a network
            found["attention"] = np.zeros((*maps.shape[:3], columns, columns))
            found["attention"][..., at[:, None], at] = maps
            found["attending"] = np.broadcast_to(np.isin(np.arange(columns), at), (len(table), columns))
        return found

    def logits(self, raw: torch.Tensor) -> torch.Tensor:
        """Return class logits (N, K, O') of raw outputs; two classes have one raw output, the log-odds of the second."""
        raw = self.objective.logits(raw)
        return raw if self.objective.n_outputs > 1 or self.objective.n_answers == 1 else torch.cat([torch.zeros_like(raw), raw], 2)

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        """Return values (N, K, O) in the target's unit, differentiable."""
        return self.objective.values(raw)

    def remember(self, table: Table, target: npt.NDArray[Any]) -> None:
        """Put other rows in place of those a network keeps; its weights stay. For backbones that remember.

        Parameters
        ----------
        table : P rows. target : (P,) class numbers, or (P,) or (P, O) values in the target's unit.
        """
        answers = self.objective.kept(self.objective.prepare(target))
        classes = self.objective.task == "classification"
        self.net.set_bank(self.cells(table.select(self.encoder.columns)), answers, of_classes=classes)

    def randomised(self, layers: Sequence[str], seed: int) -> NetworkEngine:
        """Return a copy whose named layers hold fresh initial weights."""
        net = copy.deepcopy(self.net).reset(layers, seed)
        return NetworkEngine(
            self.name, self.encoder, net, self.objective, self.settings, self.n_folds, self.n_samples, self.heads, self.masks, self.seed
        )

    # ------------------------------------------------------------------ files

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs besides weights and encoder, as plain JSON types."""
        return {
            "objective": self.objective.state(),
            "settings": self.settings.describe(),
            "n_folds": self.n_folds,
            "n_samples": self.n_samples,
            "heads": self.heads,
            "masks": self.masks,
            "seed": self.seed,
            "record": self.record,
            "history": self.history,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights."""
        return {k: v.detach().cpu().numpy() for k, v in self.net.state_dict().items()}

    @classmethod
    def from_state(
        cls, name: str, encoder: TableEncoder, state: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], backbone: Any = None
    ) -> NetworkEngine:
        """Return the engine that :meth:`state` and :meth:`arrays` described; a backbone of the user's own is handed over again."""
        known = set(TrainSettings.__dataclass_fields__)
        fields = {k: v for k, v in state["settings"].items() if k in known}
        for pairs in ("options", "embedding", "bayes", "decompose"):
            fields[pairs] = tuple((k, v) for k, v in fields.get(pairs, ()))
        fields["regularizers"] = tuple((name, tuple((k, v) for k, v in given)) for name, given in fields.get("regularizers", ()))
        settings = TrainSettings(**fields | {"backbone": backbone or name})
        objective = Objective.from_state(state["objective"])
        heads, masks, seed = (int(state.get(k, 0)) for k in ("heads", "masks", "seed"))
        spread = dict(settings.bayes).get("method") == "mean_field"  # only draws of it are kept
        plain = replace(settings, bayes=()) if spread else settings
        build = builder(cell_sizes(encoder, settings), plain, objective.n_outputs, objective.extra, heads)
        n_folds, drawn = int(state["n_folds"]), int(state.get("n_samples", 1))
        n = n_folds * drawn
        net: Any = build(0)
        if n > 1:
            net = StackedNet([build(k) for k in range(n)])
        net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})
        self = cls(name, encoder, net, objective, settings, n_folds, drawn, heads, 0, seed)
        self.history, self.record = list(state["history"]), dict(state["record"])
        if masks:
            self._true_dropout()
            self.net, self.masks = DropoutNet(net.eval(), masks, seed).eval(), masks
        return self
