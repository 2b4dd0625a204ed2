"""Deliberately wrong backbones, encoders, parts of certainty, audits, trials and estimators, one fault each.

On each of them the check of the same subject must go red (``tests/testing/test_saboteurs.py``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = [
    "BACKBONES",
    "EXPLAINERS_OF_TRIALS",
    "ForgetsTheOne",
    "cries_wolf",
    "doubts_agreeing_members",
    "finds_everything_familiar",
    "forgets_the_one",
    "jargon",
    "leaky_encoder",
    "mumbles",
    "never_fails",
    "never_passes",
    "overconfident",
    "restless",
    "stays_silent",
]


class _Plain(nn.Module):
    """A backbone without a fault: tokens (N, C, D) to (N, H). The saboteurs change one thing each."""

    def __init__(self, n_tokens: int, d_token: int, **_: Any) -> None:
        super().__init__()
        self.first = nn.Linear(n_tokens * d_token, 16)
        self.second = nn.Linear(16, 16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(tokens.flatten(1)))))


class BadShape(_Plain):
    """Returns NaN for tables of one column."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().forward(tokens) / (tokens.shape[1] - 1) if tokens.shape[1] == 1 else super().forward(tokens)


class DeadWeight(_Plain):
    """Holds a layer that nothing reads."""

    def __init__(self, n_tokens: int, d_token: int, **options: Any) -> None:
        super().__init__(n_tokens, d_token, **options)
        self.unused = nn.Linear(4, 4)


class LeakyRows(_Plain):
    """Subtracts the mean of the rows beside it, in evaluation too."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        out = super().forward(tokens)
        return out - 0.5 * out.mean(0)


class Noisy(_Plain):
    """Drops entries at random, in evaluation too."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(tokens), 0.2, training=True)


class Unseeded(_Plain):
    """Takes its weights from a generator of its own."""

    _calls = itertools.count()

    def __init__(self, n_tokens: int, d_token: int, **options: Any) -> None:
        super().__init__(n_tokens, d_token, **options)
        nn.init.normal_(self.second.weight, generator=torch.Generator().manual_seed(next(self._calls)))


class Stateless(_Plain):
    """Keeps a scale outside its state."""

    _calls = itertools.count(1)

    def __init__(self, n_tokens: int, d_token: int, **options: Any) -> None:
        super().__init__(n_tokens, d_token, **options)
        self.scale = 1.0 + next(self._calls)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().forward(tokens) * self.scale


