"""Shapley values of one fixed network: ours beside shap, captum and shapiq, the same weights on both sides, one run.

    python benchmarks/explain_speed.py --threads 2                     # all three networks
    python benchmarks/explain_speed.py --kinds mlp --limit 5
    python benchmarks/explain_speed.py --kinds ftt --tools ours shap.Permutation --threads 1   # tools by the beginning of their names

Networks of Adult's 14 columns (6 standardised numbers, 8 categories), trained once by a plain loop and kept in ``results``: a perceptron
of three layers of 256 on one-hot levels (``mlp``), TabM of 8 members and two blocks of 256 (``tabm``), both against 100 background rows,
and an FT-Transformer of two blocks against 20 (``ftt``). Their weights are copied into our networks; the outputs are compared first. The
question is the same for all: one number per source column and row for the log-odds, absent columns taken from the background. Error: mean
absolute difference from exact values, over 100 rows of the perceptron, 60 of TabM, 20 of the FT-Transformer: those of 1 to 10 rows
by all 2^14 coalitions, and by our enumeration of all rows, which has to agree there first. A few rows say little of how far
random draws are off.

Every rival runs at several budgets, ours at several precisions and budgets. At each budget of a rival the ratio is its seconds over those
in which ours has at most the same error: the cheapest of our settings. Seconds are told twice: by the clock, which counts only on a machine
with nothing else to do, and of the processors, which with ``--threads 1`` can be compared on a busy one too. Figures are kept in
``results/explain_speed.json`` tool by tool; those of tools that are not run again stay. Peak memory is read while ours runs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from shapley import Peak
from tables import adult
from torch import nn

import pellucid as pld
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.table_net import TableNet
from pellucid.testing.predictors import made_table, matrix

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
LEVELS = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"]
C = 14
CACHE = Path(__file__).parent / "results" / "explain"
FLAT = ("mlp", "tabm")
ABSENT = -1e9  # marks a cell for tools that mix rows themselves


def data() -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
    """Return cells (N, 14) of train and test, their labels, and the numbers of levels."""
    frames = adult()
    mean, spread = frames[0][NUMBERS].mean(), frames[0][NUMBERS].std()
    known = {c: {v: i for i, v in enumerate(sorted(frames[0][c].fillna("NA").unique()))} for c in LEVELS}
    cells = []
    for frame in frames:
        codes = np.stack([frame[c].fillna("NA").map(known[c]).fillna(0) for c in LEVELS], 1)
        cells.append(np.concatenate([((frame[NUMBERS] - mean) / spread).to_numpy(), codes], 1).astype(np.float32))
    return cells, [(f.income == ">50K").to_numpy(np.float32) for f in frames], [len(known[c]) for c in LEVELS]


class Reference(nn.Module):
    """A rival's network: cells (N, 14) to log-odds (N, 1)."""

    def __init__(self, kind: str, cards: list[int]) -> None:
        super().__init__()
        self.kind, self.cards = kind, cards
        if kind == "ftt":
            from rtdl_revisiting_models import FTTransformer

            self.net: nn.Module = FTTransformer(
                n_cont_features=6, cat_cardinalities=cards, d_out=1, **FTTransformer.get_default_kwargs(n_blocks=2)
            )
        elif kind == "tabm":
            import tabm

            self.net = tabm.TabM.make(n_num_features=6, cat_cardinalities=cards, d_out=1, k=8, n_blocks=2, d_block=256, dropout=0.0)
        else:
            sizes = [6 + sum(cards), 256, 256, 256]
            layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
            self.net = nn.Sequential(*layers, nn.Linear(256, 1))
        self.register_buffer("offset", torch.tensor([0, *np.cumsum(cards)[:-1].tolist()]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.members(x).mean(1)

    def members(self, x: torch.Tensor) -> torch.Tensor:
        """Return the members' log-odds (N, K, 1)."""
        numbers, codes = x[:, :6], x[:, 6:].round().long()
        if self.kind != "mlp":
            out = self.net(numbers, codes)
            return out if out.ndim == 3 else out[:, None]
        hot = torch.zeros(len(x), sum(self.cards)).scatter_(1, codes + self.offset, 1.0)
        return self.net(torch.cat([numbers, hot], 1))[:, None]

    def answers(self, x: np.ndarray) -> np.ndarray:
        """Return the log-odds (N,) as the rivals ask for them."""
        step, out = 8192 if self.kind in FLAT else 2048, []
        with torch.inference_mode():
            for part in torch.as_tensor(np.asarray(x, np.float32)).split(step):
                out.append(self(part)[:, 0])
        return torch.cat(out).double().numpy()


def trained(kind: str, cells: np.ndarray, labels: np.ndarray, cards: list[int]) -> Reference:
    """Return the reference network, trained or read from the cache."""
    torch.manual_seed(0)
    net, path = Reference(kind, cards), CACHE / f"{kind}.pt"
    if path.exists():
        net.load_state_dict(torch.load(path))
        return net.eval()
    passes, rate = {"mlp": (6, 1e-3), "tabm": (4, 1e-3), "ftt": (2, 5e-4)}[kind]
    optimizer, y = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-5), torch.as_tensor(labels)
    x = torch.as_tensor(cells)
    for _ in range(passes):
        for rows in torch.randperm(len(y)).split(256):
            out = net.members(x[rows])[..., 0]
            loss = nn.functional.binary_cross_entropy_with_logits(out, y[rows, None].expand_as(out))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), path)
    return net.eval()


