"""Small predictors for tests: a linear model with known values, any function of the columns, and a torch network with members.

They fulfil the protocols of :mod:`pellucid.protocols` without an estimator, so that whatever sits above the estimators can be
tested alone. Letters: N rows, C columns, D token width, W part width, O outputs, K members.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.table import Column, ColumnType, Schema, Table

__all__ = ["FunctionPredictor", "LinearPredictor", "TellingNetwork", "TinyNetwork", "fit_network", "made_frame", "made_table", "matrix"]


def made_table(cells: Mapping[str, Any] | pd.DataFrame, *, target: str | None = None) -> Table:
    """Return a table without type inference: numeric dtypes are numbers, everything else categories.

    Examples
    --------
    >>> made_table({"age": [30.0, 40.0], "sex": ["F", "M"]}).schema["sex"].type
    <ColumnType.CATEGORY: 'category'>
    """
    frame = pd.DataFrame(cells)
    frame.columns = [str(c) for c in frame.columns]
    columns = []
    for name in frame.columns:
        if frame[name].dtype.kind in "iuf":
            columns.append(Column(name, ColumnType.NUMBER))
        else:
            columns.append(Column(name, ColumnType.CATEGORY, levels=tuple(sorted(frame[name].dropna().astype(str).unique()))))
    table = Table(frame, Schema(tuple(columns)))
    return table.with_roles(target=target) if target else table


def made_frame(n: int = 200, numbers: int = 4, levels: Sequence[int] = (3,), seed: int = 0, missing: float = 0.0) -> pd.DataFrame:
    """Return N rows of standard normal columns ``x1..`` and category columns ``c1..`` with the given numbers of levels."""
    draw = stream(seed, "made_frame")
    cells: dict[str, Any] = {f"x{j + 1}": draw.standard_normal(n) for j in range(numbers)}
    for j, size in enumerate(levels):
        cells[f"c{j + 1}"] = np.array([f"level {k}" for k in range(size)], object)[draw.integers(0, size, n)]
    frame = pd.DataFrame(cells)
    return frame.mask(draw.random(frame.shape) < missing) if missing else frame


def matrix(table: Table, columns: Sequence[str]) -> FloatArray:
    """Return the columns as (N, C) float64: numbers as they are (missing cells 0), levels as 0, 1, ... in the order of their text."""
    out = np.empty((len(table), len(columns)))
    for j, name in enumerate(columns):
        if table.schema[name].type is ColumnType.NUMBER:
            out[:, j] = np.nan_to_num(table.numbers(name))
        else:
            known = {text: k for k, text in enumerate(table.schema[name].levels)}
            out[:, j] = [known.get(text, -1) for text in table.texts(name)]
    return out


class _Known:
    """What the doubles share: names and the rows kept at fit."""

    additive = False

    def __init__(
        self, background: Table, columns: Sequence[str] | None, outputs: Sequence[str], classes: Sequence[Any], scale: str
    ) -> None:
        self._background = background
        self.columns = tuple(columns or background.features)
        self.outputs, self.classes, self.scale = tuple(outputs), tuple(classes), scale
        self.task = "classification" if classes else "regression"

    def background(self) -> Table | None:
        """Return the rows kept at fit."""
        return self._background


class FunctionPredictor(_Known):
    """Any function of the column matrix: ``function((N, C)) -> (N,) or (N, O)``. A black box, no gradients.

    Examples
    --------
    >>> import numpy as np
    >>> table = made_table({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    >>> FunctionPredictor(lambda x: x[:, 0] * x[:, 1], table).raw(table)[:, 0].tolist()
    [3.0, 8.0]
    """

    def __init__(
        self,
        function: Callable[[FloatArray], FloatArray],
        background: Table,
        *,
        columns: Sequence[str] | None = None,
        outputs: Sequence[str] = ("y",),
        classes: Sequence[Any] = (),
        scale: str = "target",
    ) -> None:
        super().__init__(background, columns, outputs, classes, scale)
        self.function = function
        self.rows_asked = 0

    def raw(self, table: Table) -> FloatArray:
        """Return the function's values (N, O) and count the rows."""
        self.rows_asked += len(table)
        return np.asarray(self.function(matrix(table, self.columns)), np.float64).reshape(len(table), len(self.outputs))


class LinearPredictor(FunctionPredictor):
    """``y = intercept + sum_j weights_j x_j``: the Shapley value of column j is ``weights_j (x_j - mean of the background)``."""

    def __init__(self, weights: Sequence[float], background: Table, *, intercept: float = 0.0, **names: Any) -> None:
        self.weights, self.intercept = np.asarray(weights, float), intercept
        super().__init__(lambda x: intercept + x @ self.weights, background, **names)

    def truth(self, table: Table) -> FloatArray:
        """Return the exact contributions (N, C) with columns removed one by one over the background."""
        mean = matrix(self._background, self.columns).mean(0)
        return np.asarray((matrix(table, self.columns) - mean) * self.weights)


class _Stages(nn.Module):
    """The weights of :class:`TinyNetwork`: three stages, and one output layer per member."""

    def __init__(self, sizes: Sequence[int], width: int, part: int, outputs: int, members: int) -> None:
        super().__init__()
        self.tokens = nn.ParameterList([nn.Parameter(torch.empty(size, width)) for size in sizes])
        self.parts = nn.Parameter(torch.empty(len(sizes), width, part))
        self.hidden = nn.Parameter(torch.empty(part, part))
        self.output = nn.Parameter(torch.empty(members, part, outputs))

    def fresh(self, layers: Sequence[str], seed: int) -> None:
        for name in layers:
            generator = torch.Generator().manual_seed(integer(seed, name) % 2**62)
            stage = getattr(self, name)
            for weight in stage if isinstance(stage, nn.ParameterList) else [stage]:
                fan_in = 1 if name == "tokens" else weight.shape[-2]
                with torch.no_grad():
                    weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * (1.5 / fan_in) ** 0.5)


class TinyNetwork(_Known):
    """A network on tokens with both entrances, layers to randomise and K members; float64, so that identities hold to 1e-10.

    A number enters as (1, scaled value, missing), a level as its own row; parts add up over columns; then two ReLU layers and the
    members' output layers. ``outputs`` follow the protocol: log-odds for classes, values for numbers, and the members' mean
    probability or value is what is predicted.

    Parameters
    ----------
    background : the rows kept; their schema gives the columns.
    classes : class labels, empty for numbers.
    n_members, width, part : K, D, W.
    """

    additive = True

    def __init__(
        self,
        background: Table,
        *,
        classes: Sequence[Any] = (),
        n_members: int = 3,
        width: int = 4,
        part: int = 16,
        seed: int = 0,
        columns: Sequence[str] | None = None,
    ) -> None:
        outputs = ("y",) if not classes else (str(classes[1]),) if len(classes) == 2 else tuple(map(str, classes))
        super().__init__(background, columns, outputs, classes, "log-odds" if classes else "target")
        self.n_members, self.seed = n_members, seed
        is_number = [background.schema[c].type is ColumnType.NUMBER for c in self.columns]
        sizes = [3 if number else len(background.schema[c].levels) + 1 for c, number in zip(self.columns, is_number)]
        numbers = matrix(background, self.columns)
        spread = numbers.std(0)
        varies = spread > 1e-9 * (1 + np.abs(numbers).max(0))  # a constant says nothing, however far from it later cells are
        self._centre, self._spread = numbers.mean(0), np.where(varies, spread, 1.0)
        self._is_number = is_number
        self.stages = _Stages(sizes, width, part, len(outputs), n_members).double()
        self.stages.fresh(self.layers(), seed)

    def tokens(self, table: Table) -> torch.Tensor:
        """Return the embedded cells (N, C, D), detached."""
        return self._embed(table).detach()

    def _embed(self, table: Table) -> torch.Tensor:
        cells = matrix(table, self.columns)
        out = []
        for j, name in enumerate(self.columns):
            if self._is_number[j]:
                missing = table.missing(name)
                scaled = np.where(missing, 0.0, (cells[:, j] - self._centre[j]) / self._spread[j])
                out.append(torch.from_numpy(np.column_stack([np.ones(len(table)), scaled, missing])) @ self.stages.tokens[j])
            else:
                out.append(self.stages.tokens[j][torch.from_numpy(cells[:, j].astype(int))])  # -1, missing or unseen, is the last row
        return torch.stack(out, 1)  # (N, C, D)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the part of each column (N, C, W)."""
        return torch.einsum("ncd,cdw->ncw", tokens, self.stages.parts)

    def _members_from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        total = parts.sum(1) if parts.ndim == 3 else parts
        hidden = torch.relu(torch.relu(total) @ self.stages.hidden)
        return torch.einsum("nw,kwo->nko", hidden, self.stages.output)  # (N, K, O)

    def from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O) from parts (N, C, W) or their sum (N, W)."""
        members = self._members_from_parts(parts)
        if not self.classes:
            return members.mean(1)
        if len(self.classes) == 2:
            return torch.logit(torch.sigmoid(members).mean(1))
        return torch.log_softmax(members, -1).exp().mean(1).log()

    def from_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return outputs (N, O), differentiable in the tokens."""
        return self.from_parts(self.parts(tokens))

    def raw(self, table: Table) -> FloatArray:
        """Return outputs (N, O)."""
        with torch.no_grad():
            return np.asarray(self.from_tokens(self.tokens(table)).numpy())

    def hidden_layers(self) -> tuple[str, ...]:
        """Return the layers whose states can be read, input side first."""
        return ("tokens", "first", "last")

    def hidden(self, table: Table, layer: str | None = None) -> FloatArray:
        """Return the state of one layer (N, H)."""
        with torch.no_grad():
            tokens = self.tokens(table)
            if layer == "tokens":
                return np.asarray(tokens.flatten(1).numpy())
            first = torch.relu(self.parts(tokens).sum(1))
            return np.asarray((first if layer == "first" else torch.relu(first @ self.stages.hidden)).numpy())

    kept_labels: Any = None

    def background_labels(self) -> Any:
        """Return the labels of the rows kept, where :func:`fit_network` made the network."""
        return self.kept_labels

    def layers(self) -> tuple[str, ...]:
        """Return the trained layers, output side first."""
        return ("output", "hidden", "parts", "tokens")

    def randomised(self, layers: Sequence[str], seed: int) -> TinyNetwork:
        """Return a copy with fresh weights in the named layers."""
        other = copy.copy(self)
        other.stages = copy.deepcopy(self.stages)
        other.stages.fresh(layers, integer(seed, "randomised"))
        return other

    def reordered(self, order: Sequence[int]) -> TinyNetwork:
        """Return the same function with its columns in another order."""
        other = copy.copy(self)
        other.columns = tuple(self.columns[j] for j in order)
        other._is_number = [self._is_number[j] for j in order]
        other._centre, other._spread = self._centre[list(order)], self._spread[list(order)]
        other.stages = copy.deepcopy(self.stages)
        other.stages.tokens = nn.ParameterList([self.stages.tokens[j].detach().clone() for j in order])
        other.stages.parts = nn.Parameter(self.stages.parts[list(order)].detach().clone())
        return other

    def member(self, k: int) -> TinyNetwork:
        """Return member k alone."""
        other = copy.copy(self)
        other.stages = copy.deepcopy(self.stages)
        other.stages.output = nn.Parameter(self.stages.output[k : k + 1].detach().clone())
        other.n_members = 1
        return other

    def members_raw(self, table: Table) -> FloatArray:
        """Return class probabilities (N, K, classes) or values (N, K, O) of the members."""
        with torch.no_grad():
            members = self._members_from_parts(self.parts(self.tokens(table)))
            if len(self.classes) == 2:
                p = torch.sigmoid(members)
                members = torch.cat([1 - p, p], -1)
            elif self.classes:
                members = torch.softmax(members, -1)
        return np.asarray(members.numpy())


