"""A fitted estimator as the answers see it: the protocols of ``pellucid.protocols`` over one engine.

Scales: ``"log-odds"`` and ``"probability"`` of the calibrated probability that ``predict_proba`` returns, or the target's unit. One output
for two classes (``classes[1]``), one per class for more, one per target for numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.nn.coupling import CouplingsOf
from pellucid.protocols import FloatArray, Predictor
from pellucid.table import Table
from pellucid.training.calibrators import Identity
from pellucid.trees import Sum

if TYPE_CHECKING:
    import torch

    from pellucid.estimators.network import NetworkEngine
    from pellucid.trees import Grown

__all__ = ["EnginePredictor", "EpistemicView", "NetworkPredictor", "log_odds"]

TINY = 1e-12


def log_odds(probabilities: FloatArray) -> FloatArray:
    """Return log(p / (1 - p)) of each class, (N, O); the complement is summed, not subtracted, so that p near 1 keeps its digits."""
    rest = probabilities.sum(1, keepdims=True) - probabilities
    return np.asarray(np.log(np.maximum(probabilities, TINY)) - np.log(np.maximum(rest, TINY)))


class EnginePredictor:
    """Any fitted engine as a :class:`~pellucid.protocols.MemberPredictor`.

    Parameters
    ----------
    engine : gives member answers (N, K, O).
    calibrator : applied to the averaged probabilities.
    columns, classes, names, unit : as the user knows them.
    scale : ``"log-odds"``, ``"probability"``, or None for the default of the task.
    reference : the kept training rows, or None.
    kept_answers : their true answers, class numbers (M,) or values (M, O); None where they are not known.
    reader : makes a Table of the training columns of what a user hands over.
    """

    reader: Callable[[Any], Table] | None = None
    kept_answers: npt.NDArray[Any] | None = None
    row_model: Any = None  # a fitted RowModel of the same columns, for the conditional fill
    explainers: Mapping[str, Any] = MappingProxyType({})  # networks fitted to explain this model, by name
    hurried = False  # of a refit: the clock ended its training or shortened the plan

    def __init__(
        self,
        engine: Any,
        calibrator: Any,
        columns: Sequence[str],
        classes: Sequence[Any],
        names: Sequence[str],
        unit: str,
        scale: str | None,
        reference: Table | None,
    ) -> None:
        self.engine, self.calibrator, self.columns, self.classes = engine, calibrator, tuple(columns), tuple(classes)
        self.task = "classification" if self.classes else "regression"
        self.names, self.unit, self._reference = tuple(names), unit, reference
        if self.task == "regression":
            own = unit or (f"units of {self.names[0]}" if len(self.names) == 1 and self.names[0] != "target" else "target")
            if scale not in (None, "target", own):
                raise RequestError(f"there is no scale {scale!r} for numbers", expected=repr(own))
            self.scale, self.outputs = own, self.names
        else:
            if scale not in (None, "log-odds", "probability"):
                raise RequestError(f"there is no scale {scale!r} for classes", expected="'log-odds' or 'probability'")
            self.scale = scale or "log-odds"
            self.outputs = tuple(map(str, self.classes[1:] if len(self.classes) == 2 else self.classes))

    @property
    def n_members(self) -> int:
        """K."""
        return int(self.engine.n_members)

    def background(self) -> Table | None:
        """Return the training rows kept at fit."""
        return self._reference

    def background_labels(self) -> npt.NDArray[Any] | None:
        """Return the true answers of the rows kept at fit, (M,) labels or (M, O) numbers; None where they are not known."""
        if self.kept_answers is None or self.task == "regression":
            return self.kept_answers
        return np.asarray(np.asarray(self.classes, object)[self.kept_answers])

    def read(self, X: Any) -> Table:
        """Return new rows as a Table of the training columns."""
        if self.reader is None:
            raise RequestError("this predictor reads tables only", do="pass a Table of its columns")
        return self.reader(X)

    def members_raw(self, table: Table) -> FloatArray:
        """Return the members' answers (N, K, O'): uncalibrated probabilities of every class, or values in the target's unit."""
        return np.asarray(self.engine.members(table.select(self.columns)), np.float64)

    def members_and_doubt(self, table: Table) -> tuple[FloatArray, FloatArray | None]:
        """Return the answers (N, K', O') of the members that doubt is asked of and what each says of its own, or None: variances of
        numbers, or what a law over classes leaves open (N, K', 1) in nats."""
        return self.members_raw(table), None

    def _scaled(self, averaged: FloatArray, calibrator: Any) -> FloatArray:
        """Return averaged answers (N, O') on ``scale``, (N, O)."""
        if self.task == "regression":
            return averaged
        p = calibrator.apply(averaged) if calibrator is not None else averaged
        out = p if self.scale == "probability" else log_odds(p)
        return out[:, 1:] if len(self.classes) == 2 else out

    def raw(self, table: Table) -> FloatArray:
        """Return outputs (N, O) on ``scale``."""
        return self._scaled(self.members_raw(table).mean(1), self.calibrator)

    def built_in(self, table: Table) -> tuple[str, FloatArray] | None:
        """Return (what it is, the model's own importance of each column (C,)); None where it has none."""
        ask = getattr(self.engine, "built_in", None)
        found = None if ask is None else ask(table.select(self.columns))
        return None if found is None else (found[0], np.array([found[1].get(c, 0.0) for c in self.columns]))

    @functools.cached_property
    def _grown(self) -> Grown | None:
        ask = getattr(self.engine, "trees", None)
        return None if ask is None else ask()

    def trees(self) -> Sum | None:
        """Return the trees whose answers are ``raw``'s on ``scale``, and what is made of their sum; None where the engine has none."""
        grown = self._grown
        if grown is None:
            return None
        return grown.on_scale(lambda p: self._scaled(p, self.calibrator), self.calibrator.line if self.scale == "log-odds" else None)

    @property
    def sums_as_log_odds(self) -> bool:
        """Whether the model is a sum of trees on the scale of log-odds, and was asked on another."""
        grown = self._grown
        return grown is not None and grown.says == "log-odds" and self.scale != "log-odds" and self.calibrator.line is not None

    def cells(self, table: Table) -> FloatArray:
        """Return the cells (N, F) that the trees look at."""
        assert self._grown is not None
        return self._grown.cells(table.select(self.columns))

    def member(self, k: int) -> Predictor:
        """Return member ``k`` alone, uncalibrated, on the same scale."""
        if not 0 <= k < self.n_members:
            raise RequestError(f"there is no member {k}", expected=f"0 to {self.n_members - 1}")
        return _Member(self, k)


