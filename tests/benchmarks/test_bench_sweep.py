"""The sweeps that are timed against each other are the same work; without it no ratio stands."""

from __future__ import annotations

import json
import statistics
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import bench_sweep
from benchmarks.agreement import LEAST_ALLOWED, Agreement, chance_of, compare
from benchmarks.machine import describe
from benchmarks.sweep_images import write_images
from benchmarks.sweep_work import Work, num_structures, plan_work

SIZE, NUM_IMAGES = 64, 40
scores = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated castings as JPEG files."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, num_images=NUM_IMAGES, size=SIZE, castings=folder / "none")
    return folder


def work_of(folder: Path, data: Path, *, trials: int) -> Work:
    return plan_work(folder, data=data, trials=trials, size=SIZE, epochs=1, engine="inline")


def row(seconds: float, accuracies: list[float], **more: Any) -> bench_sweep.Row:
    return {"seconds": seconds, "val_accuracy": accuracies, "load_before": 0.0, **more}


def round_of(rival_accuracies: list[float]) -> dict[str, bench_sweep.Row]:
    ours = row(10.0, [0.7, 0.8], efficiency=0.5, training_step_seconds=8.0)
    return {"cvjobs": ours, "Ray Tune": row(30.0, rival_accuracies)}


def test_images_of_one_size_stand_in_three_splits_of_both_classes(data: Path) -> None:
    counts = {split: len(list(data.glob(f"{split}/*/*.jpeg"))) for split in ("train", "validation")}
    assert counts == {"train": 36, "validation": 4}
    assert len(list(data.glob("test/*"))) == 2
    for path in data.glob("*/*/*.jpeg"):
        with Image.open(path) as image:
            assert image.size == (SIZE, SIZE)


def test_the_list_is_what_the_search_draws_and_repeats_structures(
    tmp_path: Path, data: Path
) -> None:
    short, long = (work_of(tmp_path, data, trials=trials) for trials in (8, 32))
    assert long.configurations[:8] == short.configurations
    assert json.loads(long.plan.read_text())["configurations"] == list(long.configurations)
    assert 8 < num_structures(long) < 24


@given(st.lists(st.floats(0.7, 1), min_size=4, max_size=40))
def test_equal_scores_above_chance_agree(found: list[float]) -> None:
    assert compare(found, found, chance=0.5).verdict == "agree"


@given(st.lists(st.floats(0.7, 1), min_size=4, max_size=40), st.floats(0.03, 0.1))
def test_a_constant_difference_is_not_noise(found: list[float], shift: float) -> None:
    agreement = compare([score + shift for score in found], found, chance=0.5)
    assert agreement.allowed == pytest.approx(LEAST_ALLOWED)
    assert agreement.verdict == "differ"


@given(scores, st.floats(0, 1))
def test_a_system_that_learns_nothing_never_agrees(found: list[float], chance: float) -> None:
    untrained = [chance] * len(found)
    assert compare(found, untrained, chance=chance).verdict != "agree"
    assert compare(untrained, untrained, chance=chance).verdict == "inconclusive"


def test_what_was_measured_after_three_epochs_is_inconclusive() -> None:
    ours, theirs = [0.57, 0.71, 0.57, 0.61], [0.61, 0.57, 0.76, 0.82]
    assert compare(theirs, ours, chance=0.57).verdict == "inconclusive"


def test_one_configuration_has_no_spread_to_judge_by() -> None:
    assert compare([0.9], [0.9], chance=0.5).verdict == "inconclusive"


def test_chance_is_the_largest_class() -> None:
    assert chance_of([53, 40]) == 53 / 93


def test_a_configuration_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare([0.5, 0.6], [0.5], chance=0.5)


def agreements_of(difference: float) -> dict[str, Agreement]:
    shared = {"allowed": 0.05, "margin": 0.3, "num_configurations": 8}
    return {"Ray Tune": Agreement(difference=difference, **shared)}


