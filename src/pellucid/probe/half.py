"""Half precision (bfloat16): where products are faster in it.

Processors with matrix units and accelerators multiply several times faster in it, others more slowly; so it is measured. How far off the
answers are is measured too, where both are known: see :attr:`CoalitionEngine.rounding`.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["halved", "pays"]

GAIN = 2.0
"""How many times faster products must be: what is between them gains less, and noise must not decide."""


@functools.cache
def pays(device: torch.device) -> bool:
    """Return whether products in half precision are clearly faster on a device. Measured once in a process, in some milliseconds."""
    from pellucid.training.precision import matrix_gain

    return matrix_gain(device, 256) > GAIN


def halved(device: torch.device) -> AbstractContextManager[object]:
    """Return what lets a network's products be made in half precision inside the block; norms, softmax and sums stay in float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16)
