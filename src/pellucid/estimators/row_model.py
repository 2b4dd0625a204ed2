"""One model of a table's rows: what is this cell, or this row, like given the rest?

A denoising masked autoencoder learns the probability of every cell given any other cells. Whatever needs that (the conditional fill, odd
rows and cells, repair, a code of two numbers) is a use of it.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator

from pellucid.encode.codebook import Codebook, CodedCells
from pellucid.errors import ArgumentError, ColumnError, EmptyTableError, ModelFileError, NotFittedError, RequestError, SourceError
from pellucid.estimators.progress import progress_bar
from pellucid.execution import limit_threads
from pellucid.files import whole
from pellucid.nn.masked_autoencoder import Bottleneck, MaskedAutoencoder, RowSizes
from pellucid.protocols import FloatArray
from pellucid.random import as_seed, integer, mix, stream
from pellucid.table import Schema, Table, apply_schema, read_table
from pellucid.training.masking import MaskedSettings, RowCells, fit_bottleneck, fit_masked

__all__ = ["RowModel"]

FORMAT = 1
CHUNK = 8192
"""Rows in the network at once when answering."""
FEWEST = 20
"""Rows below which there is nothing to learn."""
HELD = 0.1
"""Share of the rows that decide when to stop, and say how odd a usual row is."""
MOST_HELD = 2000
BoolArray = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class RowModel(BaseEstimator):
    """The probability of every cell of a row given any of the others. Needs no target.

    Numbers keep their shape (values that many rows share stay such values), levels, booleans, dates and texts come from training cells, and
    missing is a state of its own with its own probability.

    Parameters
    ----------
    width, depth : size of the network.
    max_steps : of training; None chooses by the number of rows.
    time_limit : most seconds of training, None for no limit.
    threads : of torch, ``"auto"`` or a number.
    verbose : 1 shows a progress bar.
    random_state : seed.

    Attributes
    ----------
    columns_ : the C columns. schema_ : their description. record_ : rows, steps, seconds, loss and that of the columns' own shares.

    Notes
    -----
    After Uria, Murray and Larochelle 2014 (arXiv:1310.1757) and Germain and others 2015 (arXiv:1502.03509): one network, every order.
    # NOTE[DIFF] numbers are cut into states and drawn within them by the training quantiles; half of the batches also hold wrong cells,
    and the network is told so: with that flag it scores rows that may be faulty, without it it draws.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> draw = np.random.default_rng(0)
    >>> x = draw.normal(size=300)
    >>> frame = pd.DataFrame({"x": x, "twice": 2 * x + 0.1 * draw.normal(size=300)})
    >>> model = RowModel(random_state=0, max_steps=300).fit(frame)
    >>> odd = model.score(pd.DataFrame({"x": [1.0, 1.0], "twice": [2.0, -3.0]}))
    >>> bool(odd["row"][1] > odd["row"][0])
    True
    """

    columns_: tuple[str, ...]
    schema_: Schema
    record_: dict[str, Any]
    _book: Codebook
    _net: MaskedAutoencoder
    _head: Bottleneck
    _usual: FloatArray
    _code_scale: FloatArray

    def __init__(
        self, *, width: int = 128, depth: int = 2, max_steps: int | None = None, time_limit: float | None = None, threads: Any = "auto",
        verbose: int = 0, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.width, self.depth, self.max_steps, self.time_limit = width, depth, max_steps, time_limit
        self.threads, self.verbose, self.random_state = threads, verbose, random_state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_net")

    # ------------------------------------------------------------------ fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn a table: a Table or a frame; its columns for models, without target, identifiers and constants. ``y`` is ignored.

        Raises
        ------
        EmptyTableError : fewer than 20 rows. ColumnError : no usable column.
        """
        started = time.monotonic()
        table = X if isinstance(X, Table) else read_table(X)
        if len(table) < FEWEST:
            raise EmptyTableError("the table has too few rows for a row model", expected=f"at least {FEWEST}", got=str(len(table)))
        if not table.features:
            raise ColumnError("there is no usable column", do="set types={...} for columns that should be used")
        table = table.select(table.features)
        seed = as_seed(self.random_state)
        train, stop = _parts(len(table), seed)
        self.columns_, self.schema_ = table.columns, table.schema
        self._book = Codebook.fit(table.take(train), self.columns_, integer(seed, "codes"))
        coded = self._book.read(table)
        deadline = np.inf if self.time_limit is None else started + self.time_limit
        steps = self.max_steps or int(np.clip(8 * len(train) ** 0.5, 150, 1200))
        with limit_threads(self.threads), torch.random.fork_rng(devices=[]):
            self._build(integer(seed, "weights"))
            with progress_bar("row model", bool(self.verbose)) as progress:
                found = fit_masked(
                    self._net, _cells(coded), train, stop, MaskedSettings(steps=steps), integer(seed, "fit"), deadline, progress
                )
            fit_bottleneck(self._net, self._head, _cells(coded.take(train)), integer(seed, "code"), min(300, steps), deadline=deadline)
            held = stop if len(stop) else train
            self._usual = np.sort(self._surprises(coded.take(held))[0].sum(1))
            code = self._codes(coded.take(train[:5000]))
        self._code_scale = np.stack([code.mean(0), np.maximum(code.std(0), 1e-12)])
        self.record_ = {"seed": seed, "rows": len(table), "columns": list(self.columns_), "data": table.fingerprint(), **found}
        self.record_["seconds"] = time.monotonic() - started
        return self

    def _build(self, seed: int) -> None:
        columns = self._book.columns
        joined = [np.concatenate([getattr(c, name) for c in columns]) for name in ("slot_z", "state_z", "counts")]
        sizes = RowSizes(tuple(len(c.slot_z) for c in columns), tuple(len(c.counts) for c in columns), *joined)
        torch.default_generator.manual_seed(seed)
        self._net = MaskedAutoencoder(sizes, self.width, self.depth).eval()
        self._head = Bottleneck(self.width, sum(sizes.states)).eval()

    # ------------------------------------------------------------------ answers

    def sample(self, table: Any, known: BoolArray, n: int = 1, seed: Any = 0) -> list[Table]:
        """Return ``n`` tables in which the cells that are not known are drawn, jointly, given those that are.

        One cell after the other in an order of each row's own, each given all known and all drawn before it.

        Parameters
        ----------
        table : N rows. Columns of the model that it lacks stay unknown and are not drawn.
        known : (N, C) or (C,) bool over ``columns_``.
        seed : an integer, or (N,) unsigned integers: rows of one seed share their random numbers, so that they can be compared.

        Notes
        -----
        Cost: n times the number of unknown cells passes of a row through the network.
        """
        table, present = self._table(table)
        known = np.broadcast_to(np.asarray(known, bool), (len(table), len(self.columns_))) & present
        if n < 1:
            raise RequestError("the number of draws is too small", expected="at least 1", got=str(n))
        counters = (
            np.asarray(seed, np.uint64)
            if np.ndim(seed)
            else mix(np.arange(len(table), dtype=np.uint64) + np.uint64(integer(int(seed), "rows")))
        )
        if counters.shape != (len(table),):
            raise ArgumentError("seed cannot be used", expected=f"an integer or {len(table)} integers", got=f"shape {counters.shape}")
        coded, unknown = self._read(table, present), ~known & present
        out = []
        with limit_threads(self.threads):
            for k in range(n):
                draws = mix(counters + np.uint64((0x9E3779B97F4A7C15 * (k + 1)) % 2**64))
                state, share = self._drawn(coded, known, unknown, draws)
                out.append(replace(table, frame=self._book.write(table.frame, unknown, state, share), _cache={}))
        return out

    def _drawn(self, coded: CodedCells, known: BoolArray, unknown: BoolArray, counters: npt.NDArray[np.uint64]) -> tuple[Ints, FloatArray]:
        """Return drawn states (N, C) and shares (N, C)."""
        n, c = known.shape
        names = np.array([integer(0, "column", name) for name in self.columns_], np.uint64)
        place = mix(counters[:, None] + names)
        uniform, turn = (mix(place + np.uint64(k)) >> np.uint64(11) for k in (1, 2))
        order = np.argsort(np.where(unknown, turn.astype(np.int64), np.iinfo(np.int64).max), axis=1, kind="stable")
        left = unknown.sum(1)
        state, share = np.zeros((n, c), np.int64), np.zeros((n, c))
        rows = np.argsort(-left, kind="stable")  # rows that are done first leave the batch
        for s in range(0, n, CHUNK):
            at = rows[s : s + CHUNK]
            self._chain(coded.take(at), known[at], order[at], left[at], uniform[at] / 2.0**53, state, share, at)
        return state, share

    @torch.inference_mode()
    def _chain(
        self, coded: CodedCells, known: BoolArray, order: Ints, left: Ints, uniform: FloatArray, state: Ints, share: FloatArray, at: Ints
    ) -> None:
        """Draw the unknown cells of some rows, the rows with most of them first, into ``state`` and ``share`` at ``at``."""
        net, entrance = self._net, self._net.entrance()
        matrix, bias = net.exit()
        cells = _cells(coded)
        total = net.enter(cells.lo, cells.hi, cells.share, torch.as_tensor(known))
        slices, starts = net.columns(), self._book.slot_start
        for step in range(int(left.max(initial=0))):
            size = int((left > step).sum())
            hidden, turn = net.hidden(total[:size]), order[:size, step]
            for j in np.unique(turn).tolist():
                mine, cut, codes = np.flatnonzero(turn == j), slices[j], self._book.columns[j]
                logits = nn_linear(hidden[torch.as_tensor(mine)], matrix[cut], bias[cut])
                p = torch.softmax(logits.double(), 1).numpy()
                drawn, within = _inverse(np.where(codes.counts > 0, p, 0.0) if codes.counts.any() else p, uniform[mine, j])
                state[at[mine], j], share[at[mine], j] = drawn, within
                lo, hi = (torch.as_tensor(starts[j] + a[drawn]) for a in (codes.lo, codes.hi))
                weight = torch.as_tensor(within, dtype=torch.float32)[:, None]
                total.index_add_(0, torch.as_tensor(mine), torch.lerp(entrance[lo], entrance[hi], weight))

    def score(self, X: Any) -> dict[str, FloatArray]:
        """Return how odd cells and rows are, each cell judged by the rest of its row, which may hold faults too.

        Returns
        -------
        ``"cell"`` (N, C) : nats by which a cell this unlikely, or more, is rare given the rest; comparable between columns. Above 7: once
        in a thousand. ``"surprise"`` (N, C) : -log p of the cell. ``"exchanged"`` (N, C) : nats by which the cell is likelier as one of
        any row than given the rest of this one, log p(cell) - log p(cell | rest). ``"row"`` (N,) : the sum of the surprises.
        ``"percentile"`` (N,) : the row's place among held-out rows, 0 to 100; high is odd.
        """
        table, present = self._table(X)
        self._every(present)
        with limit_threads(self.threads):
            surprise, tail, exchanged = self._surprises(self._read(table, present))
        row = surprise.sum(1)
        place = np.searchsorted(self._usual, row, side="right") / len(self._usual) * 100
        return {"cell": tail, "surprise": surprise, "exchanged": exchanged, "row": row, "percentile": np.asarray(place, np.float64)}

    @torch.inference_mode()
    def _surprises(self, coded: CodedCells) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (-log p, -log p of a cell this unlikely, log of p anywhere to p here), each (N, C), of every cell given the rest."""
        surprise, tail, exchanged = (np.zeros(coded.state.shape) for _ in range(3))
        for at, j, p in self._others(coded, 1.0):
            state, counts = coded.state[at, j], self._book.columns[j].counts + 0.5
            anywhere = np.append(counts / counts.sum(), 1 / len(counts))  # last: a level that training did not have
            own = np.where(state >= 0, np.take_along_axis(p, state.clip(0)[:, None], 1)[:, 0], 1.0)
            rarer = np.where(state >= 0, np.where(p <= own[:, None] * (1 + 1e-5), p, 0.0).sum(1), 1.0)
            beyond = coded.beyond[at, j].astype(float)
            surprise[at, j] = beyond - np.log(np.maximum(own, 1e-12))
            tail[at, j] = beyond - np.log(np.clip(rarer, 1e-12, 1.0))
            exchanged[at, j] = surprise[at, j] + np.log(anywhere[state])
        return surprise, tail, exchanged

    def _others(self, coded: CodedCells, doubt: float) -> Any:
        """Yield (rows, column, probabilities (n, S) of the column's states given the other cells of each row)."""
        net = self._net
        entrance, (matrix, bias), slices = net.entrance(), net.exit(), net.columns()
        for s in range(0, len(coded.state), CHUNK):
            at = slice(s, s + CHUNK)
            cells = _cells(coded.take(at))
            total = net.enter(cells.lo, cells.hi, cells.share, torch.ones(1, len(self.columns_), dtype=torch.bool))
            for j, cut in enumerate(slices):
                lo, hi = (int(self._book.slot_start[j]) + a[:, j] for a in (cells.lo, cells.hi))
                own = torch.lerp(entrance[lo], entrance[hi], cells.share[:, j : j + 1])
                p = torch.softmax(nn_linear(net.hidden(total - own, doubt), matrix[cut], bias[cut]).double(), 1)
                yield at, j, p.numpy()

    @torch.inference_mode()
    def reconstruct(self, X: Any, known: BoolArray | None = None) -> Table:
        """Return the rows with cells as the other cells would have them: medians of numbers and dates, most likely levels.

        Parameters
        ----------
        known : (N, C) bool; the cells that are not known are told from those that are. None: every cell is told from all others.
        """
        table, present = self._table(X)
        coded = self._read(table, present)
        state, share = np.zeros(coded.state.shape, np.int64), np.zeros(coded.state.shape)
        with limit_threads(self.threads):
            if known is None:
                self._every(present)
                for at, j, p in self._others(coded, 1.0):
                    state[at, j], share[at, j] = self._book.columns[j].typical(p)
                drawn = np.ones(state.shape, bool)
            else:
                shown = np.broadcast_to(np.asarray(known, bool), state.shape) & present
                drawn = ~shown & present
                for s in range(0, len(state), CHUNK):
                    at = slice(s, s + CHUNK)
                    cells = _cells(coded.take(at))
                    logits = self._net.logits(
                        self._net.hidden(self._net.enter(cells.lo, cells.hi, cells.share, torch.as_tensor(shown[at])))
                    )
                    for j, cut in enumerate(self._net.columns()):
                        p = torch.softmax(logits[:, cut].double(), 1).numpy()
                        state[at, j], share[at, j] = self._book.columns[j].typical(p)
        return replace(table, frame=self._book.write(table.frame, drawn, state, share), _cache={})

    def code(self, X: Any) -> FloatArray:
        """Return two numbers per row (N, 2), mean 0 and spread 1 over training, from which its cells are told as well as from any two."""
        table, present = self._table(X)
        self._every(present)
        with limit_threads(self.threads):
            code = self._codes(self._read(table, present))
        return np.asarray((code - self._code_scale[0]) / self._code_scale[1])

    @torch.inference_mode()
    def _codes(self, coded: CodedCells) -> FloatArray:
        shown = torch.ones(1, len(self.columns_), dtype=torch.bool)
        out = [np.zeros((0, 2))]
        for s in range(0, len(coded.state), CHUNK):
            cells = _cells(coded.take(slice(s, s + CHUNK)))
            out.append(self._head.encode(self._net.hidden(self._net.enter(cells.lo, cells.hi, cells.share, shown))).double().numpy())
        return np.concatenate(out)

    # ------------------------------------------------------------------ reading

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this RowModel is not fitted yet", do="call fit first")

    def _table(self, X: Any) -> tuple[Table, BoolArray]:
        """Return the rows as a table, and which of the model's columns (C,) it has."""
        self._check_fitted()
        table = X if isinstance(X, Table) else apply_schema(X, self.schema_)
        return table, np.array([c in table.columns for c in self.columns_])

    def _every(self, present: BoolArray) -> None:
        if not present.all():
            absent = [c for c, there in zip(self.columns_, present) if not there]
            raise ColumnError("columns of the row model are not in the data", got=f"no {absent[:5]}")

    def _read(self, table: Table, present: BoolArray) -> CodedCells:
        """Return the codes of the columns that are there; the others are zeros that nobody reads."""
        if present.all():
            own = Table(table.frame[list(self.columns_)], self.schema_, table.library)
            return self._book.read(own)
        names = [c for c, there in zip(self.columns_, present) if there]
        own = Table(table.frame[names], self.schema_.select(names), table.library)
        part = Codebook([c for c in self._book.columns if c.name in names]).read(own)

        def wide(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
            out = np.zeros((len(table), len(present)), a.dtype)
            out[:, present] = a
            return out

        return CodedCells(*(wide(a) for a in (part.state, part.lo, part.hi, part.share, part.beyond)))

    # ------------------------------------------------------------------ files

    def save(self, path: Any) -> None:
        """Write the model as one safetensors file, whole or not at all; nothing in it is executable."""
        from safetensors.numpy import save_file

        self._check_fitted()
        arrays = {f"net.{k}": v.numpy() for k, v in self._net.state_dict().items()}
        arrays |= {f"head.{k}": v.numpy() for k, v in self._head.state_dict().items()}
        arrays |= {"usual": self._usual, "code_scale": self._code_scale}
        seed = self.random_state if isinstance(self.random_state, int) else self.record_["seed"]
        main = {
            "format": FORMAT,
            "settings": self.get_params() | {"random_state": seed},
            "schema": self.schema_.to_dict(),
            "codes": self._book.state(),
            "record": self.record_,
        }
        text = json.dumps(main, ensure_ascii=False, default=lambda a: a.tolist())
        with whole(path) as place:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, place, metadata={"row_model": text})

    @classmethod
    def load(cls, path: Any) -> RowModel:
        """Read a model that :meth:`save` wrote. Nothing in the file is executed."""
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise SourceError("there is no such file", where=str(path), do="check the path")
        try:
            with safe_open(Path(path), "np") as file:
                main = json.loads((file.metadata() or {})["row_model"])
                arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            if int(main["format"]) > FORMAT:
                raise ModelFileError("the row model was saved by a newer version", got=f"format {main['format']}", do="update pellucid")
            self = cls(**main["settings"])
            self.schema_ = Schema.from_dict(main["schema"])
            self.columns_, self.record_ = self.schema_.names, dict(main["record"])
            self._book = Codebook.from_state(main["codes"])
            with torch.random.fork_rng(devices=[]):
                self._build(0)
            for name, part in (("net.", self._net), ("head.", self._head)):
                part.load_state_dict({k.removeprefix(name): torch.from_numpy(v.copy()) for k, v in arrays.items() if k.startswith(name)})
            self._usual, self._code_scale = arrays["usual"], arrays["code_scale"]
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError("the row model is damaged", where=str(path), got=str(error)[:200], do="save the model again") from error
        return self


nn_linear = torch.nn.functional.linear


def _parts(n: int, seed: int) -> tuple[Ints, Ints]:
    """Return the rows to learn from, and those to judge by; none where there are fewer than 50."""
    order = stream(seed, "parts").permutation(n)
    held = min(MOST_HELD, int(n * HELD)) if n >= 50 else 0
    return np.sort(order[held:]), np.sort(order[:held])


def _cells(coded: CodedCells) -> RowCells:
    return RowCells(*(torch.as_tensor(a) for a in (coded.state, coded.lo, coded.hi, coded.share)))


def _inverse(p: FloatArray, u: FloatArray) -> tuple[Ints, FloatArray]:
    """Return (state, share of the way through it) where the cumulated probabilities (n, S) reach u (n,)."""
    cumulated = np.cumsum(p, 1)
    goal = u * cumulated[:, -1]
    state = np.minimum((cumulated <= goal[:, None]).sum(1), p.shape[1] - 1)
    own = np.take_along_axis(p, state[:, None], 1)[:, 0]
    before = np.take_along_axis(cumulated, state[:, None], 1)[:, 0] - own
    return state, np.clip((goal - before) / np.maximum(own, 1e-300), 0.0, 1.0 - 1e-9)
