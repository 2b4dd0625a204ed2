"""Common checks of encoders, run on a whole :class:`pellucid.encode.table_encoder.TableEncoder` over a table of every column type.

A subject is a maker of fitted encoders: ``make(table, target) -> encoder`` with ``transform``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.registry import Entry
from pellucid.table import Table, read_table
from pellucid.testing.checks import Check
from pellucid.testing.mixed import FEATURES, mixed

__all__ = ["CHECKS", "subject", "table_encoder"]

Make = Callable[[Table, Any], Any]
PARTS = ("numbers", "missing", "codes", "vectors")


def table_encoder(table: Table, target: Any) -> Any:
    """Return the package's encoder, fitted."""
    from pellucid.encode.table_encoder import TableEncoder

    return TableEncoder().fit(table, np.asarray(target, float)[:, None], task="regression")


def subject(entry: Entry) -> Make:
    """Return the maker: column encoders are checked inside the table encoder that uses them."""
    return table_encoder


def _tables() -> tuple[Table, Table, Any]:
    frame = mixed(300, 0)
    table = read_table(frame[FEATURES])
    return table.take(slice(0, 200)), table.take(slice(200, 300)), frame["y"].to_numpy()[:200]


def check_rows_are_encoded_alone(make: Make) -> None:
    """A row is encoded the same in any company and any order."""
    train, new, y = _tables()
    encoder = make(train, y)
    order = np.random.default_rng(0).permutation(len(new))
    whole, turned, first = encoder.transform(new), encoder.transform(new.take(order)), encoder.transform(new.take(slice(0, 1)))
    for name in PARTS:
        assert np.array_equal(getattr(whole, name)[order], getattr(turned, name)), f"the {name} of a row change with the order of the rows"
        assert np.array_equal(getattr(whole, name)[:1], getattr(first, name)), f"the {name} of a row change with the rows beside it"


def check_columns_do_not_leak_into_each_other(make: Make) -> None:
    """Other cells in one column change the slots of that column alone."""
    train, new, y = _tables()
    encoder = make(train, y)
    before = encoder.transform(new)
    for column in ("age", "city"):
        after = encoder.transform(new.with_cells({column: np.resize(new.frame[column].to_numpy()[:7], len(new))}))
        own = {kind: [s.position for s in before.slots.of(column) if s.kind == kind] for kind in ("number", "code", "vector")}
        for name, kind in (("numbers", "number"), ("missing", "number"), ("codes", "code"), ("vectors", "vector")):
            a, b = (np.delete(getattr(e, name), own[kind], axis=1) for e in (before, after))
            assert np.array_equal(a, b), f"other cells in {column!r} changed the {name} of other columns"


def check_what_is_missing_or_unseen_is_told(make: Make) -> None:
    """Missing cells, levels not in training and numbers out of range are counted, and encoded as finite values."""
    train, new, y = _tables()
    encoder = make(train, y)
    cells = new.with_cells({"city": np.array(["Delft"] * len(new), object), "age": np.full(len(new), 500.0)})
    coded = encoder.transform(cells)
    at = list(coded.slots.columns)
    assert coded.unseen[:, at.index("city")].all(), "a level that training never saw is not told"
    assert coded.outside[:, at.index("age")].all(), "numbers beyond the range of training are not told"
    empty = encoder.transform(new.with_cells({"age": np.full(len(new), np.nan)}))
    assert empty.absent[:, at.index("age")].all(), "missing cells are not told"
    for e in (coded, empty):
        assert all(np.isfinite(getattr(e, name)).all() for name in PARTS), "an encoded value is missing or infinite"


def check_state_makes_the_round_trip(make: Make) -> None:
    """An encoder from its state encodes the same."""
    train, new, y = _tables()
    encoder = make(train, y)
    other = type(encoder).from_state(encoder.state())
    a, b = encoder.transform(new), other.transform(new)
    assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in PARTS), "an encoder from its state encodes otherwise"


CHECKS: tuple[Check, ...] = tuple(
    Check(c, lambda e: True)
    for c in (
        check_rows_are_encoded_alone,
        check_columns_do_not_leak_into_each_other,
        check_what_is_missing_or_unseen_is_told,
        check_state_makes_the_round_trip,
    )
)
