"""Model folders from the command line: which estimator a target asks for, where an unfinished fit is kept, new rows for a fitted model."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import ModelFileError, TargetError, quote
from pellucid.files import writing

if TYPE_CHECKING:
    import pandas as pd

    from pellucid.estimators import TabularClassifier, TabularRegressor
    from pellucid.table import Table

__all__ = ["estimator_for", "identified", "load", "new_rows", "task_of", "work_folder"]

NOTE = "job.json"
"""The file that says what a job's stages depend on; by itself it is no finished work."""


def task_of(table: Table) -> str:
    """Return ``"regression"`` for a target that is a number, else ``"classification"``."""
    from pellucid.table import ColumnType

    if table.target is None:
        raise TargetError("no target was named", do="say which column to predict: --target COLUMN")
    kind = table.schema[table.target].type
    if kind is ColumnType.CONSTANT:
        raise _constant(table, table.target)
    if kind is ColumnType.IDENTIFIER and table.frame[table.target].dtype.kind in "iuf":
        return "regression"
    return "regression" if kind is ColumnType.NUMBER else "classification"


def _constant(table: Table, target: str) -> TargetError:
    """Return the error for a target that does not vary."""
    known = table.frame[target][~table.missing(target)].unique().tolist()
    got = f"{quote(known)} in {table.n_rows} rows" if known else f"no answer in {table.n_rows} rows"
    problem = "the target is constant" if known else "the target is missing in every row"
    return TargetError(problem, where=f"column {target!r}", got=got, do="predict another column, or add rows with other answers")


def estimator_for(table: Table, task: str | None = None, **options: Any) -> TabularClassifier | TabularRegressor:
    """Return an unfitted estimator for the table's target."""
    from pellucid.estimators import TabularClassifier, TabularRegressor

    kind = TabularRegressor if (task or task_of(table)) == "regression" else TabularClassifier
    return kind(**options)


@contextlib.contextmanager
def work_folder(out: str | Path, resume: bool) -> Iterator[Path]:
    """Yield the folder beside ``out`` that keeps unfinished work. It goes when the block ends well and stays where it is interrupted.

    Without ``resume`` what an earlier run left is thrown away.
    """
    out = Path(out)
    folder = out.with_name(f"{out.name}.work")
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException as stop:
        if any(place.is_file() and place.name != NOTE for place in folder.rglob("*")):
            if isinstance(stop, KeyboardInterrupt):
                raise KeyboardInterrupt(str(folder)) from None  # says where what was finished lies
        else:
            shutil.rmtree(folder, ignore_errors=True)  # nothing was finished: nothing is kept
        raise
    shutil.rmtree(folder, ignore_errors=True)


def load(path: Path) -> Any:
    """Return the fitted model of a folder."""
    from pellucid.estimators import load as load_model

    if not path.exists():
        raise ModelFileError("there is no such model folder", where=str(path), do="write one with: pellucid fit")
    return load_model(path)


def new_rows(source: Path | Table) -> Table:
    """Return new rows for a fitted model; the model's own schema is applied when it is asked."""
    from pellucid.table import Table, read_table

    return source if isinstance(source, Table) else read_table(source)


def identified(model: Any, rows: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the answers behind the identifier columns of their rows."""
    import pandas as pd

    known = set(model.schema_.identifiers) | set(rows.schema.identifiers)
    names = [n for n in rows.columns if n in known and n not in frame.columns]
    return pd.concat([rows.frame[names].reset_index(drop=True), frame], axis=1)
