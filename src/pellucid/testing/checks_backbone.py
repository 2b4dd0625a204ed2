"""Common checks of backbones, run on whole networks (:class:`pellucid.nn.table_net.TableNet`), and of what a fitted model learns.

A subject is a :class:`Backbone`: a registry name or a module factory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.draws import seed_draws
from pellucid.nn.table_net import TableNet
from pellucid.registry import Entry
from pellucid.testing import oracles
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "Backbone", "some_cells", "some_sizes", "subject"]


@dataclass(frozen=True)
class Backbone:
    """A backbone under check: a registry name, or a factory as users pass it. ``network`` is False for peers, which have no tensors."""

    factory: Any
    network: bool = True
    head: str = "linear"

    def net(self, columns: int = 5, outputs: int = 2, seed: int = 0) -> TableNet:
        """Return an untrained network in evaluation mode."""
        return TableNet(some_sizes(columns), self.factory, outputs, d_token=8, head=self.head, seed=seed).eval()

    def fitted(self, made: oracles.Planted, rows: slice, task: str, **options: Any) -> Any:
        """Return an estimator fitted on some rows of a planted table."""
        from pellucid.estimators import TabularClassifier, TabularRegressor

        kind = TabularRegressor if task == "regression" else TabularClassifier
        return kind(backbone=self.factory, random_state=0, verbose=0, threads=1, **options).fit(made.table.take(rows))


def subject(entry: Entry) -> Backbone:
    """Return the entry as the checks call it."""
    known = isinstance(entry.target, str)
    head = "blend" if entry.recipe.get("head") == "blend" else "linear"  # what only a head of its own reads must be read
    return Backbone(entry.name if known else entry.target, entry.takes in ("flat", "tokens", "scalars"), head)


def some_sizes(columns: int) -> CellSizes:
    """Return what C columns look like, alternately numbers with 4 bins and levels."""
    number, level = tuple(range(0, columns, 2)), tuple(range(1, columns, 2))
    bins = tuple(np.array([-2.0, -0.7, 0.1, 0.8, 2.0], np.float32) for _ in number)
    return CellSizes(columns, bins, (5,) * len(level), 0, number, level, ())


def some_cells(n: int, columns: int, seed: int = 0) -> Cells:
    """Return N rows of C columns, made: numbers with a fifth missing, and codes."""
    generator = torch.Generator().manual_seed(seed)
    numbers = len(range(0, columns, 2))
    values = torch.randn(n, numbers, generator=generator)
    missing = torch.rand(n, numbers, generator=generator) < 0.2
    codes = torch.randint(0, 5, (n, columns - numbers), generator=generator)
    return Cells(values.masked_fill(missing, 0.0), missing, codes, torch.zeros(n, 0, 0))


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))


def check_shapes_hold(backbone: Backbone) -> None:
    """1 and 7 rows of 1 and 5 columns give finite outputs (N, K, O)."""
    for n in (1, 7):
        for columns in (1, 5):
            net = backbone.net(columns)
            with torch.no_grad():
                out = net(some_cells(n, columns))
            assert out.shape == (n, net.n_members, 2), f"{n} rows of {columns} columns gave shape {tuple(out.shape)}"
            assert torch.isfinite(out).all(), f"{n} rows of {columns} columns gave outputs that are not finite"


def check_gradient_reaches_every_parameter(backbone: Backbone) -> None:
    """After one backward pass no weight that is trained is without a gradient."""
    net = backbone.net().train()
    seed_draws(0)  # a mask of dropout can cut off a small part: the same one whatever ran before
    (net(some_cells(64, 5)) * torch.randn(64, 1, 2, generator=torch.Generator().manual_seed(1))).sum().backward()
    trained = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    dead = [name for name, p in trained if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not dead, f"no gradient reaches {', '.join(dead[:5])}"


def check_rows_are_independent(backbone: Backbone) -> None:
    """In evaluation a row's output does not depend on the rows beside it."""
    net, cells = backbone.net(), some_cells(9, 5)
    with torch.no_grad():
        together, alone = net(cells), torch.cat([net(cells.take(slice(i, i + 1))) for i in range(9)])
    assert _apart(together, alone) < 1e-5, "a row's output changes with the rows beside it"


def check_evaluation_is_repeatable(backbone: Backbone) -> None:
    """In evaluation mode nothing is drawn at random."""
    net, cells = backbone.net(), some_cells(9, 5)
    with torch.no_grad():
        assert torch.equal(net(cells), net(cells)), "two evaluations of the same rows differ"


