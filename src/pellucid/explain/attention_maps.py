"""The attention of a network as it is: which token looks at which, in every layer and head."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.results import AttentionMaps

__all__ = ["ANSWER", "explain"]

ANSWER = "(answer)"
UNTESTED = (
    "attention shows where the network looks, not what moves its answer; let pellucid.trial judge it: explain with method='attention' "
    "and try that"
)


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
    return AttentionMaps(
        values=maps,
        tokens=(*([ANSWER] if lead else []), *columns),
        scale="share of attention",
        method=question.method,
        record=question.record({"rows_used": n}, (UNTESTED,)),
        index=np.asarray(table.frame.index),
    )
