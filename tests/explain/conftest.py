"""Small fits that several files of tests ask."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import TabularClassifier, TabularRegressor
from pellucid.testing.predictors import made_frame


@pytest.fixture(scope="module")
def small_fits():
    """Return (backbone, classes) -> a model of 15 steps, fitted once, and the rows it was fitted to."""
    frame = made_frame(160, 3, (4, 3), missing=0.05)
    y = np.nan_to_num(2 * frame.x1 + frame.x2 * frame.x3) + (frame.c1 == "level 1")
    models: dict = {}

    def get(name, classes=False):
        if (name, classes) not in models:
            kind = TabularClassifier if classes else TabularRegressor
            model = kind(backbone=name, max_steps=15, random_state=0, verbose=0, threads=1)
            models[name, classes] = model.fit(frame, np.where(y > 0.5, "yes", "no") if classes else y)
        return models[name, classes], frame

    return get
