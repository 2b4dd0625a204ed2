"""Selectors of columns: the draws against closed forms, planted columns found, copies kept where asked, leaks told."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pellucid import TabularClassifier, load
from pellucid.errors import PellucidError, RequestError
from pellucid.explain import explain, invase, selectors
from pellucid.explain.choice import Goal, LabelPredictor
from pellucid.explain.fitting import fit_explainer
from pellucid.explain.question import ask
from pellucid.nn import selector as draws
from pellucid.probe.sampler import Conditionals
from pellucid.registry import get
from pellucid.testing.oracles import syn
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table

METHODS = ("l2x", "invase", "lex")
PUBLISHED = {
    "invase": ((100, 0), (100, 0), (92, 0), (99.8, 10.3), (84.8, 1.1), (90.1, 7.4)),
    "l2x": ((100, 0), (100, 0), (69.4, 30.6), (79.5, 21.8), (74.8, 26.3), (83.3, 16.7)),
}
"""TPR and FDR in percent on Syn1 to Syn6 (Yoon and others 2019)."""
SIZES = (2, 4, 4, 4, 4, 5)


def rates(values, used, k=None):
    """Return (TPR, FDR): of the k largest, or of all above one half."""
    named = values > 0.5 if k is None else np.argsort(np.argsort(-values, 1, kind="stable"), 1) < k
    hit = (named & used).sum(1)
    return float((hit / used.sum(1)).mean()), float(((named.sum(1) - hit) / np.maximum(named.sum(1), 1)).mean())


def recovered(method, number, n, new=1000, seed=0, **settings):
    """Return (TPR, FDR) on new rows of a Syn law, learned from labels."""
    made = syn(number, n + new, seed)
    k = None if method == "invase" else SIZES[number - 1]
    settings |= {"k": k} if k else {}
    fitted = fit_explainer(None, made.table.take(slice(0, n)), method=method, random_state=seed, **settings)
    answer = explain(None, made.features.take(slice(n, None)), method=method, options={"explainer": fitted}, random_state=0)
    return rates(answer.values, made.used[n:], k)


# ---------------------------------------------------------------- the draws


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_k_draws_with_replacement_have_the_stated_chances():
    logits = torch.tensor([[1.0, 0.0, -1.0, 0.5]]).repeat(20_000, 1)
    drawn = draws.union_of_draws(logits, 3, 1e-3, generator()).round()
    stated, _ = get_method("l2x").chances(logits[:1], {"k": 3}, 0)
    assert (drawn.sum(1) <= 3).all()
    assert (drawn.mean(0) - stated[0]).abs().max() < 4.5 * 0.5 / 20_000**0.5


def test_subsets_have_k_players_and_the_chances_of_their_law():
    logits = torch.tensor([1.2, 0.0, -0.7, 0.4], dtype=torch.float64)
    weight = logits.exp().numpy()
    truth = np.zeros(4)
    for order in itertools.permutations(range(4), 2):  # one after the other, in proportion to what is left
        chance = weight[order[0]] / weight.sum() * weight[order[1]] / (weight.sum() - weight[order[0]])
        truth[list(order)] += chance
    many = logits.repeat(20_000, 1).requires_grad_()
    drawn = draws.subset(many, 2, 0.5, generator())
    assert (drawn.detach().round().sum(1) == 2).all()
    assert np.abs(drawn.detach().mean(0).numpy() - truth).max() < 4.5 * 0.5 / 20_000**0.5
    (drawn * torch.arange(4.0)).sum().backward()
    assert many.grad.abs().max() > 0
    chances, errors = selectors.sampled_chances(logits[None], 2, 0)
    assert (np.abs(chances[0].numpy() - truth) < 4.5 * errors[0].numpy()).all()


def test_undecided_coins_are_paid_their_entropy_and_then_nothing():
    logits = torch.tensor([[0.0, 2.0, -40.0]])
    cooling = selectors.Cooling(SimpleNamespace(worth=2.0, steps=10))
    p = torch.tensor([2.0]).sigmoid()
    entropy = float(np.log(2) - p * p.log() - (1 - p) * (1 - p).log())
    paid = [float(cooling(logits)) for _ in range(10)]
    assert paid[0] == pytest.approx(-selectors.HEAT * 2 * entropy, rel=1e-5)
    assert all(a < b for a, b in itertools.pairwise(paid[:9]))
    assert paid[8:] == [0.0, 0.0]


def test_the_score_of_drawn_choices_has_the_gradient_of_their_mean_cost():
    logits = torch.tensor([[1.0, -0.5]], requires_grad=True)
    many = logits.repeat(400_000, 1)
    z = (torch.rand(many.shape, generator=generator()) < many.detach().sigmoid()).float()
    selectors.by_score(many, z, 3 * z[:, 0] + 2 * z[:, 0] * z[:, 1]).backward()
    p, q = logits.detach().sigmoid()[0].tolist()
    truth = [p * (1 - p) * (3 + 2 * q), q * (1 - q) * 2 * p]
    np.testing.assert_allclose(logits.grad[0].numpy(), truth, atol=0.02)


def test_the_mean_over_draws_is_taken_inside_the_logarithm():
    raw = torch.randn(5, 3, 2, generator=generator())
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    goal = Goal(target, True, target.mean(0))
    truth = -(target * raw.softmax(-1).mean(0).log()).sum(-1)
    assert torch.allclose(goal.joined(raw, target), truth, atol=1e-6)
    numbers = Goal(target[:, :1], False, target[:, :1].mean(0))
    truth = -(-2 * (raw[..., 0] - target[:, 0]) ** 2).exp().mean(0).log()
    assert torch.allclose(numbers.joined(raw[..., :1], target[:, :1]), truth, atol=1e-6)
    assert goal.told(goal.prior.log().repeat(3, 1)).abs().max() < 1e-6


def test_slots_are_drawn_from_the_normal_law_given_the_known_ones():
    draw = np.random.default_rng(0)
    root = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [0.3, -0.5, 0.8]])
    table = made_table(dict(zip("abc", (draw.normal(size=(4000, 3)) @ root.T).T)))
    model = Conditionals(table)
    slots = model.slots(table)[:200]
    known = np.tile([True, False, True], (200, 1))
    many = model.draws(slots, known, 500, np.random.default_rng(1))
    assert (many[:, known] == slots[known]).all()
    covariance = np.cov(model.slots(table).T)
    gain = np.linalg.solve(covariance[np.ix_([0, 2], [0, 2])], covariance[[0, 2], 1])
    mean, spread = slots[:, [0, 2]] @ gain, (covariance[1, 1] - covariance[1, [0, 2]] @ gain) ** 0.5
    assert np.abs(many[:, :, 1].mean(0) - mean).max() < 5 * spread / 500**0.5 + 0.02
    assert abs(many[:, :, 1].std(0).mean() / spread - 1) < 0.03


def test_levels_and_gaps_are_drawn_as_slots_too():
    table = made_table(made_frame(300, 2, (3,), seed=1, missing=0.1))
    model = Conditionals(table)
    slots, known = model.slots(table), np.random.default_rng(0).random((300, 3)) < 0.5
    made = model.draws(slots, known, 4, np.random.default_rng(1))
    kept = known[:, model.owner]
    assert made.shape == (4, *slots.shape)
    assert (made[:, kept] == slots[kept]).all()
    assert not np.allclose(made[0][~kept], slots[~kept])


# ---------------------------------------------------------------- what is found


def get_method(name):
    from pellucid.explain import l2x, lex

    return {"l2x": l2x, "invase": invase, "lex": lex}[name].METHOD


@pytest.mark.parametrize("method", ["l2x", "invase"])
def test_the_columns_of_a_law_are_found(method):
    tpr, fdr = recovered(method, 2, 2000, steps=200)
    assert tpr > 0.85
    assert fdr < 0.15


BELOW = {
    ("invase", 3): "79 to 82 % of the columns are found, the published figure is 92 %: x8 is not worth its price (100 % at penalty=.02)",
}
"""Where one run on 10,000 rows is farther than 15 points from the published figure, or may be, by how much, and how.

