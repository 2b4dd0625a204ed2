"""Slopes of the output: in the tokens of every column, and in the original units of numbers.

A token has no unit a person knows, so three readings are offered, each by a name of its own:

* ``gradient``: how strongly the answer reacts when a cell moves by its column's usual spread (no sign; every type of column);
* ``gradient_x_input``: slope times distance from the reference row (signed; every type of column);
* ``slope``: change of the answer per unit of a number, as the user wrote it (signed; numbers only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients import token_gradients
from pellucid.probe.hashing import cell_hashes
from pellucid.probe.masker import Players, typical_row
from pellucid.protocols import FloatArray
from pellucid.results import Explanation
from pellucid.table import ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["explain", "explain_slope", "explain_times_input", "reference_tokens", "slopes"]

STEPS = (1e-3, 1e-4, 1e-5)
"""Half widths of the central difference of a column's token, as shares of the column's standard deviation, the usual one first."""
EVEN = 2e-3
"""How far the two halves of a difference may be apart, as a share of their sizes: more, and the token bends between its ends."""


def explain(question: Question) -> Explanation:
    """Return ||G_j|| s_j (N, P, O): the norm of the output's gradient in column j's token times the token's spread over the kept rows.

    Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034. Cost: one forward and O backward passes per row.
    """
    view = question.view
    tokens = view.tokens(question.table)
    values, gradient = token_gradients(view.from_tokens, tokens)
    kept = view.tokens(question.kept)
    spread = (kept - kept.mean(0)).square().sum(-1).mean(0).sqrt()
    reaction = to_numpy(gradient.square().sum(-1).sqrt() * spread).transpose(0, 2, 1)
    base = to_numpy(view.from_tokens(kept)).mean(0)
    squared = question.players.sum_over_columns(np.square(reaction).transpose(0, 2, 1))
    caveat = "values have no sign: they say how strongly the answer reacts to a usual change of the cell"
    return question.answer(np.sqrt(squared).transpose(0, 2, 1), base, to_numpy(values), complete=False, caveats=(caveat,), says="sizes")


def explain_times_input(question: Question) -> Explanation:
    """Return G_j . (token - reference token) (N, P, O). Cost: one forward and O backward passes per row.

    Shrikumar et al. 2016, arXiv:1605.01713. Adds up to f(x) - f(reference) only where the network is linear in between.
    """
    view = question.view
    tokens = view.tokens(question.table)
    reference, words = reference_tokens(question, tokens)
    values, gradient = token_gradients(view.from_tokens, tokens)
    product = to_numpy((gradient * (tokens - reference)[:, None]).sum(-1))
    base = to_numpy(view.from_tokens(reference[:1]))
    return question.answer(by_player(question.players, product), base, to_numpy(values), complete=False, caveats=(words,))


def explain_slope(question: Question) -> Explanation:
    """Return d output / d cell (N, P, O) of the number columns, per unit of the column as the user wrote it."""
    names, values, slope = slopes(question)
    if len(question.players) != len(question.view.columns):
        raise RequestError("slopes of a group of columns are not defined", do="leave groups out")
    values = np.asarray(values)
    record = question.record(caveats=("columns without a unit (categories, dates, text) have no slope and are left out",))
    one = values.shape[1] == 1
    return Explanation(
        values=slope[..., 0] if one else slope, base_values=values[:, 0] if one else values, columns=names, outputs=question.view.outputs,
        data=question.table.frame, scale=f"{question.view.scale} per unit", method=question.method, record=record,
        predictions=values[:, 0] if one else values, n_calls=record.n_calls, says="slopes",
    )  # fmt: skip


def slopes(question: Question) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Return (names of the number columns, outputs (N, O), slopes (N, Pn, O)) in original units.

    The network is differentiated exactly down to the tokens; a column's token is differentiated by a central difference of the
    encoding, for all columns at once, because tokens of different columns do not mix. The encoding bends at the borders of its bins, which
    lie as close as the cells do: where a difference spans a border a shorter one is taken. A missing cell has slope 0.
    """
    view, table = question.view, question.table
    names = tuple(c for c in view.columns if table.schema[c].type is ColumnType.NUMBER)
    if not names:
        raise RequestError("no column has a slope", expected="at least one number column", do="use method='gradient'")
    values, gradient = token_gradients(view.from_tokens, view.tokens(table))
    place = [view.columns.index(c) for c in names]
    cells = np.column_stack([table.numbers(c) for c in names])
    kept = [question.kept.numbers(c) for c in names]
    spread = np.array([np.nanstd(k) if np.isfinite(k).any() and np.nanstd(k) > 0 else 1.0 for k in kept])
    moved = _token_slopes(lambda c: view.tokens(_shifted(table, names, c))[:, place], cells, spread)
    slope = np.einsum("nocd,ncd->nco", to_numpy(gradient[:, :, place]), moved)
    return names, to_numpy(values), np.nan_to_num(slope)


def _token_slopes(tokens: Callable[[FloatArray], torch.Tensor], cells: FloatArray, spread: FloatArray) -> FloatArray:
    """Return d token / d cell (N, Pn, D) of cells (N, Pn), by the longest step whose halves agree, or by that where they differ least."""
    middle = to_numpy(tokens(cells))
    best, slope = np.full(cells.shape, np.inf), np.zeros(middle.shape)
    for share in STEPS:
        step = share * spread
        low, high = (to_numpy(tokens(cells + sign * step)) for sign in (-1, 1))
        first, second = middle - low, high - middle
        size = np.linalg.norm(first, axis=-1) + np.linalg.norm(second, axis=-1)
        apart = np.divide(np.linalg.norm(second - first, axis=-1), size, out=np.zeros_like(size), where=size > 0)
        # the encoding rounds to 32 bits: the step it took is not the step it was asked for
        taken = (cells + step) - (cells - step)
        better = (best > EVEN) & (apart < best)
        slope[better], best[better] = ((high - low) / taken[:, :, None])[better], apart[better]
    return slope


def _shifted(table: Table, names: tuple[str, ...], cells: FloatArray) -> Table:
    moved = pd.DataFrame(cells, columns=list(names), index=table.frame.index)
    return table.with_cells({c: moved[c] for c in names})


def reference_tokens(question: Question, tokens: torch.Tensor) -> tuple[torch.Tensor, str]:
    """Return the reference row's tokens for every row (N, C, D), and the words that name it.

    Where a cell equals the reference's, its token is the row's own, so that the column's contribution is exactly 0.
    """
    import torch

    given = len(question.kept) == 1
    row = question.kept if given else typical_row(question.kept)
    columns = tuple(question.view.columns)
    same = cell_hashes(question.table, columns, canonical=True) == cell_hashes(row, columns, canonical=True)
    reference = torch.where(torch.as_tensor(same, device=tokens.device)[:, :, None], tokens, question.view.tokens(row))
    words = "the reference is the row that was given" if given else "the reference is one typical row: median numbers, most frequent levels"
    return reference, f"{words}; columns equal to it get 0"


def by_player(players: Players, values: FloatArray) -> FloatArray:
    """Return (N, P, O) sums over each player's columns of (N, O, C)."""
    return np.asarray(players.sum_over_columns(values).transpose(0, 2, 1))
