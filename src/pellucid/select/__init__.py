"""Which columns count? Tests with a stated rate of false discoveries; one file a method, all read a :class:`pellucid.select.ask.Ask`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pellucid.registry import callable_package

if TYPE_CHECKING:
    from pellucid.results import Selection

__all__ = ["select"]


def select(
    subject: Any,
    *,
    method: str = "conditional_randomisation",
    X: Any = None,
    y: Any = None,
    target: str | None = None,
    level: float = 0.1,
    background: Any = None,
    sampler: Any = None,
    output: Any = None,
    random_state: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Selection:
    """Choose columns so that of those chosen at most a share ``level`` is chosen by chance, on average.

    A column counts where it adds something to all the others: its cell is drawn anew given the rest of the row, and what changes is tested.

    Parameters
    ----------
    subject : a table with a target (or a frame with ``target=``), or a fitted model (then with ``X``).
    method : a name from ``pellucid.methods("select")``.
    X, y : rows for the model, and their labels where the method compares losses.
    level : most false discoveries, as a share of the discoveries.
    background : rows to learn the draws from; the model's kept rows, or the table, by default.
    sampler : draws cells given the others, with ``sample(table, known, n, seed)``: a row model; by default a Gaussian copula of the
        background.
    output : the class or output that is tested; by default the only one, or the model's own choice in each row.
    options : settings of the method's own; ``pellucid.methods("select")`` lists them with their defaults.

    Returns
    -------
    Selection: chosen columns of the table, or of each row, with statistics and p- or e-values.

    Raises
    ------
    RequestError : an unknown method or option, a level outside (0, 1), or rows or labels that are missing.

    Notes
    -----
    The rate holds as far as the draws are right: the copula is exact for Gaussian columns and near for others. Where two columns say the
    same, neither adds anything to the other and neither is chosen.

    Examples
    --------
    >>> import numpy as np, pandas as pd, pellucid.select
    >>> x = np.random.default_rng(0).standard_normal((300, 3))
    >>> frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=2 * x[:, 0] - x[:, 1])
    >>> pellucid.select.select(frame, target="y", method="skit", random_state=0).names
    ('a', 'b')
    """
    from pellucid import registry
    from pellucid.select.ask import ask

    entry = registry.get("select", method)
    question = ask(
        subject, entry, X=X, y=y, target=target, level=level, background=background, sampler=sampler, output=output,
        random_state=random_state, options=options,
    )  # fmt: skip
    answer: Selection = registry.resolve(entry)(question)
    return answer


callable_package("pellucid.select", "pellucid.select:select")
