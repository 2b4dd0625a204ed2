"""Train the same kind of model again on changed data: what retraining tests are handed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from pellucid.encode.filling import is_ordered
from pellucid.errors import RequestError
from pellucid.estimators.predictor import EnginePredictor, NetworkPredictor
from pellucid.estimators.prepare import Training
from pellucid.estimators.sampling import networks_of
from pellucid.protocols import FloatArray, Predictor
from pellucid.table import Role, Table

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["Refitter"]

SAME = (
    "width", "blocks", "members", "d_token", "dropout", "bins", "bin_kind", "batch", "epochs", "lr", "weight_decay", "muon_lr",
    "muon_decay", "patience",
)  # fmt: skip
"""Settings that go by the number of rows, or could."""


class Refitter:
    """A :class:`~pellucid.protocols.Refit` over an estimator's own training rows.

    Attributes
    ----------
    n_rows : number of training rows; ``rows`` counts in them.
    limits : True: a call takes ``time_limit=`` and ``max_steps=``.
    target : (N,) class numbers or (N, O) numbers, to shuffle or to flip.
    """

    limits = True

    def __init__(self, estimator: TabularEstimator, training: Training) -> None:
        self._estimator, self._training = estimator, training
        self.n_rows, self.target = len(training.table), training.target.values
        self._recipe: Mapping[str, Any] = {}

    def same_recipe(self) -> Refitter:
        """Return the same refit with the size of network, the cuts of numbers and the rates of the fitted model, however few the rows.

        The recipe of a network goes by the number of its rows; where rows are compared, it must not change with them.
        """
        made = copy.copy(self)
        settings = getattr(self._estimator.engine_, "settings", None)
        made._recipe = {} if settings is None else {name: getattr(settings, name) for name in SAME}
        return made

    @property
    def table(self) -> Table:
        """The training rows, without the target."""
        return self._training.table

    def estimator(
        self,
        table: Table | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        target: npt.NDArray[Any] | None = None,
        columns: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        seed: int | None = None,
        time_limit: float | None = None,
        checkpoints: int = 0,
        max_steps: int | None = None,
    ) -> TabularEstimator:
        """Return a fitted estimator with the same settings on other rows, targets, columns or weights.

        Parameters
        ----------
        table : other cells of the same rows (after a repair, a mask).
        rows : positions of the training rows to use; ``target`` and ``weights`` are given for all rows or for these.
        target : (N,) class numbers or (N, O) numbers instead of the true ones.
        columns : the columns to use.
        time_limit : seconds, instead of the estimator's own limit; a network that keeps snapshots does not read it, for no clock may
            change its plan.
        checkpoints : how many copies of the weights to keep along the way (networks).
        max_steps : most steps (networks), where the estimator itself asks for more.
        """
        training = self._training if table is None else replace(self._training, table=table)
        if len(training.table) != self.n_rows:
            raise RequestError("the changed table has another number of rows", expected=str(self.n_rows), got=str(len(training.table)))
        at = np.arange(self.n_rows) if rows is None else np.asarray(rows)
        part = training.take(at)
        values = part.target.values if target is None else np.asarray(target)[at if len(target) == self.n_rows else slice(None)]
        w = part.weights if weights is None else np.asarray(weights)[at if len(weights) == self.n_rows else slice(None)]
        features = part.table if columns is None else part.table.select([*columns, *self._beside(part.table, columns)])
        model = clone(self._estimator).set_params(
            schema=features.schema, verbose=0, tune=False, random_state=self._estimator.record_["seed"] if seed is None else seed,
            fill=self._of(self._estimator.fill, features), scale=self._of(self._estimator.scale, features),
        )  # fmt: skip
        model._found = {**self._estimator.engine_.record.get("tuning", {}).get("best", self._estimator._found), **self._recipe}
        if time_limit is not None and networks_of(self._estimator.members)[1] == 1:
            model.set_params(time_limit=time_limit)
        if max_steps is not None:
            model.set_params(max_steps=min(max_steps, self._estimator.max_steps or max_steps))
        model._stages = checkpoints
        y = part.target.classes[values] if part.target.task == "classification" else values[:, 0] if part.target.flat else values
        fitted: TabularEstimator = model.fit(features, y, sample_weight=w, groups=part.groups)
        # an array of numbers has no name and no unit; answers are compared with the original's, on its scale
        fitted.target_ = replace(fitted.target_, names=part.target.names, unit=part.target.unit)
        return fitted

    def _beside(self, table: Table, columns: Sequence[str]) -> list[str]:
        """Return the columns that order and group the rows, where cells are filled along them."""
        roles = [table.schema.role(r) for r in (Role.ORDER, Role.GROUP)] if is_ordered(self._estimator.fill) else []
        return [c for c in roles if c is not None and c not in columns]

    @staticmethod
    def _of(asked: Any, table: Table) -> Any:
        """Return what was asked for column by column, for the columns that are left."""
        return {c: rule for c, rule in asked.items() if c == "*" or c in table.columns} if isinstance(asked, Mapping) else asked

    def __call__(
        self,
        table: Table | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        target: npt.NDArray[Any] | None = None,
        columns: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        seed: int | None = None,
        checkpoints: int = 0,
        time_limit: float | None = None,
        max_steps: int | None = None,
    ) -> Predictor:
        fitted = self.estimator(table, rows, target, columns, weights, seed, time_limit, checkpoints, max_steps)
        made = fitted.predictor()
        if isinstance(made, EnginePredictor):
            made.hurried = _hurried(fitted.engine_.record)
        if checkpoints:
            if not isinstance(made, NetworkPredictor):
                raise RequestError("this kind of model does not learn step by step", expected="a network", got=str(fitted.engine_.name))
            made.checkpoints = tuple(made.at_stage(k) for k in range(len(made.engine.stages)))
        return made


def _hurried(record: Mapping[str, Any]) -> bool:
    """Tell from an engine's record whether the clock ended its training or shortened the plan of it."""
    replay = record.get("replay", {})
    return bool(record.get("ended") == "time limit" or replay.get("replans") or replay.get("starts") or replay.get("trees") is not None)
