"""What the words on the page mean: one sentence each, printed in the annex and behind every figure."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid import registry

__all__ = ["GLOSSARY", "METRICS", "SCALES", "trial_definition"]

METRICS: Mapping[str, str] = {
    "accuracy": "Share of rows whose predicted class is the true one.",
    "balanced_accuracy": "Accuracy in each class, averaged over the classes, so that rare classes count as much as common ones.",
    "roc_auc": "Chance that a random row of the class gets a higher probability than a random row outside it; 0.5 is guessing, 1 "
    "perfect order.",
    "log_loss": "Mean of minus the natural logarithm of the probability given to the true class; smaller is better.",
    "brier": "Mean squared distance between the probabilities and the truth; smaller is better.",
    "rmse": "Square root of the mean squared error, in the unit of the target; smaller is better.",
    "mae": "Mean absolute error, in the unit of the target; smaller is better.",
    "r2": "Share of the target's variance that the predictions account for; 0 is always answering the mean.",
    "coverage": "Share of rows whose true answer lies in the set or interval given with the prediction; it must be close to the promise.",
    "set_size": "Mean number of classes in the conformal set; 1 is decided, more is undecided.",
    "width": "Mean width of the conformal interval, in the unit of the target.",
    "ece": "Mean distance between predicted probability and observed share over bins, weighted by rows; it is above 0 even for a perfectly "
    "calibrated model, so it is read against that null.",
    "f1": "Harmonic mean of precision and recall.",
}

SCALES: Mapping[str, str] = {
    "log-odds": "Natural logarithm of p / (1 - p), where p is the calibrated probability; adding 0.69 doubles the odds, 0 is p = 0.5.",
    "probability": "Probability between 0 and 1.",
}

GLOSSARY: Mapping[str, str] = {
    "95 % interval": "Made so that in 95 of 100 repetitions on as many rows from the same source it holds the figure that endless "
    "rows would give.",
    "null": "What the figure would be if the answer knew nothing, or the limit it must keep. A figure means little without its null.",
    "trial": "A test of an explanation or a finding. PASS: it did better than its null. FAIL: it did not. NOT TESTED: "
    "it gave no verdict, as it does not apply, found no time, or its figure lies on both sides of the limit; which of these is said.",
    "base": "What the model answers when no column is known: its mean answer over the background rows.",
    "contribution": "How much one column moves this row's answer away from the base, averaged over the ways of knowing the other columns. "
    "It describes the model, not causes in the world.",
    "accumulated local effect": "How the answer changes along a column when rows move only to neighbouring values, added up; its mean over "
    "rows is 0.",
    "interaction": "What two columns add to an answer together, beyond what each adds alone.",
    "fidelity": "How well a copy gives the model's own answers on rows it was not made from: share of equal labels, or R² for numbers.",
    "completeness gap": "Answer minus base minus the sum of all contributions; 0 means that nothing is left unexplained.",
    "conformal set or interval": "Built on rows set aside for it, so that it holds the true answer at the promised rate on rows like them.",
    "aleatoric doubt": "Noise in the target: more rows would not remove it. What all members get wrong alike is counted with it. In nats "
    "for classes, in squared units for numbers.",
    "epistemic doubt": "Lack of knowledge: the members of the model disagree; more rows like this one would help.",
    "familiarity": "Percentile of this row's likeness to the training table among training rows set aside; near 0 is like nothing seen.",
    "split plan": "Which rows were used for what, decided once: train, stop (when to stop), certify (certainty), test (figures on "
    "this page).",
    "paired difference": "Two models judged on the same rows, row by row; its interval is narrower than that of two separate scores.",
}


def trial_definition(name: str) -> str:
    """Return what a trial does, in the words of its registry line."""
    found = [e.summary for e in registry.entries("trial") if e.name == name]
    return found[0] if found else "A test of the answer; its words say what was measured."
