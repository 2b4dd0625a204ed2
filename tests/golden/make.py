"""Write the golden model folder of the present format: python tests/golden/make.py. Run once per format version, never again.

A test loads every folder here, so that a model saved by any released version goes on to answer as it did.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pellucid import TabularClassifier
from pellucid.estimators.io import FORMAT
from pellucid.testing.mixed import FEATURES, mixed


def main() -> None:
    folder = Path(__file__).parent / f"format{FORMAT}"
    folder.mkdir()
    frame = mixed(300, 0)
    options = {"members": 2, "backbone_options": {"width": 16}, "keep_rows": 50}
    model = TabularClassifier(verbose=0, threads=1, random_state=0, max_steps=20, **options).fit(frame[FEATURES], frame["three"])
    rows = mixed(40, 9)[FEATURES]
    model.save(folder / "model.pellucid")
    rows.to_parquet(folder / "rows.parquet")
    np.save(folder / "expected.npy", model.predict_proba(rows))


if __name__ == "__main__":
    main()
