"""The amortised explainer on Adult: how far its values are off the engine's, and how long a million rows take.

    python benchmarks/amortised.py --data ../shared/data [--model adult.pellucid] [--rows 1000000]

Without ``--model`` the default classifier is fitted first, to its end. Prints one line per figure. On a machine that others use too, set
OMP_NUM_THREADS=1 and read the processor seconds: threads that wait for each other slow training tenfold.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

import pellucid as pld


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--model", type=Path)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--learn", type=int, default=20_000)
    arguments.add_argument("--pairs", type=int, default=8)
    given = arguments.parse_args()
    table = pld.read_table(given.data / "adult_train.csv.gz", target="income")
    if given.model:
        model = pld.load(given.model)
    else:
        model = pld.TabularClassifier(random_state=0, verbose=0).fit(table)
    started, used = time.perf_counter(), time.process_time()
    fitted = pld.fit_explainer(model, table, random_state=0, rows=given.learn, pairs=given.pairs)
    facts = fitted.state["facts"]
    print(
        f"fit: {time.perf_counter() - started:.0f} s, {time.process_time() - used:.0f} s of processor, {facts['model_rows']:,} model rows"
    )
    print(f"mean error {facts['mean_error']:.4f} of mean value {facts['mean_value']:.4f}: {100 * facts['relative']:.1f} %", end=" ")
    print(f"on {facts['test_rows']} held-out rows (the engine's own error there {facts['engine_error']:.4f})")
    new = pld.read_table(given.data / "adult_test.csv.gz")
    rows = np.random.default_rng(0).integers(0, len(new), given.rows)
    many = new.take(rows)
    started, used = time.perf_counter(), time.process_time()
    made = model.explain(many, method="amortised", random_state=0)
    print(f"{given.rows:,} rows: {time.perf_counter() - started:.1f} s, {time.process_time() - used:.1f} s of processor", end=" ")
    print(f"({made.record.settings['unlike_rows']} rows by the engine; largest gap {np.abs(made.gap).max():.1e})")
    print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    for words in made.record.caveats:
        print(words)


if __name__ == "__main__":
    main()
