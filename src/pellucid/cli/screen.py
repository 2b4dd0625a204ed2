"""What is shown in a terminal: tables, and a progress bar with the time that remains."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Bar", "say", "table"]


def say(text: str, quiet: bool = False) -> None:
    """Print one line for people; never read as markup, because names from the data may look like it."""
    if not quiet:
        from rich.console import Console

        Console().print(text, markup=False, highlight=False, soft_wrap=True)


def table(title: str, head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Print a table; cells are shown as they are, never read as markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        grid.add_column(name, overflow="fold")
    for line in lines:
        grid.add_row(*(Text(str(cell)) for cell in line))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(grid)


class Bar:
    """Progress over stages whose durations are planned, with the time that remains. Shown on a terminal only.

    Parameters
    ----------
    plan : planned seconds of each stage, in order; what remains is corrected by how long the finished stages took.
    shown : False shows nothing.

    Examples
    --------
    >>> with Bar({"read": 1.0, "fit": 9.0}, shown=False) as bar:
    ...     bar("read"); bar("fit")
    >>> bar.finished
    ['read', 'fit']
    """

    def __init__(self, plan: dict[str, float], shown: bool = True) -> None:
        self.plan = dict(plan)
        self.finished: list[str] = []
        self.stage: str | None = None
        self.began = self.start = time.monotonic()
        self.shown = shown and sys.stderr.isatty()
        self._live: Any = None

    def __enter__(self) -> Bar:
        if self.shown:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(get_renderable=self._draw, console=Console(stderr=True), refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self.stage is not None:
            self.finished.append(self.stage)
        if self._live is not None:
            self._live.stop()

    def __call__(self, stage: str) -> None:
        """Say that ``stage`` begins now; the one before it is finished."""
        if self.stage is not None:
            self.finished.append(self.stage)
        self.stage, self.began = stage, time.monotonic()
        self.plan.setdefault(stage, 1.0)

    def remaining(self) -> float:
        """Return the expected seconds until the end."""
        spent = sum(self.plan[s] for s in self.finished)
        took = self.began - self.start
        pace = took / spent if spent > 5 else 1.0
        ahead = sum(v for s, v in self.plan.items() if s not in self.finished and s != self.stage)
        now = self.plan.get(self.stage or "", 0.0) * pace - (time.monotonic() - self.began)
        return max(now, 1.0) + ahead * pace

    def _draw(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table as Grid
        from rich.text import Text

        left, gone = self.remaining(), time.monotonic() - self.start
        row = Grid.grid(padding=(0, 1))
        minutes = f"{int(left) // 60}:{int(left) % 60:02d} left"
        row.add_row(ProgressBar(total=1.0, completed=gone / (gone + left), width=30), Text(minutes, style="cyan"), Text(self.stage or ""))
        return row