class _Member:
    """One member of an ensemble as a predictor."""

    def __init__(self, whole: EnginePredictor, k: int) -> None:
        self._whole, self._k = whole, k
        self.columns, self.outputs, self.classes, self.task, self.scale = (
            whole.columns,
            whole.outputs,
            whole.classes,
            whole.task,
            whole.scale,
        )

    def raw(self, table: Table) -> FloatArray:
        return self._whole._scaled(self._whole.members_raw(table)[:, self._k], None)

    def background(self) -> Table | None:
        return self._whole.background()

    def read(self, X: Any) -> Table:
        return self._whole.read(X)


class EpistemicView:
    """The doubt of a predictor as an output of its own: explaining it says which columns make the model unsure.

    Classes: mutual information between answer and member, in nats; numbers: variance of the members, in squared units.
    """

    outputs: tuple[str, ...] = ("epistemic",)
    classes: tuple[Any, ...] = ()
    task = "regression"

    def __init__(self, whole: EnginePredictor) -> None:
        self._whole, self.columns = whole, whole.columns
        self.scale = "nats" if whole.task == "classification" else f"({whole.scale})^2"

    def raw(self, table: Table) -> FloatArray:
        members, own = self._whole.members_and_doubt(table)
        if self._whole.task == "regression":
            return np.asarray(members.var(1).sum(1, keepdims=True))

        def entropy(p: FloatArray) -> FloatArray:
            return np.asarray(-(p * np.log(np.maximum(p, TINY))).sum(-1))

        shared = np.maximum(entropy(members.mean(1)) - entropy(members).mean(1), 0)
        return np.asarray((shared if own is None else shared + own[..., 0].mean(1))[:, None])

    def background(self) -> Table | None:
        return self._whole.background()

    def read(self, X: Any) -> Table:
        return self._whole.read(X)


