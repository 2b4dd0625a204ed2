"""Attention as it stands in the network: where it looks, which columns it looks at together, and what each head adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.question import Question
from pellucid.nn.gradients.mixing import attention_slopes
from pellucid.protocols import FloatArray
from pellucid.results import Explanation, Heads, Interactions

__all__ = ["UNTESTED", "explain", "explain_heads", "explain_relations", "rollout"]

UNTESTED = (
    "this shows where the network looks, not what moves its answer: a column whose values are all zero can draw all attention. Believe it "
    "no further than its trials go"
)
HOW = ("map", "rollout", "gradient")


def explain(question: Question) -> Explanation:
    """Return how much attention each column gets (N, P, O), not negative.

    Options: ``how="map"`` (the answer token's weights, averaged over heads and layers; without such a token the weights that a column gets
    on average over the others: Gorishniy and others 2021, arXiv:2106.11959), ``"rollout"`` (weights and what goes past them, multiplied
    over the layers: Abnar, Zuidema 2020, arXiv:2005.00928), ``"gradient"`` (the positive part of weight times the output's slope in it,
    by output: Chefer, Gur, Wolf 2021, arXiv:2103.15679); ``layer`` and ``head`` choose one of each, counted from 0.
    A network with an attention of its own per output (``label_attention``) shows that one as the map.
    Cost: one forward pass per row, for ``"gradient"`` O passes back more.
    """
    how, parts = question.options["how"], question.view.named_parts(question.table)
    if how not in HOW:
        raise RequestError(f"there is no reading {how!r} of attention", expected=f"one of {', '.join(HOW)}")
    answers = question.view.raw(question.table)
    columns, outputs = len(question.view.columns), answers.shape[1]
    if how == "map" and "label_attention" in parts and parts["label_attention"].shape[1] == outputs:
        values = parts["label_attention"].transpose(0, 2, 1)
    elif how == "gradient":
        values = _by_slope(question, parts, columns)
    else:
        maps = _chosen(_maps(parts, question), question.options)
        one = rollout(maps) if how == "rollout" else maps.mean((1, 2))
        values = np.repeat(_of_answer(one, columns)[:, :, None], outputs, 2)
    by_player = question.players.sum_over_columns(values.transpose(0, 2, 1)).transpose(0, 2, 1)
    caveats = (UNTESTED, *_relevant(question, parts))
    made = question.answer(
        by_player, np.zeros(outputs), answers, complete=False, settings=dict(question.options), caveats=caveats, says="sizes"
    )
    return dataclasses.replace(made, scale="share of attention")


def rollout(maps: FloatArray) -> FloatArray:
    """Return (N, T, T): what each token holds of each at the end, from maps (N, L, heads, T, T).

    Abnar and Zuidema 2020, arXiv:2005.00928: half of a layer's weights (heads averaged) and half of what goes past, rows summing to 1,
    multiplied over the layers.

    Examples
    --------
    >>> rollout(np.array([[[[[0.0, 1.0], [0.0, 1.0]]]]])).tolist()
    [[[0.5, 0.5], [0.0, 1.0]]]
    """
    size = maps.shape[-1]
    whole = np.broadcast_to(np.eye(size), (len(maps), size, size))
    for layer in range(maps.shape[1]):
        mixed = maps[:, layer].mean(1) + np.eye(size)
        whole = (mixed / mixed.sum(-1, keepdims=True)) @ whole
    return whole


def explain_relations(question: Question) -> Interactions:
    """Return for every pair of columns how strongly the network relates them, (N, pairs, O), the same for every output.

    From attention maps the mean over layers and heads of both directions (Song and others 2018, arXiv:1810.11921); from the powers of
    ARM-Net's products the sum of absolute products of two columns' powers; from TabNet's masks the sum over steps of products of masks.
    Candidates for interactions, to be verified by removing columns. Cost: one forward pass per row.
    """
    if len(question.players) != len(question.view.columns):
        raise RequestError("relations of groups of columns are not defined", do="leave groups out")
    parts, names = question.view.named_parts(question.table), question.view.columns
    outputs = len(question.view.outputs)
    if len(names) < 2:
        raise RequestError("there are no pairs of one column", expected="at least two columns")
    if "attention" in parts:
        maps = _chosen(_maps(parts, question), question.options).mean((1, 2))[:, -len(names) :, -len(names) :]
        matrix, source = (maps + maps.transpose(0, 2, 1)) / 2, "attention"
    elif "powers" in parts or "masks" in parts:
        source = "powers" if "powers" in parts else "masks"
        matrix = np.einsum("nsi,nsj->nij", np.abs(parts[source]), np.abs(parts[source]))
    else:
        raise _nothing("attention, powers or masks", parts)
    pairs = list(combinations(range(len(names)), 2))
    values = matrix[:, [i for i, _ in pairs], [j for _, j in pairs]]
    return Interactions(
        sets=tuple((names[i], names[j]) for i, j in pairs), by_set=np.repeat(values[:, :, None], outputs, 2), columns=tuple(names),
        outputs=question.view.outputs, scale=f"share of {source}", index=source, method=question.method,
        record=question.record({**question.options, "source": source}, (UNTESTED, *_relevant(question, parts))), data=question.table.frame,
    )  # fmt: skip


def explain_heads(question: Question) -> Heads:
    """Return what each attention head adds to the answer: weights times the output's slope in them, summed, (N, L, heads, O).

    Michel, Levy, Neubig 2019, arXiv:1905.10650: to first order what the answer loses when the head's weights are set to 0.
    Cost: one forward pass and O passes back per row.
    """
    parts = question.view.named_parts(question.table)
    heads, size = _form(parts, question)
    layers = attention_slopes(question.view.from_tokens, question.view.tokens(question.table), heads, size)
    each = [to_numpy((slope * weights[:, None]).sum((-1, -2))).transpose(0, 2, 1) for weights, slope in layers]
    return Heads(
        values=np.stack(each, 1), outputs=question.view.outputs, scale=question.view.scale, method=question.method,
        record=question.record(), index=np.asarray(question.table.frame.index),
    )  # fmt: skip


def _by_slope(question: Question, parts: Mapping[str, npt.NDArray[Any]], columns: int) -> FloatArray:
    """Return the positive part of weight times slope (N, C, O), averaged over heads and layers."""
    heads, size = _form(parts, question)
    if size < columns:
        raise RequestError("only some columns attend in this network", do="use how='map'")
    total, count = np.zeros(()), 0
    layers = attention_slopes(question.view.from_tokens, question.view.tokens(question.table), heads, size)
    for k, (weights, slope) in enumerate(layers):
        if question.options["layer"] not in (None, k):
            continue
        each = (slope * weights[:, None]).clamp(min=0).sum(-2)  # (N, O, heads, T), over all that ask
        each = each if question.options["head"] is None else each[:, :, [question.options["head"]]]
        total, count = total + to_numpy(each.mean(2))[..., -columns:].transpose(0, 2, 1), count + 1
    if not count:
        raise RequestError(f"there is no layer {question.options['layer']}", expected=f"0 to {len(layers) - 1}")
    return np.asarray(total / count)


def _maps(parts: Mapping[str, npt.NDArray[Any]], question: Question) -> FloatArray:
    if "attention" not in parts:
        raise _nothing("attention", parts)
    return parts["attention"]


def _form(parts: Mapping[str, npt.NDArray[Any]], question: Question) -> tuple[int, int]:
    """Return (heads, tokens among which the network attends)."""
    maps = _maps(parts, question)
    attending = parts.get("attending")
    return maps.shape[2], maps.shape[3] if attending is None else int(attending[0].sum())


def _chosen(maps: FloatArray, options: Mapping[str, Any]) -> FloatArray:
    """Return the maps of the layer and the head asked for."""
    for axis, name in ((1, "layer"), (2, "head")):
        wanted = options[name]
        if wanted is None:
            continue
        if not isinstance(wanted, int) or not 0 <= wanted < maps.shape[axis]:
            raise RequestError(f"there is no {name} {wanted!r}", expected=f"0 to {maps.shape[axis] - 1}")
        maps = maps.take([wanted], axis)
    return maps


def _of_answer(one: FloatArray, columns: int) -> FloatArray:
    """Return (N, C) from maps (N, T, T): the first token's where it is the answer's, else the mean over all that ask."""
    return one[:, 0, -columns:] if one.shape[1] > columns else one.mean(1)


def _nothing(wanted: str, parts: Mapping[str, npt.NDArray[Any]]) -> RequestError:
    shown = ", ".join(sorted(set(parts) - {"hidden"})) or "nothing"
    named = "'ft_transformer' or 'autoint'" if wanted == "attention" else "'ft_transformer' or 'tabnet'"
    return RequestError(f"this network shows no {wanted}", got=shown, do=f"use a backbone that does, such as {named}")


def _relevant(question: Question, parts: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Return the caveat of networks in which not every column attends."""
    attending = parts.get("attending")
    if attending is None or bool(attending[0].all()):
        return ()
    passing = [c for c, a in zip(question.view.columns, attending[0]) if not a]
    return (f"these columns take no part in the attention and get 0: {', '.join(passing[:8])}{', ...' if len(passing) > 8 else ''}",)
