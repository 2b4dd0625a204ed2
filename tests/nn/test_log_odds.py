import math

import torch

from pellucid.nn.gradients.secants import contributions
from pellucid.nn.log_odds import log_odds


def by_class(logp: torch.Tensor) -> torch.Tensor:
    """The log-odds of one class after the other, by adding up all its others."""
    n = range(logp.shape[1])
    return torch.stack([logp[:, k] - torch.logsumexp(logp[:, [j for j in n if j != k]], 1) for k in n], 1)


def test_log_odds_and_their_slopes_are_those_of_each_class_against_the_sum_of_its_others() -> None:
    scores = torch.randn(60, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores = scores * torch.logspace(-2, 3, 60, dtype=torch.float64)[:, None]  # from nearly equal classes to certain ones
    scores[0], scores[1, :2] = 0.0, 5.0  # ties, also of the likeliest
    logp = scores.log_softmax(1)
    one, two = (logp.clone().requires_grad_() for _ in range(2))
    ours, theirs = log_odds(one), by_class(two)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weight = torch.randn(60, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for w in (weight, torch.eye(24, dtype=torch.float64)[3].expand(60, -1)):
        mine, other = (torch.autograd.grad((v * w).sum(), x, retain_graph=True)[0] for v, x in ((ours, one), (theirs, two)))
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_a_class_that_is_all_but_certain_keeps_its_log_odds_and_slopes() -> None:
    logp = torch.tensor([[900.0, 0.0, -50.0]], dtype=torch.float64).log_softmax(1).requires_grad_()
    odds = log_odds(logp)
    torch.testing.assert_close(odds.detach(), torch.tensor([[900.0, -900.0, -950.0]], dtype=torch.float64))
    assert torch.isfinite(torch.autograd.grad(odds.sum(), logp)[0]).all()


def test_memory_and_time_grow_with_the_number_of_classes_and_not_its_square() -> None:
    logp = torch.zeros(200, 3000, dtype=torch.float64).log_softmax(1)  # all pairs of classes would take 14 GB
    torch.testing.assert_close(log_odds(logp), torch.full_like(logp, -math.log(2999)))


def test_differences_to_a_reference_add_up_through_log_odds() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, reference, weight = (torch.randn(*s, dtype=torch.float64, generator=draw) for s in ((8, 4, 1), (8, 4, 1), (4, 5)))
    share, own, other = contributions(lambda t: log_odds((3 * t[..., 0] @ weight).log_softmax(1)), rows, reference)
    torch.testing.assert_close(share.sum(2), own - other)
