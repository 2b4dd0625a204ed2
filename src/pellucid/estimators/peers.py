"""The honest baselines under the same face: linear, nearest neighbours, one readable tree, boosted trees.

Each engine turns a table into the answers of its single member: class probabilities, or values in the target's unit, (N, 1, O).
What is saved is plain arrays or the booster's own text, never a pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pellucid.encode.reach import without_empty
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import ModelFileError, RequestError
from pellucid.estimators.design import Design
from pellucid.estimators.prepare import Target
from pellucid.execution import few_threads
from pellucid.table import Table
from pellucid.trees import Forest, Grown, join, read

__all__ = ["HistGBEngine", "KnnEngine", "LinearEngine", "PeerEngine", "TreeEngine"]

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]


def softmax(z: FloatArray) -> FloatArray:
    """Return row-wise softmax of (N, O)."""
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


class PeerEngine(ABC):
    """What the baselines share: the encoder, the design matrix and the shape of the answer."""

    form = "one-hot"
    n_members = 1
    encoder: TableEncoder
    design: Design
    task: str
    n_outputs: int
    only: int | None
    """The one class that the training part held, which is then the answer for every row."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})

    def fit(
        self,
        encoder: TableEncoder,
        table: Table,
        target: Target,
        weights: FloatArray | None,
        stop: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        *,
        seed: int,
    ) -> Self:
        """Learn from ``rows``; ``stop`` rows serve early stopping where the engine has one, and are learned from where it has none."""
        self.encoder, self.task, self.n_outputs = encoder, target.task, target.n_outputs
        used = rows if self.stops_early else np.sort(np.concatenate([rows, stop]))
        w = None if weights is None else weights[used]
        self.design = Design.fit(encoder, table.take(used), self.form, w)
        self.target_mean, self.target_scale = _scale_of(target.values[used], w) if self.task == "regression" else (np.zeros(1), np.ones(1))
        x, y = self.design.matrix(encoder, table.take(used)), self._scaled(target.values[used])
        held = (
            (self.design.matrix(encoder, table.take(stop)), self._scaled(target.values[stop])) if self.stops_early and len(stop) else None
        )
        present = np.unique(y) if self.task == "classification" else np.zeros(0)
        self.only = int(present[0]) if len(present) == 1 else None
        if self.only is None:
            self._fit(x, y, w, held, seed)
        return self

    stops_early = False

    def _scaled(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values if self.task == "classification" else (values - self.target_mean) / self.target_scale

    @abstractmethod
    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        """Each engine's own."""

    @abstractmethod
    def _answer(self, x: FloatArray) -> FloatArray:
        """Each engine's own."""

    def members(self, table: Table) -> FloatArray:
        """Return (N, 1, O): probabilities, or values in the target's unit."""
        if self.only is not None:
            return np.tile(np.eye(self.n_outputs)[self.only], (len(table), 1, 1))
        answer = self._answer(self.design.matrix(self.encoder, table)).reshape(len(table), self.n_outputs)
        return (answer if self.task == "classification" else answer * self.target_scale + self.target_mean)[:, None, :]

    def trees(self) -> Grown | None:
        """Return the engine's trees and what makes their cells of a table, numbers in the target's unit.

        None where it has none, or only one class was learned.
        """
        found = [] if self.only is not None else self._grown()
        if not found or any(g is None for g in found):
            return None
        forest = join([g.forest for g in found if g is not None], columns=True)
        if self.task == "regression":
            forest = forest.weighted(np.diag(self.target_scale), self.target_mean)
        cells = found[0].cells  # type: ignore[union-attr]
        return Grown(forest, lambda table: cells(self.design.matrix(self.encoder, table)), found[0].says)  # type: ignore[union-attr]

    def _grown(self) -> list[Grown | None]:
        """Return the trees of each model, one per target for several numbers."""
        return []

    def _spread(self, probabilities: FloatArray, present: npt.NDArray[Any]) -> FloatArray:
        """Return probabilities of all classes where only ``present`` ones were in the training part."""
        out = np.zeros((len(probabilities), self.n_outputs))
        out[:, np.asarray(present, int)] = probabilities
        return out

    def built_in(self, table: Table) -> tuple[str, dict[str, float]] | None:
        """Return (what it is, importance per source column) where the model has one of its own."""
        return None

    def _by_source(self, values: FloatArray) -> dict[str, float]:
        """Return one number per source column from one per matrix column, added up."""
        out: dict[str, float] = {}
        for name, value in zip(self.design.sources(self.encoder), values.tolist()):
            out[name] = out.get(name, 0.0) + value
        return out

    @property
    def size(self) -> int:
        """Number of fitted numbers that the answer is computed from."""
        return 1 if self.only is not None else self._size()

    def _size(self) -> int:
        return sum(a.size for a in self._arrays().values())

    def arrays(self) -> Arrays:
        """Return what must be saved, as plain arrays."""
        return {} if self.only is not None else self._arrays()

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Each engine's own."""

    def load(self, arrays: Arrays) -> None:
        """Take back what :meth:`arrays` gave."""
        raise ModelFileError("this backbone cannot be loaded")

    def state(self) -> dict[str, Any]:
        """Return the rest of what must be saved, as plain JSON types."""
        return {
            "design": self.design.state(),
            "task": self.task,
            "n_outputs": self.n_outputs,
            "options": self.options,
            "target_mean": self.target_mean.tolist(),
            "target_scale": self.target_scale.tolist(),
            "only": self.only,
        }

    @classmethod
    def from_state(cls, encoder: TableEncoder, state: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the engine that :meth:`state` and :meth:`arrays` described."""
        self = cls(state["options"])
        self.encoder, self.task, self.n_outputs = encoder, state["task"], int(state["n_outputs"])
        self.design = Design.from_state(encoder, state["design"])
        self.target_mean, self.target_scale = np.asarray(state["target_mean"], float), np.asarray(state["target_scale"], float)
        self.only = state.get("only")
        if self.only is None:
            self.load(arrays)
        return self


def _scale_of(values: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    mean = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    return mean, np.where(scale > 0, scale, 1.0)


class LinearEngine(PeerEngine):
    """Logistic or ridge regression on z-scored numbers and one-hot levels; coefficients can be read (B02)."""

    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        from sklearn.linear_model import LogisticRegression, Ridge

        if self.task == "regression":
            model = Ridge(**{"alpha": 1.0, **self.options}).fit(x, y, sample_weight=weights)
            self.coef = np.ascontiguousarray(np.atleast_2d(model.coef_))
            self.intercept, self.present = np.atleast_1d(model.intercept_), np.zeros(0, np.int64)
            return
        model = LogisticRegression(**{"C": 1.0, "max_iter": 500, **self.options}).fit(x, y, sample_weight=weights)
        # rows of coefficients one after the other, as they are read back: products then round alike
        self.coef, self.intercept, self.present = np.ascontiguousarray(model.coef_), model.intercept_, model.classes_

    def _answer(self, x: FloatArray) -> FloatArray:
        z = x @ self.coef.T + self.intercept
        if self.task == "regression":
            return np.asarray(z)
        return self._spread(softmax(np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z), self.present)

    def built_in(self, table: Table) -> tuple[str, dict[str, float]] | None:
        """Return the standard deviation over the rows of each column's term, mean over outputs."""
        if self.only is not None:
            return None
        x, sources = self.design.matrix(self.encoder, table), np.asarray(self.design.sources(self.encoder), object)
        unit = float(self.target_scale.mean()) if self.task == "regression" else 1.0
        spread = {c: float((x[:, sources == c] @ self.coef[:, sources == c].T).std(0).mean()) * unit for c in dict.fromkeys(sources)}
        return "standard deviation of the column's term", spread

    def coefficients(self) -> dict[str, FloatArray]:
        """Return the coefficients per matrix column, numbers per original unit, on the log-odds or target scale."""
        if self.only is not None:
            return {name: np.zeros(1) for name in self.design.names}
        per_unit = self.coef.copy()
        n = len(self.design.scale)
        per_unit[:, :n] /= self.design.scale
        factor = self.target_scale[:, None] if self.task == "regression" else 1.0
        return dict(zip(self.design.names, (per_unit * factor).T))

    def _arrays(self) -> Arrays:
        return {"coef": self.coef, "intercept": self.intercept, "present": np.asarray(self.present, np.int64)}

    def load(self, arrays: Arrays) -> None:
        self.coef, self.intercept, self.present = arrays["coef"], arrays["intercept"], arrays["present"]


class KnnEngine(PeerEngine):
    """The k nearest training rows vote (B01); k = 15 unless ``n_neighbors`` is given."""

    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        self.x, self.y = x.astype(np.float32), y
        self.row_weights = np.ones(len(x)) if weights is None else weights
        self._index()

    def _index(self) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.k = min(int(self.options.get("n_neighbors", 15)), len(self.x))
        self.index = NearestNeighbors(n_neighbors=self.k).fit(self.x)

    def _answer(self, x: FloatArray) -> FloatArray:
        at = self.index.kneighbors(x.astype(np.float32), return_distance=False)
        w = self.row_weights[at][..., None]
        if self.task == "classification":
            # one vote spread over all classes keeps log loss finite
            votes = (np.eye(self.n_outputs)[self.y[at]] * w).sum(1) + 1.0 / self.n_outputs
            return np.asarray(votes / votes.sum(1, keepdims=True))
        return np.asarray((self.y[at] * w).sum(1) / w.sum(1))

    def _arrays(self) -> Arrays:
        return {"x": self.x, "y": self.y, "row_weights": self.row_weights}

    def load(self, arrays: Arrays) -> None:
        self.x, self.y, self.row_weights = arrays["x"], arrays["y"], arrays["row_weights"]
        self._index()


def _smoothed(shares: FloatArray, rows: npt.NDArray[Any]) -> FloatArray:
    """Return the classes' shares (L, O) of leaves of some rows (L,) with one more row of each class.

    A leaf of one class does not promise certainty, which no calibration could take back (Laplace's correction of the trees of Provost and
    Domingos 2003, doi:10.1023/A:1024099825458).
    """
    return np.asarray((shares * rows[:, None] + 1) / (rows[:, None] + shares.shape[1]))


class TreeEngine(PeerEngine):
    """One decision tree that can be read (B03): at most 16 leaves of at least 5 rows and 1 % of the weight of all."""

    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        kind = DecisionTreeClassifier if self.task == "classification" else DecisionTreeRegressor
        least = {"min_samples_leaf": 5, "min_weight_fraction_leaf": 0.01}
        options = {"max_leaf_nodes": 16, **least, "random_state": seed % 2**32, **self.options}
        model = kind(**options).fit(x, y, sample_weight=weights)
        tree = model.tree_
        value = tree.value[:, 0, :] if self.task == "classification" else tree.value[:, :, 0]
        if self.task == "classification":
            value = self._spread(_smoothed(value / value.sum(1, keepdims=True), tree.n_node_samples), model.classes_)
        self.left, self.right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
        self.feature, self.threshold, self.value = tree.feature.astype(np.int64), tree.threshold.copy(), np.asarray(value, float)

    def _answer(self, x: FloatArray) -> FloatArray:
        x = x.astype(np.float32)  # scikit-learn compares in float32
        node = np.zeros(len(x), np.int64)
        while (inner := self.left[node] >= 0).any():
            rows = np.flatnonzero(inner)
            at = node[rows]
            down = x[rows, self.feature[at]] <= self.threshold[at]
            node[rows] = np.where(down, self.left[at], self.right[at])
        return self.value[node]

    def _grown(self) -> list[Grown | None]:
        says = "probability" if self.task == "classification" else "value"
        return [Grown(Forest.of_tree(self.left, self.right, self.feature, self.threshold, self.value), lambda x: x, says)]

    def rules(self) -> str:
        """Return the tree as indented if-then lines, numbers in original units."""

        def lines(node: int, depth: int) -> list[str]:
            pad = "  " * depth
            if self.left[node] < 0:
                return [f"{pad}-> {np.round(self.value[node] * self.target_scale + self.target_mean, 4).tolist()}"]
            j = int(self.feature[node])
            name, cut = self.design.names[j], self.threshold[node]
            if j < len(self.design.scale):
                test = f"{name} <= {cut * self.design.scale[j] + self.design.mean[j]:.6g}"
            else:
                test = f"not ({name})" if " = " in name or name.endswith("is missing") else f"{name} <= {cut:.4g}"
            return [f"{pad}if {test}:", *lines(int(self.left[node]), depth + 1), f"{pad}else:", *lines(int(self.right[node]), depth + 1)]

        return "\n".join(lines(0, 0)) if self.only is None else f"-> {np.eye(self.n_outputs)[self.only].tolist()}"

    def _arrays(self) -> Arrays:
        return {k: getattr(self, k) for k in ("left", "right", "feature", "threshold", "value")}

    def load(self, arrays: Arrays) -> None:
        for name, value in arrays.items():
            setattr(self, name, value)


class HistGBEngine(PeerEngine):
    """scikit-learn's histogram gradient boosting; one model per target for several numbers."""

    form = "codes"
    stops_early = True

    def _fit(self, x: FloatArray, y: npt.NDArray[Any], weights: FloatArray | None, held: Any, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingClassifier if self.task == "classification" else HistGradientBoostingRegressor
        early = held is not None and (self.task == "regression" or set(np.unique(held[1])) <= set(np.unique(y)))
        options = {
            "max_iter": 500 if early else 100,
            "early_stopping": early,
            "n_iter_no_change": 20,
            "random_state": seed % 2**32,
            **self.options,
        }
        columns = [y] if self.task == "classification" else list(y.T)
        self.models = []
        for j, column in enumerate(columns):
            model = kind(categorical_features=self.design.categorical, **options)
            extra = {"X_val": held[0], "y_val": held[1] if self.task == "classification" else held[1][:, j]} if early else {}
            with few_threads(x.size):
                self.models.append(model.fit(without_empty(x), column, sample_weight=weights, **extra))

    def _answer(self, x: FloatArray) -> FloatArray:
        if self.task == "classification":
            return self._spread(self.models[0].predict_proba(x), self.models[0].classes_)
        return np.column_stack([m.predict(x) for m in self.models])

    def _grown(self) -> list[Grown | None]:
        return [read(model) for model in self.models]

    def _size(self) -> int:
        """Number of leaves of all trees."""
        return sum(tree.get_n_leaf_nodes() for model in self.models for step in model._predictors for tree in step)

    def _arrays(self) -> Arrays:
        raise RequestError(
            "scikit-learn's histogram trees cannot be saved without running code on loading", do="use backbone='lightgbm' or a network"
        )
