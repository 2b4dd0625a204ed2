"""Are promises kept, and does doubt tell where errors are? Redraws of certify and test rows, and areas under risk-coverage curves.

    python benchmarks/promises.py                   # 5 fits x 20 redraws a table, some processor minutes
    python benchmarks/promises.py --small           # 1 fit x 20 redraws, few rows
    python benchmarks/promises.py adult compas

Coverage: each fit answers a pool of rows it never saw, once; a redraw parts the pool into certify and test rows anew. The number of
covered test rows then follows a Beta-binomial law, whatever the model; the randomised places in that law are tested against even ones
(Kolmogorov-Smirnov, p > .01). On compas the promise is made in each group of race and of sex, with p > .01 / (groups x levels).

Risk-coverage: classes against the model's raw highest probability, numbers against one width for all rows, both paired over bootstrap
draws of the rows; the distance to the least possible area is stated.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tables import TABLES

import pellucid as pld
from pellucid.testing.strange import ranking
from pellucid.training.adaptive import adaptive_scores, own_scores
from pellucid.training.conformal import Conformal, randomised_pit
from pellucid.training.groupings import labels_of
from pellucid.training.selective import areas, paired_areas

FILES = {
    "adult": ("adult_train.csv.gz", "income"),
    "california": ("california_housing.csv.gz", "MedHouseVal"),
    "wine": ("wine_quality_white.csv", "quality"),
    "compas": ("compas.csv.gz", "two_year_recid"),
}
LEVELS = (0.8, 0.9, 0.95)
GROUPS = ("race", "sex")
FEWEST = 200  # rows of a group in the pool


def fitted(name: str, seed: int, small: bool) -> tuple[Any, pd.DataFrame, np.ndarray, bool]:
    """Return (model, pool of rows, their truth as class numbers or values, whether for classes)."""
    file, target = FILES[name]
    whole = pd.read_csv(TABLES / file)
    order = np.random.default_rng(seed).permutation(len(whole))[: 6000 if small else None]
    cut = min(len(order) // 2, 10_000)
    train, pool = whole.iloc[order[:cut]], whole.iloc[order[cut:]].reset_index(drop=True)
    classes = name in ("adult", "compas")
    kind = pld.TabularClassifier if classes else pld.TabularRegressor
    model = kind(random_state=seed, verbose=0, time_limit=8 if small else 25).fit(train, target=target)
    truth = pool[target].to_numpy()
    if classes:
        truth = np.searchsorted(np.asarray(model.classes_).astype(str), truth.astype(str))
    return model, pool.drop(columns=target), truth, classes


class Answers:
    """What one fit says of the pool: the score of the truth by each measure, and of everything where sets need it."""

    def __init__(self, model: Any, pool: pd.DataFrame, truth: np.ndarray, classes: bool, seed: int) -> None:
        predictor = model.predictor()
        table = predictor.read(pool)
        members, rng = np.asarray(predictor.members_raw(table)), np.random.default_rng(seed)
        self.answer = model.uncertainty(pool, familiarity=None)
        if classes:
            p, u = self.answer.probabilities, rng.random(len(pool))
            self.scores = {"lac": 1 - p[np.arange(len(p)), truth], "aps": own_scores(p, truth, u)}
            self.loss, raw = (p.argmax(1) != truth).astype(float), members.mean(1)
            self.plain = 1 - raw.max(1)
            assert np.allclose(adaptive_scores(p, u)[np.arange(len(p)), truth], self.scores["aps"])
            return
        miss, local = truth - members.mean(1)[:, 0], model.promises().local
        self.scores = {"absolute": np.abs(miss)}
        if local is not None and len(local.forests[0]) == 1:
            spread, low, high = local.answers(table, members[:, :, 0], 0)
            self.scores |= {"normalised": np.abs(miss) / spread, "quantile": np.maximum(low - miss, miss - high)}
        self.loss, self.plain = np.abs(miss), np.zeros(len(miss))


def places(score: np.ndarray, redraws: int, seed: int) -> dict[float, list[float]]:
    """Return by level the places of the covered counts in their law, over redraws of certify (a third, at most 1,000) and test rows."""
    rng, out = np.random.default_rng(seed), {level: [] for level in LEVELS}
    n_cal = min(len(score) // 3, 1000)
    n_test = min(len(score) - n_cal, 4000)
    for _ in range(redraws):
        order = rng.permutation(len(score))
        fit = Conformal.fit_scores("any", score[order[:n_cal]])
        new = score[order[n_cal : n_cal + n_test]]
        for level in LEVELS:
            covered = int((new <= fit.bounds(1, level)[0]).sum())
            out[level].append(float(randomised_pit([covered], n_cal, level, n_test, rng)[0]))
    return out


def broken_ties(score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the scores with equal ones in a random order: the law speaks of scores without ties; with them coverage is only higher."""
    return np.argsort(np.lexsort((rng.random(len(score)), score)), kind="stable").astype(float)


