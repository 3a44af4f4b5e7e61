"""Training: arrays and a model in, one `EpochMetrics` an epoch out; Keras `fit` does the steps."""

from __future__ import annotations

from cvcore.training.devices import choose_strategy
from cvcore.training.feed import inference_batches
from cvcore.training.trainer import Trainer

__all__ = ["Trainer", "choose_strategy", "inference_batches"]
