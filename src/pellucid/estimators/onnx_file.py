"""``model.export``: a fitted network as one ONNX file, from raw cells to calibrated probabilities or values in the target's unit."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import MissingExtraError, RequestError
from pellucid.estimators.onnx_back import Back
from pellucid.estimators.onnx_front import Front
from pellucid.estimators.onnx_pieces import ROWS
from pellucid.files import whole, writing
from pellucid.table import ColumnType

if TYPE_CHECKING:
    import onnx

    from pellucid.estimators.base import TabularEstimator
    from pellucid.estimators.onnx_module import Answering

__all__ = ["FORMAT", "OPSET", "export", "to_onnx"]

FORMAT = 1
OPSET, LEVELS_OPSET = 18, 2
ROWS_SHOWN = 3  # rows of the example that is traced: neither 0 nor 1, which a tracer may take for constants


def export(estimator: TabularEstimator, path: Any, *, force: bool = False) -> Path:
    """Write a fitted estimator as an ONNX file, whole or not at all; returns its path. See ``TabularEstimator.export``."""
    final = Path(path)
    if final.is_dir():
        raise RequestError("the path is a folder", where=str(final), expected="the name of a file, such as income.onnx")
    if final.exists() and not force:
        raise RequestError("a file exists at this path", where=str(final), do="choose another path, or pass force=True (--force)")
    data = to_onnx(estimator).SerializeToString()
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    with whole(final) as place:
        place.write_bytes(data)
    return final


def to_onnx(estimator: TabularEstimator) -> onnx.ModelProto:
    """Return the model as an ``onnx.ModelProto``.

    Raises
    ------
    MissingExtraError : onnx or onnxscript is not installed. RequestError : the model is no network, or holds what a graph cannot say.
    """
    _need()
    import onnx

    from pellucid.estimators.onnx_module import Answering

    engine: Any = estimator.engine_
    if not engine.differentiable:
        raise RequestError(
            f"the backbone {engine.name!r} cannot be exported",
            expected="a network",
            do="fit a network, or export the library's own model with its own tool",
        )
    if engine.encoder.fill is not None or estimator.ordered_fill_ is not None:
        raise RequestError(
            "a model that fills missing cells by rules cannot be exported", got=f"fill={estimator.fill!r}",
            do="leave fill out: missing is then a state that the network reads, inside the graph",
        )  # fmt: skip
    answering = Answering(engine).eval()
    prefix = _free("net/", engine.encoder.columns)
    front = Front(engine.encoder, estimator.schema_, prefix)
    front.build(answering.float_columns, answering.text_columns, {n: f"{prefix}{n}" for n in answering.names})
    model = onnx.compose.add_prefix(_traced(answering, engine.name), prefix)
    nodes, weights, means = _for_each(model.graph, answering, prefix)
    back = Back(f"{prefix}back")
    outputs = back.build(estimator, back.mean(means))
    graph = onnx.helper.make_graph(
        [*front.nodes, *nodes, *back.nodes], engine.name, front.inputs, back.outputs,
        [*front.constants, *model.graph.initializer, *weights, *back.constants],
    )  # fmt: skip
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", LEVELS_OPSET)]
    made = onnx.helper.make_model(graph, opset_imports=opsets, functions=model.functions, ir_version=model.ir_version)
    _sign(made, estimator, outputs)
    onnx.checker.check_model(made)
    return made


def _for_each(graph: onnx.GraphProto, answering: Answering, prefix: str) -> tuple[list[Any], list[Any], list[str]]:
    """Return (nodes, weights, names of the answers) of all networks: what depends on weights once for each, all else once."""
    from onnx import numpy_helper

    inputs = [f"{prefix}w{i}" for i in range(len(answering.weights[0]))]
    own, shared, depending = set(inputs), [], []
    for node in graph.node:
        if own.intersection(node.input):
            own.update(node.output)
            depending.append(node)
        else:
            shared.append(node)
    read = {name for node in depending for name in node.input}
    nodes, weights, answers = shared, [], []
    for g, values in enumerate(answering.weights):
        for node in depending:
            copied = type(node)()
            copied.CopyFrom(node)
            for names in (copied.input, copied.output):
                names[:] = [f"{n}/{g}" if n in own else n for n in names]
            copied.name = f"{node.name}/{g}"
            nodes.append(copied)
        weights += [numpy_helper.from_array(t.detach().numpy(), f"{n}/{g}") for n, t in zip(inputs, values.values()) if n in read]
        answers.append(f"{graph.output[0].name}/{g}")
    return nodes, weights, answers


def _need() -> None:
    """Raise where a package of the extra is missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 - torch's exporter is written in it
    except ImportError as error:
        raise MissingExtraError.of(error.name or "onnx", "export", "an ONNX file") from error


