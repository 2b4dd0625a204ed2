"""Models on disk: the same answers, nothing executable, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor
from pellucid.errors import ModelFileError
from pellucid.estimators.leftovers import beside
from pellucid.testing.mixed import FEATURES, mixed

QUICK: dict[str, Any] = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 30}
GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("backbone", ["tabm", "mlp", "ft_transformer", "linear", "knn", "tree", "lightgbm"])
@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_saved_equals_loaded(kind: Any, backbone: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    y = frame["three"] if kind is TabularClassifier else frame["y"]
    model = kind(**{**QUICK, "max_steps": 3}, backbone=backbone).fit(frame[FEATURES], y)
    model.save(tmp_path / "m.pellucid")
    loaded = pld.load(tmp_path / "m.pellucid")
    ask = "predict_proba" if kind is TabularClassifier else "predict"
    assert np.array_equal(getattr(loaded, ask)(frame[FEATURES]), getattr(model, ask)(frame[FEATURES]))
    assert np.array_equal(loaded.predict(frame[FEATURES]), model.predict(frame[FEATURES]))
    assert loaded.get_params() == model.get_params()
    assert loaded.record_ == json.loads(json.dumps(model.record_))
    assert loaded.plan_ == model.plan_
    for mine, theirs in zip(loaded.certainty_.conformals, model.certainty_.conformals):
        assert np.array_equal(mine.scores, theirs.scores)
    kept = sorted(p.name for p in (tmp_path / "m.pellucid").iterdir())
    assert kept == ["encoder.json", "pellucid.json", "reference.parquet", "weights.safetensors"]


def test_loaded_model_explains_and_knows_its_doubt(classifier: TabularClassifier, frame: pd.DataFrame, tmp_path: Path) -> None:
    classifier.save(tmp_path / "m")
    loaded, rows = pld.load(tmp_path / "m"), frame[FEATURES].head(3)
    mine, theirs = (m.explain(rows, random_state=0, budget=5000).values for m in (loaded, classifier))
    assert np.array_equal(mine, theirs)
    assert loaded.uncertainty(rows).to_frame().equals(classifier.uncertainty(rows).to_frame())


def test_keep_rows_zero_leaves_rows_out(frame: pd.DataFrame, tmp_path: Path) -> None:
    TabularClassifier(**QUICK, keep_rows=0).fit(frame[FEATURES], frame["label"]).save(tmp_path / "m")
    assert not (tmp_path / "m" / "reference.parquet").exists()
    with pytest.raises(pld.RequestError, match="background"):
        pld.load(tmp_path / "m").explain(frame[FEATURES].head(2))


def test_an_existing_model_is_replaced_only_by_force(classifier: TabularClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "m")
    with pytest.raises(pld.RequestError, match="force"):
        classifier.save(tmp_path / "m")
    classifier.save(tmp_path / "m", force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    (tmp_path / "other").mkdir()
    with pytest.raises(pld.RequestError, match="not a model folder"):
        classifier.save(tmp_path / "other", force=True)


def test_hist_gb_refuses_in_one_line(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = TabularClassifier(backbone="hist_gb", verbose=0, random_state=0).fit(frame[["age", "city"]], frame["label"])
    with pytest.raises(pld.RequestError, match="lightgbm"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def flip_bits(folder: Path) -> None:
    """Change a few weights: every reader takes the file, and the answers are wrong."""
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\x7f" * 4)


def lose_rows(folder: Path) -> None:
    (folder / "reference.parquet").unlink()


def damage_json(folder: Path) -> None:
    (folder / "pellucid.json").write_text("{", encoding="utf-8")


def damage_weights(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"not weights")


def newer(folder: Path) -> None:
    main = json.loads((folder / "pellucid.json").read_text(encoding="utf-8"))
    (folder / "pellucid.json").write_text(json.dumps(main | {"format": 999}), encoding="utf-8")


def with_file(folder: Path, name: str) -> None:
    """List one more file, with the sum that belongs to it, as a stranger could."""
    main = json.loads((folder / "pellucid.json").read_text(encoding="utf-8"))
    main["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    del main["checksum"]
    (folder / "pellucid.json").write_text(json.dumps(main), encoding="utf-8")


def absolute_name(folder: Path) -> None:
    with_file(folder, str(Path(__file__).resolve()))


def name_above(folder: Path) -> None:
    (folder.parent / "other").write_text("private")
    with_file(folder, "../other")


def linked_out(folder: Path) -> None:
    (folder / "link").symlink_to(Path(__file__).resolve())
    with_file(folder, "link")


def foreign(folder: Path) -> None:
    (folder / "pellucid.json").unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_json, "damaged"),
        (damage_weights, "damaged"),
        (flip_bits, "weights.safetensors.*expected the bytes that were saved"),
        (lose_rows, "reference.parquet"),
        (absolute_name, "damaged.*within the folder"),
        (name_above, "damaged.*within the folder"),
        (linked_out, "damaged.*within the folder"),
        (newer, "newer version"),
        (foreign, "not a model folder"),
    ],
)
def test_harmed_folders_give_one_line(harm: Any, message: str, classifier: TabularClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "m")
    harm(tmp_path / "m")
    with pytest.raises(pld.ModelFileError, match=message):
        pld.load(tmp_path / "m")


def test_a_missing_folder_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(pld.SourceError, match="no such model folder"):
        pld.load(tmp_path / "nowhere")


def test_loading_executes_nothing(classifier: TabularClassifier, tmp_path: Path) -> None:
    """No file of a model folder is a pickle or code; the readers are JSON, safetensors and Parquet."""
    classifier.save(tmp_path / "m")
    for path in (tmp_path / "m").iterdir():
        head = path.read_bytes()[:4]
        assert not head.startswith((b"\x80", b"PK\x03\x04")), path.name
        assert path.suffix in (".json", ".safetensors", ".parquet")


@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("format*")), ids=lambda p: p.name)
def test_golden_models_of_every_format_still_answer(folder: Path) -> None:
    """Rounding may differ between machines, so answers are compared to 1e-5."""
    rows = pd.read_parquet(folder / "rows.parquet")
    expected = np.load(folder / "expected.npy")
    assert np.allclose(pld.load(folder / "model.pellucid").predict_proba(rows), expected, atol=1e-5)


KILLED = """
import sys, time
import pellucid as pld
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.training.checkpoint import Saver

