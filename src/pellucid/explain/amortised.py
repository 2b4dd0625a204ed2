"""Shapley values by one pass through a network that was fitted to the coalition engine's own values.

The network learns from many rows, each played against a few background rows in one order and its reverse: unbiased values, far too rough to
show, whose noise averages out over rows. Its answers are shifted to add up to the prediction. What it is off by was measured against the
engine on rows it did not learn from, and is stated as the error; rows unlike those it learned from are handed to the engine.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.encode.codebook import Codebook, CodedCells
from pellucid.errors import RequestError
from pellucid.explain import games as solve
from pellucid.explain import shapley
from pellucid.explain.pairs import pair_games
from pellucid.explain.question import BACKGROUND_ROWS, Question
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.hashing import name_hashes
from pellucid.probe.masker import reference_rows
from pellucid.protocols import FittedExplainer, FloatArray
from pellucid.random import integer, stream
from pellucid.results import Explanation
from pellucid.table import Table

if TYPE_CHECKING:
    import torch

    from pellucid.nn.masked_autoencoder import RowNetwork

__all__ = ["explain", "fit", "stored"]

CHUNK = 16_384
BLOCK = 256
"""Rows whose games are played side by side when labels are made."""
FEWEST = 10
LISTED = 1000
"""Most rows that are named as unlike those the network learned from."""

Ints = npt.NDArray[np.int64]
SETTINGS: Mapping[str, Any] = {"rows": 20_000, "pairs": 8, "steps": None, "width": 192, "test_rows": 100, "test_precision": 0.03}
"""Of the fit: rows learned from, background rows each is played against, training steps (None: by the rows), network width, rows the error
is measured on, and how precise the engine is there."""


def explain(question: Question) -> Explanation:
    """Return Shapley values of a network fitted beforehand by ``pellucid.fit_explainer``; errors as measured then, the gap is 0.

    Cost: one model row per row, and one pass through a small network; 2 d B and more for rows that are handed to the engine.
    Jethani, Sudarshan, Covert, Lee and Ranganath 2022, arXiv:2107.07436; learning from rough values: Covert, Kim, Lee, Zou and Hashimoto
    2024, arXiv:2401.15866.
    """
    fitted = stored(question, "amortised")
    background = _background(question, fitted)
    if question.fill != "marginal":
        raise RequestError("the fitted explainer speaks of the marginal fill", got=repr(question.fill), do="use method='shapley'")
    n = len(question.table)
    if question.budget.rows is not None and question.budget.rows < n:
        raise too_small("", n, question.budget.rows, FEWER_ROWS)
    raw, unlike = _pass(fitted, question.table.select(question.view.columns))
    values = question.view.combine(raw)
    errors = np.asarray(fitted.arrays["error"], np.float64)  # (P, O)
    error = np.broadcast_to(question.view.combine(errors, errors=True), values.shape).copy()
    base = question.view.combine(np.asarray(fitted.arrays["base"], np.float64)[None], shift=True)[0]
    predictions = _predictions(question)
    share = np.asarray(fitted.arrays["share"])
    values += (predictions - base - values.sum(1))[:, None] * share[None, :, None]
    rows = np.flatnonzero(unlike) if question.options.get("fallback", True) else np.zeros(0, np.int64)
    if len(rows):
        values[rows], error[rows] = _by_engine(question, background, rows, n)
    labels = question.table.index[np.flatnonzero(unlike)[:LISTED]].tolist()
    facts = {"explainer": dict(fitted.state["facts"]), "unlike_rows": int(unlike.sum()), "unlike": labels}
    return question.answer(values, base, predictions, error=error, settings=facts, caveats=_words(fitted, int(unlike.sum()), len(rows)))


def _words(fitted: FittedExplainer, unlike: int, handed: int) -> list[str]:
    facts = fitted.state["facts"]
    share = f"{100 * facts['relative']:.1f} % of the mean value"
    words = [f"values of a fitted network; on {facts['test_rows']} held-out rows its mean error was {share}"]
    if unlike:
        done = "were computed by the engine instead" if handed else "were explained all the same, as asked"
        words.append(f"{unlike} rows are unlike those it learned from and {done}")
    return words


def _predictions(question: Question) -> FloatArray:
    table, step = question.table, 65_536
    return np.concatenate([question.view.raw(table.take(slice(s, s + step))) for s in range(0, len(table), step)])


def _by_engine(question: Question, background: Table, rows: Ints, spent: int) -> tuple[FloatArray, FloatArray]:
    """Return values and errors (n, P, O) of some rows from the coalition engine, within what is left of the budget."""
    budget = question.budget
    if budget.rows is not None:
        budget = replace(budget, rows=max(budget.rows - spent, 1))
    made = shapley.explain(replace(question, table=question.table.take(rows), background=background, budget=budget))
    values = made.cube()
    return values, np.zeros_like(values) if made.error is None else made.error.reshape(values.shape)


def stored(question: Question, method: str) -> FittedExplainer:
    """Return the fitted explainer of the question: the one passed in ``options``, else the model's own; an error where there is none."""
    found = question.options.get("explainer")
    found = getattr(question.view.inner, "explainers", {}).get(method) if found is None else found
    if not isinstance(found, FittedExplainer) or found.method != method:
        raise RequestError(f"{method!r} needs a fitted explainer", do=f"call pellucid.fit_explainer(model, table, method={method!r}) first")
    asked = {
        "columns": list(question.view.columns), "players": question.players.of_column.tolist(),
        "outputs": list(map(str, question.view.inner.outputs)), "scale": question.view.scale,
    }  # fmt: skip
    for what, value in asked.items():
        if found.state[what] != value:
            own, other = found.state[what], value
            if what == "players":
                own, other = (_groups(asked["columns"], of) for of in (own, other))
            raise RequestError(
                f"the explainer was fitted for {'another scale' if what == 'scale' else f'other {what}'}", expected=str(own)[:200],
                got=str(other)[:200],
                do=f"fit it again: pellucid.fit_explainer(model, table, method={method!r})",
            )  # fmt: skip
    return found


