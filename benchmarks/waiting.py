"""What stands for training in a worker: to wait. A module of its own, so that workers import it."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from benchmarks.simulated_trials import NUM_EPOCHS

# A worker's first trial is longer, as by the import of TensorFlow, and so lets the others start:
# Tune gives a free worker the next trial although a worker is being started for that, and stops
# the start. With short trials alone, one worker of four did all of 500.
WARM_UP_SECONDS = 8.0


@cache
def warm_up() -> None:
    """Take long, once a process."""
    time.sleep(WARM_UP_SECONDS)


def wait(config: dict[str, Any], *, trial_seconds: float, warms_up: bool) -> None:
    """Stand in for a training function of Ray Tune."""
    from ray import tune

    if warms_up:
        warm_up()
    for epoch in range(1, NUM_EPOCHS + 1):
        time.sleep(trial_seconds / NUM_EPOCHS)
        tune.report(
            {"epoch": epoch, "val_accuracy": config["learning_rate"], "worker": os.getpid()}
        )
