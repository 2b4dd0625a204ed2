"""A fitted estimator as the answers see it: its prediction, or one of its doubts as an output of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.estimators.doubt_views import FamiliarityView, WidthView
from pellucid.estimators.predictor import EnginePredictor, EpistemicView, NetworkPredictor
from pellucid.estimators.sampling import asked
from pellucid.protocols import Predictor

if TYPE_CHECKING:
    from pellucid.estimators.base import TabularEstimator

__all__ = ["predictor_of", "view_of"]


def predictor_of(model: TabularEstimator, scale: str | None, source: str | None) -> EnginePredictor:
    """Return the prediction on ``scale``, its members those of ``source``."""
    kind = NetworkPredictor if model.engine_.differentiable else EnginePredictor
    classes = [c.item() if isinstance(c, np.generic) else c for c in getattr(model, "classes_", ())]
    whole = kind(
        _engine(model, source),
        model.certainty_.calibrator,
        model.engine_.encoder.columns,
        classes,
        model.target_.names,
        model.target_.unit,
        scale,
        model.reference_,
    )
    whole.reader, whole.kept_answers = model._table, getattr(model, "reference_target_", None)
    whole.row_model, whole.explainers = model.row_model_, model.explainers_
    return whole


def _engine(model: TabularEstimator, source: str | None) -> Any:
    """Return the model's engine, or the one whose members are those of another source of doubt."""
    if source in (None, "members"):
        return model.engine_
    if not model.engine_.differentiable:
        raise RequestError(f"the source of doubt {source!r} is for networks", got=f"backbone {model.engine_.name!r}", do="leave it out")
    own = asked(model.bayes)[0]
    return model.engine_.asked_of(None if source == own else source)  # type: ignore[attr-defined]


def view_of(model: TabularEstimator, whole: EnginePredictor, of: str) -> Predictor:
    """Return the prediction itself or the doubt ``of`` about it."""
    if of == "prediction":
        return whole
    if of == "epistemic":
        if whole.n_members < 2 and not getattr(whole, "drawn", False) and asked(model.bayes)[0] != "prior_net":
            raise RequestError(
                f"the backbone {model.engine_.name!r} has one member, so it has no epistemic doubt to explain",
                do="use a backbone with members, such as 'tabm', or bayes='laplace'",
            )
        if min(getattr(whole, "in_common", ()) or (0,)) >= 1 and not model.certainty_.by_folds and asked(model.bayes)[0] != "prior_net":
            raise RequestError(
                "all of this model's answer is an additive model's, of which there is one, so it has no epistemic doubt to explain",
                do="fit the model again, or with backbone='tabm'",
            )
        return EpistemicView(whole)
    if of == "width":
        return WidthView(whole, model)
    if of == "familiarity":
        return FamiliarityView(whole, model.certainty_.familiarity)
    raise RequestError(f"cannot explain {of!r}", expected="'prediction', 'epistemic', 'width' or 'familiarity'")
