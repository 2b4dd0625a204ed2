"""The main job: one table in, one page out. Read, audit, hold out, fit, compare, explain, try the explanations, certify, write.

Each stage gives a result; finished stages are kept in a folder beside the page until it is written, so an interrupted job goes on where
it stopped.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.cli.changed import Changed, ask_changed
from pellucid.cli.further import Further, ask_further, columns_of
from pellucid.cli.keep import Stages
from pellucid.cli.models import estimator_for, task_of, work_folder
from pellucid.cli.output import check_writable
from pellucid.cli.replay import line
from pellucid.cli.seen import look
from pellucid.cli.spoken import spoken, spoken_findings
from pellucid.cli.subject import Subject, fitted_subject, foreign_subject
from pellucid.errors import EmptyTableError, PellucidError, RequestError, TargetError, did_you_mean, quote
from pellucid.random import integer
from pellucid.report.facts import ReportData
from pellucid.results import AttentionMaps, Explanation, Finding, Importance, Leaderboard, Trial
from pellucid.results.owed import OWED, owed_of
from pellucid.table import Table, read_table

__all__ = ["report"]

EXPLAINED = 200
FEWEST = 40
CALLS = 3000
"""Model rows that the Shapley values of one row take, about; slow models are explained on fewer rows."""
FIT_SECONDS = 240.0
QUICK = "hist_gb"
CHEAP_TRIALS = ("completeness", "deletion", "weight_randomisation")
"""What the other explanations are tried by, beside what views of attention are not shown without."""
QUICK_TRIALS = ("completeness", "deletion", "stability", "error_cover", "sufficiency", "removal_in_distribution", "agreement")
"""What the main explanation is tried by on a first page: what needs no second model and little time."""
MAIN_TRIALS = (
    *("completeness", "deletion", "stability", "weight_randomisation", "members", "error_cover", "label_randomisation"),
    *("sufficiency", "removal_in_distribution", "oversensitivity", "overstability", "infidelity", "max_sensitivity", "agreement"),
)
"""What the main explanation is tried by; trials that train many models over take longer than a report (``pellucid.trial`` runs them). A map
of attention is tried by one of them all the same, as far as the time reaches: it is not shown without."""
RIVALS = ("linear", "hist_gb")

Progress = Callable[[str], None]
Answer = Explanation | Importance | str


PRECISION = 0.01
"""Standard error at which the main explanation of a row may stop, as a share of the row's mean absolute value."""


@dataclass(frozen=True)
class Budgets:
    """Seconds for what could go on for ever: explanations, trials, further answers, learning curves."""

    main: float
    other: float
    trials: float
    further: float = 5.0
    learning: float = 0.0

    @classmethod
    def of(cls, quick: bool) -> Budgets:
        """Return the budgets of a first page, or of a full one."""
        return cls(8.0, 4.0, 5.0, 1.5) if quick else cls(45.0, 15.0, 60.0, 10.0, 20.0)


def report(
    source: Any,
    target: str | None = None,
    out: str | Path = "report.html",
    *,
    model: Any = None,
    test: Any = None,
    quick: bool = False,
    resume: bool = False,
    seed: int = 0,
    types: Mapping[str, Any] | None = None,
    backbone: Any = "auto",
    time_limit: float | None = None,
    want: Any = None,
    against: Any = None,
    fill: Any = None,
    progress: Progress | None = None,
    title: str = "",
    name: str = "",
    command: str = "",
    caveats: Sequence[str] = (),
    reading: Sequence[str] = (),
) -> ReportData:
    """Write a report on a table and on a model of it: one offline page, and its numbers as JSON beside it.

    Parameters
    ----------
    source : a Table, a frame, or the path of a CSV or Parquet file.
    target : the column to predict. Without one (and without a target role) the report is an audit of the table.
    out : the page to write.
    model : a fitted model to report on, ours or from elsewhere (anything with ``predict`` or ``predict_proba`` on frames); None fits one.
    test : rows to judge the model on; a fifth of the table is held out where None.
    quick : linear model and boosted trees only, within a minute: a first page, to correct types before the long fit.
    resume : go on with a report of the same table and settings that was interrupted.
    seed : the same seed gives the same page on one machine.
    types : types that the user sets, ``{"zip": "category"}``.
    backbone, time_limit : of the model that is fitted; seconds.
    want : the wanted answer where the table has rules of what a person may change: a class, or a condition such as ``">= 3.5"``; None takes
        the class answered least often.
    against : an older table (Table, frame or path): what has changed since then, and with a model what that cost. Without it, rows given as
        ``test`` are compared with the table.
    fill : rule by which the model that is fitted fills missing cells; None learns them as a state.
    progress : told the name of each stage as it begins.
    title, name, command, caveats : heading of the page, name of the source, the call that replays it, what the reader should know first.
    reading : options of the command line by which the table was read, for the call that replays it; the schema says without.

    Returns
    -------
    ReportData, everything the page shows.

    Raises
    ------
    PellucidError : the table, the target or the request is wrong; nothing is written then.

    Cost: about four minutes for 30,000 rows of 15 columns on two cores, under one with ``quick``.
    """
    out = Path(out)
    check_writable(out, (".html", ".htm"))
    say = progress or (lambda stage: None)
    if hasattr(say, "plan"):
        say("reading the table")
    target = target or target_of(model)
    table = _read(source, target, types)
    held = None if test is None else _read(test, target or table.target, types)
    older = None if against is None else _read(against, None, types)
    job = Job(
        table, held, model, quick, seed, backbone, time_limit, out, title, name, command, tuple(caveats), want, older, fill, tuple(reading)
    )
    _plan(say, job)
    with work_folder(out, resume) as folder:
        data = job.run(Stages(folder, job.key(), say), folder)
        say("writing the page")
        _write(data, out)
    return data


