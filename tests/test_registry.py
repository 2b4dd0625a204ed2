"""Every registered method against every common check it qualifies for; none may run without a check."""

from __future__ import annotations

import inspect

import pytest

from pellucid import registry
from pellucid.errors import ArgumentError, MissingExtraError, RequestError
from pellucid.registry import Entry
from pellucid.testing import checks_encoder
from pellucid.testing.checks import Bound, checks_for

IN_SHORT = {
    "backbone": ("tabm", "linear"),
    "explain": None,
    "act": None,
    "select": None,
    "uncertainty": None,
    "audit": None,
    "map": ("scatter", "pca", "classical_mds", "mds", "sne", "tsne", "autoencoder2d", "representatives"),
    "trial": None,
    "shift": None,
    "remedy": None,
    "encoder": None,
    "fill": None,
    "scale": None,
    "regularizer": None,
}
"""Kinds whose long checks run by default for these entries alone: the default network, and one peer."""


def _cases() -> list:
    out = []
    for entry in registry.entries():
        for bound in checks_for(entry):
            marks = []
            few = IN_SHORT[entry.kind]
            if bound.check.long and (few is None or entry.name not in few):
                marks.append(pytest.mark.long)
            if bound.reason:
                marks.append(pytest.mark.xfail(reason=bound.reason, strict=True))
            out.append(pytest.param(bound, id=bound.name, marks=marks))
    return out


@pytest.mark.parametrize("bound", _cases())
def test_the_method_passes_the_check(bound: Bound) -> None:
    if bound.entry.extra is not None:
        try:
            registry.resolve(bound.entry)
        except MissingExtraError as missing:
            pytest.skip(str(missing))
    bound()


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda e: f"{e.kind}-{e.name}")
def test_no_method_goes_unchecked(entry: Entry) -> None:
    names = [b.check.name for b in checks_for(entry)]
    assert names, f"no common check applies to the {entry.kind} method {entry.name!r}"
    unknown = set(entry.exempt) - set(names) - {"save"}  # the estimators' own tests read "save"
    assert not unknown, f"{entry.name} is exempt from checks that do not exist: {unknown}"


@pytest.mark.parametrize("check", checks_encoder.CHECKS, ids=lambda c: c.name)
def test_the_table_encoder_passes_the_check(check) -> None:
    check.function(checks_encoder.table_encoder)


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda e: f"{e.kind}-{e.name}")
def test_a_line_tells_what_is_needed_to_choose(entry: Entry) -> None:
    assert entry.summary.rstrip().endswith((".", "?")), "the summary is no sentence"
    assert entry.kind in registry.KINDS
    assert entry.question in ("", "why", "certain", "data")
    assert entry.cost, "the cost is not stated"
    known = {"black box", "gradients", "parts", "background", "training rows", "labels", "refit", "members", "whole table", "numbers"}
    known |= {"column rank", "explainer", "row model", "text", "goal", "hidden"}
    assert set(entry.needs) <= known, f"unknown needs {set(entry.needs) - known}"
    assert set(entry.axioms) <= {"completeness", "dummy", "symmetry", "linearity", "sensitivity"}
    if entry.extra is None:
        assert callable(registry.resolve(entry)) or inspect.isclass(registry.resolve(entry))


def test_lines_of_ones_own_are_registered_checked_and_refused_twice(monkeypatch) -> None:
    from pellucid.testing import saboteurs

    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))

    def broken(question):
        made = saboteurs.honest(question.view.inner, question.table, background=question.background)
        values = made.values * 0.9
        return question.answer(values.reshape(len(made), len(made.columns), -1), 0.0, question.view.raw(question.table))

    entry = Entry("mine", "explain", broken, "Nine tenths of the truth.", question="why", axioms=("completeness",), cost="2^P")
    registry.register(entry)
    checks = {b.check.name: b for b in checks_for(entry)}
    assert "values_add_up" in checks
    with pytest.raises(AssertionError, match="misses the answer"):
        checks["values_add_up"]()
    with pytest.raises(RequestError, match="taken"):
        registry.register(entry)
    with pytest.raises(ArgumentError):
        registry.register("mine")  # type: ignore[arg-type]


def test_options_take_the_place_of_defaults_and_others_are_named() -> None:
    entry = Entry("made", "explain", print, "Made up.", options={"draws": 5, "order": 2})
    assert entry.settled(None, "{'draws': 9}") == {"draws": 5, "order": 2}
    assert entry.settled({"draws": 9}, "{'draws': 9}") == {"draws": 9, "order": 2}
    with pytest.raises(RequestError, match=r"'made' has no option 'drawn'.*[Dd]id you mean .draws"):
        entry.settled({"drawn": 9}, "{'draws': 9}")
    with pytest.raises(ArgumentError, match=r"a mapping such as \{'draws': 9\}"):
        entry.settled([9], "{'draws': 9}")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="no options"):
        Entry("bare", "explain", print, "Made up.").settled({"draws": 9}, "{}")
