"""Names and places of columns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularRegressor
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import RequestError
from pellucid.estimators.names import name_vectors
from pellucid.nn.cells import Cells
from pellucid.nn.embeddings import CellEmbedding
from pellucid.nn.embeddings.identity import ColumnIdentity, sinusoids
from pellucid.table import Table, read_table


def _named(sizes, n: int = 5):
    return replace(sizes, names=tuple("abcde"), name_vectors=np.random.default_rng(0).normal(size=(n, 7)).astype(np.float32))


def test_it_equals_its_definition_and_starts_without_an_effect() -> None:
    names, x = torch.randn(3, 5), torch.randn(4, 3, 6)
    layer = ColumnIdentity(names, 6)
    plain = torch.nn.functional.layer_norm(x, (6,))
    torch.testing.assert_close(layer(x), plain)
    torch.nn.init.normal_(layer.scale)
    torch.nn.init.normal_(layer.shift)
    for j in range(3):
        torch.testing.assert_close(layer(x)[:, j], plain[:, j] * (1 + names[j] @ layer.scale) + names[j] @ layer.shift)


def test_equal_cells_of_two_columns_are_told_apart_by_their_names(sizes, cells) -> None:
    torch.manual_seed(0)
    net = CellEmbedding(_named(sizes), 6, identity="names").eval()
    torch.nn.init.normal_(net.identity.shift)
    same = torch.ones(2, 5, 6)
    apart = (net.identity(same)[:, 0] - net.identity(same)[:, 1]).abs().max()
    assert float(apart) > 0.1


def test_permuting_columns_with_their_names_permutes_tokens(sizes, cells) -> None:
    one_each = replace(_named(sizes), vector_columns=(4,), number_columns=(0, 2), bins=sizes.bins[:2])
    given = Cells(cells.numbers[:, :2], cells.missing[:, :2], cells.codes, cells.vectors)
    to = [4, 2, 1, 0, 3]  # old column j is new column to[j]
    vectors = np.empty_like(one_each.name_vectors)
    vectors[to] = one_each.name_vectors
    turned = replace(one_each, number_columns=(4, 1), code_columns=(2, 0), vector_columns=(3,), name_vectors=vectors)
    net, other = (CellEmbedding(s, 6, identity="names").eval() for s in (one_each, turned))
    torch.nn.init.normal_(net.identity.scale)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(given), other(given)[:, to])


def test_the_control_knows_no_names() -> None:
    one, two = ColumnIdentity.control(6), ColumnIdentity.control(6)
    assert torch.equal(one, two)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(6))


def test_names_are_needed_and_known(sizes) -> None:
    with pytest.raises(RequestError, match="names are not known"):
        CellEmbedding(sizes, 6, identity="names")
    with pytest.raises(RequestError, match="unknown identity"):
        CellEmbedding(sizes, 6, identity="colour")


def test_names_alike_have_vectors_alike_and_units_count() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 4)), columns=["blood_pressure", "blood pressure high", "age", "dose"])
    table = read_table(frame)

    def vectors(table: Table) -> np.ndarray:
        encoder = TableEncoder().fit(table, np.zeros(30), task="regression")
        return name_vectors(encoder.columns, encoder.units)

    one = vectors(table)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-5)
    alike = one @ one.T
    assert alike[0, 1] > 0.6 > alike[0, 2] + 0.2
    other = vectors(table.with_schema(table.schema.with_units(age="years")))
    changed = np.abs(one - other).max(1) > 0
    assert changed.tolist() == [False, False, True, False]


@pytest.mark.parametrize("identity", ["names", "random"])
def test_a_model_with_names_is_saved_and_read_to_the_same_bits(identity: str, tmp_path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(200, 3)), columns=["age", "score", "height"])
    y = frame["age"] - 2 * frame["score"]
    model = TabularRegressor(backbone="mlp", embedding={"identity": identity, "positions": ["age", "height"]}, max_steps=20, verbose=0)
    model.fit(frame, y).save(tmp_path / "m")
    from pellucid import load

    assert np.array_equal(load(tmp_path / "m").predict(frame), model.predict(frame))


def test_places_match_the_formula() -> None:
    found = sinusoids(20, 6)
    for p in (0, 3, 19):
        for i in range(3):
            rate = 10000 ** (-2 * i / 6)
            assert found[p, 2 * i].item() == pytest.approx(math.sin(p * rate), abs=1e-6)
            assert found[p, 2 * i + 1].item() == pytest.approx(math.cos(p * rate), abs=1e-6)
    assert sinusoids(4, 5).shape == (4, 5)


def test_the_product_of_two_places_depends_on_their_distance_alone() -> None:
    e, rates = sinusoids(40, 16).double(), 10000 ** (-torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    for k in (0, 1, 5):
        products = (e[: 40 - k] * e[k:]).sum(1)
        torch.testing.assert_close(products, (rates * k).cos().sum().expand(40 - k), rtol=1e-5, atol=1e-5)


def test_only_the_ordered_columns_get_a_place(sizes, cells) -> None:
    torch.manual_seed(0)
    net = CellEmbedding(_named(sizes), 6, positions=["d", "b"]).eval()
    without = net.positions
    moved = net(cells)
    net.positions = None
    difference = moved - net(cells)
    assert without is not None
    torch.testing.assert_close(difference[0, [3, 1]], sinusoids(2, 6), rtol=1e-4, atol=1e-5)
    assert difference[:, [0, 2, 4]].abs().max() == 0


@pytest.mark.parametrize("given", [["x"], [0, 0], [9]])
def test_places_of_unknown_or_repeated_columns_are_refused(sizes, given: list) -> None:
    with pytest.raises(RequestError, match=r"no column 'x'|cannot be used"):
        CellEmbedding(_named(sizes), 6, positions=given)
