"""Which devices a trial runs on, and the `tf.distribute` strategy that follows."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The devices of a trial and the strategy over them (None: plain Keras on one device)."""

    devices: tuple[str, ...]
    strategy: tf.distribute.Strategy | None

    @property
    def name(self) -> str:
        """Name the strategy as it is recorded with the trial."""
        return type(self.strategy).__name__ if self.strategy else "single device"


def choose_strategy() -> Placement:
    """Take every GPU this process may see, else its logical CPU devices.

    A launcher limits GPUs by `CUDA_VISIBLE_DEVICES` (Ray does). Several devices give a
    `MirroredStrategy`, whose replicas share each global batch.
    """
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = tuple(device.name for device in tf.config.list_logical_devices(kind))
    strategy = tf.distribute.MirroredStrategy(list(devices)) if len(devices) > 1 else None
    return Placement(devices=devices, strategy=strategy)
