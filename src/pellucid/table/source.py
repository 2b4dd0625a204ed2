"""From a path to bytes to text columns: compression, encoding, delimiter, header, and what is no table."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ArgumentError, EmptyTableError, MissingExtraError, PellucidWarning, RequestError, SourceError, near_names, quote
from pellucid.table.frames import refuse_doubled

__all__ = ["read_file"]

LIKE = 0.75
"""Names of files as much alike as this are proposed where one is not found: the ending alone makes up half of a short name."""
DOUBLED = ("refuse", "number")
_DELIMITERS = (",", ";", "\t", "|")
_FOREIGN = (
    (b"%PDF", "a PDF document", "extract its table as CSV"),
    (b"\x89PNG", "a picture", "give a CSV, Parquet or Feather file"),
    (b"\xff\xd8\xff", "a picture", "give a CSV, Parquet or Feather file"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV"),
    (b"\x89HDF", "an HDF5 file", "export the table as CSV or Parquet"),
    (b"\x80\x04", "a Python pickle, which would run code when read", "write the table as Parquet"),
    (b"\x80\x05", "a Python pickle, which would run code when read", "write the table as Parquet"),
)
_PROMISED = {
    ".gz": "data compressed by gzip", ".bz2": "data compressed by bzip2", ".xz": "data compressed by xz", ".zst": "data compressed by zstd",
    ".zip": "a zip archive", ".parquet": "a Parquet file", ".pq": "a Parquet file", ".feather": "a Feather file", ".arrow": "an Arrow file",
    ".xlsx": "an Excel workbook", ".xls": "an Excel workbook",
}  # fmt: skip
"""What an ending of a name says of the bytes."""


def read_file(path: Any, *, delimiter: str | None = None, encoding: str | None = None, doubled: str = "refuse") -> pd.DataFrame:
    """Return the cells of a file as a pandas frame: text for CSV, the stored types for Parquet and Feather.

    ``doubled`` : what is done about a name that the header of a CSV file has twice, ``refuse`` or ``number``.

    Errors
    ------
    SourceError (missing, directory, empty, binary, a web page, ragged lines: with the file line), ColumnError (a name twice),
    EmptyTableError (header only).
    """
    if doubled not in DOUBLED:
        raise RequestError(f"doubled={doubled!r} cannot be used", expected=f"one of {quote(DOUBLED)}")
    where = _existing(path)
    try:
        raw = where.read_bytes()
    except OSError as error:
        raise SourceError(
            "the file cannot be read", where=str(where), got=error.strerror or str(error), do="check its permissions"
        ) from error
    if raw[:4] == b"PAR1" or raw[:6] == b"ARROW1" or raw[:4] == b"FEA1":
        return _columnar(raw, where)
    plain = _decompressed(raw, where)
    _refuse_foreign(plain, where)
    if plain is raw:
        _refuse_broken_promise(raw, where)
    raw = plain
    return _csv(_utf8(raw, where, encoding), where, delimiter, doubled)


def _existing(path: Any) -> Path:
    try:
        text = os.fspath(path)
    except TypeError:
        raise ArgumentError("this is no path", expected="the path of a file", got=type(path).__name__) from None
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if text[:8].casefold().startswith(("http://", "https://", "ftp://", "s3://")):
        raise SourceError("addresses on the network are not read", got=text[:80], do="download the file first")
    if "\0" in text or not text:
        raise SourceError("this is no path", got=repr(text[:40]))
    where = Path(text).expanduser()
    try:
        is_file, is_folder = where.is_file(), where.is_dir()
    except OSError as error:
        raise SourceError("this is no path", got=str(error.strerror)) from error
    if is_folder:
        tables = sorted(p.name for p in where.iterdir() if p.suffix in (".csv", ".tsv", ".parquet", ".gz"))
        raise SourceError(
            "this is a folder, not a file",
            where=str(where),
            got=f"a folder that holds {quote(tables)}" if tables else None,
            do="give the path of one file",
        )
    if not is_file:
        near = near_names(where.name, [p.name for p in where.parent.iterdir()], 1, LIKE) if where.parent.is_dir() else []
        raise SourceError("there is no such file", where=str(where), do=f"did you mean {near[0]!r}?" if near else "check the path")
    return where


def _columnar(raw: bytes, where: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    from pellucid.table.frames import from_any

    try:
        if raw[:4] == b"PAR1":
            table = pyarrow.parquet.read_table(pa.BufferReader(raw))
        else:
            table = pyarrow.feather.read_table(pa.BufferReader(raw))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(
            "the file is damaged", where=str(where), got=re.split(r"[.\n] ?", str(error))[0][:120], do="write it again"
        ) from error
    return from_any(table)[0]


def _decompressed(raw: bytes, where: Path) -> bytes:
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw)
        if raw[:3] == b"BZh":
            return bz2.decompress(raw)
        if raw[:6] == b"\xfd7zXZ\0":
            return lzma.decompress(raw)
        if raw[:4] == b"\x28\xb5\x2f\xfd":
            return _unzstd(raw)
        if raw[:4] == b"PK\x03\x04":
            return _unzip(raw, where)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError("the compressed file is damaged", where=str(where), got=str(error), do="write or download it again") from error
    return raw


def _refuse_broken_promise(raw: bytes, where: Path) -> None:
    """Refuse text under a name of binary data: a page of an error, or half a download, would be read as cells."""
    promised = _PROMISED.get(where.suffix.casefold())
    if promised is None:
        return
    first = re.split(rb"[\r\n]", raw, maxsplit=1)[0][:40].decode("utf-8", "replace")
    raise SourceError(
        "the file is not what its name says", where=str(where), expected=f"{promised}, as '{where.suffix}' says",
        got=f"bytes that begin with {first!r}", do="write or download it again; a table in plain text is read where its name ends in .csv",
    )  # fmt: skip


def _unzstd(raw: bytes) -> bytes:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(raw), "zstd") as stream:
            return bytes(stream.read())
    except (NotImplementedError, pa.ArrowNotImplementedError) as error:
        raise MissingExtraError("reading .zst needs a pyarrow built with zstd", do="decompress the file first") from error


def _unzip(raw: bytes, where: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX")]
        if "[Content_Types].xml" in files:
            raise SourceError("this is an Excel workbook", where=str(where), do="save the sheet as CSV")
        if len(files) != 1:
            raise SourceError(
                "the archive does not hold exactly one file", where=str(where), got=quote(files), do="unpack it and give one file"
            )
        if archive.getinfo(files[0]).flag_bits & 1:
            raise SourceError("the archive is encrypted", where=str(where), do="unpack it first")
        return archive.read(files[0])


def _refuse_foreign(raw: bytes, where: Path) -> None:
    if not raw.strip(b" \t\r\n\xef\xbb\xbf\0"):
        raise SourceError("the file is empty", where=str(where), expected="a header line and rows")
    for magic, what, do in _FOREIGN:
        if raw.startswith(magic):
            raise SourceError(f"the file is {what}, not a table", where=str(where), do=do)
    start = raw[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise SourceError(
            "the file is a web page or XML, not a table",
            where=str(where),
            do="download the data file itself (a login or error page may have been saved)",
        )
    if start[:1] in (b"{", b"[") and b'"' in start[:200] and b":" in start[:2000] and start[1:].lstrip()[:1] in (b'"', b"{", b"["):
        raise SourceError("the file is JSON, not CSV", where=str(where), do="pass pandas.read_json(path), or write CSV")


def _utf8(raw: bytes, where: Path, encoding: str | None) -> bytes:
    """Return the bytes as UTF-8 without a byte order mark."""
    try:
        if encoding is not None:
            return raw.decode(encoding).lstrip("\ufeff").encode()
        for mark, codec in ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
            if raw.startswith(mark):
                return raw.decode(codec).encode()
        head = raw[:4096]
        if head.count(0) > 0.2 * len(head):  # UTF-16 without its mark: every other byte of western text is zero
            return raw.decode("utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be").encode()
    except (LookupError, UnicodeError) as error:
        raise SourceError(
            "the file cannot be decoded", where=str(where), got=str(error)[:120], do="give its encoding=, or write it as UTF-8"
        ) from error
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if 0 in raw[: 1 << 20]:
        raise SourceError("the file is binary, not a table", where=str(where), expected="CSV, Parquet or Feather")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        control = sum(c < 32 and c not in (9, 10, 13) for c in head)
        if control > 0.02 * len(head):
            raise SourceError("the file is binary, not a table", where=str(where), expected="CSV, Parquet or Feather") from None
        return _two_encodings(raw, where) or _western(raw)
    return raw


def _western(raw: bytes) -> bytes:
    try:
        return raw.decode("cp1252").encode()
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode()


def _two_encodings(raw: bytes, where: Path) -> bytes | None:
    """Return bytes of which some lines are UTF-8 and others are not as UTF-8, with a warning; None where no line tells that it is UTF-8.

    Files of two sources that were put together read as nonsense in either encoding. A line of Windows-1252 is hardly ever UTF-8 by chance.
    """
    lines, utf8, western = raw.split(b"\n"), 0, []
    for i, line in enumerate(lines):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            utf8 += 1
        except UnicodeDecodeError:
            lines[i] = _western(line)
            western.append(i + 1)
    if not utf8:
        return None
    first = f"the first is line {western[0]:,} of {where.name}"
    told = f"{utf8:,} lines with letters beyond ASCII are UTF-8 and {len(western):,} are not ({first}); these were read as Windows-1252"
    warnings.warn(f"two encodings in one file: {told}", PellucidWarning, stacklevel=2)
    return b"\n".join(lines)


def _csv(raw: bytes, where: Path, delimiter: str | None, doubled: str) -> pd.DataFrame:
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    raw = raw.lstrip(b"\r\n")
    first = raw[: raw.find(b"\n") + 1].strip() if b"\n" in raw else b""
    if first[:4].lower() == b"sep=" and len(first) == 5:  # how spreadsheets announce the delimiter
        delimiter, raw = delimiter or chr(first[4]), raw[raw.find(b"\n") + 1 :]
    head = raw[: 1 << 17].decode("utf-8", "ignore")
    delimiter = delimiter or _sniff(head, where)
    names, length = _header(raw, delimiter, where, doubled)
    body = memoryview(raw)[length:]
    if not bytes(body[:4096]).strip() and not bytes(body).strip():
        raise EmptyTableError("the file has a header and no rows", where=str(where), expected="at least 1 row")
    return _parse(body, names, delimiter, where, raw)


def _records(text: str, delimiter: str) -> Iterable[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        return


def _sniff(head: str, where: Path) -> str:
    """Return the delimiter that splits the first lines most evenly into the most cells; a comma where none does."""
    best, score = "\t" if where.name.casefold().split(".")[1:2] == ["tsv"] else ",", 0.0
    for mark in _DELIMITERS:
        if mark not in head.split("\n", 1)[0]:
            continue
        widths = [len(r) for r, _ in zip(_records(head, mark), range(101)) if r]
        widths = widths[:-1] if len(widths) > 2 else widths  # the last one may be cut off
        same = Counter(widths)[widths[0]] / len(widths)
        value = same + 0.001 * min(widths[0], 100) if widths[0] > 1 else 0.0
        if value > score + 1e-9:
            best, score = mark, value
    return best


def _header(raw: bytes, delimiter: str, where: Path, doubled: str) -> tuple[list[str], int]:
    """Return the column names and the number of bytes of the header record, which may hold quoted newlines."""
    end = raw.find(b"\n")
    while end >= 0 and raw[:end].count(b'"') % 2 == 1 and end < 1 << 20:
        end = raw.find(b"\n", end + 1)
    length = len(raw) if end < 0 else end + 1
    record = next(iter(_records(raw[:length].decode("utf-8", "replace").rstrip("\r\n"), delimiter)), [])
    names = [" ".join(n.split()) for n in record]
    names = [n or f"Unnamed: {i}" for i, n in enumerate(names)]
    if doubled == "number":
        names = _numbered(names, where)
    do = "rename them in the first line of the file, leave out all but one of each, or read it in Python with doubled='number'"
    refuse_doubled(names, where=f"header of {where.name}", do=do)
    if not names:
        raise SourceError("the file has no header", where=str(where), expected="column names in the first line")
    return names, length


def _numbered(names: list[str], where: Path) -> list[str]:
    """Return the names with a number after those that stand there already, as pandas numbers them, and say so."""
    free, out = set(names), []
    seen: set[str] = set()
    for name in names:
        new, k = name, 0
        while new in seen or (k and new in free):
            k += 1
            new = f"{name}.{k}"
        seen.add(new)
        out.append(new)
    changed = [f"{old!r} in column {i} is called {new!r}" for i, (old, new) in enumerate(zip(names, out), 1) if old != new]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        warnings.warn(f"names that the header of {where.name} has twice: {', '.join(changed[:3])}{more}", PellucidWarning, stacklevel=2)
    return out


def _parse(body: memoryview, names: list[str], delimiter: str, where: Path, raw: bytes) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv

    quoted = b'"' in raw
    block = 1 << 20
    hollow: list[str] = []

    def odd(row: Any) -> str:
        """Leave out a line of blanks; every other line of another number of cells is an error."""
        if row.text.strip(f"{delimiter} \t\r\n"):
            return "error"
        hollow.append(row.text)
        return "skip"

    while True:
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(body),
                read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=block, use_threads=True),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted, invalid_row_handler=odd),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
                ),
            )
            break
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block < len(body):
                block = min(block * 64, max(len(body), 1 << 21))
                continue
            raise _ragged(raw, names, delimiter, where, str(error)) from error
    if table.num_rows == 0:
        raise EmptyTableError("the file has a header and no rows", where=str(where), expected="at least 1 row")
    empty = _empty_rows(table)
    if len(empty) == table.num_rows:
        raise EmptyTableError(
            "the file has a header and no cell", where=str(where), expected="at least 1 row", got=f"{len(empty)} empty lines"
        )
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    if len(empty) or hollow:
        _warn(len(empty) + len(hollow), where)
        frame = frame.iloc[np.setdiff1d(np.arange(len(frame)), empty)].reset_index(drop=True) if len(empty) else frame
    if quoted and raw.count(b'"') % 2 and any("\n" in (table[n][-1].as_py() or "") for n in names):
        raise _unclosed(raw, delimiter, where)
    void = [n for n in names if n.startswith("Unnamed: ") and table[n].null_count == table.num_rows]  # a delimiter at the end of every line
    return frame.drop(columns=void) if void and len(void) < len(names) else frame


def _empty_rows(table: Any) -> npt.NDArray[np.int64]:
    """Return the positions of rows without a single cell: spreadsheets write them as lines of delimiters. In one column they are gaps."""
    import pyarrow.compute as pc

    left = np.arange(table.num_rows if table.num_columns > 1 else 0)
    for column in table.columns:
        if not len(left):
            break
        cells = column if len(left) == table.num_rows else column.take(left)
        left = left[np.asarray(pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(cells)), 0), True))]
    return left


def _warn(lines: int, where: Path) -> None:
    """Say that lines are left out, so that nobody looks for their answers."""
    told = "1 empty line is" if lines == 1 else f"{lines} empty lines are"
    warnings.warn(f"{told} left out ({where.name}): rows are counted without them", PellucidWarning, stacklevel=2)


def _unclosed(raw: bytes, delimiter: str, where: Path) -> SourceError:
    """Return the error for a quote that swallows the rest of the file."""
    reader = csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""), delimiter=delimiter)
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))
    start = last = 1
    for _ in reader:
        start, last = last, reader.line_num + 1
    return SourceError(
        "a quoted cell is not closed before the end of the file", where=f"{where}, from line {start}", do="close the quoted cell"
    )


def _ragged(raw: bytes, names: list[str], delimiter: str, where: Path, problem: str) -> SourceError:
    """Return the error that names the first line with another number of cells than the header."""
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))
    reader = csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""), delimiter=delimiter)
    start, last = 1, 1
    for record in reader:
        start, last = last, reader.line_num + 1
        if record and len(record) != len(names):
            line = f"lines {start}-{reader.line_num}" if reader.line_num - start > 1 else f"line {start}"
            do = (
                "close the quoted cell"
                if reader.line_num - start > 100
                else "correct the line, quote cells that hold the delimiter, or give delimiter= in Python"
                if start > 12 or len(record) < len(names)
                else "delete titles that stand above the names; else correct the line, or quote cells that hold the delimiter"
            )
            return SourceError(
                "the lines do not have the same number of cells",
                where=f"{where}, {line}",
                expected=f"{len(names)} cells as in the header",
                got=f"{len(record)}: {delimiter.join(record)[:60]!r}",
                do=do,
            )
    return SourceError(
        "the file cannot be read as CSV", where=str(where), got=problem.splitlines()[0][:120], do="check its quotes, or write it again"
    )
