"""One fit: its tensors, its network, and where it stands."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid import random
from pellucid.execution import Executor, InProcess, Threads
from pellucid.nn.cells import Cells
from pellucid.nn.draws import seed_draws, seed_step
from pellucid.nn.heads import BlendHead
from pellucid.nn.regularizers.averaging import WeightAveraging
from pellucid.nn.regularizers.base import Learned
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.averaging import Average
from pellucid.training.batches import Batches, stop_rows
from pellucid.training.blending import best_share
from pellucid.training.head_doubt import halves, share_draws, share_losses, weight_draws
from pellucid.training.memory import fill_banks
from pellucid.training.metrics import Metric, metric
from pellucid.training.objectives import Objective
from pellucid.training.optim import Optimizers
from pellucid.training.precision import COMPILE_SECONDS, Arithmetic, choose_arithmetic, shape_class, shard_count
from pellucid.training.predict import predict_in_chunks
from pellucid.training.pretraining import Pretraining, pretrain
from pellucid.training.recipe import TrainSettings
from pellucid.training.schedules import cycle_length, cyclic_cosine, progress, warm_cosine
from pellucid.training.starts import Solves, begin, usual

__all__ = ["Part", "Run"]

Part = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

EVAL_CHUNK = 4096


class Run:
    """The state of one fit. Arguments as for ``loop.fit_network``."""

    def __init__(
        self, build: Callable[[int], TableNet], cells: Cells, target: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None,
        parts: Sequence[Part], objective: Objective, settings: TrainSettings, seed: int, device: torch.device, stop_metric: Any,
        pretraining: Pretraining | None = None, start_seconds: float | None = None,
        attributes: npt.NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.objective, self.seed, self.device, self.parts = settings, objective, seed, device, parts
        self.pretraining = pretraining
        self.own_score = stop_metric is None
        self.score_by: Metric = metric(stop_metric or objective.metric(), objective.task, objective.n_answers)
        nets = [build(random.integer(seed, "net", g)) for g in range(len(parts))]
        fill_banks(nets, cells, objective.prepare(target), [train for train, _ in parts], objective, seed)
        given = objective.row_weights(target, weights)
        self.solves = self._solves(start_seconds)
        self.started = begin(nets, cells, objective.prepare(target), given, [train for train, _ in parts], objective, self.solves, seed)
        self.net: TableNet | StackedNet = (nets[0] if len(nets) == 1 else StackedNet(nets)).to(device)
        self.host_cells, self.cells = cells, cells.to(device)
        self.truth = np.asarray(target) if objective.task == "classification" else np.asarray(target, np.float64).reshape(len(target), -1)
        self.row_weights = given
        self.target = objective.prepare(target).to(device)
        self.attributes = None if attributes is None else torch.from_numpy(np.array(attributes, np.int64)).to(device)
        self.batches = Batches([p[0] for p in parts], settings.batch, seed, objective.strata(target))
        self._weigh(parts)
        self.stop, self.stop_valid = stop_rows([p[1] for p in parts])
        self.has_stop = self.stop.shape[1] > 0
        core = self.net.net if isinstance(self.net, StackedNet) else self.net
        core.losses = objective.losses
        self.core = core
        self.blend = core.head if isinstance(core.head, BlendHead) and core.embedding.front is not None else None
        self.params = dict(core.named_parameters())
        # what a state holds: running statistics are no parameters, but the network answers by them; kept rows never change
        held = [n for n in core.state_dict() if not n.startswith("bank.")]
        self.state = {n: t for n, t in [*core.named_parameters(), *core.named_buffers()] if n in held}
        shares = [r.share for r in core.regularizers if isinstance(r, WeightAveraging)]
        self.average = Average(self.state, max(shares)) if shares else None
        self._plan()
        self._compiled: Callable[[Cells], torch.Tensor] | None = None
        self._set(Arithmetic(threads=torch.get_num_threads()))  # until one is chosen
        self.beside = self._beside()
        g = len(parts)
        self.step, self.history, self.ended = 0, list[dict[str, float]](), ""
        self.snapshots: list[dict[str, torch.Tensor]] = []
        self.best = {n: p.detach().clone() for n, p in self.state.items()}
        self.best_score, self.best_step, self.wait = [np.inf] * g, [0] * g, [0] * g
        self.record: dict[str, Any] = {"settings": settings.describe(), "seed": seed, "folds": g, "started": self.started}
        if self.started and self.blend is not None and not getattr(core.backbone, "drawn", True):
            solved = min(s.done for s in self.solves)
            self.record["untold"] = f"the time limit ended the start of the additive part after {1 + solved} solves, without draws of it"
        self.late = False
        self.marks: frozenset[int] = frozenset()
        self.stages: list[tuple[int, dict[str, torch.Tensor]]] = []

    def mark(self, n: int) -> None:
        """Plan to keep the weights n times, evenly spread over the planned steps."""
        self.marks = frozenset(max(1, round(self.last * (k + 1) / n)) for k in range(n))

    def look_back(self) -> None:
        """Keep the weights as they are, where this step is marked."""
        if self.step in self.marks:
            self.stages.append((self.step, {n: p.detach().clone().cpu() for n, p in self.state.items()}))

    def _solves(self, seconds: float | None) -> list[Solves]:
        """Return what each network's start may take: of ``seconds`` an equal share, what time one leaves falling to the next."""
        if self.settings.starts:
            return [Solves(most=n) for n in self.settings.starts]
        now, n = time.monotonic(), len(self.parts)
        return [Solves(None if seconds is None else now + seconds * (g + 1) / n) for g in range(n)]

    def _beside(self) -> torch.Tensor | None:
        """Return the raw outputs (G, R, 1, O) of the additive model on the stop rows, for networks that have one beside them.

        From here on the network leaves it out: it is fitted, and training has no use for it.
        """
        if self.blend is None:
            return None
        self.net.eval()
        self.blend.share.fill_(float(self.started) * (1.0 if self.has_stop else 0.5))
        raw = (
            self._over_stop_rows(self._raw)[:, :, :1, : self.net.n_outputs - self.objective.extra]
            if self.started and self.has_stop
            else None
        )
        self.core.set_apart(True)
        return raw

    def _weigh(self, parts: Sequence[Part]) -> None:
        """Scale the weights to mean 1 over each fold's training rows."""
        self.weights = torch.from_numpy(self.row_weights.astype(np.float32)).to(self.device)
        mean = torch.tensor([float(self.row_weights[train].mean()) for train, _ in parts], dtype=torch.float32)
        self.weight_scale = (1 / mean.clamp(min=1e-12)).to(self.device)[:, None]

    def _plan(self) -> None:
        s = self.settings
        self.steps = s.steps or max(s.min_steps, round(s.epochs * self.batches.per_epoch))
        self.last = self.steps
        if s.max_steps is not None:
            if s.steps is None:
                self.steps = min(self.steps, s.max_steps)
            self.last = min(self.steps, s.max_steps)
        self.first_plan = {"steps": self.steps, "warmup_steps": s.warmup_steps or max(1, round(s.warmup * self.steps))}
        self.warmup = self.first_plan["warmup_steps"]
        self.every = max(1, -(-self.steps // s.evaluations))
        self.full, self.anchor, self.replans = self.steps, (self.warmup, 0.0), list[list[int]]()

    def use(self, arithmetic: Arithmetic) -> None:
        """Fix the arithmetic, torch's threads among it, and make the optimizers."""
        s = self.settings
        self._set(arithmetic)
        self.optimizers = Optimizers(
            self.params, self.net.matrices(), lr=s.lr, weight_decay=s.weight_decay, muon_lr=s.muon_lr, muon_decay=s.muon_decay,
            dtype=torch.bfloat16 if arithmetic.precision == "bf16" else torch.float32,
        )  # fmt: skip
        self.record |= {
            "precision": arithmetic.precision, "compiled": arithmetic.compiled, "threads": arithmetic.threads,
            "shards": arithmetic.shards, "arithmetic": arithmetic.why,
        }  # fmt: skip

    def _set(self, arithmetic: Arithmetic) -> None:
        shards, threads = arithmetic.shards, arithmetic.threads
        torch.set_num_threads(arithmetic.of_torch)
        self.arithmetic = arithmetic
        self.forward = self._network(arithmetic)
        if shards == 1 or threads == 1:
            self.side_by_side: Executor = InProcess()
        elif not isinstance(self.side_by_side, Threads):
            self.side_by_side = Threads(min(shards, threads))

    def choose(self, threads: int | str) -> Arithmetic:
        """Return the arithmetic for this fit, measured where that pays."""
        per_row = sum(self.params[n].numel() for n in self.net.matrices()) * self.net.n_members // len(self.parts)
        if not self.net.additive:
            per_row *= self.net.n_columns  # its matrices meet every token of a row
        limit = self.settings.time_limit
        rows, alone = self.batches.size, len(self.parts) == 1 and (limit is None or limit > COMPILE_SECONDS)
        key = f"{shape_class(self.device, rows, per_row, self.net.n_members)} | {self.settings.describe()['backbone']}"
        return choose_arithmetic(
            self.settings.precision, self.settings.compile if alone else False, threads,
            work=3.0 * self.last * rows * per_row * len(self.parts), steps=self.last, device=self.device, key=key, step=self._trial_step,
            shards=lambda threads: shard_count(threads, rows, rows * per_row) if self._can_shard() else 1,
        )  # fmt: skip

    def _can_shard(self) -> bool:
        """Tell whether the gradient of a batch is the sum of those of its rows, whatever the others are."""
        net = self.net
        return self.device.type == "cpu" and isinstance(net, TableNet) and net.rows_apart and not self.objective.together

    def _trial_step(self, arithmetic: Arithmetic) -> None:
        """Take the gradient of one step and forget it, running statistics included."""
        held = self.arithmetic
        kept = {n: t.clone() for n, t in self.state.items() if n not in self.params}
        self._set(arithmetic)
        self.net.train()
        self.gradients()
        self.net.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in kept.items():
                self.state[name].copy_(value)
        self._set(held)

    def _network(self, arithmetic: Arithmetic) -> Callable[[Cells], torch.Tensor]:
        if not arithmetic.compiled or isinstance(self.net, StackedNet):
            return self._plain
        if self._compiled is None:
            self._compiled = torch.compile(self.net, dynamic=False)
        return self._compiled

    def _plain(self, cells: Cells) -> torch.Tensor:
        out: torch.Tensor = self.net.each(cells) if isinstance(self.net, StackedNet) else self.net(cells)
        return out

    def pretrain(self, deadline: float) -> None:
        """Learn from the cells of the training rows, and of rows without an answer, before the fit, where that is asked for."""
        if self.pretraining is None:
            return
        learned, steps = [train for train, _ in self.parts], max(1, self.steps // 2)
        found = pretrain(self.net, self.cells, learned, self.pretraining, self.settings, self.seed, steps, deadline)
        self.record |= {"pretraining": found}
        self.best = {n: p.detach().clone() for n, p in self.state.items()}

    # -- one step ------------------------------------------------------------------------------------------------------------

    def loss(self, rows: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_], of: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the summed loss of the folds on rows (G, B): each the weighted sum over its rows that count, divided by ``of`` (G,)."""
        at, counts = torch.from_numpy(rows).to(self.device), torch.from_numpy(valid).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.arithmetic.precision == "bf16"):
            learned = self._learn(at)
        raw = learned.outputs.float()
        losses = self._losses(raw, at)
        if self.net.mixes:
            others = self._losses(raw, at.gather(1, learned.partner))
            losses = learned.share * losses + (1 - learned.share) * others
        if not self.net.plain:
            losses = losses + learned.penalty
        weight = self.weights[at] * self.weight_scale * counts
        return ((losses * weight).sum(1) / torch.from_numpy(of).to(self.device)).sum()

    def _losses(self, raw: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Return the losses (G, B) of raw outputs (G, B, K, O) against the targets of rows (G, B)."""
        if self.objective.together:  # every network's batch for itself
            return torch.stack([self.objective.losses(r, self.target[rows]) for r, rows in zip(raw, at)])
        return self.objective.losses(raw.flatten(0, 1), self.target[at.flatten()]).view(at.shape)

    def _learn(self, at: torch.Tensor) -> Learned:
        """Return what the loss reads of rows (G, B), each with a leading axis G."""
        if isinstance(self.net, StackedNet):
            cells = self.cells.take(at)
            return self.net.learn(*self._given(cells, at)) if not self.net.plain else Learned(self.forward(cells), *[at] * 3)
        cells = self.cells.take(at[0])
        if self.net.plain:
            return Learned(self.forward(cells)[None], *[at] * 3)  # the loss reads the outputs alone
        return Learned(*(t[None] for t in self.net.learn(*self._given(cells, at[0]))))

    def _given(self, cells: Cells, at: torch.Tensor) -> tuple[Any, ...]:
        return (cells, self.target[at]) if self.attributes is None else (cells, self.target[at], self.attributes[at])

    def advance(self) -> torch.Tensor:
        """Take one step; returns its loss per fold, detached."""
        loss = self.gradients()
        cycles = self.settings.cycles
        self.optimizers.step(
            warm_cosine(self.step, self.steps, self.warmup, *self.anchor)
            if cycles == 1
            else cyclic_cosine(self.step, self.steps, self.warmup, cycles)
        )
        self.step += 1
        if cycles > 1 and (self.step % cycle_length(self.steps, cycles) == 0 or self.step == self.steps):
            self.snapshots.append({n: t.detach().clone() for n, t in self.state.items()})
        if self.average is not None:
            self.average.take(self.step, self.steps)
        return loss / len(self.parts)

    def gradients(self) -> torch.Tensor:
        """Put the gradients of the step's batch into the parameters; returns the folds' summed loss.

        The shards' gradients are added in their order, whichever was ready first, so that the bits do not depend on the threads.
        """
        seed = random.integer(self.seed, "step", self.step)
        self.core.done = self.step / max(self.steps, 1)
        seed_step(seed, self.device)
        rows, valid = self.batches.rows(self.step)
        of = np.maximum(valid.sum(1), 1)
        params = [p for p in self.params.values() if p.requires_grad]

        def part(i: int) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
            at = slice(i, None, self.arithmetic.shards)
            seed_draws(seed if i == 0 else random.integer(self.seed, "step", self.step, i))
            loss = self.loss(rows[:, at], valid[:, at], of)
            return loss.detach(), torch.autograd.grad(loss, params, allow_unused=True)

        (total, sums), *others = self.side_by_side.map(part, range(self.arithmetic.shards))
        for loss, found in others:
            total = total + loss
            both = [(a, b) for a, b in zip(sums, found) if a is not None and b is not None]
            torch._foreach_add_([a for a, _ in both], [b for _, b in both])
        for p, gradient in zip(params, sums):
            p.grad = gradient
        return total

    # -- scoring -------------------------------------------------------------------------------------------------------------

    def scores(self) -> list[float]:
        """Return each fold's score of the averaged members on its stop rows."""
        self.net.eval()
        if self.beside is None or self.blend is None:
            found = self._scored(self._over_stop_rows(lambda rows: self._answers(self._raw(rows))))
        else:
            share, found = best_share(self._over_stop_rows(self._raw), self.beside, lambda raw: self._scored(self._answers(raw)))
            self.blend.share.fill_(share)  # kept with the state that it belongs to
        self.net.train()
        return found

    def _answers(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the answers (G, B, O) of the averaged members from raw outputs (G, B, K, O)."""
        flat = raw.flatten(0, 1)
        averaged: torch.Tensor = self.objective.stopping(flat) if self.own_score else self.objective.answers(flat).mean(1)
        apart: torch.Tensor = averaged.unflatten(0, raw.shape[:2])
        return apart

    def _scored(self, found: torch.Tensor) -> list[float]:
        """Return each fold's score of answers (G, R, O) to its stop rows."""
        answers = found.numpy()
        return [
            self.score_by(self.truth[rows[ok]], answers[g][ok], self.row_weights[rows[ok]])
            for g, (rows, ok) in enumerate(zip(self.stop, self.stop_valid))
        ]

    def _over_stop_rows(self, function: Callable[[npt.NDArray[np.int64]], torch.Tensor]) -> torch.Tensor:
        """Return what a function of rows (G, B) gives for all stop rows, (G, R, ...)."""
        height = EVAL_CHUNK // self.arithmetic.shards
        chunks = (self.stop[:, start : start + height] for start in range(0, self.stop.shape[1], height))
        return torch.cat(list(self.side_by_side.map(function, chunks)), 1)

    @torch.inference_mode()
    def _raw(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return raw outputs (G, B, K, O) on rows (G, B), on the processor."""
        at = torch.from_numpy(rows).to(self.device)
        raw = self.net.each(self.cells.take(at)) if isinstance(self.net, StackedNet) else self.net(self.cells.take(at[0]))[None]
        return raw.float().cpu()

    def evaluate(self) -> float:
        """Score the folds, keep their best states, count how long each has waited; returns the mean score in the user's direction."""
        with contextlib.nullcontext() if self.average is None else self.average.shown():
            return self._evaluate()

    def _evaluate(self) -> float:
        found = self.scores()
        # a network that unlearns an attribute answers best before it has unlearned it: such states do not count
        if self.attributes is not None and self.step < self.last / 2:
            return self.score_by.shown(float(np.mean(found)))
        for g, score in enumerate(found):
            better = score < self.best_score[g]
            self.wait[g] = 0 if better else self.wait[g] + 1
            if better:
                self.best_score[g], self.best_step[g] = score, self.step
                self._keep(g)
        return self.score_by.shown(float(np.mean(found)))

    @torch.no_grad()
    def _keep(self, g: int) -> None:
        stacked = isinstance(self.net, StackedNet)
        for name, value in self.state.items():
            if stacked:
                self.best[name][g].copy_(value[g])
            else:
                self.best[name].copy_(value)

    def replan(self, steps: int, apart: Callable[[int], int]) -> None:
        """Plan for another number of steps in all, at most those without a clock; what was planned is kept, for a replay.

        Parameters
        ----------
        steps : the new plan. apart : from the steps between two scores that the plan asks for to those that are allowed.
        """
        s = self.settings
        steps = min(max(steps, self.step + 1), self.full)
        if steps == self.steps:
            return
        warmup = min(self.warmup, max(self.step, round(s.warmup * steps), 1)) if self.step < self.warmup else self.warmup
        every = apart(max(1, -(-steps // s.evaluations)))
        self._turn([self.step, steps, warmup, every])

    def follow(self) -> None:
        """Take the turns of a plan that a replay was given."""
        for turn in self.settings.replans:
            if turn[0] == self.step:
                self._turn(list(turn))

    def _turn(self, turn: list[int]) -> None:
        step, steps, warmup, every = turn
        self.anchor = (warmup, 0.0) if step <= warmup else (step, progress(step, self.steps, *self.anchor))
        most = self.settings.max_steps
        self.steps, self.warmup, self.every, self.last = steps, warmup, every, steps if most is None else min(steps, most)
        self.replans.append(turn)

    # -- the end -------------------------------------------------------------------------------------------------------------

    def settle(self) -> TableNet | StackedNet:
        """Put the best state in (the last one where nothing was scored) and return the network, ready to answer, on the processor."""
        if not self.has_stop:
            with contextlib.nullcontext() if self.average is None else self.average.shown():
                self.best = {n: p.detach().clone() for n, p in self.state.items()}
            self.best_step = [self.step] * len(self.parts)
        self._put(self.best)
        self.core.losses = None  # a user's function does not travel with the weights
        if self.blend is not None:
            self.core.leave_out_silent()
        self.net.cpu().eval()
        return self._all_snapshots() if self.snapshots else self.net

    @property
    def tells(self) -> bool:
        """Whether there are last layers, and a share, whose law is known (``training/head_doubt.py``)."""
        plain = usual(self.objective) and not self.settings.bayes and not self.snapshots and hasattr(self.core.head, "sways")
        return self.blend is not None and plain and self.settings.tells and self.blend.turns.numel() > 0

    def skip_telling(self) -> None:
        """Note that there was no time for :meth:`tell`."""
        self.late = True
        earlier = self.record.get("untold")
        self.record["untold"] = "the time limit left no time for draws of the last layers" + ("" if earlier is None else f"; {earlier}")

    def tell(self) -> None:
        """Make the draws of last layers and share that doubt asks; answers stay as they are. After :meth:`settle`."""
        head: Any = self.core.head
        several, losses, counts = isinstance(self.net, StackedNet), [], []
        for g, (rows, stop) in enumerate(self.parts):
            net = self.net.single(g) if isinstance(self.net, StackedNet) else self.net
            given = self.host_cells, self.target.cpu(), self.row_weights
            learned = halves(net, *given, rows, self.objective)
            away = halves(net, *given, stop, self.objective) if len(stop) else None
            turns = weight_draws(learned, away, self.objective, random.integer(self.seed, "turns", g))
            (head.turns[g] if several else head.turns).copy_(turns)
            if away is not None and away.additive is not None:
                losses.append(share_losses(away, self.objective))
                counts.append(away.of)
        if self.started and losses:
            head.sways.copy_(share_draws(losses, counts, self.objective, self.net.n_members // len(self.parts), self.seed))

    @torch.no_grad()
    def _put(self, state: dict[str, torch.Tensor]) -> None:
        for name, value in self.state.items():
            value.copy_(state[name])

    def _all_snapshots(self) -> StackedNet:
        """Return the networks at the ends of the cycles side by side, each fold's together."""
        found: list[list[TableNet]] = []
        for state in self.snapshots:
            self._put(state)
            stack = self.net
            one = [stack.single(g) for g in range(stack.n_nets)] if isinstance(stack, StackedNet) else [copy.deepcopy(stack)]
            found.append(one)
        return StackedNet([nets[g] for g in range(len(self.parts)) for nets in found]).eval()

    def held_out(self) -> npt.NDArray[np.float32]:
        """Return raw outputs (N, K, O) of each row by the network that held it out, NaN for rows that none held out."""
        g = len(self.parts)
        outputs = np.full((len(self.truth), self.net.n_members // g, self.net.n_outputs), np.nan, np.float32)
        held = [np.asarray(stop, np.int64) for _, stop in self.parts]
        rows = np.concatenate(held)
        if len(rows):
            raw = (
                predict_in_chunks(self.net, self.host_cells.take(torch.from_numpy(rows)), concurrent=isinstance(self.net, TableNet))
                .unflatten(1, (g, -1))
                .numpy()
            )
            outputs[rows] = raw[np.arange(len(rows)), np.repeat(np.arange(g), [len(h) for h in held])]
        return outputs

    def summary(self) -> dict[str, Any]:
        """Return what the record says of the fit."""
        return self.record | {
            "steps_planned": self.steps, "steps_done": self.step, "best_step": self.best_step, "ended": self.ended,
            "stop_metric": self.score_by.name,
            "stop_score": [self.score_by.shown(s) for s in self.best_score] if self.has_stop else [],
            "batch": self.batches.size,
            "parameters": sum(p.numel() for p in self.params.values()),
            **({} if self.blend is None else {
                "additive_share": [round(float(w), 3) for w in self.blend.share.flatten()],
                "dropout": self.core.backbone.deep.dropout,  # type: ignore[union-attr]  # left out where the additive model says so
            }),
            # changes of the settings that give this fit again, without a clock
            "replay": {
                **self.first_plan, "replans": tuple(tuple(turn) for turn in self.replans),
                "starts": tuple(s.done for s in self.solves) if any(s.cut for s in self.solves) else (),
                "tells": self.settings.tells and not self.late,
                "max_steps": self.step, "time_limit": None,
                "precision": self.arithmetic.precision, "compile": self.arithmetic.compiled,
            },
        }  # fmt: skip
