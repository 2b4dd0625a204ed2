"""Gradients of noisy copies of a row: their mean, their mean square, their variance.

One noisy gradient depends on the kink it happens to stand beside; many together do not. The noise of a column is 0.15 of its token's
spread over the kept rows, and the same for all rows asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.intervals import widening
from pellucid.nn.gradients import token_gradients
from pellucid.random import stream
from pellucid.results import Explanation

if TYPE_CHECKING:
    import torch

__all__ = ["explain_smoothgrad", "explain_squared", "explain_vargrad", "noisy_gradients"]

BATCH = 1024


def explain_smoothgrad(question: Question) -> Explanation:
    """Return ||mean of G_j|| s_j (N, P, O) over noisy copies, with standard errors.

    Smilkov, Thorat, Kim, Viegas, Wattenberg 2017, arXiv:1706.03825. Options: ``samples`` T, ``noise`` in spreads of the column's token.
    Cost: T forward and T O backward passes per row.
    """
    return _explain(question, "mean")


def explain_squared(question: Question) -> Explanation:
    """Return the root of the mean of ||G_j||^2 s_j^2 (N, P, O) over noisy copies, with standard errors.

    Hooker, Erhan, Kindermans, Kim 2019, arXiv:1806.10758, where the squares beat single gradients and a random order.
    # NOTE[DIFF] The root, so that values are in units of the answer; the order of the columns is that of the squares.
    """
    return _explain(question, "square")


def explain_vargrad(question: Question) -> Explanation:
    """Return the root of the variance of G_j over noisy copies, times s_j (N, P, O), with standard errors.

    Adebayo, Gilmer, Goodfellow, Kim 2018, arXiv:1810.03307. It is large where the slope changes near the row.
    # NOTE[DIFF] The root, as for the mean square.
    """
    return _explain(question, "variance")


def noisy_gradients(
    gradient: torch.Tensor,
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return by name the ``mean`` (..., C, D), ``square`` and ``variance`` of gradients (T, ..., C, D), and each one's reading.

    The second are, per column, the norm of the mean and the roots of the summed squares and variances, each as (value, standard error)
    stacked on axis 0: (2, ..., C).
    """
    import torch

    mean, square, variance = gradient.mean(0), gradient.square().mean(0), gradient.var(0, correction=0)
    count = len(gradient)
    tiny = torch.finfo(gradient.dtype).tiny

    def error(of: torch.Tensor, share: float = 0.5) -> torch.Tensor:
        if count < 2:
            return torch.zeros_like(of[0])
        wide = float(widening(np.array(max(1.0, share * (count - 1))))) ** 0.5
        off = (of - of.mean(0)).square()
        # few copies cross a kink, and it is those that move the mean: the farthest counts twice, as if one more had crossed
        found: torch.Tensor = wide * ((off.sum(0) + off.amax(0)) / (count - 1) / count).sqrt()
        return found

    along = mean.norm(dim=-1)
    # the error of a norm is that of the projection on its direction; of a root that of the square over twice the root
    readings = {"mean": torch.stack([along, error((gradient * mean).sum(-1)) / along.clamp(min=tiny)])}
    for name, squares in (("square", gradient.square()), ("variance", (gradient - mean).square())):
        summed = squares.sum(-1)
        root = summed.mean(0).sqrt()
        # squared distances from a mean have the heavier tail: a quarter of the degrees of freedom counts, of others half
        readings[name] = torch.stack([root, error(summed, 0.25 if name == "variance" else 0.5) / (2 * root).clamp(min=tiny)])
    return {"mean": mean, "square": square, "variance": variance}, readings


def _explain(question: Question, reading: str) -> Explanation:
    import torch

    view, samples, noise = question.view, question.options["samples"], question.options["noise"]
    if not isinstance(samples, int) or samples < 2 or not noise >= 0:
        raise RequestError("the noise cannot be made", expected="samples of at least 2 and noise of at least 0", got=f"{samples}, {noise}")
    tokens, kept = view.tokens(question.table), view.tokens(question.kept)
    spread = (kept - kept.mean(0)).square().sum(-1).mean(0).sqrt()
    # draws by the column's name: the order of the columns decides nothing
    draws = [stream(question.seed, "noise", c).standard_normal((samples, tokens.shape[2])) for c in view.columns]
    scale = noise * spread / tokens.shape[2] ** 0.5  # a step of the whole token, so less for each of its entries
    shift = torch.as_tensor(np.stack(draws, 1)).to(tokens) * scale[:, None]
    found = []
    for part in tokens.split(max(1, BATCH // samples)):
        _, gradient = token_gradients(view.from_tokens, (part + shift[:, None]).flatten(0, 1), BATCH)
        found.append(noisy_gradients(gradient.unflatten(0, (samples, len(part))))[1][reading])
    values, error = to_numpy(torch.cat(found, 1) * spread)
    with torch.inference_mode():
        answers, base = to_numpy(view.from_tokens(tokens)), to_numpy(view.from_tokens(kept)).mean(0)
    squared, doubt = (question.players.sum_over_columns(np.square(a)).transpose(0, 2, 1) for a in (values, values * error))
    root = np.sqrt(squared)
    caveat = "values have no sign: they say how strongly the answer reacts near the row, noise of its neighbourhood averaged"
    return question.answer(
        root, base, answers, error=np.sqrt(doubt) / np.maximum(root, 1e-300), complete=False, caveats=(caveat,), says="sizes",
    )  # fmt: skip
