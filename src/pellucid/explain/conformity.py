"""Conformity: how many of the nearest known rows still bear an answer out when one column is filled in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.nearest_rows import Layer, asked_layers, known_answers
from pellucid.explain.occlusion import without_each
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation
from pellucid.table import Table

__all__ = ["explain"]


class _Votes:
    """What the nearest known rows answer, as a predictor: the share of them in each class, or the mean of their numbers."""

    def __init__(self, question: Question, layers: tuple[str, ...], k: int, truth: npt.NDArray[Any]) -> None:
        inner = question.view.inner
        self.columns, self.classes, self.task, self.outputs = inner.columns, inner.classes, inner.task, inner.outputs
        self.scale = "probability" if inner.classes else inner.scale
        self._layers, self._k, self._kept = [Layer(question.view, name, question.kept) for name in layers], k, question.kept
        self._said = np.eye(len(inner.classes))[truth] if inner.classes else np.asarray(truth, np.float64)

    def raw(self, table: Table) -> FloatArray:
        """Return the share of the neighbours in each class, over all layers, or the mean of their numbers (N, O)."""
        near = np.concatenate([layer.near(self._k, table)[0] for layer in self._layers], 1)
        share: FloatArray = self._said[near].mean(1)
        return share[:, 1:] if len(self.outputs) == 1 and len(self.classes) == 2 else share

    def background(self) -> Table:
        """Return the kept rows."""
        return self._kept


def explain(question: Question) -> Explanation:
    """Return by how much the neighbours' support of an answer falls when column j alone is filled in, with standard errors.

    Wallace, Feng and Boyd-Graber 2018, arXiv:1809.02847. The k nearest kept rows in each layer are asked for their own true answers: the
    share of each class (numbers: their mean) is what a row is supported by. A network's own confidence is near 1 almost everywhere; what
    its neighbours were is not, so that this can see a column that occlusion of the probability does not. A value is the support of the
    row as it is less that with the column's cells from ``draws`` background rows, the mean over these; ``settings["support"]`` holds the
    support of each row.

    Options: ``k`` neighbours a layer, ``layers`` (``"all"``, or names; the cells alone where a model has no layers), ``draws``.

    # NOTE[DIFF] the word that is left out becomes a cell of other rows: a table has no shorter rows. The support of every class is given,
    not of the predicted one alone: that is the entry of the class that the row was answered with.

    Cost: N (P draws + 1) forward passes a layer, and M H multiplications for each, M kept rows.
    """
    if question.fill == "conditional":
        raise RequestError(
            "'conformity' takes one row's cells at a time", expected="another fill than 'conditional'", do="use 'marginal' or 'row_model'"
        )
    k = asked.whole(question, "k", 1, len(question.kept) - 1)
    layers, _ = asked_layers(question)
    n, p = len(question.table), len(question.players)
    draws = asked.affordable(
        question, min(asked.whole(question, "draws", 1, 10_000), len(question.background)), n * (p + 1) * len(layers), n * len(layers)
    )
    truth, caveat = known_answers(question)
    at = np.sort(stream(question.seed, "conformity").choice(len(question.background), draws, replace=False))
    votes = View(_Votes(question, layers, k, truth), question.settings["output"], question.settings["versus"])
    engine = CoalitionEngine(votes, question.table, question.background.take(at), question.players, drawer=question.drawer)
    falls = np.empty((n, p, draws, engine.n_outputs))
    for j, moved in enumerate(without_each(engine)):
        falls[:, j] = engine.full[:, None] - moved
    question.view.n_calls += votes.n_calls * len(layers)
    error = error_of_mean(np.moveaxis(falls, 2, 0)) if draws > 1 else None
    base, answers = question.view.raw(question.background.take(at)).mean(0), question.view.raw(question.table)
    made = question.answer(
        falls.mean(2), base, answers, error=error, complete=False, says="sizes",
        settings={"k": k, "layers": list(layers), "draws": draws, "scale": question.view.scale, "support": engine.full.tolist()},
        caveats=(*caveat, "values say what known rows were, not what the model answers; below 0: more bear it out without the cell"),
    )  # fmt: skip
    return dataclasses.replace(made, scale="share of the neighbours") if question.view.classes else made
