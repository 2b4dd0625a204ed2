"""The training loop: resident tensors, large fixed batches, early stopping, checkpoints, a clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.errors import RequestError
from pellucid.execution import keep_memory, limit_threads
from pellucid.nn.cells import Cells
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.checkpoint import Saver
from pellucid.training.clock import Clock
from pellucid.training.head_doubt import MOST_ROWS
from pellucid.training.objectives import Objective
from pellucid.training.pretraining import Pretraining
from pellucid.training.recipe import TrainSettings
from pellucid.training.run import Part, Run

__all__ = ["FittedNetwork", "choose_device", "fit_network"]

Progress = Callable[[int, int, float, float, float], None]

MOST_TRIED, TRIED = 20, 0.05  # steps, or share of the time left, after which a fit with a limit is planned first
START = 0.25  # of the time there is, at most, that finding a good beginning may take
CLOSE = 0.02  # a plan is left alone where the time there is asks for one that differs by less
TOLD = 3.0  # a row in the law of the last layers, as a multiple of one that is answered
SLOWER = 1.5  # answers in chunks of one size, as predictions are, against scores on the stop rows


@dataclass(frozen=True)
class FittedNetwork:
    """What training gives.

    Attributes
    ----------
    net : the best state, in eval mode, on the processor; a :class:`StackedNet` where there was more than one fold.
    history : one entry per evaluation: step, epoch, train_loss, stop_score (of the metric, in the user's direction; the mean over
        folds), seconds.
    record : settings, seed, device, threads, precision, steps planned and done, best step per fold, why it ended, seconds, and
        ``replay``: ``dataclasses.replace(settings, **record["replay"])`` gives this fit again without a clock.
    fold_outputs : raw outputs (N, K, O) float32 of each row by the network that held it out; NaN for rows that no fold held out.
    stages : pairs (step, weights by name) from along the way, where they were asked for.
    """

    net: TableNet | StackedNet
    history: list[dict[str, float]]
    record: dict[str, Any]
    fold_outputs: npt.NDArray[np.float32]
    stages: tuple[tuple[int, dict[str, torch.Tensor]], ...] = ()


def choose_device(device: str = "auto") -> torch.device:
    """Return the device: ``"auto"`` takes CUDA, then MPS, then the processor.

    Raises
    ------
    RequestError : torch knows no such device, or this machine or this build of torch has none.
    """
    if device == "auto":
        there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(there)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as wrong:  # torch has a type for each kind of absence
        raise RequestError(
            "this device cannot be used", expected=f"one that this machine has: {', '.join(_devices())}", got=repr(device),
            do="choose one of these, or 'auto'; for CUDA install a build of torch that has it",
        ) from wrong  # fmt: skip
    return torch.device(device)


def _devices() -> list[str]:
    """Return the devices that this machine and this build of torch have."""
    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def fit_network(
    build: Callable[[int], TableNet],
    cells: Cells,
    target: npt.NDArray[Any],
    weights: npt.NDArray[np.float64] | None,
    parts: Sequence[Part],
    objective: Objective,
    settings: TrainSettings,
    *,
    seed: int = 0,
    device: str = "auto",
    threads: int | str = "auto",
    stop_metric: Any = None,
    checkpoint: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    deadline: float | None = None,
    pretraining: Pretraining | None = None,
    answers_after: int = 0,
    stages: int = 0,
    attributes: npt.NDArray[np.int64] | None = None,
) -> FittedNetwork:
    """Train one network, or one per fold side by side, and return its best state.

    Parameters
    ----------
    build : ``seed -> TableNet``; called once per fold.
    cells : (N, ...) encoded rows, all that any part names.
    target : (N,) class codes, or (N,) or (N, O) values in the target's unit.
    weights : (N,) row weights, or None.
    parts : G pairs (train rows, stop rows). With one pair without stop rows the last state is kept.
    objective : loss and answers.
    settings : of network and training.
    seed : of weights, batches and dropout; the same seed, settings and threads give the same bits.
    device : ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    threads : for torch, restored afterwards.
    stop_metric : None, a name of ``training.metrics.METRICS`` or a callable; see ``training.metrics.metric``.
    checkpoint : folder for checkpoints, or None.
    resume : go on from the checkpoint in that folder, if there is one, to the bits of an uninterrupted fit.
    progress : ``(step, steps, train_loss, stop_score, seconds_left)``, called after every evaluation.
    deadline : ``time.monotonic()`` at which the fit must have ended; the earlier of it and ``settings.time_limit`` counts.
    answers_after : rows that the caller lets every network answer when the fit is done, before the same deadline.
    pretraining : what to learn from the cells alone before the fit, or None; at most a third of the time goes to it.
    attributes : (N, A) codes that a decomposed network should not tell, -1 where unknown; states of the fit's first half do not
        count then.
    stages : how many copies of the weights to keep, evenly spread over the planned steps; a fit that ends early keeps fewer.
    """
    started = time.monotonic()
    if settings.time_limit is not None:
        deadline = min(deadline or np.inf, started + settings.time_limit)
    if not parts or any(len(train) == 0 for train, _ in parts):
        raise RequestError("there are no rows to train on")
    with limit_threads(threads), keep_memory(), _own_random_numbers():
        begins = None if deadline is None else max(deadline - time.monotonic(), 0.0) * START
        where = choose_device(device)
        run = Run(
            build, cells, target, weights, parts, objective, settings, seed, where, stop_metric, pretraining, begins, attributes
        )  # fmt: skip
        run.record |= {"device": str(run.device)}
        saver = Saver(run, checkpoint, resume)
        run.use(saver.arithmetic() or run.choose(threads))
        if saver.found is None:
            run.pretrain(np.inf if deadline is None else started + (deadline - started) / 3)
        saver.load()
        run.mark(stages)
        held = sum(len(stop) for _, stop in parts)
        scored = max(run.stop.shape[1], 1)  # rows of each network that a score reads
        # a score is of all networks at once, and so are these rows counted: of one network
        told = TOLD * sum(min(len(rows), MOST_ROWS) for part in parts for rows in part) / len(parts) if run.tells else 0
        after = SLOWER * (held + answers_after + told) / scored if run.has_stop else 0.0
        history = _train(run, Clock(started, deadline, after), saver, progress)
        net = run.settle()
        if run.tells and deadline is not None and time.monotonic() > deadline:
            run.skip_telling()
        elif run.tells:
            run.tell()
        outputs = run.held_out()
        return FittedNetwork(net, history, run.summary() | {"seconds": time.monotonic() - started}, outputs, tuple(run.stages))


@contextlib.contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Leave the caller's random numbers as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_available() else []):
        yield


def _train(run: Run, clock: Clock, saver: Saver, progress: Progress | None) -> list[dict[str, float]]:
    """Go from where the fit stands to its end; returns the history."""
    run.net.train()
    first, planned = run.step, clock.deadline is None or run.step >= run.warmup
    losses = list[torch.Tensor]()
    if run.started and run.step == 0 and run.has_stop:
        before = clock.now()
        run.evaluate()  # where it begins may be the best place already
        clock.scoring = clock.now() - before
    clock.begin(first)
    while run.step < run.last and not run.ended:
        losses.append(run.advance())
        run.look_back()
        if clock.over():
            run.ended = "time limit"
        tried = not planned and (run.step - first > MOST_TRIED or clock.now() - clock.at > TRIED * clock.left())
        due = (run.step % run.every == 0 and run.step > run.warmup) or run.step >= run.last or bool(run.ended)
        if due:
            clock.mark(run.step, _take_stock(run, losses, clock))
            losses.clear()
        elif run.step == first + 1:
            clock.begin(run.step)  # the first step prepares much that the others have no need of
        elif tried:
            clock.mark(run.step, 0.0)
        # last of all: a replay turns at the same place
        if (due or tried) and not run.ended and run.step < run.last:
            planned = True
            _replan(run, clock)
        run.follow()
        if due:
            _tell(run, progress, clock)
        saver.maybe()
    run.ended = run.ended or ("planned steps done" if run.last == run.steps else "max_steps")
    return run.history


def _replan(run: Run, clock: Clock) -> None:
    """Plan for the time there is: the rates then reach their end with it, neither cut off nor long before."""
    if clock.deadline is None or not clock.pace:
        return
    ahead = clock.steps(_evaluations(run))
    if abs(ahead - (run.steps - run.step)) > CLOSE * max(run.steps - run.step, 1):
        run.replan(run.step + max(ahead, 1), clock.apart)


def _evaluations(run: Run) -> float:
    """Return how many scores are still to come."""
    return (run.last - run.step) / run.every if run.has_stop else 0.0


def _take_stock(run: Run, losses: Sequence[torch.Tensor], clock: Clock) -> float:
    """Score, and see whether to go on; returns the seconds it took."""
    loss = float(torch.stack(list(losses)).mean())  # waits for the steps, which are not part of the scoring
    before = clock.now()
    entry = {"step": run.step, "epoch": run.step / run.batches.per_epoch, "train_loss": loss}
    if run.has_stop:
        entry["stop_score"] = run.evaluate()
    run.history.append(entry | {"seconds": clock.used})
    if not np.isfinite(loss):
        run.ended = "the loss is not finite"
    # a plan that the clock has shortened goes to its end: what it gains, it gains as the rates fall
    elif run.has_stop and min(run.wait) >= run.settings.patience and run.steps >= run.full:
        run.ended = "no better score"
    return clock.now() - before if run.has_stop else 0.0


def _tell(run: Run, progress: Progress | None, clock: Clock) -> None:
    if progress is None:
        return
    entry = run.history[-1]
    left = 0.0 if run.ended else clock.to_come(run.last - run.step, _evaluations(run))
    progress(run.step, run.last, entry["train_loss"], entry.get("stop_score", float("nan")), left)