def check_the_same_seed_gives_the_same_weights(backbone: Backbone) -> None:
    """Equal seeds, equal bits; another seed, other weights; the global generator is left alone."""
    before = torch.random.get_rng_state()
    one, two, other = (backbone.net(seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state()), "building the network moved the global generator"
    assert all(torch.equal(one[k], two[k]) for k in one), "two networks of one seed have different weights"
    assert any(not torch.equal(one[k], other[k]) for k in one), "two networks of different seeds have the same weights"


def check_state_makes_the_round_trip(backbone: Backbone) -> None:
    """Weights carried to another network carry the outputs."""
    one, two, cells = backbone.net(seed=1), backbone.net(seed=2), some_cells(6, 5)
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(cells), two(cells)), "a network with the same state gives other outputs"


def check_the_entrances_agree(backbone: Backbone) -> None:
    """Tokens, parts, sums and the cells themselves lead to one output."""
    net, cells = backbone.net(), some_cells(8, 5)
    with torch.no_grad():
        out, tokens = net(cells), net.tokens(cells)
        parts = net.parts(tokens)
        assert tokens.shape[:2] == parts.shape[:2] == (8, 5), "tokens and parts are not one per row and column"
        assert _apart(out, net.outputs_from_tokens(tokens)) < 1e-5, "entering with tokens gives another output"
        if net.couplings is None:
            assert _apart(out, net.outputs_from_parts(parts)) < 1e-5, "entering with parts gives another output"
        if net.additive:
            assert _apart(out, net.outputs_from_parts(net.sums(tokens))) < 1e-5, "entering with the sums gives another output"


def check_parts_of_columns_do_not_mix(backbone: Backbone) -> None:
    """Another cell in one column changes the part of that column alone."""
    net, cells = backbone.net(), some_cells(8, 5)
    tokens = net.tokens(cells)
    moved = tokens.clone()
    moved[:, 2] += 1.0
    with torch.no_grad():
        difference = (net.parts(moved) - net.parts(tokens)).abs().amax((0, 2))
    assert float(difference[[0, 1, 3, 4]].max()) == 0.0, "the part of a column changes with another column"
    assert float(difference[2]) > 0, "the part of a column does not change with its own cell"


def check_layers_can_be_reset(backbone: Backbone) -> None:
    """The named layers hold all weights, and fresh weights in any one of them give another function."""
    net, cells, generator = backbone.net(), some_cells(32, 5), torch.Generator().manual_seed(0)
    layers = net.layers()
    homeless = [n for n, _ in net.named_parameters() if not any(n == k or n.startswith(f"{k}.") for k in layers)]
    assert not homeless, f"no layer holds {', '.join(homeless[:3])}, so the cascade never resets it"
    with torch.no_grad():
        for p in net.parameters():  # weights that start at 1 or 0 must have something to forget
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
        for b in net.head.buffers():
            b.add_(0.3)
        for layer in layers:
            before = net(cells)
            changed = _apart(before, net.reset([layer], 5)(cells))
            assert changed > 1e-6, f"fresh weights in {layer!r} leave the output as it was"


def check_it_learns_a_rule(backbone: Backbone) -> None:
    """On new rows of y = 2 x1 - x2 + noise at least 60 % of the variance that can be told is told."""
    made = oracles.planted("linear", n=700, columns=3, noise=0.3)
    model = backbone.fitted(made, slice(0, 500), "regression", time_limit=120.0, max_steps=150)
    test = made.features.take(slice(500, 700))
    left = np.mean((np.asarray(model.predict(test)) - made.signal[500:]) ** 2) / np.var(made.signal[500:])
    assert left < 0.4, f"{100 * left:.0f} % of the planted rule is not learned"


def check_it_learns_nothing_from_noise(backbone: Backbone) -> None:
    """With labels that depend on nothing, the order of new rows is a coin's: the area under the curve is .5 within 3.3 standard errors."""
    from sklearn.metrics import roc_auc_score

    made = oracles.planted("nothing", n=600, columns=3, noise=None)
    model = backbone.fitted(made, slice(0, 300), "classification", time_limit=120.0, max_steps=150)
    truth = made.target[300:] == "1"
    area = roc_auc_score(truth, model.predict_proba(made.features.take(slice(300, 600)))[:, 1])
    error = np.sqrt((300 + 1) / (12 * truth.sum() * (~truth).sum()))
    assert abs(area - 0.5) < 3.3 * error, f"random labels were 'learned': the area under the curve on new rows is {area:.3f}"


def _network(entry: Entry) -> bool:
    return entry.takes in ("flat", "tokens", "scalars")


CHECKS: tuple[Check, ...] = (
    Check(check_shapes_hold, _network),
    Check(check_gradient_reaches_every_parameter, _network),
    Check(check_rows_are_independent, _network),
    Check(check_evaluation_is_repeatable, _network),
    Check(check_the_same_seed_gives_the_same_weights, _network),
    Check(check_state_makes_the_round_trip, _network),
    Check(check_the_entrances_agree, _network),
    Check(check_parts_of_columns_do_not_mix, _network),
    Check(check_layers_can_be_reset, _network),
    Check(check_it_learns_a_rule, lambda e: True, long=True),
    Check(check_it_learns_nothing_from_noise, lambda e: True, long=True),
)
