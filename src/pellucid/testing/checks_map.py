"""Common checks of the ways to look at a table: groups are seen, noise is told from structure, known rows are put where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from pellucid.random import stream
from pellucid.registry import Entry
from pellucid.results import Map, Representatives
from pellucid.table import Table, read_table
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "DOUBLES", "Mapper", "planted_groups", "subject"]

ROWS, GROUPS = 120, 3


@dataclass(frozen=True)
class Mapper:
    """A method under check: ``call(table, seed) -> result``. One call on one table and seed is made once."""

    call: Callable[[Table, int], Any]
    kept: dict[int, Any] = field(default_factory=dict, compare=False)

    def __call__(self, seed: int = 0) -> Any:
        """Return the answer about the planted groups."""
        if seed not in self.kept:
            self.kept[seed] = self.call(planted_groups(), seed)
        return self.kept[seed]


def subject(entry: Entry) -> Mapper:
    """Return the registered method."""

    def call(table: Table, seed: int) -> Any:
        from pellucid.maps import map

        needs: dict[str, Any] = {"row_model": _row_model()} if "row model" in entry.needs else {}
        options: dict[str, Any] = {"k": GROUPS} if entry.gives == "Representatives" else {}
        return map(table, method=entry.name, random_state=seed, options=options, **needs)

    return Mapper(call)


@lru_cache(maxsize=1)
def _row_model() -> Any:
    from pellucid.estimators import RowModel

    return RowModel(random_state=0, max_steps=150).fit(planted_groups())


@lru_cache(maxsize=1)
def planted_groups() -> Table:
    """Return rows of three groups that differ in numbers and in a level; some cells are missing. The group is the target."""
    return _made()


def _made() -> Table:
    draw = stream(0, "groups")
    group = np.arange(ROWS) % GROUPS
    cells: dict[str, Any] = {f"x{j + 1}": 5.0 * (group == j) + draw.normal(size=ROWS) for j in range(GROUPS)}
    cells["x3"][draw.random(ROWS) < 0.05] = np.nan
    cells["kind"] = np.where(draw.random(ROWS) < 0.9, group, draw.integers(0, GROUPS, ROWS)).astype(str)
    cells["group"] = np.array(["a", "b", "c"])[group]
    return read_table(pd.DataFrame(cells), target="group", types={"kind": "category", "group": "category"})


def check_planted_groups_are_seen(mapper: Mapper) -> None:
    """On a map a row's five nearest rows are of its group in 19 of 20 rows; of three chosen rows each is of another group."""
    made, group = mapper(), planted_groups().frame["group"].to_numpy()
    if isinstance(made, Representatives):
        found = set(made.data["group"])
        assert len(found) == GROUPS, f"the {GROUPS} chosen rows are of {len(found)} groups only"
        return
    from pellucid.maps.neighbours import nearest

    rows, _ = nearest(made.coordinates, made.coordinates, 5, np.arange(len(made)))
    right = np.array([np.bincount(np.unique(group, return_inverse=True)[1][r]).argmax() for r in rows])
    share = float((right == np.unique(group, return_inverse=True)[1]).mean())
    assert share >= 0.95, f"only {100 * share:.0f} % of the rows lie among their own group"


def check_the_figures_tell_structure_from_noise(mapper: Mapper) -> None:
    """Every figure is between its limits, and those of neighbourhoods beat the ones of column-shuffled rows by two standard errors."""
    made: Map = mapper()
    frame: Any = made.figures.set_index("figure")
    assert ((frame["value"] <= 1) & (frame["value"] >= -1)).all(), "a figure lies outside its limits"
    for name in ("trustworthiness", "kNN recall"):
        value, noise = frame.loc[name, "value"], frame.loc[name, "noise"]
        error = float(np.hypot(frame.loc[name, "error"], frame.loc[name, "noise_error"]))
        assert value - noise > 2 * error, f"the {name} {value:.3f} is not told from that of shuffled columns, {noise:.3f}"


def check_known_rows_are_put_where_they_lie(mapper: Mapper) -> None:
    """Rows of the map that are handed over as new ones come to lie near their own places: within a tenth of the map, half of them."""
    made: Map = mapper()
    placed = made.place(planted_groups().take(slice(0, 40)))
    assert (placed["familiarity"] > 0).mean() > 0.5, "most rows of the map are said to be like nothing on it"
    apart = np.linalg.norm(placed[["x", "y"]].to_numpy() - made.coordinates[:40], axis=1)
    size = float(np.ptp(made.coordinates, axis=0).max())
    assert np.median(apart) < 0.1 * size, f"half of the known rows are put {np.median(apart) / size:.2f} of the map away from their places"