def often(saver):
    if saver.run.step % 50 == 0:
        saver.save()
        time.sleep(0.3)  # time to be killed in, however fast the machine

Saver.maybe = often
frame = mixed(2300, 1)
print("started", flush=True)
options = dict(verbose=0, threads=1, random_state=0, max_steps=400, backbone_options={"width": 32}, members=2)
pld.TabularClassifier(**options).fit(frame[FEATURES], frame["label"], resume=sys.argv[1])
"""


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "work")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while process.poll() is None and not (tmp_path / "work" / "fit.safetensors").exists():
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    frame = mixed(2300, 1)
    options: dict[str, Any] = {
        "verbose": 0,
        "threads": 1,
        "random_state": 0,
        "max_steps": 400,
        "backbone_options": {"width": 32},
        "members": 2,
    }
    resumed = TabularClassifier(**options).fit(frame[FEATURES], frame["label"], resume=tmp_path / "work")
    whole = TabularClassifier(**options).fit(frame[FEATURES], frame["label"])
    assert np.array_equal(resumed.predict_proba(frame[FEATURES]), whole.predict_proba(frame[FEATURES]))


def test_a_save_that_breaks_leaves_nothing(classifier: TabularClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.estimators import io

    def broken(*args: Any) -> None:
        raise KeyboardInterrupt

    classifier.save(tmp_path / "m")
    before = (tmp_path / "m" / "pellucid.json").read_bytes()
    monkeypatch.setattr(io, "_to_parquet", broken)
    with pytest.raises(KeyboardInterrupt):
        classifier.save(tmp_path / "m", force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "pellucid.json").read_bytes() == before
    shutil.rmtree(tmp_path / "m")


def test_edited_settings_are_noticed_and_a_new_layout_of_their_text_is_not(classifier: TabularClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "m.pellucid")
    main = tmp_path / "m.pellucid" / "pellucid.json"
    held = json.loads(main.read_text(encoding="utf-8"))
    main.write_text(json.dumps(dict(sorted(held.items(), reverse=True))), encoding="utf-8")
    pld.load(tmp_path / "m.pellucid")
    main.write_text(json.dumps({**held, "settings": {**held["settings"], "verbose": 7}}), encoding="utf-8")
    with pytest.raises(ModelFileError, match="the settings that were saved"):
        pld.load(tmp_path / "m.pellucid")
    main.write_text(json.dumps({k: v for k, v in held.items() if k != "checksum"}), encoding="utf-8")  # as earlier versions wrote
    pld.load(tmp_path / "m.pellucid")


SAVED = """
import os, signal, sys
import pellucid as pld
from pellucid.estimators import io

