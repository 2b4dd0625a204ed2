"""What an exported model is fed with: the oracles are scikit-learn's hashing and the tables' own reading of cells."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pellucid.encode.text import hashed
from pellucid.errors import CellError, ColumnError, ModelFileError
from pellucid.export import N_BUCKETS, facts, feeds, murmur3, text_ids
from pellucid.table import read_table

TEXTS = [
    *("Red Brick house", "a", "", "  two  spaces ", "ÄÖ ß straße", "日本語 テキスト", "a-b c.d", "I İ ǅ", "tab\tnew\n\nline\u00a0nb"),
    *("ab", "abc", "x" * 300, "🙂 smile"),
]


def vectors(ids):
    """Return unit rows times the root of the width, as the graph makes them of the ids."""
    out = np.zeros((len(ids), N_BUCKETS))
    for row, own in enumerate(ids):
        np.add.at(out[row], own[own >= 0] % N_BUCKETS, 1 - 2 * (own[own >= 0] >= N_BUCKETS))
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return out / np.where(length > 0, length, 1) * np.sqrt(N_BUCKETS)


def test_hashes_are_those_of_the_reference():
    from sklearn.utils import murmurhash3_32

    r = np.random.default_rng(0)
    keys = [r.bytes(n) for n in range(13) for _ in range(50)]
    assert np.array_equal(murmur3(keys), [murmurhash3_32(k) for k in keys])
    assert np.array_equal(murmur3(keys, 7), [murmurhash3_32(k, seed=7) for k in keys])


def test_ids_stand_for_the_vectors_that_the_encoder_makes():
    codes = np.array([i if t.strip() else -1 for i, t in enumerate(TEXTS)])
    assert np.allclose(vectors(text_ids(TEXTS)), hashed(codes, tuple(TEXTS)), atol=1e-5)
    assert text_ids([]).shape == (0, 1)


def test_cells_are_written_as_a_table_writes_them():
    cells = [3, 3.0, "3 ", None, float("nan"), "", "  ", True, 2.5, pd.NA, pd.NaT, np.int64(4), "É "]
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object)})
    table = read_table(frame, types={"c": "category"})
    fed = feeds({"columns": [{"name": "c", "type": "category"}]}, frame)["c"]
    assert [t or None for t in fed.tolist()] == table.texts("c").tolist()


def test_flags_numbers_and_dates():
    about = {
        "columns": [
            {"name": "m", "type": "boolean", "flags": ["no", "yes"]},
            {"name": "x", "type": "number"},
            {"name": "d", "type": "date"},
        ]
    }
    moments = np.array(["1970-01-02", None, "1969-12-31T23:59:59.5"], "datetime64[ms]")
    fed = feeds(about, {"m": np.array([True, False, True]), "x": [1, None, pd.NA], "d": moments})
    assert fed["m"].tolist() == ["yes", "no", "yes"]
    assert np.array_equal(fed["x"], [1, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(fed["d"], [86400, np.nan, -0.5], equal_nan=True)
    assert feeds(about, {"m": ["no"], "x": np.float32([2]), "d": ["2000-01-01T00:00"]})["d"][0] == 946684800


def test_what_cannot_be_fed_is_named():
    about = {"columns": [{"name": "x", "type": "number"}, {"name": "d", "type": "date"}]}
    with pytest.raises(ColumnError, match="'d' is missing"):
        feeds(about, {"x": [1]})
    with pytest.raises(CellError, match="column 'x'"):
        feeds(about, {"x": ["many"], "d": [0]})
    with pytest.raises(CellError, match="column 'd'"):
        feeds(about, {"x": [1], "d": ["yesterday"]})
    with pytest.raises(ColumnError, match="Pass text="):
        feeds({"columns": [{"name": "t", "type": "text", "width": 4}]}, {"t": ["a"]})

    class Foreign:
        metadata_props = ()

    with pytest.raises(ModelFileError, match="says nothing"):
        facts(Foreign())


def test_only_numpy_is_needed():
    code = "import pellucid.export, sys; print([n for n in ('torch', 'pandas', 'sklearn', 'scipy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout.strip() == "[]"


def test_the_file_stands_alone_beside_an_exported_model(tmp_path):
    """docs/export.md: it may be copied to where Pellucid is not installed."""
    from pathlib import Path

    import pellucid.export as module

    (tmp_path / "alone.py").write_text(Path(module.__file__).read_text("utf-8"), "utf-8")
    code = (
        "import sys\nsys.modules['pellucid'] = None\nsys.modules['torch'] = None\nimport alone\n"
        "assert alone.level_text(3.0) == '3'\n"
        "try:\n    alone.feeds({'columns': [{'name': 'age', 'type': 'number'}]}, {'sex': ['F']})\n"
        "except ValueError as error:\n    print(error)\n"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "the column 'age' is missing" in made.stdout, made.stderr
