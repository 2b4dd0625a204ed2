"""LEX: the columns from which the answer can be told when all others are drawn anew, several times, given those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain import selectors
from pellucid.explain.choice import LabelPredictor, goal_from
from pellucid.explain.question import Question
from pellucid.explain.selectors import Complement, Cooling, Loss, Method, Problem, by_score, sampled_chances
from pellucid.probe.sampler import Conditionals
from pellucid.protocols import FittedExplainer
from pellucid.random import integer, stream
from pellucid.results import Explanation
from pellucid.table import ColumnType

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SETTINGS", "explain", "fit"]

MODES = ("auto", "fixed", "free")
COPIES = 3
SETTINGS: Mapping[str, Any] = {
    **selectors.SETTINGS, "batch": 128, "k": None, "penalty": 0.05, "temperature": 0.5, "imputations": 10, "mode": "auto",
}  # fmt: skip
"""``k``: columns in each row, or None: as many as are worth the share ``penalty`` of the nats that
all columns tell. ``temperature``: of the softened choice through which gradients pass where k is fixed. ``imputations``: rows drawn
inside the logarithm.
``mode``: ``"fixed"`` explains the model as it is, ``"free"`` learns a predictor from the labels or the model
first, ``"auto"`` is fixed where there is a
model."""


def explain(question: Question) -> Explanation:
    """Return the probability that each column is chosen; no sign, with the error of its draws where k is fixed.

    Senetaire, Garreau, Frellsen and Mattei 2023, "Explainability as statistical inference", ICML, arXiv:2212.03131. Fitted beforehand by
    ``pellucid.fit_explainer``. Cost: one model row per row.
    """
    return selectors.explain(question, METHOD)


def fit(question: Question, settings: Mapping[str, Any]) -> FittedExplainer:
    """Return a selector fitted to the model's answers, or to labels. Cost in fixed mode: four model rows per row."""
    return selectors.fit(question, settings, METHOD)


