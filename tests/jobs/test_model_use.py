"""`evaluate` and `predict`: a saved model gives, anywhere, the very figures that were recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from tests.runs import RATES, draw_castings, elsewhere, here, local, settings, table, tiny

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
