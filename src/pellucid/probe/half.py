"""Half precision (bfloat16): where products are faster in it.

Accelerators and processors with matrix units multiply several times faster in it, processors with vector units for it twice as fast,
others more slowly. What the device has decides, not a measurement: the same call must give the same numbers on a busy machine. How far
off the answers are is measured, where both are known: see :attr:`CoalitionEngine.rounding`.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["halved", "pays"]


@functools.cache
def pays(device: torch.device) -> bool:
    """Return whether a device has units for products in half precision; a torch that cannot tell counts as none."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # matrix units, or vectors with such products (twice as fast as float32)
    asked = [getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
    return device.type == "cpu" and any(bool(has()) for has in asked if has is not None)


def halved(device: torch.device) -> AbstractContextManager[object]:
    """Return what lets a network's products be made in half precision inside the block; norms, softmax and sums stay in float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16)
