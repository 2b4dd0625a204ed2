"""Deliberately wrong advisers: each has a single fault, named by the function, and turns one common check of kind ``act`` red."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.table import Table

__all__ = ["FAULTS", "honest"]


def honest(model: Any, table: Table, method: str = "recourse", **settings: Any) -> Any:
    """Return the right answer."""
    from pellucid.act import act

    return act(model, table, method=method, **settings)


def drops_rows(model: Any, table: Table, **settings: Any) -> Any:
    """Answer about all rows but the last."""
    return honest(model, table.take(slice(0, len(table) - 1)), **settings)


def restless(model: Any, table: Table, **settings: Any) -> Any:
    """Draw with another seed at each call."""
    restless.calls += 1  # type: ignore[attr-defined]
    return honest(model, table, **settings | {"random_state": restless.calls})  # type: ignore[attr-defined]


restless.calls = 0  # type: ignore[attr-defined]


def changes_its_input(model: Any, table: Table, **settings: Any) -> Any:
    """Overwrite a cell of the caller's frame."""
    made = honest(model, table, **settings)
    table.frame.iloc[0, 0] = 99.0
    return made


def leans_on_the_first_row(model: Any, table: Table, **settings: Any) -> Any:
    """Give every row the shares of the row that was asked first."""
    made = honest(model, table, **settings)
    return replace(made, responsiveness=np.repeat(made.responsiveness[:1], len(made), 0))


def overspends(model: Any, table: Table, **settings: Any) -> Any:
    """Ignore the budget."""
    return honest(model, table, **settings | {"budget": None})


def forgets_the_rules(model: Any, table: Table, **settings: Any) -> Any:
    """Ignore what may not change."""
    return honest(model, table, **settings | {"rules": None})


def stops_short(model: Any, table: Table, **settings: Any) -> Any:
    """Halve every change of a number: nearly there."""
    made = honest(model, table, **settings)
    changes = made.changes.copy()
    number = changes["before"].map(lambda v: isinstance(v, float | int))
    middle = (changes.loc[number, "before"].astype(float) + changes.loc[number, "after"].astype(float)) / 2
    changes.loc[number, "after"] = middle
    return replace(made, changes=changes)


def says_nothing_of_the_rest(model: Any, table: Table, **settings: Any) -> Any:
    """Leave out the rows without an option."""
    made = honest(model, table, **settings)
    first = made.options["row"].iloc[0]
    options, changes = (f[f["row"] != first] for f in (made.options, made.changes))
    return replace(made, options=options, changes=changes)


def counts_staying(model: Any, table: Table, **settings: Any) -> Any:
    """Count the cell as it is among its changes."""
    made = honest(model, table, **settings)
    share = made.responsiveness
    return replace(made, responsiveness=(share * 3 + made.reached[:, None]) / 4)


def asks_one_too_few(model: Any, table: Table, **settings: Any) -> Any:
    """Decide by the first question alone."""
    made = honest(model, table, method="minimize", **settings)
    flipped = np.where(np.arange(len(made)) % 3 == 0, np.where(made.whole == "yes", "no", "yes"), made.whole)
    return replace(made, decision=flipped)


FAULTS = {
    "the_answer_fits_the_question": drops_rows,
    "the_same_seed_gives_the_same_answer": restless,
    "the_rows_are_untouched": changes_its_input,
    "each_row_answers_for_itself": leans_on_the_first_row,
    "the_calls_are_counted": overspends,
    "no_change_breaks_a_rule": forgets_the_rules,
    "every_option_holds_when_it_is_tried": stops_short,
    "shares_are_those_of_the_changes": counts_staying,
    "asking_ends_with_the_decision": asks_one_too_few,
}
"""Which check each fault must turn red."""
