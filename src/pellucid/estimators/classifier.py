"""The classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClassifierMixin

from pellucid.errors import RequestError
from pellucid.estimators.base import TabularEstimator
from pellucid.estimators.prepare import cells_of, right, true_answers
from pellucid.protocols import FloatArray
from pellucid.results import Decision

__all__ = ["TabularClassifier"]


class TabularClassifier(ClassifierMixin, TabularEstimator):
    """Learn to tell classes apart from one table, with calibrated probabilities.

    Every argument is keyword-only; ``"auto"`` is chosen by stated rules from the training table and recorded in ``record_``.

    Parameters
    ----------
    backbone : registry name, ``Entry`` or module factory ``(n_tokens, d_token) -> nn.Module``. See ``pellucid.methods("backbone")``.
    backbone_options : keyword arguments of the backbone.
    number, category, text, date, fill, scale : encodings by column type; None or ``"auto"`` = by type. ``text`` may be a sentence encoder
        of your own, a callable that maps M strings to vectors (M, V).
    embedding, head : keyword arguments of the embedding; module factory of the head.
    regularizers : None, or a mapping of registered names to options, such as ``{"tangos": {"lambda1": 1.0}, "swa": None}``. See
        ``pellucid.methods("regularizer")``.
    decompose : None; a sensitive column, a list of them, True for those of the table's roles, or ``{"columns": ["sex"], "adversary": 0.3,
        "orthogonal": 1.0, "dependence": 2.0}``: the columns are no inputs, and answers come from a part of the network that is trained not
        to tell them. What it still tells held-out rows' probes is in ``record_["training"]["decompose"]``, with what chance shows. Needs a
        network with one hidden state (``"tabm"``, ``"mlp"``, ``"resnet"``) and some 2,000 rows; read what is still told.
    bayes : False; ``"stochastic_bn"`` or ``{"stochastic_bn": {"samples": 32}}``: the answer is the mean of 16, or of that many, networks
        with the batch-norm statistics of single training batches. For backbones with batch norm, such as ``"resnet"``.
    pretrain : False; True, or a number of steps: before the fit the network learns to fill in hidden cells of the training rows and of
        rows without a target; or a table of further rows without one.
    tune : False; True, or ``{"trials": 20, "seconds": 300, "space": {...}}``: search the settings of the backbone by their score on the
        stop rows and keep the best fit. All trials are in ``record_["training"]["tuning"]``. Needs the extra ``tune``.
    members : number of members of an ensemble backbone.
    dropout : share of hidden entries set to 0 in training.
    schema : a ``Schema``, or a mapping of column to type such as ``{"zip": "category"}``.
    class_weight : None, ``"balanced"`` or a mapping of class to weight.
    loss : None (cross entropy), ``"focal"``, ``"logit_adjusted"``, a mapping of one name to its options such as
        ``{"focal": {"gamma": 1}}``, or a callable ``(raw, target)`` that gives one value per row.
    metric : None, a name or a callable; decides early stopping. None takes the log loss, the root mean squared error, or the named loss.
    calibration : ``"auto"``, None, or a name: ``"temperature"``, ``"platt"`` and ``"beta"`` (two classes), ``"vector"``, ``"dirichlet"``,
        ``"isotonic"``; fitted on rows that were not learned from. ``"auto"`` takes the simplest that freer ones do not beat by a standard
        error of the log loss. What ``class_weight`` did to the probabilities is taken back; ``predict`` still follows it.
    keep_rows : training rows kept for backgrounds, neighbours and familiarity.
    max_steps, time_limit : end of training in steps and in seconds; the best state so far is kept.
    device : ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    precision : ``"auto"`` (measured), ``"fp32"`` or ``"bf16"``, of training.
    threads : ``"auto"`` or a number. verbose : 0 for silence. random_state : seed; the same seed gives the same bits on one machine.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_ : as in scikit-learn.
    schema_, plan_, history_ : description of the columns, split plan, training curve.
    record_, certainty_ : how the fit came about, what certainty needs.

    Examples
    --------
    >>> import numpy as np
    >>> from pellucid import TabularClassifier
    >>> X = np.random.default_rng(0).normal(size=(120, 3))
    >>> model = TabularClassifier(random_state=0, verbose=0).fit(X, X[:, 0] > 0)
    >>> bool(model.score(X, X[:, 0] > 0) > 0.9)
    True
    """

    _task = "classification"
    classes_: npt.NDArray[Any]
    decision_: Decision

    def predict_proba(self, X: Any, *, precision: str = "fp32") -> FloatArray:
        """Return calibrated class probabilities (N, O), columns in the order of ``classes_``.

        ``precision="bf16"`` is about twice as fast on processors with matrix units; probabilities then move in the third digit.
        """
        members = self._members(X, precision)  # first: it says so where nothing is fitted
        return np.asarray(self.certainty_.calibrator.apply(members.mean(1)), np.float64)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted right; a label that the model has not learned counts as wrong.

        Labels are compared as they are written, so that 1, 1.0 and "1" are one class. Labels of which none was learned are an error. Rows
        without a label do not count. ``y`` None: the target column of X.
        """
        y = true_answers(self, X) if y is None else y
        hits = right(self.classes_, self.predict(X), y)
        there = ~pd.isna(np.asarray(cells_of(y), object).reshape(len(hits)))
        return float(np.average(hits[there], weights=None if sample_weight is None else np.asarray(sample_weight)[there]))

    def threshold(self, *, cost: Any) -> Decision:
        """Find the cheapest answers where mistakes cost different amounts. ``predict`` stays as it is; :meth:`decide` uses what is found.

        The class of least expected cost is answered. For two classes that is a threshold on the probability of ``classes_[1]``; the
        threshold that was cheapest on held-out rows takes its place where it saves more than its standard error on rows that did not
        choose it. Only rows that were not learned from are looked at: the certify rows, or all rows by the fold that held them out.

        Parameters
        ----------
        cost : ``{(true class, answered class): cost}``; mistakes that are not named cost 1, right answers nothing. Or a matrix (O, O) in
            the order of ``classes_``, true classes down.

        Returns
        -------
        A :class:`~pellucid.results.Decision`, kept as ``decision_`` and saved with the model. Cost: sorts of the held-out rows.

        Raises
        ------
        RequestError : the costs name no classes, or a right answer costs more than a wrong one.

        References
        ----------
        C. Elkan (2001), The foundations of cost-sensitive learning, IJCAI.
        """
        from pellucid.estimators.decision import find

        self._check_fitted()
        self.decision_ = find(self, cost)
        return self.decision_

    def decide(self, X: Any, *, cost: Any = None) -> npt.NDArray[Any]:
        """Return the cheapest class of each row, (N,), by ``cost``, or by the costs that :meth:`threshold` was last given."""
        from pellucid.estimators.decision import find

        self._check_fitted()
        decision = getattr(self, "decision_", None) if cost is None else find(self, cost)
        if decision is None:
            raise RequestError("no costs are known", do="pass cost={(true class, answered class): cost}, or call threshold first")
        return np.asarray(self.classes_[decision.answers(self.predict_proba(X))])

    def predict(self, X: Any, *, precision: str = "fp32") -> npt.NDArray[Any]:
        """Return the most probable class of each row, (N,); with ``class_weight`` the one of most weighted probability."""
        return self.answer_of(self.predict_proba(X, precision=precision))

    def answer_of(self, probabilities: FloatArray) -> npt.NDArray[Any]:
        """Return the classes (N,) that :meth:`predict` answers where :meth:`predict_proba` gives ``probabilities`` (N, O)."""
        return np.asarray(self.classes_[self.certainty_.chosen(probabilities)])