class TellingNetwork(TinyNetwork):
    """A :class:`TinyNetwork` whose columns attend to each other and that shows its inside (a :class:`~pellucid.protocols.PartsPredictor`).

    One layer and one head of attention among the columns' parts, then the two ReLU layers and the output layers on every column, and a
    sum: the output is a listed sum of one term per column. Shows ``attention`` (N, 1, 1, C, C), ``masks`` (N, 1, C), ``importance``
    (N, C), ``contributions`` (N, C, O) and ``bias`` (N, O), for numbers or two classes and one member.
    """

    additive = False

    def __init__(self, background: Table, **options: Any) -> None:
        super().__init__(background, **{"n_members": 1, **options})

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the tokens: columns mix from there."""
        return tokens

    def _attend(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (weights (N, C, C), terms (N, C, K, O))."""
        parts = torch.einsum("ncd,cdw->ncw", tokens, self.stages.parts)
        weights = (parts @ parts.mT / parts.shape[-1] ** 0.5).softmax(-1)
        hidden = torch.relu(torch.relu(weights @ parts) @ self.stages.hidden)
        return weights, torch.einsum("ncw,kwo->ncko", hidden, self.stages.output)

    def _members_from_parts(self, parts: torch.Tensor) -> torch.Tensor:
        return self._attend(parts)[1].sum(1)

    def named_parts(self, table: Table) -> dict[str, FloatArray]:
        """Return attention, masks and the terms of the sum."""
        with torch.no_grad():
            weights, terms = self._attend(self.tokens(table))
        opened = weights.mean(1)
        shown = {
            "attention": weights[:, None, None], "masks": opened[:, None], "importance": opened, "contributions": terms.mean(2),
            "bias": terms.mean(2).sum(1) * 0.0,
        }  # fmt: skip
        return {name: np.asarray(value.numpy()) for name, value in shown.items()}


