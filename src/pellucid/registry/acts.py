"""Registry lines of what a person can do about an answer."""

from __future__ import annotations

from pellucid.registry import Entry

_SINGLE = "Cheon, Wernerfelt, Friedler, Ustun 2024, arXiv:2410.22598"
_JOINT = "Wachter, Mittelstadt, Russell 2017, arXiv:1711.00399; Mothilal, Sharma, Tan 2020, arXiv:1905.07697"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="recourse",
        kind="act",
        target="pellucid.act.recourse:act",
        summary="What a person can do: which single changes respond, who is fixed, and joint changes that reach the wanted answer.",
        needs=("black box", "background", "goal"),
        gives="Actions",
        options={"draws": 200, "options": 3, "donors": 8},
        cost="that of responsiveness and counterfactual",
        source=f"{_SINGLE}; {_JOINT}",
    ),
    Entry(
        name="responsiveness",
        kind="act",
        target="pellucid.act.responsiveness:act",
        summary="Share of the allowed changes of one column that reach the wanted answer; people whom no single change helps are named.",
        needs=("black box", "background", "goal"),
        gives="Actions",
        options={"draws": 200},
        cost="per row: the sum over columns of at most 500 changes",
        source=_SINGLE,
    ),
    Entry(
        name="counterfactual",
        kind="act",
        target="pellucid.act.counterfactual:act",
        summary="Few, small, different joint changes within the rules that reach the wanted answer, each tried again as a whole row.",
        needs=("black box", "background", "goal"),
        gives="Actions",
        options={"options": 3, "donors": 8},
        cost="per row: donors + 1 searches of at most C (C + 1) / 2 mixes, and 12 rows per number moved back",
        source=_JOINT,
    ),
    Entry(
        name="minimize",
        kind="act",
        target="pellucid.act.minimize:act",
        summary="The fewest cells to ask of each person until the decision is settled with a stated probability, one at a time.",
        needs=("black box", "background"),
        gives="Inquiry",
        options={"delta": 0.05, "draws": 128, "known": (), "fill": "conditional"},
        cost="per row: draws model rows per cell asked",
        source="Tran, Fioretto 2023, arXiv:2305.17593",
    ),
    Entry(
        name="reason_codes",
        kind="act",
        target="pellucid.act.reasons:act",
        summary="The columns named first as reasons beside those whose change would help: how many people get reasons without recourse?",
        needs=("black box", "background", "goal"),
        gives="Actions",
        options={"draws": 200, "top": 4, "explain": "shapley", "explanation": None},
        cost="that of responsiveness and of one explanation",
        source=_SINGLE,
    ),
)
