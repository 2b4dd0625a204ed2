"""Exit codes: every error of ours is one line on standard error, an interruption keeps what was finished."""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

import typer

from pellucid.cli.spoken import running, spoken

__all__ = ["FINDINGS", "INTERRUPTED", "WRONG", "guarded"]

WRONG, INTERRUPTED, FINDINGS = 1, 3, 4
WRITTEN = frozenset({"out", "chart", "repairs", "write_schema"})
"""Options that name a file to write; all other paths are read."""

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Return the command with errors turned into one line and an exit code. ``PELLUCID_TRACEBACK=1`` lets the traceback through."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with running(command), _noted(quiet=bool(kwargs.get("quiet"))):
                _check_apart(kwargs)
                command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            kept = f"what was finished is kept in {stop}: the same command with --resume goes on from there"
            _say(f"interrupted; {kept if stop.args else 'nothing is kept'}")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader of our output has gone (``pellucid methods | head``): nothing is left to say, nor to whom
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it must outlive this function
            raise typer.Exit(0) from None
        except Exception as error:
            with running(command):
                line = _line(error)
            if line is None or os.environ.get("PELLUCID_TRACEBACK"):
                raise
            _say(f"error: {line}")
            raise typer.Exit(WRONG) from None

    return run


def _check_apart(given: Mapping[str, object]) -> None:
    """Raise where a file that is read would be written over: the data are worth more than the answers."""
    from pellucid.errors import RequestError

    paths = {name: value.resolve() for name, value in given.items() if isinstance(value, Path)}
    read = {name: path for name, path in paths.items() if name not in WRITTEN}
    for name in WRITTEN & paths.keys():
        # a schema may be corrected in its place
        if paths[name] in [path for other, path in read.items() if (other, name) != ("schema", "write_schema")]:
            where = str(given[name])
            raise RequestError("a file that is read would be written over", where=where, do=f"choose another --{name.replace('_', '-')}")


@contextmanager
def _noted(*, quiet: bool) -> Iterator[None]:
    """Say our own warnings as one line each, without a place in our code; a quiet command says none."""
    from pellucid.errors import PellucidWarning

    with warnings.catch_warnings():
        warnings.simplefilter("default", PellucidWarning)
        shown = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, PellucidWarning):
                shown(message, category, *place, **more)
            elif not quiet:
                _say(f"note: {spoken(str(message))}")

        warnings.showwarning = show
        yield


def _line(error: Exception) -> str | None:
    """Return the error as one line; None where typer handles it itself."""
    from pellucid.errors import PellucidError

    if isinstance(error, PellucidError):
        return spoken(str(error))
    if type(error).__module__.startswith(("typer", "click")):
        return None
    if isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC):
        where = f" ({error.filename})" if error.filename is not None else ""
        return f"{error.strerror or error}{where}. Check the path, the rights and the space on the disk."
    if isinstance(error, MemoryError):
        return "the memory of this machine does not suffice. Use fewer rows or columns, or a smaller --backbone."
    text = " ".join(str(error).split())[:300]
    what = f"{type(error).__name__}: {text}".rstrip(".")
    return f"a fault inside Pellucid, not in your data: {what}. Set PELLUCID_TRACEBACK=1 and report what is printed."


def _say(line: str) -> None:
    try:
        typer.echo(line, err=True)
    except OSError:
        return  # standard error is closed: the exit code still tells
