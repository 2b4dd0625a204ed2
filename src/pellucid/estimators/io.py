"""Models on disk: a folder of JSON, safetensors and Parquet; nothing in it is executable, and it appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.encode.filling import TableFill
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import ArgumentError, ModelFileError, PellucidError, RequestError, SourceError
from pellucid.estimators.certainty import Certainty
from pellucid.estimators.leftovers import beside, recover
from pellucid.estimators.prepare import Target
from pellucid.estimators.promises import Promises
from pellucid.estimators.tuning import read, written
from pellucid.files import usual_mode, writing
from pellucid.protocols import FittedExplainer
from pellucid.results import Decision
from pellucid.table import Plan, Schema, Table
from pellucid.training.rules import Rule

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["FORMAT", "load", "save", "versions"]

FORMAT = 1
MAIN, WEIGHTS, ENCODER, REFERENCE = "pellucid.json", "weights.safetensors", "encoder.json", "reference.parquet"
SUM = "checksum"
ROWS, EXPLAINERS = "row_model.safetensors", "explainers"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    from importlib.metadata import version

    return {"python": sys.version.split()[0], **{p: version(p) for p in ("pellucid", "torch", "numpy", "pandas", "scikit-learn")}}


def save(estimator: TabularEstimator, path: Any, *, force: bool = False) -> None:
    """Write a fitted estimator to the folder ``path``.

    The folder is written beside and renamed; with ``force`` an existing model is swapped for the new one by rename. Anything else that
    exists at ``path`` is never replaced. What a save that was killed left beside is put back or removed first.
    """
    final = Path(path)
    with writing(final):
        _make_room(final, force)
        main, arrays = _held(estimator)
        folder = beside(final)
        try:
            _write(folder, estimator, main, arrays)
            _swap(folder, final)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _make_room(final: Path, force: bool) -> None:
    """Raise where something stands at ``final`` that is not to be replaced; make the folder it will lie in."""
    recover(final)
    if final.exists():
        if not (final / MAIN).is_file():
            raise RequestError("the path exists and is not a model folder", where=str(final), do="choose another path")
        if not force:
            raise RequestError(
                "a model exists at this path", where=str(final), do="choose another path, or pass force=True (--force) to replace it"
            )
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            "the folder cannot be made", where=str(final.parent), got=str(error.strerror), do="choose another path"
        ) from error


def _held(estimator: TabularEstimator) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return (what is written as JSON, the arrays it names)."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    engine = estimator.engine_
    if engine.differentiable:
        arrays |= {f"net.{k}": v for k, v in engine.arrays().items()}  # type: ignore[attr-defined]
        engine_state: dict[str, Any] = engine.state()  # type: ignore[attr-defined]
    else:
        arrays |= {f"peer.{k}": v for k, v in engine.peer.arrays().items()}  # type: ignore[attr-defined]
        engine_state = engine.peer.state() | {"record": engine.record}  # type: ignore[attr-defined]
    if getattr(estimator, "reference_target_", None) is not None:
        arrays["reference.target"] = np.asarray(estimator.reference_target_)
    main = {
        "format": FORMAT,
        "schema": estimator.schema_.to_dict(),
        "library_of_fit": "numpy" if not hasattr(estimator, "feature_names_in_") else "frame",
        "n_features_in": estimator.n_features_in_,
        "settings": _settings(estimator),
        "classes": _classes(estimator),
        "target": {
            "task": estimator.target_.task,
            "names": list(estimator.target_.names),
            "unit": estimator.target_.unit,
            "flat": estimator.target_.flat,
        },
        "engine": {"name": engine.name, **engine_state},
        "record": estimator.record_,
        "plan": _out(estimator.plan_.to_dict(), "plan", arrays),
        "decision": estimator.decision_.to_dict() if hasattr(estimator, "decision_") else None,
        "ordered_fill": None if estimator.ordered_fill_ is None else _lists(estimator.ordered_fill_.state()),
        "certainty": _out(estimator.certainty_.state(), "certainty", arrays),
        "promises": _out(estimator.promises().state(), "promises", arrays),
        "rules": [rule.state() for rule in estimator.rules()],
    }
    return main, arrays


def _write(folder: Path, estimator: TabularEstimator, main: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / WEIGHTS)
    (folder / ENCODER).write_text(json.dumps(_lists(estimator.engine_.encoder.state())), encoding="utf-8")
    if estimator.reference_ is not None:
        _to_parquet(estimator.reference_, folder / REFERENCE)
    if estimator.row_model_ is not None:
        estimator.row_model_.save(folder / ROWS)
    for name, fitted in estimator.explainers_.items():
        (folder / EXPLAINERS).mkdir(exist_ok=True)
        text = json.dumps(fitted.state, ensure_ascii=False, default=_lists)
        held = {k: np.ascontiguousarray(v) for k, v in fitted.arrays.items()}
        save_file(held, folder / EXPLAINERS / f"{name}.safetensors", metadata={"explainer": text})
    for path in folder.rglob("*.safetensors"):
        path.chmod(usual_mode())  # who may read the model's other files may read its weights: safetensors leaves them to their owner
    sums = {p.relative_to(folder).as_posix(): _checksum(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    plain = json.loads(json.dumps({**main, "files": sums}, ensure_ascii=False))
    (folder / MAIN).write_text(json.dumps({**plain, SUM: _sum_of(plain)}, indent=1, ensure_ascii=False), encoding="utf-8")
    folder.chmod(0o755)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum_of(main: Mapping[str, Any]) -> str:
    """Return the checksum of the settings, whatever the order and the spaces of their text."""
    text = json.dumps({k: v for k, v in main.items() if k != SUM}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_main(folder: Path, main: Mapping[str, Any]) -> None:
    """Raise where the settings are not those that were saved; models of earlier versions have no checksum of them."""
    if SUM in main and main[SUM] != _sum_of(main):
        raise ModelFileError(
            "the model folder is damaged", where=str(folder / MAIN), expected="the settings that were saved", got="others",
            do="copy or save the model again",
        )  # fmt: skip


def _check_files(folder: Path, sums: Mapping[str, str]) -> None:
    """Raise where a file has gone or changed since it was saved: weights with a few other bits would answer, only wrongly."""
    for name, known in sums.items():
        if not (folder / name).resolve().is_relative_to(folder.resolve()):  # a stranger's folder must not have other files read
            raise ModelFileError(
                "the model folder is damaged",
                where=str(folder / MAIN),
                expected="names of files within the folder",
                got=repr(name),
                do="copy or save the model again",
            )
        if not (folder / name).is_file():
            raise ModelFileError("a file of the model folder is missing", where=str(folder / name), do="copy or save the model again")
        if _checksum(folder / name) != known:
            raise ModelFileError(
                "the model folder is damaged",
                where=str(folder / name),
                expected="the bytes that were saved",
                got="others",
                do="copy or save the model again",
            )


def _swap(folder: Path, final: Path) -> None:
    """Put the finished folder in place; the old model, if any, is kept under another name until the new one stands."""
    if not final.exists():
        os.rename(folder, final)
        return
    old = beside(final, old=True)
    os.rename(final, old / "model")
    try:
        os.rename(folder, final)
    except BaseException:
        os.rename(old / "model", final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _to_parquet(table: Table, path: Path) -> None:
    """Write the kept rows; cells and row labels that Parquet cannot hold as they are (mixed types) are written as text."""
    frame = table.frame.copy()
    frame.columns = [str(c) for c in frame.columns]
    for name in frame.columns:
        if not _fits_parquet(frame[name]):
            frame[name] = frame[name].map(str, na_action="ignore")
    if not _fits_parquet(frame.index):
        frame.index = frame.index.map(str)
    frame.to_parquet(path)


def _fits_parquet(cells: Any) -> bool:
    """Return whether Parquet can hold the cells of a column, or the labels of rows, as they are."""
    import pyarrow as pa

    try:
        pa.Array.from_pandas(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True


def _settings(estimator: TabularEstimator) -> dict[str, Any]:
    """Return the constructor arguments; callables by name only."""
    out: dict[str, Any] = {}
    for name, value in estimator.get_params(deep=False).items():
        if isinstance(value, Schema):
            out[name] = {"schema": value.to_dict()}
        elif isinstance(value, registry.Entry):
            out[name] = {"callable": value.name}
        elif name == "class_weight" and isinstance(value, Mapping):
            out[name] = {"pairs": [[_lists(k), float(v)] for k, v in value.items()]}
        elif name == "pretrain" and not isinstance(value, bool | int | np.integer):
            out[name] = True  # the rows themselves are not kept
        elif name == "tune":
            out[name] = _lists(written(value))
        elif callable(value):
            out[name] = {"callable": getattr(value, "__name__", type(value).__name__)}
        else:
            out[name] = _lists(value if name != "random_state" or isinstance(value, int | None.__class__) else estimator.record_["seed"])
    return out


def _classes(estimator: TabularEstimator) -> dict[str, Any] | None:
    if not hasattr(estimator, "classes_"):
        return None
    classes = estimator.classes_
    return {
        "dtype": "object" if classes.dtype.kind in "OUS" else str(classes.dtype),
        "labels": [c.item() if isinstance(c, np.generic) else c for c in classes.tolist()],
    }


def _lists(value: Any) -> Any:
    """Return a value with arrays as lists, all else as JSON has it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(k): _lists(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(v) for v in value]
    return value


