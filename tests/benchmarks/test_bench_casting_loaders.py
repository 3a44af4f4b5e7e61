"""The casting table is fair: one split before any shuffle, the same images in every loader."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmarks import casting_systems as systems
from benchmarks.casting_split import CLASSES, lay_out
from tests.pictures import encoded, picture

NUM_TRAIN, NUM_TEST, NUM_CHOSEN, SIZE = 30, 6, 20, 24
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]


@pytest.fixture(scope="module")
def castings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the real one; two thirds are defect, one training image is in the test too."""
    folder = tmp_path_factory.mktemp("castings")
    seed = 0
    for split, total in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        for name, part in zip(CLASSES, (2 / 3, 1 / 3), strict=True):
            (folder / split / name).mkdir(parents=True)
            for index in range(round(total * part)):
                seed += 1
                data = encoded(picture(seed, size=SIZE), "JPEG", quality=95)
                (folder / split / name / f"{index:03d}.jpeg").write_bytes(data)
    leaked = (folder / "train" / CLASSES[0] / "000.jpeg").read_bytes()
    (folder / "test" / CLASSES[0] / "000.jpeg").write_bytes(leaked)
    return folder


@pytest.fixture(scope="module")
def plan(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> systems.Plan:
    folder = tmp_path_factory.mktemp("split")
    lay_out(folder, num_images=NUM_CHOSEN, castings=castings)
    return systems.Plan(folder=folder, size=SIZE, epochs=1, transfer_epochs=1, seed=0)


def contents(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*/*.jpeg")}


def test_the_subset_is_stratified_and_leaves_nothing_of_the_test_in_training(
    castings: Path, tmp_path: Path
) -> None:
    counts = lay_out(tmp_path, num_images=NUM_CHOSEN, castings=castings)
    assert counts == {"train": 18, "validation": 2, "test": NUM_TEST}
    train, validation, test = (contents(tmp_path / split) for split in counts)
    assert not train & validation
    assert not (train | validation) & test
    assert [len(list((tmp_path / "train" / name).iterdir())) for name in CLASSES] == [12, 6]


def test_all_images_of_the_folder_are_too_few_where_one_leaked(
    castings: Path, tmp_path: Path
) -> None:
    counts = lay_out(tmp_path, num_images=NUM_TRAIN, castings=castings)
    assert counts["train"] + counts["validation"] == NUM_TRAIN - 1


def test_the_subset_is_the_same_every_time(castings: Path, tmp_path: Path) -> None:
    for number in ("1", "2"):
        lay_out(tmp_path / number, num_images=NUM_CHOSEN, castings=castings)
    for split in ("train", "validation"):
        assert contents(tmp_path / "1" / split) == contents(tmp_path / "2" / split)


def test_all_three_hand_out_the_same_test_images_in_the_same_order(
    plan: systems.Plan,
) -> None:
    array = systems.load_with_scikit_image(plan)
    generated, batched = systems.load_with_keras(plan), systems.load_with_tensorflow(plan)
    from_keras = np.concatenate([generated.test[i][0] for i in range(len(generated.test))])
    from_tensorflow = np.concatenate([images for images, _ in batched.test])
    assert array.test.shape == (NUM_TEST, SIZE, SIZE, 3)
    assert np.abs(from_keras * 255 - array.test).max() < 0.01
    # TensorFlow's JPEG decoder rounds differently.
    assert np.abs(from_tensorflow - array.test).mean() < 3
    for loaded in (array, generated, batched):
        assert loaded.test_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_validation_images_stay_the_same_from_epoch_to_epoch(plan: systems.Plan) -> None:
    loaded = systems.load_with_tensorflow(plan)
    first, second = (np.concatenate([x for x, _ in loaded.validation]) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_models_have_as_many_parameters_as_the_document_prints() -> None:
    assert systems.cnn(300).count_params() == 4_394_786
    assert systems.augmented_cnn(300).count_params() == 4_394_786
    transfer = systems.mobilenet(weights=None)
    assert transfer.count_params() == 2_260_546
    assert sum(np.prod(w.shape) for w in transfer.trainable_weights) == 2_562


def test_a_row_scores_the_test_split_and_names_the_mistake(plan: systems.Plan) -> None:
    from benchmarks.bench_casting_loaders import closing_table, scikit_image_row

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = scikit_image_row(plan)
    assert 0 <= row["test_f1_weighted"] <= 1
    assert row["epochs"] == 1
    written = closing_table({"scikit-image, CNN": [row]})
    assert "F1 on the images trained on" in written
    assert "| 1.00 | 0:47 |" in written
