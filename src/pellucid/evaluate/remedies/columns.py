"""Leave columns out: a column that knew the answer takes the score with it, one that says nothing does not."""

from __future__ import annotations

from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.effect import Ground, Remedy

__all__ = ["remedy"]


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: learn from all but the finding's columns. A leak is proven where the score falls."""
    kind = ground.finding.kind
    gone = [n for n in ground.finding.columns if n in ground.features]
    if kind == "leakage: row order":
        from pellucid.evaluate.remedies.splits import remedy as by_blocks

        return by_blocks(ground)
    if kind == "proxies":
        gone = gone[:1] if not gone[1:] else gone  # the sensitive column and what stands for it
    if kind.startswith("constants") and len(gone) > 1:  # of doubled columns the first stays
        groups = ground.finding.figures.get("groups", [gone])
        gone = [n for group in groups for n in [n for n in group if n in gone][1:]]
    kept = tuple(n for n in ground.features if n not in gone)
    if not gone:
        raise NotTestable("the finding names no column that a model reads")
    if not kept:
        raise NotTestable("no other column is left to learn from")
    named = ", ".join(f"'{n}'" for n in gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    found, none = {
        "leakage": (
            "it knew much of the answer; find out whether it was known in time",
            "no fall is shown, so that the other columns know as much",
        ),
        "proxies": ("what they say of the target is lost with them", "nothing is shown to be lost"),
    }.get(kind.partition(":")[0], ("something is lost", "nothing is shown to be lost, it can go"))
    return Remedy(f"leaving out {named}", found, none, False, columns=kept)
