"""A frozen base at work on a data set: which bank of features a trial needs, and how it is filled.

Rows 0..n-1 of a bank are the n images as they are; then, view by view, come the augmented training
images. Like `cvcore.trial`, this imports TensorFlow inside its functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvcore.augmentation import augmentations
from cvcore.features import MAX_BANK_BYTES, About, FeatureBank
from cvcore.records import TrialConfig
from cvcore.scoring import Bench
from cvcore.settings import ModelConfig
from cvcore.weights import Weights

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from cvcore.features import Features


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureRows:
    """The rows that a head trains on, in the shape of `cvcore.training.trainer.Arrays`."""

    features: Features
    labels: NDArray[np.int32]
    train: NDArray[np.int64]
    about: About


class Extraction:
    """The features of one trial, filled stretch by stretch."""

    def __init__(self, config: TrialConfig, model: ModelConfig, weights: Weights, bench: Bench):
        dataset = bench.dataset
        augmentation = augmentations(model)
        self.num_views = 0
        if augmentation:
            self.num_views = min(config.training.feature_views, config.training.epochs)
        num_images, num_train = len(dataset.images), len(dataset.indices["train"])
        identity = {
            "dataset_fingerprint": dataset.fingerprint,
            "base": model.base,
            "preprocessing": model.preprocessing,
            "weights_sha256": weights.sha256,
            "image_size": bench.data.image_size,
            "cut": "pooled" if model.head == "gap" else "maps",
            "precision": config.training.precision,
            "augmentation": augmentation or None,
            "num_views": self.num_views,
        }
        self._model, self._bench = model, bench
        self._precision = config.training.precision
        self._bank = FeatureBank(
            identity,
            num_rows=num_images + self.num_views * num_train,
            folder=bench.cache_folder,
            store=bench.store,
        )

    def rows(self, *, deadline: float) -> FeatureRows | None:
        """Fill the bank until `deadline`; return its rows as soon as it is whole."""
        about = self._about()
        if not self._bank.fill(about, self._compute, deadline=deadline):
            return None
        import numpy as np

        dataset, num_images = self._bench.dataset, len(self._bench.dataset.images)
        train = dataset.indices["train"]
        views = num_images + np.arange(self.num_views * len(train)).reshape(-1, len(train))
        return FeatureRows(
            features=self._bank.open(about),
            labels=np.concatenate([dataset.labels, np.tile(dataset.labels[train], self.num_views)]),
            train=views if self.num_views else train[None],
            about=about,
        )

    @property
    def num_computed(self) -> int:
        """Count the rows that had to be computed here so far."""
        return self._bank.num_computed

    @property
    def fits(self) -> bool:
        """Tell whether the bank is small enough to be kept."""
        return self._about().num_bytes(self._bank.num_rows) <= MAX_BANK_BYTES

    def _about(self) -> About:
        about = self._bank.about()
        if about is None:
            base = self.base()
            shape = tuple(base.output_shape[1:])
            about = About(
                feature_shape=shape[-1:] if self._model.head == "gap" else shape,
                num_base_params=base.count_params(),
            )
            self._bank.describe(about)
        return about

    def base(self) -> keras.Model:
        """Build the frozen base, or take the one that this worker built last."""
        model, memo = self._model, self._bench.memo
        key = (model.base, model.weights, self._precision)
        if memo.get("base_key") != key:
            from cvcore.models import frozen_base

            memo.pop("extract_key", None)
            memo["base"] = frozen_base(
                model,
                image_size=self._bench.data.image_size,
                channels=self._bench.dataset.images.shape[-1],
                precision=self._precision,
            )
            memo["base_key"] = key
        base: keras.Model = memo["base"]
        return base

    def _extract(self) -> Callable[[Any], Any]:
        """Build the function from images to features, or take this worker's last one."""
        base, memo = self.base(), self._bench.memo
        key = (self._model.preprocessing, self._model.head == "gap")
        if memo.get("extract_key") != key:
            import tensorflow as tf

            from cvcore.models import build_extractor

            model = build_extractor(self._model, base, precision=self._precision)
            memo["extract"] = tf.function(
                lambda batch: model(batch, training=False), reduce_retracing=True
            )
            memo["extract_key"] = key
        extract: Callable[[Any], Any] = memo["extract"]
        return extract

    def _compute(self, rows: range) -> Features:
        """Run some rows of the bank through the base; the same rows give the same numbers."""
        import numpy as np

        dataset = self._bench.dataset
        num_images, train = len(dataset.images), dataset.indices["train"]
        numbers = np.arange(rows.start, rows.stop)
        plain, views = numbers[numbers < num_images], numbers[numbers >= num_images] - num_images
        parts = [
            *self._features(plain, []),
            *self._features(train[views % len(train)], self._random(rows)),
        ]
        return np.concatenate(parts).astype(np.float32)

    def _features(
        self, images: NDArray[np.int64], random_layers: list[keras.layers.Layer]
    ) -> Iterator[NDArray[np.floating]]:
        from cvcore.training import inference_batches

        extract = self._extract()
        for batch in inference_batches(self._bench.dataset.images, images):
            for layer in random_layers:
                batch = layer(batch, training=True)
            yield extract(batch).numpy()

    def _random(self, rows: range) -> list[keras.layers.Layer]:
        """Make the random layers with seeds that follow from the rows, whoever computes them."""
        import keras

        from cvcore.models.blocks import augmentation

        digest = hashlib.sha256(f"{self._bank.key}/{rows.start}".encode()).digest()
        keras.utils.set_random_seed(int.from_bytes(digest[:4], "big"))
        return augmentation(self._model)
