"""Expected gradients: integrated gradients from every background row at once, by draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients import token_gradients
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation

__all__ = ["draws", "explain"]

BATCH = 1024
LEAST_PAIRS = 8
"""Rows met twice from which the error within rows is told."""


def explain(question: Question) -> Explanation:
    """Return E[(token - token of b) . gradient at a place between them] (N, P, O), b from the kept rows, with standard errors.

    Erion, Janizek, Sturmfels, Lundberg, Lee 2021, doi:10.1038/s42256-021-00343-w. The expectation adds up to f(x) less the mean answer
    over the kept rows; the sample does so up to its error, which ``gap`` shows. It equals Shapley values where at most two columns act
    together along each line, not in general. Options: ``samples`` T. Cost: T forward and T O backward passes per row.
    """
    import torch

    view, samples = question.view, question.options["samples"]
    if not isinstance(samples, int) or samples < 4:
        raise RequestError("the samples cannot be drawn", expected="samples of at least 4", got=repr(samples))
    tokens, kept = view.tokens(question.table), view.tokens(question.kept)
    rows, places = draws(len(kept), samples, question.seed)
    place = torch.as_tensor(places).to(tokens)[:, None, None]
    values, errors = [], []
    for part in tokens.split(max(1, BATCH // samples)):
        change = part[:, None] - kept[rows]  # (n, T, C, D)
        _, gradient = token_gradients(view.from_tokens, (kept[rows] + place * change).flatten(0, 1), BATCH)
        each = to_numpy((gradient.unflatten(0, (len(part), samples)) * change[:, :, None]).sum(-1))  # (n, T, O, C)
        by_player = question.players.sum_over_columns(each)
        values.append(by_player.mean(1))
        errors.append(_error(by_player, rows, len(kept)))
    with torch.inference_mode():
        answers, base = to_numpy(view.from_tokens(tokens)), to_numpy(view.from_tokens(kept)).mean(0)
    value, error = (np.concatenate(a).transpose(0, 2, 1) for a in (values, errors))
    words = f"contributions are against the mean answer of {len(kept)} rows and add up to it within their sampling error"
    return question.answer(value, base, answers, error=error, settings={"samples": samples}, caveats=(words,))


def _error(each: FloatArray, rows: npt.NDArray[np.int64], n_rows: int) -> FloatArray:
    """Return the standard error (n, O, P) of the mean of samples (n, T, O, P).

    Neighbours in the order of the strata differ by chance alone, so their differences measure the error that strata leave. Rows are drawn
    without repetition until all were drawn, so which row is drawn adds no error over full rounds: the neighbours are then those of one row,
    and what rows differ by counts for the last round only, as a sample of a finite number.
    """
    samples = len(rows)
    total = np.square(np.diff(each, axis=1)).mean(1) / 2
    order = np.argsort(rows, kind="stable")
    same = np.diff(rows[order]) == 0
    if same.sum() < LEAST_PAIRS:
        return np.asarray(np.sqrt(total / samples))
    # draws of one row lie in strata far apart: what places differ by is in it, and the neighbours' differences bound it from their side
    within = np.minimum(np.square(np.diff(each[:, order], axis=1)[:, same]).mean(1) / 2, total)
    rest = samples % n_rows
    between = (total - within) * rest * (1 - rest / n_rows) / samples
    return np.asarray(np.sqrt((within + between) / samples))


def draws(n_rows: int, samples: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return (rows (T,), places (T,)): rows without repetition until all were drawn, one place in each of T equal strata of [0, 1]."""
    draw = stream(seed, "expected gradients")
    rounds = -(-samples // n_rows)
    rows = np.concatenate([draw.permutation(n_rows) for _ in range(rounds)])[:samples]
    return rows, (np.arange(samples) + draw.random(samples)) / samples
