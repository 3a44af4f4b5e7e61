"""A saved model at work: predictions, scores, and what they leave in the store.

Like `cvcore.trial`, this imports TensorFlow inside its functions only.
"""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore import layout
from cvcore.card import NO_MODEL_HINT
from cvcore.errors import StoreError, UsageError
from cvcore.records import Evaluation, TrialConfig
from cvcore.runtime import start_tensorflow
from cvcore.settings import DataConfig
from cvcore.store import Store

if TYPE_CHECKING:
    import keras
    import numpy as np
    import numpy.typing as npt

    from cvcore.datasets import Dataset
    from cvcore.training import Programs

# How long a trained trial waits for a store that does not take its results.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a worker keeps from trial to trial: the data, the store, and who it is.

    `fetch(uri, path)` brings an object of another store to a path. `memo` holds what is slow to
    make and the next trial may need again. `plain` trains through Keras `fit`. `gpu_fraction` is
    its share of each GPU it sees.
    """

    dataset: Dataset
    data: DataConfig
    store: Store
    worker: str
    threads: int
    cache_folder: Path
    fetch: Callable[[str, Path], None]
    deterministic: bool = False
    use_gpus: bool = True
    gpu_fraction: float = 1.0
    plain: bool = False
    memo: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Import TensorFlow as this worker was told to."""
        start_tensorflow(
            threads=self.threads, deterministic=self.deterministic, use_gpus=self.use_gpus
        )

    def programs(self) -> Programs | None:
        """Return the compiled programs of this worker; None where Keras `fit` is to train."""
        if self.plain:
            return None
        from cvcore.training import Programs

        found: Programs = self.memo.setdefault("programs", Programs())
        return found


def load_model(path: Path) -> keras.Model:
    """Load a saved model to look at or predict with; raise `UsageError` for a file without one."""
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{path} holds no model that Keras can load: {reason}", hint=NO_MODEL_HINT
        ) from error


class Predictor:
    """A saved model, ready to predict; images as they come out of `cvcore.datasets`.

    Raises `UsageError` for a file that holds none.
    """

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        model = load_model(path)
        self._forward = tf.function(
            lambda batch: model(batch, training=False), reduce_retracing=True
        )

    def logits(
        self, images: npt.NDArray[np.uint8], indices: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Return logits (len(indices), num_logits) float32, in the order of `indices`."""
        import numpy as np

        from cvcore.training import inference_batches

        parts = [self._forward(batch).numpy() for batch in inference_batches(images, indices)]
        return np.concatenate(parts).astype(np.float32)

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return class probabilities (n, num_classes) float32 of all images."""
        import numpy as np

        from cvcore.evaluation import probabilities

        return probabilities(self.logits(images, np.arange(len(images))))


def score_model(
    path: Path, dataset: Dataset, *, split: str, indices: npt.NDArray[np.int64]
) -> tuple[Evaluation, npt.NDArray[np.float32]]:
    """Evaluate a saved model on the images at `indices`; scores, and logits in their order."""
    from cvcore.evaluation import evaluate

    logits = Predictor(path).logits(dataset.images, indices)
    labels = dataset.labels[indices]
    return evaluate(logits, labels, class_names=dataset.class_names, split=split), logits


def score_best(config: TrialConfig, bench: Bench) -> Evaluation:
    """Score a trial's saved model once on the test split and leave its predictions."""
    bench.start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        bench.store.download(layout.model(config.sweep_id, config.trial_id), path)
        indices = bench.dataset.indices["test"]
        evaluation, logits = score_model(path, bench.dataset, split="test", indices=indices)
    leave_predictions(bench, logits, config=config, split="test")
    return evaluation


def patiently(write: Callable[[], None]) -> None:
    """Write to a store, again and again where it is away for a while; raises `StoreError`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return write()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def leave_predictions(
    bench: Bench, logits: npt.NDArray[np.float32], *, config: TrialConfig, split: str
) -> None:
    from cvcore.evaluation import probabilities
    from cvcore.predictions import predictions_file

    dataset, indices = bench.dataset, bench.dataset.indices[split]
    names = dataset.class_names
    chances = probabilities(logits)
    data = predictions_file(
        sweep_id=config.sweep_id,
        trial_id=config.trial_id,
        split=split,
        paths=[dataset.paths[i] for i in indices],
        labels=[names[label] for label in dataset.labels[indices]],
        predicted=[names[guess] for guess in chances.argmax(axis=1)],
        probabilities=chances,
    )
    key = layout.predictions(config.sweep_id, config.trial_id, split, config.attempt)
    patiently(lambda: bench.store.write(key, data))


def is_better(new: Evaluation, old: Evaluation, *, objective: str, mode: str) -> bool:
    """Rank two evaluations by the objective; a tie goes to the lower loss."""
    sign = 1.0 if mode == "max" else -1.0
    name = objective.removeprefix("val_")
    new_rank = (sign * getattr(new, name), -new.loss)
    return new_rank > (sign * getattr(old, name), -old.loss)
