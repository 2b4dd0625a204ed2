"""``head=`` and ``bayes=`` as losses: what a network learns where its answer is a distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pellucid.errors import RequestError
from pellucid.estimators.sampling import asked
from pellucid.training.distributions import HEADS, Normal, PriorNet

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["is_distribution", "loss_of"]


def is_distribution(head: Any) -> bool:
    """Tell whether ``head=`` names a distribution: ``"normal"``, ``"quantile"``, ``"mixture"``, or a mapping of one to its options.

    Examples
    --------
    >>> is_distribution({"mixture": {"components": 5}}), is_distribution("linear")
    (True, False)
    """
    name = next(iter(head), "") if isinstance(head, Mapping) and len(head) == 1 else head
    return isinstance(name, str) and name in HEADS


def loss_of(estimator: TabularEstimator, task: str) -> Any:
    """Return what the network learns: the user's loss, or the one that comes with the head or with the source of doubt."""
    method, options = asked(estimator.bayes)
    if is_distribution(estimator.head):
        if task == "classification":
            raise RequestError(
                "this head gives the distribution of a number", got=f"head={estimator.head!r} for classes", do="leave head out"
            )
        _alone(estimator, f"head={estimator.head!r}")
        name, given = (estimator.head, {}) if isinstance(estimator.head, str) else next(iter(estimator.head.items()))
        return _head(name, dict(given or {}))
    if method == "prior_net":
        if task == "regression":
            raise RequestError(
                "prior_net gives a law over classes", got="numbers", do="use head='normal' with members, or bayes='mean_field'"
            )
        _alone(estimator, "bayes='prior_net'")
        return PriorNet(precision=float(options["precision"]))
    if method == "mean_field":
        _alone(estimator, "bayes='mean_field'")  # a likelihood is needed: of classes it is the usual loss, of numbers a normal law
        return Normal(beta=0.0) if task == "regression" else None
    return estimator.loss


def _head(name: str, options: dict[str, Any]) -> Any:
    kind = HEADS[name]
    unknown = sorted(set(options) - set(kind.options))
    if unknown:
        raise RequestError(f"the head {name!r} has no option {unknown[0]!r}", expected=", ".join(kind.options))
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return kind(**given)


def _alone(estimator: TabularEstimator, what: str) -> None:
    if estimator.loss is not None:
        raise RequestError(f"{what} has a loss of its own", got=f"loss={estimator.loss!r}", do="leave loss out")
