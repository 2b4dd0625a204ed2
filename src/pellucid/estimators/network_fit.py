"""From a table to a fitted network: the recipe for this table with what the user set, encoding, training, draws of a source of doubt.

Each step is one function; :func:`fit_engine` says their order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid import registry
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import RequestError
from pellucid.estimators.decomposed import Attributes, attributes_of, with_parts
from pellucid.estimators.decomposed import told as parts_told
from pellucid.estimators.engines import row_weights
from pellucid.estimators.heads import is_distribution, loss_of
from pellucid.estimators.information import informed
from pellucid.estimators.network import NetworkEngine, as_cells, cell_sizes
from pellucid.estimators.options import from_rows, with_monotone
from pellucid.estimators.prepare import Training, new_table
from pellucid.estimators.progress import progress_bar
from pellucid.estimators.sampling import asked, check_sampled, members_of, n_samples, networks_of, sampled, trained_spread
from pellucid.nn.cells import Cells, CellSizes
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.table import Plan
from pellucid.training import objectives
from pellucid.training.loop import FittedNetwork, fit_network
from pellucid.training.objectives import Objective
from pellucid.training.pretraining import Pretraining
from pellucid.training.recipe import SMALL, TrainSettings, builder, recipe
from pellucid.training.search import changed
from pellucid.training.starts import Solves

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["fit_engine"]

ENCODED = 0.25  # of the time there is, at most, that trees may take to place bins
Part = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # (train, stop) rows of one network


@dataclass(frozen=True)
class _Ready:
    """All that training needs: encoded rows, the objective, the settings, and the rows of each network."""

    encoder: TableEncoder
    cells: Cells
    sizes: CellSizes
    weights: FloatArray | None
    objective: Objective
    settings: TrainSettings
    parts: list[Part]
    attributes: Attributes | None


def fit_engine(
    estimator: TabularEstimator, name: str, backbone: Any, training: Training, plan: Plan, seed: int, resume: Any,
    changes: Mapping[str, Any] | None = None, deadline: float | None = None,
) -> NetworkEngine:  # fmt: skip
    """Encode, build and train as the recipe for this table, changed by the estimator's arguments and by ``changes``, says."""
    ready = _prepared(estimator, name, backbone, training, plan, seed, changes or {}, deadline)
    networks, snapshots = networks_of(estimator.members)
    ready = replace(ready, settings=_cycled(ready.settings, snapshots, deadline, resume))
    fitted = _trained(estimator, name, ready, training, plan, seed, resume, deadline)
    drawn = sampled(
        fitted.net, estimator.bayes, ready.cells, [part for part in ready.parts for _ in range(snapshots)], fitted.record["batch"],
        integer(seed, "sampled"), training.target.values, ready.weights, ready.objective,
    )  # fmt: skip
    nets = networks * snapshots
    engine = NetworkEngine(
        name, ready.encoder, drawn.net, ready.objective, ready.settings, len(ready.parts) // networks, nets * drawn.stacked,
        drawn.heads, drawn.masks, drawn.seed,
    )  # fmt: skip
    told = {"networks": nets} if nets > 1 else {}
    told |= {"samples": n_samples(estimator.bayes)} if n_samples(estimator.bayes) > 1 else {}
    engine.history, engine.record = fitted.history, fitted.record | told | drawn.found
    if plain := ready.encoder.numeric.plain:
        engine.record["plain_bins"] = plain
        engine.record["replay"] |= {"trees": len(ready.encoder.numeric.bins) - plain}
    engine.record |= parts_told(engine, training, ready.attributes, plan, seed)
    engine.stages = fitted.stages
    return engine


def _prepared(
    estimator: TabularEstimator, name: str, backbone: Any, training: Training, plan: Plan, seed: int, changes: Mapping[str, Any],
    deadline: float | None,
) -> _Ready:  # fmt: skip
    """Return the encoded rows and the settings, in the order in which one needs the other."""
    target, learned = training.target, plan.train if len(plan.train) else np.arange(len(training.table))
    weights = row_weights(training, estimator.class_weight, plan)
    objective = _objective(estimator, training, learned)
    settings = _settings(estimator, name, backbone, len(learned), len(training.table.features), objective)
    settings = changed(settings, changes)
    encoder = _encoder(estimator, training, learned, weights, settings, seed, deadline)
    cells = as_cells(encoder.transform(training.table))
    sizes = cell_sizes(encoder, settings)
    settings = with_monotone(settings, encoder.columns, sizes, objective, estimator.number)
    settings = from_rows(settings, cells, sizes, target, weights, learned)
    settings = informed(settings, backbone, cells, sizes, target.values, learned, target.task, seed)
    parts = [part for part in _parts(plan) for _ in range(networks_of(estimator.members)[0])]
    settings = replace(settings, bayes=trained_spread(estimator.bayes, len(parts[0][0])))
    attributes = attributes_of(training.table, estimator.decompose)
    many = target.task == "classification" and len(learned) >= SMALL
    settings = with_parts(settings, attributes, estimator.decompose, target.n_outputs if many else 0)
    return _Ready(encoder, cells, sizes, weights, objective, settings, parts, attributes)


