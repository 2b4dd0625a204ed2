"""The arithmetic is chosen by measuring, kept, and read back."""

from __future__ import annotations

import json
import time

import pytest
import torch

from pellucid.training import precision
from pellucid.training.precision import Arithmetic, cache_folder, choose_arithmetic, shape_class

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _choose(step, wanted="auto", compile="auto", threads=1, work=1e15, steps=10):
    return choose_arithmetic(wanted, compile, threads, work=work, steps=steps, device=CPU, key="k", step=step)


def test_what_is_asked_for_is_not_measured() -> None:
    assert _choose(None, "bf16", False, 3) == Arithmetic("bf16", False, 3, 1, "asked for")


def test_short_fits_are_not_measured() -> None:
    assert _choose(None, threads="auto", work=1.0) == Arithmetic("fp32", False, 1, 1, "short fit")
    assert _choose(None, threads=2, work=1.0) == Arithmetic("fp32", False, 2, 1, "short fit")


@pytest.mark.parametrize(("seconds", "wanted"), [((0.02, 0.01), 2), ((0.01, 0.02), 1), ((0.01, 0.0099), 1)])
def test_more_threads_only_where_they_are_clearly_faster(monkeypatch, seconds, wanted) -> None:
    _two_cores(monkeypatch, busy=False)
    choice = _choose(lambda a: time.sleep(seconds[a.threads - 1]), "fp32", False, "auto")
    assert choice.threads == wanted
    assert "times the speed of one" in choice.why
    kept = _choose(None, "fp32", False, "auto")  # no second trial
    assert kept == choice


def test_a_busy_machine_gets_one_thread_and_the_choice_is_not_kept(monkeypatch) -> None:
    _two_cores(monkeypatch, busy=True)
    choice = _choose(lambda a: time.sleep(0.001), "fp32", False, "auto")
    assert choice.threads == 1
    assert "busy" in choice.why
    assert not (cache_folder() / "arithmetic.json").exists()


def test_waiting_threads_show_a_busy_machine(monkeypatch) -> None:
    assert precision._busy(lambda: time.sleep(0.01), 2)  # granted no time at all
    monkeypatch.setattr(precision.time, "process_time", lambda: 1.9 * time.perf_counter())
    assert not precision._busy(lambda: time.sleep(0.01), 2)


def _two_cores(monkeypatch, busy: bool) -> None:
    monkeypatch.setattr(precision, "default_threads", lambda: 2)
    monkeypatch.setattr(precision, "_busy", lambda step, threads: busy)
    torch.set_num_threads(2)


def test_the_faster_one_wins_and_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(precision, "matrix_gain", lambda device: 4.0)
    calls = []

    def step(arithmetic: Arithmetic) -> None:
        calls.append(arithmetic)
        time.sleep(0.002 if arithmetic.precision == "bf16" else 0.02)

    assert _choose(step).precision == "bf16"
    before = len(calls)
    assert _choose(step).precision == "bf16"
    assert len(calls) == before
    assert len(json.loads((cache_folder() / "arithmetic.json").read_text())) == 1


def test_both_precisions_are_tried_in_turn_so_that_a_machine_that_slows_down_decides_nothing(monkeypatch) -> None:
    monkeypatch.setattr(precision, "matrix_gain", lambda device: 4.0)
    pace = [0.001]

    def step(arithmetic: Arithmetic) -> None:
        pace[0] *= 1.12  # every step takes longer than the one before
        time.sleep(pace[0] * (0.6 if arithmetic.precision == "bf16" else 1.0))

    assert _choose(step, compile=False).precision == "bf16"


def test_choices_for_another_form_of_the_arithmetic_are_made_anew(monkeypatch) -> None:
    before = shape_class(CPU, 260)
    monkeypatch.setattr(precision, "FORM", precision.FORM + 1)
    assert shape_class(CPU, 260) != before


def test_slow_products_end_the_trial_at_once(monkeypatch) -> None:
    monkeypatch.setattr(precision, "matrix_gain", lambda device: 0.04)
    seen = []
    choice = _choose(lambda a: seen.append(a.precision))
    assert choice.precision == "fp32"
    assert set(seen) == {"fp32"}
    assert "0.04 times" in choice.why


def test_a_compiler_that_fails_leaves_the_plain_network(monkeypatch) -> None:
    def step(arithmetic: Arithmetic) -> None:
        if arithmetic.compiled:
            raise RuntimeError("no compiler")
        time.sleep(0.001)

    choice = _choose(step, "fp32", steps=10**7)
    assert not choice.compiled
    assert "compiling failed" in choice.why


def test_a_damaged_or_unwritable_cache_only_costs_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(precision, "matrix_gain", lambda device: 0.5)
    cache_folder().mkdir()
    (cache_folder() / "arithmetic.json").write_text("{ cut")
    assert _choose(lambda a: None).precision == "fp32"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "file"))
    assert _choose(lambda a: None).precision == "fp32"


def test_shape_classes_group_near_sizes() -> None:
    assert shape_class(CPU, 260, 1000) == shape_class(CPU, 300, 900)
    assert shape_class(CPU, 260) != shape_class(CPU, 2600)
    assert precision.matrix_gain(CPU, 32) > 0


def test_choices_that_another_process_keeps_meanwhile_are_not_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    precision._keep("one", {"threads": 1})
    precision._keep("two", {"threads": 2})  # by a process that read before "one" was kept
    assert precision._kept() == {"one": {"threads": 1}, "two": {"threads": 2}}
    assert [p.name for p in tmp_path.iterdir()] == ["arithmetic.json"]
