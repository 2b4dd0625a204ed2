"""Common checks of promises, of further measures of familiarity, and of acting on doubt: kept on data of known law.

Each part has its own form, so a subject is a small function made for the check, and a check says for which names it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.protocols import FloatArray
from pellucid.registry import Entry
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "applies", "subject"]

DENSITIES = ("mahalanobis", "hidden_neighbours", "conjnorm")
INTERVALS = ("normalised_interval", "quantile_interval")
SETS = ("adaptive_set", "penalised_set")


def _normalised(truth: FloatArray, size: FloatArray, new_size: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Intervals around 0 from held-out errors and told sizes."""
    from pellucid.training.conformal import Conformal

    fit = Conformal.fit_split(truth, np.zeros(len(truth)), spread=size)
    return fit.interval(np.zeros(len(new_size)), level, spread=new_size)


def _quantile(truth: FloatArray, size: FloatArray, new_size: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Intervals from the pair of 5 % and 95 % quantiles of normal errors of the told sizes."""
    from pellucid.uncertainty.quantile import conformalise

    return conformalise(truth, -1.645 * size, 1.645 * size).band(-1.645 * new_size, 1.645 * new_size, level)


def _adaptive(penalty: float, free: int) -> Callable[..., FloatArray]:
    def sets(p: FloatArray, y: FloatArray, u: FloatArray, new: FloatArray, v: FloatArray, level: float) -> FloatArray:
        """Sets of new rows from held-out probabilities, classes and uniform numbers."""
        from pellucid.training.adaptive import adaptive_scores, own_scores
        from pellucid.training.conformal import Conformal

        fit = Conformal.fit_scores("aps", own_scores(p, y, u, penalty, free))
        return np.asarray(fit.sets_of(adaptive_scores(new, v, penalty, free), level), float)

    return sets


def subject(entry: Entry) -> Any:
    """Return what the checks call: fit and answer in one, or the registered function itself."""
    made: dict[str, Any] = {"normalised_interval": _normalised, "quantile_interval": _quantile}
    made |= {"adaptive_set": _adaptive(0.0, 0), "penalised_set": _adaptive(0.01, 2)}
    return made.get(entry.name) or registry.resolve(entry)


def applies(entry: Entry) -> bool:
    """Whether an entry is checked here."""
    return any(check.applies(entry) for check in CHECKS)


def check_uneven_intervals_cover(part: Callable[..., Any]) -> None:
    """With 20 held-out rows whose errors differ tenfold in size, intervals at 90 % cover 90 % to 90 % + 1/21 over 3,000 draws.

    The sizes told are wrong by a factor of their own: the promise does not rest on them.
    """
    draw, n, level, times = np.random.default_rng(0), 20, 0.9, 3000
    inside = 0
    for _ in range(times):
        true = draw.uniform(0.3, 3.0, n + 1)
        y, told = true * draw.standard_normal(n + 1), 5 * true**1.5
        low, high = part(y[:n], told[:n], told[n:], level)
        inside += bool(low[0] <= y[n] <= high[0])
    share, slack = inside / times, 3 * np.sqrt(level * (1 - level) / times)
    assert level - slack <= share <= level + 1 / (n + 1) + slack, f"intervals at 90 % cover {100 * share:.1f} % of new rows"


def check_intervals_follow_the_size_of_the_errors(part: Callable[..., Any]) -> None:
    """Where the told size grows, so does the interval; 400 rows of known law are covered alike where errors are small and where large."""
    draw = np.random.default_rng(1)
    size = draw.uniform(0.5, 5.0, 4000)
    y = size * draw.standard_normal(4000)
    low, high = part(y[:2000], size[:2000], size[2000:], 0.9)
    held, wide = (low <= y[2000:]) & (y[2000:] <= high), high - low
    small = size[2000:] < 2
    assert wide[~small].mean() > 1.5 * wide[small].mean(), "intervals are not wider where errors are larger"
    gap = held[small].mean() - held[~small].mean()
    assert abs(gap) < 0.1, f"coverage differs by {100 * gap:.1f} points between rows with small and with large errors"


def check_adaptive_sets_cover(part: Callable[..., FloatArray]) -> None:
    """Sets at 80 % from 30 held-out rows hold the truth in 80 % to 80 % + 1/31 of 2,000 draws, the chance in the score included."""
    draw, n, level, times = np.random.default_rng(2), 30, 0.8, 2000
    inside = 0
    for _ in range(times):
        p = draw.dirichlet(np.full(4, 0.7), n + 1)
        y = (draw.random((n + 1, 1)) > np.cumsum(p, 1)).sum(1).clip(0, 3)
        u = draw.random(n + 1)
        inside += bool(part(p[:n], y[:n], u[:n], p[n:], u[n:], level)[0, y[n]])
    share, slack = inside / times, 3 * np.sqrt(level * (1 - level) / times)
    assert level - slack <= share <= level + 1 / (n + 1) + slack, f"sets at 80 % hold the truth of {100 * share:.1f} % of new rows"


def check_a_stated_shift_is_paid_for(part: Callable[..., FloatArray]) -> None:
    """Where rows with large errors are met five times as often as among held-out rows, bounds at 80 % cover 80 % of the new mixture."""
    draw, level, n, times = np.random.default_rng(3), 0.8, 400, 400
    covered = []
    for _ in range(times):
        noisy = draw.random(n) < 0.1
        score = np.abs(draw.standard_normal(n)) * np.where(noisy, 4.0, 1.0)
        order = np.argsort(score)
        weight = np.where(noisy, 5.0, 5 / 9)
        other = draw.random(200) < 0.5
        new = np.abs(draw.standard_normal(200)) * np.where(other, 4.0, 1.0)
        bound = part(score[order], weight[order], np.where(other, 5.0, 5 / 9), level)
        covered.append(float((new <= bound).mean()))
    share, slack = float(np.mean(covered)), 4 * float(np.std(covered)) / np.sqrt(times)
    assert level - slack <= share <= level + 0.02 + slack, f"bounds at 80 % cover {100 * share:.1f} % of the rows from elsewhere"


def check_the_risk_stays_below_the_limit(part: Callable[..., Any]) -> None:
    """Over 400 draws of 1,500 held-out rows, more than 10 % of the answers given are wrong in at most 5 % of the draws; many are given."""
    draw, times, bad, given = np.random.default_rng(4), 400, 0, []
    grid = np.linspace(0.01, 1, 100)
    for _ in range(times):
        doubt = draw.random(1500)
        found = part(doubt, draw.random(1500) < 0.5 * doubt, grid, 0.1)
        at = max(found.threshold, 0.0)  # P(wrong | doubt <= t) = t / 4
        bad += at / 4 > 0.1
        given.append(at)
    assert bad / times <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / times), f"the risk is above its limit in {100 * bad / times:.1f} % of the draws"
    assert np.mean(given) > 0.15, f"only {100 * np.mean(given):.0f} % of the rows are answered where 40 % could be"


def check_shares_lie_where_they_are_expected(part: Callable[..., tuple[float, float]]) -> None:
    """Of 400 draws of 100 held-out and 200 new rows, the share covered at 90 % lies in the stated range in 95 % to 97 % of them."""
    from pellucid.training.conformal import quantile

    draw, times = np.random.default_rng(8), 400
    low, high = part(100, 0.9, 200)
    shares = [np.mean(draw.random(200) <= quantile(np.sort(draw.random(100)), 0.9)) for _ in range(times)]
    inside = float(np.mean([low <= s <= high for s in shares]))
    slack = 3 * np.sqrt(0.05 * 0.95 / times)
    assert 0.95 - slack <= inside <= 0.97 + slack, f"{100 * inside:.1f} % of the shares lie in a range that should hold 95 %"


def check_bets_are_fair_and_notice_a_break(part: Callable[..., Any]) -> None:
    """While the coverage lies at the edge of its band, the wealth of either side reaches 40 in at most 1 of 20 runs; at 0.75 it does."""
    draw, band, runs = np.random.default_rng(5), (0.85, 0.95), 200
    false = np.mean([max(w.max() for w in part(draw.random(600) < 0.85, band)) >= 40 for _ in range(runs)])
    assert false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs), f"a promise that is kept is called broken in {100 * false:.1f} % of the runs"
    found = np.mean([part(draw.random(600) < 0.75, band)[0].max() >= 40 for _ in range(30)])
    assert found > 0.9, f"a coverage of 75 % in place of 85 % is noticed in {100 * found:.0f} % of the runs"


def check_areas_have_their_closed_forms(part: Callable[..., Any]) -> None:
    """A perfect doubt reaches e + (1 - e) ln(1 - e), a constant one the error rate e, on 20,000 rows; numbers lie between."""
    n, e = 20_000, 0.2
    loss = (np.arange(n) < e * n).astype(float)
    best = e + (1 - e) * np.log(1 - e)
    found, flat = part(loss, loss), part(np.zeros(n), loss)
    assert abs(found.area - best) < 1e-3, f"the least area for an error of 0.2 is {best:.4f}, not {found.area:.4f}"
    assert abs(found.excess) < 1e-9, "a perfect doubt has an excess"
    assert abs(flat.area - e) < 1e-9, f"rows of equal doubt must count as their mean: {flat.area:.4f} for {e}"
    assert abs(found.joint - e**2 / 2) < 1e-3, f"the least joint area is e^2 / 2 = {e**2 / 2:.4f}, not {found.joint:.4f}"


def check_rows_far_out_are_strange(part: Any) -> None:
    """Hidden states five spreads off every class lie above all usual ones; states of the kept law are spread evenly among them."""
    draw = np.random.default_rng(6)
    mean = np.array([[0.0] * 6, [4.0, 0, 0, 0, 0, 0]])
    labels = draw.integers(0, 2, 600)
    turn = draw.standard_normal((6, 6))
    states = (mean[labels] + draw.standard_normal((600, 6))) @ turn
    usual = (mean[draw.integers(0, 2, 400)] + draw.standard_normal((400, 6))) @ turn
    far = (mean[draw.integers(0, 2, 100)] + draw.standard_normal((100, 6)) + np.array([0, 6.0, 0, 0, 0, 0])) @ turn
    measure = part.fit(states, labels=labels, held=usual[:200], decoys=np.column_stack([draw.permutation(c) for c in usual[:200].T]))
    a, b = measure.scores(usual), measure.scores(far)
    above = float((b[:, None] > a[None, :]).mean())
    assert above > 0.95, f"states six spreads out lie above only {100 * above:.0f} % of the usual ones"
    again = type(measure).from_state(measure.state()).scores(usual)
    assert np.abs(again - a).max() < 1e-9, "the measure comes back from its state as another one"


def check_shuffled_letters_surprise(part: Any) -> None:
    """Texts whose letters are shuffled surprise more than texts of the same kind in 99 of 100 pairs; so do unknown letters."""
    draw, words = np.random.default_rng(7), ["house", "garden", "street", "water", "small", "large", "with", "near", "under", "red", "old"]
    texts = [" ".join(draw.choice(words, 6)) for _ in range(300)]
    model = part.fit(texts[:200])
    usual, mixed = model.surprise(texts[200:]), model.surprise(["".join(draw.permutation(list(t))) for t in texts[200:]])
    above = float((mixed[:, None] > usual[None, :]).mean())
    assert above > 0.99, f"shuffled texts surprise more than usual ones in only {100 * above:.0f} % of pairs"
    assert model.surprise(["\u4e00\u4e8c\u4e09"])[0] > usual.max(), "letters never seen do not surprise"


def check_a_rare_cell_makes_a_row_strange(part: Callable[..., FloatArray]) -> None:
    """One cell at 12 nats makes a row stranger than one whose cells are all at 0; two such cells make it stranger still."""
    nats = np.zeros((3, 30))
    nats[1, 4] = nats[2, 4] = nats[2, 5] = 12.0
    found = np.asarray(part(nats))
    assert found[1] > found[0] + 3, "a row with one very rare cell is not stranger than an ordinary one"
    assert found[2] > found[1] + 0.1, "a second rare cell adds nothing"


def check_doubtful_rows_are_chosen_apart(part: Callable[..., Any]) -> None:
    """Of two copies of the most doubtful row one is chosen first; before the other comes a less doubtful row far away."""
    rows = np.array([[0.0, 0.0], [0.0, 0.0], [2.0, 2.0], [0.3, 0.0]])
    picked, apart = part(np.array([1.0, 1.0, 0.6, 0.9]), rows, 2, 3)
    assert picked[0] in (0, 1), "the most doubtful row is not the first"
    assert picked[1] == 2, "a copy of the first row is asked for before a row that is unlike it"
    assert apart[1] > 1, "the distance to the rows chosen before is not told"


def _is(*names: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.kind == "uncertainty" and entry.name in names


CHECKS: tuple[Check, ...] = (
    Check(check_uneven_intervals_cover, _is(*INTERVALS)),
    Check(check_intervals_follow_the_size_of_the_errors, _is(*INTERVALS)),
    Check(check_adaptive_sets_cover, _is(*SETS)),
    Check(check_a_stated_shift_is_paid_for, _is("stated_shift")),
    Check(check_the_risk_stays_below_the_limit, _is("abstain_rule")),
    Check(check_shares_lie_where_they_are_expected, _is("coverage")),
    Check(check_bets_are_fair_and_notice_a_break, _is("watch")),
    Check(check_areas_have_their_closed_forms, _is("risk_coverage")),
    Check(check_rows_far_out_are_strange, _is(*DENSITIES)),
    Check(check_shuffled_letters_surprise, _is("text_surprise")),
    Check(check_a_rare_cell_makes_a_row_strange, _is("row_model")),
    Check(check_doubtful_rows_are_chosen_apart, _is("next_rows")),
)