def _groups(columns: list[str], of_column: Sequence[int]) -> str:
    """Return in words which columns enter together."""
    together = [[c for c, p in zip(columns, of_column) if p == player] for player in dict.fromkeys(of_column)]
    named = [" with ".join(group) for group in together if len(group) > 1]
    return "; ".join(named) or "no groups"


def _background(question: Question, fitted: FittedExplainer) -> Table:
    """Return the background the explainer was fitted against; an error where the question has another."""
    own = reference_rows(question.kept, "marginal", size=BACKGROUND_ROWS, seed=int(fitted.state["seed"]), given=False)[0]
    for table in (question.background, own):
        if table.fingerprint() == fitted.state["background"]:
            return table
    raise RequestError("the explainer was fitted against another background", do="fit it again with this background=, or leave it out")


def _network(state: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[RowNetwork, Codebook]:
    import torch

    from pellucid.nn.masked_autoencoder import RowNetwork

    book = Codebook.from_state(state["codes"])
    net = _made(book, state["players"], len(state["outputs"]), int(state["width"]), RowNetwork)
    net.load_state_dict({k.removeprefix("net."): torch.from_numpy(np.array(v)) for k, v in arrays.items() if k.startswith("net.")})
    return net.eval(), book


def _made(book: Codebook, players: Any, outputs: int, width: int, kind: Any) -> Any:
    slots = tuple(len(c.slot_z) for c in book.columns)
    return kind(slots, np.concatenate([c.slot_z for c in book.columns]), list(players), outputs, width)


def _tensors(coded: CodedCells) -> tuple[Any, Any, Any]:
    import torch

    return torch.as_tensor(coded.lo), torch.as_tensor(coded.hi), torch.as_tensor(coded.share)


def _pass(fitted: FittedExplainer, table: Table) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the network's values (N, P, O), and which rows (N,) are unlike those it learned from."""
    import torch

    net, book = _network(fitted.state, fitted.arrays)
    centre, whiten = (torch.as_tensor(np.asarray(fitted.arrays[k])) for k in ("centre", "whiten"))
    scale, limit = np.asarray(fitted.arrays["scale"], np.float64), float(fitted.state["limit"])
    out, unlike = [], []
    with torch.inference_mode():
        for s in range(0, len(table), CHUNK):
            coded = book.read(table.take(slice(s, s + CHUNK)))
            hidden, mixed = net.features(*_tensors(coded))
            out.append(net.answer(hidden, mixed).double().numpy() * scale)
            far = ((hidden - centre) @ whiten).square().sum(1).numpy()
            unlike.append((far > limit) | (coded.beyond > np.log(2)).any(1))
    return np.concatenate(out), np.concatenate(unlike)


# ---------------------------------------------------------------- fitting


def fit(question: Question, settings: Mapping[str, Any]) -> FittedExplainer:
    """Return a network fitted to the model's Shapley values over the rows of the question.

    Cost: ``rows * pairs * 2 (d - 1)`` model rows for what it learns from, and what ``shapley`` needs for the rows it is measured on.
    """
    chosen = {**SETTINGS, **settings}
    table, seed = question.table.select(question.view.columns), question.seed
    if len(table) < FEWEST:
        raise RequestError("there are too few rows to fit an explainer to", expected=f"at least {FEWEST}", got=str(len(table)))
    book = Codebook.fit(table, question.view.columns, integer(seed, "codes"))
    order = stream(seed, "rows").permutation(len(table))[: int(chosen["rows"]) + int(chosen["test_rows"])]
    n_test = min(int(chosen["test_rows"]), max(len(order) // 4, 2))
    test, learn = order[:n_test], order[n_test:]
    labels = _labels(question, table, learn, int(chosen["pairs"]))
    net, found = _train(question, book, book.read(table.take(learn)), labels, chosen)
    fitted = _packed(question, book, net, found, table.take(learn), chosen)
    return _measured(question, fitted, table.take(np.sort(test)), float(chosen["test_precision"]))


def _labels(question: Question, table: Table, rows: Ints, pairs: int) -> dict[str, npt.NDArray[Any]]:
    """Return one rough value per row and drawn background row: ``back`` (N, m), ``phi`` (N, m, P, O), ``full`` (N, O), ``empty`` (B, O)."""
    players, seed = name_hashes(question.players.names), integer(question.seed, "labels")
    size = len(question.background)
    m = min(pairs, size)
    back = np.argsort(stream(question.seed, "pairs").random((len(rows), size)), axis=1)[:, :m]
    phi, full, empty = [], [], np.zeros(0)
    for s in range(0, len(rows), BLOCK):
        part = table.take(rows[s : s + BLOCK])
        engine = CoalitionEngine(question.view, part, question.background, question.players)
        row, other = np.repeat(np.arange(len(part)), m), back[s : s + BLOCK].ravel()
        games = pair_games(engine, row, other, players)
        small = games.sizes <= 2  # one order and its reverse are all there are
        made = np.zeros((len(row), len(players), engine.n_outputs))
        made[small] = solve.exact(games, np.flatnonzero(small))
        made[~small] = solve.permutations(games, np.flatnonzero(~small), 0, seed)[0]
        phi.append(made.reshape(len(part), m, *made.shape[1:]))
        full.append(engine.full)
        empty = engine.empty
    return {"back": back, "phi": np.concatenate(phi), "full": np.concatenate(full), "empty": empty}


def _train(
    question: Question, book: Codebook, coded: CodedCells, labels: Mapping[str, npt.NDArray[Any]], chosen: Mapping[str, Any]
) -> tuple[RowNetwork, dict[str, Any]]:
    """Return the network, and ``scale`` (O,), ``share`` (P,) and ``base`` (O,)."""
    import torch

    from pellucid.nn.masked_autoencoder import RowNetwork
    from pellucid.training.schedules import warm_cosine

    phi, full, empty = labels["phi"], labels["full"], labels["empty"]
    scale = np.maximum(np.sqrt((phi**2).mean((0, 1, 2))), 1e-12)
    size = np.sqrt((phi**2 / scale**2).mean((0, 1, 3)))
    # NOTE[DIFF] what is missing to the sum is shared in proportion to the players' usual size, not evenly: idle columns stay idle
    share = size / size.sum() if size.sum() > 0 else np.full(len(size), 1 / len(size))
    base = empty.mean(0)
    target, delta = torch.as_tensor(phi / scale, dtype=torch.float32), torch.as_tensor((full - base) / scale, dtype=torch.float32)
    back, cells, spread = torch.as_tensor(labels["back"]), _tensors(coded), torch.as_tensor(share, dtype=torch.float32)[:, None]
    seed, n = integer(question.seed, "network"), len(phi)
    steps = int(chosen["steps"] or np.clip(30 * n**0.5, 200, 4000))
    generator = torch.Generator().manual_seed(integer(seed, "batches"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = _made(book, question.players.of_column.tolist(), phi.shape[3], int(chosen["width"]), RowNetwork)
    # what a background row adds to all its games is learned beside, so that it is no noise: phi(x, b) is near T(x) - U(b)
    drift = torch.nn.Parameter(_drift(target, back, len(empty)))
    n_held = n // 10 if n >= 50 else 0
    held, best, kept = torch.arange(n - n_held, n), np.inf, net.state_dict()

    def off(rows: torch.Tensor) -> torch.Tensor:
        made = net(*(c[rows] for c in cells))
        made = made + (delta[rows] - made.sum(1))[:, None] * spread
        missed: torch.Tensor = target[rows] - made[:, None] + (drift - drift.mean(0))[back[rows]]
        return missed.square().mean()

    straight = [drift, net.alone, net.slope]
    others = [p for p in net.parameters() if all(p is not s for s in straight)]
    optimizer = torch.optim.AdamW(
        [{"params": others, "most": 3e-3}, {"params": straight, "most": 2e-2, "weight_decay": 0.0}], weight_decay=1e-2, fused=True
    )
    for step in range(steps):
        optimizer.zero_grad()
        off(torch.randint(0, n - n_held, (min(512, n),), generator=generator)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = group["most"] * warm_cosine(step, steps, max(1, steps // 20))
        optimizer.step()
        if n_held and (step + 1) % max(1, steps // 20) == 0:
            with torch.no_grad():
                score = float(off(held))
            if score < best:
                best, kept = score, copy.deepcopy(net.state_dict())
    if n_held:
        net.load_state_dict(kept)
    return net.eval(), {"scale": scale, "share": share, "base": base}


def _drift(target: torch.Tensor, back: torch.Tensor, size: int) -> torch.Tensor:
    """Return (B, P, O): how far the values against each background row lie, on average, below those against all."""
    import torch

    flat, at = target.flatten(0, 1), back.flatten()
    mean = torch.zeros(size, *flat.shape[1:]).index_add_(0, at, flat) / torch.bincount(at, minlength=size).clamp(min=1)[:, None, None]
    return flat.mean(0) - mean


def _packed(
    question: Question, book: Codebook, net: RowNetwork, found: Mapping[str, Any], table: Table, chosen: Mapping[str, Any]
) -> FittedExplainer:
    """Return the fitted explainer with the shape of its hidden states, by which rows unlike the others are known."""
    import torch

    with torch.inference_mode():
        parts = [book.read(table.take(slice(s, s + CHUNK))) for s in range(0, len(table), CHUNK)]
        hidden = torch.cat([net.features(*_tensors(c))[0] for c in parts]).double()
    centre = hidden.mean(0)
    covariance = (hidden - centre).T @ (hidden - centre) / max(len(hidden) - 1, 1)
    covariance += torch.eye(len(centre)) * covariance.trace() / len(centre) * 0.1  # few rows do not tell all directions
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors / values.sqrt()
    limit = float(((hidden - centre) @ whiten).square().sum(1).max()) * 1.25
    state = {
        "codes": book.state(), "columns": list(question.view.columns), "players": question.players.of_column.tolist(),
        "outputs": list(map(str, question.view.inner.outputs)), "scale": question.view.scale, "width": int(chosen["width"]),
        "seed": question.seed, "background": question.background.fingerprint(), "limit": limit, "facts": {},
    }  # fmt: skip
    arrays = {f"net.{k}": v.numpy() for k, v in net.state_dict().items()}
    return FittedExplainer("amortised", state, arrays | dict(found) | {"centre": centre.float().numpy(), "whiten": whiten.float().numpy()})


def _measured(question: Question, fitted: FittedExplainer, test: Table, precision: float) -> FittedExplainer:
    """Return the explainer with its error: its distance from the engine's values on rows that it did not learn from."""
    made = shapley.explain(replace(question, table=test, precision=precision, budget=type(question.budget)()))
    truth = made.cube()
    raw, _ = _pass(fitted, test)
    gap = np.asarray(made.predictions).reshape(len(test), -1) - fitted.arrays["base"] - raw.sum(1)
    off = np.abs(raw + gap[:, None] * np.asarray(fitted.arrays["share"])[None, :, None] - truth)
    # a large error now and then is not told by the mean square alone: 95 % of the held-out rows lie within 1.96 of what is stated
    error = np.maximum(np.sqrt((off**2).mean(0)), np.quantile(off, 0.95, axis=0) / 1.96)
    noise = 0.0 if made.error is None else float(np.abs(made.error).mean())
    mean = max(float(np.abs(truth).mean()), 1e-300)
    facts = {
        "test_rows": len(test), "mean_error": float(off.mean()), "mean_value": mean, "relative": float(off.mean()) / mean,
        "engine_error": noise, "model_rows": question.view.n_calls,
    }  # fmt: skip
    return replace(fitted, state={**fitted.state, "facts": facts}, arrays={**fitted.arrays, "error": error})
