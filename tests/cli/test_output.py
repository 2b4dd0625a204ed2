"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from pellucid.cli.output import check_model_place, check_writable, whole, write_frame, write_text
from pellucid.errors import RequestError
from pellucid.files import check_room
from pellucid.table import Schema


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


@pytest.mark.parametrize("name", ["a.xls", "no/such/a.csv", ".", f"{'a' * 300}.csv"])
def test_what_cannot_be_written_is_said_before_the_work(tmp_path, name):
    with pytest.raises(RequestError):
        check_writable(tmp_path / name, (".csv",))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder where rights alone do not tell")
def test_a_place_that_takes_no_file_is_refused_by_its_own_name(tmp_path):
    for path in (Path("/proc/x.csv"), tmp_path / f"{'a' * 300}.csv"):
        for write in (check_writable, check_room, Schema(()).save):
            with pytest.raises(RequestError, match="this place cannot be written") as refused:
                write(path)
            assert str(path)[:100] in str(refused.value)


def test_a_disk_that_fills_is_told_by_the_name_that_was_asked_for(tmp_path):
    with pytest.raises(RequestError, match=r"answers\.txt\); got No space left"), whole(tmp_path / "answers.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m2.csv", "model.parquet", "page.html", "model.onnx"])
def test_a_model_folder_is_not_given_the_name_of_a_file(tmp_path, name):
    with pytest.raises(RequestError, match=r"such as (m2|model|page)\.pellucid"):
        check_model_place(tmp_path / name, force=False)
