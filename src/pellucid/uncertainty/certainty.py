"""What certainty needs from a fitted model: small protocols that the estimators fulfil and that are only read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pellucid.protocols import MemberPredictor

if TYPE_CHECKING:
    from pellucid.table import Schema
    from pellucid.training.calibrators import Calibrator
    from pellucid.training.conformal import Conformal
    from pellucid.training.familiarity import Familiarity

__all__ = ["Certainty", "Certified"]


@runtime_checkable
class Certainty(Protocol):
    """Fitted state: plain arrays made on rows the network never learned from, saved with the model.

    Attributes
    ----------
    calibrator : acts on the averaged member probabilities; None for numbers.
    conformals : sorted scores, one per number, one in all for classes; empty where no row could be held out.
    by_folds : True where the members are those of the fold models in turn (fold 0's members first), so that CV+ can be asked.
    familiarity : kept rows and the distances of held-out ones; None where no rows were kept.
    """

    @property
    def calibrator(self) -> Calibrator | None: ...

    @property
    def conformals(self) -> tuple[Conformal, ...]: ...

    @property
    def by_folds(self) -> bool: ...

    @property
    def familiarity(self) -> Familiarity | None: ...


@runtime_checkable
class Certified(Protocol):
    """A fitted model that can say how sure it is.

    Attributes
    ----------
    certainty_ : the fitted state.
    schema_ : the training columns, under which new data are read.
    """

    certainty_: Any
    schema_: Schema

    def predictor(self) -> MemberPredictor:
        """Return the fitted predictor; a single network is one member."""
        ...