class Ours:
    """The same weights in our network, asked through the protocol of a network with two entrances."""

    outputs, classes, task, scale = ("income",), (), "regression", "log-odds"
    concurrent = True

    def __init__(self, reference: Reference) -> None:
        self.columns = tuple(NUMBERS + LEVELS)
        self.net = _copied(reference).eval()
        self.additive = self.net.additive

    def background(self) -> None:
        return None

    def _cells(self, table: pld.Table) -> Cells:
        x = torch.from_numpy(matrix(table, self.columns).astype(np.float32))
        codes = x[:, 6:].long() + (2 if self.additive else 0)  # one-hot blocks keep places for missing and unseen levels
        return Cells(x[:, :6], torch.zeros(len(x), 6, dtype=torch.bool), codes, torch.zeros(len(x), 0, 0))

    def tokens(self, table: pld.Table) -> torch.Tensor:
        return self.net.tokens(self._cells(table)).detach()

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.net.parts(tokens)

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.net.outputs_from_tokens(tokens).mean(1)

    def from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        return self.net.outputs_from_parts(parts).mean(1)

    def raw(self, table: pld.Table) -> np.ndarray:
        with torch.inference_mode():
            return self.from_tokens(self.tokens(table)).double().numpy()

    def layers(self) -> tuple[str, ...]:
        return tuple(self.net.layers())

    def randomised(self, layers: Any, seed: int) -> Ours:
        raise NotImplementedError("the benchmark needs no random weights")


def _copied(reference: Reference) -> TableNet:
    """Return our network with the reference's weights."""
    return _copied_ftt(reference) if reference.kind == "ftt" else _copied_flat(reference)


def _copied_flat(reference: Reference) -> TableNet:
    cards, tabm = reference.cards, reference.kind == "tabm"
    bins, d = (np.array([-1, 1], np.float32),) * 6, max(cards) + 1
    sizes = CellSizes(C, bins, tuple(k + 2 for k in cards), 0, tuple(range(6)), tuple(range(6, C)), ())
    options: dict[str, Any] = {"width": 256, "blocks": 2 if tabm else 3, "dropout": 0.0} | ({"members": 8} if tabm else {})
    ours = TableNet(
        sizes, reference.kind, 1, d_token=d, options=options, embedding={"number": "plain", "category": "onehot", "category_dropout": 0.0}
    )
    # of our d places a number has the first; level k of a column the place k + 1
    at = torch.cat([torch.arange(6) * d, *(6 * d + j * d + 1 + torch.arange(k) for j, k in enumerate(cards))])

    def spread(value: torch.Tensor) -> torch.Tensor:
        wide = torch.zeros(value.shape[0], C * d)
        wide[:, at] = value
        return wide

    first, w = ours.backbone.first, {n: p.data for n, p in reference.net.named_parameters()}
    if tabm:
        first.weight.data, first.bias.data = spread(w["backbone.blocks.0.0.weight"]), w["backbone.blocks.0.0.bias"]
        first.scale_in.data, first.scale_out.data = spread(w["backbone.blocks.0.0.r"]), w["backbone.blocks.0.0.s"]
        block = ours.backbone.blocks[0]
        block.weight.data, block.bias.data = w["backbone.blocks.1.0.weight"], w["backbone.blocks.1.0.bias"]
        block.scale_in.data, block.scale_out.data = w["backbone.blocks.1.0.r"], w["backbone.blocks.1.0.s"]
        ours.head.weight.data, ours.head.bias.data = w["output.weight"], w["output.bias"]
        return ours
    first.weight.data, first.bias.data = spread(w["0.weight"]), w["0.bias"]
    for block, i in zip(ours.backbone.blocks, (2, 4)):
        block.weight.data, block.bias.data = w[f"{i}.weight"], w[f"{i}.bias"]
    ours.head.weight.data, ours.head.bias.data = w["6.weight"].T[None], w["6.bias"][None]
    return ours


