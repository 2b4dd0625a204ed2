"""``decompose=``: sensitive columns that a network's hidden state should not tell; what it still tells is in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid import registry
from pellucid.errors import ColumnError, RequestError, did_you_mean, quote
from pellucid.nn.decompose import NARROW, cosine
from pellucid.random import integer
from pellucid.table import Plan, Role, Table
from pellucid.training.leftover import beyond_chance, price, probe
from pellucid.training.recipe import TrainSettings

if TYPE_CHECKING:
    from pellucid.estimators.network import NetworkEngine
    from pellucid.estimators.prepare import Training

__all__ = ["Attributes", "attributes_of", "no_inputs", "rules", "sentences", "told", "with_parts"]

WEIGHTS = ("adversary", "orthogonal", "dependence", "narrow")
FEW_LEVELS, PIECES = 12, 5
MOST_LEVELS = 40
LEAST_BATCH = 1024


def rules(asked: Any) -> bool:
    """Return whether ``decompose=`` has a form that can be used."""
    if isinstance(asked, Mapping):
        weights = [asked[k] for k in asked if k in WEIGHTS]
        fine = all(isinstance(w, int | float) and not isinstance(w, bool) and 0 <= w < float("inf") for w in weights)
        return fine and set(asked) <= {"columns", *WEIGHTS} and rules(asked.get("columns", True)) and asked.get("columns") is not None
    if isinstance(asked, list | tuple):
        return bool(asked) and all(isinstance(c, str) for c in asked)
    return asked is None or asked is True or isinstance(asked, str)


def _columns(asked: Any, table: Table) -> tuple[str, ...]:
    named = asked.get("columns", True) if isinstance(asked, Mapping) else asked
    if named is True:
        if not table.schema.sensitive:
            raise RequestError(
                "decompose=True needs sensitive columns", do="name them: decompose=['sex'], or with_roles(sensitive=['sex'])"
            )
        return table.schema.sensitive
    names = (named,) if isinstance(named, str) else tuple(named)
    for name in names:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise ColumnError("decompose= names a column that is not there", expected=quote(table.columns, 12), got=repr(name), do=hint)
    return names


def no_inputs(table: Table, asked: Any) -> Table:
    """Return the table whose columns named by ``decompose=`` are sensitive and no inputs."""
    if asked is None:
        return table
    names = _columns(asked, table)
    if table.target in names:
        raise RequestError("the target cannot be a column that the answers should not tell", got=repr(table.target))
    sensitive = tuple(dict.fromkeys((*table.schema.sensitive, *names)))
    table = table.with_roles(sensitive=list(sensitive), ignore=[n for n in names if table.schema[n].role is not Role.GROUP])
    if not table.features:
        raise RequestError("decompose= leaves no column to learn from", got=quote(names))
    return table


class Attributes:
    """The levels of the columns that should not be told: codes (N, A) int64, -1 where unknown, and the names of the levels of each."""

    def __init__(self, names: tuple[str, ...], codes: npt.NDArray[np.int64], levels: tuple[tuple[str, ...], ...]) -> None:
        self.names, self.codes, self.levels = names, codes, levels


def attributes_of(table: Table, asked: Any) -> Attributes | None:
    """Return the levels of the named columns; numbers of more than twelve values are cut into fifths."""
    if asked is None:
        return None
    names = _columns(asked, table)
    found = [_levels(table, n) for n in names]
    for name, (_, levels) in zip(names, found):
        if not 2 <= len(levels) <= MOST_LEVELS:
            raise ColumnError(
                f"{name!r} cannot be decomposed",
                expected=f"2 to {MOST_LEVELS} levels",
                got=str(len(levels)),
                do="join levels, or leave it out",
            )
    return Attributes(names, np.stack([c for c, _ in found], 1).astype(np.int64), tuple(levels for _, levels in found))


def _levels(table: Table, name: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    from pellucid.table import ColumnType

    if table.schema[name].type is not ColumnType.NUMBER:
        codes, texts = table.levels(name)
        used, again = np.unique(codes[codes >= 0], return_inverse=True)
        out = np.full(len(codes), -1, np.int64)
        out[codes >= 0] = again
        return out, tuple(texts[u] for u in used)
    x = table.numbers(name)
    values = np.unique(x[~np.isnan(x)])
    edges = values[1:] if len(values) <= FEW_LEVELS else np.unique(np.nanquantile(x, np.arange(1, PIECES) / PIECES))
    codes = np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right"))
    ends = [values[0], *edges] if len(values) else []
    return codes.astype(np.int64), tuple(f"from {e:g}" for e in ends)


def with_parts(settings: TrainSettings, attributes: Attributes | None, asked: Any, classes: int = 0) -> TrainSettings:
    """Return the settings of a network in two parts, or raise where its answers do not come from its hidden state alone.

    The free part of a classifier moves in as few directions as its classes need: what is beyond holds traces that no answer asks for.
    ``classes`` : how many there are; 0 for numbers and below 2,000 learned rows, where the short fit loses a single direction.
    """
    if attributes is None:
        return settings
    name = settings.backbone if isinstance(settings.backbone, str) else "your own"
    kind: Any = registry.resolve(registry.get("backbone", name)) if isinstance(settings.backbone, str) else settings.backbone
    if settings.head != "linear" or getattr(kind, "front", 0) or getattr(kind, "remembers", False) or getattr(kind, "listed", False):
        raise RequestError(
            "decompose= needs a network whose answers all come from one hidden state", got=f"backbone {name!r}",
            do="choose backbone='tabm', 'mlp', 'resnet' or 'ft_transformer'",
        )  # fmt: skip
    mixing = [n for n, _ in settings.regularizers if n in ("feat_mix", "hid_mix", "mixup", "cutmix")]
    if mixing:
        raise RequestError("decompose= needs rows of one attribute each", got=f"the regularizer {mixing[0]!r}", do="leave it out")
    weights = {k: float(v) for k, v in asked.items() if k in WEIGHTS} if isinstance(asked, Mapping) else {}
    if classes and "narrow" not in weights:
        weights["narrow"] = float(min(NARROW, classes - 1))
    parts = (("levels", tuple(len(v) for v in attributes.levels)), *weights.items())
    # how far a batch's states depend on an attribute takes many rows to see
    return replace(settings, decompose=parts, batch=max(settings.batch, LEAST_BATCH))


def told(engine: NetworkEngine, training: Training, attributes: Attributes | None, plan: Plan, seed: int) -> dict[str, Any]:
    """Return what the record says: columns, levels, mean absolute cosine of the parts, what the free part still tells of each column, and
    what the answers lose by it.

    Only rows that a network did not learn from are asked: the certify rows, or each fold by the network that held it out. Of folds the
    means are told.
    """
    if attributes is None:
        return {}
    nets = engine._single()
    held = [(nets[0], plan.certify)]
    if plan.folds is not None:
        per = len(nets) // engine.n_folds
        held = [(nets[k * per], np.flatnonzero(plan.folds == k)) for k in range(engine.n_folds)]
    probes: dict[str, list[dict[str, Any]]] = {n: [] for n in attributes.names}
    cosines, prices = [], []
    for net, rows in held:
        if not len(rows):
            continue
        cells = engine.cells(training.table.take(rows).select(engine.encoder.columns))
        with torch.inference_mode():
            found = [net.named_parts(cells.take(slice(s, s + 4096))) for s in range(0, len(rows), 4096)]
            free, aware = (torch.cat([f[k] for f in found]) for k in ("hidden", "aware"))
            apart = aware - aware.mean(0, keepdim=True)
            both, alone = (engine.objective.answers(net.head(h)).mean(1).double().numpy() for h in (free + apart, free))
        cosines.append(float(cosine(free, aware).abs().mean()))
        prices.append(price(both, alone, training.target.values[rows], integer(seed, "price")))
        for a, name in enumerate(attributes.names):
            probes[name].append(probe(free.flatten(1).double().numpy(), attributes.codes[rows, a], integer(seed, "probe", a)))
    made = {
        "columns": list(attributes.names), "levels": [list(v) for v in attributes.levels],
        "cosine": float(np.mean(cosines)) if cosines else float("nan"), "probe": {n: _mean(each) for n, each in probes.items()},
        "price": _mean(prices),
    }  # fmt: skip
    return {"decompose": made | {"words": " ".join(sentences(made))}}


def _mean(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {k: float(np.mean([e[k] for e in each])) if not isinstance(v, str) else v for k, v in each[0].items()} if each else {}


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Return what a record's ``decompose`` says, in plain words: what the answers give away of each column, and what it costs."""
    columns = found["columns"]
    out = [f"The answers are made of a part that should not tell {' and '.join(map(repr, columns))}, which {_were(columns)} no inputs."]
    for name, p in found["probe"].items():
        if p and np.isfinite(p["auc"]):
            end = "more than chance" if beyond_chance(p) else "no more than chance"
            out.append(
                f"On {p['rows']:,.0f} rows not learned from, probes tell {name!r} from that part with an AUC of {p['auc']:.3f} "
                f"({p['low']:.3f} to {p['high']:.3f}; chance 0.5, 95 % of chance below {p['null']:.3f}): {end}."
            )
        else:
            out.append(f"Too few rows were held out to say what that part tells of {name!r}.")
    p = found.get("price")
    if p and np.isfinite(p["difference"]):
        out.append(
            f"With the part that knows {' and '.join(map(repr, columns))} the {p['metric']} on them would be {p['both']:.3f}; "
            f"without, it is {p['free']:.3f} ({p['difference']:+.3f}, {p['low']:+.3f} to {p['high']:+.3f})."
        )
    return out


def _were(columns: Sequence[str]) -> str:
    return "was" if len(columns) == 1 else "were"
