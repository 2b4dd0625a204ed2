"""Training rows per second: ours and the reference implementation in turn, same shapes, same batch, same threads, one run.

    python benchmarks/train_speed.py --threads 2 --seconds 5
    python benchmarks/train_speed.py --only tabm

Data of Adult's shape (6 numbers, 8 categories), made. Ours: one step of the fit's own loop (batch drawn, forward, backward, optimizer),
under the fit's own rules for memory and threads. References as documented: float32, plain eager step; beside it their step under bfloat16
autocast, and ours as ``precision="auto"`` chooses. Blocks of steps alternate, so that noise of the machine meets both sides; the first step
of a block is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from pellucid.execution import keep_memory
from pellucid.nn.cells import Cells, CellSizes
from pellucid.training import objectives
from pellucid.training.recipe import TrainSettings, builder
from pellucid.training.run import Run

CARDS = (9, 16, 7, 15, 6, 5, 2, 42)
ROWS = 26_048
BLOCK = 5


class Side(NamedTuple):
    """One contender: its step, torch's threads, the rows of a step, and what its steps run inside."""

    step: Callable[[], None]
    threads: int
    rows: int
    inside: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randn(ROWS, 6, generator=draw)
    codes = torch.stack([torch.randint(0, c, (ROWS,), generator=draw) for c in CARDS], 1)
    return numbers, codes, (numbers[:, 0] + 0.3 * codes[:, 1] + torch.randn(ROWS, generator=draw) > 2).long()


def ours(settings: TrainSettings, precision: str, threads: int) -> Side:
    numbers, codes, y = data()
    edges = tuple(np.unique(np.quantile(x, np.linspace(0, 1, 49))).astype(np.float32) for x in numbers.T.numpy())
    sizes = CellSizes(14, edges, tuple(c + 2 for c in CARDS), 0, tuple(range(6)), tuple(range(6, 14)), ())
    cells = Cells(numbers, torch.zeros(ROWS, 6, dtype=torch.bool), codes + 2, torch.zeros(ROWS, 0, 0))
    objective = objectives.classification(2)
    parts = [(np.arange(ROWS), np.zeros(0, np.int64))]
    run = Run(
        builder(sizes, settings, 1), cells, y.numpy(), None, parts, objective, replace(settings, precision=precision), 0,
        torch.device("cpu"), None,
    )  # fmt: skip
    torch.set_num_threads(threads)
    run.use(run.choose(threads if precision == "fp32" else "auto"))
    run.net.train()
    return Side(lambda: float(run.advance().sum()), run.arithmetic.of_torch, run.batches.size, keep_memory)


