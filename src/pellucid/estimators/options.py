"""Options of backbones in the network's terms: the user's column names to indexes, and what the training rows decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid import registry
from pellucid.errors import RequestError, quote
from pellucid.estimators.prepare import Target
from pellucid.nn.cells import Cells, CellSizes
from pellucid.protocols import FloatArray
from pellucid.training.objectives import Objective
from pellucid.training.recipe import TrainSettings

__all__ = ["from_rows", "with_monotone"]

SIGNS = {"up": 1, "down": -1}
AS_IT_IS = ("plain", "flagged", "stack")
"""Encoders whose token rises with the number."""


def with_monotone(settings: TrainSettings, columns: Sequence[str], sizes: CellSizes, objective: Objective, number: Any) -> TrainSettings:
    """Return the settings with ``monotone={"age": "up", "price": "down"}`` among the backbone's options as (column index, 1 or -1).

    Up: the answer never falls as the number rises (with two classes: the probability of the second). The network then reads the
    number itself, so the encoder is ``plain`` where the recipe names another.

    Parameters
    ----------
    columns, sizes : the C source columns, and what their cells look like. number : the encoder the user asked for, or ``"auto"``.
    """
    options = dict(settings.options)
    if not (wishes := options.get("monotone")):
        return settings
    if not isinstance(wishes, Mapping):
        raise RequestError("monotone cannot be used", expected='a mapping such as {"age": "up", "price": "down"}', got=repr(wishes)[:80])
    if objective.task == "classification" and objective.n_answers > 2:
        raise RequestError("monotone columns need numbers as answers, or two classes", got=f"{objective.n_answers} classes")
    if number not in ("auto", *AS_IT_IS):
        raise RequestError("monotone columns need the encoder 'plain' or 'stack'", got=f"number={number!r}")
    single = set(sizes.number_columns) - set(sizes.vector_columns) - set(sizes.code_columns)
    numbers = [c for i, c in enumerate(columns) if i in single]
    for column, way in wishes.items():
        if column not in numbers:
            raise RequestError(f"the column {column!r} cannot be monotone", expected=f"a column of numbers: {quote(numbers)}")
        if way not in SIGNS:
            raise RequestError(f"{column!r} cannot be monotone the way {way!r}", expected="'up' or 'down'")
    options["monotone"] = tuple((list(columns).index(c), SIGNS[way]) for c, way in wishes.items())
    encoder = settings.number if settings.number in AS_IT_IS else "plain"
    return replace(settings, options=tuple(options.items()), number=encoder)


def from_rows(
    settings: TrainSettings, cells: Cells, sizes: CellSizes, target: Target, weights: FloatArray | None, rows: npt.NDArray[np.int64]
) -> TrainSettings:
    """Return the settings with the options that the backbone's ``from_rows`` draws from the training rows; what the user set stays.

    Where folds are trained these are the rows of all folds, as for the bins.

    Parameters
    ----------
    cells : all encoded rows. rows : the training rows among them. weights : (N,) or None.
    """
    backbone = settings.backbone
    if isinstance(backbone, str):
        backbone = registry.resolve(registry.get("backbone", backbone))
    if not hasattr(backbone, "from_rows"):
        return settings
    answers = target.values[rows]
    answers = np.eye(len(target.classes))[answers] if target.task == "classification" else answers.reshape(len(rows), -1)
    given = dict(settings.options)
    found = backbone.from_rows(cells.take(torch.from_numpy(rows)), sizes, answers, None if weights is None else weights[rows], given)
    return replace(settings, options=tuple((found | given).items()))
