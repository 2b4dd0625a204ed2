"""The engines behind an estimator: a network, a fold of peers, or one peer.

An engine turns a table into the answers of its K members (N, K, O): class probabilities, or values in the target's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import RequestError
from pellucid.estimators.peers import PeerEngine
from pellucid.estimators.prepare import Training
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.table import Plan, Table
from pellucid.training.calibrators import STRAIGHT
from pellucid.trees import Grown

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["Engine", "FoldedPeer", "calibrators_for", "class_weights", "make_engine", "row_weights", "stops_by_held_rows"]

AUTO = "tabm_additive"


class Engine(Protocol):
    """What an estimator needs of its fitted model.

    Attributes
    ----------
    name : of the backbone. ``encoder`` : its columns. ``history`` : the training curve. ``record`` : settings and how training went.
    n_members : K. ``n_folds`` : number of fold models among the members, 1 where there are none.
    differentiable : True where tokens and gradients can be asked.
    """

    name: str
    encoder: TableEncoder
    history: list[dict[str, Any]]
    record: dict[str, Any]
    n_folds: int
    differentiable: bool

    @property
    def n_members(self) -> int: ...

    @property
    def size(self) -> int: ...

    def members(self, table: Table, precision: str = "fp32") -> FloatArray: ...

    def out_of_fold(self, table: Table, folds: npt.NDArray[np.int64]) -> FloatArray: ...


def row_weights(training: Training, class_weight: Any, plan: Plan) -> FloatArray | None:
    """Return (N,) row weights times the weights of the rows' classes; None where nothing is weighted."""
    if training.target.task == "regression" or class_weight is None:
        return training.weights
    return _class_weights(training.target.values, training.target.classes.tolist(), training.weights, class_weight, plan.train)


def class_weights(training: Training, class_weight: Any, plan: Plan) -> FloatArray | None:
    """Return (O,) the weight that each class's rows were given besides their own, mean 1 over the classes; None where none was.

    Only the rows that train are counted: neither certify rows nor those of ``eval_set`` may change what is learned.
    """
    if training.target.task == "regression" or class_weight is None:
        return None
    labels = np.arange(len(training.target.classes))
    if isinstance(class_weight, str):
        given = None if training.weights is None else training.weights[plan.train]
        total = np.bincount(training.target.values[plan.train], weights=given, minlength=len(labels))
        weight = 1 / np.where(total > 0, total, max(float(total.max()), 1.0))
    else:
        weight = np.asarray(_class_weights(labels, training.target.classes.tolist(), None, class_weight, labels))
    weight = np.maximum(
        weight, 1e-12 * max(float(weight.max()), 1e-300)
    )  # a class of weight 0 was never learned, and nothing brings it back
    return np.asarray(weight / weight.mean())


def calibrators_for(engine: Engine) -> tuple[str, ...] | None:
    """Return what ``calibration="auto"`` may choose among; None for all.

    A network whose answer is a listed sum stays one where log-odds are only scaled. A loss that asks for shifted probabilities on
    purpose keeps them shifted.
    """
    if not engine.differentiable:
        return None
    objective, backbone = engine.objective, engine.core.backbone  # type: ignore[attr-defined]
    shifted = objective.named is not None and objective.named.name == "logit_adjusted"
    return STRAIGHT if shifted or getattr(backbone, "listed", False) else None


def make_engine(
    estimator: TabularEstimator, training: Training, plan: Plan, seed: int, resume: Any, deadline: float | None = None
) -> Engine:
    """Return the fitted engine of the backbone that the estimator asks for; a network is done by ``deadline`` (``time.monotonic()``)."""
    fallback = AUTO if estimator.decompose is None else "tabm"  # all its answers come from one hidden state
    name, backbone = _resolve_backbone(estimator.backbone, fallback)
    if isinstance(backbone, registry.Entry) and backbone.takes == "matrix":
        _only_networks(estimator, name)
        return FoldedPeer(name, registry.resolve(backbone)).fit(estimator, training, plan, seed)
    from pellucid.estimators.network_fit import fit_engine

    if estimator.tune is not False:
        from pellucid.estimators.tuning import tuned

        return tuned(estimator, name, backbone, training, plan, seed, resume, deadline)
    return fit_engine(estimator, name, backbone, training, plan, seed, resume, estimator._found, deadline)


def stops_by_held_rows(backbone: Any, folded: bool) -> bool:
    """Return whether rows that are not learned from decide when a model stops. Peers in folds never do so: they keep none for it."""
    _, found = _resolve_backbone(backbone, AUTO)
    peer = isinstance(found, registry.Entry) and found.takes == "matrix"
    return not peer or (not folded and bool(registry.resolve(found).stops_early))


def _only_networks(estimator: TabularEstimator, name: str) -> None:
    """Refuse what a peer cannot do, rather than leave it out in silence."""
    for argument, off in (
        ("tune", False),
        ("pretrain", False),
        ("bayes", False),
        ("loss", None),
        ("regularizers", None),
        ("decompose", None),
    ):
        if getattr(estimator, argument) is not off:
            raise RequestError(
                f"{argument}= is for networks, and {name!r} is none", do=f"leave {argument}= out, or choose another backbone"
            )


