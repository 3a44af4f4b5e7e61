"""Training equals plain Keras to the last bit, in one stretch or many, on one device or two."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cvcore.errors import TrialFailed
from cvcore.settings import ModelConfig, TrainingConfig

if TYPE_CHECKING:
    from cvcore.training import Blueprint, Programs, Trainer
    from cvcore.training.trainer import Past

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(120)]

SIZE, SEED = 24, 11
RANDOM = ModelConfig(
    num_blocks=2, filters=4, augment_flip="both", augment_rotation=0.1, dropout=0.3,
    dropout_at="everywhere",
)  # fmt: skip
PLAIN = ModelConfig(num_blocks=2, filters=4, dense_units=8)


def dataset(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (120, SIZE, SIZE, 3), dtype=np.uint8))
    images = np.load(folder / "images.npy", mmap_mode="c")
    return images, rng.integers(0, 2, 120).astype(np.int32)


def blueprint(model: ModelConfig) -> Blueprint:
    from cvcore.models import join, make
    from cvcore.training import Blueprint

    return Blueprint(
        make=partial(make, model, num_classes=2, precision="float32"),
        join=partial(join, model, image_size=SIZE, channels=3, precision="float32"),
        key=model,
    )


def trainer(
    folder: Path,
    model: ModelConfig = PLAIN,
    *,
    programs: Programs | None = None,
    seed: int = SEED,
    phase: str = "train",
    past: Past | None = None,
    **training: object,
) -> Trainer:
    from cvcore.evaluation import evaluate
    from cvcore.scoring import is_better
    from cvcore.training import Trainer, choose_strategy
    from cvcore.training.trainer import Arrays

    images, labels = dataset(folder)
    train, validation = np.arange(90), np.arange(90, 120)
    return Trainer(
        blueprint(model),
        Arrays(images=images, labels=labels, train=train[None], validation=validation),
        config=TrainingConfig(**{"epochs": 4, "early_stopping_patience": 0, **training}),
        seed=seed,
        placement=choose_strategy(),
        score=partial(
            evaluate, labels=labels[validation], class_names=("a", "b"), split="validation"
        ),
        better=partial(is_better, objective="val_loss", mode="min"),
        programs=programs,
        phase=phase,
        past=past,
    )


def left_by(one: Trainer) -> Past:
    from cvcore.training.trainer import Past

    return Past(epochs=tuple(one.epochs), best=one.best)


def losses(one: Trainer) -> list[tuple[float, float, float]]:
    return [(epoch.loss, epoch.accuracy, epoch.val_loss) for epoch in one.epochs]


def test_training_equals_plain_keras_fit_to_the_last_bit(tensorflow: None, tmp_path: Path) -> None:
    import keras

    from cvcore.models import build
    from cvcore.training.feed import epoch_order

    ours = trainer(tmp_path)
    ours.advance(until_epoch=2)
    images, labels = dataset(tmp_path)
    keras.utils.set_random_seed(SEED)
    plain = build(PLAIN, image_size=SIZE, channels=3, num_classes=2, precision="float32")
    plain.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = []
    for epoch in (1, 2):
        order = epoch_order(np.arange(90), seed=SEED, epoch=epoch)
        x, y = images[order].astype(np.float32), labels[order]
        fitted = plain.fit(x, y, batch_size=32, shuffle=False, verbose=0)
        history.append((fitted.history["loss"][0], fitted.history["accuracy"][0]))
    assert [row[:2] for row in losses(ours)] == history
    for mine, theirs in zip(ours.model.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)


def test_training_in_stretches_gives_the_numbers_of_one_stretch(
    tensorflow: None, tmp_path: Path
) -> None:
    whole, pieces = trainer(tmp_path, RANDOM), trainer(tmp_path, RANDOM)
    whole.advance(until_epoch=4)
    for epoch in (1, 2, 4):
        pieces.advance(until_epoch=epoch)
    assert losses(whole) == losses(pieces)


def test_a_stretch_that_is_out_of_time_ends_after_one_epoch(
    tensorflow: None, tmp_path: Path
) -> None:
    one = trainer(tmp_path)
    assert len(one.advance(until_epoch=4, max_seconds=0)) == 1
    assert len(one.advance(until_epoch=4)) == 3
    assert one.finished
    assert one.advance(until_epoch=4) == []


def test_a_checkpoint_continues_to_the_same_numbers(tensorflow: None, tmp_path: Path) -> None:
    from cvcore.training import checkpoint

    whole, first, second = (trainer(tmp_path, RANDOM) for _ in range(3))
    whole.advance(until_epoch=4)
    first.advance(until_epoch=2)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint.save(first, folder)
    checkpoint.load(second, folder, is_own=True)
    second.advance(until_epoch=4)
    assert losses(second) == losses(whole)


def test_only_its_own_seconds_count_on_from_a_checkpoint(tensorflow: None, tmp_path: Path) -> None:
    from cvcore.training import checkpoint

    first, own, copy = (trainer(tmp_path) for _ in range(3))
    first.advance(until_epoch=1)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint.save(first, folder)
    checkpoint.load(own, folder, is_own=True)
    checkpoint.load(copy, folder, is_own=False)
    assert own.ledger.seconds()["train"] == first.ledger.seconds()["train"] > 0
    assert copy.ledger.seconds()["train"] == 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_epsilon_reaches_the_optimizer(tensorflow: None, tmp_path: Path, optimizer: str) -> None:
    plain = trainer(tmp_path, optimizer=optimizer)
    assert plain.model.optimizer.epsilon == 1e-7
    careful = trainer(tmp_path, optimizer=optimizer, optimizer_epsilon=0.5)
    assert careful.model.optimizer.epsilon == 0.5
    for one in (plain, careful):
        one.advance(until_epoch=1)
    assert losses(plain) != losses(careful)


def test_an_optimizer_that_knows_no_epsilon_takes_none(tensorflow: None, tmp_path: Path) -> None:
    assert trainer(tmp_path, optimizer="sgd", optimizer_epsilon=0.5).model.optimizer.name == "sgd"


def test_a_later_phase_goes_on_from_the_past_and_keeps_its_best(
    tensorflow: None, tmp_path: Path
) -> None:
    first = trainer(tmp_path, epochs=3)
    first.advance(until_epoch=3)
    past = left_by(first)
    second = trainer(tmp_path, phase="fine_tune", past=past, epochs=5, learning_rate=1.0)
    assert not second.finished
    second.advance(until_epoch=5)
    assert second.finished
    assert [one.epoch for one in second.epochs] == [1, 2, 3, 4, 5]
    assert [one.phase for one in second.epochs] == 3 * ["train"] + 2 * ["fine_tune"]
    assert second.best is not None and past.best is not None
    lowest = min(second.epochs, key=lambda one: one.val_loss)
    assert (second.best.epoch, second.best.evaluation.loss) == (lowest.epoch, lowest.val_loss)


def test_patience_begins_anew_in_a_later_phase(tensorflow: None, tmp_path: Path) -> None:
    """The best epoch lies behind by more than the patience before the phase begins."""
    first = trainer(tmp_path, epochs=40, early_stopping_patience=3, learning_rate=0.01)
    first.advance(until_epoch=40)
    done = len(first.epochs)
    assert first.best is not None and done == first.best.epoch + 3 < 40
    changes = {"epochs": done + 20, "early_stopping_patience": 3, "learning_rate": 1e-8}
    second = trainer(tmp_path, phase="fine_tune", past=left_by(first), **changes)
    assert not second.finished
    second.advance(until_epoch=done + 20)
    assert len(second.epochs) == done + 3  # nothing was learned


def test_patience_ends_training_and_the_best_weights_come_back(
    tensorflow: None, tmp_path: Path
) -> None:
    one = trainer(tmp_path, epochs=40, early_stopping_patience=3, learning_rate=0.01)
    one.advance(until_epoch=40)
    assert one.best is not None
    assert len(one.epochs) == one.best.epoch + 3 < 40
    assert one.best.evaluation.loss == min(epoch.val_loss for epoch in one.epochs)
    one.restore_best()
    assert np.array_equal(one.logits(np.arange(90, 120)), one.best.logits)


def test_a_loss_that_is_no_number_fails_the_trial(tensorflow: None, tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.advance(until_epoch=1)
    one.model.set_weights([np.full_like(weight, np.nan) for weight in one.model.get_weights()])
    with pytest.raises(TrialFailed, match="the training loss is nan in epoch 2") as failure:
        one.advance(until_epoch=4)
    assert failure.value.kind == "diverged"


def test_a_memory_map_becomes_a_tensor_without_a_copy(tensorflow: None, tmp_path: Path) -> None:
    from cvcore.training.feed import as_tensor

    images, _ = dataset(tmp_path)
    tensor = as_tensor(images)
    images[3, 2, 1, 0] ^= 255  # private to this process: the map is copy-on-write
    assert int(tensor[3, 2, 1, 0]) == images[3, 2, 1, 0]
    images.setflags(write=False)
    assert np.array_equal(as_tensor(images), images)


def test_an_array_that_begins_anywhere_becomes_a_tensor(tensorflow: None) -> None:
    """TensorFlow would share its memory, and end the process at the first gather."""
    import tensorflow as tf

    from cvcore.training.feed import as_tensor

    bytes_ = np.arange(4 * 12 + 64, dtype=np.uint8)
    for offset in range(0, 64, 7):
        images = bytes_[offset : offset + 48].reshape(4, 2, 2, 3)
        assert np.array_equal(tf.gather(as_tensor(images), [3, 0]), images[[3, 0]])


@pytest.mark.slow
def test_two_devices_share_each_batch_and_agree_with_one(tmp_path: Path) -> None:
    """A process of its own: logical devices must be set before TensorFlow's first operation."""
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from cvcore.runtime import start_tensorflow
        start_tensorflow(threads=1)
        import tensorflow as tf
        if sys.argv[1] == "2":
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        import importlib.util
        spec = importlib.util.spec_from_file_location("shared", {str(Path(__file__).absolute())!r})
        shared = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(shared)
        from cvcore.training import choose_strategy
        print(choose_strategy().name, len(choose_strategy().devices))
        one = shared.trainer(Path({str(tmp_path)!r}))
        one.advance(until_epoch=2)
        print([round(v, 4) for row in shared.losses(one) for v in row])
        """
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, count],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
        ).stdout.splitlines()
        for count in ("1", "2")
    ]  # fmt: skip
    assert outputs[0][0] == "single device 1"
    assert outputs[1][0] == "MirroredStrategy 2"
    one, two = (np.array(json.loads(lines[1])) for lines in outputs)
    np.testing.assert_allclose(one, two, atol=2e-3)
