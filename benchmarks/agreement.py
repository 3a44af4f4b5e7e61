"""Whether two systems trained the same thing: without it no ratio of seconds means anything.

A check that nothing can fail is none. Over 20 runs of `bench_sweep`'s CNN the accuracy after three
epochs had a standard deviation of 0.14 between two systems of equal work, and a model that learns
nothing lies 0.08 below: eight configurations cannot tell. So a check must also be able to see that.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# A difference of means within what seeds explain: three standard errors, and at least this.
STANDARD_ERRORS = 3.0
LEAST_ALLOWED = 0.02
# Fewer say nothing of their own spread.
MIN_CONFIGURATIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The mean difference between the scores of two systems, and the largest that seeds explain.

    `margin` is how far the lower mean lies above chance.
    """

    difference: float
    allowed: float
    margin: float
    num_configurations: int

    @property
    def conclusive(self) -> bool:
        """Tell whether a system that learned nothing would have been found out."""
        return self.num_configurations >= MIN_CONFIGURATIONS and self.allowed < self.margin

    @property
    def verdict(self) -> str:
        """Say "agree", "differ", or "inconclusive"; only the first allows a ratio."""
        if not self.conclusive:
            return "inconclusive"
        return "agree" if abs(self.difference) <= self.allowed else "differ"


def compare(scores: Sequence[float], others: Sequence[float], *, chance: float) -> Agreement:
    """Compare scores of 0 to 1, configuration by configuration; `chance` is that of no learning.

    Raises `ValueError` where one of the two has more of them.
    """
    differences = [one - other for one, other in zip(scores, others, strict=True)]
    spread = statistics.stdev(differences) if len(differences) > 1 else math.inf
    error = spread / math.sqrt(len(differences))
    return Agreement(
        difference=statistics.mean(differences),
        allowed=max(STANDARD_ERRORS * error, LEAST_ALLOWED),
        margin=min(statistics.mean(scores), statistics.mean(others)) - chance,
        num_configurations=len(differences),
    )


def chance_of(class_counts: Sequence[int]) -> float:
    """Return the accuracy of always naming the largest class."""
    return max(class_counts) / sum(class_counts)
