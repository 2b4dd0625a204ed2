"""Expected gradients: integrated gradients from every background row at once, by draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain.question import Question
from pellucid.nn.gradients import token_gradients
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation

__all__ = ["draws", "explain"]

BATCH = 1024


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
        each = (gradient.unflatten(0, (len(part), samples)) * change[:, :, None]).sum(-1).double().cpu().numpy()  # (n, T, O, C)
        by_player = question.players.sum_over_columns(each)
        values.append(by_player.mean(1))
        errors.append(_error(by_player, rows, len(kept)))
    with torch.inference_mode():
        answers, base = view.from_tokens(tokens).double().cpu().numpy(), view.from_tokens(kept).double().cpu().numpy().mean(0)
    value, error = (np.concatenate(a).transpose(0, 2, 1) for a in (values, errors))
    words = f"contributions are against the mean answer of {len(kept)} rows and add up to it within their sampling error"
    return question.answer(value, base, answers, error=error, settings={"samples": samples}, caveats=(words,))


def _error(each: FloatArray, rows: npt.NDArray[np.int64], n_rows: int) -> FloatArray:
    """Return the standard error (n, O, P) of the mean of samples (n, T, O, P).

    Neighbours in the order of the strata differ by chance alone, so their differences measure the error that strata leave. Where every row
    was drawn twice at the least, which row is drawn adds no error either: the neighbours are those of one row.
    """
    samples = len(rows)
    if samples >= 2 * n_rows:
        order = np.argsort(rows, kind="stable")
        pairs = np.diff(each[:, order], axis=1)[:, np.diff(rows[order]) == 0]
    else:
        pairs = np.diff(each, axis=1)
    return np.asarray(np.sqrt(np.square(pairs).mean(1) / 2 / samples))


def draws(n_rows: int, samples: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return (rows (T,), places (T,)): rows without repetition until all were drawn, one place in each of T equal strata of [0, 1]."""
    draw = stream(seed, "expected gradients")
    rounds = -(-samples // n_rows)
    rows = np.concatenate([draw.permutation(n_rows) for _ in range(rounds)])[:samples]
    return rows, (np.arange(samples) + draw.random(samples)) / samples
