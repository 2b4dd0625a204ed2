"""Training: it learns what is there and nothing else, stops, resumes to the same bits, keeps time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.execution import default_threads, limit_threads
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.stack import StackedNet
from pellucid.training import loop
from pellucid.training import precision as precision_module
from pellucid.training.clock import Clock
from pellucid.training.loop import choose_device, fit_network
from pellucid.training.objectives import classification, regression
from pellucid.training.precision import Arithmetic
from pellucid.training.predict import predict_in_chunks
from pellucid.training.recipe import TrainSettings, builder
from pellucid.training.run import Run

SMALL = TrainSettings(
    members=2, width=32, blocks=2, d_token=6, batch=64, min_steps=120, epochs=1, evaluations=12, patience=6, precision="fp32", compile=False
)  # fmt: skip
EDGES = np.linspace(-2, 2, 9, dtype=np.float32)


def _cells(x: np.ndarray) -> tuple[Cells, CellSizes]:
    n, c = x.shape
    t = torch.tensor(x, dtype=torch.float32)
    return Cells(t, torch.zeros_like(t, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0)), CellSizes(
        c, (EDGES,) * c, (), 0, tuple(range(c)), (), ()
    )


def _planted(n: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, np.where(x[:, 0] > 0, x[:, 1], -x[:, 2]) + 0.05 * rng.normal(size=n)


def _parts(n: int):
    every = np.random.default_rng(1).permutation(n)
    return [(every[n // 5 :], every[: n // 5])]


def _folds(n: int, k: int = 3):
    at = np.arange(n) % k
    return [(np.flatnonzero(at != g), np.flatnonzero(at == g)) for g in range(k)]


def _fit(x, y, parts, objective, settings=SMALL, **changes):
    cells, sizes = _cells(x)
    return fit_network(builder(sizes, settings, objective.n_outputs), cells, y, None, parts, objective, settings, threads=1, **changes)


def _r2(fitted, x, y, objective, rows) -> float:
    answer = objective.answers(predict_in_chunks(fitted.net, _cells(x[rows])[0])).mean(1)[:, 0].numpy()
    return float(1 - np.mean((answer - y[rows]) ** 2) / np.var(y[rows]))


@pytest.mark.parametrize("backbone", ["tabm", "tabm_mini", "mlp"])
def test_learns_a_planted_rule_and_nothing_from_shuffled_answers(backbone: str) -> None:
    x, y = _planted(700)
    objective, rows = regression(y), np.arange(500, 700)
    settings = replace(SMALL, backbone=backbone, min_steps=200)
    assert _r2(_fit(x, y, _parts(500), objective, settings), x, y, objective, rows) > 0.75
    shuffled = np.random.default_rng(3).permutation(y)
    # early stopping must leave nothing that looks like skill: R2 at most about 0, here with 200 fresh rows
    assert _r2(_fit(x, shuffled, _parts(500), objective, settings), x, shuffled, objective, rows) < 0.1


def test_classes_are_learned() -> None:
    x, y = _planted()
    codes = np.digitize(y, [-0.5, 0.5])
    objective = classification(3)
    fitted = _fit(x, codes, _folds(400), objective)
    answers = objective.answers(torch.from_numpy(fitted.fold_outputs)).mean(1).numpy()
    assert (answers.argmax(1) == codes).mean() > 0.7


def test_several_targets() -> None:
    x, y = _planted()
    both = np.stack([y, 1000 * x[:, 3]], 1)
    objective = regression(both)
    fitted = _fit(x, both, _parts(400), objective, replace(SMALL, min_steps=200))
    answers = objective.answers(predict_in_chunks(fitted.net, _cells(x)[0])).mean(1).numpy()
    assert answers.shape == (400, 2)
    assert (1 - ((answers - both) ** 2).mean(0) / both.var(0) > 0.7).all()
    assert fitted.record["stop_metric"] == "r2"


def test_same_seed_same_bits_and_the_callers_random_numbers_are_left_alone() -> None:
    x, y = _planted(150)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    runs = [_fit(x, y, _parts(150), regression(y), replace(SMALL, min_steps=30), seed=s).net.state_dict() for s in (4, 4, 5)]
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_folds_in_one_stack_give_what_separate_fits_give() -> None:
    x, y = _planted(90)
    settings = replace(SMALL, dropout=0.0, category_dropout=0.0, min_steps=12, evaluations=3, batch=200)
    objective, folds = regression(y), _folds(90)
    together = _fit(x, y, folds, objective, settings)
    assert isinstance(together.net, StackedNet)
    assert together.fold_outputs.shape == (90, 2, 1)
    assert np.isfinite(together.fold_outputs).all()
    cells, sizes = _cells(x)
    run = Run(builder(sizes, settings, 1), cells, y, None, folds, objective, settings, 0, torch.device("cpu"), None)
    for g, part in enumerate(folds):
        # the same start and the same batches: one full batch per step
        alone = fit_network(lambda _, g=g: run.net.single(g), cells, y, None, [part], objective, settings, threads=1)
        torch.testing.assert_close(
            torch.from_numpy(together.fold_outputs[part[1]]), torch.from_numpy(alone.fold_outputs[part[1]]), rtol=1e-3, atol=1e-4
        )
        assert alone.record["best_step"][0] == together.record["best_step"][g]


def test_a_row_that_no_fold_holds_out_has_no_held_out_output() -> None:
    x, y = _planted(60)
    out = _fit(x, y, [(np.arange(40), np.arange(40, 50))], regression(y), replace(SMALL, min_steps=5)).fold_outputs
    assert np.isfinite(out[40:50]).all()
    assert np.isnan(out[np.r_[0:40, 50:60]]).all()


class _Interrupted(Exception):
    pass


@pytest.mark.parametrize("folds", [1, 3])
def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path, folds: int) -> None:
    x, y = _planted(120)
    parts = _parts(120) if folds == 1 else _folds(120, folds)
    settings = replace(SMALL, min_steps=40, evaluations=8, checkpoint_seconds=0.0, batch=30)
    whole = _fit(x, y, parts, regression(y), settings)

    def interrupt(step: int, *_: float) -> None:
        if step >= 20:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        _fit(x, y, parts, regression(y), settings, checkpoint=tmp_path, progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.safetensors"]
    resumed = _fit(x, y, parts, regression(y), settings, checkpoint=tmp_path, resume=True)
    assert all(torch.equal(v, whole.net.state_dict()[k]) for k, v in resumed.net.state_dict().items())
    assert np.array_equal(resumed.fold_outputs, whole.fold_outputs, equal_nan=True)
    assert [h["stop_score"] for h in resumed.history] == [h["stop_score"] for h in whole.history]
    with pytest.raises(RequestError, match="belongs to another fit"):
        _fit(x, y, parts, regression(y), settings, seed=1, checkpoint=tmp_path, resume=True)


def test_resuming_without_a_checkpoint_starts_anew(tmp_path) -> None:
    x, y = _planted(60)
    settings = replace(SMALL, min_steps=5)
    assert _fit(x, y, _parts(60), regression(y), settings, checkpoint=tmp_path, resume=True).record["steps_done"] == 5


def test_the_clock_is_kept_and_replayed_by_steps() -> None:
    x, y = _planted(3000)
    slow = replace(SMALL, width=128, blocks=3, members=8, batch=256, epochs=400, patience=1000, evaluations=50)
    _fit(x, y, _parts(3000), regression(y), replace(slow, max_steps=3))  # first use of kernels
    started = time.monotonic()
    fitted = _fit(x, y, _parts(3000), regression(y), replace(slow, time_limit=4.0))
    taken = time.monotonic() - started
    # a busy machine may delay any single step
    assert taken < 4.0 * 1.1 + 0.5
    record = fitted.record
    assert record["steps_done"] < 4000
    replay = replace(slow, **record["replay"])
    again = _fit(x, y, _parts(3000), regression(y), replay)
    assert again.record["steps_done"] == record["steps_done"]
    assert all(torch.equal(v, again.net.state_dict()[k]) for k, v in fitted.net.state_dict().items())


def test_max_steps_and_progress() -> None:
    x, y = _planted(60)
    seen = []
    fitted = _fit(x, y, _parts(60), regression(y), replace(SMALL, max_steps=7), progress=lambda *a: seen.append(a))
    assert fitted.record["steps_done"] == 7
    assert seen[-1][:2] == (7, 7)
    assert all(len(s) == 5 and np.isfinite(s).all() for s in seen)
    assert {"step", "epoch", "train_loss", "stop_score", "seconds"} == set(fitted.history[-1])


def test_without_stop_rows_the_last_state_is_kept() -> None:
    x, y = _planted(60)
    fitted = _fit(x, y, [(np.arange(60), np.arange(0))], regression(y), replace(SMALL, min_steps=9))
    assert fitted.record["best_step"] == [9]
    assert np.isnan(fitted.fold_outputs).all()


def test_early_stopping_keeps_the_best_state() -> None:
    x, _ = _planted(80)
    noise = np.random.default_rng(0).normal(size=80)
    objective = regression(noise)
    fitted = _fit(x, noise, _parts(80), objective, replace(SMALL, min_steps=2000, evaluations=200, patience=5))
    assert fitted.record["ended"] == "no better score"
    scores = [h["stop_score"] for h in fitted.history]
    rows = _parts(80)[0][1]
    answer = objective.answers(torch.from_numpy(fitted.fold_outputs[rows])).mean(1)[:, 0].numpy()
    assert np.sqrt(np.mean((answer - noise[rows]) ** 2)) == pytest.approx(min(scores), rel=1e-5)


def test_full_batch_gradient_of_weights_equals_that_of_the_repeated_table() -> None:
    x, y = _planted(50)
    w = np.random.default_rng(2).integers(1, 4, 50)
    settings = replace(SMALL, dropout=0.0, batch=10_000)

    def gradient(x, y, weights):
        cells, sizes = _cells(x)
        objective = regression(y, weights)
        run = Run(
            builder(sizes, settings, 1),
            cells,
            y,
            weights,
            [(np.arange(len(y)), np.arange(0))],
            objective,
            settings,
            0,
            torch.device("cpu"),
            None,
        )
        run.net.eval()
        run.gradients()
        return torch.cat([p.grad.flatten() for p in run.params.values()])

    weighted, repeated = gradient(x, y, w.astype(float)), gradient(np.repeat(x, w, 0), np.repeat(y, w), None)
    torch.testing.assert_close(weighted, repeated, rtol=1e-4, atol=1e-6 * float(repeated.abs().max()))


def _sharded(arithmetic: Arithmetic, dropout: float) -> Run:
    x, y = _planted(300)
    settings, objective = replace(SMALL, dropout=dropout, batch=100), regression(y)
    cells, sizes = _cells(x)
    parts = [(np.arange(250), np.arange(250, 300))]
    run = Run(builder(sizes, settings, 1), cells, y, None, parts, objective, settings, 0, torch.device("cpu"), None)
    run.use(arithmetic)
    run.net.train()
    return run


def test_the_gradient_of_a_batch_is_the_sum_of_its_shards_gradients() -> None:
    found = []
    for shards in (1, 3):
        with limit_threads(1):
            run = _sharded(Arithmetic(shards=shards), dropout=0.0)
            loss = run.gradients()
        found.append(torch.cat([loss.flatten(), *(p.grad.flatten() for p in run.params.values())]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_shards_side_by_side_give_the_bits_of_shards_in_turn(precision: str) -> None:
    ended = []
    for threads in (1, 3, 3):
        with limit_threads(1):
            run = _sharded(Arithmetic(precision, threads=threads, shards=3), dropout=0.3)
            for _ in range(6):
                run.advance()
            ended.append(({n: t.clone() for n, t in run.state.items()}, run.scores()))
    for state, scores in ended[1:]:
        assert scores == ended[0][1]
        assert all(torch.equal(t, ended[0][0][n]) for n, t in state.items())


def test_a_large_step_is_cut_into_shards_and_a_fit_says_so(monkeypatch) -> None:
    monkeypatch.setattr(precision_module, "SHARD_WORK", 1.0)
    monkeypatch.setattr(precision_module, "SHARD_ROWS", 16)
    x, y = _planted(300)
    settings, objective = replace(SMALL, min_steps=20), regression(y)
    cells, sizes = _cells(x)
    build = builder(sizes, settings, 1)
    record = fit_network(build, cells, y, None, _parts(300), objective, settings, threads=2, device="cpu").record
    assert (record["threads"], record["shards"]) == (2, 2)
    folds = fit_network(build, cells, y, None, _folds(300), objective, settings, threads=2, device="cpu").record
    assert folds["shards"] == 1  # a stack of networks is not cut


@pytest.mark.skipif(default_threads() < 2, reason="one core")
def test_a_long_fit_chooses_among_all_the_threads_it_may_use(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(precision_module, "LONG", 0.0)
    monkeypatch.setattr(precision_module, "_busy", lambda step, threads: seen.append(threads) or True)
    x, y = _planted(300)
    settings, objective = replace(SMALL, min_steps=5), regression(y)
    cells, sizes = _cells(x)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit_network(builder(sizes, settings, 1), cells, y, None, _parts(300), objective, settings, device="cpu")
    finally:
        torch.set_num_threads(before)
    assert seen == [2]


def test_nothing_to_train_on_is_an_error() -> None:
    x, y = _planted(10)
    with pytest.raises(RequestError, match="no rows to train on"):
        _fit(x, y, [], regression(y))


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert choose_device("auto").type == "cpu"
    for wrong in ("gpu", "cuda:99", "xpu:7"):
        with pytest.raises(RequestError, match=r"expected one that this machine has: cpu"):
            choose_device(wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_learns_the_planted_rule() -> None:
    x, y = _planted(700)
    objective = regression(y)
    fitted = _fit(x, y, _parts(500), objective, replace(SMALL, min_steps=200), device="cuda")
    assert _r2(fitted, x, y, objective, np.arange(500, 700)) > 0.75


class Turned:
    """Seconds that pass only where a test says so."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