class NetworkPredictor(CouplingsOf, EnginePredictor):
    """A fitted network as a :class:`~pellucid.protocols.DifferentiablePredictor`."""

    engine: NetworkEngine

    @property
    def additive(self) -> bool:
        """True where later stages read only the sum of the parts over columns."""
        return bool(self.engine.net.additive)

    @property
    def jumps(self) -> str:
        """Where the network's answer jumps and what its slopes are, in words; empty where it has no jumps."""
        return str(self.engine.net.jumps)

    @property
    def learned_missing(self) -> bool:
        """True where the network learned from rows some of whose columns were hidden as missing (the regularizer ``mask_columns``)."""
        options = dict(self.engine.settings.regularizers).get("mask_columns")
        return options is not None and dict(options).get("fill", "missing") == "missing"

    @property
    def concurrent(self) -> bool:
        """Whether several threads may enter at once."""
        return self.engine.concurrent

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D)."""
        return self.engine.tokens(table.select(self.columns))

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the part of each column, (N, C, W)."""
        parts: torch.Tensor = self.engine.net.parts(tokens)
        return parts

    @property
    def linear_parts(self) -> bool:
        """Whether parts are linear in tokens, and a constant."""
        return bool(self.engine.core.linear_parts)

    @property
    def _behind(self) -> Any:
        return self.engine.net

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) on ``scale`` from tokens (N, C, D)."""
        return self._from_members(self.engine.net.outputs_from_tokens(tokens))

    def from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) on ``scale`` from parts (N, C, W), or from their sum (N, W) where ``additive``."""
        return self._from_members(self.engine.net.outputs_from_parts(parts))

    def named_parts(self, table: Table) -> dict[str, npt.NDArray[Any]]:
        """Return what the network shows of its inside, rows first, the mean over networks where there are several.

        The terms of a listed sum are on ``scale`` (log-odds after calibration, or the target's unit). Attention among some columns is
        given among all; see :class:`~pellucid.protocols.PartsPredictor`.
        """
        line = self.calibrator.line if self.classes else (1.0, 0.0)
        return self.engine.shown(table.select(self.columns), line or (1 / self.calibrator.temperature, 0.0), self._only)

    def built_in(self, table: Table) -> tuple[str, FloatArray] | None:
        """Return the standard deviation over the rows of each column's term, where the network is a listed sum; else None."""
        shown = self.named_parts(table)
        if "contributions" not in shown:
            return None
        terms = np.array(shown["contributions"], np.float64)
        pairs = shown.get("pairs")
        if pairs is not None and pairs.shape[1]:
            halves = np.eye(len(self.columns))[shown["pair_columns"][0].astype(int)].sum(1) / 2  # (pairs, C)
            terms += np.einsum("npo,pc->nco", pairs, halves)
        return "standard deviation of the column's term", np.asarray(terms.std(0).mean(-1))

    @property
    def in_common(self) -> tuple[float, ...]:
        """Share of each network's answer that its members have in common and do not doubt (``NetworkEngine.in_common``)."""
        return self.engine.in_common

    @property
    def drawn(self) -> bool:
        """Whether :meth:`members_and_doubt` asks other members than :meth:`members_raw`: with draws beside them."""
        return self._only is None and self.engine.drawn

    @property
    def untold(self) -> tuple[str, ...]:
        """What such draws leave out, in words (``NetworkEngine.untold``)."""
        return self.engine.untold if self._only is None else ()

    _only: int | None = None
    checkpoints: tuple[NetworkPredictor, ...] = ()  # the same network earlier in its training, where a refit was asked to keep it

    def at_stage(self, k: int) -> NetworkPredictor:
        """Return the network with the weights of the k-th snapshot of its training, uncalibrated, on the same scale."""
        scale = None if self.task == "regression" else self.scale
        engine = self.engine.at_stage(k)
        return NetworkPredictor(engine, Identity(), self.columns, self.classes, self.names, self.unit, scale, self._reference)

    def gradient_norms(self, table: Table, target: npt.NDArray[Any]) -> FloatArray:
        """Return the norm of the gradient of each row's training loss in all weights (N,). ``target`` : class numbers, or numbers."""
        return self.engine.gradient_norms(table.select(self.columns), target)

    def member(self, k: int) -> Predictor:
        """Return member ``k`` alone, uncalibrated, on the same scale; it too can be asked for gradients."""
        super().member(k)  # refuses what is no member
        scale = None if self.task == "regression" else self.scale
        one = NetworkPredictor(self.engine, Identity(), self.columns, self.classes, self.names, self.unit, scale, self._reference)
        one._only, one.reader, one.kept_answers = k, self.reader, self.kept_answers
        return one

    @property
    def n_members(self) -> int:
        """K; a single member has one."""
        return 1 if self._only is not None else super().n_members

    def members_and_doubt(self, table: Table) -> tuple[FloatArray, FloatArray | None]:
        """Return the answers (N, K', O') of the members that doubt is asked of and what each says of its own, in one pass.

        Where the members have an additive model in common these are its draws beside them, whose mean need not be the answer; a single
        member has none.
        """
        members, own = self.engine.members_and_doubt(table.select(self.columns), drawn=self._only is None)
        if self._only is None:
            return members, own
        at = slice(self._only, self._only + 1)
        return members[:, at], None if own is None else own[:, at]

    def law(self, table: Table) -> dict[str, FloatArray]:
        """Return the members' distributions of a number (``Objective.law``); nothing where the head gives none."""
        return self.engine.law(table.select(self.columns))

    def members_raw(self, table: Table) -> FloatArray:
        """Return the members' answers (N, K, O')."""
        every = super().members_raw(table)
        return every if self._only is None else every[:, self._only : self._only + 1]

    def _from_members(self, raw: torch.Tensor) -> torch.Tensor:
        """Return network outputs (N, K, O') averaged over members, calibrated, on ``scale``; differentiable."""
        import torch

        from pellucid.nn.log_odds import log_odds

        if self._only is not None:
            raw = raw[:, self._only : self._only + 1]
        if self.task == "regression":
            return self.engine.values(raw).mean(1)
        logs = torch.log_softmax(self.engine.logits(raw), -1)
        logp = self.calibrator.of_logs(torch.log_softmax(torch.logsumexp(logs, 1), -1))
        if self.scale == "probability":
            out = logp.exp()
        elif logp.shape[1] == 2:
            out = torch.stack([logp[:, 0] - logp[:, 1], logp[:, 1] - logp[:, 0]], 1)
        else:
            out = log_odds(logp)
        kept: torch.Tensor = out[:, 1:] if len(self.classes) == 2 else out
        return kept

    def raw(self, table: Table) -> FloatArray:
        """Return outputs (N, O) on ``scale``, computed as :meth:`from_tokens` does, in fixed-size chunks."""
        return np.asarray(self.engine.apply(table.select(self.columns), self._from_members), np.float64)

    def hidden_layers(self) -> tuple[str, ...]:
        """Return the names of the layers whose states can be read, input side first."""
        return self.engine.hidden_layers()

    def hidden(self, table: Table, layer: str | None = None) -> FloatArray:
        """Return the state of one layer (N, H), of the last one where none is named; all members and folds side by side."""
        return self.engine.hidden(table.select(self.columns), "last" if layer is None else layer)

    def telling_stages(self, told: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return a context in which ``told`` is called with the name of each stage of the network that has ended."""
        from pellucid.nn.hidden import stages_told

        return stages_told(self.engine.net, told)

    def layers(self) -> tuple[str, ...]:
        """Return the names of the trained layers, output side first."""
        return tuple(self.engine.net.layers())

    def randomised(self, layers: Sequence[str], seed: int) -> NetworkPredictor:
        """Return a copy whose named layers hold fresh initial weights."""
        scale = None if self.task == "regression" else self.scale
        engine = self.engine.randomised(layers, seed)
        copy = NetworkPredictor(engine, self.calibrator, self.columns, self.classes, self.names, self.unit, scale, self._reference)
        copy._only, copy.reader, copy.kept_answers = self._only, self.reader, self.kept_answers
        return copy
