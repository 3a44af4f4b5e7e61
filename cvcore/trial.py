"""One trial: the only place that knows the order dataset, model, training, evaluation.

TensorFlow is imported inside these functions, so that whoever plans trials never pays for it. A
trial never raises: what goes wrong ends up in its outcome, and the sweep goes on.
"""

from __future__ import annotations

import math
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore import __version__, layout
from cvcore.card import write_card
from cvcore.errors import TrialFailed
from cvcore.records import LEDGER, EpochMetrics, Evaluation, TrialConfig, TrialOutcome
from cvcore.scoring import Bench, leave_predictions, patiently

if TYPE_CHECKING:
    from cvcore.training import Trainer


# The file in a checkpoint that names the trial it was taken of.
OWNER = "trial_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a stretch of training gave.

    While `done` is False, `outcome` is how the trial would stand if it were stopped here.
    """

    epochs: tuple[EpochMetrics, ...]
    outcome: TrialOutcome
    done: bool


class TrialSession:
    """A trial under way in this process.

    `best_value` is the best objective known when it started: a completed trial that does not beat
    it leaves no model behind. `waited` maps ledger names to seconds spent before it began.
    """

    def __init__(
        self,
        config: TrialConfig,
        bench: Bench,
        *,
        best_value: float | None = None,
        waited: Mapping[str, float] | None = None,
    ) -> None:
        self.config = config
        self.bench = bench
        self.trainer: Trainer | None = None
        self._best_value = best_value
        self._seconds = dict.fromkeys(LEDGER, 0.0) | dict(waited or {})
        self._started_at = time.time()
        self._paused = time.perf_counter()
        self._placement = ("", "")
        self._num_loaded = 0
        self._num_reported = 0

    def step(self, *, until_epoch: int, max_seconds: float = math.inf) -> Progress:
        """Train to `until_epoch` or for about `max_seconds`, whichever ends first."""
        self._seconds["report"] += time.perf_counter() - self._paused
        try:
            trainer = self.trainer or self.build()
            trainer.advance(until_epoch=until_epoch, max_seconds=max_seconds)
            done = trainer.finished
            outcome = self._complete(trainer) if done else self._outcome("stopped")
        except Exception as error:  # noqa: BLE001  the boundary: a trial's failure is its row
            done, outcome = True, self._failed(error)
        epochs = self.trainer.epochs[self._num_reported :] if self.trainer else []
        self._num_reported = self.epoch
        self._paused = time.perf_counter()
        return Progress(epochs=tuple(epochs), outcome=outcome, done=done)

    @property
    def epoch(self) -> int:
        """Count the epochs trained so far."""
        return len(self.trainer.epochs) if self.trainer else 0

    def save(self, folder: Path) -> None:
        """Write what the next epoch depends on, to go on elsewhere or as another trial."""
        if self.trainer is not None:
            from cvcore.training import checkpoint

            checkpoint.save(self.trainer, folder)
            (folder / OWNER).write_text(self.config.trial_id)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote; nothing written means from the start.

        The next `step` reports the loaded epochs too: they may be those of another trial.
        """
        if any(folder.iterdir()):
            trainer = self.trainer or self.build()
            from cvcore.training import checkpoint

            is_own = (folder / OWNER).read_text() == self.config.trial_id
            checkpoint.load(trainer, folder, is_own=is_own)
            self._num_loaded, self._num_reported = 0 if is_own else self.epoch, 0

    def build(self) -> Trainer:
        """Seed everything and build the model; the first `step` does it if nobody has."""
        started = time.perf_counter()
        self.bench.start()
        self._seconds["import"] += time.perf_counter() - started
        import keras

        from cvcore.evaluation import evaluate
        from cvcore.models import build
        from cvcore.training import Trainer, choose_strategy
        from cvcore.training.trainer import Arrays

        dataset, config = self.bench.dataset, self.config
        keras.utils.clear_session()
        placement = choose_strategy()
        self._placement = (", ".join(placement.devices), placement.name)
        indices = dataset.indices
        validation_labels = dataset.labels[indices["validation"]]
        try:
            self.trainer = Trainer(
                partial(
                    build,
                    config.model,
                    image_size=self.bench.data.image_size,
                    channels=dataset.images.shape[-1],
                    num_classes=len(dataset.class_names),
                    precision=config.training.precision,
                ),
                Arrays(
                    images=dataset.images,
                    labels=dataset.labels,
                    train=indices["train"],
                    validation=indices["validation"],
                ),
                config=config.training,
                seed=config.seed,
                placement=placement,
                score=partial(
                    evaluate,
                    labels=validation_labels,
                    class_names=dataset.class_names,
                    split="validation",
                ),
                better=partial(is_better, objective=config.objective, mode=config.mode),
            )
        except ValueError as error:
            raise TrialFailed("invalid_configuration", str(error)) from error
        return self.trainer

    def _complete(self, trainer: Trainer) -> TrialOutcome:
        """Leave predictions, and the model if it may be the best, in the store."""
        outcome = self._outcome("completed")
        started = time.perf_counter()
        value = outcome.value(self.config.objective)
        best = trainer.best
        if best is not None:
            leave_predictions(self.bench, best.logits, config=self.config, split="validation")
        improves = _improves(value, self._best_value, mode=self.config.mode)
        if improves:
            trainer.restore_best()
            self._leave_model(trainer)
        seconds = dict(outcome.seconds)
        seconds["report"] += time.perf_counter() - started
        return replace(outcome, has_model=improves, seconds=seconds, finished_at=time.time())

    def _leave_model(self, trainer: Trainer) -> None:
        key = layout.model(self.config.sweep_id, self.config.trial_id)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            trainer.model.save(path)
            write_card(path, self._card())
            patiently(lambda: self.bench.store.upload(key, path))

    def _card(self) -> dict[str, Any]:
        import keras
        import tensorflow as tf

        return {
            "class_names": list(self.bench.dataset.class_names),
            "data": asdict(self.bench.data),
            "dataset_fingerprint": self.bench.dataset.fingerprint,
            "sweep_id": self.config.sweep_id,
            "trial_id": self.config.trial_id,
            "hyperparameters": dict(self.config.columns),
            "seed": self.config.seed,
            "threads": self.bench.threads,
            "versions": {
                "cvjobs": __version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "python": platform.python_version(),
            },
        }

    def _outcome(self, status: str) -> TrialOutcome:
        outcome = TrialOutcome(
            status=status,
            worker=self.bench.worker,
            device=self._placement[0],
            strategy=self._placement[1],
            seconds=dict(self._seconds),
            started_at=self._started_at,
            finished_at=time.time(),
        )
        trainer = self.trainer
        if trainer is None:
            return outcome
        num_trained = len(trainer.epochs) - self._num_loaded
        num_seen = len(self.bench.dataset.indices["train"]) * num_trained
        train_seconds = trainer.seconds["train"]
        on_gpu = "GPU" in self._placement[0]
        best = trainer.best
        return replace(
            outcome,
            epochs_run=len(trainer.epochs),
            best_epoch=best.epoch if best else None,
            validation=best.evaluation if best else None,
            num_params=trainer.model.count_params(),
            num_trainable_params=sum(math.prod(w.shape) for w in trainer.model.trainable_weights),
            images_per_second=num_seen / train_seconds if train_seconds > 0 else None,
            seconds={**self._seconds, **trainer.seconds},
            gpu_seconds=sum(trainer.seconds.values()) if on_gpu else 0.0,
        )

    def _failed(self, error: Exception) -> TrialOutcome:
        kind = error.kind if isinstance(error, TrialFailed) else _kind(error)
        message = str(error).strip() or type(error).__name__
        return replace(
            self._outcome("failed"), error_type=kind, error_message=message[:2000], validation=None
        )


def is_better(new: Evaluation, old: Evaluation, *, objective: str, mode: str) -> bool:
    """Rank two evaluations by the objective; a tie goes to the lower loss."""
    sign = 1.0 if mode == "max" else -1.0
    name = objective.removeprefix("val_")
    new_rank = (sign * getattr(new, name), -new.loss)
    return new_rank > (sign * getattr(old, name), -old.loss)


def _improves(value: float | None, best: float | None, *, mode: str) -> bool:
    if value is None:
        return False
    if best is None:
        return True
    return value >= best if mode == "max" else value <= best


def _kind(error: Exception) -> str:
    """Classify a failure for the trials table."""
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        return "out_of_memory"
    return name
