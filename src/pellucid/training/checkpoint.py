"""A fit on disk, so that it can go on after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pellucid.errors import ModelFileError, RequestError
from pellucid.files import writing
from pellucid.training.precision import Arithmetic

if TYPE_CHECKING:
    from pellucid.training.run import Run

__all__ = ["FILE", "Saver", "load_checkpoint", "save_checkpoint"]

FILE = "fit.safetensors"


def save_checkpoint(folder: Path | str, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able state as one file, whole or not at all."""
    from safetensors.torch import save_file

    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{FILE}.{os.getpid()}"
    held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(held, beside, metadata={"state": json.dumps(state)})
    os.replace(beside, folder / FILE)


def load_checkpoint(folder: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return (tensors, state), or None where the folder holds no checkpoint."""
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["state"])  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError("the checkpoint cannot be read", where=str(path), do="delete it and start the fit anew") from error


class Saver:
    """Keeps a fit on disk while it runs."""

    def __init__(self, run: Run, folder: Path | str | None, resume: bool) -> None:
        self.run, self.folder, self.saved = run, folder, time.monotonic()
        self.found = load_checkpoint(folder) if resume and folder is not None else None
        if self.found is not None and self.found[1].pop("fingerprint") != self.fingerprint():
            raise RequestError(
                "the checkpoint belongs to another fit", expected="the same data, settings and seed", where=str(folder),
                do="choose another folder, or fit without resume",
            )  # fmt: skip

    def arithmetic(self) -> Arithmetic | None:
        """Return the arithmetic of the interrupted fit, if there is one."""
        return None if self.found is None else Arithmetic(**self.found[1].pop("arithmetic"))

    def maybe(self) -> None:
        """Save when it is time."""
        if self.folder is not None and time.monotonic() - self.saved >= self.run.settings.checkpoint_seconds:
            self.save()
            self.saved = time.monotonic()

    def fingerprint(self) -> str:
        """Return what must agree for a checkpoint to fit: settings, seed, data, and what was learned before the fit."""
        run = self.run
        sums = [float(t.double().sum()) for t in run.host_cells] + [
            float(run.target.cpu().double().sum()),
            float(run.weights.cpu().double().sum()),
        ]
        rows = [[len(a), len(b), int(np.sum(a)), int(np.sum(b))] for a, b in run.parts]
        before = None if run.pretraining is None else run.pretraining.told()
        text = json.dumps([run.settings.describe(), run.seed, rows, sums, str(run.device), before], default=repr)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def save(self) -> None:
        """Write the state between two steps."""
        assert self.folder is not None
        run = self.run
        tensors = {
            **{f"net.{n}": p for n, p in run.state.items()},
            **{f"best.{n}": p for n, p in run.best.items()},
            **{f"optim.{n}": p for n, p in run.optimizers.tensors().items()},
            **{f"average.{n}": p for n, p in (run.average.tensors() if run.average is not None else {}).items()},
        }
        names = ("step", "steps", "last", "every", "warmup", "anchor", "replans", "history", "best_score", "best_step", "wait")
        save_checkpoint(
            self.folder,
            tensors,
            {
                "fingerprint": self.fingerprint(),
                "arithmetic": asdict(run.arithmetic),
                "pretraining": run.record.get("pretraining"),
                **{n: getattr(run, n) for n in names},
            },
        )

    def load(self) -> None:
        """Take up a checkpoint, if resuming was asked for and there is one."""
        if self.found is None:
            return
        tensors, state = self.found
        run = self.run
        if (told := state.pop("pretraining", None)) is not None:
            run.record |= {"pretraining": told}
        for name, value in state.items():
            setattr(run, name, value)
        with torch.no_grad():
            for name, value in run.state.items():
                value.copy_(tensors[f"net.{name}"])
                run.best[name].copy_(tensors[f"best.{name}"])
            for name, value in (run.average.tensors() if run.average is not None else {}).items():
                value.copy_(tensors[f"average.{name}"])
        run.optimizers.load({n.removeprefix("optim."): t for n, t in tensors.items() if n.startswith("optim.")})
