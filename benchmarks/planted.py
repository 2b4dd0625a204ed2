"""Do the methods name the columns that count? The library of known laws, and fitted models on Syn1 to Syn6.

    python benchmarks/planted.py --methods shapley occlusion
    python benchmarks/planted.py --fitted --methods shapley integrated_gradients

On the laws themselves, what is missed is the method's doing; on fitted models the score of the model stands beside the best possible one.
TPR and FDR where as many columns are named as count in the row; the area under precision and recall, and what a random order has.
"""

from __future__ import annotations

import argparse

import numpy as np

import pellucid as pld
from pellucid.evaluate.planted import average_precision, true_and_false
from pellucid.evaluate.scores import roc_auc
from pellucid.testing.planted import LAWS, best_score, recovery, syn


def of_laws(method: str, rows: int) -> None:
    def explain(model, shown, background):
        return pld.explain(model, shown, background=background, method=method, random_state=0)

    board = recovery(explain, tuple(LAWS), rows=rows)
    print(f"\n{method}\n{board.groupby('family', sort=False)[['tpr', 'fdr', 'precision', 'chance']].mean().round(3).to_string()}")
    mean = board[["tpr", "fdr", "precision", "chance"]].mean()
    print("all      " + "  ".join(f"{k} {v:.3f}" for k, v in mean.items()), flush=True)


def of_models(methods: list[str], rows: int, n: int) -> None:
    for number in range(1, 7):
        made = syn(number, 2 * n, seed=0)
        model = pld.TabularClassifier(random_state=0, verbose=0).fit(made.table.take(slice(0, n)))
        test = made.features.take(slice(n, None))
        auc = float(roc_auc(made.target[n:] == "1", model.predict_proba(test)[:, 1])[0])
        for method in methods:
            answer = model.explain(test.take(slice(0, rows)), method=method, random_state=0)
            sizes, used = np.abs(answer.cube()).mean(2), made.used[n : n + rows]
            tpr, fdr = true_and_false(sizes, used)
            area = np.nanmean(average_precision(sizes, used))
            print(
                f"Syn{number} {method}: AUC {auc:.3f} (best {best_score(made):.3f}), TPR {tpr:.3f}, FDR {fdr:.3f}, "
                f"area {area:.3f} (random {used.mean():.3f})",
                flush=True,
            )


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("--methods", nargs="*", default=["shapley"])
    q.add_argument("--rows", type=int, default=40)
    q.add_argument("--train", type=int, default=10_000)
    q.add_argument("--fitted", action="store_true")
    a = q.parse_args()
    if a.fitted:
        of_models(a.methods, a.rows, a.train)
    else:
        for method in a.methods:
            of_laws(method, a.rows)


if __name__ == "__main__":
    main()
