"""Activation maximisation: rows that excite an output most, searched among rows that could be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients.ascent import Ladder, climb
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import FoundRows
from pellucid.table import ColumnType, Table

if TYPE_CHECKING:
    import torch

    from pellucid.nn.gradients.tape import Function

__all__ = ["explain", "ladder_of"]

RUNGS = 65
FEW = 12  # distinct numbers of a column up to which only they are tried
TAILS = (0.005, 0.995)
MOST_LIKE = 99.0


def explain(question: Question) -> FoundRows:
    """Return rows that the model answers highest to, each output in turn, and how far they are from rows that are known.

    Erhan, Bengio, Courville, Vincent 2009, "Visualizing higher-layer features of a deep network", tech. report 1341; plausibility as in
    Nguyen and others 2016, arXiv:1605.09304. Numbers stay between the 0.5 % and 99.5 % quantiles of the table's rows, all else among the
    cells that occur. Starts are the rows answered highest and random ones. Every row found is asked again through the whole pipeline, named
    beside the nearest known row, and marked where it lies farther from all of them than 99 % of known rows do from each other.

    Options: ``plausible`` (weight of the distance to known rows), ``ridge`` (of squared places), ``apart`` (of likeness between solutions),
    ``starts``, ``steps``, ``rows`` (known rows used at most), ``found`` (rows given per output). Cost: steps * starts * O model rows.
    """
    import torch

    view, options = question.view, question.options
    if min(options[k] for k in ("starts", "steps", "rows", "found")) < 1:
        raise RequestError("the search cannot be made", expected="starts, steps, rows and found of at least 1", got=repr(dict(options)))
    known = _some(question.table, int(options["rows"]), question.seed)
    tokens = view.tokens(known)
    spread = (tokens - tokens.mean(0)).square().sum(-1).mean(0).sqrt()
    ladder, cells, start = ladder_of(question, known)
    with torch.inference_mode():
        answers = to_numpy(view.from_tokens(tokens))
    usual = _nearest(tokens, tokens, spread, own=True)[1]
    draw = stream(question.seed, "starts")
    chosen = np.concatenate([_starts(answers[:, o], int(options["starts"]), draw) for o in range(answers.shape[1])])
    output = torch.arange(answers.shape[1]).repeat_interleave(int(options["starts"]))
    places = climb(
        _own_output(question, output, answers), ladder, torch.as_tensor(start[chosen]), tokens, spread, float(options["plausible"]),
        float(options["ridge"]), int(options["steps"]), apart=float(options["apart"]), group=output,
    )  # fmt: skip
    found = _rows(known, cells, to_numpy(places))
    lines = [
        _judged(question, found.take(np.flatnonzero(output.numpy() == o)), known, tokens, spread, usual, answers[:, o], o, name)
        for o, name in enumerate(view.outputs)
    ]
    table, nearest = (pd.concat([line[0] for line in lines], ignore_index=True), pd.concat([line[1] for line in lines], ignore_index=True))
    numbers = {k: np.concatenate([np.asarray(line[2][k]) for line in lines]) for k in lines[0][2]}
    caveats = ("a row that excites an output most need not be typical of it; rows marked as not representative lie outside the known ones",)
    return FoundRows(
        data=table, nearest=nearest, outputs=view.outputs, scale=view.scale, method=question.method,
        record=question.record(dict(options), caveats), **numbers,
    )  # fmt: skip


def _starts(answers: FloatArray, starts: int, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return known rows to begin with: half of them those answered highest, the others by chance."""
    best = np.argsort(-answers, kind="stable")[: max(1, starts // 2)]
    return np.concatenate([best, draw.integers(0, len(answers), starts - len(best))])


def _own_output(question: Question, output: torch.Tensor, answers: FloatArray) -> Function:
    """Return the function that answers each row with an output of its own, (R,), in units of that output's spread over known rows."""
    import torch

    scale = torch.as_tensor(np.maximum(answers.std(0, ddof=1) if len(answers) > 1 else np.ones(answers.shape[1]), 1e-12))

    def function(tokens: torch.Tensor) -> torch.Tensor:
        at = output.to(tokens.device)
        return question.view.from_tokens(tokens).gather(1, at[:, None])[:, 0] / scale.to(tokens)[at]

    return function


def ladder_of(question: Question, known: Table) -> tuple[Ladder, list[npt.NDArray[Any]], FloatArray]:
    """Return the candidate cells of all columns as tokens, the cells themselves, and the place (N, C) of each known cell on them."""
    import torch

    cells, places, ordered = [], [], []
    for name in question.view.columns:
        line, place, is_line = _candidates(known, name)
        cells.append(line)
        places.append(place)
        ordered.append(is_line)
    most = max(len(c) for c in cells)
    frame = {name: known.frame[name].iloc[np.zeros(most, int)].reset_index(drop=True) for name in known.frame.columns}
    wide = Table(pd.DataFrame(frame), known.schema, known.library).with_cells(
        {name: pd.Series(line[np.minimum(np.arange(most), len(line) - 1)]) for name, line in zip(question.view.columns, cells)}
    )
    tokens = question.view.tokens(wide).transpose(0, 1)
    return Ladder(tokens, torch.tensor([len(c) for c in cells]), torch.tensor(ordered)), cells, np.stack(places, 1)


def _candidates(known: Table, name: str) -> tuple[npt.NDArray[Any], FloatArray, bool]:
    """Return (cells, place of each known row's cell, whether they stand on a line)."""
    if known.schema[name].type is ColumnType.NUMBER:
        numbers = known.numbers(name)
        seen = numbers[np.isfinite(numbers)]
        distinct = np.unique(seen)
        if len(distinct) > FEW:
            low, high = np.quantile(seen, TAILS)
            line = np.linspace(low, high, RUNGS)
            at = np.clip((np.nan_to_num(numbers, nan=float(np.median(seen))) - low) / max(high - low, 1e-300), 0, 1) * (RUNGS - 1)
            return line, at, True
        if len(distinct):
            return (
                distinct,
                np.searchsorted(distinct, np.nan_to_num(numbers, nan=distinct[0])).clip(0, len(distinct) - 1).astype(float),
                False,
            )
    column = known.frame[name]
    codes, levels = pd.factorize(column, use_na_sentinel=True)
    if not len(levels):
        return column.to_numpy(object)[:1], np.zeros(len(column)), False
    most = np.argsort(-np.bincount(codes[codes >= 0]), kind="stable")[:RUNGS]
    place = np.zeros(len(levels), int)
    place[most] = np.arange(len(most))
    return np.asarray(levels, object)[most], place[np.maximum(codes, 0)].astype(float), False


def _some(table: Table, rows: int, seed: int) -> Table:
    if len(table) <= rows:
        return table
    return table.take(np.sort(stream(seed, "known rows").choice(len(table), rows, replace=False)))


def _rows(known: Table, cells: list[npt.NDArray[Any]], places: FloatArray) -> Table:
    """Return the rows that the places stand for; whole numbers stay whole where the column holds no others."""
    found: dict[str, Any] = {}
    for j, (name, line) in enumerate(zip(known.columns, cells)):
        if len(line) == RUNGS and line.dtype.kind == "f":
            value = np.interp(places[:, j], np.arange(RUNGS), line)
            seen = known.numbers(name)
            whole = bool(np.all(np.mod(seen[np.isfinite(seen)], 1) == 0))
            found[name] = pd.Series(np.round(value) if whole else value)
        else:
            found[name] = pd.Series(line[places[:, j].round().astype(int)])
    first = {name: known.frame[name].iloc[np.zeros(len(places), int)].reset_index(drop=True) for name in known.frame.columns}
    return Table(pd.DataFrame(first), known.schema, known.library).with_cells(found)


def _nearest(here: torch.Tensor, known: torch.Tensor, spread: torch.Tensor, own: bool = False) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return (place, distance) of the nearest known row, columns in units of their spread; ``own``: not the row itself."""
    import torch

    unit = torch.where(spread > 0, 1 / torch.where(spread > 0, spread, 1.0), 0.0)[:, None]
    apart = torch.cdist((here * unit).flatten(1).cpu().double(), (known * unit).flatten(1).cpu().double())
    if own:
        apart = apart.fill_diagonal_(torch.inf)
    found = apart.min(1)
    return found.indices.cpu().numpy(), found.values.cpu().numpy() / here.shape[1] ** 0.5


def _judged(
    question: Question, rows: Table, known: Table, tokens: torch.Tensor, spread: torch.Tensor, usual: FloatArray, answers: FloatArray,
    o: int, name: str,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Return the best rows found for one output, their nearest known rows, and their figures."""
    real = question.view.raw(rows)[:, o]
    _, first = np.unique(rows.frame.astype(str).agg("|".join, axis=1), return_index=True)  # one of equal rows
    order = first[np.argsort(-real[first], kind="stable")][: question.options["found"]]
    best = rows.take(order)
    place, distance = _nearest(question.view.tokens(best), tokens, spread)
    usual = usual[np.isfinite(usual)]
    percentile = 100 * np.searchsorted(np.sort(usual), distance, side="right") / max(len(usual), 1)
    figures = {
        "output": np.full(len(order), name, object), "activation": real[order], "nearest_activation": answers[place],
        "best_known": np.full(len(order), answers.max()), "percentile": percentile, "representative": percentile <= MOST_LIKE,
    }  # fmt: skip
    return best.frame.reset_index(drop=True), known.take(place).frame.reset_index(drop=True), figures
