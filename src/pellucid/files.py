"""Files that appear whole or not at all: an interruption leaves the old one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pellucid.errors import RequestError

__all__ = ["check_room", "check_writable", "usual_mode", "whole", "writing"]


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Tell what the system refuses within the block by the name that was asked for, not by that of a file of ours beside it.

    Raises
    ------
    RequestError : in place of any ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise RequestError(
            "this place cannot be written", where=str(path), got=error.strerror or str(error),
            do="choose another name or folder, or look after the rights and the space on the disk",
        ) from error  # fmt: skip


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a place beside ``path`` to write to; it takes the name ``path`` only when the block ends without an error.

    Examples
    --------
    >>> from pathlib import Path; import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole(folder / "answer.txt") as place:
    ...     _ = place.write_text("42")
    >>> [p.name for p in folder.iterdir()]
    ['answer.txt']
    """
    path = Path(path)
    check_writable(path)
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        place = Path(name)
        try:
            yield place
            with place.open("rb") as written:
                os.fsync(written.fileno())
            # mkstemp gives the file to its owner alone
            place.chmod(path.stat().st_mode & 0o777 if path.exists() else usual_mode())
            place.replace(path)
        finally:
            place.unlink(missing_ok=True)


def usual_mode() -> int:
    """Return the rights that a new file has here: libraries that write by way of temporary files leave it to its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> None:
    """Raise before the work begins where ``path`` could not be written at its end."""
    path = Path(path)
    if suffixes and not path.name.lower().endswith(suffixes):
        raise RequestError("the output file has an unknown ending", expected=" or ".join(suffixes), got=path.name, do="choose another name")
    with writing(path):
        if not path.parent.is_dir():
            raise RequestError("the folder of the output file does not exist", where=str(path.parent), do="make it, or choose another name")
        if path.is_dir():
            raise RequestError("the output file is a folder", where=str(path), do="choose another name")
    check_room(path)


def check_room(path: str | Path) -> None:
    """Raise where nothing can be put beside ``path``: rights alone do not tell it of every folder and every name."""
    path = Path(path)
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        os.unlink(name)
