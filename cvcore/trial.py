"""One trial: the only place that knows the order dataset, model, training, evaluation.

TensorFlow is imported inside these functions, so that whoever plans trials never pays for it. A
trial never raises: what goes wrong ends up in its outcome, and the sweep goes on.
"""

from __future__ import annotations

import math
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore import __version__, layout
from cvcore.card import write_card
from cvcore.errors import TrialFailed
from cvcore.ledger import Ledger
from cvcore.phases import Phases
from cvcore.records import EpochMetrics, TrialConfig, TrialOutcome
from cvcore.scoring import Bench, leave_predictions, patiently

if TYPE_CHECKING:
    from cvcore.training import Trainer
    from cvcore.training.devices import Placement


# The file in a checkpoint that names the trial it was taken of.
OWNER = "trial_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a stretch of training gave.

    While `done` is False, `outcome` is how the trial would stand if it were stopped here.
    `phase_epoch` counts from the start of the phase; `phase_value` is the best objective in it.
    """

    epochs: tuple[EpochMetrics, ...]
    outcome: TrialOutcome
    done: bool
    phase: str = "train"
    phase_epoch: int = 0
    phase_value: float | None = None


class TrialSession:
    """A trial under way in this process.

    `rungs` maps a phase to its epochs at which to report, None: only at its end. `best_value` is
    the best objective known when the trial started: one that completes without beating it leaves no
    model behind. `waited` maps accounts of the ledger to seconds spent before it began.
    """

    def __init__(
        self,
        config: TrialConfig,
        bench: Bench,
        *,
        rungs: Mapping[str, Sequence[int]] | None = None,
        best_value: float | None = None,
        waited: Mapping[str, float] | None = None,
    ) -> None:
        self.config = config
        self.bench = bench
        self._rungs = rungs or {}
        self.ledger = Ledger(waited)
        self._phases = Phases(config, bench, ledger=self.ledger)
        self._best_value = best_value
        self._started_at = time.time()
        self._placement: Placement | None = None
        self._num_loaded = 0
        self._num_reported = 0

    @property
    def trainer(self) -> Trainer | None:
        """The trainer of the present phase, once there is one."""
        return self._phases.trainer

    def step(self, *, max_seconds: float = math.inf) -> Progress:
        """Train to the next rung or for about `max_seconds`, whichever ends first.

        The features of a frozen base are computed first; a stretch may end in the middle of them.
        """
        try:
            done = self._advance(max_seconds)
            outcome = self._complete() if done else self._outcome("stopped")
        except Exception as error:  # noqa: BLE001  the boundary: a trial's failure is its row
            done, outcome = True, self._failed(error)
        epochs = self.trainer.epochs[self._num_reported :] if self.trainer else []
        self._num_reported = self.epoch
        return Progress(
            epochs=tuple(epochs), outcome=outcome, done=done, **self._standing(self.trainer)
        )

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
        if any(folder.iterdir()) and (trainer := self.build()) is not None:
            from cvcore.training import checkpoint

            is_own = (folder / OWNER).read_text() == self.config.trial_id
            checkpoint.load(trainer, folder, is_own=is_own)
            self._num_loaded, self._num_reported = 0 if is_own else self.epoch, 0

    def build(self, *, max_seconds: float = math.inf) -> Trainer | None:
        """Seed everything and build the model of the present phase; `step` does it if nobody has.

        None: after `max_seconds` the features of a frozen base are not all there.
        """
        if self._placement is None:
            with self.ledger.booked("import"):
                self._placement = self._started()
        deadline = time.perf_counter() + max_seconds
        return self._phases.ready(placement=self._placement, deadline=deadline)

    def _started(self) -> Placement:
        """Import TensorFlow and look where it may compute."""
        self.bench.start()
        import keras

        from cvcore.training import choose_strategy

        if self.bench.plain:
            keras.utils.clear_session()
        return choose_strategy()

    def _advance(self, max_seconds: float) -> bool:
        """Go on for a stretch; tell whether the trial is done."""
        deadline = time.perf_counter() + max_seconds
        trainer = self.build(max_seconds=max_seconds)
        if trainer is None:
            return False
        past = trainer.num_past
        rungs = self._rungs.get(trainer.phase, ())
        until = next((rung for rung in rungs if rung > self.epoch - past), trainer.config.epochs)
        left = deadline - time.perf_counter()
        try:
            trainer.advance(until_epoch=past + until, max_seconds=left)
        except TrialFailed as error:
            if error.kind != "diverged" or trainer.phase == "train":
                raise
            return True  # what the head alone reached stands
        return trainer.finished and not self._phases.has_next

    def _standing(self, trainer: Trainer | None) -> dict[str, Any]:
        """Say where a trial stands within its phase, for those that are compared there."""
        if trainer is None:
            return {}
        in_phase = trainer.epochs[trainer.num_past :]
        best = max if self.config.mode == "max" else min
        values = [float(getattr(one, self.config.objective)) for one in in_phase]
        return {
            "phase": trainer.phase,
            "phase_epoch": len(in_phase),
            "phase_value": best(values, default=None),
        }

    def _complete(self) -> TrialOutcome:
        """Leave predictions, and the model if it may be the best, in the store."""
        outcome = self._outcome("completed")
        value = outcome.value(self.config.objective)
        best = self.trainer.best if self.trainer else None
        if best is not None:
            leave_predictions(self.bench, best.logits, config=self.config, split="validation")
        improves = _improves(value, self._best_value, mode=self.config.mode)
        if improves:
            self._leave_model()
        seconds = self.ledger.seconds()
        return replace(outcome, has_model=improves, seconds=seconds, finished_at=time.time())

    def _leave_model(self) -> None:
        key = layout.model(self.config.sweep_id, self.config.trial_id)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            self._phases.best_model().save(path)
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
        placement = self._placement
        outcome = TrialOutcome(
            status=status,
            worker=self.bench.worker,
            device=", ".join(placement.devices) if placement else "",
            strategy=placement.name if placement else "",
            **self._phases.record(),
            seconds=self.ledger.seconds(),
            started_at=self._started_at,
            finished_at=time.time(),
        )
        trainer = self.trainer
        if trainer is None:
            return outcome
        num_trained = len(trainer.epochs) - self._num_loaded
        num_seen = len(self.bench.dataset.indices["train"]) * num_trained
        train_seconds = outcome.seconds["train"]
        num_gpus = outcome.device.count("GPU") * self.bench.gpu_fraction
        best = trainer.best
        return replace(
            outcome,
            epochs_run=len(trainer.epochs),
            best_epoch=best.epoch if best else None,
            validation=best.evaluation if best else None,
            images_per_second=num_seen / train_seconds if train_seconds > 0 else None,
            gpu_seconds=sum(outcome.seconds.values()) * num_gpus,
        )

    def _failed(self, error: Exception) -> TrialOutcome:
        kind = error.kind if isinstance(error, TrialFailed) else _kind(error)
        message = str(error).strip() or type(error).__name__
        return replace(
            self._outcome("failed"), error_type=kind, error_message=message[:2000], validation=None
        )


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
