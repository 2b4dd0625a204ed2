"""The self-check passes on the package as it is, and goes red on estimators with one fault each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid.cli.selfcheck import CHECKS, run_checks
from pellucid.estimators import TabularClassifier


class Faulty(TabularClassifier):
    """A classifier whose answers are spoilt by ``spoil(self, X, answers)``."""

    def predict_proba(self, X):
        answers = super().predict_proba(X)
        return self.spoil(X, answers)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]


def _by_place(self, X, answers):
    return answers * (1 + 1e-4 * np.arange(len(answers)))[:, None]


def _by_batch(self, X, answers):
    return answers + 1e-4 * len(answers)


def _by_columns(self, X, answers):
    return answers + 1e-3 * (X.columns[0] == "age")


def _by_chance(self, X, answers):
    self.luck = getattr(self, "luck", np.random.default_rng().random())
    return answers + 1e-3 * self.luck


def _by_target(self, X, answers):
    return answers + 1e-3 * ("answer" in X.columns)


FAULTS = {
    "row order": _by_place,
    "batch size": _by_batch,
    "column order": _by_columns,
    "refit identity": _by_chance,
    "target ignored": _by_target,
}


def faulty(spoil):
    kind = type("Faulty", (Faulty,), {"spoil": spoil, "__init__": TabularClassifier.__init__})
    return lambda **options: kind(backbone="linear", random_state=0, verbose=0)


def test_the_package_keeps_its_promises():
    checks = run_checks(lambda **options: TabularClassifier(backbone="linear", random_state=0, verbose=0))
    assert [c.name for c in checks] == list(CHECKS)
    assert [c.words for c in checks if not c.passed] == []


@pytest.mark.parametrize("name", FAULTS)
def test_saboteur_each_fault_turns_its_check_red(name, monkeypatch):
    monkeypatch.setattr("pellucid.cli.selfcheck.CHECKS", {name: CHECKS[name]})
    [check] = run_checks(faulty(FAULTS[name]))
    assert not check.passed


def test_saboteur_a_leak_turns_the_canary_red(monkeypatch):
    import pellucid.cli.selfcheck as selfcheck
    from pellucid.random import stream

    frame, labels = selfcheck.planted(0)
    known = dict(zip(frame.to_records(index=False).tolist(), stream(0, "canary").permutation(labels)))

    def spoil(self, X, answers):
        out = np.zeros_like(answers)
        want = [known.get(row, self.classes_[0]) for row in X.to_records(index=False).tolist()]
        out[np.arange(len(out)), np.searchsorted(self.classes_, want)] = 1
        return out

    monkeypatch.setattr("pellucid.cli.selfcheck.CHECKS", {"leak canary": CHECKS["leak canary"]})
    [check] = run_checks(faulty(spoil))
    assert not check.passed


def test_the_command_tells_the_outcome(run):
    done = run("selfcheck", "--backbone", "linear", "--json")
    assert done.code == 0, done.err
    assert all(c["passed"] for c in json.loads(done.out))
