"""Every answer that a report holds survives an interruption: kept as a file, it comes back the same."""

from __future__ import annotations

import made
import pytest

from pellucid.cli.keep import KINDS, read_stage, write_stage

KEPT = [answer for answer in made.everything() if type(answer).__name__ in KINDS]


@pytest.mark.parametrize("answer", KEPT, ids=[f"{type(a).__name__}-{i}" for i, a in enumerate(KEPT)])
def test_it_comes_back_the_same(answer, tmp_path):
    write_stage(tmp_path / "stage.npz", {"answer": answer})
    back = read_stage(tmp_path / "stage.npz")["answer"]
    assert type(back) is type(answer)
    assert back.to_frame().astype(str).equals(answer.to_frame().astype(str))
    assert back.record.caveats == answer.record.caveats


def test_all_that_a_report_shows_can_be_kept():
    names = {type(a).__name__ for a in KEPT}
    assert {"Interactions", "Curve", "Rules", "Words", "AttentionMaps", "UnitMaps", "Neighbours", "Actions"} <= names
