"""Learn without the doubted labels: where they were wrong, a model fitted without them answers the other rows better."""

from __future__ import annotations

from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.effect import Ground, Remedy

__all__ = ["remedy"]

MOST = 0.4


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: the finding's rows are not learned from. All rows are judged, the doubted ones too, so that nothing flatters."""
    rows = ground.finding.rows
    if not len(rows):
        raise NotTestable("the finding names no rows")
    if len(rows) > MOST * len(ground.table):
        raise NotTestable(f"{len(rows):,} of {len(ground.table):,} rows are doubted, too many to learn without them")
    words = f"learning without the {len(rows):,} doubted rows"
    return Remedy(
        words, "they taught the model wrong; look at them", "no gain is shown; they may be right, or too few to matter", True, without=rows
    )
