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


def _choose(step, wanted="auto", compile="auto", work=1e15, steps=10):
    return choose_arithmetic(wanted, compile, work=work, steps=steps, device=CPU, key="k", step=step)


def test_what_is_asked_for_is_not_measured() -> None:
    assert _choose(None, "bf16", False) == Arithmetic("bf16", False, "asked for")


def test_short_fits_are_not_measured() -> None:
    assert _choose(None, work=1.0) == Arithmetic("fp32", False, "short fit")


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
    assert shape_class(CPU, 2, 260, 1000) == shape_class(CPU, 2, 300, 900)
    assert shape_class(CPU, 2, 260) != shape_class(CPU, 1, 260)
    assert shape_class(CPU, 2, 260) != shape_class(CPU, 2, 2600)
    assert precision.matrix_gain(CPU, 32) > 0
