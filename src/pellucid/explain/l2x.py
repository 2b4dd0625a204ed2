"""L2X: a fixed number of columns per row, chosen so that they tell as much of the answer as they can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pellucid.explain import selectors
from pellucid.explain.question import Question
from pellucid.explain.selectors import Complement, Loss, Method, Problem, size_of
from pellucid.protocols import FittedExplainer
from pellucid.results import Explanation

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SETTINGS", "explain", "fit"]

SETTINGS: Mapping[str, Any] = {**selectors.SETTINGS, "k": None, "temperature": 0.1}
"""``k``: columns chosen in each row (None: a third of them). ``temperature``: how soft the draws are."""


def explain(question: Question) -> Explanation:
    """Return the probability that each column is among k draws of the selector, 1 - (1 - share)^k; no sign.

    Chen, Song, Wainwright and Jordan 2018, arXiv:1802.07814. Fitted beforehand by ``pellucid.fit_explainer``. Cost: one model row per row.
    """
    return selectors.explain(question, METHOD)


def fit(question: Question, settings: Mapping[str, Any]) -> FittedExplainer:
    """Return a selector fitted to the model's answers, or to labels."""
    return selectors.fit(question, settings, METHOD)


def _learner(problem: Problem) -> tuple[nn.Module, nn.ModuleList, Loss, dict[str, Any]]:
    """Return the selector, the networks and the loss: what the predictor misses when it sees k softened draws of columns."""
    from torch import nn

    from pellucid.nn.selector import union_of_draws

    k, temperature = size_of(problem.chosen, problem.n_players), float(problem.chosen["temperature"])
    selector, predictor = problem.selector(), problem.predictor()
    problem.warm(predictor, problem.at_random)
    rest = Complement(problem, predictor) if problem.chosen["complete"] else None

    def loss(rows: torch.Tensor) -> torch.Tensor:
        x = problem.x[rows]
        z = union_of_draws(selector(x), k, temperature, problem.generator)
        total = problem.goal.loss(predictor(problem.keep(x, z)), problem.goal.target[rows]).mean()
        total = total + problem.at_random(predictor, rows)
        return total if rest is None else total + rest.loss(rows, z) + rest.told(rows, z).mean()

    return selector, nn.ModuleList([selector, predictor, *([rest.net] if rest else [])]), loss, {}


def _chances(logits: torch.Tensor, chosen: Mapping[str, Any], seed: int) -> tuple[torch.Tensor, None]:
    return 1 - (1 - logits.softmax(-1)) ** size_of(chosen, logits.shape[1]), None


METHOD = Method("l2x", SETTINGS, _learner, _chances)
