"""Files appear whole or not at all."""

from __future__ import annotations

import os
import stat

import pandas as pd
import pytest

from pellucid.cli.output import check_writable, whole, write_frame, write_text
from pellucid.errors import RequestError


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half() -> None:
        with whole(path) as place:
            place.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_can_be_read_by_those_who_may(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz", "A.CSV"])
def test_frames_are_written_by_their_ending(tmp_path, name):
    frame = pd.DataFrame({"x": [1, 2], "mixed": ["a", 3]})
    write_frame(tmp_path / name, frame)
    back = pd.read_parquet(tmp_path / name) if name.endswith("parquet") else pd.read_csv(tmp_path / name)
    assert back["x"].tolist() == [1, 2]
    assert back["mixed"].astype(str).tolist() == ["a", "3"]


@pytest.mark.parametrize("name", ["a.xls", "no/such/a.csv", "."])
def test_what_cannot_be_written_is_said_before_the_work(tmp_path, name):
    with pytest.raises(RequestError):
        check_writable(tmp_path / name, (".csv",))