class FoldedPeer:
    """One peer fitted on all rows that may be learned from; below the fold limit, fold peers answer for their held-out rows.

    The answer is that of the one peer: an honest baseline is not an ensemble of folds.
    """

    n_folds = 1
    differentiable = False

    def __init__(self, name: str, kind: type[PeerEngine]) -> None:
        self.name, self.kind = name, kind
        self.history: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {}

    @property
    def n_members(self) -> int:
        """K: a peer is one model."""
        return 1

    @property
    def size(self) -> int:
        """Number of fitted numbers."""
        return self.peer.size

    def fit(self, estimator: TabularEstimator, training: Training, plan: Plan, seed: int) -> FoldedPeer:
        """Fit the encoder, the peer and, where the plan has folds, the fold peers."""
        weights = row_weights(training, estimator.class_weight, plan)
        options = dict(estimator.backbone_options or {})
        learned = plan.known if len(plan.known) else np.arange(len(training.table))
        self.encoder = TableEncoder(estimator.text if callable(estimator.text) else None).fit(
            training.table.take(learned),
            training.target.values[learned],
            task=training.target.task,
            weights=None if weights is None else weights[learned],
            seed=integer(seed, "bins"),
            fill=estimator.fill,
            scale=estimator.scale,
        )
        fit = lambda rows, stop: self.kind(options).fit(  # noqa: E731
            self.encoder, training.table, training.target, weights, stop, rows, seed=integer(seed, "peer")
        )
        # a peer that never stops learns from its own stop rows, and not from those that were only lent to stop
        self.peer = fit(plan.train, plan.stop if self.kind.stops_early or not plan.lent else np.zeros(0, np.int64))
        self.folds: list[PeerEngine] = []
        if plan.folds is not None:
            every = np.arange(len(plan.folds))
            self.folds = [fit(every[plan.folds != k], np.zeros(0, np.int64)) for k in range(int(plan.folds.max()) + 1)]
        self.record = {"options": self.peer.options, "folds": len(self.folds)}
        return self

    def members(self, table: Table, precision: str = "fp32") -> FloatArray:
        """Return (N, 1, O); peers compute as they do, whatever the precision."""
        return self.peer.members(table.select(self.encoder.columns))

    def built_in(self, table: Table) -> tuple[str, dict[str, float]] | None:
        """Return (what it is, importance per source column) where the peer has one of its own."""
        return self.peer.built_in(table.select(self.encoder.columns))

    def trees(self) -> Grown | None:
        """Return the peer's trees and what makes their cells of a table, where it has some."""
        return self.peer.trees()

    def out_of_fold(self, table: Table, folds: npt.NDArray[np.int64]) -> FloatArray:
        """Return for each planned row (N, O) the answer of the fold peer that did not learn from it."""
        out = np.zeros((len(table), self.peer.n_outputs))
        for k, fold in enumerate(self.folds):
            rows = np.flatnonzero(folds == k)
            out[rows] = fold.members(table.take(rows).select(self.encoder.columns))[:, 0]
        return out


def _class_weights(
    labels: npt.NDArray[np.int64], classes: Sequence[Any], weights: FloatArray | None, class_weight: Any, rows: npt.NDArray[np.int64]
) -> FloatArray | None:
    """Return (N,) row weights times class weights, mean 1 over the rows that are counted; None where nothing is weighted."""
    if class_weight is None:
        return weights
    w = np.ones(len(labels)) if weights is None else weights
    if isinstance(class_weight, str):
        total = np.bincount(labels[rows], weights=w[rows], minlength=len(classes))
        per_class = w[rows].sum() / (len(classes) * np.where(total > 0, total, 1.0))
    else:
        unknown = [k for k in class_weight if k not in list(classes)]
        if unknown:
            raise RequestError(
                "class_weight names a class that is not in the target", got=repr(unknown[0]), expected=f"some of {list(classes)}"
            )
        per_class = np.array([float(class_weight.get(c, 1.0)) for c in classes])
        if not (np.isfinite(per_class).all() and (per_class > 0).all()):
            wrong = {c: v for c, v in class_weight.items() if not 0 < float(v) < np.inf}
            raise RequestError("class_weight cannot be used", expected="numbers above 0", got=repr(wrong)[:80])
    return np.asarray(w * per_class[labels])


def _resolve_backbone(backbone: Any, fallback: str) -> tuple[str, Any]:
    """Return (name, Entry or factory) of what the user asked for."""
    if isinstance(backbone, registry.Entry):
        return backbone.name, backbone
    if isinstance(backbone, str):
        name = fallback if backbone == "auto" else backbone
        return name, registry.get("backbone", name)
    return getattr(backbone, "__name__", type(backbone).__name__), backbone
