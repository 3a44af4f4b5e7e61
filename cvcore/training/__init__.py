"""Training: arrays and a model in, one `EpochMetrics` an epoch out."""

from __future__ import annotations

from cvcore.training.devices import choose_strategy
from cvcore.training.feed import inference_batches
from cvcore.training.program import Blueprint, Programs
from cvcore.training.trainer import Trainer

__all__ = ["Blueprint", "Programs", "Trainer", "choose_strategy", "inference_batches"]
