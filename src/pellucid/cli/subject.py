"""The model that a report is about, ours or from elsewhere, with the rows it is judged on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.cli import gather
from pellucid.cli.measures import class_scores, group_scores, number_scores, unscored
from pellucid.errors import PellucidError, RequestError, TargetError
from pellucid.estimators.decomposed import sentences
from pellucid.random import stream
from pellucid.table import Table
from pellucid.training.leftover import beyond_chance

__all__ = ["Subject", "fitted_subject", "foreign_subject"]

FloatArray = npt.NDArray[np.float64]
LEVEL = 0.9
RATE = 40_000.0
"""Model rows a second that budgets of seconds are reckoned with: what networks and trees of usual size answer on one thread, or more."""
SLOWER = 10.0
"""So many times slower a model must be before its own speed decides."""


@dataclass(frozen=True)
class Subject:
    """A fitted model among its rows.

    Attributes
    ----------
    model, name : the model, and what the page calls it.
    train, test : rows with the target; ``origin`` (n,) positions of the test rows in the source.
    task, target, unit, classes : as the model knows them.
    ours : True where the model also says how certain it is.
    background : rows to compare with for models from elsewhere; None where the model keeps its own.
    refit : trains this kind of model again; None where that cannot be done.
    caveats : what the reader should know.
    """

    model: Any
    name: str
    train: Table
    test: Table
    origin: npt.NDArray[np.int64]
    task: str
    target: str
    unit: str
    classes: tuple[Any, ...]
    ours: bool
    background: Any = None
    refit: Any = None
    caveats: tuple[str, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict)

    @property
    def differentiable(self) -> bool:
        """True where gradients can be asked for."""
        return self.ours and bool(getattr(self.model.engine_, "differentiable", False))

    @property
    def attends(self) -> bool:
        """True where the network shows its attention."""
        if not self.differentiable:
            return False
        if "attends" not in self.cache:
            self.cache["attends"] = "attention" in self.model.parts(self.rows(np.arange(min(2, len(self.test)))))
        return bool(self.cache["attends"])

    @property
    def knows_truth(self) -> bool:
        """True where every test row has a true answer that the model could give."""
        return bool(self._known().all())

    def some_rows(self, most: int, seed: int) -> npt.NDArray[np.int64]:
        """Return positions among the test rows, drawn at random, in order."""
        n = len(self.test)
        return np.sort(stream(seed, "explained rows").permutation(n)[:most]).astype(np.int64)

    def positions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where the test rows ``rows`` stand in the source, from 0."""
        return np.asarray(self.origin[rows], np.int64)

    def rows(self, rows: npt.NDArray[np.int64] | slice = slice(None)) -> Any:
        """Return test rows as the model reads them: a Table, or for models from elsewhere a frame of its columns."""
        part = self.test.take(rows).drop([self.target])
        return part if self.ours else part.native()

    def truth(self, rows: npt.NDArray[Any] | slice = slice(None)) -> npt.NDArray[Any]:
        """Return the true answers of test rows, as the model's classes or as numbers."""
        codes = self._truth()[rows]
        if self.task == "regression":
            return codes
        labels = np.empty(len(self.classes) + 1, object)
        labels[:-1], labels[-1] = list(self.classes), None
        picked = labels[codes]
        return np.asarray(picked.tolist()) if (codes >= 0).all() else picked

    def _truth(self) -> npt.NDArray[Any]:
        if "truth" not in self.cache:
            table = self.test
            self.cache["truth"] = (
                table.numbers(self.target) if self.task == "regression" else gather.target_labels(table, self.target, self.classes)
            )
        return np.asarray(self.cache["truth"])

    def answers(self) -> FloatArray:
        """Return what the model answers to all test rows: probabilities (n, O), or numbers (n,)."""
        if "answers" not in self.cache:
            X = self.rows()
            self.cache["answers"] = np.asarray(
                self.model.predict_proba(X) if self.task == "classification" else self.model.predict(X), float
            )
        return np.asarray(self.cache["answers"])

    def pace(self) -> float:
        """Return how many rows a second are reckoned with: ``RATE``, or what was measured where the model is far slower.

        A rule and not the clock, which differs from run to run: the same command then explains the same rows.
        """
        if "pace" not in self.cache:
            measured = self._speed()
            self.cache["pace"] = RATE if measured * SLOWER >= RATE else measured
        return float(self.cache["pace"])

    def slow_words(self) -> tuple[str, ...]:
        """Return in words that the clock decided how much is explained, where it did."""
        if (pace := self.pace()) >= RATE:
            return ()
        what = "so that the clock decided how many are explained; another run may explain others"
        return (f"Further rows: the model answered {pace:.2g} rows a second, {what}",)

    def _speed(self) -> float:
        """Return how many rows the model answers in a second, by few rows first: a slow model is not asked for many."""
        ask, speed = self.model.predict_proba if self.task == "classification" else self.model.predict, 0.0
        for n in (16, 64, 512):
            X = self.rows(np.arange(min(n, len(self.test))))
            ask(X)  # the first call pays for what later ones find ready
            began = time.perf_counter()
            ask(X)
            took = max(time.perf_counter() - began, 1e-6)
            speed = max(speed, len(X) / took)
            if took > 0.25:
                break
        return speed

    def facts(self) -> dict[str, Any]:
        """Return what the page says of the model: who it is, how it was fitted, how it scores on the test rows."""
        out: dict[str, Any] = {
            "task": self.task,
            "target": self.target,
            "target_unit": self.unit,
            "classes": self.classes,
            "model": self.name,
            "split": self._split(),
            "caveats": self.caveats,
        }
        known = self._known()
        if known.any():
            scores = self._scores(known)
            out |= {"scores": scores} | self._groups(known, scores[0].metric)
        if self.ours:
            record = self.model.record_
            options = {k: v for k, v in self.model.get_params(deep=False).items() if k != "schema" and v is not None}
            out |= {
                "settings": options | {"backbone": record["backbone"]},
                "plan": record.get("split", ""),
                "fit_seconds": float(record.get("seconds", np.nan)),
                "history": _thin(getattr(self.model, "history_", ())),
            }
        return out

    def _split(self) -> dict[str, int]:
        plan = getattr(self.model, "plan_", None)
        if plan is None:
            return {"test": len(self.test)}
        if plan.folds is not None:
            return {"train, in folds": len(plan.folds), "test": len(self.test)}
        return {"train": len(plan.train), "stop": len(plan.stop), "certify": len(plan.certify), "test": len(self.test)}

    def _known(self) -> npt.NDArray[np.bool_]:
        """Return which test rows have a true answer that the model could give."""
        truth = self._truth()
        return np.isfinite(truth) if self.task == "regression" else truth >= 0

    def _scores(self, known: npt.NDArray[np.bool_]) -> tuple[Any, ...]:
        truth, answers = self._truth()[known], self.answers()[known]
        if self.task == "regression":
            return number_scores(truth, answers, float(np.nanmean(self.train.numbers(self.target))), self.unit)
        learned = gather.target_labels(self.train, self.target, self.classes)
        counts = np.bincount(learned[learned >= 0], minlength=len(self.classes))
        return class_scores(truth, answers, self.classes, counts / max(counts.sum(), 1))

    def _groups(self, known: npt.NDArray[np.bool_], metric: str) -> dict[str, Any]:
        truth, answers = self._truth()[known], self.answers()[known]
        out: list[Any] = []
        without: list[str] = []
        for name in gather.group_columns(self.test.drop([self.target])):
            codes, levels = self.test.levels(name)
            out += group_scores(name, codes[known], levels, truth, answers, metric=metric, unit=self.unit)
            without += unscored(name, codes[known], levels, truth, metric=metric)
        return {"groups": tuple(out), "unscored": tuple(without)}

    def certainty(self, rows: npt.NDArray[np.int64], seed: int) -> dict[str, Any]:
        """Return predictions with certainty for ``rows``, and coverage, calibration, refusals over all test rows."""
        out: dict[str, Any] = {"truth": self.truth(rows)}
        known = self._known()
        if self.task == "classification" and known.any():
            before = self._uncalibrated() if self.ours else None
            labels = self._truth()[known]
            out["calibration"] = gather.calibration(
                self.answers()[known], labels, self.classes, None if before is None else before[known], seed
            )
        if not self.ours:
            return out
        if "decompose" in self.model.record_["training"]:
            found = self.model.record_["training"]["decompose"]
            out["parted"] = tuple(sentences(found))
            out["given_away"] = tuple(n for n, p in found["probe"].items() if beyond_chance(p))
        try:
            every = self.model.uncertainty(self.rows(), level=LEVEL)
            out["prediction"] = self.model.uncertainty(self.rows(rows), level=LEVEL)
        except PellucidError as error:
            return out | {"unknown": (f"How certain single answers are: {error}",)}
        inside = gather.coverage(gather.of_rows(every, known), self.truth(known))
        out |= {"coverage": inside, "set_size": gather.set_size(every, self.unit)}
        if every.refused is not None:
            out |= {"refused_share": float(np.mean(every.refused)), "refused_why": gather.commonest_refusal(every.reason or ())}
        if every.familiarity is not None:
            out["unfamiliar_share"] = float(np.mean(every.familiarity < 1))
        out |= self._promises(known, seed)
        return {k: v for k, v in out.items() if v is not None}

    def _promises(self, known: npt.NDArray[np.bool_], seed: int) -> dict[str, Any]:
        """Return for whom the promise is kept, and what silence wins; nothing where no row was held out."""
        from pellucid.uncertainty import coverage, selective

        if not known.any() or not self.model.certainty_.conformals or (self.answers().ndim > 1 and self.task == "regression"):
            return {}
        rows, truth = self.rows(), self.truth()
        name = next(iter(gather.group_columns(self.test.drop([self.target]))), None)
        return {
            "promise": coverage(self.model, rows, truth, levels=(LEVEL,), groups=name, by_group=False),
            "silence": selective(self.model, rows, truth, groups=name, random_state=seed),
        }

    def _uncalibrated(self) -> FloatArray | None:
        members = self.model.predictor().members_raw(self.rows())
        return np.asarray(members.mean(1))


