"""Whole epochs in the graph, in programs used again: the numbers are those of Keras `fit`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvcore.settings import ModelConfig
from tests.unit.training.test_trainer import PLAIN, RANDOM, blueprint, losses, trainer

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(120)]

SIGMOID = replace(PLAIN, output="sigmoid", augment_contrast=0.2, dropout=0.2)
OTHER = {"seed": 5, "learning_rate": 3e-3, "batch_size": 16}


def same(one: object, other: object) -> bool:
    mine, theirs = one.model.get_weights(), other.model.get_weights()  # type: ignore[attr-defined]
    return all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("model", [PLAIN, RANDOM, SIGMOID], ids=["plain", "random", "sigmoid"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_a_graph_trains_as_fit_does_to_the_last_bit(
    model: ModelConfig, optimizer: str, tensorflow: None, tmp_path: Path
) -> None:
    from cvcore.training import Programs

    in_graph = trainer(tmp_path, model, programs=Programs(), optimizer=optimizer)
    by_fit = trainer(tmp_path, model, optimizer=optimizer)
    for one in (in_graph, by_fit):
        one.advance(until_epoch=2)
    assert losses(in_graph) == losses(by_fit)
    assert same(in_graph, by_fit)


@pytest.mark.parametrize("model", [PLAIN, RANDOM], ids=["plain", "random"])
def test_a_program_used_again_begins_as_a_fresh_one(
    model: ModelConfig, tensorflow: None, tmp_path: Path
) -> None:
    """Another trial in between leaves no trace: weights, optimizer, seeds and rate are reset."""
    from cvcore.training import Programs

    programs = Programs()
    first = trainer(tmp_path, model, programs=programs)
    first.advance(until_epoch=2)
    expected, weights = losses(first), first.model.get_weights()
    between = trainer(tmp_path, model, programs=programs, **OTHER)
    between.advance(until_epoch=3)
    assert losses(between)[:2] != expected
    again = trainer(tmp_path, model, programs=programs)
    again.advance(until_epoch=2)
    assert [one.program_reused for one in (first, between, again)] == [False, True, True]
    assert losses(again) == expected
    assert all(map(np.array_equal, weights, again.model.get_weights()))


def test_warming_up_trains_nothing(tensorflow: None, tmp_path: Path) -> None:
    import tensorflow as tf

    from cvcore.settings import TrainingConfig
    from cvcore.training.program import Program

    program = Program(blueprint(RANDOM), config=TrainingConfig(), seed=3)
    variables = [*program.model.variables, *program.optimizer.variables]
    before = [np.array(variable) for variable in variables]
    images = tf.zeros((4, *program.model.input_shape[1:]), tf.uint8)
    labels = tf.zeros((4,), tf.int32)
    program.warm_up(images, labels)
    assert all(map(np.array_equal, before, variables))
    program.epoch(images, labels, np.arange(4), 2)
    assert not all(map(np.array_equal, before, variables))


def test_what_differs_in_structure_is_another_program(tensorflow: None, tmp_path: Path) -> None:
    from cvcore.training import Programs

    programs = Programs()
    trainer(tmp_path, PLAIN, programs=programs)
    changed = [replace(PLAIN, filters=5), replace(PLAIN, dropout=0.1), replace(PLAIN, pool_size=3)]
    assert not any(trainer(tmp_path, one, programs=programs).program_reused for one in changed)
    assert not trainer(tmp_path, PLAIN, programs=programs, optimizer="sgd").program_reused
    assert trainer(tmp_path, PLAIN, programs=programs, **OTHER).program_reused


def test_a_worker_keeps_a_bounded_number_of_programs(
    tensorflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvcore.training import Programs, program

    monkeypatch.setattr(program, "MAX_PROGRAMS", 2)
    programs = Programs()
    models = [replace(PLAIN, dense_units=units) for units in (1, 2, 3)]
    for one in models:
        trainer(tmp_path, one, programs=programs)
    assert trainer(tmp_path, models[2], programs=programs).program_reused
    assert not trainer(tmp_path, models[0], programs=programs).program_reused


def test_an_unnamed_blueprint_is_never_used_again(tensorflow: None) -> None:
    from cvcore.settings import TrainingConfig
    from cvcore.training import Programs

    programs, unnamed = Programs(), replace(blueprint(PLAIN), key=None)
    built = [programs.get(unnamed, config=TrainingConfig(), seed=1) for _ in range(2)]
    assert [reused for _, reused in built] == [False, False]


def test_mixed_precision_begins_again_with_its_loss_scale(tensorflow: None) -> None:
    import tensorflow as tf

    from cvcore.models import join, make
    from cvcore.settings import TrainingConfig
    from cvcore.training import Blueprint, Programs

    mixed = Blueprint(
        make=lambda: make(PLAIN, num_classes=2, precision="mixed_float16"),
        join=lambda parts: join(PLAIN, parts, image_size=24, channels=3, precision="mixed_float16"),
        key="mixed",
    )
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (32, 24, 24, 3), dtype=np.uint8))
    labels = tf.constant(rng.integers(0, 2, 32).astype(np.int32))
    programs, found = Programs(), []
    for _ in range(2):
        program, _ = programs.get(mixed, config=TrainingConfig(), seed=1)
        found.append(program.epoch(images, labels, np.arange(32), 8))
    assert found[0] == found[1]
    assert np.isfinite(found[0]["loss"])


@pytest.mark.slow
def test_compiled_by_xla_the_numbers_are_the_same_within_a_bound(
    tensorflow: None, tmp_path: Path
) -> None:
    """XLA adds in another order; both ways of training use it."""
    from cvcore.training import Programs

    plain = trainer(tmp_path, PLAIN, programs=Programs())
    in_graph = trainer(tmp_path, PLAIN, programs=Programs(), xla=True)
    by_fit = trainer(tmp_path, PLAIN, xla=True)
    for one in (plain, in_graph, by_fit):
        one.advance(until_epoch=2)
    assert by_fit.model.jit_compile and not plain.model.jit_compile
    for one in (in_graph, by_fit):
        np.testing.assert_allclose(losses(one), losses(plain), atol=1e-4)
    programs = Programs()
    trainer(tmp_path, PLAIN, programs=programs)
    assert not trainer(tmp_path, PLAIN, programs=programs, xla=True).program_reused


@pytest.mark.parametrize("most", [2**25, 0])
def test_weights_set_between_epochs_are_those_that_are_trained(
    most: int, tensorflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its optimizer sees the weights as one vector or one by one."""
    from cvcore.training import Programs, update

    monkeypatch.setattr(update, "MAX_VECTOR_WEIGHTS", most)
    in_graph = trainer(tmp_path, PLAIN, programs=Programs())
    assert len(in_graph.optimizer.variables) == (4 if most else 2 + 2 * len(in_graph.model.weights))
    by_fit = trainer(tmp_path, PLAIN)
    for one in (in_graph, by_fit):
        one.advance(until_epoch=1)
        one.model.set_weights([weight * 0.5 for weight in one.model.get_weights()])
        one.advance(until_epoch=2)
    assert losses(in_graph) == losses(by_fit)
    assert same(in_graph, by_fit)


def test_gathering_ahead_changes_no_bit(
    tensorflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is done where there is a GPU, here without one."""
    import tensorflow as tf

    from cvcore.training import Programs

    alone = trainer(tmp_path, RANDOM, programs=Programs())
    devices = tf.config.list_logical_devices("CPU")
    with monkeypatch.context() as patched:
        patched.setattr(tf.config, "list_logical_devices", lambda kind: devices)
        ahead = trainer(tmp_path, RANDOM, programs=Programs())
    for one in (alone, ahead):
        one.advance(until_epoch=2)
    assert losses(ahead) == losses(alone)
    assert same(ahead, alone)