class WrongEntrance(_Plain):
    """Claims that its first stage is a sum over columns, and forgets its bias when entered there."""

    additive = True
    members, width = 1, 16

    def __init__(self, n_tokens: int, d_token: int, **options: Any) -> None:
        super().__init__(n_tokens, d_token, **options)
        self.weight = nn.Parameter(torch.randn(n_tokens, d_token, 16) * 0.3)
        del self.first

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the columns' parts."""
        return torch.einsum("ncd,cdw->ncw", tokens, self.weight)

    def from_sum(self, total: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the hidden state from the sum of the parts."""
        return torch.relu(self.second(torch.relu(total)))[:, None], {}

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.parts(tokens).sum(1) + 0.5)))[:, None]


class MixedParts(WrongEntrance):
    """Lets each column's part read its neighbour."""

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return parts that mix."""
        return super().parts(tokens + 0.1 * tokens.roll(1, 1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.from_sum(self.parts(tokens).sum(1))[0]


class Frozen(_Plain):
    """Answers from a constant buffer: resetting its weights changes nothing."""

    def __init__(self, n_tokens: int, d_token: int, **options: Any) -> None:
        super().__init__(n_tokens, d_token, **options)
        self.register_buffer("constant", torch.zeros(16))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.constant.expand(len(tokens), -1) + 0.0 * super().forward(tokens)  # type: ignore[operator]


BACKBONES: dict[str, type[nn.Module]] = {
    "shapes_hold": BadShape,
    "gradient_reaches_every_parameter": DeadWeight,
    "rows_are_independent": LeakyRows,
    "evaluation_is_repeatable": Noisy,
    "the_same_seed_gives_the_same_weights": Unseeded,
    "state_makes_the_round_trip": Stateless,
    "the_entrances_agree": WrongEntrance,
    "parts_of_columns_do_not_mix": MixedParts,
    "layers_can_be_reset": Frozen,
    "it_learns_a_rule": Frozen,
}
"""By check, the backbone on which it must go red."""


def forgets_the_one(truth: FloatArray, answers: FloatArray, new: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return intervals from the ceil(n level)-th score instead of the ceil((n + 1) level)-th."""
    scores = np.sort(np.abs(truth - answers))
    half = scores[int(np.ceil(len(scores) * level)) - 1]
    return new - half, new + half


class ForgetsTheOne:
    """The same fault for sets of classes."""

    def __call__(self, truth: FloatArray, answers: FloatArray, new: FloatArray, level: float) -> FloatArray:
        scores = np.sort(1 - answers[np.arange(len(truth)), truth.astype(int)])
        return np.asarray(1 - new <= scores[int(np.ceil(len(scores) * level)) - 1], float)


class _Power:
    def __init__(self, power: float) -> None:
        self.power = power

    def apply(self, p: FloatArray) -> FloatArray:
        """Return probabilities to a power, normalised."""
        q = np.asarray(p) ** self.power
        return np.asarray(q / q.sum(1, keepdims=True))


def overconfident(probabilities: FloatArray, labels: Any) -> _Power:
    """Return a calibrator that leaves everything as it is, right or wrong."""
    return _Power(1.0)


def restless(probabilities: FloatArray, labels: Any) -> _Power:
    """Return a calibrator that always changes something."""
    return _Power(0.5)


def doubts_agreeing_members(members: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return total doubt as epistemic doubt, whether the members agree or not."""
    total = -(members.mean(1) * np.log(members.mean(1) + 1e-12)).sum(-1)
    return np.zeros_like(total), total


def finds_everything_familiar(kept: Any, held_out: Any, new: Any) -> tuple[FloatArray, tuple[None, ...]]:
    """Return percentiles drawn at random."""
    return stream(0, "familiar").uniform(0, 100, len(new)), (None,) * len(new)


def cries_wolf(view: Any) -> list[Any]:
    """Return a finding for every table, without a remedy."""
    return [view.finding("wolf", "high", [view.table.columns[0]], "there is a wolf in 3 rows", "")]


def stays_silent(view: Any) -> list[Any]:
    """Return nothing, whatever the table."""
    return []


def leaky_encoder(table: Any, target: Any) -> Any:
    """Return the package's encoder, whose numbers are centred on the rows that are asked about."""
    from pellucid.testing.checks_encoder import table_encoder

    encoder = table_encoder(table, target)
    plain = encoder.transform

    def transform(rows: Any) -> Any:
        out = plain(rows)
        return replace(out, numbers=out.numbers - out.numbers.mean(), unseen=np.zeros_like(out.unseen))

    encoder.transform = transform
    return encoder


def _verdict(verdict: str) -> Callable[..., Trial]:
    def run(explainer: Any, predictor: Any, table: Any, **_: Any) -> Trial:
        made = explainer(predictor, table)
        return Trial("double", 0.5, (0.4, 0.6), 0.5, verdict, "A verdict that does not depend on the explanation.", made.record)

    return run


never_fails, never_passes = _verdict("pass"), _verdict("fail")


def mumbles(explainer: Any, predictor: Any, table: Any, **_: Any) -> Trial:
    """Return a trial whose figure lies outside its interval."""
    made = explainer(predictor, table)
    return Trial("double", 0.9, (0.1, 0.2), 0.5, "pass", "It went well.", made.record)


def jargon(explainer: Any, predictor: Any, table: Any, **_: Any) -> Trial:
    """Return a trial that nobody outside the field can read."""
    made = explainer(predictor, table)
    return Trial("double", 0.5, (0.4, 0.6), 0.5, "pass", "Spearman of phi was 0.5.", made.record)


EXPLAINERS_OF_TRIALS = {
    "an_honest_explanation_passes": never_passes,
    "a_wrong_answer_fails": never_fails,
    "the_verdict_can_be_read": mumbles,
}
"""By check, the trial on which it must go red."""
