"""What classifier and regressor share: fit once over one split plan, then answer.

``fit`` is a line of stations: prepare, plan, encode, train, certify, keep. Each leaves one attribute that ends in an underscore.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as _SklearnNotFitted
from sklearn.utils import Tags

from pellucid import registry
from pellucid.encode.filling import TableFill
from pellucid.errors import NotFittedError, NotOfferedError, RequestError
from pellucid.estimators.arguments import check_arguments
from pellucid.estimators.certainty import Certainty
from pellucid.estimators.engines import Engine, make_engine
from pellucid.estimators.predictor import NetworkPredictor
from pellucid.estimators.prepare import Target, Training, is_array, new_table, training_data
from pellucid.estimators.promises import Promises, fit_promises, spread_of, with_strangeness
from pellucid.estimators.stations import along_the_rows, certainty, kept_for_certainty, planned, record, reference
from pellucid.estimators.views import predictor_of, view_of
from pellucid.execution import limit_threads
from pellucid.protocols import FloatArray, Predictor
from pellucid.random import as_seed, integer
from pellucid.table import Plan, Schema, Table
from pellucid.training.rules import Rule

__all__ = ["TabularEstimator"]

ELSEWHERE = {
    "feature_importances_": "importances are asked for, and come with their errors",
    "coef_": "a network has no single coefficient per column",
}
"""What users of other libraries look for, and why it is not there."""


class _NotFitted(NotFittedError, _SklearnNotFitted):
    """Ours and scikit-learn's at once, so that its tools recognise it."""


