"""Folders that a save which was killed left behind: known by their names, put back where they hold the only copy, else removed.

A folder that is being written is called ``.<name>.<host>-<process>.<random>``, the model that gives way to it
``.<name>.old.<host>-<process>.<random>``. Nothing else is ever touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

__all__ = ["beside", "recover"]

DAY = 86_400.0


def beside(final: Path, old: bool = False) -> Path:
    """Return a new hidden folder beside ``final`` that bears the mark of this process."""
    return Path(tempfile.mkdtemp(prefix=f".{final.name}.{'old.' if old else ''}{_host()}-{os.getpid()}.", dir=final.parent))


def recover(final: Path) -> None:
    """Put a model back that a killed save had moved aside, and remove what else such saves left beside ``final``.

    Only folders of processes of this machine that have gone, and folders that are older than a day. Of several models moved aside the
    newest is put back, and only where nothing stands at ``final``.
    """
    if not final.parent.is_dir():
        return
    form = re.compile(rf"\.{re.escape(final.name)}\.(old\.)?([0-9a-f]{{8}})-(\d+)\.[a-z0-9_]+")
    found = [(path, match) for path in final.parent.iterdir() if (match := form.fullmatch(path.name)) and path.is_dir()]
    stale = sorted((p for p, m in found if _is_stale(p, m[2], int(m[3]))), key=_made, reverse=True)
    for path in stale:
        if (path / "model").is_dir() and not final.exists():
            os.rename(path / "model", final)
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just removed it
        return time.time()


def _is_stale(path: Path, host: str, process: int) -> bool:
    """Return whether nobody can be writing a folder any more."""
    if time.time() - _made(path) > DAY:
        return True
    if host != _host() or os.name != "posix":  # elsewhere signal 0 is no question
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
