"""The second phase of a trial: what learns, what rests, and what the trial ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cvcore.records import TrialConfig
from cvcore.scoring import Bench
from cvcore.trial import Progress, TrialSession
from tests.trials import CLOSE, bench_of, curve, real_weights, saved_logits, trained, trial_of

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("tensorflow"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tensorflow: None) -> Bench:
    return bench_of(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, tensorflow: None) -> Bench:
    """Castings of 96 pixels, for the real weights."""
    return bench_of(tmp_path_factory.mktemp("large"), image_size=96)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A trial of two phases, and what was measured between them."""

    session: TrialSession
    head: Progress
    rung: Progress
    end: Progress
    head_best: Any
    start_logits: np.ndarray
    before: dict[str, dict[str, np.ndarray]]
    after: dict[str, dict[str, np.ndarray]]

    @property
    def first(self) -> int:
        """Count the epochs of the head."""
        return self.head.phase_epoch


def base_weights(session: TrialSession) -> dict[str, dict[str, np.ndarray]]:
    import keras

    assert session.trainer is not None
    (base,) = [one for one in session.trainer.model.layers if isinstance(one, keras.Model)]
    return {
        layer.name: {weight.name: weight.numpy() for weight in layer.weights}
        for layer in base.layers
        if layer.weights
    }


def tuned(config: TrialConfig, bench: Bench) -> Tuned:
    session = TrialSession(config, bench, rungs={"fine_tune": (2,)})
    head = session.step()
    assert not head.done, head.outcome.error_message
    assert session.trainer is not None
    head_best = session.trainer.best
    tuner = session.build()
    assert tuner is not None
    start_logits = tuner.logits(bench.dataset.indices["validation"])
    before = base_weights(session)
    rung = session.step()
    after = base_weights(session)  # at its end a trial goes back to its best weights
    end = session.step()
    assert (rung.done, end.done) == (False, True), end.outcome.error_message
    return Tuned(
        session=session, head=head, rung=rung, end=end, head_best=head_best,
        start_logits=start_logits, before=before, after=after,
    )  # fmt: skip


@pytest.fixture(scope="module")
def better(large: Bench) -> Tuned:
    """A head that learned little yet, then a base that learns on."""
    return tuned(
        trial_of(
            9,
            model={"weights": real_weights()},
            training={
                "epochs": 2,
                "learning_rate": 1e-3,
                "fine_tune_epochs": 3,
                "early_stopping_patience": 0,
            },
            objective="val_loss",
            mode="min",
        ),
        large,
    )


@pytest.fixture(scope="module")
def worse(large: Bench) -> Tuned:
    """A head that stops early, then a rate that ruins the base."""
    return tuned(
        trial_of(
            10,
            model={"weights": real_weights(), "augment_flip": "horizontal", "output": "sigmoid"},
            training={
                "epochs": 60,
                "learning_rate": 0.02,
                "early_stopping_patience": 3,
                "fine_tune_epochs": 3,
                "fine_tune_at": "block_16_expand",
                "fine_tune_learning_rate_factor": 10.0,
                "fine_tune_optimizer": "rmsprop",
            },
        ),
        large,
    )


EITHER = pytest.mark.parametrize("name", ["better", pytest.param("worse", marks=pytest.mark.slow)])