def fit_network(table: Table, y: Any, *, steps: int = 300, seed: int = 0, **options: Any) -> TinyNetwork:
    """Return a :class:`TinyNetwork` trained on all rows by full-batch Adam; labels (text or booleans) make it a classifier.

    ``table`` holds the inputs only. A few hundred steps on a few hundred rows take under a second.
    """
    y = np.asarray(y)
    classes = tuple(np.unique(y)) if y.dtype.kind not in "f" else ()
    net = TinyNetwork(table, classes=classes, seed=seed, **options)
    net.kept_labels = y
    goal = torch.from_numpy(np.searchsorted(np.asarray(classes), y)) if classes else torch.from_numpy(y.astype(float))
    optimiser = torch.optim.Adam(net.stages.parameters(), lr=0.02)
    for _ in range(steps):
        members = net._members_from_parts(net.parts(net._embed(table)))  # (N, K, O)
        if not classes:
            loss = ((members[..., 0] - goal[:, None]) ** 2).mean()
        elif len(classes) == 2:
            loss = nn.functional.binary_cross_entropy_with_logits(members[..., 0], goal[:, None].double().expand(-1, net.n_members))
        else:
            loss = nn.functional.cross_entropy(members.flatten(0, 1), goal.repeat_interleave(net.n_members))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net
