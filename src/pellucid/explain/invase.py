"""INVASE: as many columns per row as the answer needs, each by a coin of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pellucid.explain import selectors
from pellucid.explain.question import Question
from pellucid.explain.selectors import Complement, Cooling, Loss, Method, Problem, by_score
from pellucid.protocols import FittedExplainer
from pellucid.results import Explanation

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SETTINGS", "explain", "fit"]

SETTINGS: Mapping[str, Any] = {**selectors.SETTINGS, "penalty": 0.05}
"""``penalty``: what one more column must be worth, as a share of the nats that all columns tell."""


def explain(question: Question) -> Explanation:
    """Return the probability of each column's coin; no sign.

    Yoon, Jordon and van der Schaar 2019, "INVASE: Instance-wise variable selection using neural networks", ICLR. Fitted beforehand by
    ``pellucid.fit_explainer``. Cost: one model row per row.
    """
    return selectors.explain(question, METHOD)


def fit(question: Question, settings: Mapping[str, Any]) -> FittedExplainer:
    """Return a selector fitted to the model's answers, or to labels."""
    return selectors.fit(question, settings, METHOD)


def _learner(problem: Problem) -> tuple[nn.Module, nn.ModuleList, Loss, dict[str, Any]]:
    """Return the selector, the networks and the loss.

    The predictor learns from drawn choices. The selector learns by the score of its draws, weighted with how much worse the predictor is
    than a baseline, and pays for every column.
    # NOTE[DIFF] two choices are drawn per row and each is the other's baseline (leave one out), where the paper's baseline is a predictor
    that sees all columns: both take out what is hard about the row, and this one also what the usual choice costs there.
    # NOTE[DIFF] coins cool slowly (``Cooling``): without that, columns that count in some rows are chosen in all.
    """
    import torch
    from torch import nn

    goal, generator, penalty = problem.goal, problem.generator, float(problem.chosen["penalty"]) * problem.worth
    selector, predictor = problem.selector(), problem.predictor()
    problem.warm(predictor, problem.at_random)
    rest = Complement(problem, predictor) if problem.chosen["complete"] else None

    cooling = Cooling(problem)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        rows = torch.cat([rows, rows])
        x, target = problem.x[rows], goal.target[rows]
        logits = selector(x[: len(x) // 2]).repeat(2, 1)
        chance = logits.sigmoid()
        z = (torch.rand(chance.shape, generator=generator) < chance.detach()).float()
        missed = goal.loss(predictor(problem.keep(x, z)), target)
        cost = missed.detach()
        total: torch.Tensor = (
            missed.mean() + problem.at_random(predictor, rows[: len(rows) // 2]) + penalty * chance.sum(1).mean() + cooling(logits)
        )
        if rest is not None:
            total = total + rest.loss(rows, z)
            cost = cost + rest.told(rows, z).detach()
        return total + by_score(logits, z, cost)

    return selector, nn.ModuleList([selector, predictor, *([rest.net] if rest else [])]), loss, {}


def _chances(logits: torch.Tensor, chosen: Mapping[str, Any], seed: int) -> tuple[torch.Tensor, None]:
    return logits.sigmoid(), None


METHOD = Method("invase", SETTINGS, _learner, _chances)
