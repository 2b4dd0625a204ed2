"""A promise for rows from elsewhere: the user states how often each group is met there. Letters: N rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pellucid.errors import ArgumentError
from pellucid.export import level_text

__all__ = ["stated_shift"]


def stated_shift(groups: str | None, shift: Mapping[str, Mapping[Any, float]] | None) -> tuple[str | None, dict[str, float] | None]:
    """Return (grouping, share of each of its groups), from ``shift={"sex": {"F": 0.7, "M": 0.3}}``; the shares need not add up to 1.

    The scores of the held-out rows are weighted by stated share / held-out share of their group, each new row by its own (Tibshirani,
    Barber, Candes and Ramdas 2019, arXiv:1904.06019). The promise then holds for the stated mixture, as long as rows within a group are
    those of before; with fewer than 50 effective rows the answer is refused. Cost: a sum over the held-out rows.

    Examples
    --------
    >>> stated_shift(None, {"sex": {"F": 0.7, "M": 0.3}})
    ('sex', {'F': 0.7, 'M': 0.3})
    """
    if shift is None:
        return groups, None
    if not isinstance(shift, Mapping) or len(shift) != 1 or not all(isinstance(v, Mapping) and v for v in shift.values()):
        raise ArgumentError(
            "shift cannot be used",
            expected="one column with the share of each group, such as {'sex': {'F': 0.7, 'M': 0.3}}",
            got=repr(shift),
        )
    if groups is not None:
        raise ArgumentError("groups and shift cannot be asked at once", do="ask coverage in each group, or coverage of the stated mixture")
    name, shares = next(iter(shift.items()))
    try:
        return str(name), {level_text(k): float(v) for k, v in shares.items()}
    except (TypeError, ValueError) as error:
        raise ArgumentError("the shares of a shift must be numbers", got=repr(shares)) from error
