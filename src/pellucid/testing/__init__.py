"""Common checks, oracles and saboteurs, shipped so that users' own methods can be tested like ours.

``predictors`` and ``oracles`` make models and tables whose right answer is known; ``checks_*`` hold the common checks, each a sentence
that raises ``AssertionError``; ``saboteurs`` holds the deliberately wrong doubles on which each check must go red. Nothing in the
package imports this room.
"""