model = pld.load(sys.argv[1])
done, rename = 0, os.rename

def killed(*paths):
    global done
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1
    rename(*paths)

io.os.rename = killed
model.save(sys.argv[1], force=True)
"""


def test_a_forced_save_that_is_killed_loses_nothing_and_its_leftovers_go(classifier: TabularClassifier, tmp_path: Path) -> None:
    """Killed before the old model moves aside, and between that and the new one taking its place."""
    path = tmp_path / "m.pellucid"
    classifier.save(path)
    (tmp_path / ".m.pellucid.notes").mkdir()  # somebody else's
    names = {"m.pellucid", ".m.pellucid.notes"}
    for stage in (0, 1):
        killed = subprocess.run([sys.executable, "-c", SAVED, str(path), str(stage)], capture_output=True)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) > len(names)
        assert path.exists() == (stage == 0)
        loaded = pld.load(path)
        assert all((loaded.engine_.arrays()[k] == v).all() for k, v in classifier.engine_.arrays().items())
        loaded.save(path, force=True)
        assert {p.name for p in tmp_path.iterdir()} == names


def test_a_folder_that_somebody_is_writing_stays(classifier: TabularClassifier, tmp_path: Path) -> None:
    own = beside(tmp_path / "m.pellucid")
    classifier.save(tmp_path / "m.pellucid")
    assert own.is_dir()
    other = own.rename(own.with_name(re.sub("[0-9a-f]{8}-[0-9]+", "00000000-1", own.name)))  # of another machine
    classifier.save(tmp_path / "m.pellucid", force=True)
    assert other.is_dir()
    os.utime(other, (1e9, 1e9))
    classifier.save(tmp_path / "m.pellucid", force=True)
    assert not other.exists()


def test_a_linear_model_of_several_classes_rounds_alike_when_loaded(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(300, 13))
    model = TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(X, np.digitize(X[:, 0] + draw.normal(size=300), [-1, 0, 1]))
    model.save(tmp_path / "m.pellucid")
    loaded = pld.load(tmp_path / "m.pellucid")
    for n in (1, 7, 40, 300):
        assert np.array_equal(loaded.predict_proba(X[:n]), model.predict_proba(X[:n]))


def test_a_model_of_texts_alone_is_loaded_and_knows_no_distances(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    texts = pd.DataFrame({"note": [" ".join(draw.choice(["red", "blue", "fish", "dog", "tree"], 5)) for _ in range(200)]})
    reds = texts["note"].str.count("red") + draw.normal(size=200)
    model = TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(texts, reds)
    model.save(tmp_path / "m.pellucid")
    answers = pld.load(tmp_path / "m.pellucid").uncertainty(texts[:5])
    assert np.array_equal(answers.point, model.predict(texts[:5]))
    assert answers.familiarity is None
    assert "text_surprise" in " ".join(answers.record.caveats)
    with pytest.raises(pld.RequestError, match="all columns are texts"):
        pld.explain(model, texts[:2], of="familiarity", method="occlusion")


def test_any_names_of_columns_and_rows_can_be_saved(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=300), "array": draw.choice(["u", "v"], 300)})
    frame.index = pd.Index([f"r{i}" if i % 2 else i for i in range(300)], dtype=object)
    model = TabularClassifier(**QUICK, backbone="linear").fit(frame, np.where(frame["a"] > 0, "yes", "no"))
    model.save(tmp_path / "m.pellucid")
    loaded = pld.load(tmp_path / "m.pellucid")
    assert np.array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    assert list(loaded.certainty_.conformals[0].groups) == ["array"]


def test_who_may_read_one_file_of_a_model_may_read_them_all(classifier: TabularClassifier, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        classifier.save(tmp_path / "m.pellucid")
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "m.pellucid").iterdir()}
    assert set(modes.values()) == {0o640}, modes
