"""Repairs that would be applied, on injected errors and on clean tables: right cell and right value, or not.

    PELLUCID_TABLES=... python benchmarks/repairs.py [--seeds 3] [--share 0.01]

Precision counts a change only where the cell was hit and gets back what stood there before. On clean tables every change counts as wrong.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from defects import clean_tables, planted
from tables import TABLES

import pellucid as pld
from pellucid.table import read_table

ERRORS = ("misspelt category", "unit slip", "mistyped decimals")


def right(new: object, old: object) -> bool:
    """Return whether a cell got back what stood there."""
    if isinstance(old, float):
        return bool(np.isclose(float(new), old, rtol=1e-9))  # type: ignore[arg-type]
    return new == old


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--share", type=float, default=0.01)
    options.add_argument("--skip-clean", action="store_true")
    given = options.parse_args()
    began, hits, changes, errors = time.process_time(), 0, 0, 0
    print(f"{'error':20} {'table':10} {'column':18} planted  proposed  applied  right  precision  recall")
    for name in ERRORS:
        for table, (frame, target, columns) in clean_tables().items():
            by_column: dict[str, list[tuple[int, int, int, int]]] = {}
            for seed in range(given.seeds):
                for item in planted(name, frame, target, columns, seed, share=given.share):
                    found = pld.repair(item.frame, target=target)
                    sure = found.sure()
                    old = dict(zip(item.rows.tolist(), item.old))
                    good = sum(
                        c == item.column and r in old and right(n, old[r]) for r, c, n in zip(sure.rows.tolist(), sure.columns, sure.new)
                    )
                    by_column.setdefault(item.column, []).append((len(item.rows), len(found), len(sure), good))
            for column, figures in by_column.items():
                n, proposed, applied, good = np.sum(figures, axis=0)
                hits, changes, errors = hits + good, changes + applied, errors + n
                precision = f"{good / applied:9.3f}" if applied else "        -"
                print(f"{name:20} {table:10} {column:18} {n:7} {proposed:9} {applied:8} {good:6}  {precision} {good / n:7.2f}", flush=True)
    print(f"all: {changes} applied, {hits} right, precision {hits / max(changes, 1):.4f}, recall {hits / max(errors, 1):.3f}")
    clean = {} if given.skip_clean else clean_tables()
    for table, (frame, target, _) in clean.items():
        found = pld.repair(frame, target=target)
        print(f"clean {table}: {len(found)} proposed, {len(found.sure())} applied")
    for path in [] if given.skip_clean else sorted(TABLES.glob("*.csv*")):
        if path.name != "types.csv":
            found = pld.repair(read_table(path))
            told = found.sure().to_frame()[["row", "column", "old", "new", "rule"]].head(3).to_numpy().tolist()
            print(f"as it is {path.name}: {len(found)} proposed, {len(found.sure())} applied {told or ''}", flush=True)
    print(f"{time.process_time() - began:.0f} processor seconds")


if __name__ == "__main__":
    main()
