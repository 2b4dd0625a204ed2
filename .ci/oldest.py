"""Print pip constraints for the oldest supported version of every direct dependency, read from pyproject.toml.

torch is the exception: its oldest supported version is taken only with ``TORCH_INDEX`` set, because the plain package index
holds it as a build for graphics cards, several gigabytes large.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = [*project["dependencies"], *project["optional-dependencies"]["polars"], *project["optional-dependencies"]["boost"]]
for line in wanted:
    name, _, version = re.sub(r"\s", "", line).partition(">=")
    if name == "torch" and not os.environ.get("TORCH_INDEX"):
        print((root / "constraints.txt").read_text(encoding="utf-8"), end="")
    else:
        print(f"{name}=={version}")