def _free(name: str, taken: Any) -> str:
    """Return a prefix that no column's name begins with."""
    while any(str(column).startswith(name) for column in taken):
        name = f"_{name}"
    return name


def _traced(answering: Answering, backbone: str) -> onnx.ModelProto:
    """Return the graph of the module, inputs ``answering.names``, output ``answers``, for any number of rows."""
    import torch

    made = {
        "floats": torch.zeros(ROWS_SHOWN, len(answering.float_columns), dtype=torch.float64),
        "codes": torch.zeros(ROWS_SHOWN, len(answering.cardinalities), dtype=torch.int64),
        "texts": torch.zeros(ROWS_SHOWN, len(answering.text_columns), answering.width),
    }
    given = (*(made[n] for n in answering.names), *answering.weights[0].values())
    rows = {0: torch.export.Dim(ROWS)}
    moving = (tuple(rows if i < len(answering.names) else None for i in range(len(given))),)
    names = [*answering.names, *(f"w{i}" for i in range(len(answering.weights[0])))]
    try:
        with _quiet(), torch.no_grad():
            traced = torch.export.export(answering, given, dynamic_shapes=moving, strict=False)
            program = torch.onnx.export(
                traced, input_names=names, output_names=["answers"], dynamo=True, opset_version=OPSET, verbose=False, external_data=False
            )
    except Exception as error:  # the tracer's errors have no common base, and a user's own module may raise anything
        raise RequestError(
            f"the backbone {backbone!r} cannot be exported", got=_first_line(error), do="choose another backbone, such as 'tabm'"
        ) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _first_line(error: BaseException) -> str:
    """Return what went wrong at the bottom of a chain of errors, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:150] if str(error).strip() else ''}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's progress and remarks off the screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _sign(model: onnx.ModelProto, estimator: TabularEstimator, outputs: list[str]) -> None:
    """Write into the file what it is: columns with types and units, classes or target, versions."""
    from importlib.metadata import version

    encoder, target = estimator.engine_.encoder, estimator.target_
    about = {
        "format": FORMAT,
        "version": version("pellucid"),
        "backbone": estimator.engine_.name,
        "task": target.task,
        "target": list(target.names),
        "unit": target.unit,
        "classes": [
            c if isinstance(c, str | int | float | bool) else str(c) for c in np.asarray(getattr(estimator, "classes_", [])).tolist()
        ],
        "outputs": outputs,
        "columns": [_described(estimator, c) for c in encoder.columns],
        "data": estimator.record_.get("data", ""),
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = "pellucid", json.dumps(about, ensure_ascii=False)
    model.producer_name, model.producer_version = "pellucid", about["version"]
    model.doc_string = f"{target.task} of {', '.join(target.names)}; one input per column, see pellucid.export.feeds"


def _described(estimator: TabularEstimator, name: str) -> dict[str, Any]:
    """Return what the file says of one column; what is not said is empty."""
    encoder, column = estimator.engine_.encoder, estimator.schema_[name]
    kind = encoder.types[name]
    out: dict[str, Any] = {"name": name, "type": str(kind), "unit": encoder.units[name], "missing": list(column.missing)}
    levels = column.levels
    if kind is ColumnType.BOOLEAN and len(levels) == 2 and not {"True", "False"} & set(levels):
        out["flags"] = list(levels)
    if kind is ColumnType.TEXT and encoder.text is not None:
        out["width"] = encoder.text.width
    return {k: v for k, v in out.items() if v not in ("", [])}
