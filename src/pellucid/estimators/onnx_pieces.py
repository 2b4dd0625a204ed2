"""Nodes and constants of an ONNX graph, each with a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["ROWS", "Pieces"]

ROWS = "rows"
"""Name of the axis of rows."""


class Pieces:
    """A part of a graph that grows.

    Parameters
    ----------
    prefix : of all names that are made here.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def _name(self) -> str:
        self._count += 1
        return f"{self.prefix}{self._count}"

    def node(self, kind: str, inputs: Sequence[str], output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output; returns the output's name."""
        from onnx import helper

        name = output or self._name()
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Add a constant; returns its name."""
        from onnx import numpy_helper

        name = self._name()
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