def _trained(
    estimator: TabularEstimator, name: str, ready: _Ready, training: Training, plan: Plan, seed: int, resume: Any, deadline: float | None
) -> FittedNetwork:
    """Train the networks of all parts."""
    build = builder(ready.sizes, ready.settings, ready.objective.n_outputs, ready.objective.extra)
    check_sampled(estimator.bayes, build)
    with progress_bar(f"training {name}", bool(estimator.verbose)) as progress:
        return fit_network(
            build,
            ready.cells,
            training.target.values,
            ready.weights,
            ready.parts,
            ready.objective,
            ready.settings,
            stop_metric=estimator.metric,
            seed=integer(seed, "network"),
            device=estimator.device,
            threads=estimator.threads,
            checkpoint=resume,
            resume=resume is not None,
            progress=progress,
            deadline=deadline,
            answers_after=len(plan.certify) if plan.folds is None else len(plan.folds),
            pretraining=_pretraining(estimator, training, ready.encoder, ready.sizes),
            stages=estimator._stages,
            attributes=None if ready.attributes is None else ready.attributes.codes,
        )


def _encoder(
    estimator: TabularEstimator, training: Training, learned: npt.NDArray[np.int64], weights: FloatArray | None,
    settings: TrainSettings, seed: int, deadline: float | None,
) -> TableEncoder:  # fmt: skip
    """Return the encoder, fitted on the rows that are learned from."""
    now = time.monotonic()
    limited = deadline is not None or settings.trees is not None
    clock = Solves(None if deadline is None else now + ENCODED * max(deadline - now, 0.0), settings.trees) if limited else None
    return TableEncoder(estimator.text if callable(estimator.text) else None).fit(
        training.table.take(learned),
        training.target.values[learned],
        task=training.target.task,
        weights=None if weights is None else weights[learned],
        bins={"n_bins": settings.bins, "kind": settings.bin_kind, "min_leaf": settings.bin_leaf},
        seed=integer(seed, "bins"),
        fill=estimator.fill,
        scale=estimator.scale,
        go_on=clock,
    )


def _cycled(settings: TrainSettings, snapshots: int, deadline: float | None, resume: Any) -> TrainSettings:
    """Return the settings for a fit that keeps a network at the end of each of several cycles of the rates."""
    if snapshots == 1:
        return settings
    if deadline is not None or settings.time_limit is not None or resume is not None:
        raise RequestError(
            "snapshots need a plan that neither a clock nor an interruption changes", do="use max_steps, or members={'networks': 5}"
        )
    return replace(settings, cycles=snapshots, patience=10**9)


def _parts(plan: Plan) -> list[Part]:
    """Return (train, stop) rows of each network: one, or one per fold; a fold stops on its held-out rows, or on ``eval_set``."""
    if plan.folds is None:
        return [(plan.train, plan.stop)]
    every = np.arange(len(plan.folds))
    return [(every[plan.folds != k], plan.stop if len(plan.stop) else every[plan.folds == k]) for k in range(int(plan.folds.max()) + 1)]


def _pretraining(estimator: TabularEstimator, training: Training, encoder: TableEncoder, sizes: CellSizes) -> Pretraining | None:
    """Return what ``pretrain=`` asks for: True, a number of steps, or a table of rows without an answer."""
    wanted = estimator.pretrain
    if wanted is False:
        return None
    steps = None if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) else int(wanted)
    tables = [] if training.unlabelled is None else [training.unlabelled]
    tables += [] if isinstance(wanted, bool | int | np.integer) else [new_table(estimator, wanted)]
    coded = [as_cells(encoder.transform(t.select(encoder.columns))) for t in tables]
    return Pretraining(sizes, Cells(*(torch.cat(t) for t in zip(*coded))) if coded else None, steps)


def _objective(estimator: TabularEstimator, training: Training, rows: npt.NDArray[np.int64]) -> Objective:
    target = training.target
    weights = None if training.weights is None else training.weights[rows]
    if target.task == "classification":
        made = objectives.classification(len(target.classes))
    else:
        made = objectives.regression(target.values[rows], weights)
    return made.with_loss(loss_of(estimator, target.task), target.values[rows], weights)


def _settings(estimator: TabularEstimator, name: str, backbone: Any, n_rows: int, n_columns: int, objective: Objective) -> TrainSettings:
    """Return the recipe for this table with what the user set in place of its choices."""
    chosen: dict[str, Any] = {
        "backbone": name if isinstance(backbone, registry.Entry) and backbone is _known(name) else _factory(backbone),
        "options": tuple((estimator.backbone_options or {}).items()),
        "embedding": tuple((estimator.embedding or {}).items()),
        "regularizers": tuple((name, tuple((options or {}).items())) for name, options in (estimator.regularizers or {}).items()),
        "max_steps": estimator.max_steps,
        "time_limit": estimator.time_limit,
    }
    for field in ("members", "dropout", "precision", "number", "category"):
        value = getattr(estimator, field)
        if (value := members_of(value) if field == "members" else value) != "auto":
            chosen[field] = value
    if estimator.head is not None and not is_distribution(estimator.head):
        chosen["head"] = estimator.head
    if "dropout" in chosen or asked(estimator.bayes)[0] == "mc_dropout":
        chosen["free_dropout"] = False
    if asked(estimator.bayes)[0] == "mean_field":
        chosen["weight_decay"] = 0.0  # the prior is in the loss
    return replace(recipe(n_rows, n_columns, objective.task, chosen["backbone"]), **chosen)


def _known(name: str) -> Any:
    return registry.get("backbone", name) if name in registry.names("backbone") else None


def _factory(backbone: Any) -> Any:
    return registry.resolve(backbone) if isinstance(backbone, registry.Entry) else backbone
