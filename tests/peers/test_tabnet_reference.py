"""Our TabNet against the package pytorch-tabnet, with copied weights."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.backbones.tabnet import FeatureTransformer, TabNet, aggregate
from pellucid.nn.norms import GhostNorm
from pellucid.nn.sparse import entmax15, sparsemax

pytestmark = pytest.mark.peer

theirs_net = pytest.importorskip("pytorch_tabnet.tab_network")
theirs_sparse = pytest.importorskip("pytorch_tabnet.sparsemax")


def _copy_norm(ours: GhostNorm, theirs: torch.nn.BatchNorm1d) -> None:
    ours.weight.data, ours.bias.data = theirs.weight.data.clone(), theirs.bias.data.clone()
    ours.mean, ours.var, ours.momentum = theirs.running_mean.clone(), theirs.running_var.clone(), theirs.momentum


def _copy_transformer(ours: FeatureTransformer, theirs: torch.nn.Module) -> None:
    layers = [*theirs.shared.glu_layers, *theirs.specifics.glu_layers]
    assert len(layers) == len(ours.layers)
    for mine, their in zip(ours.layers, layers):
        _copy_norm(mine.norm, their.bn.bn)
        if mine.weight is not None:
            mine.weight.data = their.fc.weight.data.clone()


def _pair(mask: str = "sparsemax", columns: int = 7) -> tuple[TabNet, torch.nn.Module]:
    """Return our network and theirs with the same weights and records; theirs maps to 2 outputs."""
    torch.manual_seed(0)
    theirs = theirs_net.TabNetNoEmbeddings(
        columns, 2, n_d=6, n_a=5, n_steps=4, gamma=1.4, virtual_batch_size=32, momentum=0.1, mask_type=mask,
        group_attention_matrix=torch.eye(columns),
    ).train()  # fmt: skip
    for _ in range(5):
        theirs(torch.randn(128, columns) * 2)
    ours = TabNet(columns, 1, 6, 5, n_steps=4, gamma=1.4, group=32, lambda_sparse=1.0, mask=mask)
    encoder = theirs.encoder
    _copy_norm(ours.norm, encoder.initial_bn)
    for mine, their in zip(ours.shared, encoder.initial_splitter.shared.shared_layers):
        mine.weight.data = their.weight.data.clone()
    for mine, their in zip([ours.first, *ours.steps], [encoder.initial_splitter, *encoder.feat_transformers]):
        _copy_transformer(mine, their)
    for mine, their in zip(ours.choosers, encoder.att_transformers):
        mine.linear.weight.data = their.fc.weight.data.clone()
        _copy_norm(mine.norm, their.bn.bn)
    return ours, theirs


@pytest.mark.parametrize("mask", ["sparsemax", "entmax"])
def test_the_whole_network_in_evaluation(mask: str) -> None:
    ours, theirs = _pair(mask)
    ours, theirs, x = ours.eval(), theirs.eval(), torch.randn(50, 7) * 2
    with torch.no_grad():
        out, loss = theirs(x)
        (hidden, parts), (_, learned) = ours.explained(x[..., None]), ours(x[..., None])
        explained, masks = theirs.forward_masks(x)
    torch.testing.assert_close(hidden[:, 0] @ theirs.final_mapping.weight.T, out, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(learned["penalty"].mean(), -loss, rtol=1e-4, atol=1e-5)
    for i in range(4):
        torch.testing.assert_close(parts["masks"][:, i], masks[i], rtol=1e-4, atol=1e-5)
    some = explained.sum(1) > 0
    expected = explained[some] / explained[some].sum(1, keepdim=True)
    torch.testing.assert_close(aggregate(parts["masks"], parts["decisions"])[some], expected, rtol=1e-4, atol=1e-5)


def test_a_training_step_with_its_ghost_norms() -> None:
    """Whole groups: the same outputs, gradients and running records."""
    ours, theirs = _pair()
    ours, theirs, x = ours.train(), theirs.train(), torch.randn(96, 7)
    out, loss = theirs(x)
    hidden, parts = ours(x[..., None])
    torch.testing.assert_close(hidden[:, 0] @ theirs.final_mapping.weight.T, out, rtol=1e-3, atol=1e-3)
    out.square().mean().backward()
    (hidden[:, 0] @ theirs.final_mapping.weight.T.detach()).square().mean().backward()
    for mine, their in zip(ours.shared, theirs.encoder.initial_splitter.shared.shared_layers):
        torch.testing.assert_close(mine.weight.grad, their.weight.grad, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(
        ours.steps[3].layers[3].norm.var, theirs.encoder.feat_transformers[3].specifics.glu_layers[1].bn.bn.running_var
    )
    torch.testing.assert_close(ours.choosers[1].norm.mean, theirs.encoder.att_transformers[1].bn.bn.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts["penalty"].mean(), -loss, rtol=1e-3, atol=1e-4)


def test_a_block_of_gated_layers() -> None:
    torch.manual_seed(0)
    block = theirs_net.GLU_Block(5, 4, n_glu=3, first=True, virtual_batch_size=16, momentum=0.1).eval()
    ours = FeatureTransformer(5, 4, shared=0, own=3, group=16, momentum=0.1).eval()
    for mine, their in zip(ours.layers, block.glu_layers):
        mine.weight.data = their.fc.weight.data
    x = torch.randn(20, 5)
    torch.testing.assert_close(ours(x, torch.nn.ModuleList()), block(x), rtol=1e-5, atol=1e-5)


def test_sparse_weights() -> None:
    torch.manual_seed(0)
    z = torch.randn(200, 9) * 3
    torch.testing.assert_close(sparsemax(z), theirs_sparse.sparsemax(z.clone(), -1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(entmax15(z), theirs_sparse.entmax15(z.clone(), -1), rtol=1e-4, atol=1e-5)