def _copied_ftt(reference: Reference) -> TableNet:
    theirs, cards = reference.net, reference.cards
    w = {n: p.data for n, p in theirs.named_parameters()}
    d, heads = w["cls_embedding.weight"].numel(), theirs.backbone.blocks[0]["attention"]._n_heads
    sizes = CellSizes(C, (np.array([-1, 1], np.float32),) * 6, tuple(cards), 0, tuple(range(6)), tuple(range(6, C)), ())
    ours = TableNet(sizes, "ft_transformer", 1, d_token=d, options={"heads": heads, "blocks": 2}, embedding={"number": "linear"})
    ours.embedding.numbers.line.data, ours.embedding.numbers.bias.data = w["cont_embeddings.weight"], w["cont_embeddings.bias"]
    tables = [w[f"cat_embeddings.embeddings.{j}.weight"] + w["cat_embeddings.bias"][j] for j in range(len(cards))]
    ours.embedding.levels.table.data = torch.cat(tables)
    ours.backbone.cls.data = w["cls_embedding.weight"].flatten()
    for i, block in enumerate(ours.backbone.blocks):
        at = f"backbone.blocks.{i}"
        for part in ("weight", "bias"):
            getattr(block.attention.joint, part).data = torch.cat([w[f"{at}.attention.W_{x}.{part}"] for x in "qkv"])
            getattr(block.attention.out, part).data = w[f"{at}.attention.W_out.{part}"]
            getattr(block.up, part).data, getattr(block.down, part).data = w[f"{at}.ffn.linear1.{part}"], w[f"{at}.ffn.linear2.{part}"]
            getattr(block.norm_ffn, part).data = w[f"{at}.ffn_normalization.{part}"]
            if i:
                getattr(block.norm_attention, part).data = w[f"{at}.attention_normalization.{part}"]
    for part in ("weight", "bias"):
        getattr(ours.backbone.norm, part).data = w[f"backbone.output.normalization.{part}"]
    ours.head.weight.data, ours.head.bias.data = w["backbone.output.linear.weight"].T[None], w["backbone.output.linear.bias"][None]
    return ours


def as_table(x: np.ndarray) -> pld.Table:
    """Return cells (N, 14) as a table of numbers: the networks read codes."""
    return made_table(pd.DataFrame(x.astype(np.float64), columns=NUMBERS + LEVELS))


