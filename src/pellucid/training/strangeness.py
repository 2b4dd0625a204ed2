"""Further measures of familiarity, in one form: a figure that is high for strange rows, placed among rows that were not learned from.

Letters: N rows, R reference rows, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ModelFileError, RequestError
from pellucid.table import ColumnType, Table
from pellucid.training.density import DENSITIES
from pellucid.training.text_surprise import CharacterModel

__all__ = ["Strangeness", "cell_strangeness", "false_alarms", "place"]

FloatArray = npt.NDArray[np.float64]
SCORE = "exchanged"
"""Which score of :meth:`RowModel.score` is read; it is saved, because a reference of another one is on another scale."""


def place(scores: FloatArray, reference: FloatArray) -> FloatArray:
    """Return 100 x the share of ascending reference scores (R,) at least as strange, the row itself counted with them, (N,).

    Examples
    --------
    >>> place(np.array([0.5, 9.0]), np.arange(4.0)).tolist()
    [80.0, 20.0]
    """
    above = len(reference) - np.searchsorted(reference, scores - 1e-12 * np.abs(scores), side="left")
    return np.asarray(100 * (1 + above) / (1 + len(reference)))


def false_alarms(n_reference: int, percent: float, within: float = 0.9) -> tuple[float, float, float]:
    """Return which share of ordinary rows falls below a percentile: on average, and between which shares for 90 of 100 draws of R rows.

    The share is Beta(k, R + 1 - k), k the number of reference rows that may be as strange; 0 where R is too small to tell any.

    Examples
    --------
    >>> [round(v, 4) for v in false_alarms(1999, 1.0)]
    [0.0095, 0.0062, 0.0133]
    """
    from scipy.special import betaincinv

    k = int(np.ceil(round(percent / 100 * (n_reference + 1), 9))) - 1  # (1 + above) / (1 + R) must lie below the percentile
    if k <= 0:
        return 0.0, 0.0, 0.0
    tail = (1 - within) / 2
    rest = n_reference + 1 - k
    return k / (n_reference + 1), float(betaincinv(k, rest, tail)), float(betaincinv(k, rest, 1 - tail))


def cell_strangeness(exchanged: FloatArray) -> FloatArray:
    """Return how strange a row is, (N,), from the nats (N, C) by which each cell is likelier in any row than given the rest of this one.

    The log of the mean over columns of p(cell) / p(cell | rest): the likelihood ratio of a row in which one cell, of a column drawn evenly,
    was taken from another row, to a row as they are. No other score tells such rows better at any rate of false alarms (Neyman and Pearson
    1933, doi:10.1098/rsta.1933.0009), as far as the conditional probabilities are right.
    """
    top = exchanged.max(axis=1)
    return np.asarray(top + np.log(np.exp(exchanged - top[:, None]).mean(axis=1)))


@dataclass(frozen=True)
class Strangeness:
    """One fitted measure.

    Attributes
    ----------
    method : its name in the registry.
    measure : what computes it: a density of hidden states, a character model for each text column, or None for the row model.
    reference : (R,) ascending scores of rows not learned from.
    usual : by column, mean and spread of its part among those rows.
    """

    method: str
    measure: Any
    reference: FloatArray
    usual: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of_states(
        cls,
        method: str,
        kept: FloatArray,
        held: FloatArray,
        decoys: FloatArray,
        labels: npt.NDArray[Any] | None,
        options: Mapping[str, Any],
    ) -> Strangeness:
        """Return the fit on hidden states of rows learned from, of rows not learned from, and of the latter with their cells shuffled."""
        kind: Any = DENSITIES[method]
        measure = kind.fit(kept, labels=labels, held=held, decoys=decoys, **options)
        return cls(method, measure, np.sort(measure.scores(held)))

    @classmethod
    def of_texts(cls, kept: Table, held: Table) -> Strangeness:
        """Return the fit on the text cells of some rows."""
        names = [n for n in kept.columns if kept.schema[n].type is ColumnType.TEXT]
        if not names:
            raise RequestError("there is no column of text", do="choose another measure of familiarity")
        models = {name: CharacterModel.fit([t for t in kept.texts(name) if isinstance(t, str)]) for name in names}
        bare = cls("text_surprise", models, np.zeros(0), dict.fromkeys(names, (0.0, 1.0)))
        parts = bare.text_parts(held)
        usual = {n: (float(parts[:, j].mean()), max(float(parts[:, j].std()), 1e-9)) for j, n in enumerate(names)}
        scaled = cls("text_surprise", models, np.zeros(0), usual)
        return cls("text_surprise", models, np.sort(scaled.text_parts(held).max(1)), usual)

    @classmethod
    def of_cells(cls, row_model: Any, held: Table) -> Strangeness:
        """Return the place of a row model's scores among those of some rows; the row model itself is kept by the estimator."""
        return cls("row_model", None, np.sort(cell_strangeness(row_model.score(held)[SCORE])))

    def text_parts(self, table: Table) -> FloatArray:
        """Return how many spreads above the usual the surprise of each text cell lies, (N, texts); a missing cell lies at the usual."""
        out = np.zeros((len(table), len(self.measure)))
        for j, (name, model) in enumerate(self.measure.items()):
            texts = table.texts(name)
            there = np.array([isinstance(t, str) for t in texts], bool)
            mean, spread = self.usual[name]
            out[there, j] = (model.surprise(list(texts[there])) - mean) / spread
        return out

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns that a measure of texts reads."""
        return tuple(self.usual)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text, numbers and arrays."""
        measure = self.measure
        saved = {n: m.state() for n, m in measure.items()} if isinstance(measure, dict) else None if measure is None else measure.state()
        usual = {k: list(v) for k, v in self.usual.items()}
        return {"method": self.method, "score": SCORE, "measure": saved, "reference": self.reference, "usual": usual}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Strangeness:
        """Return the measure that :meth:`state` described."""
        try:
            method, measure = str(state["method"]), state["measure"]
            if method == "row_model" and state.get("score") != SCORE:  # its reference is on another scale
                raise ModelFileError(
                    "the saved familiarity by the row model is of an earlier version", expected=f"the score {SCORE!r}",
                    got=str(state.get("score")), do="fit and save the model again",
                )  # fmt: skip
            usual = {str(k): (float(v[0]), float(v[1])) for k, v in state["usual"].items()}
            reference = np.asarray(state["reference"], np.float64)
            if method in DENSITIES:
                measure = DENSITIES[method].from_state(measure)
            elif measure is not None:
                measure = {str(n): CharacterModel.from_state(m) for n, m in measure.items()}
            return cls(method, measure, reference, usual)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved measure of familiarity cannot be read", got=f"{type(error).__name__}: {error}") from error
