"""The attention of a network as it is: which token looks at which, in every layer and head."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.results import AttentionMaps
from pellucid.results.inside import ANSWER

__all__ = ["ANSWER", "explain"]

UNTESTED = (
    "attention shows where the network looks, not what moves its answer: believe it no further than the trials of a map go, in which "
    "the model is trained again"
)
EVEN = "every token looks at all tokens almost alike in every layer, head and row: the order in such a map says next to nothing"
NEARLY_EVEN = 0.05
"""Range of the shares of a line below which it is even, as a part of an even share."""


def explain(question: Question) -> AttentionMaps:
    """Return the attention maps of at most ``rows`` rows, (N, L, heads, T, T).

    A line of a map adds up to 1: the shares of its attention that a token gives to each. Gorishniy, Rubachev, Khrulkov, Babenko 2021,
    arXiv:2106.11959. Cost: one forward pass per row.
    """
    asked.no_groups(question)
    n = asked.affordable(question, min(asked.whole(question, "rows", 1, 10**6), len(question.table)), 1, 0)
    table = question.table.take(asked.sample(question, n))
    shown = question.view.named_parts(table)
    if "attention" not in shown:
        raise RequestError("this network shows no attention", do="use a backbone that attends, such as 'ft_transformer' or 'autoint'")
    maps, columns = np.asarray(shown["attention"], float), question.view.columns
    lead = maps.shape[-1] - len(columns)
    if lead not in (0, 1):
        raise RequestError("the tokens of this network cannot be named", expected=f"{len(columns)} columns", got=f"{maps.shape[-1]} tokens")
    caveats = (UNTESTED, *([EVEN] if float(np.ptp(maps, -1).max()) * maps.shape[-1] < NEARLY_EVEN else []))
    return AttentionMaps(
        values=maps,
        tokens=(*([ANSWER] if lead else []), *columns),
        scale="share of attention",
        method=question.method,
        record=question.record({"rows_used": n}, caveats),
        index=np.asarray(table.frame.index),
    )
