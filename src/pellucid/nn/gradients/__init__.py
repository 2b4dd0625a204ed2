"""The gradient engine: everything that differentiates a network for an answer goes through here.

``slopes``: derivatives and their average along a path. ``tape``: the record of every operation of a pass, on which the rules work that
replace derivatives: ``secants`` (differences to a reference), ``relevance`` (shares of the output, and guided gradients),
``relevance_layers`` (those shares at every layer), ``parting`` (the part that some columns have in every activation). It sees a function
from tokens (N, C, D) to outputs (N, O) whose rows do not depend on each other, and nothing else.
"""

from pellucid.nn.gradients.slopes import doubts, integrated, nodes, token_gradients

__all__ = ["doubts", "integrated", "nodes", "token_gradients"]
