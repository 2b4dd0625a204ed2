"""Registry lines of the regularizers: what holds a network in check while it learns."""

from __future__ import annotations

from pellucid.registry import Entry

_HOME = "pellucid.nn.regularizers"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "l1", "regularizer", f"{_HOME}.weights:L1", "Absolute weights cost; columns that do not matter fade.",
        cost="one pass over the matrix", source="Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x",
    ),
    Entry(
        "l2", "regularizer", f"{_HOME}.weights:L2", "Squared weights cost.",
        cost="one pass over the matrix", source="Hoerl, Kennard 1970, doi:10.1080/00401706.1970.10488634",
    ),
    Entry(
        "group", "regularizer", f"{_HOME}.weights:Group", "Whole columns cost, so columns that do not matter are switched off.",
        cost="one pass over the tokens", source="Yuan, Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x",
    ),
)  # fmt: skip