def test_a_ratio_stands_only_where_scores_agree() -> None:
    rounds = [round_of([0.71, 0.79])] * 3
    agreeing = bench_sweep.summarise(rounds, agreements_of(0.01))
    differing = bench_sweep.summarise(rounds, agreements_of(-0.2))
    assert agreeing["Ray Tune"]["ratio_to_cvjobs"] == 3.0
    assert differing["Ray Tune"]["ratio_to_cvjobs"] is None
    assert "none: scores not shown equal" in bench_sweep.result_table(differing)
    assert "KerasTuner RandomSearch" not in agreeing  # it was not run


def test_the_page_has_what_a_report_needs() -> None:
    document = {
        "machine": describe("keras"),
        "typed": ["--full"],
        "images": {"train": 840},
        "spec": 'name = "bench-sweep"',
        "check": {
            name: {**asdict(one), "verdict": one.verdict}
            for name, one in agreements_of(0.01).items()
        },
        "results": {
            "8 trials, cold": bench_sweep.summarise([round_of([0.7, 0.8])], agreements_of(0.01))
        },
    }
    written = bench_sweep.report(document)
    for part in ("Question", "Hardware", "When, what", "Command", "What it does not show"):
        assert f"**{part}.**" in written
    assert "| Ray Tune | 30.0 (30.0 – 30.0) | 3.00 |" in written
    assert "train 840" in written
    assert "| Ray Tune | +0.010 | +0.050 | +0.300 | agree |" in written


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.xdist_group("tensorflow")
@pytest.mark.usefixtures("tensorflow")
def test_the_cnn_by_hand_is_ours(tmp_path: Path, data: Path) -> None:
    from benchmarks.sweep_in_keras import cnn
    from cvcore.config import load_spec
    from cvcore.hyperparameters import resolve
    from cvcore.models import build

    work = work_of(tmp_path, data, trials=4)
    spec = load_spec(work.spec)
    for configuration in work.configurations:
        drawn = {name: value for name, value in configuration.items() if name != "index"}
        model = resolve(spec, drawn)[0]
        ours = build(model, image_size=SIZE, channels=3, num_classes=2, precision="float32")
        theirs = cnn(configuration, size=SIZE)
        assert [type(one).__name__ for one in theirs.layers] == [
            type(one).__name__ for one in ours.layers[1:]
        ]
        assert [w.shape for w in theirs.weights] == [w.shape for w in ours.weights]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.xdist_group("tensorflow")
@pytest.mark.usefixtures("tensorflow")
def test_keras_tuner_tries_the_list_and_nothing_else(tmp_path: Path, data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from benchmarks.sweep_with_keras_tuner import search

        plan = json.loads(work_of(tmp_path, data, trials=2).plan.read_text())
        final = search(plan, storage=str(tmp_path))
    assert len(final) == 2
    tried = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/trial_*/trial.json")]
    numbers = sorted(one["hyperparameters"]["values"]["configuration"] for one in tried)
    assert numbers == [0, 1]


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(180)
def test_ray_tune_tries_the_list_on_a_running_cluster(tmp_path: Path, data: Path) -> None:
    work = work_of(tmp_path, data, trials=2)
    with bench_sweep.running_ray(num_cpus=1) as address:
        found = bench_sweep.measure_round(work, ["Ray Tune, reuse_actors"], address=address)
    found_row = found["Ray Tune, reuse_actors"]
    assert len(found_row["val_accuracy"]) == 2
    assert 0 <= statistics.mean(found_row["val_accuracy"]) <= 1
    assert found_row["seconds"] > 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_bare_processes_train_every_configuration_once(tmp_path: Path, data: Path) -> None:
    work = work_of(tmp_path, data, trials=5)
    found = bench_sweep.bare_row(work, None)
    assert len(found["val_accuracy"]) == 5
    # Of four validation images; what nobody trained would be 0.
    assert all(one in (0.25, 0.5, 0.75, 1.0) for one in found["val_accuracy"])
