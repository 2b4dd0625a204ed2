"""What selectors of columns share: the rows they learn from, the training loop, the checks of what was fitted, and the answer.

A selector is a network that says, row by row and in one pass, which columns are needed for the answer. It learns from many rows together
with a predictor that sees the chosen columns alone. Letters: N rows, C columns, P players, F flat width, O outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.encode.codebook import Codebook
from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.amortised import stored
from pellucid.explain.choice import CHUNK, Goal, LabelPredictor, Reader, goal_of, network
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.protocols import FittedExplainer, FloatArray
from pellucid.random import integer, stream
from pellucid.results import Explanation
from pellucid.table import Table

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SETTINGS", "Complement", "Cooling", "Method", "Problem", "by_score", "explain", "fit", "sampled_chances", "size_of"]

FEWEST = 16
SCALE = "probability of being needed"
SETTINGS: Mapping[str, Any] = {"rows": 20_000, "steps": None, "width": 100, "batch": 256, "complete": False, "pressure": 1.0}
"""Of every fit: most rows learned from, training steps (None: by the rows), width of the selector (the predictor's is twice that), rows of
a step; ``complete``: whether what is left out must tell nothing, and how much a nat left there weighs (``pressure``)."""
HELD = 0.2
MOST_HELD = 4000
HEAT, COOL = 0.05, 0.8
"""What an undecided coin is paid at first, as a share of the worth of all columns, and after which share of the steps nothing."""
Loss = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Method:
    """One way to learn a selector.

    Attributes
    ----------
    name, settings : registry name, and what can be set with defaults.
    learner : problem -> (selector, all trained networks, the loss of some rows, facts found on the way).
    chances : (logits (N, P), settings, seed) -> probabilities of being chosen, and their standard errors where they are drawn.
    """

    name: str
    settings: Mapping[str, Any]
    learner: Callable[[Problem], tuple[nn.Module, nn.ModuleList, Loss, dict[str, Any]]]
    chances: Callable[[torch.Tensor, Mapping[str, Any], int], tuple[torch.Tensor, torch.Tensor | None]]


@dataclass(frozen=True)
class Problem:
    """Rows, answers and settings of one fit. Columns and players stand in the order of their names: the caller's order changes nothing.

    Attributes
    ----------
    table : the N rows, of which ``learn`` are learned from and ``held`` are kept for the checks.
    x : (N, F). owner : (F,) player of each number. goal : what is to be predicted. n_players : P.
    worth : nats a row that all columns tell on held-out rows.
    """

    question: Question
    table: Table
    reader: Reader
    x: torch.Tensor
    owner: torch.Tensor
    goal: Goal
    n_players: int
    learn: torch.Tensor
    held: torch.Tensor
    chosen: Mapping[str, Any]
    generator: torch.Generator
    worth: float = 0.0
    player_of_column: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def keep(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return rows with the chosen players' numbers alone; the others are 0, the middle of a column."""
        return x * z[:, self.owner]

    def selector(self) -> nn.Sequential:
        """Return the network rows (N, F) -> logits (N, P), which begins without a preference."""
        width = int(self.chosen["width"])
        return self.made([self.x.shape[1], width, width, self.n_players], "selector", silent=True)

    def predictor(self, inputs: int | None = None, name: str = "predictor") -> nn.Sequential:
        """Return a network rows -> outputs (N, O)."""
        width = 2 * int(self.chosen["width"])
        return self.made([inputs or self.x.shape[1], width, width, self.goal.width], name)

    def made(self, sizes: list[int], name: str, silent: bool = False) -> nn.Sequential:
        """Return a network whose first weights depend on the seed and its name alone."""
        import torch

        from pellucid.nn.selector import perceptron

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(integer(self.question.seed, "weights", name))
            return perceptron(sizes, silent=silent)

    @property
    def steps(self) -> int:
        """Training steps: as set, or by the number of rows."""
        return int(self.chosen["steps"] or np.clip(30 * len(self.learn) ** 0.5, 400, 4000))

    def batch(self) -> torch.Tensor:
        """Return rows drawn to learn from."""
        import torch

        n = len(self.learn)
        return self.learn[torch.randint(0, n, (min(int(self.chosen["batch"]), n),), generator=self.generator)]

    def train(self, nets: nn.Module, loss: Loss, steps: int | None = None, rate: float = 1e-3) -> None:
        """Train networks on drawn rows by AdamW; the rate rises, then falls as a cosine."""
        import torch

        from pellucid.training.schedules import warm_cosine

        steps = steps or self.steps
        optimizer = torch.optim.AdamW(nets.parameters(), weight_decay=1e-2, fused=True)
        for step in range(steps):
            optimizer.zero_grad()
            loss(self.batch()).backward()
            torch.nn.utils.clip_grad_norm_(nets.parameters(), 5.0)
            for group in optimizer.param_groups:
                group["lr"] = rate * warm_cosine(step, steps, max(1, steps // 20))
            optimizer.step()
        nets.eval()

    def fitted(self, inputs: torch.Tensor, name: str, steps: int | None = None) -> nn.Sequential:
        """Return a fresh network fitted to predict the answers of the learning rows from other inputs (N, any).

        One row in eight is not learned from and says which of 16 stages of the fit is kept.
        """
        import torch

        net, aside = self.predictor(inputs.shape[1], name), self.learn[::8]
        keep = torch.ones(len(self.learn), dtype=torch.bool)
        keep[::8] = False
        part = replace(self, learn=self.learn[keep])
        steps, best, kept, seen = steps or self.steps, np.inf, copy.deepcopy(net.state_dict()), 0

        def loss(rows: torch.Tensor) -> torch.Tensor:
            nonlocal best, kept, seen
            if seen % max(1, steps // 16) == 0:
                with torch.no_grad():
                    score = float(self.goal.loss(net(inputs[aside]), self.goal.target[aside]).mean())
                if score < best:
                    best, kept = score, copy.deepcopy(net.state_dict())
            seen += 1
            return self.goal.loss(net(inputs[rows]), self.goal.target[rows]).mean()

        part.train(net, loss, steps)
        net.load_state_dict(kept)
        return net

    def coins(self, n: int) -> torch.Tensor:
        """Return random choices (n, P), of every size alike."""
        import torch

        return (torch.rand(n, self.n_players, generator=self.generator) < torch.rand(n, 1, generator=self.generator)).float()

    def at_random(self, net: nn.Module, rows: torch.Tensor) -> torch.Tensor:
        """Return what a network misses that sees random choices of some rows."""
        given = self.keep(self.x[rows], self.coins(len(rows)))
        return self.goal.loss(net(given), self.goal.target[rows]).mean()

    def warm(self, net: nn.Module, loss: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        """Train a network at random choices.

        # NOTE[DIFF] a predictor that begins beside the selector fits whatever is chosen first, and the selector then keeps to it; one that
        knows random choices beforehand, and goes on seeing them, judges every choice (Jethani and others 2021, arXiv:2103.01890).
        """
        self.train(net, lambda rows: loss(net, rows), self.steps)


class Complement:
    """The completeness detector: a network that predicts the answer from what was left out, and what the selector pays for its success.

    Zhang, Lee and Wang 2024, "Comprehensive attribution" (COMET), arXiv:2407.19308.
    # NOTE[DIFF] the detector goes on learning beside the selector, half of its rows at random choices; what it
    tells is the distance of its answer from the mean answer in nats, which needs no labels.
    """

    def __init__(self, problem: Problem, warm: nn.Module | None = None) -> None:
        self.problem, self.net = problem, problem.predictor(name="predictor") if warm is None else copy.deepcopy(warm)
        if warm is None:
            problem.warm(self.net, problem.at_random)

    def loss(self, rows: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return the detector's own loss: it learns from what is left out, the selector does not hear of it."""
        p, half = self.problem, rows[: len(rows) // 2]
        left = p.keep(p.x[half], 1 - z[: len(half)].detach())
        return p.goal.loss(self.net(left), p.goal.target[half]).mean() + p.at_random(self.net, rows[len(half) :])

    def told(self, rows: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return what is told by the columns left out (N,), in nats; gradients reach the choice alone."""
        from torch.func import functional_call

        p = self.problem
        fixed = {k: v.detach() for k, v in self.net.named_parameters()}
        told: torch.Tensor = p.goal.told(functional_call(self.net, fixed, (p.keep(p.x[rows], 1 - z),)))
        return float(p.chosen["pressure"]) * told


class Cooling:
    """What undecided coins are paid: much at first, nothing at the end, so that coins do not harden before they have learned from the row.

    A coin learns in proportion to p (1 - p). A column needed in half of the rows pays on average, its coins come up in all rows alike, and
    from there the price of one more column cannot be heard. With a share ``HEAT`` of the worth of all columns, falling to 0, on the
    entropy of the coins, a coin's log-odds stay near its gain over that share until the rows are told apart (deterministic annealing:
    Rose 1998, Proceedings of the IEEE 86(11)).
    """

    def __init__(self, problem: Problem) -> None:
        self.start, self.steps, self.seen = HEAT * problem.worth, max(1, round(COOL * problem.steps)), 0

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the cost of decided coins with log-odds (N, P), in nats a row; every call is one step."""
        from torch import nn

        heat = self.start * max(0.0, 1 - self.seen / self.steps) ** 2
        self.seen += 1
        entropy: torch.Tensor = (nn.functional.softplus(logits) - logits * logits.sigmoid()).sum(1).mean()
        return -heat * entropy


def by_score(logits: torch.Tensor, z: torch.Tensor, cost: torch.Tensor) -> torch.Tensor:
    """Return a loss whose gradient is that of the mean cost of drawn choices (2 N, P): two of each row, each the other's baseline.

    The first N choices and costs are one draw of the rows, the others another.
    """
    import torch
    from torch import nn

    one, two = cost.detach().chunk(2)
    score = -nn.functional.binary_cross_entropy_with_logits(logits, z, reduction="none").sum(1)
    surrogate: torch.Tensor = (score * torch.cat([one - two, two - one])).mean()
    return surrogate


def size_of(chosen: Mapping[str, Any], players: int) -> int:
    """Return how many columns are chosen in each row: as set, or a third of them."""
    k = chosen["k"] if chosen["k"] is not None else max(1, round(players / 3))
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= players:
        raise RequestError("k cannot be used", expected=f"a whole number from 1 to {players}", got=repr(k))
    return int(k)


# ---------------------------------------------------------------- the fit


def fit(question: Question, settings: Mapping[str, Any], method: Method) -> FittedExplainer:
    """Return a selector fitted over the rows of the question, with what the checks found on rows it did not learn from.

    Cost: one model row per row learned from, and the training.
    """
    import torch

    problem = _problem(question, {**method.settings, **settings})
    full = problem.fitted(problem.x, "full")
    with torch.no_grad():
        target = problem.goal.target[problem.held]
        worth = float((problem.goal.prior_loss(target) - problem.goal.loss(full(problem.x[problem.held]), target)).mean())
    problem = replace(problem, worth=max(worth, 1e-3))
    selector, nets, loss, found = method.learner(problem)
    problem.train(nets, loss)
    with torch.no_grad():
        logits = selector(problem.x)
        z = _hard(logits, problem.chosen, problem.n_players)
        facts = found | _checked(problem, z, full)
    own = question.view.inner if isinstance(question.view.inner, LabelPredictor) else None
    state = {
        "codes": problem.reader.book.state(), "columns": list(question.view.columns), "players": question.players.of_column.tolist(),
        "outputs": list(map(str, question.view.inner.outputs)), "scale": question.view.scale, "seed": question.seed, "facts": facts,
        "settings": {k: v for k, v in problem.chosen.items() if isinstance(v, int | float | str | bool | None)},
        "labels": dict(own.state) if own else None,
    }  # fmt: skip
    arrays = {f"selector.{k}": v.numpy() for k, v in selector.state_dict().items()}
    if own:
        arrays |= {f"full.{k}": v.numpy() for k, v in full.state_dict().items()}
    return FittedExplainer(method.name, state, arrays)


def _problem(question: Question, chosen: Mapping[str, Any]) -> Problem:
    import torch

    n, seed = len(question.table), question.seed
    if n < FEWEST:
        raise RequestError("there are too few rows to fit a selector to", expected=f"at least {FEWEST}", got=str(n))
    rows = np.sort(stream(seed, "rows").permutation(n)[: int(chosen["rows"])])
    columns = sorted(question.view.columns)
    table = question.table.select(columns).take(rows)
    order = stream(seed, "held").permutation(len(rows))
    n_held = int(np.clip(round(HELD * len(rows)), 2, MOST_HELD))
    held, learn = np.sort(order[:n_held]), np.sort(order[n_held:])
    reader = Reader(Codebook.fit(table, columns, integer(seed, "codes")))
    goal = goal_of(question.view.inner, question.table.take(rows))
    question.view.n_calls += len(rows)
    if isinstance(question.view.inner, LabelPredictor):
        goal = replace(goal, target=goal.target[torch.as_tensor(rows)])
    player = _canonical(question)[[question.view.columns.index(c) for c in columns]]
    generator = torch.Generator().manual_seed(integer(seed, "draws"))
    return Problem(
        question, table, reader, torch.as_tensor(reader.read(table)), torch.as_tensor(player[reader.owner]), goal, len(question.players),
        torch.as_tensor(learn), torch.as_tensor(held), chosen, generator, player_of_column=player,
    )  # fmt: skip


def _canonical(question: Question) -> npt.NDArray[np.int64]:
    """Return the player of each column (C,), players in the order of their names."""
    return np.argsort(np.argsort(np.array(question.players.names)))[question.players.of_column]


def _hard(logits: torch.Tensor, chosen: Mapping[str, Any], players: int) -> torch.Tensor:
    """Return the likeliest choice (N, P): the k largest, or all that are more likely than not."""
    from pellucid.nn.selector import most_likely

    if "penalty" in chosen and chosen.get("k") is None:
        return (logits > 0).float()
    return most_likely(logits, size_of(chosen, players)).float()


def _checked(problem: Problem, z: torch.Tensor, full: nn.Module) -> dict[str, Any]:
    """Return what the choice keeps, leaves out and gives away, in nats a row on the held-out rows.

    Three networks are fitted anew to the learning rows: to the chosen cells, to the cells left out, and to the choice alone.
    """
    import torch

    goal, held, steps = problem.goal, problem.held, max(1, min(problem.steps, 600))
    target = goal.target[held]
    prior = goal.prior_loss(target)
    inputs = {"chosen": problem.keep(problem.x, z), "left_out": problem.keep(problem.x, 1 - z), "choice_alone": 2 * z - 1}
    facts: dict[str, Any] = {
        "columns": float(z[held].mean(0).sum()),
        "held_rows": len(held),
        "nats_all": float((prior - goal.loss(full(problem.x[held]), target)).mean()),
    }
    for name, given in inputs.items():
        with torch.enable_grad():
            net = problem.fitted(given, name, steps)
        gain = prior - goal.loss(net(given[held]), target)
        facts[f"nats_{name}"] = float(gain.mean())
        facts[f"error_{name}"] = float(error_of_mean(to_numpy(gain)))
    facts["leak"] = facts["nats_choice_alone"] > 2 * facts["error_choice_alone"]
    return facts


# ---------------------------------------------------------------- the answer


def explain(question: Question, method: Method) -> Explanation:
    """Return how likely each column is to be chosen in each row; no sign, and nothing adds up."""
    import torch

    fitted = stored(question, method.name)
    n = len(question.table)
    if question.fill != "marginal":
        raise RequestError("a selector fills nothing in", got=f"fill={question.fill!r}", do="leave fill out, or use method='shapley'")
    if question.budget.rows is not None and question.budget.rows < n:
        raise too_small("", n, question.budget.rows, FEWER_ROWS)
    net, reader = network(fitted.arrays, "selector"), Reader(Codebook.from_state(fitted.state["codes"]))
    with torch.inference_mode():
        logits = net(torch.as_tensor(reader.read(question.table)).double())
        chances, errors = method.chances(logits, fitted.state["settings"], int(fitted.state["seed"]))
    own = _canonical(question)
    place = np.array([own[question.players.of_column == p][0] for p in range(len(question.players))])
    outputs = len(question.view.outputs)

    def cube(a: torch.Tensor) -> FloatArray:
        return np.repeat(np.asarray(a.numpy(), np.float64)[:, place, None], outputs, axis=2)

    predictions = np.concatenate([question.view.raw(question.table.take(slice(s, s + CHUNK))) for s in range(0, n, CHUNK)])
    made = question.answer(
        cube(chances), np.zeros((1, outputs)), predictions, error=None if errors is None else cube(errors), complete=False,
        settings={"explainer": {**fitted.state["facts"], "settings": dict(fitted.state["settings"])}}, caveats=_words(fitted, outputs),
        says="sizes",
    )  # fmt: skip
    return replace(made, scale=SCALE)


def _words(fitted: FittedExplainer, outputs: int) -> list[str]:
    facts = fitted.state["facts"]
    nats = f"{facts['nats_chosen']:.3f} of the {facts['nats_all']:.3f} nats that all columns tell"
    words = [
        f"choices of one fitted selector, without the error of its fit; on {facts['held_rows']} held-out rows it takes"
        f" {facts['columns']:.1f} columns, and they tell {nats}",
        f"the columns left out tell {facts['nats_left_out']:.3f} nats (error {facts['error_left_out']:.3f})",
    ]
    alone = f"{facts['nats_choice_alone']:.3f} nats (error {facts['error_choice_alone']:.3f})"
    if facts["leak"]:
        words.append(f"which columns were chosen tells the answer by itself, {alone}: the choice may be a code for it")
    else:
        words.append(f"which columns were chosen tells nothing of the answer by itself, {alone}")
    if outputs > 1:
        words.append("the choice is one for all outputs")
    return words


def sampled_chances(logits: torch.Tensor, k: int, seed: int, draws: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how often each player is among k drawn without replacement, and the standard error; all rows share the draws."""
    import torch

    from pellucid.nn.selector import gumbel, most_likely

    noise = gumbel((draws, logits.shape[1]), torch.Generator().manual_seed(integer(seed, "chances")))
    found = torch.zeros_like(logits)
    for one in noise.to(logits.dtype):
        found += most_likely(logits + one, k)
    chance = found / draws
    rough = (found + 1) / (draws + 2)  # a share of 0 or 1 among the draws is not known to be so
    return chance, (rough * (1 - rough) / draws).sqrt()
