"""`evaluate` and `predict`: a saved model gives, anywhere, the very figures that were recorded."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.cli import main
from tests.runs import RATES, Answer, draw_castings, elsewhere, here, local, settings, table, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("tensorflow"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep on files in train/ and test/ folders, in `store`."""
    folder = tmp_path_factory.mktemp("models")
    draw_castings(folder / "data", images=80, parts=("train", "train", "train", "test"))
    typed = ["sweep", tiny(folder), "--engine", "inline", "--data", str(folder / "data"), "--quiet"]
    typed += ["--epochs", "3", "--trials", "2"]
    typed += settings(RATES, "model.augment_flip=both", "model.dropout=0.2")
    assert main([*typed, "--store", str(folder / "store")]) == 0
    return folder


@pytest.fixture(scope="module")
def best(folder: Path) -> dict[str, Any]:
    """The row of the trial that has a model."""
    (row,) = [row for row in table(local(folder / "store"), "trials") if row["model_uri"]]
    return row


def confusion(folder: Path, best: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {
        (row["label"], row["predicted"]): row["count"]
        for row in table(local(folder / "store"), "confusion")
        if (row["trial_id"], row["split"]) == (best["trial_id"], "test")
    }


def test_a_new_process_measures_exactly_the_recorded_figures(
    folder: Path, best: dict[str, Any]
) -> None:
    answer = elsewhere("evaluate", best["model_uri"], "--data", str(folder / "data"), "--json")
    assert answer.code == 0, answer.stderr
    measured = answer.document
    assert (measured["split"], measured["num_images"]) == ("test", 20)
    assert measured["loss"] == best["test_loss"]
    assert measured["accuracy"] == best["test_accuracy"]
    assert measured["f1_weighted"] == best["test_f1_weighted"]
    names = [one["label"] for one in measured["classes"]]
    cells = {
        (label, predicted): count
        for label, counts in zip(names, measured["confusion"], strict=True)
        for predicted, count in zip(names, counts, strict=True)
        if count
    }
    assert cells == confusion(folder, best)


def test_a_trial_id_names_its_model(
    folder: Path, best: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--store", str(folder / "store"))
    typed = ("evaluate", best["trial_id"], "--data", str(folder / "data"), *store)
    validation = here(capsys, *typed, "--split", "validation", "--json").document
    assert validation["loss"] == best["val_loss"]
    assert validation["f1_weighted"] == best["val_f1_weighted"]
    told = here(capsys, *typed)
    assert told.code == 0
    assert f"accuracy {best['test_accuracy']:.4f}" in told.stdout

    others = [row["trial_id"] for row in table(local(folder / "store"), "trials")]
    others.remove(best["trial_id"])
    for unknown in (*others, "nonsense", str(folder)):
        answer = here(capsys, "evaluate", unknown, "--data", str(folder / "data"), *store)
        assert answer.code == 2, unknown
        assert repr(unknown) in answer.stderr
        assert "next: cvjobs results leaderboard" in answer.stderr


def test_other_classes_than_the_models_are_refused(
    folder: Path, best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = draw_castings(tmp_path / "data", images=12, classes=("cat", "dog"))
    answer = here(capsys, "evaluate", best["model_uri"], "--data", str(other))
    assert answer.code == 3
    assert "cat, dog" in answer.stderr
    assert "def_front, ok_front" in answer.stderr


def test_predictions_of_the_test_folder_reproduce_the_confusion(
    folder: Path, best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "predictions.parquet"
    test = str(folder / "data" / "test")
    answer = here(
        capsys,
        *("predict", best["model_uri"], "--data", test, "--output", str(output), "--json"),
    )
    assert answer.code == 0, answer.stderr
    rows = pq.read_table(output).to_pylist()
    assert Counter((row["label"], row["predicted"]) for row in rows) == confusion(folder, best)
    recorded = {
        row["path"]: row["probabilities"]
        for row in table(local(folder / "store"), "predictions")
        if row["split"] == "test"
    }
    assert {f"test/{row['path']}": row["probabilities"] for row in rows} == recorded
    assert all(row["confidence"] == max(row["probabilities"]) for row in rows)
    assert answer.document["num_images"] == len(rows) == 20
    assert answer.document["predicted"] == dict(
        sorted(Counter(row["predicted"] for row in rows).items())
    )


def test_a_flat_folder_with_a_corrupt_file_is_predicted_too(
    folder: Path, best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (folder / "data" / "test").rglob("*.png"):
        (flat / path.name).write_bytes(path.read_bytes())
    (flat / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    output = tmp_path / "predictions.parquet"
    typed = ("predict", best["model_uri"], "--data", str(flat), "--output", str(output))
    answer = here(capsys, *typed, "--json")
    assert answer.code == 0, answer.stderr
    assert (answer.document["num_images"], answer.document["num_unreadable"]) == (20, 1)
    rows = {row["path"]: row for row in pq.read_table(output).to_pylist()}
    assert len(rows) == 21
    assert {row["label"] for row in rows.values()} == {None}
    broken = rows.pop("broken.png")
    assert broken["predicted"] is None
    assert broken["reason"]
    recorded = {
        row["path"].rpartition("/")[2]: row["predicted"]
        for row in table(local(folder / "store"), "predictions")
        if row["split"] == "test"
    }
    assert {name: row["predicted"] for name, row in rows.items()} == recorded

    told = here(capsys, *typed)
    assert told.code == 0
    assert "1 file" in told.stderr


def test_predict_needs_images_and_a_parquet_file(
    best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    typed = ("predict", best["model_uri"], "--data", str(tmp_path / "empty"), "--output")
    answer = here(capsys, *typed, str(tmp_path / "out.parquet"))
    assert answer.code == 3
    assert not (tmp_path / "out.parquet").exists()
    answer = here(capsys, *typed, str(tmp_path / "out.csv"))
    assert answer.code == 2
    assert ".parquet" in answer.stderr


def judged(
    folder: Path, best: dict[str, Any], capsys: pytest.CaptureFixture[str], *more: str
) -> Answer:
    data = ("--data", str(folder / "data"))
    return here(capsys, "evaluate", best["model_uri"], *data, "--split", "all", *more)


def test_an_evaluation_comes_with_what_puts_it_into_perspective(
    folder: Path, best: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    document = judged(folder, best, capsys, "--json").document
    labels, hits = document["num_images"], sum(document["confusion"][i][i] for i in range(2))
    for name in ("accuracy", "f1_weighted", "f1_macro"):
        interval = document["intervals"][name]
        assert interval["low"] <= document[name] <= interval["high"]
    assert document["averages"]["weighted"]["f1"] == pytest.approx(document["f1_weighted"])
    assert [sum(row) for row in document["confusion_percent"]] == pytest.approx([100, 100])
    assert document["baseline"]["accuracy"] == 0.5
    assert sum(one["count"] for one in document["calibration"]["bins"]) == labels == 80
    assert document["thresholds"]["label"] == "ok_front"
    assert document["thresholds"]["applied"]["f1"] == pytest.approx(document["classes"][1]["f1"])
    assert len(document["mistakes"]) == labels - hits

    told = judged(folder, best, capsys)
    for part in (
        "macro average", "weighted average", "as def_front", " %)", "95 % from", "always def_front",
        "calibration error", "ROC AUC", "best F1", "--split validation",
        f"{labels - hits} of 80 images predicted wrongly",
    ):  # fmt: skip
        assert part in told.stdout + told.stderr, part


def test_all_scores_follow_the_threshold(
    folder: Path, best: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    usual = judged(folder, best, capsys, "--json").document
    threshold = usual["thresholds"]["best_f1"]["threshold"]
    chosen = judged(folder, best, capsys, "--threshold", repr(threshold), "--json").document
    assert chosen["thresholds"]["applied"] == usual["thresholds"]["best_f1"]
    assert chosen["classes"][1]["f1"] == pytest.approx(usual["thresholds"]["best_f1"]["f1"])
    assert (chosen["loss"], chosen["calibration"]) == (usual["loss"], usual["calibration"])
    never = judged(folder, best, capsys, "--threshold", "1", "--json").document
    assert never["confusion"] == [[40, 0], [40, 0]]
    assert {one["label"] for one in never["mistakes"]} == {"ok_front"}


def test_the_wrong_predictions_are_a_table_and_a_gallery(
    folder: Path, best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "--mistakes": tmp_path / "wrong.csv",
        "--gallery": tmp_path / "wrong.png",
        "--figures": tmp_path / "judged.png",
    }
    typed = [word for option, path in files.items() for word in (option, str(path))]
    # Every casting without a defect is predicted wrongly.
    answer = judged(folder, best, capsys, "--threshold", "1", *typed, "--json")
    assert answer.code == 0, answer.stderr
    with files["--mistakes"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = answer.document["mistakes"]
    assert [row["path"] for row in rows] == [one["path"] for one in found]
    assert [float(row["confidence"]) for row in rows] == [one["confidence"] for one in found]
    parquet = tmp_path / "wrong.parquet"
    judged(folder, best, capsys, "--threshold", "1", "--mistakes", str(parquet))
    assert pq.read_table(parquet).to_pylist() == found
    for option in ("--gallery", "--figures"):
        with Image.open(files[option]) as picture:
            assert min(picture.size) > 500
            assert len(picture.convert("RGB").resize((64, 64)).getcolors(4096)) > 20


def test_a_threshold_or_a_file_that_cannot_be_is_refused_before_anything_is_written(
    folder: Path, best: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "wrong.csv"
    for option, value, said in (
        ("--threshold", "1.5", "from 0 to 1, received '1.5'"),
        ("--threshold", "nan", "from 0 to 1, received 'nan'"),
        ("--threshold", "half", "from 0 to 1, received 'half'"),
        ("--gallery", "wrong.pdf", "--gallery names a .png file"),
        ("--figures", "judged", "--figures names a .png or .svg file"),
    ):
        answer = judged(folder, best, capsys, "--mistakes", str(table), option, value)
        assert answer.code == 2, (option, value)
        assert said in answer.stderr
    answer = judged(folder, best, capsys, "--mistakes", "wrong.txt")
    assert (answer.code, table.exists()) == (2, False)
    assert "--mistakes names a .csv or .parquet file" in answer.stderr


def test_three_classes_have_no_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(draw_castings(tmp_path / "data", images=36, classes=("a", "b", "c")))
    store = ("--store", str(tmp_path / "store"))
    typed = ("sweep", tiny(tmp_path), "--engine", "inline", "--trials", "1", "--quiet")
    assert main([*typed, "--data", data, *store]) == 0
    (trial,) = table(local(tmp_path / "store"), "trials")
    evaluate = ("evaluate", trial["trial_id"], "--data", data, *store)
    answer = here(capsys, *evaluate, "--threshold", "0.5")
    assert answer.code == 2
    assert "two classes" in answer.stderr
    assert "a, b, c" in answer.stderr
    document = here(capsys, *evaluate, "--json").document
    assert document["thresholds"] is None
    assert here(capsys, *evaluate).code == 0