def target_of(model: Any) -> str | None:
    """Return the column that one of our models predicts; None for models from elsewhere."""
    names = getattr(model, "record_", {}).get("target", ())
    if len(names) > 1:
        raise RequestError("a report speaks of one target", got=f"{len(names)} targets", do="fit one model per target")
    return str(names[0]) if names else None


def _read(source: Any, target: str | None, types: Mapping[str, Any] | None) -> Table:
    if not isinstance(source, Table) or types:
        return read_table(source, target=target, types=types)
    if target not in (None, *source.columns):
        where = source.source or None
        raise TargetError(
            f"there is no target column {target!r}",
            expected=f"one of {quote(source.columns, 12)}",
            where=where,
            do=did_you_mean(target, source.columns),
        )
    return source if target in (None, source.target) else source.with_roles(target=target)


def _write(data: ReportData, out: Path) -> None:
    from pellucid.report.html import to_json, write_html, write_whole

    write_html(data, out)
    write_whole(to_json(data), out.with_suffix(".json"))


def _plan(say: Any, job: Job) -> None:
    """Tell a progress bar how long the stages are likely to take."""
    if not hasattr(say, "plan"):
        return
    n, b = len(job.table), Budgets.of(job.quick)
    fit = min(job.time_limit or FIT_SECONDS, 4 + n * 0.0035) if not job.quick else 3 + n * 2e-4
    if job.model is not None:
        fit = 0.1
    seconds = {"looking for faults": 2 + n * 3e-4, "groups, more rows, changes": 2 + n * 1e-4}
    if job.table.target is not None or job.model is not None:
        seconds |= {"fitting": fit, "comparing models": 4 + n * 4e-4, "explaining": b.main / 2, "explaining in other ways": b.other * 1.5}
        seconds |= {"asking further": 3 * b.further, "groups, more rows, changes": 3 + n * 1e-4 + b.learning}
        seconds |= {"looking from above": 4.0 if job.quick else 40.0}
        seconds |= {"trying the explanations": b.trials * 3, "how certain": 4.0}
    say.plan.update(seconds | {"writing the page": 2.0})


