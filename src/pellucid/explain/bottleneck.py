"""Information bottleneck: how many bits of each cell the network needs to give its answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients.ascent import Cloud, bits
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Explanation

__all__ = ["explain"]

ROWS = 64


def explain(question: Question) -> Explanation:
    """Return the bits of each column's token that must come through so that the answer stays (N, P, O).

    Schulz, Sixt, Tombari, Landgraf 2020, arXiv:2001.00396. All else of the token is noise with the kept rows' mean and covariance. Of the
    weights ``beta`` (options, rising) the largest is taken, row by row, under which the answer moves by no more than ``moves`` of the
    spread of the answers. Options: ``beta``, ``moves``, ``samples`` (copies with noise), ``steps``.
    Cost: steps * samples * O * len(beta) forward and backward passes per row.
    """
    view, options = question.view, question.options
    betas = sorted(float(b) for b in np.atleast_1d(options["beta"]))
    if not betas or betas[0] <= 0 or options["samples"] < 1 or options["steps"] < 1:
        raise RequestError("the bottleneck cannot be made", expected="positive beta, samples and steps", got=repr(dict(options)))
    tokens, kept = view.tokens(question.table), view.tokens(question.kept)
    draws = [stream(question.seed, "bottleneck", c).standard_normal((options["samples"], tokens.shape[2])) for c in view.columns]
    noise = torch.as_tensor(np.stack(draws, 1)).to(tokens)
    cloud = Cloud.of(kept)
    with torch.inference_mode():
        answers, usual = (to_numpy(view.from_tokens(t)) for t in (tokens, kept))
    values, unmet = np.zeros((len(tokens), tokens.shape[1], answers.shape[1])), 0
    for o in range(answers.shape[1]):
        scale = max(float(usual[:, o].std()), 1e-9)
        for first in range(0, len(tokens), ROWS):
            part = slice(first, first + ROWS)
            found = [
                bits(lambda t, o=o: view.from_tokens(t)[:, o], tokens[part], cloud, noise, b, scale, options["steps"])  # type: ignore[misc]
                for b in betas
            ]
            values[part, :, o], missed = _largest(found, options["moves"] * scale)
            unmet += missed
    caveats = ["values are bits and have no sign; columns that say the same share what is needed in a way that is not unique"]
    if unmet:
        caveats.append(f"in {unmet} cases the answer moves by more than {options['moves']} of its spread even with the least weight beta")
    by_player = question.players.sum_over_columns(values.transpose(0, 2, 1)).transpose(0, 2, 1)
    made = question.answer(by_player, usual.mean(0), answers, complete=False, settings=dict(options), caveats=caveats, says="sizes")
    return dataclasses.replace(made, scale="bits")


def _largest(found: list[tuple[torch.Tensor, torch.Tensor]], most: float) -> tuple[FloatArray, int]:
    """Return the bits (n, C) under the largest weight that keeps the answer, and in how many rows none does."""
    values, moved = (to_numpy(torch.stack([f[k] for f in found])) for k in range(2))
    kept = moved <= most
    chosen = np.where(kept.any(0), len(found) - 1 - np.argmax(kept[::-1], axis=0), 0)
    return values[chosen, np.arange(values.shape[1])], int((~kept.any(0)).sum())
