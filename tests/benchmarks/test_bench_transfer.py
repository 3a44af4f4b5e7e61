"""Heads in plain Keras are the heads of the sweep; what was not measured is called extrapolated."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench_transfer
from benchmarks.sweep_images import write_images
from benchmarks.transfer_work import Work, grid

SIZE = 32
EPOCH_SECONDS = [[10.0, 2.0, 2.0], [5.0, 2.0, 2.0]]


def work_of(data: Path = Path("none"), **changes: int) -> Work:
    work = Work(data=data, size=SIZE, weights=None, sweep_epochs=30, heads=2, epochs=3)
    return replace(work, **changes)


def rounds_of(plain_test_accuracy: float) -> list[tuple[bench_transfer.Row, bench_transfer.Row]]:
    shared = {"val_accuracy": [[0.8] * 30] * 16, "test_accuracy": 0.9}
    ours = {**shared, "seconds": 10.0, "features_computed": 100}
    plain = {**shared, "seconds": 60.0, "sweep_seconds": 300.0}
    return [(ours, {**plain, "test_accuracy": plain_test_accuracy})]


def test_the_sweep_has_sixteen_heads_that_all_differ() -> None:
    heads = grid(work_of())
    assert len({tuple(head.items()) for head in heads}) == len(heads) == 16


def test_seconds_are_extended_by_heads_and_epochs() -> None:
    # 4 s once, one first epoch with the decoding, 15 without, 16 x 29 later ones
    seconds = bench_transfer.extrapolate(27.0, EPOCH_SECONDS, work_of())
    assert seconds == 4 + 10 + 15 * 5 + 16 * 29 * 2


def test_a_table_says_what_is_extrapolated() -> None:
    part = bench_transfer.summarise(rounds_of(0.5), work_of(heads=4), chance=0.5)
    assert part["ratio"] == 30.0  # of the same epochs; test scores of other epochs do not compare
    written = bench_transfer.result_table(part)
    assert "plain Keras, extrapolated from 4 heads × 3 epochs" in written
    whole = bench_transfer.summarise(rounds_of(0.9), work_of(heads=16, epochs=30), chance=0.5)
    assert "extrapolated" not in bench_transfer.result_table(whole)


def test_two_heads_are_too_few_for_a_ratio() -> None:
    part = bench_transfer.summarise(rounds_of(0.9), work_of(heads=2), chance=0.5)
    assert (part["verdict"], part["ratio"]) == ("inconclusive", None)


def test_other_test_scores_leave_no_ratio() -> None:
    whole = bench_transfer.summarise(rounds_of(0.8), work_of(heads=16, epochs=30), chance=0.5)
    assert whole["ratio"] is None


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.xdist_group("tensorflow")
@pytest.mark.usefixtures("tensorflow")
def test_plain_keras_trains_the_same_head_and_scores_the_test(tmp_path: Path) -> None:
    from benchmarks.transfer_in_keras import mobilenet, train_heads, with_head
    from cvcore.models import build
    from cvcore.settings import ModelConfig

    write_images(tmp_path, num_images=20, size=SIZE, castings=tmp_path / "none")
    one, _ = tmp_path.glob("test/*/*.jpeg")
    shutil.copy(one, one.with_name("again.jpeg"))  # three to test on; 18 to train on
    work = work_of(tmp_path)
    head = grid(work)[-1]
    plan = {"data": str(tmp_path), "size": SIZE, "batch_size": 8, "weights": None, "epochs": 2}
    found = train_heads({**plan, "heads": [head]})
    assert [len(one["val_accuracy"]) for one in found["heads"]] == [2]
    assert [len(one["epoch_seconds"]) for one in found["heads"]] == [2]
    assert any(found["test_accuracy"] == pytest.approx(hits / 3) for hits in range(4))

    layers = {name: head[name] for name in ("dense_units", "dropout")}
    config = ModelConfig(family="transfer", weights="none", head="gap", **layers)
    ours = build(config, image_size=SIZE, channels=3, num_classes=2, precision="float32")
    theirs = with_head(head, mobilenet(plan))
    for model in (ours, theirs):
        assert len(model.trainable_weights) == 4
    assert theirs.count_params() == ours.count_params()
