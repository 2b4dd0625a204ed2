"""Registry lines of the peers: honest baselines under the same face as the networks."""

from __future__ import annotations

from pellucid.registry import Entry

_AT = "pellucid.estimators"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "linear",
        "backbone",
        f"{_AT}.peers:LinearEngine",
        "Logistic or ridge regression on z-scored numbers and one-hot levels; coefficients can be read.",
        takes="matrix",
        cost="a second for 30,000 rows",
        source="Cox 1958, doi:10.1111/j.2517-6161.1958.tb00292.x; Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
    ),
    Entry(
        "knn",
        "backbone",
        f"{_AT}.peers:KnnEngine",
        "The 15 nearest training rows vote.",
        takes="matrix",
        cost="N distances per row",
        source="Cover and Hart 1967, doi:10.1109/TIT.1967.1053964",
    ),
    Entry(
        "tree",
        "backbone",
        f"{_AT}.peers:TreeEngine",
        "One decision tree of at most 16 leaves, printed as rules.",
        takes="matrix",
        cost="a second for 30,000 rows",
        source="Breiman, Friedman, Olshen, Stone 1984, doi:10.1201/9781315139470",
    ),
    Entry(
        "hist_gb",
        "backbone",
        f"{_AT}.peers:HistGBEngine",
        "scikit-learn's histogram gradient boosting.",
        takes="matrix",
        cost="seconds for 30,000 rows",
        source="Friedman 2001, doi:10.1214/aos/1013203451",
        exempt={"save": "its fitted form is a pickle, and loading must not run code"},
    ),
    Entry(
        "lightgbm",
        "backbone",
        f"{_AT}.boosters:LightGBMEngine",
        "LightGBM at a learning rate of 0.05 with early stopping.",
        takes="matrix",
        cost="seconds for 30,000 rows",
        source="Ke et al. 2017, NeurIPS 30",
        extra="boost",
    ),
    Entry(
        "xgboost",
        "backbone",
        f"{_AT}.boosters:XGBoostEngine",
        "XGBoost at a learning rate of 0.05 with early stopping.",
        takes="matrix",
        cost="seconds for 30,000 rows",
        source="Chen and Guestrin 2016, doi:10.1145/2939672.2939785",
        extra="boost",
    ),
    Entry(
        "catboost",
        "backbone",
        f"{_AT}.boosters:CatBoostEngine",
        "CatBoost's defaults with early stopping.",
        takes="matrix",
        cost="tens of seconds for 30,000 rows",
        source="Prokhorenkova et al. 2018, arXiv:1706.09516",
        extra="boost",
    ),
)