def _learner(problem: Problem) -> tuple[nn.Module, nn.ModuleList, Loss, dict[str, Any]]:
    """Return the selector, the networks and the loss: minus the logarithm of the mean probability over rows whose other cells are drawn.

    # NOTE[DIFF] where k is fixed the gradient passes through a hard choice as if it were soft (straight through), for the chosen cell
    stands in the place of a drawn one; otherwise coins learn by the score of two draws a row and cool slowly: through soft coins columns
    that count in some rows were chosen in all. A model held fixed is asked through a network that was fitted to its answers on whole and on
    partly drawn rows, because a black box gives no gradient. How well that copy answers on held-out rows is stated. Where the predictor is
    free, it learns from whole rows beforehand, and the selector explains its answers: the two cannot agree on a code.
    """
    import torch
    from torch import nn

    from pellucid.nn.selector import subset

    chosen, goal, generator = problem.chosen, problem.goal, problem.generator
    sampler, mode = _sampler(problem), _mode(problem)
    slots = sampler.slots(problem.table)
    cells, owner = torch.as_tensor(slots, dtype=torch.float32), torch.as_tensor(problem.player_of_column[sampler.owner])
    columns = torch.as_tensor(problem.player_of_column)
    selector, draw = problem.selector(), stream(problem.question.seed, "imputations")
    predictor, facts = _copy(problem, sampler, cells) if mode == "fixed" else (problem.fitted(cells, "theta").requires_grad_(False), {})
    answers = goal.target if mode == "fixed" else predictor(cells).softmax(-1) if goal.classes else predictor(cells)
    rest = Complement(problem) if chosen["complete"] else None
    penalty = float(chosen["penalty"]) * problem.worth
    k, temperature, size = chosen["k"], float(chosen["temperature"]), int(chosen["imputations"])
    if k is not None:
        selectors.size_of(chosen, problem.n_players)

    cooling = Cooling(problem)

    def missed(rows: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        known = (z.detach() > 0.5)[:, columns].numpy()
        drawn = torch.as_tensor(sampler.draws(slots[rows.numpy()], known, size, draw), dtype=torch.float32)  # (S, N, F)
        kept = z[:, owner]
        return goal.joined(predictor(kept * cells[rows] + (1 - kept) * drawn), answers[rows])

    def fixed(rows: torch.Tensor) -> torch.Tensor:
        z = subset(selector(problem.x[rows]), int(k), temperature, generator)
        total = missed(rows, z).mean()
        return total if rest is None else total + rest.loss(rows, z) + rest.told(rows, z).mean()

    def loss(rows: torch.Tensor) -> torch.Tensor:
        logits, rows = selector(problem.x[rows]).repeat(2, 1), rows.repeat(2)
        chance = logits.sigmoid()
        z = (torch.rand(chance.shape, generator=generator) < chance.detach()).float()
        with torch.no_grad():
            cost = missed(rows, z)
        total: torch.Tensor = penalty * chance.sum(1).mean() + cooling(logits)
        if rest is not None:
            total, cost = total + rest.loss(rows, z), cost + rest.told(rows, z).detach()
        return total + by_score(logits, z, cost)

    return selector, nn.ModuleList([selector, *([rest.net] if rest else [])]), loss if k is None else fixed, {"mode": mode, **facts}


def _sampler(problem: Problem) -> Conditionals:
    words = [c.name for c in problem.table.schema if c.type is ColumnType.TEXT]
    if words:
        raise RequestError("'lex' draws cells given others, which it cannot do for text", got=", ".join(words), do="use method='invase'")
    return Conditionals(problem.table)


def _mode(problem: Problem) -> str:
    mode, labels = problem.chosen["mode"], isinstance(problem.question.view.inner, LabelPredictor)
    if mode not in MODES:
        raise RequestError(f"there is no mode {mode!r}", expected=f"one of {', '.join(MODES)}")
    if mode == "fixed" and labels:
        raise RequestError("there is no model to hold fixed", do="pass a model, or mode='free'")
    return ("free" if labels else "fixed") if mode == "auto" else str(mode)


def _copy(problem: Problem, sampler: Conditionals, cells: torch.Tensor) -> tuple[nn.Module, dict[str, Any]]:
    """Return a frozen network with the model's answers, learned from the rows and from copies with cells drawn anew."""
    import torch

    question, view = problem.question, problem.question.view
    draw = stream(question.seed, "copies")
    n, raws, inputs = len(problem.table), [], [cells]
    for i in range(COPIES):
        known = draw.random((n, len(problem.table.columns))) < draw.random((n, 1))
        (made,) = sampler.sample(problem.table, known, 1, integer(question.seed, "copy", i))
        raws.append(np.asarray(view.inner.raw(made.select(view.columns)), np.float64))
        inputs.append(torch.as_tensor(sampler.slots(made), dtype=torch.float32))
    view.n_calls += COPIES * n
    target = torch.cat([problem.goal.target, *(goal_from(view.inner, raw, problem.goal).target for raw in raws)])
    every = torch.cat(inputs)
    net = problem.predictor(cells.shape[1], "copy")

    def loss(rows: torch.Tensor) -> torch.Tensor:
        at = rows + n * torch.randint(0, COPIES + 1, rows.shape, generator=problem.generator)
        return problem.goal.loss(net(every[at]), target[at]).mean()

    problem.train(net, loss, 2 * problem.steps, rate=2e-3)
    net.requires_grad_(False)
    held = torch.cat([problem.held + n * i for i in range(1, COPIES + 1)])
    out = net(every[held])
    out = out.softmax(-1) if problem.goal.classes else out
    missed = (out - target[held]).square().sum() / (target[held] - target[held].mean(0)).square().sum().clamp(min=1e-12)
    return net, {"copy_r2": 1 - float(missed)}


def _chances(logits: torch.Tensor, chosen: Mapping[str, Any], seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    return (logits.sigmoid(), None) if chosen["k"] is None else sampled_chances(logits, int(chosen["k"]), seed)


METHOD = Method("lex", SETTINGS, _learner, _chances)
