"""TabM beside an additive model: each half is what it would be alone, their mixture is one network, and held-out rows choose the share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid as pld
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def started(share: float, n: int = 500) -> tuple[TableNet, torch.Tensor]:
    cells = some_cells(n, 5)
    x = cells.numbers
    y = torch.sin(x[:, 0]) + x[:, 1] * x[:, 2] + cells.missing[:, 1] + 0.5 * cells.codes[:, 0]
    y = ((y - y.mean()) / y.std())[:, None]
    options = {"members": 3, "width": 16}
    net = TableNet(some_sizes(5), "tabm_additive", 1, d_token=8, head="blend", options=options, embedding={"category_dropout": 0.0})
    assert net.backbone.start_from(net.embedding, cells, y.double().numpy(), None, False)
    net.head.share.fill_(share)
    return net.eval(), y


def test_the_entrances_agree_where_both_halves_have_a_say() -> None:
    net, _ = started(0.3)
    cells = some_cells(40, 5, seed=1)
    with torch.no_grad():
        out, tokens = net(cells), net.tokens(cells)
        parts = net.parts(tokens)
        assert parts.shape == (40, 5, net.part_width)
        torch.testing.assert_close(net.outputs_from_tokens(tokens), out)
        torch.testing.assert_close(net.outputs_from_parts(net.sums(tokens)), out, rtol=1e-4, atol=1e-5)
        found = net.named_parts(cells)
        torch.testing.assert_close(net.head(found["hidden"], found), out)


def test_the_additive_half_is_the_additive_model_and_fits() -> None:
    net, y = started(1.0)
    cells = some_cells(500, 5)
    with torch.no_grad():
        out = net(cells)
        own = net.backbone.own(net.embedding.front(cells))[0]
    torch.testing.assert_close(out, own.expand(-1, 3, -1), rtol=1e-5, atol=1e-5)
    assert float((out.mean(1) - y).square().mean()) < 0.1


@pytest.mark.parametrize("n", [10, 300])
def test_answers_alone_are_those_of_the_way_that_keeps_gradients(n: int) -> None:
    net, _ = started(0.4)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():  # scales of 1 and equal biases would hide a mistake
            p.add_(0.1 * torch.randn(p.shape, generator=draw))
    cells = some_cells(n, 5, seed=1)
    plain = net(cells)
    assert plain.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(net(cells), plain.detach(), rtol=1e-4, atol=1e-4)


def test_the_members_are_those_of_tabm() -> None:
    net, _ = started(0.0)
    cells = some_cells(40, 5, seed=1)
    alone = TableNet(some_sizes(5), "tabm", 1, d_token=8, options={"members": 3, "width": 16})
    told = {name.replace("backbone.deep", "backbone"): value for name, value in net.state_dict().items()}
    alone.load_state_dict({name: told[name] for name in alone.state_dict()})
    with torch.no_grad():
        torch.testing.assert_close(net(cells), alone.eval()(cells), rtol=1e-5, atol=1e-6)
        net.set_apart(True)
        assert net.tokens(cells).shape == (40, 5, 8)
        torch.testing.assert_close(net(cells), alone(cells), rtol=1e-5, atol=1e-6)


def _table(n: int, together: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    y = np.sign(x[:, 0] * x[:, 1] * x[:, 2]) if together else np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2 - x[:, 2]
    return pd.DataFrame(x, columns=list("abcdef")).assign(y=y + 0.5 * rng.normal(size=n))


@pytest.mark.parametrize(("together", "low", "high"), [(False, 0.5, 1.0), (True, 0.0, 0.3)])
def test_the_share_follows_the_table(together: bool, low: float, high: float) -> None:
    frame = _table(2600, together)
    model = pld.TabularRegressor(backbone="tabm_additive", random_state=0, verbose=0, threads=1, max_steps=250).fit(frame, target="y")
    net = model.engine_.net
    assert low <= float(net.head.share) <= high
    assert net.backbone.apart == (float(net.head.share) == 0)
    assert model.record_["training"]["started"]
    assert model.record_["training"]["additive_share"] == [pytest.approx(float(net.head.share), abs=1e-3)]
    new = frame[:20].drop(columns="y")
    if not together:
        net.head.share.fill_(0.5)
        part = model.uncertainty(new)
        net.head.share.fill_(1.0)  # as where the members add nothing
        whole = model.uncertainty(new)
        assert (part.epistemic > 0).all()
        assert (whole.epistemic > 0).all()
        assert not any("additive" in c for c in whole.record.caveats)
        net.backbone.own.doubt.moves.zero_()  # as in networks of earlier versions
        old = model.uncertainty(new)
        assert old.epistemic is None, "members that cannot disagree are not sure of themselves"
        assert any("cannot be told" in c for c in old.record.caveats)
        assert np.isfinite(old.doubt).all()
        with pytest.raises(pld.PellucidError, match="no epistemic doubt"):
            model.predictor(of="epistemic")


def test_training_leaves_the_additive_terms_where_they_were_put_and_folds_share_one_share() -> None:
    frame = _table(400, False)
    kwargs = {"backbone": "tabm_additive", "random_state": 0, "verbose": 0, "threads": 1}
    first, model = (pld.TabularRegressor(max_steps=steps, **kwargs).fit(frame, target="y") for steps in (1, 40))
    short, longer = first.engine_.net, model.engine_.net
    for name, value in longer.state_dict().items():
        if ".own." in name or ".front." in name:
            assert torch.equal(value, short.state_dict()[name])
    shares = longer.net.head.share
    assert shares.shape == (5,)
    shares.fill_(1.0)
    told = model.uncertainty(frame[:5].drop(columns="y"))
    assert (told.epistemic > 0).all(), "the additive models of the folds differ"
    assert not any("additive" in c for c in told.record.caveats)


def test_a_loss_of_the_users_own_leaves_the_members_alone(tmp_path) -> None:
    frame = _table(300, False)
    model = pld.TabularRegressor(backbone="tabm_additive", loss="quantile", random_state=0, verbose=0, threads=1, max_steps=20)
    model.fit(frame, target="y")
    assert float(model.engine_.net.net.head.share.max()) == 0.0
    model.save(tmp_path / "model")
    again = pld.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


def test_dropout_is_left_out_by_one_choice_for_all_folds_and_never_where_the_user_set_it() -> None:
    from pellucid import TabularRegressor

    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3))
    y = x @ [2.0, -1.0, 0.5] + 0.05 * draw.normal(size=300)  # a sum over columns leaves almost nothing
    found = {}
    for dropout in ("auto", 0.2):
        model = TabularRegressor(dropout=dropout, max_steps=5, verbose=0, random_state=0, threads=1).fit(x, y)
        found[dropout] = model.record_["training"]["dropout"]
    assert found == {"auto": 0.0, 0.2: 0.2}
    noisy = TabularRegressor(max_steps=5, verbose=0, random_state=0, threads=1).fit(x, y + 5 * draw.normal(size=300))
    assert noisy.record_["training"]["dropout"] > 0
