"""Heads on cached features against whole models, and the features themselves, to the bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvcore import features
from cvcore.records import TrialConfig
from cvcore.scoring import Bench
from cvcore.trial import TrialSession
from tests.trials import (
    CLOSE,
    bench_of,
    beside,
    curve,
    real_weights,
    saved_logits,
    trained,
    trial_of,
)

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("tensorflow"),
]

LEARNS = {"dense_units": 16, "dropout": 0.4}
LONGER = {"epochs": 4, "early_stopping_patience": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("phases")


@pytest.fixture(scope="module")
def small(folder: Path, tensorflow: None) -> Bench:
    """Castings of 32 pixels: a random MobileNetV2 makes one cell of them."""
    return bench_of(folder / "small")


@pytest.fixture(scope="module")
def large(folder: Path, tensorflow: None) -> Bench:
    """Castings of 96 pixels, for the real weights."""
    return bench_of(folder / "large", image_size=96)


def test_a_head_on_cached_features_is_the_head_of_the_whole_model(large: Bench) -> None:
    model = {"weights": real_weights(), "head": "gap", "output": "softmax"}
    the_same_head_in_both_ways(large, model)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"head": "flatten", "output": "sigmoid"},
        # Its base drops whole paths in training, if it is let.
        {"base": "efficientnet_b0", "output": "sigmoid"},
        # Its images are turned to BGR and centred inside the model.
        {"base": "resnet50", "head": "flatten", "preprocessing": "matched"},
    ],
    ids=["flatten-sigmoid", "efficientnet_b0", "resnet50"],
)
def test_so_it_is_of_other_heads_and_bases(large: Bench, model: dict[str, Any]) -> None:
    weights = {} if "base" in model else {"weights": real_weights()}
    the_same_head_in_both_ways(large, {**model, **weights})


def the_same_head_in_both_ways(bench: Bench, model: dict[str, Any]) -> None:
    training = {**LONGER, "learning_rate": 1e-3}
    validation = bench.dataset.indices["validation"]
    both = []
    for cached in (True, False):
        changes = {**training, "feature_cache": cached}
        config = trial_of(model={**LEARNS, **model}, training=changes)
        session, (progress,) = trained(config, bench)
        assert session.trainer is not None
        both.append((session, progress.outcome, session.trainer.logits(validation)))
    (session, cached_outcome, cached_logits), (whole, outcome, logits) = both
    np.testing.assert_allclose(cached_logits, logits, **CLOSE)
    assert session.trainer is not None and whole.trainer is not None
    best, whole_best = session.trainer.best, whole.trainer.best
    assert best is not None and whole_best is not None
    np.testing.assert_allclose(best.logits, whole_best.logits, **CLOSE)
    assert best.epoch == whole_best.epoch
    np.testing.assert_allclose(curve(session), curve(whole), **CLOSE)
    assert best.evaluation.confusion == whole_best.evaluation.confusion
    # It was learning: equal logits of heads that stand still would prove nothing.
    assert len({loss for loss, *_ in curve(session)}) == 4
    if "weights" in model:
        assert np.ptp(cached_logits) > 0.5

    assert (cached_outcome.num_params, cached_outcome.num_trainable_params) == (
        *(outcome.num_params, outcome.num_trainable_params),
    )
    assert cached_outcome.feature_views == 0
    assert outcome.num_features_computed is outcome.feature_views is None
    assert not outcome.features_reused
    assert cached_outcome.weights_sha256 == outcome.weights_sha256


@pytest.mark.parametrize(
    ("head", "output"),
    [("flatten", "softmax"), pytest.param("gap", "sigmoid", marks=pytest.mark.slow)],
)
def test_the_saved_model_takes_images_and_gives_the_logits_of_the_cached_head(
    small: Bench, head: str, output: str
) -> None:
    model = {**LEARNS, "head": head, "output": output, "augment_flip": "both"}
    session, _ = trained(trial_of(1, model=model, training=LONGER), small)
    assert session.trainer is not None and session.trainer.best is not None
    np.testing.assert_allclose(saved_logits(session), session.trainer.best.logits, **CLOSE)


def test_a_second_head_computes_no_features_here_or_on_another_machine(
    folder: Path, small: Bench
) -> None:
    first = trial_of(2, model={"dense_units": 4})
    _, (progress,) = trained(first, beside(small, folder / "reused"))
    assert not progress.outcome.features_reused
    assert progress.outcome.num_features_computed == 48
    other = trial_of(3, model={"dense_units": 8, "dropout": 0.2}, seed=99)
    for machine in ("one", "two"):
        _, (progress,) = trained(other, beside(small, folder / "reused", machine=machine))
        assert progress.outcome.features_reused
        assert progress.outcome.num_features_computed == 0


def test_a_head_of_one_layer_has_the_documents_parameters(small: Bench) -> None:
    _, (progress,) = trained(trial_of(4), small)
    outcome = progress.outcome
    assert (outcome.num_params, outcome.num_trainable_params) == (2_260_546, 2_562)
    assert outcome.weights_sha256 == "none"


def test_another_cut_size_preprocessing_or_precision_has_features_of_its_own(
    folder: Path,
) -> None:
    from cvcore.extraction import Extraction
    from cvcore.weights import Weights

    def banks(
        *,
        size: int = 32,
        sha256: str = "none",
        training: dict[str, Any] | None = None,
        **model: Any,
    ) -> int:
        """Open one more bank; return how many there are then."""
        bench = bench_of(folder / "keys", image_size=size)
        config = trial_of(model=model, training=training)
        Extraction(config, config.model, Weights(setting="none", sha256=sha256), bench)
        return len(list((bench.cache_folder / "features").iterdir()))

    assert banks() == 1
    assert banks(dense_units=9, dropout=0.3, output="sigmoid") == 1
    assert banks(training={"epochs": 7, "learning_rate": 0.1, "fine_tune_epochs": 3}) == 1
    assert banks(training={"feature_views": 3}, augment_fill="wrap") == 1  # nothing moves
    changes: list[dict[str, Any]] = [
        {"head": "flatten"},
        {"preprocessing": "none"},
        {"base": "vgg16"},
        {"sha256": "ab" * 32},
        {"size": 40},
        {"training": {"precision": "mixed_bfloat16"}},
        {"augment_flip": "both"},
        {"augment_flip": "horizontal"},
        {"augment_flip": "both", "training": {"feature_views": 1}},
        {"augment_rotation": 0.1},
        {"augment_rotation": 0.1, "augment_fill": "wrap"},
    ]
    assert [banks(**change) for change in changes] == list(range(2, 2 + len(changes)))


def test_features_are_computed_stretch_by_stretch(
    folder: Path, small: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD_ROWS", 16)
    bench = beside(small, folder / "stretches")
    session = TrialSession(trial_of(5), bench)
    stretches = [session.step(max_seconds=0) for _ in range(2)]
    for progress in stretches:
        assert (progress.done, progress.phase_epoch, progress.phase_value) == (False, 0, None)
        assert progress.epochs == ()
        assert (progress.outcome.status, progress.outcome.epochs_run) == ("stopped", 0)
    assert session.trainer is None
    last = session.step()
    assert last.done
    assert last.outcome.num_features_computed == 48
    assert last.outcome.seconds["data"] > 0
    assert len(list(bench.store.list("features/"))) == 1 + 3


AUGMENTED = {"augment_flip": "both", "augment_rotation": 0.2, "augment_contrast": 0.3}


def extracted(config: TrialConfig, bench: Bench) -> tuple[Any, Any]:
    """Return a trial's feature rows, and who computed them."""
    from cvcore.extraction import Extraction
    from cvcore.weights import locate

    bench.start()
    weights = locate(
        config.model,
        image_size=bench.data.image_size,
        store=bench.store,
        folder=bench.cache_folder,
        fetch=bench.fetch,
    )
    extraction = Extraction(config, config.model, weights, bench)
    rows = extraction.rows(deadline=math.inf)
    assert rows is not None
    return rows, extraction