@pytest.mark.parametrize("drift", [1.0, 3.0, 0.4], ids=["steady", "slower", "quicker"])
def test_a_fit_ends_with_the_time_there_is(monkeypatch, drift):
    """Each step takes a hundredth of a second, from the middle on ``drift`` times that; the plan follows it."""
    now, (x, y) = Turned(), _planted(400)
    monkeypatch.setattr(loop.time, "monotonic", now)
    monkeypatch.setattr(loop, "Clock", lambda *given: Clock(*given, now=now))
    advance = loop.Run.advance

    def slow(run):
        now.at += 0.01 * (drift if now.at > 1.5 else 1.0)
        return advance(run)

    monkeypatch.setattr(loop.Run, "advance", slow)
    told = []
    settings = replace(SMALL, epochs=400, patience=10_000, evaluations=20, time_limit=3.0)
    fitted = _fit(x, y, _parts(400), regression(y), settings, progress=lambda *a: told.append((now.at, a[-1])))
    assert 2.85 < now.at <= 3.0
    ideal = 150 + 150 / drift
    assert fitted.record["steps_done"] == pytest.approx(ideal, rel=0.08)
    # the rates were nearly at their end
    assert fitted.record["steps_done"] >= 0.9 * fitted.record["steps_planned"]
    # the time said to be left: right within a tenth of the limit once the pace is steady
    settled = [(at, left) for at, left in told if at > 2.0]
    assert all(abs(at + left - now.at) < 0.3 for at, left in settled)
    assert told[-1][1] == 0


