"""What can a person do about an answer? One file a method; all of them read a :class:`pellucid.act.case.Case`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pellucid.registry import callable_package

__all__ = ["act"]


def act(
    model: Any,
    X: Any,
    *,
    want: Any = None,
    rules: Any = None,
    method: str = "auto",
    background: Any = None,
    budget: Any = None,
    random_state: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Say what the people of the rows ``X`` can change to get the wanted answer, or which of their cells need not be asked.

    Parameters
    ----------
    model : an estimator of this package, a scikit-learn model, a boosted tree, or any callable frame -> (N,) or (N, O).
    X : the N rows: pandas, polars, pyarrow, numpy or a Table, whose own rules hold.
    want : a class label (it must become the model's answer), or for numbers a condition such as ``">= 3.5"`` or a (low, high) pair; a
        mapping of one class to its least probability, ``{"yes": 0.8}``.
    rules : what may change, beside the rules of the table: a mapping of columns to ``"never"``, ``"up"``, ``"down"``, ``"integer"``,
        (low, high), a list of levels, or a mapping of ``move``, ``low``, ``high``, ``step``, ``allowed``; rules in text that join columns
        (:mod:`pellucid.table.conditions`) under ``"joint"``. Columns without a rule are free.
    method : a name from ``pellucid.methods("act")``; ``"auto"`` is ``"recourse"``: single changes, then joint ones.
    background : rows to compare with; needed for models from elsewhere, else the rows kept at fit.
    budget : most model rows in total (an integer), or most seconds (text such as ``"30s"``).
    random_state : seed; None draws one and records it.
    options : settings of the method's own; ``pellucid.methods("act")`` lists them with their defaults.

    Returns
    -------
    What the method's registry line says it gives: Actions, or Inquiry (``minimize``).

    Raises
    ------
    RequestError : an unknown method, class or rule, a missing background, or a budget that does not reach.

    Notes
    -----
    The answers say what would change the model's answer, not what would change the world.

    Examples
    --------
    >>> import pandas as pd, pellucid.act
    >>> rows = pd.DataFrame({"age": [30, 40], "income": [10, 30]})
    >>> kept = pd.DataFrame({"age": [20, 60, 50], "income": [0, 20, 40]})
    >>> score = lambda frame: frame["income"] - 15
    >>> made = pellucid.act.act(score, rows, want=">= 0", rules={"age": "never"}, background=kept, random_state=0)
    >>> made.reached.tolist(), made.changes[["column", "before", "after"]].values.tolist()
    ([False, True], [['income', 10, 15]])
    """
    from pellucid import registry
    from pellucid.act.case import ask

    entry = registry.get("act", "recourse" if method == "auto" else method)
    case = ask(
        model, X, entry=entry, want=want, rules=rules, background=background, budget=budget, random_state=random_state, options=options
    )  # fmt: skip
    return registry.resolve(entry)(case)


callable_package("pellucid.act", "pellucid.act:act")
