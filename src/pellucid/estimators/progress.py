"""The progress bar of a fit, with the validation score and the remaining time; none where the output is not a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]

Report = Callable[[int, int, float, float, float], None]


@contextlib.contextmanager
def progress_bar(title: str, wanted: bool) -> Iterator[Report | None]:
    """Yield ``report(step, steps, train_loss, stop_score, seconds_left)``, or None where nothing is to be shown."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(title), total=1.0, words="")

        def report(step: int, steps: int, train_loss: float, stop_score: float, seconds_left: float) -> None:
            words = f"held-out score {stop_score:.4g}, loss {train_loss:.4g}, about {seconds_left:.0f} s left"
            bar.update(task, completed=step, total=steps, words=words)

        yield report