@EITHER
def test_fine_tuning_counts_on_in_a_phase_of_its_own(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Tuned = request.getfixturevalue(name)
    training = run.session.config.training
    assert run.session.trainer is not None
    epochs = run.session.trainer.epochs
    assert [one.epoch for one in epochs] == list(range(1, len(epochs) + 1))
    assert len(epochs) == run.first + training.fine_tune_epochs == run.end.outcome.epochs_run
    assert [one.phase for one in epochs] == (
        ["train"] * run.first + ["fine_tune"] * training.fine_tune_epochs
    )
    assert [*run.head.epochs, *run.rung.epochs, *run.end.epochs] == epochs
    standing = [(one.phase, one.phase_epoch) for one in (run.head, run.rung, run.end)]
    assert standing == [("train", run.first), ("fine_tune", 2), ("fine_tune", 3)]
    rates = {one.phase: one.learning_rate for one in epochs}
    assert rates["train"] == pytest.approx(training.learning_rate)
    assert rates["fine_tune"] == pytest.approx(
        training.learning_rate * training.fine_tune_learning_rate_factor
    )


@EITHER
def test_fine_tuning_starts_where_the_best_head_stood(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Tuned = request.getfixturevalue(name)
    np.testing.assert_allclose(run.start_logits, run.head_best.logits, **CLOSE)


@EITHER
def test_statistics_rest_while_what_is_unfrozen_learns(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Tuned = request.getfixturevalue(name)
    at = run.session.config.training.fine_tune_at
    names = list(run.before)
    first = names.index("block_13_expand" if at == "auto" else at)
    num_statistics = 0
    for place, layer in enumerate(names):
        for weight, old in run.before[layer].items():
            same = run.after[layer][weight].tobytes() == old.tobytes()
            is_statistic = weight.startswith("moving_")
            num_statistics += is_statistic
            # A bias of a dead channel may rest; a whole layer that learns does not.
            if is_statistic or place < first:
                assert same, (layer, weight)
            elif weight in ("kernel", "gamma"):
                assert not same, (layer, weight)
    assert num_statistics == 2 * 52


@pytest.mark.slow
def test_a_head_that_stops_early_is_fine_tuned_all_the_same(worse: Tuned) -> None:
    assert worse.first == worse.head_best.epoch + 3 < 60
    assert worse.end.phase_epoch == 3


def test_fine_tuning_that_helps_is_what_the_trial_ends_with(better: Tuned) -> None:
    outcome = better.end.outcome
    assert outcome.best_epoch is not None and outcome.best_epoch > better.first
    assert outcome.validation is not None
    assert outcome.validation.loss < better.head_best.evaluation.loss
    assert outcome.validation.f1_weighted >= better.head_best.evaluation.f1_weighted
    trainer = better.session.trainer
    assert trainer is not None and trainer.best is not None
    np.testing.assert_allclose(saved_logits(better.session), trainer.best.logits, **CLOSE)
    in_phase = [one.val_loss for one in (*better.rung.epochs, *better.end.epochs)]
    assert better.end.phase_value == min(in_phase)
    assert better.rung.phase_value == min(in_phase[:2])


@pytest.mark.slow
def test_fine_tuning_that_hurts_leaves_the_trial_with_its_head(worse: Tuned) -> None:
    outcome, best = worse.end.outcome, worse.head_best
    assert worse.end.epochs[-1].val_loss > best.evaluation.loss
    assert outcome.best_epoch == best.epoch <= worse.first
    assert outcome.validation == best.evaluation
    np.testing.assert_allclose(saved_logits(worse.session), best.logits, **CLOSE)


def test_what_fine_tuning_trains_is_counted(better: Tuned) -> None:
    head, end = better.head.outcome, better.end.outcome
    assert (head.num_params, head.num_trainable_params) == (2_260_546, 2_562)
    assert end.num_params == 2_260_546
    assert end.num_trainable_params is not None and end.num_trainable_params > 1_000_000
    assert (end.feature_views, end.weights_sha256) == (0, head.weights_sha256)


@pytest.mark.slow
def test_two_phases_give_the_same_numbers_with_and_without_cached_features(small: Bench) -> None:
    training = {"epochs": 2, "fine_tune_epochs": 2, "early_stopping_patience": 0}
    model = {"dense_units": 16, "dropout": 0.4, "head": "flatten"}
    cached, whole = (
        trained(trial_of(11, model=model, training={**training, "feature_cache": cache}), small)[0]
        for cache in (True, False)
    )
    assert len(curve(cached)) == 4
    np.testing.assert_allclose(curve(cached), curve(whole), rtol=1e-3, atol=1e-4)


def test_a_layer_that_is_not_there_fails_the_trial_in_a_sentence(small: Bench) -> None:
    config = trial_of(12, training={"epochs": 1, "fine_tune_epochs": 1, "fine_tune_at": "154"})
    session = TrialSession(config, small)
    assert not session.step().done
    outcome = session.step().outcome
    assert (outcome.status, outcome.error_type) == ("failed", "invalid_configuration")
    assert outcome.error_message is not None
    assert outcome.error_message.startswith("training.fine_tune.at: mobilenet_v2 has the layers 0 ")
    assert outcome.error_message.endswith("to 153 (out_relu), received '154'")


@pytest.mark.slow
def test_what_one_trial_learned_never_reaches_the_next(small: Bench) -> None:
    """Trials of a worker share a base and compiled programs: these must stay as they were."""
    plain = trial_of(20, model={"dense_units": 8, "dropout": 0.3})
    whole = trial_of(21, model={"dense_units": 8}, training={"feature_cache": False})
    before = [curve(trained(config, small)[0]) for config in (plain, whole)]
    ruined = {"epochs": 1, "fine_tune_epochs": 2, "fine_tune_at": "0", "learning_rate": 0.5}
    trained(trial_of(22, model={"dense_units": 8, "dropout": 0.3}, training=ruined), small)
    assert [curve(trained(config, small)[0]) for config in (plain, whole)] == before


def test_fine_tuning_that_diverges_leaves_the_head_as_it_was(small: Bench) -> None:
    training = {
        "epochs": 2, "fine_tune_epochs": 3, "fine_tune_at": "0", "learning_rate": 10.0,
        "fine_tune_learning_rate_factor": 1e30, "fine_tune_optimizer": "sgd",
    }  # fmt: skip
    config = trial_of(training=training)
    session, stretches = trained(config, small)
    outcome = stretches[-1].outcome
    assert (outcome.status, outcome.epochs_run, outcome.has_model) == ("completed", 2, True)
    assert session.trainer is not None
    assert session.trainer.phase == "fine_tune"
    assert np.isfinite(saved_logits(session)).all()
