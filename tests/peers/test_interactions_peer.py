"""Every index of interaction beside shapiq's exact computer."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain.indices import local_terms, of_game

pytestmark = pytest.mark.peer

NAMES = {
    "sii": "SII",
    "k-sii": "k-SII",
    "stii": "STII",
    "fsii": "FSII",
    "fbii": "FBII",
    "banzhaf": "BII",
    "mobius": "Moebius",
    "joint": "JointSV",
}


@pytest.mark.parametrize("index", sorted(NAMES))
@pytest.mark.parametrize("order", [1, 2, 3])
def test_shapiq(index, order):
    shapiq = pytest.importorskip("shapiq")
    table = np.random.default_rng(order).normal(size=64)
    table[0] = 0.0  # shapiq centres its games

    class Drawn(shapiq.Game):
        def __init__(self):
            super().__init__(n_players=6, normalize=False)

        def value_function(self, coalitions):
            return table[np.asarray(coalitions) @ (1 << np.arange(6))]

    theirs = shapiq.ExactComputer(Drawn(), n_players=6)(NAMES[index], order=order)
    _, values = of_game(table[None, :, None], index, order, 6, 6)
    codes, t = local_terms(index, order, 6)
    compared = 0
    for code, size, value in zip(codes, t, values[0, :, 0]):
        members = tuple(j for j in range(6) if code >> j & 1)
        if len(members) == size:
            assert value == pytest.approx(theirs[members], abs=1e-8), (index, members)
            compared += 1
    assert compared == sum([6, 15, 20][:order])