def test_a_fit_that_has_time_enough_is_the_fit_without_a_limit():
    x, y = _planted(300)
    settings = replace(SMALL, epochs=3)
    free, limited = (_fit(x, y, _parts(300), regression(y), replace(settings, time_limit=t)) for t in (None, 1000.0))
    assert limited.record["steps_done"] == free.record["steps_done"]
    assert all(bool((v == limited.net.state_dict()[k]).all()) for k, v in free.net.state_dict().items())


def test_a_start_that_is_cut_short_is_replayed_to_the_same_bits(monkeypatch):
    """The clock allows seven solves of the additive beginning; a replay counts them."""
    from pellucid.training.starts import Solves

    now = Turned()

    class Few(Solves):
        def __init__(self, until=None, most=None):
            super().__init__(None if until is None else 7.0, most, now)

        def __call__(self):
            now.at += 1.0
            return super().__call__()

    monkeypatch.setattr("pellucid.training.run.Solves", Few)
    x, y = _planted(300)
    settings = replace(SMALL, backbone="tabm_additive", head="blend", min_steps=6, time_limit=1000.0)
    fitted = _fit(x, y, _parts(300), regression(y), settings)
    assert fitted.record["started"]
    assert fitted.record["replay"]["starts"] == (6,)
    again = _fit(x, y, _parts(300), regression(y), replace(settings, **fitted.record["replay"]))
    assert all(torch.equal(v, again.net.state_dict()[k]) for k, v in fitted.net.state_dict().items())
    whole = _fit(x, y, _parts(300), regression(y), replace(settings, time_limit=None))
    assert whole.record["replay"]["starts"] == ()
