"""What every test may use: the folder of real tables, and one thread per process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Keep torch to one thread: the suite runs in several processes at once."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tables() -> Path:
    """Return the folder of real tables, or skip: set PELLUCID_TABLES to a folder that holds them."""
    folder = Path(os.environ.get("PELLUCID_TABLES", ROOT.parent / "shared" / "data"))
    if not (folder / "adult_train.csv.gz").is_file():
        pytest.skip("the real tables are not here (set PELLUCID_TABLES to their folder)")
    return folder


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test registers end with the test."""
    from pellucid import registry

    registry.entries()
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