def _out(value: Any, at: str, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Move numeric arrays out of a nested state into ``arrays`` and leave their names."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
        arrays[at] = value
        return {"array": at}
    if isinstance(value, Mapping):
        return {str(k): _out(v, f"{at}.{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > 50 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
            return _out(np.asarray(value), at, arrays)
        return [_out(v, f"{at}.{i}", arrays) for i, v in enumerate(value)]
    return _lists(value)


def _in(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Undo :func:`_out`."""
    if isinstance(value, Mapping):
        return (
            arrays[value["array"]]
            if set(value) == {"array"} and isinstance(value["array"], str)
            else {k: _in(v, arrays) for k, v in value.items()}
        )
    return [_in(v, arrays) for v in value] if isinstance(value, list) else value


def load(path: Any, **callables: Any) -> TabularEstimator:
    """Read a model folder. Nothing in it is executed.

    Parameters
    ----------
    path : the folder.
    callables : what was saved by name only is handed over again by argument name: ``load(path, backbone=factory)``.

    Raises
    ------
    SourceError : there is no such folder. ModelFileError : it is damaged, foreign or newer than this version.
    """
    folder = Path(path)
    if not folder.exists():
        recover(folder)
    if not folder.exists():
        raise SourceError("there is no such model folder", where=str(folder), do="check the path")
    if not (folder / MAIN).is_file():
        raise ModelFileError(
            "this is not a model folder",
            expected=f"a folder with {MAIN}",
            where=str(folder),
            do="give the folder in which a model was saved",
        )
    try:
        main = json.loads((folder / MAIN).read_text(encoding="utf-8"))
        made = int(main["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError("the model folder is damaged", where=str(folder / MAIN), got=str(error), do="save the model again") from error
    if made > FORMAT:
        raise ModelFileError(
            "the model was saved by a newer version", expected=f"format {FORMAT} or older", got=f"format {made}", do="update pellucid"
        )
    try:
        _check_main(folder, main)
        _check_files(folder, main.get("files", {}))  # models of earlier versions do not list them
        return _rebuild(folder, main, callables)
    except PellucidError:
        raise
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise ModelFileError(
            "the model folder is damaged", where=str(folder), got=f"{type(error).__name__}: {error}", do="save the model again"
        ) from error


def _rebuild(folder: Path, main: Mapping[str, Any], callables: Mapping[str, Any]) -> TabularEstimator:
    import pandas as pd
    from safetensors.numpy import load_file

    from pellucid.estimators.classifier import TabularClassifier
    from pellucid.estimators.regressor import TabularRegressor
    from pellucid.estimators.row_model import RowModel

    arrays = load_file(folder / WEIGHTS)
    encoder = TableEncoder.from_state(json.loads((folder / ENCODER).read_text(encoding="utf-8")), callables.get("text"))
    target, engine = main["target"], main["engine"]
    kind = TabularClassifier if target["task"] == "classification" else TabularRegressor
    model = kind(**_arguments(main["settings"], callables))
    model.schema_ = Schema.from_dict(main["schema"])
    model.n_features_in_ = int(main["n_features_in"])
    if main["library_of_fit"] == "frame":
        model.feature_names_in_ = np.asarray(model.schema_.names, object)
    if main["classes"] is not None:
        model.classes_ = np.asarray(main["classes"]["labels"], dtype=main["classes"]["dtype"])
    classes = np.asarray(main["classes"]["labels"], object) if main["classes"] else np.zeros(0)
    model.target_ = Target(target["task"], np.zeros(0), classes, tuple(target["names"]), target["unit"], bool(target["flat"]))
    model.plan_ = Plan.from_dict(_in(main["plan"], arrays))
    model.certainty_ = Certainty.from_state(_in(main["certainty"], arrays))
    if main.get("promises") is not None:  # models of earlier versions do not have them
        model._promises = Promises.from_state(_in(main["promises"], arrays))
    if main.get("rules") is not None:
        model._rules = tuple(Rule.from_state(rule) for rule in main["rules"])
    if main.get("decision") is not None:
        model.decision_ = Decision.from_dict(main["decision"], [c.item() if isinstance(c, np.generic) else c for c in model.classes_])
    model.record_ = dict(main["record"])
    model.ordered_fill_ = TableFill.from_state(main["ordered_fill"]) if main.get("ordered_fill") else None
    model.engine_ = _engine(engine, encoder, arrays, callables.get("backbone"))
    model.history_ = model.engine_.history
    reference = folder / REFERENCE
    if (folder / ROWS).is_file():
        model.row_model_ = RowModel.load(folder / ROWS)
    model.explainers_ = {p.stem: _explainer(p) for p in sorted((folder / EXPLAINERS).glob("*.safetensors"))}
    model.reference_ = Table(pd.read_parquet(reference)[list(model.schema_.names)], model.schema_) if reference.is_file() else None
    model.reference_target_ = arrays.get("reference.target")  # models of earlier versions do not have it
    return model


def _explainer(path: Path) -> FittedExplainer:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        state = json.loads((file.metadata() or {})["explainer"])
        return FittedExplainer(path.stem, state, {k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118


def _arguments(saved: Mapping[str, Any], callables: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in saved.items():
        if isinstance(value, Mapping) and set(value) == {"callable"}:
            if name not in callables and name == "backbone":
                raise ArgumentError(
                    f"this model was saved with the {name} {value['callable']!r} of your own",
                    do=f"hand it over again: load(path, {name}=...)",
                )
            out[name] = callables.get(name)
        elif isinstance(value, Mapping) and set(value) == {"schema"}:
            out[name] = Schema.from_dict(value["schema"])
        elif isinstance(value, Mapping) and set(value) == {"pairs"}:
            out[name] = dict(value["pairs"])
        elif name == "tune":
            out[name] = read(value)
        else:
            out[name] = value
    return out


def _engine(saved: Mapping[str, Any], encoder: TableEncoder, arrays: Mapping[str, npt.NDArray[Any]], backbone: Any) -> Any:
    cut = lambda prefix: {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}  # noqa: E731
    name = saved["name"]
    entry = registry.get("backbone", name) if name in registry.names("backbone") and backbone is None else None
    if entry is not None and entry.takes == "matrix":
        from pellucid.estimators.engines import FoldedPeer

        engine = FoldedPeer(name, registry.resolve(entry))
        engine.encoder, engine.folds, engine.record = encoder, [], dict(saved["record"])
        engine.peer = engine.kind.from_state(encoder, saved, cut("peer."))
        return engine
    from pellucid.estimators.network import NetworkEngine

    factory = registry.resolve(backbone) if isinstance(backbone, registry.Entry) else backbone
    return NetworkEngine.from_state(name, encoder, saved, cut("net."), factory)