Nor does the criterion ask for more: the best choice per row under the exact law, at the paper's price, finds 47 % with 0 % false
(``benchmarks/chosen_columns.py --exact``), so that how coarsely the network chooses decides the figure.
"""


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("method", ["l2x", "invase"])
def test_on_syn_it_is_near_the_published_figures(method, number, request):
    if (method, number) in BELOW:
        request.applymarker(pytest.mark.xfail(reason=BELOW[method, number], strict=False))
    tpr, fdr = recovered(method, number, 10_000, 10_000)
    published = PUBLISHED["invase" if method == "invase" else "l2x"][number - 1]
    assert 100 * tpr > published[0] - 15
    assert 100 * fdr < published[1] + 15


def switched(table):
    return FunctionPredictor(lambda x: np.where(x[:, 4] < 0, 2 * x[:, 0], 2 * x[:, 1]), table, outputs=("z",))


@pytest.mark.parametrize("method", [pytest.param("invase", marks=pytest.mark.long), "lex"])
def test_a_model_held_fixed_is_explained_row_by_row(method):
    table = made_table(made_frame(2600, 6, ()))
    learn, new = table.take(slice(0, 2000)), table.take(slice(2000, None))
    model = switched(learn.take(slice(0, 50)))
    fitted = fit_explainer(model, learn, method=method, random_state=0, steps=600)
    if method == "lex":
        assert fitted.state["facts"]["mode"] == "fixed"
        assert fitted.state["facts"]["copy_r2"] > 0.95
    made = explain(model, new, method=method, options={"explainer": fitted}, random_state=0)
    x = new.frame.to_numpy()
    used = np.zeros(x.shape, bool)
    used[:, 4] = True
    used[np.arange(len(x)), np.where(x[:, 4] < 0, 0, 1)] = True
    tpr, fdr = rates(made.values, used)
    assert 2 * tpr * (1 - fdr) / (tpr + 1 - fdr) > 0.93  # coins that come up alike in all rows reach 0.80
    assert made.scale == "probability of being needed"
    np.testing.assert_allclose(made.predictions, model.raw(new)[:, 0])


def copied(n=2000):
    """Return a table whose first two columns are one and the same, and labels that follow it."""
    frame = made_frame(n, 5, ())
    frame["x2"] = frame["x1"]
    label = np.where(frame["x1"] + 0.3 * np.random.default_rng(0).normal(size=n) > 0, "yes", "no")
    return made_table(frame), label


@pytest.mark.long
@pytest.mark.parametrize("method", ["invase", "lex"])
def test_of_a_column_and_its_copy_one_is_chosen_or_both_where_nothing_may_be_left(method):
    table, label = copied()
    chosen = {}
    for complete in (False, True):
        fitted = fit_explainer(None, table, y=label, method=method, random_state=0, steps=400, penalty=0.15, complete=complete)
        made = explain(None, table.take(slice(0, 400)), method=method, options={"explainer": fitted}, random_state=0)
        chosen[complete] = (made.values[:, :2] > 0.5).sum(1).mean()
        left = fitted.state["facts"]
        told = left["nats_left_out"] > 0.5 * left["nats_all"]
        assert told != complete, "what is left out is not as asked"
    assert chosen[False] < 1.2
    assert chosen[True] > 1.8


def test_a_choice_that_is_a_code_for_the_answer_is_told(monkeypatch):
    frame = made_frame(1500, 4, ())
    table, label = made_table(frame), np.where(frame["x3"] > 0, "yes", "no")

    def coded(problem):
        net = torch.nn.Sequential(torch.nn.Linear(problem.x.shape[1], problem.n_players))
        with torch.no_grad():
            net[0].weight.zero_(), net[0].bias.fill_(-5.0)
            place = int(torch.nonzero(problem.owner == 2)[0])  # players stand in the order of their names
            net[0].weight[0, place], net[0].weight[1, place], net[0].bias[:2] = 50.0, -50.0, 0.0
        net[0].requires_grad_(False)
        idle = torch.nn.Linear(1, 1)
        return net, torch.nn.ModuleList([idle]), lambda rows: idle.weight.sum(), {}

    facts = {}
    for name, method in (("honest", invase.METHOD), ("coded", replace(invase.METHOD, learner=coded))):
        model = LabelPredictor.of(table, label)
        question = ask(model, table, entry=get("explain", "invase"), random_state=0)
        facts[name] = selectors.fit(question, {"steps": 300}, method).state["facts"]
    assert facts["coded"]["leak"]
    assert facts["coded"]["nats_choice_alone"] > 0.5 * facts["coded"]["nats_all"]
    assert not facts["honest"]["leak"]


# ---------------------------------------------------------------- the face


@pytest.mark.parametrize("method", METHODS)
def test_groups_outputs_and_mixed_columns(method):
    frame = made_frame(400, 3, (3,), seed=1, missing=0.1)
    table = made_table(frame)
    label = np.array(["a", "b", "c"])[(np.nan_to_num(frame["x1"]) > 0).astype(int) + (frame["c1"] == "level 1")]
    settings = {"k": 1} if method != "invase" else {}
    groups = {"pair": ["x2", "x3"]}
    fitted = fit_explainer(None, table, y=label, method=method, random_state=0, steps=60, groups=groups, **settings)
    made = explain(None, table.take(slice(0, 9)), method=method, options={"explainer": fitted}, groups=groups, random_state=0)
    assert made.columns == ("x1", "pair", "c1")
    assert made.values.shape == (9, 3, 3)
    assert ((made.values >= 0) & (made.values <= 1)).all()
    np.testing.assert_allclose(made.predictions.sum(1), 1)
    assert (made.error is not None) == (method == "lex")
    if method == "lex":
        np.testing.assert_allclose(made.values.sum(1), 1)
    again = explain(None, frame.head(9), method=method, options={"explainer": fitted}, groups=groups, random_state=0)
    np.testing.assert_allclose(again.values, made.values)


def test_labels_that_are_numbers_keep_their_unit():
    table = made_table(made_frame(400, 3, ()))
    y = 100 + 20 * table.numbers("x1")
    fitted = fit_explainer(None, table, y=y, method="invase", random_state=0, steps=300)
    made = explain(None, table, method="invase", options={"explainer": fitted}, random_state=0)
    assert np.corrcoef(made.predictions, y)[0, 1] > 0.9
    assert abs(made.predictions.mean() - 100) < 5
    assert made.values[:, 0].mean() > made.values[:, 1:].mean()


def test_a_model_keeps_its_selector_and_saves_it(tmp_path):
    frame = made_frame(300, 3, (3,), seed=2)
    label = np.where(frame["x1"] + frame["x2"] > 0, "yes", "no")
    model = TabularClassifier(verbose=0, threads=1, random_state=0, max_steps=20).fit(frame, label)
    for method in ("l2x", "lex"):
        fit_explainer(model, frame, method=method, random_state=0, steps=40)
    one = [model.explain(frame.head(20), method=m, random_state=5).values for m in ("l2x", "lex")]
    model.save(tmp_path / "m.pellucid")
    again = load(tmp_path / "m.pellucid")
    two = [again.explain(frame.head(20), method=m, random_state=5).values for m in ("l2x", "lex")]
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_what_cannot_be_asked_is_refused():
    table = made_table(made_frame(60, 3, ()))
    y = np.where(table.numbers("x1") > 0, "a", "b")
    with pytest.raises(RequestError, match="labels"):
        fit_explainer(None, table, method="l2x")
    with pytest.raises(RequestError, match="alike"):
        fit_explainer(None, table, y=np.repeat("a", 60), method="l2x")
    with pytest.raises(PellucidError, match="does not fit"):
        fit_explainer(None, table, y=y[:5], method="l2x")
    with pytest.raises(RequestError, match="missing"):
        fit_explainer(None, table, y=np.where(np.arange(60) == 3, np.nan, table.numbers("x1")), method="l2x")
    with pytest.raises(RequestError, match="explains a model"):
        fit_explainer(None, table, y=y)
    with pytest.raises(RequestError, match="k cannot"):
        fit_explainer(None, table, y=y, method="l2x", k=4, steps=5)
    with pytest.raises(RequestError, match="mode"):
        fit_explainer(None, table, y=y, method="lex", mode="frozen", steps=5)
    with pytest.raises(RequestError, match="hold fixed"):
        fit_explainer(None, table, y=y, method="lex", mode="fixed", steps=5)
    with pytest.raises(RequestError, match="no model to explain"):
        explain(None, table, method="l2x")
    with pytest.raises(RequestError, match="too few"):
        fit_explainer(None, table.take(slice(0, 5)), y=y[:5], method="l2x")
    model = FunctionPredictor(lambda x: x[:, 0], table, outputs=("z",))
    with pytest.raises(RequestError, match="fit_explainer"):
        explain(model, table, method="invase")
