"""Masks: which columns a network opened in each of its steps, row by row."""

from __future__ import annotations

import dataclasses

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain.question import Question
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

__all__ = ["UNTESTED", "explain"]

UNTESTED = "masks say which columns the network opened, not what moves its answer: believe them no further than their trials go"


def explain(question: Question) -> Explanation:
    """Return the share of each column in the network's masks (N, P, O), the same for every output; rows sum to 1.

    TabNet (Arik, Pfister 2021, arXiv:1908.07442): the masks weighed by the size of their steps' decisions; ``step=`` (option) shows one
    step's mask. ARM-Net: the gates of its products, averaged or one of them. Of LEURN ``step`` shows the findings of one layer in the
    answer's unit, signed and by output. Cost: one forward pass per row.
    """
    parts, answers = question.view.named_parts(question.table), question.view.raw(question.table)
    step, name = question.options["step"], next((k for k in ("masks", "gates", "rules") if k in parts), None)
    if name is None:
        raise RequestError("this network shows no masks", do="use a backbone that does, such as 'tabnet', 'armnet' or 'leurn'")
    caveats, scale, says = [UNTESTED], "share of masks", "sizes"
    if name == "rules":
        rules = parts["rules"].transpose(0, 2, 1, 3)  # (N, L, C, O)
        values, scale, says = question.view.linear(_one(rules, 0 if step is None else step)), question.view.scale, "moves"
        caveats = ["these are the findings of one layer; method='native' gives the sum of all"]
    else:
        shares = (
            parts["importance"]
            if step is None and "importance" in parts
            else parts[name].mean(1)
            if step is None
            else _one(parts[name], step)
        )
        values = np.repeat(shares[:, :, None], answers.shape[1], 2)
    by_player = question.players.sum_over_columns(values.transpose(0, 2, 1)).transpose(0, 2, 1)
    base = np.zeros(answers.shape[1])
    made = question.answer(by_player, base, answers, complete=False, settings=dict(question.options), caveats=caveats, says=says)
    return dataclasses.replace(made, scale=scale)


def _one(steps: FloatArray, step: object) -> FloatArray:
    if not isinstance(step, int) or not 0 <= step < steps.shape[1]:
        raise RequestError(f"there is no step {step!r}", expected=f"0 to {steps.shape[1] - 1}")
    return steps[:, step]
