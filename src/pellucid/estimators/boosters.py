"""Boosted trees of other packages under the same face; each is saved in its own text form."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.estimators.peers import Arrays, FloatArray, PeerEngine
from pellucid.table import Table
from pellucid.trees import Grown, read

__all__ = ["CatBoostEngine", "LightGBMEngine", "XGBoostEngine"]

ROUNDS, PATIENCE = 1000, 50


class _Booster(PeerEngine):
    """One booster, or one per target for several numbers."""

    form = "codes"
    stops_early = True

    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        columns = [y] if self.task == "classification" else list(y.T)
        self.models = []
        for j, column in enumerate(columns):
            part = None if held is None else (held[0], held[1] if self.task == "classification" else held[1][:, j])
            self.models.append(self._fit_one(x, column, weights, part, seed % 2**31))

    @abstractmethod
    def _fit_one(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> Any:
        """Each package's own."""

    @abstractmethod
    def _margin(self, model: Any, x: FloatArray) -> FloatArray:
        """Each package's own."""

    def built_in(self, table: Table) -> tuple[str, dict[str, float]] | None:
        """Return what each column's splits gain in training, summed over trees."""
        return None if self.only is not None else (self.gain_words, self._by_source(np.sum([self._gain(m) for m in self.models], 0)))

    gain_words = "gain of the column's splits"

    @abstractmethod
    def _gain(self, model: Any) -> FloatArray:
        """Return the gain (F,) of the splits on each matrix column."""

    def _grown(self) -> list[Grown | None]:
        return [read(model) for model in self.models]

    def _size(self) -> int:
        """Number of leaves of all trees."""
        return sum(self._leaves(model) for model in self.models)

    @abstractmethod
    def _leaves(self, model: Any) -> int:
        """Return the number of leaves of one booster."""

    @abstractmethod
    def _text(self, model: Any) -> bytes:
        """Each package's own."""

    @abstractmethod
    def _from_text(self, text: bytes) -> Any:
        """Each package's own."""

    def _answer(self, x: FloatArray) -> FloatArray:
        margins = [self._margin(m, x) for m in self.models]
        out = np.column_stack(margins) if margins[0].ndim == 1 else margins[0]
        return np.column_stack([1 - out, out]) if self.task == "classification" and out.shape[1] == 1 else out

    def _arrays(self) -> Arrays:
        return {f"booster_{j}": np.frombuffer(self._text(m), np.uint8).copy() for j, m in enumerate(self.models)}

    def load(self, arrays: Arrays) -> None:
        self.models = [self._from_text(arrays[f"booster_{j}"].tobytes()) for j in range(len(arrays))]


