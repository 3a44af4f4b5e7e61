"""The main job on Ray, as a user starts it; one sweep, and what everybody may expect of it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvcore import layout
from cvcore.config import load_spec
from cvcore.events import read_batches
from cvcore.hyperparameters import hyperparameters
from cvcore.ledger import LEDGER
from cvcore.parts import TABLES
from cvcore.settings import SweepSpec
from cvcore.store import Store
from cvcore.tables import SCHEMAS
from tests.runs import RATES, Answer, elsewhere, here, local, same_numbers, settings, table, tiny

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(300)]

NUM_TRIALS = 6
SPACE = settings(
    RATES,
    "space.head={choice = ['flatten', 'gap']}",
    "space.dense_units={choice = [4, 8], when = {head = 'flatten'}}",
    "search.algorithm=grid",
)


def type_sweep(folder: Path, store: Path) -> list[str]:
    typed = ["sweep", tiny(folder), "--store", str(store), "--json", "--epochs", "2"]
    return [*typed, "--trials", str(NUM_TRIALS), "--max-concurrent", "2", *SPACE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def answer(folder: Path) -> Answer:
    """The one sweep on Ray that most tests of this file look at."""
    return elsewhere(*type_sweep(folder, folder / "store"))


@pytest.fixture(scope="module")
def store(answer: Answer, folder: Path) -> Store:
    assert answer.code == 0, answer.stderr
    return local(folder / "store")


@pytest.fixture(scope="module")
def spec(folder: Path) -> SweepSpec:
    return load_spec(
        tiny(folder), overrides=SPACE[1::2], epochs=2, trials=NUM_TRIALS, max_concurrent=2
    )


def test_stdout_is_one_document_with_all_that_was_promised(answer: Answer, store: Store) -> None:
    document = answer.document
    assert json.dumps(document, indent=2) == answer.stdout.rstrip("\n")
    assert {
        *("sweep_id", "name", "status", "store", "trials", "best", "wall_seconds", "efficiency"),
    } <= set(document)
    assert {"trial_id", "objective", "value", "hyperparameters", "model_uri"} <= set(
        document["best"]
    )
    assert document["trials"] == {"completed": NUM_TRIALS, "stopped": 0, "failed": 0}
    assert (document["name"], document["status"]) == ("tiny", "completed")
    assert document["store"] == store.uri
    assert document["wall_seconds"] > 0
    assert 0 < document["efficiency"] < 1
    assert "Traceback" not in answer.stderr
    assert "WARNING" not in answer.stderr


def test_every_trial_has_one_row_with_typed_columns(
    answer: Answer, store: Store, spec: SweepSpec
) -> None:
    parts = [one for name in TABLES for one in store.list(layout.lake_folder(name))]
    assert len(parts) == len(TABLES)  # compacted
    day = layout.sweep_date(answer.document["sweep_id"]).isoformat()
    assert all(f"/dt={day}/" in part.key for part in parts)
    filesystem, root = store.arrow_filesystem()
    for part in parts:
        name = part.key.split("/")[1]
        schema = pq.read_schema(filesystem.open_input_file(f"{root}/{part.key}"))
        assert schema.equals(SCHEMAS[name])
        assert schema.metadata == SCHEMAS[name].metadata
    rows = table(store, "trials")
    assert len(rows) == NUM_TRIALS
    for row in rows:
        assert row["attempt"] == 1
        assert row["epochs_run"] == 2
        assert row["num_params"] == row["num_trainable_params"] > 0
        assert row["strategy"]
        assert row["device"]
        assert row["images_per_second"] > 0
        assert row["started_at"] < row["finished_at"]
        declared = hyperparameters()
        fixed = [name for name in declared if name not in spec.space]
        assert all(
            row[f"hp_{name}"] is not None
            for name in fixed
            if declared[name].metadata["family"] != "transfer"
            and (name == "pool_stride" or not declared[name].metadata["optional"])
        )
        assert (row["hp_dense_units"] is None) == (row["hp_head"] == "gap")
    heads = Counter((row["hp_head"], row["hp_dense_units"]) for row in rows)
    assert len(heads) >= 2
    assert len({row["seed"] for row in rows}) == NUM_TRIALS


def test_the_document_the_tables_and_the_log_tell_one_story(answer: Answer, store: Store) -> None:
    best = answer.document["best"]
    rows = {row["trial_id"]: row for row in table(store, "trials")}
    row = rows[best["trial_id"]]
    assert (
        row["val_f1_weighted"] == best["value"] == max(r["val_f1_weighted"] for r in rows.values())
    )
    assert row["test_accuracy"] == best["test_accuracy"]
    assert row["test_f1_weighted"] == best["test_f1_weighted"]
    assert {k: v for k, v in row.items() if k.startswith("hp_") and v is not None} == {
        f"hp_{name}": value for name, value in best["hyperparameters"].items()
    }
    epochs = table(store, "epochs")
    assert Counter(one["trial_id"] for one in epochs) == dict.fromkeys(rows, 2)
    for one in epochs:
        if one["epoch"] == rows[one["trial_id"]]["best_epoch"]:
            for measure in ("val_loss", "val_accuracy", "val_f1_weighted"):
                assert one[measure] == rows[one["trial_id"]][measure]
    (sweep,) = table(store, "sweeps")
    assert sweep["best_trial_id"] == best["trial_id"]
    assert sweep["num_completed"] == NUM_TRIALS
    assert sweep["efficiency"] == answer.document["efficiency"]
    assert sweep["wall_seconds"] == answer.document["wall_seconds"]
    assert json.loads(sweep["versions"])["ray"]


def test_only_the_best_trial_keeps_a_model_and_saw_the_test_split(
    answer: Answer, store: Store, folder: Path
) -> None:
    best = answer.document["best"]
    models = list((folder / "store").rglob("model.keras"))
    assert [str(path) for path in models] == [best["model_uri"]]
    for row in table(store, "trials"):
        chosen = row["trial_id"] == best["trial_id"]
        assert (row["model_uri"] == best["model_uri"]) is chosen
        for measure in ("test_loss", "test_accuracy", "test_f1_weighted"):
            assert (row[measure] is not None) is chosen
    for name in ("predictions", "class_metrics", "confusion"):
        tested = {row["trial_id"] for row in table(store, name) if row["split"] == "test"}
        assert tested == {best["trial_id"]}


def test_predictions_cover_their_split_and_add_up_to_the_other_tables(
    answer: Answer, store: Store
) -> None:
    split_of = {row["path"]: row["split"] for row in table(store, "images")}
    label_of = {row["path"]: row["label"] for row in table(store, "images")}
    predictions = table(store, "predictions")
    trials = {row["trial_id"]: row for row in table(store, "trials")}
    scored = {(name, "validation") for name in trials} | {
        (answer.document["best"]["trial_id"], "test")
    }
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in predictions:
        found.setdefault((row["trial_id"], row["split"]), []).append(row)
        assert row["label"] == label_of[row["path"]]
        assert row["correct"] is (row["label"] == row["predicted"])
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert len(row["probabilities"]) == 2
    assert set(found) == scored
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for (trial_id, split), rows in found.items():
        assert {row["path"] for row in rows} == {p for p, s in split_of.items() if s == split}
        prefix = "val" if split == "validation" else split
        accuracy = sum(row["correct"] for row in rows) / len(rows)
        assert accuracy == pytest.approx(trials[trial_id][f"{prefix}_accuracy"])
        counted.update((trial_id, split, row["label"], row["predicted"]) for row in rows)
    confusion = {
        (row["trial_id"], row["split"], row["label"], row["predicted"]): row["count"]
        for row in table(store, "confusion")
    }
    assert confusion == counted
    for row in table(store, "class_metrics"):
        key = (row["trial_id"], row["split"])
        cells = {k[2:]: n for k, n in counted.items() if k[:2] == key}
        right = cells.get((row["class"], row["class"]), 0)
        assert row["support"] == sum(n for (label, _), n in cells.items() if label == row["class"])
        assert row["recall"] == pytest.approx(right / row["support"])


def test_a_handful_of_warm_workers_did_all_trials(store: Store) -> None:
    rows = table(store, "trials")
    assert len({row["worker"] for row in rows}) <= 2
    started = [row for row in rows if row["seconds_import"] > 1]
    assert len(started) <= 2  # the others found TensorFlow in their worker


def test_every_second_of_a_worker_is_booked(answer: Answer, store: Store) -> None:
    """From the end of one trial to the end of the next one in the same process."""
    rows = sorted(table(store, "trials"), key=lambda row: row["finished_at"])
    accounts = [f"seconds_{name}" for name in LEDGER]
    compared = 0
    for worker in {row["worker"] for row in rows}:
        own = [row for row in rows if row["worker"] == worker]
        for before, after in pairwise(own):
            held = (after["finished_at"] - before["finished_at"]).total_seconds()
            assert sum(after[name] for name in accounts) == pytest.approx(held, rel=0.02, abs=0.05)
            compared += 1
    assert compared >= NUM_TRIALS - 2
    assert all(row["seconds_import"] > 0 for row in rows[:1])
    ledger = answer.document["ledger"]
    for name in LEDGER:
        assert ledger[name] == pytest.approx(sum(row[f"seconds_{name}"] for row in rows))
    slot_seconds = answer.document["wall_seconds"] * 2
    assert sum(ledger.values()) == pytest.approx(slot_seconds, rel=0.02)


def test_the_best_was_scored_by_a_worker_that_had_trained(answer: Answer, store: Store) -> None:
    """A fresh process would have imported TensorFlow once more."""
    (scored,) = (
        event
        for batch in read_batches(store, answer.document["sweep_id"])
        for event in batch.events
        if event["type"] == "test_scored"
    )
    assert scored["worker"] in {row["worker"] for row in table(store, "trials")}


def test_the_stored_spec_reads_back_to_the_same_spec(
    answer: Answer, store: Store, spec: SweepSpec, tmp_path: Path
) -> None:
    text = store.read(layout.spec(answer.document["sweep_id"]))
    (tmp_path / "spec.toml").write_bytes(text)
    assert load_spec(tmp_path / "spec.toml") == spec
    (sweep,) = table(store, "sweeps")
    assert sweep["spec_toml"].encode() == text


def test_a_stranger_reads_one_row_a_trial_as_the_contract_says(store: Store) -> None:
    source = f"read_parquet('{store.uri}/lake/trials/*/*.parquet', hive_partitioning=true)"
    found = duckdb.sql(f"SELECT trial_id, dt FROM {source}").fetchall()
    assert len(found) == len({name for name, _ in found}) == NUM_TRIALS
    images = pa.Table.from_pylist(table(store, "images"))
    assert images.num_rows == 60
    assert set(images["status"].to_pylist()) == {"used"}


def test_this_process_gives_bit_for_bit_the_numbers_of_ray(
    store: Store, folder: Path, tensorflow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    inline = here(capsys, *type_sweep(folder, folder / "inline"), "--engine", "inline")
    assert inline.code == 0, inline.stderr
    here_too = local(folder / "inline")
    assert same_numbers(table(here_too, "epochs")) == same_numbers(table(store, "epochs"))
    assert [row["probabilities"] for row in table(here_too, "predictions")] == [
        row["probabilities"] for row in table(store, "predictions")
    ]
