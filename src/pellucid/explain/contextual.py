"""Contextual decomposition: every activation split into what a set of columns brings and the rest, all the way to the answer."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients.parting import parts_of_sets
from pellucid.protocols import FloatArray
from pellucid.results import Explanation, Interactions

__all__ = ["explain", "explain_pairs"]

MOST_SETS = 1000


def explain(question: Question) -> Explanation:
    """Return the part of the answer that each column brings (N, P, O).

    Murdoch, Liu, Yu 2018, arXiv:1801.05453; for transformers Hsu and others 2025, arXiv:2407.00886. The base is what all columns
    together do not bring, the part of the biases; parts of single columns need not add up to the rest, for what columns do together
    belongs to pairs and larger sets. Options: ``attention="kept"`` (weights stay those of the row) or ``"shared"``.
    Cost: about 5 (P + 1) forward passes per row.
    """
    players = len(question.players)
    singles = [(p,) for p in range(players)]
    parts, answers = _parts(question, [*singles, tuple(range(players))])
    base = answers - parts[:, -1]
    words = "the part of a column is what it brings besides all others' parts; what columns do together is shared by halves along the way"
    return question.answer(parts[:, :-1], base, answers, complete=False, settings=dict(question.options), caveats=(words,))


def explain_pairs(question: Question) -> Interactions:
    """Return for every pair what the two columns bring together beyond what each brings (N, P (P - 1) / 2, O).

    Singh, Murdoch, Yu 2019, arXiv:1806.05337. Options as for :func:`explain`. Cost: about 5 (P + 1) P / 2 forward passes per row.
    """
    players = len(question.players)
    if players < 2:
        raise RequestError("there are no pairs of one column", expected="at least two columns or groups")
    if players * (players + 1) // 2 > MOST_SETS:
        raise RequestError(
            "there are too many pairs of columns", expected=f"at most {MOST_SETS} sets", do="put columns together with groups="
        )
    pairs = list(combinations(range(players), 2))
    parts, answers = _parts(question, [*((p,) for p in range(players)), *pairs])
    alone, together = parts[:, :players], parts[:, players:]
    left, right = (np.array([pair[k] for pair in pairs]) for k in range(2))
    names = question.players.names
    return Interactions(
        sets=tuple((names[i], names[j]) for i, j in pairs), by_set=together - alone[:, left] - alone[:, right], columns=names,
        outputs=question.view.outputs, scale=question.view.scale, index="contextual decomposition", method=question.method,
        record=question.record(dict(question.options)), predictions=answers, data=question.table.frame,
    )  # fmt: skip


def _parts(question: Question, sets: list[tuple[int, ...]]) -> tuple[FloatArray, FloatArray]:
    """Return (parts (N, S, O), answers (N, O)) of sets of players."""
    view = question.view
    inside: npt.NDArray[np.bool_] = np.stack([np.isin(question.players.of_column, s) for s in sets])
    found, answers = parts_of_sets(
        view.from_tokens, view.tokens(question.table), torch.as_tensor(inside), question.options["attention"]
    )  # fmt: skip
    return to_numpy(found), to_numpy(answers)