class LightGBMEngine(_Booster):
    """LightGBM (Ke et al. 2017, NeurIPS 30)."""

    def _fit_one(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> Any:
        import lightgbm as lgb

        classes = self.n_outputs if self.task == "classification" else 0
        objective = "regression" if not classes else "binary" if classes == 2 else "multiclass"
        params = {
            "objective": objective,
            "verbose": -1,
            "seed": seed,
            "learning_rate": 0.05,
            "deterministic": True,
            **({"num_class": classes} if classes > 2 else {}),
            **self.options,
        }
        columns = np.flatnonzero(self.design.categorical).tolist()
        train = lgb.Dataset(x, y, weight=weights, categorical_feature=columns, free_raw_data=False)
        extra: dict[str, Any] = {}
        if held is not None:
            extra = {
                "valid_sets": [lgb.Dataset(held[0], held[1], reference=train)],
                "callbacks": [lgb.early_stopping(PATIENCE, verbose=False)],
            }
        return lgb.train(params, train, num_boost_round=ROUNDS if held is not None else 100, **extra)

    def _margin(self, model: Any, x: FloatArray) -> FloatArray:
        return np.asarray(model.predict(x), float)

    def _gain(self, model: Any) -> FloatArray:
        return np.asarray(model.feature_importance("gain"), float)

    def _leaves(self, model: Any) -> int:
        return sum(int(tree["num_leaves"]) for tree in model.dump_model()["tree_info"])

    def _text(self, model: Any) -> bytes:
        return str(model.model_to_string(num_iteration=model.best_iteration or None)).encode()

    def _from_text(self, text: bytes) -> Any:
        import lightgbm as lgb

        return lgb.Booster(model_str=text.decode())


class XGBoostEngine(_Booster):
    """XGBoost (Chen and Guestrin 2016, doi:10.1145/2939672.2939785)."""

    def _matrix(self, x: FloatArray, y: Any = None, weights: Any = None) -> Any:
        import xgboost as xgb

        types = ["c" if c else "q" for c in self.design.categorical]
        return xgb.DMatrix(x, label=y, weight=weights, feature_types=types, enable_categorical=True)

    def _fit_one(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> Any:
        import xgboost as xgb

        classes = self.n_outputs if self.task == "classification" else 0
        objective = "reg:squarederror" if not classes else "binary:logistic" if classes == 2 else "multi:softprob"
        params = {
            "objective": objective,
            "seed": seed,
            "eta": 0.05,
            "tree_method": "hist",
            "verbosity": 0,
            **({"num_class": classes} if classes > 2 else {}),
            **self.options,
        }
        extra: dict[str, Any] = (
            {"evals": [(self._matrix(*held), "stop")], "early_stopping_rounds": PATIENCE, "verbose_eval": False} if held is not None else {}
        )
        model = xgb.train(params, self._matrix(x, y, weights), num_boost_round=ROUNDS if held is not None else 100, **extra)
        return model[: model.best_iteration + 1] if held is not None else model

    def _margin(self, model: Any, x: FloatArray) -> FloatArray:
        return np.asarray(model.predict(self._matrix(x)), float)

    def _gain(self, model: Any) -> FloatArray:
        found = model.get_score(importance_type="total_gain")
        return np.array([float(found.get(f"f{j}", 0.0)) for j in range(len(self.design.names))])

    def _leaves(self, model: Any) -> int:
        return sum(tree.count("leaf=") for tree in model.get_dump())

    def _text(self, model: Any) -> bytes:
        return bytes(model.save_raw(raw_format="json"))

    def _from_text(self, text: bytes) -> Any:
        import xgboost as xgb

        model = xgb.Booster()
        model.load_model(bytearray(text))
        return model


class CatBoostEngine(_Booster):
    """CatBoost (Prokhorenkova et al. 2018, arXiv:1706.09516)."""

    gain_words = "mean change of the prediction by the column's splits"

    def _frame(self, x: FloatArray) -> Any:
        import pandas as pd

        frame = pd.DataFrame(x)
        coded = np.flatnonzero(self.design.categorical)
        return frame.astype({int(j): np.int64 for j in coded}), coded.tolist()

    def _fit_one(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> Any:
        import catboost as cb

        kind = cb.CatBoostClassifier if self.task == "classification" else cb.CatBoostRegressor
        frame, coded = self._frame(x)
        extra: dict[str, Any] = (
            {"eval_set": (self._frame(held[0])[0], held[1]), "early_stopping_rounds": PATIENCE} if held is not None else {}
        )
        if self.task == "classification" and held is not None and not set(np.unique(held[1])) <= set(np.unique(y)):
            extra = {}
        model = kind(random_seed=seed % 2**31, verbose=False, allow_writing_files=False, iterations=ROUNDS, **self.options)
        return model.fit(frame, y, cat_features=coded, sample_weight=weights, **extra)

    def _margin(self, model: Any, x: FloatArray) -> FloatArray:
        frame = self._frame(x)[0]
        if self.task == "regression":
            return np.asarray(model.predict(frame), float)
        return self._spread(model.predict_proba(frame), model.classes_)

    def _gain(self, model: Any) -> FloatArray:
        return np.asarray(model.get_feature_importance(), float)

    def _leaves(self, model: Any) -> int:
        return int(model.get_tree_leaf_counts().sum())

    def _text(self, model: Any) -> bytes:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.cbm"
            model.save_model(str(path))
            return path.read_bytes()

    def _from_text(self, text: bytes) -> Any:
        import catboost as cb

        kind = cb.CatBoostClassifier if self.task == "classification" else cb.CatBoostRegressor
        return kind().load_model(blob=text)
