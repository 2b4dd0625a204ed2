"""What further promises need: scores of the held-out rows by other measures, the size of errors, and doubts with the errors they came with.

Made when first asked for, not at fit, and then kept and saved with the model. Letters: n held-out rows, k members, O classes or targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.estimators.sampling import asked
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.table import copies
from pellucid.training.adaptive import FREE, PENALTY, own_scores
from pellucid.training.calibrators import held_out
from pellucid.training.conformal import Conformal
from pellucid.training.groupings import groupings
from pellucid.training.local_error import LocalError
from pellucid.training.strangeness import Strangeness

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["MOST_KEPT", "Promises", "Ranked", "fit_promises", "fold_members", "rows_for", "spread_of"]

Ints = npt.NDArray[np.int64]
ASKED_ROWS = 256  # kept rows that tell how far draws of another source spread: their mean is known to a tenth and better


@dataclass(frozen=True)
class Ranked:
    """Held-out rows by doubt.

    Attributes
    ----------
    doubt : (n,) 1 - the highest probability, or the expected size of the error. error : (n,) 1 where the answer was wrong, else 0; or the
        size of the error in the target's unit. grid : (G,) thresholds of doubt fixed without these rows.
    """

    doubt: FloatArray
    error: FloatArray
    grid: FloatArray


@dataclass(frozen=True)
class Promises:
    """Further fitted state of certainty.

    Attributes
    ----------
    local : how far off an answer is here; None for classes, and where too few rows can tell.
    conformals : by name of the score, one fit per target (one in all for classes).
    ranked : None for several targets, and where no row was held out.
    strangeness : by name of the method, further measures of familiarity.
    spread : (O,) mean variance of the members' answers to the held-out rows, in squared units; None for classes. It is taken off the
        held-out residual, so that what the members do not know is not counted as noise as well.
    """

    local: LocalError | None = None
    conformals: Mapping[str, tuple[Conformal, ...]] = field(default_factory=dict)
    ranked: Ranked | None = None
    strangeness: Mapping[str, Strangeness] = field(default_factory=dict)
    spread: FloatArray | None = None

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text, numbers and arrays."""
        return {
            "local": None if self.local is None else self.local.state(),
            "conformals": {name: [c.state() for c in fits] for name, fits in self.conformals.items()},
            "ranked": None if self.ranked is None else dict(vars(self.ranked)),
            "strangeness": {name: fitted.state() for name, fitted in self.strangeness.items()},
            "spread": None if self.spread is None else self.spread.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Promises:
        """Return the promises that :meth:`state` described."""
        return cls(
            None if state["local"] is None else LocalError.from_state(state["local"]),
            {name: tuple(Conformal.from_state(c) for c in fits) for name, fits in state["conformals"].items()},
            None if state["ranked"] is None else Ranked(**{k: np.asarray(v, np.float64) for k, v in state["ranked"].items()}),
            {name: Strangeness.from_state(s) for name, s in state["strangeness"].items()},
            None if state.get("spread") is None else np.asarray(state["spread"], np.float64),
        )


def fold_members(engine: Any, table: Any, folds: Ints | None) -> FloatArray:
    """Return the answers (n, k, O) of the members that did not learn from each row: all of them, or those of the row's own fold."""
    if folds is not None and engine.n_folds == 1:
        return np.asarray(engine.out_of_fold(table, folds))[:, None]
    members = np.asarray(engine.members(table), np.float64)
    if folds is None:
        return members
    n, k, o = members.shape
    return np.asarray(members.reshape(n, engine.n_folds, k // engine.n_folds, o)[np.arange(n), folds])


def spread_of(model: TabularEstimator, source: str | None) -> FloatArray | None:
    """Return the mean variance (O,) of the members of a source of doubt, to be taken off the held-out residual; None where unknown.

    The model's own members were asked about the held-out rows. Draws of another source are asked about kept training rows, which a saved
    model has too; masks spread there as they do on new rows (within 5 % on wine_quality_white and california_housing).
    Cost: the source's draws over at most 256 rows, once.
    """
    if source in (None, "members", asked(model.bayes)[0]):
        return model.promises().spread
    if source not in model._spreads:
        predictor: Any = model.predictor(source=source)
        kept = predictor.background()
        rows = None if kept is None or not len(kept) else kept.take(np.linspace(0, len(kept) - 1, min(len(kept), ASKED_ROWS)).astype(int))
        model._spreads = {**model._spreads, source: None if rows is None else predictor.members_and_doubt(rows)[0].var(1).mean(0)}
    found: FloatArray | None = model._spreads[source]
    return found


def fit_promises(model: TabularEstimator) -> Promises:
    """Return the promises of a model whose training rows are in memory. Cost: one pass over the held-out rows, and small forests."""
    split, seed, certainty = model._split_rows, integer(int(model.record_["seed"]), "promises"), model.certainty_
    rows = split.held
    if not certainty.conformals or not len(rows):
        return Promises()
    held, folds = split.training.take(rows), None if split.plan.folds is None else split.plan.folds[rows]
    members = fold_members(model.engine_, held.table, folds)
    groups = groupings(held.table)
    if model._task == "classification":
        return _as_alike(_of_classes(certainty, members.mean(1), held, folds, groups, seed), certainty)
    local, folds = _local(model, held.table, members, held.target.values, folds, seed)
    made = _as_alike(_of_numbers(local, held.table, members, held.target.values, folds, groups), certainty)
    predictor: Any = model.predictor()
    return replace(made, spread=predictor.members_and_doubt(held.table)[0].var(1).mean(0))


def _as_alike(made: Promises, certainty: Any) -> Promises:
    """Return the promises, whose rows err as much alike as those of the first scores."""
    found = {name: tuple(replace(f, alike=c.alike) for f, c in zip(fits, certainty.conformals)) for name, fits in made.conformals.items()}
    return replace(made, conformals=found)


def _of_classes(certainty: Any, averaged: FloatArray, held: Any, folds: Ints | None, groups: Any, seed: int) -> Promises:
    truth, offset = held.target.values, None if certainty.lean is None else -np.log(certainty.lean)
    p = averaged if certainty.calibrator is None else held_out(certainty.calibrator, averaged, truth, held.weights, offset=offset)
    uniform = stream(seed, "adaptive").random(len(p))
    made = {
        "aps": Conformal.fit_scores("aps", own_scores(p, truth, uniform), folds=folds, groups=groups),
        "raps": Conformal.fit_scores("raps", own_scores(p, truth, uniform, PENALTY, FREE), folds=folds, groups=groups),
    }
    grid = np.linspace(0, 1 - 1 / p.shape[1], 101)[1:]
    answer = certainty.chosen(p)
    ranked = Ranked(1 - p[np.arange(len(p)), answer], (answer != truth).astype(np.float64), grid)
    return Promises(None, {name: (fit,) for name, fit in made.items()}, ranked)


def _local(
    model: TabularEstimator, table: Any, members: FloatArray, truth: FloatArray, folds: Ints | None, seed: int
) -> tuple[LocalError | None, Ints | None]:
    """Return the sizes of errors, and the folds of the held-out rows for them.

    They are learned from the rows that decided when to stop. Where there are none, or the model learned from them as well, the held-out
    rows answer for each other in folds: those of the plan, else two.
    """
    stop, engine = model._split_rows.plan.stop, model.engine_
    honest = folds is None and len(stop) and (engine.differentiable or getattr(engine, "stops_early", False))
    if honest:
        other = model._split_rows.training.take(stop)
        local = LocalError.fit(other.table, np.asarray(engine.members(other.table), np.float64), other.target.values, None, seed)
        if local is not None:
            return local, None
    if folds is None:
        folds = _halves(table, truth, seed)
    return LocalError.fit(table, members, truth, folds, seed), folds


def _halves(table: Any, truth: FloatArray, seed: int) -> Ints:
    """Return two folds (n,) drawn at random; copies of a row lie in one of them, unless most rows are copies.

    Not by turns: rows that stand in pairs, such as husband and wife, would be parted into two kinds.
    """
    same = copies(table, truth)
    units = int(same.max(initial=-1)) + 1
    if 2 * units < len(same):  # few rows are possible: a half without some of them could not answer for them
        same, units = np.arange(len(same)), len(same)
    size, order = np.bincount(same, minlength=units), stream(seed, "halves").permutation(units)
    first = np.zeros(units, np.int64)
    first[order] = np.cumsum(size[order]) - size[order] / 2 > len(same) / 2
    return first[same]


def _of_numbers(local: LocalError | None, table: Any, members: FloatArray, truth: FloatArray, folds: Ints | None, groups: Any) -> Promises:
    if local is None:
        return Promises()
    normalised, pairs, point, told = [], [], members.mean(1), []
    for j in range(truth.shape[1]):
        spread, low, high = local.answers(table, members[:, :, j], j, folds)
        miss = truth[:, j] - point[:, j]
        normalised.append(Conformal.fit_scores("normalised", np.abs(miss) / spread, folds=folds, groups=groups))
        pairs.append(Conformal.fit_scores("quantile", np.maximum(low - miss, miss - high), folds=folds, groups=groups))
        told.append((spread, np.abs(miss)))
    leaves = np.concatenate([f.values[f.feature < 0, 0] for f in local.forests[0]])
    grid = np.quantile(leaves[leaves > 0], np.linspace(0, 1, 101)) if (leaves > 0).any() else np.ones(1)
    ranked = Ranked(*told[0], np.append(grid, np.inf)) if truth.shape[1] == 1 else None
    return Promises(local, {"normalised": tuple(normalised), "quantile": tuple(pairs)}, ranked)


def with_strangeness(model: TabularEstimator, promises: Promises, method: str, options: Mapping[str, Any]) -> Promises:
    """Return the promises with one more measure of familiarity, fitted on training rows and placed among rows not learned from."""
    kept, labels, held, decoys = rows_for(model, MOST_LEARNED if method == "row_model" else MOST_KEPT)
    if method in ("mahalanobis", "hidden_neighbours", "conjnorm"):
        predictor = model.predictor()
        if not hasattr(predictor, "hidden"):
            raise RequestError(
                f"familiarity by {method!r} looks at hidden states", got=f"the backbone {model.record_['backbone']!r}, which has none"
            )
        inside, placed, shuffled = (predictor.hidden(t) for t in (kept, held, decoys))
        fitted = Strangeness.of_states(method, inside, placed, shuffled, labels, options)
    elif method == "text_surprise":
        fitted = Strangeness.of_texts(kept, held)
    elif method == "row_model":
        if model.row_model_ is None:
            model.fit_row_model(kept, **options)
        fitted = Strangeness.of_cells(model.row_model_, held)
    else:
        known = "'mahalanobis', 'hidden_neighbours', 'conjnorm', 'text_surprise' or 'row_model'"
        raise RequestError(f"there is no measure of familiarity {method!r} to fit", expected=known)
    return replace(promises, strangeness={**promises.strangeness, method: fitted})


MOST_KEPT, MOST_HELD = 2000, 2000
MOST_LEARNED = 20_000
"""Rows for a row model, which learns from them instead of keeping them."""


def rows_for(model: TabularEstimator, most_kept: int) -> tuple[Any, npt.NDArray[Any] | None, Any, Any]:
    """Return (rows to learn from, their classes or None, rows to place others among, the latter with each column shuffled).

    With fold models every row was learned from by some of them: a quarter of the rows, drawn, is placed among, the others are learned from.
    """
    split = model._split_rows
    plan, draw = split.plan, stream(int(model.record_["seed"]), "strangeness")
    if plan.folds is None:
        held, kept = plan.certify, plan.train
    else:
        order = draw.permutation(len(plan.folds))
        held, kept = order[: len(order) // 4], order[len(order) // 4 :]
    held, kept = (np.sort(draw.permutation(rows)[:most]) for rows, most in ((held, MOST_HELD), (kept, most_kept)))
    columns = model.engine_.encoder.columns
    whole = split.training.table.select(columns)
    labels = split.training.target.values[kept] if model._task == "classification" else None
    usual = whole.take(held)
    shuffled = usual.with_cells({name: usual.frame[name].to_numpy()[draw.permutation(len(held))] for name in columns})
    return whole.take(kept), labels, usual, shuffled
