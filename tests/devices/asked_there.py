"""Ask networks on the far device and on the processor the same, and print one line of JSON for each question: what, error, difference.

python asked_there.py fit mlp tabnet ...        fit and predict there
python asked_there.py ask mlp shapley lrp ...   fit here, move, and compare answers ("predict" and "uncertainty" too)
"""

from __future__ import annotations

import copy
import json
import sys
import warnings
from typing import Any

import far
import numpy as np
import pandas as pd
import torch

import pellucid as pld

FEW = {
    "activation_maximisation": {"steps": 3, "rows": 30, "starts": 2},
    "information_bottleneck": {"steps": 3, "samples": 2, "beta": (0.1,)},
    "rashomon": {"rows": 20, "shuffles": 1, "steps": 1, "most": 3},
    "sobol": {"samples": 16},
    "importances": {"rows": 20},
}


def made(n: int) -> pd.DataFrame:
    """Return numbers, levels, gaps, text and a date, with two targets."""
    draw = np.random.default_rng(0)
    days = pd.to_timedelta(draw.integers(0, 900, n), unit="D")
    frame = pd.DataFrame(
        {"a": draw.normal(size=n), "b": draw.normal(size=n), "c": draw.choice(["x", "y", "z"], n), "d": draw.integers(0, 5, n)}
    )
    frame["t"] = draw.choice(["a good red", "a bad blue", "a good blue"], n)
    frame["w"] = pd.Timestamp("2020-01-01") + days
    law = frame.a + frame.b * (frame.c == "x") + 0.3 * frame.d
    frame.loc[::17, "a"] = np.nan
    return frame.assign(y=np.where(law + 0.3 * draw.logistic(size=n) > 0.6, "yes", "no"), number=law)


def fit(backbone: str, device: str, number: bool = False, wide: bool = True) -> tuple[Any, pld.Table]:
    """Return a fitted model and its table; ``wide`` with text and dates, and so few rows that five networks are trained in folds."""
    frame = made(300 if wide else 2000).drop(columns=["y" if number else "number", *([] if wide else ["t", "w"])])
    table = pld.read_table(frame, target="number" if number else "y")
    kind = pld.TabularRegressor if number else pld.TabularClassifier
    model = kind(backbone=backbone, max_steps=8, random_state=0, verbose=0, device=device, keep_rows=60)
    return model.fit(table), table


def answer(model: Any, table: pld.Table, what: str) -> Any:
    rows = table.take(range(12))
    if what == "predict":
        return model.predict_proba(rows)
    if what == "uncertainty":
        return model.uncertainty(rows).epistemic
    many = what in ("sage", "surrogate_tree", "row_clusters", "clauses", "layer_probes", "feature_complexity")
    found = model.explain(table.take(range(60)) if many else rows, method=what, options=FEW.get(what, {}), random_state=0)
    return next((v for v in (getattr(found, k, None) for k in ("values", "weight", "activation")) if isinstance(v, np.ndarray)), None)


def told(what: str, function: Any) -> Any:
    """Print how a question ended, and return its answer."""
    try:
        found = function()
    except pld.PellucidError as refused:
        print(json.dumps({"what": what, "refused": str(refused)[:100]}), flush=True)
        return None
    except Exception as wrong:  # what went wrong is what is asked
        print(json.dumps({"what": what, "error": f"{type(wrong).__name__}: {wrong}"[:300]}), flush=True)
        return None
    return found


def main(kind: str, names: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    far.install()
    if kind == "fit":
        for name in names:
            for number in (False, True):
                found = told(f"{name} {number}", lambda name=name, number=number: fit(name, far.FAR, number))
                if found is not None:
                    print(json.dumps({"what": f"{name} {number}", "device": found[0].record_["training"]["device"]}), flush=True)
        return
    here, table = fit(names[0], "cpu", wide=False)
    there = copy.deepcopy(here).to(far.FAR)
    for what in names[1:]:
        near, away = (told(what, lambda m=m, what=what: answer(m, table, what)) for m in (here, there))
        if near is not None and away is not None:
            scale = float(np.nanmax(np.abs(near.astype(float)))) or 1.0
            apart = float(np.nanmax(np.abs(near.astype(float) - away.astype(float)))) / scale
            print(json.dumps({"what": what, "apart": apart}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
