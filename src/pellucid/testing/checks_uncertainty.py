"""Common checks of the parts of certainty: promises are kept on data of known law.

Each part has its own form, so a subject is the registered function itself, and a check says for which names it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.protocols import FloatArray
from pellucid.registry import Entry
from pellucid.testing.checks import Check
from pellucid.testing.predictors import made_frame, made_table

__all__ = ["CHECKS", "Conformalizer", "subject"]

Conformalizer = Callable[[FloatArray, FloatArray, FloatArray, float], tuple[FloatArray, FloatArray]]
"""``(held-out truth (n,), held-out answers (n,), new answers (N,), level) -> (low (N,), high (N,))``."""


def _intervals(truth: FloatArray, answers: FloatArray, new: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """The registered intervals, fitted on held-out rows."""
    from pellucid.training.conformal import Conformal

    return Conformal.fit_split(truth, answers).interval(new, level)


def _sets(truth: FloatArray, answers: FloatArray, new: FloatArray, level: float) -> FloatArray:
    """The registered class sets: truth (n,) class numbers, answers (n, O), new (N, O) -> (N, O) bool."""
    from pellucid.training.conformal import Conformal

    return Conformal.fit_split(truth, answers).sets(new, level).astype(float)


def _familiar(kept: Any, held_out: Any, new: Any) -> Any:
    """The registered familiarity, fitted on kept and held-out rows, of new ones."""
    from pellucid.training.familiarity import Familiarity
    from pellucid.uncertainty.familiarity import familiar

    return familiar(Familiarity.fit(kept, held_out), new)


def _two_class_map(probabilities: FloatArray, labels: np.ndarray) -> Any:
    """The map with a slope and an intercept."""
    from pellucid.training.calibration_maps import fit_map

    return fit_map("platt", probabilities, labels, np.full(len(labels), 1 / len(labels)))


def subject(entry: Entry) -> Any:
    """Return what the checks call: fit and answer in one for conformal parts, the registered function for the others."""
    own = {"conformal_interval": _intervals, "conformal_set": _sets, "familiarity": _familiar, "calibration": _two_class_map}
    return own.get(entry.name) or registry.resolve(entry)


def check_intervals_cover(part: Conformalizer) -> None:
    """With 20 held-out rows, intervals at 90 % cover at least 90 % of new rows on average over 3,000 draws, and at most 1/21 more.

    A quantile that forgets the + 1 covers 18 of 21.
    """
    draw, n, level, times = np.random.default_rng(0), 20, 0.9, 3000
    inside = 0
    for _ in range(times):
        y = draw.standard_normal(n + 1)
        low, high = part(y[:n], np.zeros(n), np.zeros(1), level)
        inside += bool(low[0] <= y[n] <= high[0])
    share, slack = inside / times, 3 * np.sqrt(level * (1 - level) / times)
    assert level - slack <= share <= level + 1 / (n + 1) + slack, f"intervals at 90 % cover {100 * share:.1f} % of new rows"


def check_intervals_nest(part: Conformalizer) -> None:
    """A higher level gives an interval that holds the lower one; too few rows give an unbounded one."""
    y = np.random.default_rng(1).standard_normal(60)
    ends = [part(y, np.zeros(60), np.zeros(1), level) for level in (0.5, 0.8, 0.9, 0.95)]
    lows, highs = [float(e[0][0]) for e in ends], [float(e[1][0]) for e in ends]
    assert lows == sorted(lows, reverse=True), "the lower ends do not nest as the level grows"
    assert highs == sorted(highs), "the upper ends do not nest as the level grows"
    assert np.isinf(part(y[:8], np.zeros(8), np.zeros(1), 0.9)[1][0]), "8 rows cannot bound anything at 90 %, and they do"


def check_sets_cover(part: Callable[..., FloatArray]) -> None:
    """Class sets at 90 % from 20 held-out rows hold the truth of at least 90 % of new rows on average over 3,000 draws."""
    draw, n, level, times = np.random.default_rng(2), 20, 0.9, 3000
    inside = 0
    for _ in range(times):
        p = draw.dirichlet(np.ones(3), n + 1)
        y = (draw.random((n + 1, 1)) > np.cumsum(p, 1)).sum(1)
        inside += bool(part(y[:n], p[:n], p[n:], level)[0, y[n]])
    share, slack = inside / times, 3 * np.sqrt(level * (1 - level) / times)
    assert level - slack <= share <= level + 1 / (n + 1) + slack, f"sets at 90 % hold the truth of {100 * share:.1f} % of new rows"


def _claims(n: int, factor: float, seed: int) -> tuple[FloatArray, np.ndarray, FloatArray]:
    """Return (stated probabilities, labels, true probabilities): log-odds stated ``factor`` times too large."""
    draw = np.random.default_rng(seed)
    z = draw.normal(0, 1.5, n)
    y = (draw.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    stated, true = (1 / (1 + np.exp(-k * z)) for k in (factor, 1.0))
    return np.column_stack([1 - stated, stated]), y, np.column_stack([1 - true, true])


def check_it_takes_back_what_was_claimed_too_much(choose: Callable[..., Any]) -> None:
    """Probabilities three times too sure on the log-odds scale come back to the truth within 0.02; rows sum to 1, the ranking stays."""
    p, y, _ = _claims(5000, 3.0, 0)
    new, _, truth = _claims(500, 3.0, 1)
    out = np.asarray(choose(p, y).apply(new))
    assert np.abs(out.sum(1) - 1).max() < 1e-9, "calibrated probabilities do not sum to 1"
    assert (np.argsort(out[:, 1], kind="stable") == np.argsort(new[:, 1], kind="stable")).all(), "calibration changed the ranking"
    off = np.abs(out - truth).mean()
    assert off < 0.02, f"calibrated probabilities are off the truth by {off:.3f}"


def check_it_leaves_calibrated_probabilities_alone(choose: Callable[..., Any]) -> None:
    """On probabilities that are right, at most 4 of 20 draws are changed by more than 0.05."""
    moved = 0
    for seed in range(20):
        p, y, _ = _claims(400, 1.0, seed)
        moved += bool(np.abs(np.asarray(choose(p, y).apply(p)) - p).max() > 0.05)
    assert moved <= 4, f"calibration changed probabilities that were right in {moved} of 20 draws"


def check_equal_members_have_no_epistemic_doubt(split: Callable[..., Any]) -> None:
    """Members that say the same leave noise only; more disagreement means more epistemic doubt."""
    draw = np.random.default_rng(0)
    base = draw.dirichlet(np.ones(2), (6, 1))
    extra = () if _of_classes(split) else (np.array([1.0, 1.0]),)
    noise, same = split(np.repeat(base, 4, axis=1), *extra)
    assert np.abs(same).max() < 1e-9, "members that agree have epistemic doubt"
    flip = np.where(np.arange(4)[None, :, None] % 2 == 0, base, base[..., ::-1])
    other = split(flip, *extra)[1]
    differs = np.abs(base[:, 0, 0] - 0.5) > 0.05
    assert (np.asarray(other).reshape(6, -1)[differs] > 1e-4).all(), "members that disagree have no epistemic doubt"
    assert (np.asarray(noise) >= 0).all(), "noise is negative"


def _of_classes(split: Callable[..., Any]) -> bool:
    return "numbers" not in split.__name__


def check_strange_rows_are_unfamiliar(familiar: Callable[..., Any]) -> None:
    """Rows ten spreads away lie below the 1st percentile and the odd column is named; ordinary rows are spread over all percentiles."""
    rows = made_table(made_frame(900, 3, (3,)))
    kept, held_out, new = rows.take(slice(0, 300)), rows.take(slice(300, 600)), rows.take(slice(600, 900))
    percent = np.asarray(familiar(kept, held_out, new)[0])
    assert 0.02 <= (percent < 10).mean() <= 0.25, f"{100 * (percent < 10).mean():.0f} % of ordinary rows lie below the 10th percentile"
    far, odd = familiar(kept, held_out, new.with_cells({"x2": new.numbers("x2") + 12.0}))
    assert (np.asarray(far) < 1).all(), "rows ten spreads away are called familiar"
    assert set(odd) == {"x2"}, "the column that makes the rows strange is not named"


def check_sampled_networks_spread_like_their_batches(sample: Callable[..., Any]) -> None:
    """The answers of copies from batches of 4 B rows spread half as far as those from batches of B rows, around the network's own."""
    import torch

    from pellucid.nn.table_net import TableNet
    from pellucid.testing.checks_backbone import some_cells, some_sizes

    cells = some_cells(2048, 5)
    net = TableNet(some_sizes(5), "resnet", 1, d_token=8, options={"width": 16, "blocks": 1, "dropout": 0.0}, seed=0)
    with torch.no_grad():
        for _ in range(60):  # the running record of all rows
            net.train()(cells)
        own, spread = net.eval()(cells.take(slice(0, 64)))[:, 0], []
        for size in (64, 256):
            batches = torch.randint(0, 2048, (40, size), generator=torch.Generator().manual_seed(0))
            answers = torch.stack([n(cells.take(slice(0, 64)))[:, 0] for n in sample(net, cells, batches)])
            spread.append(float(answers.std(0).mean()))
            off = float((answers.mean(0) - own).abs().mean())
            assert off < spread[-1], f"the samples lie {off:.3f} off the network's own answers, and spread {spread[-1]:.3f}"
    ratio = spread[0] / max(spread[1], 1e-9)
    assert 1.6 < ratio < 2.5, f"batches four times as large divide the spread by {ratio:.2f}, not 2"


def _is(*names: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.name in names


CHECKS: tuple[Check, ...] = (
    Check(check_intervals_cover, _is("conformal_interval")),
    Check(check_intervals_nest, _is("conformal_interval")),
    Check(check_sets_cover, _is("conformal_set")),
    Check(check_it_takes_back_what_was_claimed_too_much, _is("temperature", "calibration")),
    Check(check_it_leaves_calibrated_probabilities_alone, _is("temperature")),
    Check(check_equal_members_have_no_epistemic_doubt, _is("members_of_classes", "members_of_numbers")),
    Check(check_strange_rows_are_unfamiliar, _is("familiarity")),
    Check(check_sampled_networks_spread_like_their_batches, _is("stochastic_bn")),
)