def theirs(make: Callable[[], torch.nn.Module], lr: float, batch: int, members: int = 0) -> Callable[[str], Callable[[], None]]:
    def stepper(precision: str) -> Callable[[], None]:
        torch.manual_seed(0)
        net = make().train()
        numbers, codes, y = data()
        optimizer = torch.optim.AdamW(net.parameters(), lr=lr)

        def batches() -> Any:
            while True:
                yield from torch.randperm(ROWS)[: ROWS // batch * batch].split(batch)

        rows = batches()

        def step() -> None:
            at = next(rows)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                out = net(numbers[at], codes[at])
            out, goal = out.float(), y[at]
            if members:
                out, goal = out.flatten(0, 1), goal.repeat_interleave(members)
            loss = functional.cross_entropy(out, goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    return stepper


def reference_tabm() -> torch.nn.Module:
    import rtdl_num_embeddings
    import tabm

    embed = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
        rtdl_num_embeddings.compute_bins(data()[0], n_bins=48), d_embedding=16, activation=False, version="B"
    )
    return tabm.TabM.make(n_num_features=6, cat_cardinalities=list(CARDS), d_out=2, num_embeddings=embed, k=32)


def reference_ft() -> torch.nn.Module:
    from rtdl_revisiting_models import FTTransformer

    return FTTransformer(n_cont_features=6, cat_cardinalities=list(CARDS), d_out=2, **FTTransformer.get_default_kwargs())


class ReferencePLR(torch.nn.Module):
    """MLP-PLR as its package's documentation puts it together: periodic embeddings, one-hot categories, a perceptron."""

    def __init__(self) -> None:
        from rtdl_num_embeddings import PeriodicEmbeddings
        from rtdl_revisiting_models import MLP

        super().__init__()
        self.embed = PeriodicEmbeddings(6, lite=False)
        self.mlp = MLP(d_in=6 * 24 + sum(CARDS), d_out=2, n_blocks=3, d_block=384, dropout=0.1)

    def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        hot = [functional.one_hot(codes[:, j], c).float() for j, c in enumerate(CARDS)]
        return self.mlp(torch.cat([self.embed(numbers).flatten(1), *hot], 1))


def tabnet_seconds(batch: int) -> float:
    """Return the seconds of one epoch of the reference through its own fit, its loader included."""
    from pytorch_tabnet.tab_model import TabNetClassifier

    numbers, codes, y = data()
    x = torch.cat([numbers, codes.float()], 1).numpy()
    model = TabNetClassifier(cat_idxs=list(range(6, 14)), cat_dims=list(CARDS), verbose=0, device_name="cpu")
    seconds = []
    for epochs in (1, 5):
        started = time.perf_counter()
        model.fit(x, y.numpy(), max_epochs=epochs, batch_size=batch, virtual_batch_size=128, patience=0)
        seconds.append(time.perf_counter() - started)
    return (seconds[1] - seconds[0]) / 4


def rows_per_second(sides: list[Side], seconds: float) -> list[float]:
    """Return each side's rows a second: the median over its steps, in blocks that alternate."""
    took: list[list[float]] = [[] for _ in sides]
    until = time.perf_counter() + seconds * len(sides)
    while time.perf_counter() < until or len(took[0]) < 3 * BLOCK:
        for seen, side in zip(took, sides):
            torch.set_num_threads(side.threads)
            with side.inside():
                for i in range(BLOCK + 1):
                    started = time.perf_counter()
                    side.step()
                    if i:
                        seen.append(time.perf_counter() - started)
    return [side.rows / float(np.median(seen)) for side, seen in zip(sides, took)]


PAIRS: dict[str, dict[str, Any]] = {
    "mlp_plr": {
        "settings": TrainSettings(backbone="mlp", number="plr", width=384, blocks=3, d_token=24, dropout=0.1, batch=256, muon_lr=0.0),
        "theirs": theirs(ReferencePLR, 1e-3, 256), "batch": 256,
    },
    "tabm": {
        "settings": TrainSettings(backbone="tabm", members=32, width=512, blocks=2, d_token=16, dropout=0.1, batch=256, muon_lr=0.0),
        "theirs": theirs(reference_tabm, 2e-3, 256, 32), "batch": 256,
    },
    "ft_transformer": {
        "settings": TrainSettings(backbone="ft_transformer", d_token=192, blocks=3, dropout=0.1, batch=256, number="linear", muon_lr=0.0),
        "theirs": theirs(reference_ft, 1e-4, 256), "batch": 256,
    },
}  # fmt: skip


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("--threads", type=int, default=2)
    q.add_argument("--seconds", type=float, default=5.0)
    q.add_argument("--only", default="")
    a = q.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(a.threads)
    results: dict[str, Any] = {"threads": a.threads, "torch": torch.__version__}
    for name, pair in PAIRS.items():
        if a.only and name not in a.only.split(","):
            continue
        sides = [ours(pair["settings"], "fp32", a.threads), ours(pair["settings"], "auto", a.threads)]
        sides += [Side(pair["theirs"](precision), a.threads, pair["batch"]) for precision in ("fp32", "bf16")]
        fp32, auto, plain, half = rows_per_second(sides, a.seconds)
        results[name] = {"ours fp32": fp32, "ours auto": auto, "reference fp32": plain, "reference bf16": half}
        best = max(plain, half)
        print(
            f"{name}: ours {fp32:,.0f} rows/s in fp32, {auto:,.0f} as chosen; reference {plain:,.0f} and {half:,.0f} in bf16; "
            f"{max(fp32, auto) / plain:.2f} times the reference as documented, {max(fp32, auto) / best:.2f} times its best",
            flush=True,
        )
    if not a.only or "tabnet" in a.only.split(","):
        batch = 1024
        settings = TrainSettings(
            backbone="tabnet", number="plain", d_token=1, batch=batch, muon_lr=0.0, precision="fp32",
            options=(("n_d", 8), ("n_a", 8), ("gamma", 1.3), ("momentum", 0.02)),
        )  # fmt: skip
        side, found = ours(settings, "auto", a.threads), list[tuple[float, float]]()
        for _ in range(3):  # in turn, so that a slow hour of the machine meets both
            (mine,) = rows_per_second([side], a.seconds / 3)
            torch.set_num_threads(a.threads)
            found.append((mine, ROWS // batch * batch / tabnet_seconds(batch)))
        mine, reference = (float(np.median(rates)) for rates in zip(*found))
        results["tabnet"] = {"ours auto": mine, "reference fp32": reference}
        print(f"tabnet (virtual batch 128): ours {mine:,.0f} rows/s, reference {reference:,.0f}; {mine / reference:.2f} times", flush=True)
    out = Path(__file__).parent / "results" / "train_speed.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
