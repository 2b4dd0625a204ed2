"""Every error that Pellucid raises on purpose.

::

    PellucidError
    ├── DataError (ValueError)              the table is wrong
    │   ├── SourceError                     a file that is missing, unreadable or no table
    │   ├── EmptyTableError                 no rows, or too few
    │   ├── ColumnError                     a column is absent, doubled, unusable or of another type
    │   ├── CellError                       single cells: infinite, complex, nested, not a number
    │   └── TargetError                     the target is absent, constant, missing or does not fit
    ├── RequestError (ValueError)           the call asks for what cannot be done
    │   ├── MissingExtraError (ImportError) an optional package is needed; the message has the install command
    │   └── NotOfferedError (AttributeError) an attribute that models of other libraries have; the message names what to call
    ├── ArgumentError (TypeError)           an argument of the wrong kind
    ├── NotFittedError (ValueError, AttributeError)   asked before ``fit``
    └── ModelFileError (ValueError)         a model folder that is damaged, foreign or too new

A message says what was expected, what was got, where, and what to do next. Build it with the keyword arguments, so that
every message has the same shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "CellError",
    "ColumnError",
    "DataError",
    "EmptyTableError",
    "MissingExtraError",
    "ModelFileError",
    "NotFittedError",
    "NotOfferedError",
    "PellucidError",
    "PellucidWarning",
    "RequestError",
    "SourceError",
    "TargetError",
    "did_you_mean",
    "near_names",
    "quote",
]


def quote(values: Iterable[object], most: int = 5) -> str:
    """Return up to ``most`` values as short quoted text for a message: ``'a', 'b' and 3 more``."""
    every = list(values)
    plain = (v.item() if type(v).__module__ == "numpy" and hasattr(v, "item") else v for v in every[:most])  # 'a', not np.str_('a')
    shown = ", ".join(_short(repr(v)) for v in plain)
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def _short(text: str, most: int = 60) -> str:
    """Return the text, a long one without its middle: both quotation marks stay."""
    return text if len(text) <= most else f"{text[: most - 12]}...{text[-9:]}"


def near_names(name: object, known: Iterable[object], most: int = 3, least: float = 0.6) -> list[str]:
    """Return the names that ``name`` was probably meant to be, the likeliest first.

    Names that differ only in case, blanks, underscores, dots or hyphens are that name: where there are such, no others are returned.
    Else up to ``most`` names that are at least ``least`` alike (0 to 1, ``difflib``), whatever their case.

    Examples
    --------
    >>> near_names("survived ", ["Survived", "Sex"]), near_names("agee", ["age", "sex"]), near_names("row", ["n"])
    (['Survived'], ['age'], [])
    """
    by_key: dict[str, list[str]] = {}
    for other in dict.fromkeys(map(str, known)):
        by_key.setdefault(_key(other), []).append(other)
    same = by_key.get(_key(str(name)))
    if same:
        return same[:most]
    return [n for key in difflib.get_close_matches(_key(str(name)), list(by_key), most, least) for n in by_key[key]][:most]


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if not c.isspace() and c not in "_.-") or name.casefold()


def did_you_mean(name: object, known: Iterable[object], otherwise: str | None = None) -> str | None:
    """Return the question that ends the message of a name not found, for ``do=``; ``otherwise`` where no known name is like it.

    Examples
    --------
    >>> did_you_mean("AGE", ["age", "sex"]), did_you_mean("row", ["n"])
    ("did you mean 'age'?", None)
    """
    near = near_names(name, known)
    return f"did you mean {' or '.join(_short(repr(n)) for n in near)}?" if near else otherwise


class PellucidError(Exception):
    """Base of all errors. ``str(error)`` is one line for people; the parts are kept as attributes.

    Parameters
    ----------
    problem : what is wrong, as a sentence without its full stop.
    expected, got : what was expected, and what came instead.
    where : column, first rows or file line.
    do : what to do next, as an imperative.
    """

    def __init__(
        self, problem: str, *, expected: str | None = None, got: str | None = None, where: str | None = None, do: str | None = None
    ) -> None:
        self.problem, self.expected, self.got, self.where, self.do = problem, expected, got, where, do
        text = problem.rstrip(".")
        if where:
            text += f" ({where})"
        if expected:
            text += f"; expected {expected}"
        if got:
            text += f", got {got}" if expected else f"; got {got}"
        if do:
            text += f". {do[:1].upper()}{do[1:].rstrip('.')}"
        line = " ".join(text.split())
        super().__init__(line if line.endswith(("?", "!")) else f"{line}.")


class DataError(PellucidError, ValueError):
    """The table is wrong."""


class SourceError(DataError):
    """A file is missing, unreadable or holds no table."""


class EmptyTableError(DataError):
    """The table has no rows, or too few for what was asked."""


class ColumnError(DataError):
    """A column is absent, doubled, unusable, or has another type than in training."""


class CellError(DataError):
    """Single cells cannot be used: infinite, complex, nested, or text in a number column."""


class TargetError(DataError):
    """The target is absent, constant, all missing, or does not fit the task."""


class RequestError(PellucidError, ValueError):
    """The call asks for something that cannot be done, or names something unknown."""


class MissingExtraError(RequestError, ImportError):
    """An optional package is needed; the message holds the exact install command."""

    @classmethod
    def of(cls, package: str, extra: str, what: str) -> MissingExtraError:
        """Return the error for ``package``, which extra ``extra`` installs and ``what`` needs."""
        return cls(f"{what} needs the package {package!r}, which is not installed", do=f'run: pip install "pellucid[{extra}]"')


class NotOfferedError(RequestError, AttributeError):
    """An attribute that models of other libraries have and ours do not; ``hasattr`` is False."""


class ArgumentError(PellucidError, TypeError):
    """An argument is of the wrong kind."""


class NotFittedError(PellucidError, ValueError, AttributeError):
    """An estimator was asked before ``fit``. The estimators raise it as scikit-learn's ``NotFittedError`` too."""


class ModelFileError(PellucidError, ValueError):
    """A model folder is damaged, foreign, or of a newer format version."""


class PellucidWarning(UserWarning):
    """Something the user should know that does not stop the work."""