def _thin(history: Any, most: int = 200) -> tuple[Any, ...]:
    every = list(history)
    step = max(1, -(-len(every) // most))
    return tuple(every[::step])


def fitted_subject(model: Any, train: Table, test: Table, origin: npt.NDArray[np.int64], *, seed: int, held_out: bool) -> Subject:
    """Return one of our fitted models among its rows."""
    target = str(model.record_["target"][0])
    caveats = list(model.record_.get("caveats", ()))
    if not held_out:
        caveats.append(
            "The rows of this page may have been among those the model learned from; figures on rows it has never seen can be worse"
        )
    unit = test.schema[target].unit
    hidden = [c for c in model.record_["training"].get("decompose", {}).get("columns", ()) if c in test.columns]
    if hidden:  # whom the answers should not tell is whom they are watched by
        train, test = (t.with_roles(sensitive=list(dict.fromkeys((*t.schema.sensitive, *hidden)))) for t in (train, test))
    classes = tuple(c.item() if isinstance(c, np.generic) else c for c in getattr(model, "classes_", ()))
    task = "classification" if classes else "regression"
    return Subject(
        model,
        str(model.record_["backbone"]),
        train.with_roles(target=target),
        test.with_roles(target=target),
        origin,
        task,
        target,
        unit,
        classes,
        True,
        refit=_refit(model, train),
        caveats=tuple(caveats),
    )


def _refit(model: Any, train: Table) -> Any:
    """Return what trains this kind of model again; a model that was loaded is given its training rows back."""
    from pellucid.estimators.prepare import training_data
    from pellucid.estimators.refit import Refitter

    if getattr(model, "_training", None) is not None:
        return model.refitter()
    training = training_data(model, train, None, task=model._task, sample_weight=None, groups=None, target=None)
    return Refitter(model, training)


def foreign_subject(model: Any, train: Table, test: Table, origin: npt.NDArray[np.int64], *, seed: int, held_out: bool) -> Subject:
    """Return a model from elsewhere among its rows: anything with ``predict`` or ``predict_proba`` on frames."""
    target = test.target
    if target is None:
        raise TargetError("the target of a model from elsewhere is not known", do="name it with target=")
    if not hasattr(model, "predict"):
        raise RequestError("the model has no predict method", got=type(model).__name__, do="give a fitted estimator")
    read = [str(n) for n in getattr(model, "feature_names_in_", ()) if str(n) != target]
    if read:  # its rivals read the same columns, no more
        train, test = train.select([*read, target]), test.select([*read, target])
    classes = tuple(c.item() if isinstance(c, np.generic) else c for c in getattr(model, "classes_", ()))
    task = "classification" if classes and hasattr(model, "predict_proba") else "regression"
    rows = np.sort(stream(seed, "background").permutation(len(train))[:100])
    background = train.take(rows).drop([target]).native()
    caveat = (
        () if held_out else ("The rows of this page may have been among those the model learned from; figures on new rows can be worse",)
    )
    name, unit = type(model).__name__, test.schema[target].unit
    train = train.with_roles(target=target)
    return Subject(model, name, train, test, origin, task, target, unit, classes, False, background=background, caveats=caveat)