def check_the_same_seed_gives_the_same(mapper: Mapper) -> None:
    """Two calls with one seed agree to the last bit."""
    first, again = mapper(1).to_frame(), mapper.call(planted_groups(), 1).to_frame()
    assert first.equals(again), "two calls with the same seed gave different answers"


def check_it_can_be_read(mapper: Mapper) -> None:
    """A frame, JSON that parses without the machinery, settings that replay it, labels of the caller's rows."""
    made, table = mapper(), planted_groups()
    assert len(made.to_frame()) == len(made), "the frame does not have one line per row"
    told = json.loads(made.to_json())
    assert told["record"]["settings"], "the settings are not recorded, so the answer cannot be replayed"
    assert "object at 0x" not in json.dumps(told), "the JSON holds machinery of this run"
    assert set(made.index.tolist()) <= set(table.index.tolist()), "a row bears a label that the table does not have"


def check_the_input_is_untouched(mapper: Mapper) -> None:
    """The caller's cells are as they were made."""
    mapper()
    before = _made().frame
    changed = not planted_groups().frame.equals(before)
    planted_groups().frame.loc[:, :] = before  # the next check has a right table again
    assert not changed, "the caller's table was changed"


CHECKS: tuple[Check, ...] = (
    Check(check_planted_groups_are_seen, lambda e: e.gives in ("Map", "Representatives"), long=True),
    Check(check_the_figures_tell_structure_from_noise, lambda e: e.gives == "Map", long=True),
    Check(check_known_rows_are_put_where_they_lie, lambda e: e.gives == "Map", long=True),
    Check(check_the_same_seed_gives_the_same, lambda e: True, long=True),
    Check(check_it_can_be_read, lambda e: True, long=True),
    Check(check_the_input_is_untouched, lambda e: True, long=True),
)


def _pca(table: Table, seed: int) -> Any:
    from pellucid.maps import map

    return map(table, method="pca", random_state=seed)


def deals_out_the_places(table: Table, seed: int) -> Any:
    """Return a wrong map: the right places, dealt out among the rows."""
    from dataclasses import replace

    made = _pca(table, seed)
    return replace(made, coordinates=made.coordinates[stream(1, "dealt").permutation(len(made))])


def maps_noise(table: Table, seed: int) -> Any:
    """Return a wrong map: of cells dealt out anew in each column."""
    draw = stream(3, "noise")
    return _pca(table.with_cells({c: table.frame[c].to_numpy()[draw.permutation(len(table))] for c in table.columns}), seed)


def puts_rows_aside(table: Table, seed: int) -> Any:
    """Return a wrong map: new rows are put one map's width away."""
    from dataclasses import replace

    made = _pca(table, seed)
    width = np.ptp(made.coordinates[:, 0])
    return replace(made, placer=lambda new: made.place(new).assign(x=lambda f: f["x"] + width))


_CALLS = [0]


def restless(table: Table, seed: int) -> Any:
    """Return a wrong map: moved at each call, whatever the seed."""
    from dataclasses import replace

    _CALLS[0] += 1
    made = _pca(table, seed)
    return replace(made, coordinates=made.coordinates + _CALLS[0])


def renames_rows(table: Table, seed: int) -> Any:
    """Return a wrong map: labels that the table does not have."""
    from dataclasses import replace

    made = _pca(table, seed)
    return replace(made, index=made.index + 1000)


def changes_its_input(table: Table, seed: int) -> Any:
    """Overwrite a cell of the caller's table."""
    made = _pca(table, seed)
    table.frame.iloc[0, 0] = 99.0
    return made


DOUBLES: dict[str, Callable[[Table, int], Any]] = {
    "planted_groups_are_seen": deals_out_the_places,
    "the_figures_tell_structure_from_noise": maps_noise,
    "known_rows_are_put_where_they_lie": puts_rows_aside,
    "the_same_seed_gives_the_same": restless,
    "it_can_be_read": renames_rows,
    "the_input_is_untouched": changes_its_input,
}
"""For each check a map on which it goes red."""
