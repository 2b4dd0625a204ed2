"""The entry of the command line. Parses before anything heavy is imported, so that ``pellucid --help`` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 wrong data or request, 2 usage, 3 interrupted, 4 strict findings."""
    from pellucid.cli.app import app

    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="pellucid")
    except KeyboardInterrupt:
        sys.exit(3)


if __name__ == "__main__":
    main()
