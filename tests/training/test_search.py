"""The search finds what a grid finds, keeps to clock and seed, and hands over the best fit."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from pellucid import TabularClassifier, TabularRegressor, load, registry
from pellucid.errors import ArgumentError, MissingExtraError, RequestError
from pellucid.estimators import tuning
from pellucid.estimators.tuning import read, written
from pellucid.training.recipe import TrainSettings
from pellucid.training.search import changed, check_space, search

pytest.importorskip("optuna")
QUICK = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 30}
SPACE = {"lr": (1e-4, 1.0, "log"), "blocks": (1, 5), "d_token": [8, 16, 24]}


def bowl(changes, left: float) -> float:
    """Return a score that is least at lr 0.01, 4 blocks, width 16; the recipe has 9."""
    if not changes:
        return 9.0
    return (np.log10(changes["lr"]) + 2) ** 2 + (changes["blocks"] - 4) ** 2 + (changes["d_token"] != 16)


def test_it_finds_the_bottom_and_beats_chance() -> None:
    found = search(bowl, SPACE, trials=60, seed=0)
    assert found.best["blocks"] == 4
    assert found.best["d_token"] == 16
    assert 0.003 < found.best["lr"] < 0.03
    assert found.trials[0] == {"changes": {}, "score": 9.0, "seconds": found.trials[0]["seconds"]}
    assert len(found.trials) == 60
    assert found.score == min(t["score"] for t in found.trials)
    assert all(isinstance(t["changes"]["blocks"], int) and 1 <= t["changes"]["blocks"] <= 5 for t in found.trials[1:])
    strip = lambda f: [(t["changes"], t["score"]) for t in f.trials]  # noqa: E731
    assert strip(search(bowl, SPACE, trials=12, seed=3)) == strip(search(bowl, SPACE, trials=12, seed=3))
    assert strip(search(bowl, SPACE, trials=12, seed=3)) != strip(search(bowl, SPACE, trials=12, seed=4))


def test_the_recipe_stays_where_nothing_beats_it() -> None:
    assert search(lambda c, left: 1.0 if c else 0.0, SPACE, trials=4).best == {}


def test_the_clock_ends_it() -> None:
    started = time.monotonic()

    def slow(changes, left: float) -> float:
        time.sleep(0.1)
        return 0.0

    found = search(slow, SPACE, trials=1000, seconds=0.45)
    assert time.monotonic() - started < 2.0
    assert found.ended == "time limit"
    assert 2 <= len(found.trials) <= 5


def test_a_failed_trial_is_told_and_does_not_end_the_search() -> None:
    def fussy(changes, left: float) -> float:
        if changes.get("d_token", 0) == 24:
            raise RequestError("24 does not fit")
        return float("nan") if changes.get("d_token") == 16 else 1.0

    found = search(fussy, {"d_token": [8, 16, 24]}, trials=15)
    told = {t["changes"].get("d_token"): t.get("failed") for t in found.trials}
    assert told == {None: None, 8: None, 16: "the score is not finite", 24: "24 does not fit."}

    def broken(changes, left: float) -> float:
        raise RequestError("no")

    with pytest.raises(RequestError, match="no trial"):
        search(broken, SPACE, trials=2)


def test_spaces_are_checked() -> None:
    with pytest.raises(RequestError, match="no setting 'speed'"):
        check_space({"speed": (1, 2)})
    for spec in ((2, 1), (0.0, 1.0, "log"), [], (1,), "lr"):
        with pytest.raises(ArgumentError, match="cannot be searched"):
            check_space({"lr": spec})
    with pytest.raises(RequestError, match="nothing to search"):
        check_space({})


@pytest.mark.parametrize("entry", [e for e in registry.entries("backbone") if e.space], ids=lambda e: e.name)
def test_every_stated_space_can_be_searched(entry) -> None:
    check_space(entry.space)


def test_changes_go_into_fields_and_options() -> None:
    made = changed(TrainSettings(options=(("heads", 8),)), {"lr": 0.5, "options.heads": 2, "options.blocks": 1})
    assert made.lr == 0.5
    assert dict(made.options) == {"heads": 2, "blocks": 1}


def test_an_estimator_keeps_the_best_fit_and_all_trials(tmp_path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X[:, 0] * X[:, 1] > 0
    tune = {"trials": 4, "space": {"lr": (1e-4, 2e-2, "log"), "width": [16, 64], "dropout": (0.0, 0.3)}}
    model = TabularClassifier(tune=tune, dropout=0.2, **QUICK).fit(X, y)
    told = model.record_["training"]["tuning"]
    assert len(told["trials"]) == 4
    assert told["score"] == min(t["score"] for t in told["trials"])
    assert np.mean(model.record_["training"]["stop_score"]) == pytest.approx(told["score"])
    assert all("dropout" not in t["changes"] for t in told["trials"]), "what the user has set is left as it is"
    settings = model.engine_.settings
    assert all(getattr(settings, k) == v for k, v in told["best"].items())
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.record_["training"]["tuning"] == told
    refit = model.refitter().estimator(rows=np.arange(150))
    assert "tuning" not in refit.record_["training"], "a refit uses what was found"
    assert all(getattr(refit.engine_.settings, k) == v for k, v in told["best"].items())


def test_ranges_and_choices_come_back_from_disk_as_they_were_given(tmp_path) -> None:
    X = np.random.default_rng(0).normal(size=(120, 2))
    tune = {"trials": 2, "space": {"blocks": (1, 5), "lr": (1e-3, 1e-2, "log"), "width": [16, 32], "options.dropout": [0.1]}}
    model = TabularClassifier(tune=tune, backbone="mlp", **QUICK).fit(X, X[:, 0] > 0)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.tune == tune
    assert again.get_params()["tune"]["space"]["blocks"] == (1, 5)
    told = again.fit(X, X[:, 0] > 0).record_["training"]["tuning"]
    strip = lambda found: [(t["changes"], t["score"]) for t in found["trials"]]  # noqa: E731
    assert strip(told) == strip(model.record_["training"]["tuning"]), "the same search is made again"
    assert read(written({"space": {"options.hidden": [(), (8,), (16, 16)]}})) == {"space": {"options.hidden": [(), (8,), (16, 16)]}}
    assert (read(True), read({"trials": 3})) == (True, {"trials": 3})


def test_the_users_metric_decides_and_its_direction_is_kept() -> None:
    X = np.random.default_rng(0).normal(size=(150, 2))
    tune = {"trials": 3, "space": {"lr": (1e-3, 1e-2, "log")}}
    told = TabularRegressor(tune=tune, metric="r2", backbone="mlp", **QUICK).fit(X, X[:, 0]).record_["training"]["tuning"]
    assert told["metric"] == "r2"
    assert told["score"] == max(t["score"] for t in told["trials"] if t["score"] is not None)


def test_it_ends_within_the_time_limit(monkeypatch) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    started, fit, ends = time.monotonic(), tuning.fit_engine, list[float]()
    monkeypatch.setattr(tuning, "fit_engine", lambda *given: (ends.append(given[-1] - time.monotonic()), fit(*given))[1])
    model = TabularClassifier(
        tune={"trials": 500, "space": {"lr": (1e-3, 1e-2, "log")}}, time_limit=3.0, verbose=0, threads=1, random_state=0
    ).fit(X, X[:, 0] > 0)  # fmt: skip
    assert time.monotonic() - started < 8.0
    assert model.record_["training"]["tuning"]["ended"] == "time limit"
    assert 0 < max(ends) <= 1.0, "a trial's encoding has the trial's clock too: a third of what is left"


def test_refusals(monkeypatch) -> None:
    X, y = np.arange(60.0)[:, None], np.arange(60) % 2
    for tune in ("yes", {"rounds": 3}, {"trials": 0}, {"seconds": -1}, {"space": 4}):
        with pytest.raises(RequestError, match="tune"):
            TabularClassifier(tune=tune, **QUICK).fit(X, y)
    with pytest.raises(RequestError, match="for networks"):
        TabularClassifier(tune=True, backbone="linear", **QUICK).fit(X, y)
    with pytest.raises(RequestError, match="cannot be resumed"):
        TabularClassifier(tune=True, **QUICK).fit(X, y, resume="folder")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"pellucid\[tune\]\""):
        search(bowl, SPACE)