def test_augmented_views_differ_and_validation_images_are_clean(small: Bench) -> None:
    training = {"epochs": 9, "feature_views": 3}
    plain, _ = extracted(trial_of(), small)
    rows, extraction = extracted(trial_of(model=AUGMENTED, training=training), small)
    dataset = small.dataset
    train = dataset.indices["train"]
    assert (extraction.num_views, rows.train.shape) == (3, (3, len(train)))
    assert len(rows.features) == 48 + 3 * len(train)
    np.testing.assert_array_equal(rows.features[:48], plain.features)
    for view in rows.train:
        assert np.array_equal(rows.labels[view], dataset.labels[train])
        assert not set(view) & set(range(48))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        differs = rows.features[rows.train[one]] != rows.features[rows.train[other]]
        assert differs.any(axis=1).all()
    assert (rows.features[rows.train[0]] != plain.features[train]).any(axis=1).all()
    assert np.array_equal(plain.train, train[None])


def test_an_augmented_trial_goes_through_its_views_and_says_how_many(small: Bench) -> None:
    training = {"epochs": 5, "feature_views": 3, "early_stopping_patience": 0}
    _, (progress,) = trained(trial_of(6, model=AUGMENTED, training=training), small)
    num_train = len(small.dataset.indices["train"])
    assert progress.outcome.feature_views == 3
    assert progress.outcome.epochs_run == 5
    again = trained(trial_of(7, model=AUGMENTED, training=training), small)[1][-1].outcome
    assert (again.features_reused, again.num_features_computed) == (True, 0)
    # As many views as epochs are enough.
    short = trained(trial_of(8, model=AUGMENTED, training={"epochs": 1}), small)[1][-1].outcome
    assert (short.feature_views, short.num_features_computed) == (1, 48 + num_train)


def test_views_are_the_same_bits_wherever_and_in_whatever_order_they_are_computed(
    folder: Path, small: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD_ROWS", 20)  # 48 plain rows: a shard holds some of both
    config = trial_of(model=AUGMENTED)
    first = beside(small, folder / "bits")
    expected = extracted(config, first)[0].features.tobytes()

    monkeypatch.setattr(features.os, "getpid", lambda: 3)  # begins with another shard
    fresh, _ = extracted(trial_of(model=AUGMENTED, seed=1), beside(small, folder / "bits again"))
    assert fresh.features.tobytes() == expected

    shards = [one.key for one in first.store.list("features/") if one.key.endswith(".npy")]
    assert len(shards) > 4
    first.store.delete(shards[2:4])
    alone, extraction = extracted(config, beside(small, folder / "bits", machine="two"))
    assert extraction.num_computed == 40
    assert alone.features.tobytes() == expected