class TabularEstimator(BaseEstimator):
    """Common base. See :class:`TabularClassifier` and :class:`TabularRegressor` for the parameters."""

    _task = ""
    schema_: Schema
    plan_: Plan
    certainty_: Certainty
    engine_: Engine
    reference_: Table | None
    reference_target_: npt.NDArray[Any] | None
    record_: dict[str, Any]
    history_: list[dict[str, Any]]
    target_: Target
    n_features_in_: int
    row_model_: Any = None
    ordered_fill_: TableFill | None = None
    explainers_: Mapping[str, Any] = MappingProxyType({})
    _stages = 0  # weights kept along the way of a fit, for a refit that asks for them
    _promises: Promises | None = None
    _spreads: Mapping[Any, Any] = MappingProxyType({})  # of the members of other sources of doubt, once asked
    _rules: tuple[Rule, ...] | None = None
    _split_rows: Any = None  # the rows of the fit, while they are in memory
    _found: Mapping[str, Any] = MappingProxyType({})  # changes of the recipe that a search has found; a refit uses them again

    def __init__(
        self,
        *,
        backbone: Any = "auto",
        backbone_options: Mapping[str, Any] | None = None,
        number: str = "auto",
        category: str = "auto",
        text: Any = None,
        date: Any = None,
        fill: Any = None,
        scale: Any = None,
        embedding: Mapping[str, Any] | None = None,
        head: Any = None,
        regularizers: Any = None,
        decompose: Any = None,
        members: Any = "auto",
        bayes: Any = False,
        dropout: Any = "auto",
        pretrain: Any = False,
        tune: bool | Mapping[str, Any] = False,
        schema: Any = None,
        class_weight: Any = None,
        loss: Any = None,
        metric: Any = None,
        calibration: str | None = "auto",
        keep_rows: int = 1000,
        max_steps: int | None = None,
        time_limit: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        threads: Any = "auto",
        verbose: int = 1,
        random_state: Any = None,
    ) -> None:
        self.backbone = backbone
        self.backbone_options = backbone_options
        self.number = number
        self.category = category
        self.text = text
        self.date = date
        self.fill = fill
        self.scale = scale
        self.embedding = embedding
        self.head = head
        self.regularizers = regularizers
        self.decompose = decompose
        self.members = members
        self.bayes = bayes
        self.dropout = dropout
        self.pretrain = pretrain
        self.tune = tune
        self.schema = schema
        self.class_weight = class_weight
        self.loss = loss
        self.metric = metric
        self.calibration = calibration
        self.keep_rows = keep_rows
        self.max_steps = max_steps
        self.time_limit = time_limit
        self.device = device
        self.precision = precision
        self.threads = threads
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "engine_")

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise _NotFitted(f"this {type(self).__name__} is not fitted yet", do="call fit first")

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        eval_set: Any = None,
        groups: Any = None,
        target: str | None = None,
        resume: Any = None,
    ) -> Self:
        """Learn a table.

        Parameters
        ----------
        X : Table, frame (pandas, polars, pyarrow) or array of N rows. A Table brings its target, weights, groups and order.
        y : (N,) labels or numbers, (N, O) numbers; None where X has a target.
        sample_weight : (N,) not negative; rows of weight 0 are left out.
        eval_set : ``(X, y)``, ``[(X, y)]`` or a Table; serves early stopping only.
        groups : (N,) rows of one group stay in one part.
        target : name of the target column of X.
        resume : folder for the state of an unfinished fit; a fit that was interrupted goes on from there to the same result.

        Returns
        -------
        The fitted estimator.

        Raises
        ------
        DataError, RequestError : what is wrong with the table or the arguments, where, and what to do.
        """
        started = time.perf_counter()
        check_arguments(self)
        seed = as_seed(self.random_state)
        training = training_data(self, X, y, task=self._task, sample_weight=sample_weight, groups=groups, target=target)
        # what was fitted to the model of before
        for stale in ("engine_", "decision_", "row_model_", "explainers_", "_promises", "_spreads", "_rules"):
            self.__dict__.pop(stale, None)
        self.schema_ = training.table.schema
        if not is_array(X):
            self._name_columns(training.table)
        split = planned(self, training, eval_set, seed)
        split = along_the_rows(self, split, seed)
        with limit_threads(self.threads) as threads:
            ends = None if self.time_limit is None else time.monotonic() + self.time_limit - (time.perf_counter() - started)
            trained = None if ends is None else ends - kept_for_certainty(self, split, ends - time.monotonic())
            engine = make_engine(self, split.training, split.plan, seed, resume, trained)
            self.engine_, self.history_, self._split_rows = engine, engine.history, split
            self.plan_, self.target_ = split.plan, replace(split.training.target, values=np.zeros(0))
            self.reference_, self.reference_target_ = reference(self, split, seed)
            self.certainty_ = certainty(self, split, seed, ends)
        if self._task == "classification":
            self.classes_ = training.target.classes
        self._training: Training | None = training
        self.record_ = record(self, training, split, seed, threads, time.perf_counter() - started)
        return self

    def _name_columns(self, table: Table) -> None:
        self.feature_names_in_ = np.asarray(table.columns, object)
        self.n_features_in_ = len(table.columns)

    # ------------------------------------------------------------------ answers

    def _members(self, X: Any, precision: str = "fp32") -> FloatArray:
        self._check_fitted()
        if precision not in ("fp32", "bf16"):
            raise RequestError("precision cannot be used", expected="'fp32' or 'bf16'", got=repr(precision))
        with limit_threads(self.threads):
            return self.engine_.members(self._table(X), precision)

    def _table(self, X: Any) -> Table:
        table = new_table(self, X)
        if self.ordered_fill_ is not None:
            table = self.ordered_fill_.apply(table)
        return table.select(self.engine_.encoder.columns)

    def cell_notes(self, X: Any) -> pd.DataFrame:
        """Return per row and column what the model had to deal with.

        ``"missing"``, ``"unseen"`` (a level not in training), ``"out of range"`` (a number beyond those of training), or empty.
        """
        self._check_fitted()
        table = self._table(X)
        coded = self.engine_.encoder.transform(table)
        words = np.select([coded.absent, coded.unseen, coded.outside], ["missing", "unseen", "out of range"], "")
        return pd.DataFrame(words, columns=list(self.engine_.encoder.columns), index=table.frame.index)

    def parts(self, X: Any) -> dict[str, npt.NDArray[Any]]:
        """Return what the model shows of its inside, by name: masks, attention, rules, kept rows, or the terms of a listed sum.

        Returns
        -------
        Arrays whose first axis are the N rows; columns stand in the order of ``feature_names_in_`` as far as they are used
        (``record_["columns"]``). Of models that are trained in folds axis 1 counts the fold networks. ``contributions`` (N, C, O) and
        ``bias`` (N, O), with ``pairs`` (N, P, O) where there are any, add up to the output: in the target's unit, for classes in
        log-odds before calibration. ``hidden`` is the hidden state.

        Raises
        ------
        RequestError : the model is no network.

        Notes
        -----
        A mask or an attention map is not evidence until it was tested; see ``pellucid.trial``.
        """
        self._check_fitted()
        if not self.engine_.differentiable:
            raise RequestError(
                "this model has no parts to show", expected="a network", got=f"backbone {self.engine_.name!r}", do="use explain"
            )
        return self.engine_.parts(self._table(X))  # type: ignore[attr-defined,no-any-return]

    def predictor(self, scale: str | None = None, of: str = "prediction", source: str | None = None) -> Predictor:
        """Return this model as the answers see it.

        Parameters
        ----------
        scale : ``"log-odds"`` (default) or ``"probability"`` for classes; the target's unit for numbers.
        of : ``"prediction"``, or a doubt: ``"epistemic"``, what members disagree on; ``"width"``, the size of the interval or set at 90 %;
            ``"familiarity"``, the distance to the kept training rows.
        source : where members come from: None or ``"members"`` for the model's own, or ``"mc_dropout"``, which any network that was trained
            with dropout has.
        """
        self._check_fitted()
        return view_of(self, predictor_of(self, scale, source), of)

    def module(self, scale: str | None = None) -> Any:
        """Return the fitted network as a torch module on embedded cells, ``module(module.tokens(X))``, for captum and its like.

        Its outputs are the explained ones on ``scale``: log-odds or probability of the calibrated answer, or the target's unit.
        """
        from pellucid.estimators.module import TokenModule

        predictor = self.predictor(scale)
        if not isinstance(predictor, NetworkPredictor):
            raise RequestError("this model is not a network", got=str(self.record_["backbone"]), do="choose a backbone that is one")
        return TokenModule(predictor)

    def to(self, device: str) -> Self:
        """Answer on another device from now on: predictions, doubt and explanations of a fitted network.

        After ``fit`` and after loading a model answers on the processor, wherever it was trained. Sums are rounded in another order on
        another device: answers agree to some 1e-6 of their size, to 1e-3 where an accelerator multiplies in TF32.

        Parameters
        ----------
        device : ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"cpu"``; ``"auto"`` for the best that there is.

        Raises
        ------
        RequestError : this machine has no such device, or the model is no network.

        Examples
        --------
        >>> import numpy as np
        >>> from pellucid import TabularRegressor
        >>> X = np.arange(60.0).reshape(20, 3)
        >>> model = TabularRegressor(backbone="mlp", max_steps=1, verbose=0, random_state=0).fit(X, X[:, 0])
        >>> model.to("cpu").predict(X).shape
        (20,)
        """
        from pellucid.training.loop import choose_device

        self._check_fitted()
        if not self.engine_.differentiable:
            raise RequestError(
                "only networks move to another device", got=f"backbone {self.engine_.name!r}", do="leave it on the processor"
            )
        self.engine_.net.to(choose_device(device))  # type: ignore[attr-defined]
        return self

    def explain(self, X: Any, **options: Any) -> Any:
        """Return why: the same as ``pellucid.explain(model, X, ...)``."""
        return registry.public("explain", "explain")(self, X, **options)

    def uncertainty(self, X: Any, *, level: float = 0.9, groups: Any = None, **options: Any) -> Any:
        """Return how certain: the same as ``pellucid.uncertainty(model, X, ...)``."""
        return registry.public("uncertainty", "uncertainty")(self, X, level=level, groups=groups, **options)

    def promises(self) -> Promises:
        """Return what further promises need; made when first asked for, while the training rows are in memory, then kept and saved."""
        self._check_fitted()
        if self._promises is None:
            if self._split_rows is None:
                return Promises()
            with limit_threads(self.threads):
                self._promises = fit_promises(self)
        return self._promises

    def spread(self, source: str | None = None) -> FloatArray | None:
        """Return the mean variance of the members of a source of doubt, (O,) in squared units of the target; None where it is unknown."""
        self._check_fitted()
        with limit_threads(self.threads):
            return spread_of(self, source)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules between columns that the training rows keep; found when first asked for, then kept and saved.

        Sums, products, orders, ratios and columns that decide another, in plain words: ``[rule.words for rule in model.rules()]``.
        ``uncertainty`` names the rows that break one.
        """
        self._check_fitted()
        if self._rules is None:
            if self._split_rows is None:
                return ()
            training, plan = self._split_rows.training.table, self._split_rows.plan
            table = training.take(plan.known).select(self.engine_.encoder.columns)
            self._rules = registry.public("audit.rules", "rules_of")(table, seed=int(self.record_["seed"]))
        return self._rules

    def fit_familiarity(self, *methods: str, **options: Any) -> Self:
        """Fit further measures of familiarity and keep them: ``uncertainty(X, familiarity="mahalanobis")`` then asks one of them.

        Parameters
        ----------
        methods : ``"mahalanobis"``, ``"hidden_neighbours"``, ``"conjnorm"`` (of hidden states), ``"row_model"``, ``"text_surprise"``.
        options : of the measure, such as ``power`` of ``"conjnorm"`` or ``max_steps`` of ``"row_model"``.

        Raises
        ------
        RequestError : the model was loaded and its training rows are gone, or it has nothing that the measure looks at.
        """
        self._check_fitted()
        if self._split_rows is None:
            raise RequestError(
                "this model no longer has its training rows, so no familiarity can be fitted", do="fit it again, then save it"
            )
        with limit_threads(self.threads):
            for method in methods:
                self._promises = with_strangeness(self, self.promises(), method, options)
        return self

    def refitter(self) -> Any:
        """Return a :class:`~pellucid.protocols.Refit`: train this kind of model again on changed rows, columns or labels.

        Only while the training rows are in memory: a loaded model has none.
        """
        from pellucid.estimators.refit import Refitter

        self._check_fitted()
        training = getattr(self, "_training", None)
        if training is None:
            raise RequestError("this model no longer has its training rows, so it cannot be refitted", do="fit it again in this session")
        return Refitter(self, training)

    def fit_row_model(self, X: Any = None, **options: Any) -> Self:
        """Fit a :class:`pellucid.RowModel` of the input columns and keep it: ``explain(..., fill="row_model")`` draws from it.

        Parameters
        ----------
        X : rows to learn from; None takes the training rows while they are in memory, else the kept ones.
        options : of the row model; ``random_state`` and ``threads`` are the estimator's where nothing is said.
        """
        from pellucid.estimators.row_model import RowModel

        self._check_fitted()
        training = getattr(self, "_training", None)
        table = self._table(X) if X is not None else self.reference_ if training is None else training.table
        if table is None:
            raise RequestError("the model has no training rows left to learn from", do="pass some: fit_row_model(table)")
        given = {"random_state": integer(self.record_["seed"], "row model"), "threads": self.threads} | options
        self.row_model_ = RowModel(**given).fit(table.select(self.engine_.encoder.columns))
        return self

    def save(self, path: Any, *, force: bool = False) -> None:
        """Write the model as a folder, whole or not at all; ``force`` replaces an existing one. Nothing in it is executable."""
        from pellucid.estimators.io import save

        self._check_fitted()
        save(self, path, force=force)

    def export(self, path: Any, *, force: bool = False) -> Path:
        """Write the model as one ONNX file that answers from raw cells, without Pellucid or torch.

        Inputs are one per column: numbers and dates (seconds since 1970) float64 with NaN for missing cells, levels as text with ``""`` for
        missing cells, texts as n-gram ids; :func:`pellucid.export.feeds` makes them of a frame. Outputs are ``prediction`` and, for
        classes, ``probabilities`` (N, O), calibrated as ``predict_proba`` gives them, within 1e-5.

        Parameters
        ----------
        path : the file; it appears whole or not at all. force : replace a file that exists.

        Raises
        ------
        MissingExtraError : the extra ``export`` is not installed. RequestError : the backbone cannot be exported.
        """
        from pellucid.estimators.onnx_file import export

        self._check_fitted()
        return export(self, path, force=force)

    if not TYPE_CHECKING:  # a type checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name in ELSEWHERE:
                raise NotOfferedError(
                    f"there is no {name!r}: {ELSEWHERE[name]}",
                    do="call model.explain(X, y=y, method='permutation_importance') on held-out rows, or model.explain(X).mean_abs()",
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __getstate__(self) -> dict[str, Any]:
        if self.__sklearn_is_fitted__():
            self.promises()  # they are made of rows that stay behind
            self.rules()
        state = dict(super().__getstate__())
        for rows in ("_training", "_split_rows"):  # the training table does not travel with pickles and copies
            state.pop(rows, None)
        return state
