"""No part forgets on which device its tensors are: everything asked on a strict second device answers as on the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

import pellucid as pld

if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch has no devices made in Python", allow_module_level=True)

HERE = Path(__file__).resolve().parent
EACH_WAY = (  # one for each way into the network; the others ask the same engines
    "shapley", "interactions", "lime", "gradient", "slope", "smoothgrad", "guided_backprop", "integrated_gradients", "expected_gradients",
    "deeplift", "lrp", "information_bottleneck", "contextual_decomposition_pairs", "activation_maximisation", "unit_maps", "layer_probes",
    "layer_relevance",
    "nearest_rows", "resemblance", "representer", "influence", "tracin",
)  # fmt: skip
NEEDS_FIT = ("amortised", "l2x", "invase", "lex")
NETWORKS = [e.name for e in pld.methods("backbone") if "matrix" not in e.needs]


def asked(*arguments: str) -> list[dict[str, object]]:
    """Return what ``asked_there.py`` prints."""
    sources = os.pathsep.join([str(Path(pld.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": sources}
    done = subprocess.run(
        [sys.executable, str(HERE / "asked_there.py"), *arguments], capture_output=True, text=True, env=env, timeout=550, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(lines: list[dict[str, object]], at_least: int) -> None:
    assert not [line for line in lines if "error" in line]
    compared = {str(line["what"]): float(line["apart"]) for line in lines if "apart" in line}  # type: ignore[arg-type]
    assert len(compared) >= at_least
    assert {what: apart for what, apart in compared.items() if apart > 1e-4} == {}


def test_the_second_device_refuses_what_an_accelerator_refuses():
    code = (
        "import far, torch; far.install(); x = torch.ones(2, 3, device='far'); print(x.device.type, (x @ x.T).sum().item())\n"
        "for wrong in (lambda: x + torch.ones(3), lambda: torch.ones(3)[x[0].long()], lambda: x.numpy(), lambda: x.double(),\n"
        "              lambda: torch.rand(2, generator=torch.Generator(), device='far')):\n"
        "    try:\n        wrong(); print('passed')\n    except (RuntimeError, TypeError) as e: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, timeout=120, check=True)
    assert done.stdout.split() == ["far", "12.0", *["refused"] * 5]


def test_a_perceptron_answers_there_as_on_the_processor():
    judge(asked("ask", "mlp", "predict", "uncertainty", *EACH_WAY), 15)


def test_a_network_that_attends_answers_there_as_on_the_processor():
    names = ("shapley", "deeplift", "lrp", "attention", "column_relations", "head_contributions", "head_pruning")
    judge(asked("ask", "ft_transformer", "predict", *names), 8)


def test_the_default_network_is_trained_there():
    lines = asked("fit", "tabm_additive")
    assert [line.get("device") for line in lines] == ["far", "far"], lines


@pytest.mark.long
@pytest.mark.parametrize("backbone", NETWORKS)
def test_every_network_is_trained_and_asked_there(backbone):
    lines = asked("fit", backbone)
    assert [line.get("device") for line in lines] == ["far", "far"], lines
    names = ("shapley", "deeplift", "lrp", "integrated_gradients", "native", "masks", "attention", "representer")
    judge(asked("ask", backbone, "predict", "uncertainty", *names), 6)


@pytest.mark.long
def test_every_method_answers_there_as_on_the_processor():
    names = [e.name for e in pld.methods("explain") if e.name not in NEEDS_FIT]
    judge(asked("ask", "mlp", *names), 35)