def by_all_coalitions(reference: Reference, rows: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return exact values (n, 14)."""
    bits = ((np.arange(2**C)[:, None] >> np.arange(C)) & 1).astype(bool)
    size, out = bits.sum(1), []
    weight = np.array([factorial(s) * factorial(C - s - 1) / factorial(C) for s in range(C)])
    for x in rows:
        composed = (np.where(m[:, None, :], x, background[None]).reshape(-1, C) for m in np.array_split(bits, 64))
        v = np.concatenate([reference.answers(part).reshape(-1, len(background)).mean(1) for part in composed])
        out.append([(weight[size[s := np.flatnonzero(~bits[:, j])]] * (v[s | (1 << j)] - v[s])).sum() for j in range(C)])
    return np.array(out)


def by_enumeration(kind: str, model: Ours, back: pld.Table, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return exact values (n, 14) of more rows than the ``known`` (m, 14), with which they agree."""
    path = CACHE / f"enumerated-{kind}.npy"
    if not path.exists():
        wanted = as_table(rows[: {"mlp": 100, "tabm": 60, "ftt": 20}[kind]])
        np.save(path, pld.explain(model, wanted, method="shapley_exact", background=back).values.reshape(-1, C))
    found = np.load(path)
    apart = np.abs(found[: len(known)] - known).max() / np.abs(known).mean()
    assert apart < 1e-4, f"enumerated values differ from those by all coalitions, by {apart:.1e} of the mean value"
    return found


Explain = Callable[[np.ndarray], np.ndarray]


def rivals(reference: Reference, background: np.ndarray) -> dict[str, Explain]:
    """Return the rivals at several budgets, by name."""
    import shap
    import shapiq
    from captum.attr import KernelShap, ShapleyValueSampling

    masker = shap.maskers.Independent(background, len(background))

    def permutation(evals: int) -> Explain:
        return lambda x: shap.PermutationExplainer(reference.answers, masker)(x, max_evals=evals, silent=True).values

    def kernel(n: int) -> Explain:
        return lambda x: shap.KernelExplainer(reference.answers, background).shap_values(x, silent=True, nsamples=n, l1_reg=False)

    def sampled(n: int) -> Explain:
        def explain(x: np.ndarray) -> np.ndarray:
            tool, k = ShapleyValueSampling(lambda t: reference(t)[:, 0]), len(background)
            rows, back = torch.as_tensor(np.repeat(x, k, 0)), torch.as_tensor(np.tile(background, (len(x), 1)))
            with torch.inference_mode():
                return tool.attribute(rows, back, n_samples=n).numpy().reshape(len(x), k, C).mean(1)

        return explain

    def captum_kernel(n: int) -> Explain:
        def explain(x: np.ndarray) -> np.ndarray:
            def game(t: torch.Tensor) -> torch.Tensor:  # a coalition's value is a mean over the background: marked cells take its rows
                rows = t.repeat_interleave(len(background), 0)
                back = torch.as_tensor(background).repeat(len(t), 1)
                return reference(torch.where(rows < ABSENT / 2, back, rows))[:, 0].view(len(t), -1).mean(1)

            tool = KernelShap(game)
            with torch.no_grad():
                parts = [
                    tool.attribute(row[None], torch.full((1, C), ABSENT), n_samples=n, perturbations_per_eval=n)
                    for row in torch.as_tensor(x)
                ]
            return torch.cat(parts).numpy()

        return explain

    def iq(budget: int) -> Explain:
        def explain(x: np.ndarray) -> np.ndarray:
            tool = shapiq.TabularExplainer(
                reference.answers, background, index="SV", max_order=1, imputer="marginal", sample_size=len(background), random_state=0
            )
            return np.stack([tool.explain(row, budget=budget).get_n_order_values(1) for row in x.astype(np.float64)])

        return explain

    return {
        **{f"shap.Permutation ({n})": permutation(n) for n in (29, 87, 500)},
        **{f"shap.Kernel ({n})": kernel(n) for n in (256, 2076)},
        **{f"captum.ShapleyValueSampling ({n}) x background": sampled(n) for n in (1, 4)},
        **{f"captum.KernelShap ({n})": captum_kernel(n) for n in (256, 1024)},
        **{f"shapiq ({n})": iq(n) for n in (256, 2048)},
        "shap.Exact": lambda x: shap.ExactExplainer(reference.answers, masker)(x, max_evals=2**C + 1, silent=True).values,
    }


def timed(explain: Explain, rows: np.ndarray, truth: np.ndarray, limit: float) -> dict[str, float]:
    """Return seconds per 1,000 rows, by the clock and of the processors, and the error relative to the mean absolute value.

    As many rows as the limit of processor seconds allows, but at least those whose exact values are known.
    """

    def run(n: int) -> tuple[np.ndarray, float, float]:
        clock, spent = time.perf_counter(), time.process_time()
        found = explain(rows[:n])
        return found, time.perf_counter() - clock, time.process_time() - spent

    explain(rows[:1])  # imports and first calls
    n, (found, clock, spent) = 2, run(2)
    for _ in range(2):  # few rows say little of what many cost
        wanted = int(np.clip(limit * n / max(spent, 1e-6), len(truth), len(rows)))
        if wanted > n:
            n, (found, clock, spent) = wanted, run(wanted)
    m = min(n, len(truth))
    error = np.abs(np.asarray(found, float).reshape(n, C)[:m] - truth[:m]).sum() / np.abs(truth[:m]).sum()
    return {"seconds": 1000 * clock / n, "processor": 1000 * spent / n, "error": float(error), "rows": n}


def settings(precisions: list[float], budgets: list[int], background: int) -> dict[str, dict[str, Any]]:
    """Return our settings by name; budgets are model rows a row."""
    known = {f"ours (precision {p})": {"precision": p} for p in precisions}
    known |= {f"ours ({b} model rows)": {"rows": b, "besides": 2 * background} for b in budgets}
    return known | {"ours exact": {"method": "shapley_exact"}}


def ours(model: Ours, back: pld.Table, rows: int = 0, besides: int = 0, **options: Any) -> Explain:
    """Return our explainer at one setting."""

    def explain(r: np.ndarray) -> np.ndarray:
        budget = {"budget": (rows + 2) * len(r) + besides} if rows else {}
        return pld.explain(model, as_table(r), background=back, random_state=0, **options, **budget).values

    return explain


def measured(kind: str, limit: float, own: tuple[list[float], list[int]], tools: list[str], keep: Callable[[str, Any], None]) -> None:
    """Run the tools on one network; prints, and keeps figures, as it goes."""
    (x, xt), (y, _), cards = data()
    reference = trained(kind, x, y, cards)
    draw = np.random.default_rng(0)
    background = x[draw.choice(len(x), 20 if kind == "ftt" else 100, replace=False)]
    rows = xt[draw.choice(len(xt), 1000, replace=False)]
    model = Ours(reference)
    apart = float(np.abs(model.raw(as_table(rows))[:, 0] - reference.answers(rows)).max())
    assert apart < 1e-5, f"the copied network answers otherwise, by {apart:.1e}"
    path = CACHE / f"exact-{kind}.npy"
    if not path.exists():
        np.save(path, by_all_coalitions(reference, rows[: {"mlp": 10, "tabm": 3, "ftt": 1}[kind]], background))
    back = as_table(background)
    truth = by_enumeration(kind, model, back, rows, np.load(path))
    print(f"{kind}: outputs agree to {apart:.1e}", flush=True)
    every = {n: ours(model, back, **o) for n, o in settings(*own, len(background)).items()}
    every |= rivals(reference, background)
    peak, base = Peak(), 0
    for name, explain in every.items():
        if tools and not name.startswith(tuple(tools)):
            continue
        mine = name.startswith("ours") and base == 0
        if mine:
            peak.start()
            time.sleep(0.05)
            base = peak.most
        found = timed(explain, rows, truth, limit)
        if name == "ours exact":
            peak.running = False
            keep("memory above the model, MiB", round((peak.most - base) / 2**20))
        keep(name, found)
        print(kind, name, {k: round(v, 4) for k, v in found.items()}, flush=True)
    peak.running = False


def ratios(found: dict[str, Any], clock: str) -> list[str]:
    """Return a line per rival: its seconds over ours at no larger error."""
    own = [(r["error"], r[clock]) for n, r in found.items() if n.startswith("ours (")]
    lines = []
    for name, r in found.items():
        if name.startswith(("ours", "memory")):
            continue
        good = [] if name == "shap.Exact" else [pair for pair in own if pair[0] <= r["error"]]
        error, mine = min(good, key=lambda pair: pair[1]) if good else (0.0, found["ours exact"][clock])
        lines.append(f"| {name} | {r[clock]:.1f} | {r['error']:.4f} | {mine:.2f} | {error:.4f} | {r[clock] / mine:.1f} |")
    return lines


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("--kinds", nargs="+", default=["mlp", "tabm", "ftt"], choices=["mlp", "tabm", "ftt"])
    q.add_argument("--threads", type=int, default=os.cpu_count())
    q.add_argument("--limit", type=float, default=6.0, help="processor seconds aimed at per explainer")
    q.add_argument("--precisions", type=float, nargs="*", default=[0.3, 0.2, 0.1, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.005])
    q.add_argument("--budgets", type=int, nargs="*", default=[200, 300, 450, 600, 800, 1200], help="model rows a row")
    q.add_argument("--tools", nargs="*", default=[], help="beginnings of names; all if none are given")
    a = q.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(a.threads)
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE.parent / "explain_speed.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for kind in a.kinds:

        def keep(name: str, figure: Any, kind: str = kind) -> None:
            kept.setdefault(f"{kind}, {a.threads} threads", {})[name] = figure
            path.write_text(json.dumps(kept, indent=1))

        measured(kind, a.limit, (a.precisions, a.budgets), a.tools, keep)
        found = kept[f"{kind}, {a.threads} threads"]
        print(f"{kind}: memory above the model {found.get('memory above the model, MiB')} MiB")
        for clock in ("processor", "seconds"):
            print(f"| rival | its {clock} per 1,000 rows | its error | ours at no larger error | our error | ratio |\n" + "|---" * 6 + "|")
            print("\n".join(ratios(found, clock)), flush=True)


if __name__ == "__main__":
    main()