def coverage(name: str, fits: int, redraws: int, small: bool, first: int = 0) -> None:
    found: dict[tuple[str, str, float], list[float]] = {}
    for seed in range(first, first + fits):
        began = time.process_time()
        model, pool, truth, classes = fitted(name, seed, small)
        answers, rng = Answers(model, pool, truth, classes, seed), np.random.default_rng(seed)
        for measure, score in answers.scores.items():
            parts = {"all rows": np.ones(len(score), bool)}
            if name == "compas":
                table = model.predictor().read(pool)
                labels = {g: labels_of(*table.levels(g)) for g in GROUPS}
                parts = {f"{g} = {v}": labels[g] == v for g in GROUPS for v in sorted(set(labels[g]))}
                parts = {k: v for k, v in parts.items() if v.sum() >= FEWEST}
            for of, rows in parts.items():
                for level, values in places(broken_ties(score[rows], rng), redraws, seed).items():
                    found.setdefault((measure, of, level), []).extend(values)
        selective(name, seed, answers, classes)
        print(f"{name}, fit {seed}: {time.process_time() - began:.0f} processor seconds, pool of {len(pool):,}", flush=True)
    several = len({(of, level) for _, of, level in found}) if name == "compas" else 1
    for (measure, of, level), values in found.items():
        p = stats.kstest(values, "uniform").pvalue
        verdict = "fits" if p > 0.01 / several else "DOES NOT FIT"
        print(
            f"{name}, {measure}, {of}, {level:.0%}: {len(values)} draws, KS p = {p:.3f} (needs {0.01 / several:.2g}), {verdict}", flush=True
        )


def selective(name: str, seed: int, answers: Answers, classes: bool) -> None:
    ours, loss = np.asarray(answers.answer.doubt), answers.loss
    mine = areas(ours, loss)
    gap, low, high = paired_areas(ours, answers.plain, loss, seed=seed)
    what = "highest raw probability" if classes else "one width"
    auc = f", errors found with an area of {ranking(ours[loss == 0], ours[loss == 1])[0]:.3f}" if classes else ""
    print(
        f"{name}, fit {seed}: AURC {mine.area:.4f}, least {mine.best:.4f} (excess {mine.excess:.4f}), AUGRC {mine.joint:.4f}, at random "
        f"{mine.overall:.4f}; against {what} {gap:+.5f} [{low:+.5f}, {high:+.5f}]{auc}",
        flush=True,
    )
    epistemic = answers.answer.epistemic
    if epistemic is not None:
        print(f"    by epistemic doubt alone: AURC {areas(np.asarray(epistemic), loss).area:.4f}", flush=True)


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("tables", nargs="*", default=list(FILES))
    q.add_argument("--fits", type=int)
    q.add_argument("--redraws", type=int, default=20)
    q.add_argument("--seed", type=int, default=0, help="of the first fit; the others follow")
    q.add_argument("--small", action="store_true")
    a = q.parse_args()
    for name in a.tables:
        coverage(name, a.fits or (1 if a.small else 5), a.redraws, a.small, a.seed)


if __name__ == "__main__":
    main()
