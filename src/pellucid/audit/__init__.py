"""Can the data be trusted? One file a kind of fault; each finding says what, where, how much, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.registry import callable_package

if TYPE_CHECKING:
    from pellucid.results import Finding

__all__ = ["audit"]


def audit(
    table: Any, *, predictor: Any = None, plan: Any = None, target: str | None = None, refit: Any = None, seed: int = 0
) -> list[Finding]:
    """Look a table over for what would make a model, or a judgement of it, wrong. Nothing is changed.

    Every registered audit runs; those without what they need (a target, a plan, a model) are left out. An audit that tests hypotheses
    speaks up on a faultless table with a chance of about 1 %.

    Parameters
    ----------
    table : Table, frame, or path of a CSV or Parquet file.
    predictor : a fitted model: then rows unlike its training rows are found, groups it errs on, and shortcuts it takes.
    plan : a split plan: then copies across its parts are found.
    target : name of the target column; overrides the table's own.
    refit : True, or a :class:`~pellucid.protocols.Refit` of a network over the rows of the table: then it is trained twice more, and the
        rows that are hard to learn are named (True: the predictor's own).
    seed : of the draws (samples, folds, permutations).

    Returns
    -------
    Findings, gravest first.

    Notes
    -----
    Cost: one pass over the columns, and a few small boosted trees on at most 50,000 rows.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [31, 45, 27, 58, 39, 44] * 20, "gender": ["F", "M"] * 58 + ["FA", "M", "F", "M"]})
    >>> [f.columns for f in audit(frame) if f.kind == "values: rare spelling"]
    [('gender',)]
    """
    from pellucid import registry
    from pellucid.audit.same_cells import once
    from pellucid.audit.view import View
    from pellucid.results import SEVERITIES
    from pellucid.table import Table

    if not isinstance(table, Table):
        from pellucid.table import read_table

        table = read_table(table, target=target)
    elif target is not None:
        table = table.with_roles(target=target)
    if refit is True:
        refit = predictor.refitter() if hasattr(predictor, "refitter") else None
    view = View(table, plan, predictor, seed, refit or None)
    found = [finding for entry in registry.entries("audit") for finding in registry.resolve(entry)(view)]
    return sorted(once(found), key=lambda f: -SEVERITIES.index(f.severity))


callable_package(__name__, "pellucid.audit:audit")
