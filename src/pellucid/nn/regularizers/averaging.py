"""The mean of the weights along the end of the training path."""

from __future__ import annotations

from pellucid.errors import RequestError
from pellucid.nn.regularizers.base import Regularizer

__all__ = ["WeightAveraging"]


class WeightAveraging(Regularizer):
    """Stochastic weight averaging: what is scored and kept is the running mean of the weights over the last steps.

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, arXiv:1803.05407. The loop does it (``training.averaging``).

    # NOTE[DIFF] The learning rate goes on falling, where the source holds it: the mean then cannot be worse than the path it comes from by
    # more than that path's own spread. Running statistics are averaged with the weights, where the source computes them anew.

    Parameters
    ----------
    share : of the planned steps over which the mean is taken, the last ones.

    Notes
    -----
    Cost: one more copy of the weights, and one pass over them a step.
    """

    between_steps = True

    def __init__(self, share: float = 0.25) -> None:
        if not 0 < share <= 1:
            raise RequestError("swa cannot average over this share of the steps", expected="above 0 and at most 1", got=str(share))
        self.share = share
