"""A fitted network from raw numbers to answers as one torch module: what an ONNX graph can say after the strings are codes.

The arithmetic is that of ``encode`` and of ``predict``, in the same precision and order, from the same fitted arrays.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from pellucid.encode.categories import UNSEEN
from pellucid.encode.dates import CALENDAR, RANGE
from pellucid.encode.numeric import NumberEncoder
from pellucid.encode.table_encoder import TableEncoder
from pellucid.estimators.network import NetworkEngine
from pellucid.nn.cells import Cells
from pellucid.nn.embeddings.unified import UnifiedTable
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.objectives import Objective

__all__ = ["Answering", "CalendarParts", "NumberScale", "networks"]


class NumberScale(nn.Module):
    """The scaling of ``encode.NumberEncoder``: numbers (N, Sn) float64 to (scaled float32, missing)."""

    knots: torch.Tensor
    places: torch.Tensor
    unit: torch.Tensor

    def __init__(self, encoder: NumberEncoder) -> None:
        super().__init__()
        for name, values in (("knots", encoder._x), ("places", encoder._z), ("unit", encoder._unit)):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, np.float64)))

    def forward(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        missing = torch.isnan(numbers)
        x = torch.where(missing, 0.0, numbers)
        low, high = self.knots[0], self.knots[-1]
        z = self._inside(torch.minimum(torch.maximum(x, low), high))
        far = torch.relu(torch.maximum(x - high, low - x)) / self.unit
        step = 1 - 1 / (1 + far)
        z = torch.where(x > high, self.places[-1] + step, torch.where(x < low, self.places[0] - step, z))
        return torch.where(missing, 0.0, z).float(), missing

    def _inside(self, x: torch.Tensor) -> torch.Tensor:
        """Return piecewise-linear interpolation between the knots (R, Sn), by the same binary search for all columns."""
        last = len(self.knots) - 1
        at = torch.zeros_like(x, dtype=torch.int64)
        for step in (1 << b for b in reversed(range(max(last, 1).bit_length()))):
            ahead = torch.clamp(at + step, max=last)
            at = torch.where(self.knots.gather(0, ahead) <= x, ahead, at)
        right = torch.clamp(at + 1, max=last)
        x0, x1, v0, v1 = (a.gather(0, i) for a, i in ((self.knots, at), (self.knots, right), (self.places, at), (self.places, right)))
        width = x1 / 2 - x0 / 2
        share = torch.where(width > 0, (x / 2 - x0 / 2) / torch.where(width > 0, width, 1.0), 0.0)
        return v0 * (1 - share) + v1 * share


class CalendarParts(nn.Module):
    """The calendar parts of ``encode.dates``: seconds (N, Sd) float64 to (N, Sd, 10) float32, by whole numbers held as float64."""

    range: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        # a tensor: the exporter writes plain numbers as float32, in which these are minutes off
        self.register_buffer("range", torch.tensor(RANGE, dtype=torch.float64))

    def forward(self, seconds: torch.Tensor) -> torch.Tensor:
        known = torch.isfinite(seconds)
        moment = torch.trunc(torch.minimum(torch.maximum(torch.where(known, seconds, 0.0), self.range[0]), self.range[1]))
        days = torch.floor(moment / 86400)
        year, month, day = self._civil(days)
        weekday = days + 3 - 7 * torch.floor((days + 3) / 7)
        parts = [
            *_pair(month / 12),
            *_pair(day / self._length(year, month)),
            *_pair(weekday / 7),
            *_pair((moment - 86400 * days) / 86400),
            (weekday >= 5).double(),
            (year - 2000) / 25,
        ]
        return (torch.stack(parts, -1) * known[..., None]).float()

    @staticmethod
    def _civil(days: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (year, month from 0, day from 0) of days since 1970, by years that begin in March, whose leap day comes last."""
        z = days + 719468
        era = torch.floor(z / 146097)
        of_era = z - era * 146097
        leaps = -torch.floor(of_era / 1460) + torch.floor(of_era / 36524) - torch.floor(of_era / 146096)
        year = torch.floor((of_era + leaps) / 365)
        of_year = of_era - (365 * year + torch.floor(year / 4) - torch.floor(year / 100))
        from_march = torch.floor((5 * of_year + 2) / 153)
        day = of_year - torch.floor((153 * from_march + 2) / 5)
        month = torch.where(from_march < 10, from_march + 2, from_march - 10)
        return year + era * 400 + (month < 2).double(), month, day

    @staticmethod
    def _length(year: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return the days of months."""

        def divides(n: int) -> torch.Tensor:
            return year == n * torch.floor(year / n)

        leap = divides(400) | (divides(4) & ~divides(100))
        short = (month == 3) | (month == 5) | (month == 8) | (month == 10)
        return torch.where(month == 1, 28 + leap.double(), 31 - short.double())


def _pair(phase: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    angle = 2 * math.pi * phase
    return torch.sin(angle), torch.cos(angle)


class Answering(nn.Module):
    """Raw cells to the mean answer of one network's members, (N, O) float64: uncalibrated probabilities, or values in the target's unit.

    Parameters
    ----------
    engine : the fitted network, or networks.

    Attributes
    ----------
    names : of the inputs ``floats`` (N, Sf) float64, the number and date columns in order, NaN where missing; ``codes`` (N, Sc) int64;
        ``texts`` (N, St, V) float32. Only those that the table has are given, then the weights.
    weights : of every network by name. They are inputs too, so that a graph is traced once and stands for all networks.
    """

    def __init__(self, engine: NetworkEngine) -> None:
        super().__init__()
        encoder = engine.encoder
        self.numeric = NumberScale(encoder.numeric)
        self.calendar = CalendarParts()
        nets = networks(engine)
        self.net = nets[0]
        self.weights = [_weights(net) for net in nets]
        self.objective: Objective = engine.objective
        self.cardinalities = encoder.cardinalities
        self._sources(encoder)
        held = {"floats": self.float_columns, "codes": encoder.cardinalities, "texts": self.text_columns}
        self.names = tuple(name for name, columns in held.items() if columns)

    def _sources(self, encoder: TableEncoder) -> None:
        """Note where each slot's cells come from."""
        slots = tuple(encoder.slots)
        coded = [s.column for s in slots if s.kind == "code"]
        self.float_columns = [s.column for s in slots if s.transform in ("scaled", "elapsed")]
        self.text_columns = [s.column for s in slots if s.kind == "vector" and s.transform != "calendar"]
        self.ranks = [coded.index(s.column) for s in slots if s.transform == "rank"]
        whole = self.float_columns + [s.column for s in slots if s.transform == "rank"]
        self.number_order = [whole.index(s.column) for s in slots if s.kind == "number"]
        self.moments = [self.float_columns.index(s.column) for s in slots if s.transform == "calendar"]
        dated = [s.column for s in slots if s.transform == "calendar"]
        vectors = self.text_columns + dated
        self.vector_order = [vectors.index(s.column) for s in slots if s.kind == "vector"]
        self.width, self.n_numbers = encoder.vector_width, len(self.number_order)

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        cells = self._cells(dict(zip(self.names, given)))
        weights = dict(zip(self.weights[0], given[len(self.names) :]))
        return self.objective.answers(functional_call(self.net, weights, (cells,))).mean(1)

    def _cells(self, given: dict[str, torch.Tensor]) -> Cells:
        first = next(iter(given.values()))
        codes = given.get("codes", first.new_zeros((first.shape[0], 0), dtype=torch.int64))
        floats = given.get("floats", first.new_zeros((first.shape[0], 0), dtype=torch.float64))
        numbers, missing = (
            floats.new_zeros((first.shape[0], 0), dtype=torch.float32),
            floats.new_zeros((first.shape[0], 0), dtype=torch.bool),
        )
        if self.n_numbers:
            numbers, missing = self.numeric(self._numbers(floats, codes))
        return Cells(numbers, missing, codes, self._vectors(floats, given.get("texts")))

    def _numbers(self, floats: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        if self.ranks:
            own = codes[:, self.ranks]
            ranks = torch.where(own > UNSEEN, own.double() - 2, torch.nan)
            floats = torch.cat([floats, ranks], 1) if self.float_columns else ranks
        return floats if self.number_order == list(range(self.n_numbers)) else floats[:, self.number_order]

    def _vectors(self, floats: torch.Tensor, texts: torch.Tensor | None) -> torch.Tensor:
        parts = [] if texts is None else [texts]
        if self.moments:
            dated = self.calendar(floats[:, self.moments])
            parts.append(nn.functional.pad(dated, (0, self.width - len(CALENDAR))))
        if not parts:
            return floats.new_zeros((floats.shape[0], 0, 0), dtype=torch.float32)
        vectors = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        return vectors if self.vector_order == sorted(self.vector_order) else vectors[:, self.vector_order]


def networks(engine: NetworkEngine) -> list[TableNet]:
    """Return copies of an engine's networks, ready to be traced: what they remember is encoded, what they hash is looked up."""
    net = engine.net
    nets = [net.single(g) for g in range(net.n_nets)] if isinstance(net, StackedNet) else [copy.deepcopy(net)]
    for one in nets:
        one.cpu().eval().requires_grad_(False)
        if one.bank is not None:
            one(one.bank.cells)  # encodes the kept rows
        if isinstance(one.embedding.levels, UnifiedTable):
            one.embedding.levels = _Read(one.embedding.levels)
    return nets


def _weights(net: TableNet) -> dict[str, torch.Tensor]:
    """Return all tensors in which two networks of one build may differ."""
    kept = {} if net.bank is None else {f"bank.{n}": getattr(net.bank, n) for n in ("encoded", "answers")}
    return {n: t for n, t in net.state_dict().items() if not n.startswith("bank.")} | kept


class _Read(nn.Module):
    """The vectors of all levels of a hashed table, computed once: a graph has no arithmetic on 64 wrapping bits."""

    offsets: torch.Tensor
    table: torch.Tensor

    def __init__(self, levels: UnifiedTable) -> None:
        super().__init__()
        sizes = levels.cardinalities
        codes = torch.arange(max(sizes))[:, None].expand(-1, len(sizes))
        vectors = levels(codes)  # (most, Sc, D); beyond a column's own levels nobody reads
        self.register_buffer("table", torch.cat([vectors[:size, slot] for slot, size in enumerate(sizes)]))
        self.register_buffer("offsets", torch.tensor([0, *np.cumsum(sizes)[:-1]], dtype=torch.int64))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding(codes + self.offsets, self.table)
