"""``pellucid selfcheck``: does the installed package keep its promises on this machine? Small tables, about half a minute.

Every check gives a figure and a limit. They are the faults that have been found in well-known libraries: labels that leak, answers that
depend on the order of rows or on their neighbours in a batch, fits that cannot be repeated, models that change on the way to the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Json, Quiet, Seed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

__all__ = ["CHECKS", "Check", "planted", "run_checks", "selfcheck"]

N = 600


@dataclass(frozen=True)
class Check:
    """One promise: what it says, what was measured, the limit, and whether it is kept."""

    name: str
    figure: float
    limit: float
    words: str

    @property
    def passed(self) -> bool:
        """True where the promise is kept."""
        return self.figure <= self.limit


def selfcheck(
    backbone: Annotated[str, typer.Option("--backbone", help="The kind of model to check.")] = "auto",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check the installed package: no label leaks, answers do not depend on order or batch, fits repeat, saved equals loaded."""
    from pellucid.cli.guard import WRONG
    from pellucid.cli.output import to_json
    from pellucid.cli.screen import Bar, table

    with Bar(dict.fromkeys(CHECKS, 4.0), shown=not (quiet or as_json)) as bar:
        checks = run_checks(lambda **options: _classifier(backbone, seed, **options), seed, bar)
    if as_json:
        typer.echo(to_json([{"name": c.name, "figure": c.figure, "limit": c.limit, "passed": c.passed, "words": c.words} for c in checks]))
    elif not quiet:
        lines = [("pass" if c.passed else "FAIL", c.name, f"{c.figure:.3g}", f"{c.limit:.3g}", c.words) for c in checks]
        table("selfcheck", ("", "check", "figure", "limit", "what it says"), lines)
    if not all(c.passed for c in checks):
        typer.echo("error: a promise is broken on this machine; report the line that says FAIL.", err=True)
        raise typer.Exit(WRONG)


def _classifier(backbone: str, seed: int, **options: Any) -> Any:
    from pellucid.estimators import TabularClassifier

    return TabularClassifier(backbone=backbone, random_state=seed, verbose=0, **{"max_steps": 60, **options})


def planted(seed: int, n: int = N) -> tuple[pd.DataFrame, npt.NDArray[np.object_]]:
    """Return (frame, labels) with numbers, levels, gaps and a rule between them that can be learned."""
    import numpy as np
    import pandas as pd

    from pellucid.random import stream

    rng = stream(seed, "selfcheck")
    age, hours = rng.normal(40, 12, n).round(), rng.normal(38, 8, n)
    colour = rng.choice(np.array(["red", "green", "blue", "grey"], object), n)
    where = np.array([f"place {i}" for i in rng.integers(0, 150, n)], object)
    odds = 0.12 * (age - 40) + 0.08 * (hours - 38) + 1.5 * (colour == "red")
    labels = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no").astype(object)
    hours[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"age": age, "hours": hours, "colour": colour, "where": where}), labels


class _Bench:
    """What the checks share: a planted table and one model fitted on its first rows."""

    def __init__(self, make: Callable[..., Any], seed: int) -> None:
        self.make, self.seed = make, seed
        self.frame, self.labels = planted(seed)
        self.train, self.new = self.frame.iloc[:400], self.frame.iloc[400:].reset_index(drop=True)
        self.model = make().fit(self.train, self.labels[:400])
        self.answers = self.model.predict_proba(self.new)

    def apart(self, other: npt.NDArray[Any]) -> float:
        """Return the largest difference to the answers, as a share of their range."""
        import numpy as np

        return float(np.abs(other - self.answers).max() / max(float(np.ptp(self.answers)), 1e-12))


def _leak_canary(b: _Bench) -> tuple[float, float, str]:
    """Labels drawn at random cannot be predicted on rows held out; a level column of 150 places tempts encoders that read the target."""
    import numpy as np

    from pellucid.random import stream

    labels = stream(b.seed, "canary").permutation(b.labels)
    model = b.make().fit(b.train, labels[:400])
    hit = float((model.predict(b.new) == labels[400:]).mean())
    share = max(float((labels[400:] == c).mean()) for c in np.unique(labels))
    limit = share + 3.1 * np.sqrt(share * (1 - share) / len(b.new))
    return hit, limit, "accuracy on shuffled labels stays within chance (p > 0.001)"


def _target_ignored(b: _Bench) -> tuple[float, float, str]:
    """A target column among the new rows is not read."""
    model = b.make().fit(b.train.assign(answer=b.labels[:400]), target="answer")
    with_it = model.predict_proba(b.new.assign(answer=b.labels[400:]))
    import numpy as np

    return float(np.abs(with_it - model.predict_proba(b.new)).max()), 0.0, "a target column in new data changes nothing"


def _row_order(b: _Bench) -> tuple[float, float, str]:
    import numpy as np

    back = np.arange(len(b.new))[::-1]
    return b.apart(b.model.predict_proba(b.new.iloc[back])[back]), 1e-6, "the order of rows changes no answer"


def _batch_size(b: _Bench) -> tuple[float, float, str]:
    import numpy as np

    pieces = [b.new.iloc[i : i + k] for i, k in ((0, 1), (1, 6), (7, 93), (100, 100))]
    return b.apart(np.concatenate([b.model.predict_proba(p) for p in pieces])), 1e-6, "a row's answer does not depend on the rows beside it"


def _column_order(b: _Bench) -> tuple[float, float, str]:
    return b.apart(b.model.predict_proba(b.new[b.new.columns[::-1]])), 1e-6, "the order of columns changes no answer"


def _refit(b: _Bench) -> tuple[float, float, str]:
    again = b.make().fit(b.train, b.labels[:400])
    return b.apart(again.predict_proba(b.new)), 0.0, "the same seed gives the same bits"


def _saved(b: _Bench) -> tuple[float, float, str]:
    from pellucid.estimators import load

    with tempfile.TemporaryDirectory() as folder:
        b.model.save(Path(folder) / "model.pellucid")
        return (
            b.apart(load(Path(folder) / "model.pellucid").predict_proba(b.new)),
            0.0,
            "a model that was saved and loaded answers the same bits",
        )


CHECKS: dict[str, Callable[[_Bench], tuple[float, float, str]]] = {
    "leak canary": _leak_canary,
    "target ignored": _target_ignored,
    "row order": _row_order,
    "batch size": _batch_size,
    "column order": _column_order,
    "refit identity": _refit,
    "saved = loaded": _saved,
}


def run_checks(make: Callable[..., Any], seed: int = 0, progress: Callable[[str], None] = lambda stage: None) -> list[Check]:
    """Return the outcome of every check on models that ``make()`` gives unfitted."""
    bench, out = _Bench(make, seed), []
    for name, check in CHECKS.items():
        progress(name)
        out.append(Check(name, *check(bench)))
    return out
