"""``members=`` and ``bayes=``: where a fitted network's doubt comes from. Several networks, or one that becomes a sample of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.errors import RequestError
from pellucid.nn.bayes import draw_weights
from pellucid.nn.cells import Cells
from pellucid.nn.dropout_net import DropoutNet, drops_out
from pellucid.nn.heads import MemberHead
from pellucid.nn.stack import StackedNet
from pellucid.nn.stochastic import sampled_norms, stochastic_statistics
from pellucid.nn.table_net import TableNet
from pellucid.random import integer, stream
from pellucid.training.laplace import laplace
from pellucid.training.objectives import Objective

__all__ = ["METHODS", "SEVERAL", "Drawing", "asked", "check_sampled", "members_of", "n_samples", "networks_of", "sampled", "trained_spread"]

METHODS: dict[str, dict[str, Any]] = {
    "stochastic_bn": {"samples": 16},
    "mc_dropout": {"samples": 32},
    "laplace": {"samples": 32},
    "mean_field": {"samples": 32, "layers": "last", "prior_scale": 1.0, "start": 0.05, "local": True, "warmup": 1 / 3},
    # errors under a sharp law cost a hundred times what sureness on a made-up row does: with gamma 2 a network that draws a straight line
    # was surer beyond the data than within (areas .17 to .63 on rows moved by four deviations; 30: .94 to .99, for .01 to .02 of log loss)
    "prior_net": {"precision": 100.0, "gamma": 30.0},
}
"""What ``bayes=`` may name, with the options of each; ``{"laplace": {"samples": 200}}`` changes some."""

SEVERAL = ("networks", "snapshots")
"""What ``members={...}`` may ask for besides ``"each"``, the members of every network."""


def asked(bayes: Any) -> tuple[str, dict[str, Any]]:
    """Return (method, its options with those the user set), ``("", {})`` where nothing is asked for.

    Examples
    --------
    >>> asked({"stochastic_bn": {"samples": 4}})
    ('stochastic_bn', {'samples': 4})
    """
    if bayes is False:
        return "", {}
    name, given = (bayes, {}) if isinstance(bayes, str) else next(iter(bayes.items()))
    return name, METHODS[name] | dict(given or {})


def n_samples(bayes: Any) -> int:
    """Return the number of draws, 1 where nothing is drawn.

    Examples
    --------
    >>> n_samples(False), n_samples("stochastic_bn"), n_samples({"stochastic_bn": {"samples": 4}})
    (1, 16, 4)
    """
    return int(asked(bayes)[1].get("samples", 1))


def networks_of(members: Any) -> tuple[int, int]:
    """Return (independent networks, snapshots of one run) that ``members=`` asks for.

    Examples
    --------
    >>> networks_of("auto"), networks_of({"networks": 5}), networks_of({"snapshots": 4, "each": 1})
    ((1, 1), (5, 1), (1, 4))
    """
    given = members if isinstance(members, Mapping) else {}
    return int(given.get("networks", 1)), int(given.get("snapshots", 1))


def members_of(members: Any) -> Any:
    """Return the members of one network, ``"auto"`` where nothing is said."""
    return members.get("each", "auto") if isinstance(members, Mapping) else members


def trained_spread(bayes: Any, rows: int) -> tuple[tuple[str, Any], ...]:
    """Return the settings of a network whose weights, or whose law, are learned with a spread; empty where they are not."""
    name, options = asked(bayes)
    if name not in ("mean_field", "prior_net"):
        return ()
    return tuple(({"method": name} | options | {"rows": rows}).items())


def check_sampled(bayes: Any, build: Callable[[int], TableNet]) -> None:
    """Raise before a long fit where the network cannot be sampled afterwards."""
    name, _ = asked(bayes)
    if name == "stochastic_bn":
        sampled_norms(build(0))
    elif name == "laplace" and not isinstance(build(0).head, MemberHead):
        raise RequestError("laplace needs a linear last layer, and this network's answer is a sum without one", do="choose 'mlp' or 'tabm'")
    elif name == "mc_dropout" and not drops_out(build(0)):
        raise RequestError("mc_dropout needs a network that is trained with dropout", got="dropout=0", do="pass dropout=0.1, say")
    elif name == "mean_field":
        build(0)


@dataclass
class Drawing:
    """What sampling a fitted network gave.

    Attributes
    ----------
    net : answers with all samples. stacked : networks side by side for each trained one. heads : draws of the last layer, 0 for none.
    masks : draws of dropout, 0 for none. seed : of the masks. found : for the record.
    """

    net: Any
    stacked: int = 1
    heads: int = 0
    masks: int = 0
    seed: int = 0
    found: dict[str, Any] = field(default_factory=dict)


def sampled(
    net: TableNet | StackedNet, bayes: Any, cells: Cells, parts: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]], batch: int,
    seed: int, target: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None, objective: Objective,
) -> Drawing:  # fmt: skip
    """Return the network as ``bayes=`` asks for it; draws of one trained network stand together, the trained ones in their order.

    Parameters
    ----------
    net : trained, one network or several. cells, target, weights : (N, ...) all rows. parts : (training, stop) rows of each network.
    batch : rows of a training step.
    """
    name, options = asked(bayes)
    if name in ("", "prior_net"):
        return Drawing(net)
    n = int(options["samples"])
    if name == "mc_dropout":
        return Drawing(DropoutNet(net, n, seed), masks=n, seed=seed)
    singles = [net.single(g) for g in range(net.n_nets)] if isinstance(net, StackedNet) else [net]
    made: list[TableNet] = []
    found: dict[str, Any] = {}
    for g, (one, (rows, held)) in enumerate(zip(singles, parts)):
        if name == "stochastic_bn":
            draw, size = stream(seed, "stochastic_bn", g), min(batch, len(rows))
            batches = np.stack([draw.choice(rows, size, replace=False) for _ in range(n)])
            made += stochastic_statistics(one, cells, torch.from_numpy(batches))
        elif name == "laplace":
            given = objective.row_weights(target, weights)
            drawn, told = laplace(one, cells, objective.prepare(target), given, rows, held, objective, n, integer(seed, "laplace", g))
            made.append(drawn)
            found.setdefault("laplace", []).append(told)
        else:
            made += draw_weights(one, n, integer(seed, "mean_field", g))
    heads = n if len(made) == len(singles) and name != "stochastic_bn" else 0
    whole = made[0].eval() if len(made) == 1 else StackedNet(made).eval()
    return Drawing(whole, stacked=len(made) // len(singles), heads=heads, found=found)
