"""Registry lines of the trials. Order: cheap ones first, so that a short budget is spent on as many as possible."""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.evaluate"
_SANITY = "Adebayo et al. 2018, arXiv:1810.03292"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "completeness",
        "trial",
        f"{_AT}.completeness:run",
        "Do the contributions add up to what the model answered?",
        question="why",
        needs=("black box",),
        cost="N model rows",
        source="Sundararajan, Taly and Yan 2017, arXiv:1703.01365",
    ),
    Entry(
        "deletion",
        "trial",
        f"{_AT}.deletion:run",
        "Do the columns named first move the answer first, against random orders?",
        question="why",
        needs=("black box", "background"),
        cost="about 21 C B model rows for each of 50 rows",
        source="Petsiuk, Das and Saenko 2018, arXiv:1806.07421",
    ),
    Entry(
        "stability",
        "trial",
        f"{_AT}.stability:run",
        "Explained again with other random numbers, do the reasons stay?",
        question="why",
        needs=("black box",),
        cost="2 explanations of 50 rows",
        source="Slack et al. 2021, arXiv:2008.05030",
    ),
    Entry(
        "weight_randomisation",
        "trial",
        f"{_AT}.weight_randomisation:run",
        "Does the explanation change when the trained weights are replaced, layer by layer?",
        question="why",
        needs=("gradients",),
        cost="up to 7 explanations of 50 rows",
        source=_SANITY,
    ),
    Entry(
        "members",
        "trial",
        f"{_AT}.members:run",
        "Do the members of the model give the same reasons?",
        question="why",
        needs=("members",),
        cost="up to 6 explanations of 30 rows",
        source="Fisher, Rudin and Dominici 2019, JMLR 20(177)",
    ),
    Entry(
        "error_cover",
        "trial",
        f"{_AT}.error_cover:run",
        "Do the stated standard errors cover a computation with eight times the budget?",
        question="why",
        needs=("black box",),
        cost="9 explanations of 40 rows",
        source="own",
        experimental=True,
    ),
    Entry(
        "label_randomisation",
        "trial",
        f"{_AT}.label_randomisation:run",
        "Does a model fitted on shuffled labels get another explanation?",
        question="why",
        needs=("refit", "labels"),
        cost="one fit on at most 10,000 rows in a tenth of the fit's time; 2 explanations of 50 rows",
        source=_SANITY,
    ),
)
