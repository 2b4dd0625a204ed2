"""Seconds and peak memory of the audit of a table of a million rows and 50 columns, read from Parquet.

    python benchmarks/audit_speed.py [--rows 1000000] [--file people.parquet] [--target answer]

The table is made once and mixed: numbers of several shapes, whole numbers, levels few and many, booleans, dates, short texts, an
identifier, gaps, misspelt levels. Processor seconds are given per step, and the largest memory of the whole process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FITS = {"leakage", "missing", "slips", "groups", "effect", "labels"}
"""Audits that fit or draw; they use a stated sample of 50,000 rows."""


def make(path: Path, n: int, block: int = 100_000) -> None:
    """Write the table in row groups, so that making it does not need the memory that is to be measured."""
    writer = None
    for start in range(0, n, block):
        draw = np.random.default_rng(start)
        m = min(block, n - start)
        cells: dict[str, object] = {"person": np.arange(start, start + m) + 10_000_000}
        for j in range(16):
            x = (draw.normal(50, 9, m), draw.lognormal(2, 1, m), draw.gamma(3, 2, m), draw.uniform(0, 1, m))[j % 4]
            cells[f"number_{j}"] = np.where(draw.random(m) < 0.05 * (j % 3), np.nan, np.round(x, 3))
        for j in range(10):
            cells[f"count_{j}"] = draw.poisson(2 + 3 * j, m)
        for j in range(12):
            sides = ["north", "south", "east", "west", "middle"]
            levels = np.array([f"level {k:03d}" if j > 8 else f"{sides[k % 5]}{k // 5 or ''}" for k in range(5 * (j + 1))])
            codes = np.minimum(draw.geometric(0.2, m), len(levels)) - 1
            cells[f"kind_{j}"] = pa.array(levels[codes])
        town = draw.choice(["Amsterdam", "Rotterdam", "Utrecht", "Eindhoven"], m).astype(object)
        town[draw.random(m) < 2e-6] = "Roterdam"
        cells["town"] = town
        for j in range(4):
            cells[f"flag_{j}"] = draw.random(m) < 0.2 * (j + 1)
        for j in range(3):
            cells[f"date_{j}"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(draw.integers(0, 3000, m), "D")
        words = np.array(["slow", "fast", "good", "late", "broken", "kind", "again", "never", "please", "thanks"])
        some = words[draw.integers(0, 10, (2000, 6))]
        cells["remark"] = np.array([" ".join(w) for w in some])[draw.integers(0, 2000, m)]
        cells["total"] = np.round(np.nan_to_num(cells["number_0"]) + np.nan_to_num(cells["number_2"]), 3)
        signal = np.nan_to_num(cells["number_0"]) / 9 + cells["count_1"] / 3  # type: ignore[operator]
        cells["answer"] = np.where(signal + draw.normal(0, 2, m) > 7.2, "yes", "no")
        group = pa.Table.from_pandas(pd.DataFrame({k: v if not isinstance(v, pa.Array) else v.to_pandas() for k, v in cells.items()}))
        writer = writer or pq.ParquetWriter(path, group.schema)
        writer.write_table(group)
    assert writer is not None
    writer.close()


def peak() -> float:
    """Return the largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make the table where there is none, read it, run every audit, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--file", type=Path, default=None)
    options.add_argument("--target", default=None)
    given = options.parse_args()
    path = given.file or Path(tempfile.gettempdir()) / f"audit_speed_{given.rows}.parquet"
    if not path.exists():
        make(path, given.rows)
        print(f"made {path.name}; run again to measure")
        return
    from pellucid import registry
    from pellucid.audit.view import View
    from pellucid.table import read_table

    began = time.process_time()
    table = read_table(path, target=given.target)
    print(
        f"{len(table):,} rows x {len(table.columns)} columns read and typed in {time.process_time() - began:.1f} s, peak {peak():.2f} GB",
        flush=True,
    )
    view, spent = View(table), {"without a fit": 0.0, "with a fit": 0.0}
    for entry in registry.entries("audit"):
        start = time.process_time()
        found = registry.resolve(entry)(view)
        took = time.process_time() - start
        spent["with a fit" if entry.name in FITS else "without a fit"] += took
        print(f"{entry.name:14} {took:6.1f} s {len(found):3} findings, peak {peak():.2f} GB {sorted({f.kind for f in found})}", flush=True)
    print(
        ", ".join(f"{k}: {v:.1f} s" for k, v in spent.items())
        + f"; all with reading {time.process_time() - began:.1f} s, peak {peak():.2f} GB"
    )


if __name__ == "__main__":
    main()
