"""From logits to scores: NumPy only, so that the same figures come out with or without a model."""

from __future__ import annotations

from cvcore.evaluation.assessment import Assessment, assess
from cvcore.evaluation.metrics import evaluate, probabilities

__all__ = ["Assessment", "assess", "evaluate", "probabilities"]
