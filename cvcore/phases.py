"""The phases of one trial: the head, or the whole model; then fine-tuning, if it is asked for.

While a base is frozen its head trains on cached features, to the numbers that the whole model would
give. Like `cvcore.trial`, this imports TensorFlow inside its functions only.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cvcore.errors import TrialFailed
from cvcore.extraction import Extraction, FeatureRows
from cvcore.ledger import Ledger
from cvcore.records import TrialConfig
from cvcore.scoring import Bench, is_better
from cvcore.settings import TrainingConfig, phases
from cvcore.weights import Weights, locate

if TYPE_CHECKING:
    import keras

    from cvcore.training import Blueprint, Trainer
    from cvcore.training.devices import Placement
    from cvcore.training.trainer import Past


class Phases:
    """One trial's models and trainers, in the order in which they are needed.

    `trainer` is the one of the present phase; None until `ready`.
    """

    def __init__(self, config: TrialConfig, bench: Bench, *, ledger: Ledger) -> None:
        self.config = config
        self.bench = bench
        self._ledger = ledger
        self.trainer: Trainer | None = None
        self.model = config.model
        self._weights: Weights | None = None
        self._extraction: Extraction | None = None
        self._rows: FeatureRows | None = None

    def ready(self, *, placement: Placement, deadline: float) -> Trainer | None:
        """Return the present phase's trainer; None while features are computed, at `deadline`.

        Raises `TrialFailed` for a configuration that cannot be built.
        """
        try:
            if self.trainer is None:
                if self._prepared(deadline):
                    self.trainer = self._first(placement)
            elif self.trainer.finished and self.has_next:
                with self._ledger.booked("trace"):
                    self.trainer = self._fine_tuning(self.trainer, placement)
        except ValueError as error:
            raise TrialFailed("invalid_configuration", str(error)) from error
        return self.trainer

    @property
    def has_next(self) -> bool:
        """Tell whether another phase follows the present one."""
        tunes = self.model.family == "transfer" and "fine_tune" in phases(self.config.training)
        return tunes and (self.trainer is None or self.trainer.phase == "train")

    def best_model(self) -> keras.Model:
        """Return the whole model, images to logits, with the weights of the best epoch."""
        trainer = self._trained()
        trainer.restore_best()
        if self._extraction is None or not self._is_on_features(trainer):
            return trainer.model
        from cvcore.models import build_around

        base, precision = self._extraction.base(), self.config.training.precision
        return build_around(self.model, base, trainer.model, precision=precision)

    def record(self) -> dict[str, Any]:
        """Describe the present model and its features by fields of `TrialOutcome`."""
        found: dict[str, Any] = {}
        if self._weights is not None:
            found["weights_sha256"] = self._weights.sha256
        if self._extraction is not None:
            found["num_features_computed"] = self._extraction.num_computed
            found["feature_views"] = self._extraction.num_views
            found["features_reused"] = self._rows is not None and not self._extraction.num_computed
        trainer = self.trainer
        if trainer is None:
            return found
        found["program_reused"] = trainer.program_reused
        trainable = sum(math.prod(w.shape) for w in trainer.model.trainable_weights)
        num_params = trainer.model.count_params()
        if self._rows is not None and self._is_on_features(trainer):
            num_params += self._rows.about.num_base_params
        return {**found, "num_params": num_params, "num_trainable_params": trainable}

    def _prepared(self, deadline: float) -> bool:
        """Bring weights and features to this machine as far as the time allows."""
        if self.model.family != "transfer":
            return True
        with self._ledger.booked("data"):
            return self._brought(deadline)

    def _brought(self, deadline: float) -> bool:
        if self._weights is None:
            data = self.bench.data
            self._weights = locate(
                self.model,
                image_size=data.image_size,
                store=self.bench.store,
                folder=self.bench.cache_folder,
                fetch=self.bench.fetch,
            )
            self.model = replace(self.model, weights=self._weights.setting)
            if self.config.training.feature_cache:
                extraction = Extraction(self.config, self.model, self._weights, self.bench)
                self._extraction = extraction if extraction.fits else None
        if self._extraction is None:
            return True
        self._rows = self._extraction.rows(deadline=deadline)
        return self._rows is not None

    def _first(self, placement: Placement) -> Trainer:
        training = self.config.training
        if self._rows is None:
            return self._train(self._whole(), training, placement)
        from cvcore.models import join_head, make
        from cvcore.training import Blueprint

        shape, precision = self._rows.about.feature_shape, training.precision
        num_classes = len(self.bench.dataset.class_names)
        head = Blueprint(
            make=partial(make, self.model, num_classes=num_classes, precision=precision),
            join=partial(join_head, self.model, feature_shape=shape, precision=precision),
            key=("head", self.model, precision, shape),
        )
        return self._train(head, training, placement, rows=self._rows)

    def _whole(self) -> Blueprint:
        """Plan the whole model, images to logits."""
        from cvcore.models import join, make
        from cvcore.training import Blueprint

        precision = self.config.training.precision
        num_classes = len(self.bench.dataset.class_names)
        return Blueprint(
            make=partial(make, self.model, num_classes=num_classes, precision=precision),
            join=partial(
                join,
                self.model,
                image_size=self.bench.data.image_size,
                channels=self.bench.dataset.images.shape[-1],
                precision=precision,
            ),
            key=("whole", self.model, precision),
        )

    def _fine_tuning(self, before: Trainer, placement: Placement) -> Trainer:
        """Go on from the best head with part of the base unfrozen."""
        from cvcore.models.transfer import unfreeze
        from cvcore.training import Blueprint
        from cvcore.training.trainer import Past

        training, done = self.config.training, before.epochs
        weights = self.best_model().get_weights()
        best = replace(before.best, weights=weights) if before.best else None

        whole = self._whole()

        def unfrozen(parts: list[keras.layers.Layer]) -> keras.Model:
            model = whole.join(parts)
            model.set_weights(weights)
            unfreeze(model, base=self.model.base, at=training.fine_tune_at)
            return model

        tuned = replace(
            training,
            epochs=len(done) + training.fine_tune_epochs,
            learning_rate=training.learning_rate * training.fine_tune_learning_rate_factor,
            optimizer=training.fine_tune_optimizer or training.optimizer,
        )
        past = Past(epochs=tuple(done), best=best)
        # No key: what a base has learnt must not reach another trial.
        blueprint = Blueprint(make=whole.make, join=unfrozen)
        return self._train(blueprint, tuned, placement, phase="fine_tune", past=past)

    def _train(
        self,
        blueprint: Blueprint,
        training: TrainingConfig,
        placement: Placement,
        *,
        rows: FeatureRows | None = None,
        phase: str = "train",
        past: Past | None = None,
    ) -> Trainer:
        from cvcore.evaluation import evaluate
        from cvcore.training import Trainer
        from cvcore.training.trainer import Arrays

        dataset, config = self.bench.dataset, self.config
        validation = dataset.indices["validation"]
        return Trainer(
            blueprint,
            Arrays(
                images=rows.features if rows else dataset.images,
                labels=rows.labels if rows else dataset.labels,
                train=rows.train if rows else dataset.indices["train"][None],
                validation=validation,
            ),
            config=training,
            seed=config.seed,
            placement=placement,
            score=partial(
                evaluate,
                labels=dataset.labels[validation],
                class_names=dataset.class_names,
                split="validation",
            ),
            better=partial(is_better, objective=config.objective, mode=config.mode),
            programs=self.bench.programs(),
            ledger=self._ledger,
            phase=phase,
            past=past,
        )

    def _is_on_features(self, trainer: Trainer) -> bool:
        return self._rows is not None and trainer.phase == "train"

    def _trained(self) -> Trainer:
        if self.trainer is None:
            raise TrialFailed("no_model", "nothing was trained yet")
        return self.trainer
