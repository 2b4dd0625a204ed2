"""Cells become what JSON can hold: whole arrays and frames at once, each cell as it would be by itself."""

import json

import numpy as np
import pandas as pd

from pellucid.results import plain


def test_arrays_and_frames_are_plain_as_their_cells_are():
    frame = pd.DataFrame(
        {
            "number": [1.5, np.nan, np.inf],
            "single": np.array([0.1, 2, np.nan], np.float32),
            "whole": [1, 2, 3],
            "truth": [True, False, True],
            "some": pd.array([1, None, 3], dtype="Int64"),
            "text": ["a", None, "b"],
            "level": pd.Categorical(["x", None, "y"]),
            "day": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
            "span": pd.to_timedelta([1, 2, 3], "D"),
            7: [np.float64("nan"), {"k": np.inf}, [np.int64(1)]],
        }
    )
    made = plain(frame)
    assert made == [{str(c): plain(frame[c].tolist()[i]) for c in frame} for i in range(3)]
    assert [type(v) for v in made[0].values()][:4] == [float, float, int, bool]
    assert made == json.loads(json.dumps(made, allow_nan=False))
    assert plain(frame[["span"]].iloc[0]) == ["1 days 00:00:00"]
    assert plain(np.array([[1, np.nan], [-np.inf, 2]])) == [[1.0, None], [None, 2.0]]
    assert plain(frame.iloc[:, :0]) == [{}, {}, {}]