@dataclass(frozen=True)
class Job:
    """One report to be made."""

    table: Table
    test: Table | None
    model: Any
    quick: bool
    seed: int
    backbone: Any
    time_limit: float | None
    out: Path
    title: str = ""
    name: str = ""
    command: str = ""
    caveats: tuple[str, ...] = ()
    want: Any = None
    against: Table | None = None
    fill: Any = None
    reading: tuple[str, ...] = ()

    def key(self) -> dict[str, Any]:
        """Return what the finished stages depend on."""
        from importlib.metadata import version

        given = "" if self.model is None else f"{type(self.model).__name__}:{getattr(self.model, 'record_', None) or id(self.model)}"
        return {
            "table": self.table.fingerprint(),
            "target": self.table.target,
            "schema": self.table.schema.to_dict(),
            "test": None if self.test is None else self.test.fingerprint(),
            "against": None if self.against is None else self.against.fingerprint(),
            "model": given,
            "settings": [self.quick, self.seed, str(self.backbone), self.time_limit, str(self.want), str(self.fill)],
            "version": version("pellucid"),
        }

    def run(self, stage: Stages, folder: Path) -> ReportData:
        """Return everything the page shows."""
        findings = stage("looking for faults", self._findings)
        if self.model is None and self.table.target is None:
            told, untold = stage("groups, more rows, changes", lambda: self._changed(None))
            seen, unseen = stage("looking from above", lambda: look(self.table, None, findings, None, True, self.seed, self.quick))
            return self._assembled(stage, findings, {"seen": seen, "unknown": (*untold, *unseen)} | dict(told))
        subject = self._subject(stage, folder)
        if subject.ours:
            findings = [*findings, *stage("looking for unfamiliar rows", lambda: self._unfamiliar(subject))]
        board = stage("comparing models", lambda: self._board(subject))
        b = Budgets.of(self.quick)
        affordable = int(b.main * subject.pace() / CALLS)
        rows = stage("choosing rows", lambda: subject.some_rows(max(FEWEST, min(EXPLAINED, affordable)), self.seed))
        main = stage("explaining", lambda: self._explained(subject, rows, "shapley", b.main))
        others = stage("explaining in other ways", lambda: self._others(subject, rows))
        further, lost = stage("asking further", lambda: self._further(subject, rows, main, others))
        maps = further.get("attention")
        trials = stage("trying the explanations", lambda: self._trials(subject, rows, main, others, maps))
        if maps is not None:
            further = dict(further) | {"attention": maps.with_trials(trials)}
        certain = stage("how certain", lambda: subject.certainty(rows, self.seed))
        told, untold = stage("groups, more rows, changes", lambda: self._changed(subject))
        seen, unseen = stage(
            "looking from above", lambda: look(self.table, subject, findings, rows, self.test is None, self.seed, self.quick)
        )
        parts = (
            dict(certain)
            | {
                "leaderboard": board if isinstance(board, Leaderboard) else None,
                "explanation": main if isinstance(main, Explanation) else None,
                "others": tuple(e for e in others if isinstance(e, Explanation)),
                "importance": next((e for e in others if isinstance(e, Importance)), None),
                "trials": tuple(trials),
                "positions": subject.positions(rows),
                "unknown": (
                    *certain.get("unknown", ()),
                    *(e for e in (board, main, *others) if isinstance(e, str)),
                    *lost,
                    *subject.slow_words(),
                    *untold,
                    *unseen,
                ),
                "seen": seen,
            }
            | dict(further)
            | dict(told)
        )
        return self._assembled(stage, findings, subject.facts() | parts)

    def _findings(self) -> list[Finding]:
        from pellucid.audit import audit

        return list(audit(self.table, seed=self.seed))

    def _unfamiliar(self, subject: Subject) -> list[Finding]:
        """Return test rows unlike the training rows; their positions are those of the source, or of the test file where one was given."""
        from pellucid import registry
        from pellucid.audit.view import View

        find = registry.resolve(registry.get("audit", "unfamiliar"))
        found = find(View(subject.test.drop([subject.target]), None, subject.model, self.seed))
        return [replace(f, rows=subject.positions(f.rows)) for f in found]

    def _subject(self, stage: Stages, folder: Path) -> Subject:
        """Return the model and the rows it is judged on."""
        train, test, origin = self._parts()
        stage.progress("fitting")
        if self.model is not None:
            ours = hasattr(self.model, "certainty_")
            return (fitted_subject if ours else foreign_subject)(
                self.model, train, test, origin, seed=self.seed, held_out=self.test is not None
            )
        kept = folder / "model"
        if (kept / "pellucid.json").is_file():
            from pellucid.estimators import load

            model = load(kept)
        else:
            shutil.rmtree(kept, ignore_errors=True)
            model = estimator_for(
                self.table,
                backbone=QUICK if self.quick else self.backbone,
                time_limit=self.time_limit or FIT_SECONDS,
                random_state=self.seed,
                verbose=0,
                **({} if self.fill is None else {"fill": self.fill}),
            ).fit(train, resume=folder / "fit")
            try:
                model.save(kept)
            except RequestError:
                shutil.rmtree(kept, ignore_errors=True)  # this kind cannot be saved: a resumed job fits it again
        stage.durations["fitting"] = round(float(model.record_["seconds"]), 2)
        return fitted_subject(model, train, test, origin, seed=self.seed, held_out=True)

    def _parts(self) -> tuple[Table, Table, npt.NDArray[np.int64]]:
        """Return (training rows, test rows, positions of the test rows in the table they came from)."""
        if self.test is not None:
            return self.table, self.test, np.arange(len(self.test))
        train, test = hold_out(self.table, self.seed)
        return self.table.take(train), self.table.take(test), test

    def _board(self, subject: Subject) -> Leaderboard | str | None:
        """Return the models compared on the test rows, or why they are not: in words, or None where the page says so elsewhere."""
        from pellucid.evaluate import compare

        if subject.train.target is None:
            return None
        rivals = [r for r in RIVALS if r != subject.name]
        try:
            return compare(
                subject.train, [(subject.name, subject.model), *rivals], test=subject.test, random_state=self.seed, time_limit=60.0,
                explain_rows=0 if self.quick else 24,
            )  # fmt: skip
        except TargetError:
            return None  # the held-out rows cannot be scored: the page says that it cannot tell
        except EmptyTableError as error:
            return f"How much better or worse other models are: {error}"

    def _explained(self, subject: Subject, rows: npt.NDArray[np.int64], method: str, seconds: float) -> Answer:
        """Return the explanation of test rows, or why there is none, in words."""
        from pellucid.explain import explain

        try:
            return explain(  # type: ignore[no-any-return]
                subject.model,
                subject.rows(rows),
                method=method,
                background=subject.background,
                budget=f"{seconds:g}s",
                precision=PRECISION if method == "shapley" else None,
                random_state=self.seed,
                y=subject.truth(rows) if method == "permutation_importance" else None,
            )
        except PellucidError as error:
            return f"Reasons by {method}: {error}"

    def _others(self, subject: Subject, rows: npt.NDArray[np.int64]) -> list[Answer]:
        inside = [*(["integrated_gradients"] if subject.differentiable else []), *(["attention"] if subject.attends else [])]
        methods = ["permutation_importance", "occlusion", *inside]
        return [self._explained(subject, rows, m, Budgets.of(self.quick).other) for m in methods]

    def _further(
        self, subject: Subject, rows: npt.NDArray[np.int64], main: Answer, others: Sequence[Answer]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        seconds = Budgets.of(self.quick).further
        moved = next((e for e in others if isinstance(e, Explanation) and e.method == "occlusion"), None)
        return ask_further(Further(subject, rows, columns_of(main, subject), seconds, self.seed, self.want, moved))

    def _changed(self, subject: Subject | None) -> tuple[dict[str, Any], tuple[str, ...]]:
        seconds = Budgets.of(self.quick).learning
        return ask_changed(Changed(self.table, subject, self.test, self.against, seconds, self.seed))

    def _trials(
        self, subject: Subject, rows: npt.NDArray[np.int64], main: Answer, others: Sequence[Answer], maps: AttentionMaps | None
    ) -> list[Trial]:
        from pellucid.evaluate import trial

        out: list[Trial] = []
        b = Budgets.of(self.quick)
        asked = (subject.model, subject.rows(rows), subject.truth(rows))
        names = QUICK_TRIALS if self.quick else MAIN_TRIALS
        for explanation in (e for e in (main, *others) if not isinstance(e, str)):
            # the trials explain some 40 times eight rows: give slow explanations the time for it, within reason
            wanted = 320 * explanation.record.duration / len(rows) if explanation is main else 0.0
            out += trial(
                explanation,
                *asked,
                refit=subject.refit,
                budget=float(np.clip(wanted, b.trials, 2 * b.trials)) if explanation is main else b.trials / 3,
                names=tuple(dict.fromkeys((*CHEAP_TRIALS, *owed_of(explanation)))) if explanation is not main else names,
                random_state=self.seed,
                background=subject.background,
            )
        if maps is not None:
            out += trial(maps, *asked, refit=subject.refit, budget=b.trials, names=tuple(OWED), random_state=self.seed)
        return out

    def _assembled(self, stage: Stages, findings: Sequence[Finding], parts: Mapping[str, Any]) -> ReportData:
        from pellucid.cli.gather import column_facts, missing_pattern
        from pellucid.estimators.io import versions

        table = self.table
        source = self.name or Path(table.source).name or "a table in memory"
        target = parts.get("target", table.target or "")
        title = self.title or (f"{target} in {source}" if target else source)
        facts: dict[str, Any] = {
            "title": title,
            "source": source,
            "n_rows": table.n_rows,
            "n_columns": len(table.schema),
            "columns": column_facts(table),
            "fingerprint": table.fingerprint(),
            "findings": tuple(spoken_findings(findings)),
            "missing": missing_pattern(table),
            "versions": versions(),
            "seeds": {"seed": self.seed},
            "durations": stage.durations,
            "command": self.command or line(self, source, target),
            "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        facts |= parts
        facts["caveats"] = tuple(map(spoken, (*self.caveats, *parts.get("caveats", ()))))
        facts["unknown"] = tuple(map(spoken, parts.get("unknown", ())))
        return ReportData(**facts)


def hold_out(table: Table, seed: int, share: float | None = None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return positions (training, test) by the one split plan: stratified, grouped or in order, copies kept in one part."""
    from pellucid.table import held_share, make_plan

    task = task_of(table)
    share = held_share(len(table)) if share is None else share
    assert table.target is not None  # task_of has looked
    values = table.numbers(table.target) if task == "regression" else table.levels(table.target)[0]
    plan = make_plan(
        *(table, values), task=task, seed=integer(seed, "test rows"), stop_given=True, certify_share=share, certify_min=1, fold_below=0
    )
    return plan.train, plan.certify
