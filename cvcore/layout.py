"""Every key of a store, spelled once.

An identifier is sortable by time and safe in a URL and a file name.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime

LAKE = "lake"
SWEEPS = "sweeps"

# What `part_date` and `part_sweep` read off a key, for a query engine to read off a path.
PART_DATE = "/dt=([^/]+)/[^/]+$"
PART_SWEEP = "([^/]+)-[^/]+$"


def new_sweep_id(now: datetime) -> str:
    """Name a sweep: its start to the second in UTC, and a random tail."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


def trial_id(sweep_id: str, index: int) -> str:
    """Name the trial that was proposed as number `index`, from 0."""
    return f"{sweep_id}-{index:05d}"


def trial_sweep(trial: str) -> str:
    """Read the sweep off the id of a trial."""
    return trial.rpartition("-")[0]


def is_identifier(text: str) -> bool:
    """Tell whether a text could be the id of a sweep or trial: it is part of keys."""
    return text.isascii() and text.replace("-", "").isalnum()


def sweep_date(sweep_id: str) -> date:
    """Read the day a sweep started off its name."""
    return datetime.strptime(sweep_id[:8], "%Y%m%d").date()


def lake_folder(table: str) -> str:
    return f"{LAKE}/{table}/"


def lake_part(table: str, day: date, name: str) -> str:
    """Name one Parquet file of a table; `name` is unique within the table and the day."""
    return f"{LAKE}/{table}/dt={day.isoformat()}/{name}.parquet"


def sweep_parts(table: str, sweep_id: str) -> str:
    """Name what all of a sweep's parts of a table start with."""
    return f"{LAKE}/{table}/dt={sweep_date(sweep_id).isoformat()}/{sweep_id}-"


def sweep_part(table: str, sweep_id: str, batch: int) -> str:
    """Name the part of a table that one batch of a sweep's event log gave rise to."""
    return lake_part(table, sweep_date(sweep_id), f"{sweep_id}-{batch:06d}")


def part_sweep(key: str) -> str:
    """Read the sweep off the key of a part."""
    return key.rpartition("/")[2].rpartition("-")[0]


def part_date(key: str) -> date:
    """Read the partition off the key of a part: the day its sweep started."""
    return date.fromisoformat(key.split("/")[2].removeprefix("dt="))


def part_batch(key: str) -> int:
    """Read the batch off the key of a part."""
    return int(key.rpartition("-")[2].removesuffix(".parquet"))


def sweep_folder(sweep_id: str) -> str:
    return f"{SWEEPS}/{sweep_id}/"


def spec(sweep_id: str) -> str:
    return f"{SWEEPS}/{sweep_id}/spec.toml"


def manifest(sweep_id: str) -> str:
    return f"{SWEEPS}/{sweep_id}/manifest.json"


def events_folder(sweep_id: str) -> str:
    return f"{SWEEPS}/{sweep_id}/events/"


def events(sweep_id: str, batch: int) -> str:
    """Name one batch of the event log, numbered from 1."""
    return f"{SWEEPS}/{sweep_id}/events/{batch:06d}.jsonl"


def trial_folder(sweep_id: str, trial: str) -> str:
    return f"{SWEEPS}/{sweep_id}/trials/{trial}/"


def model(sweep_id: str, trial: str) -> str:
    return f"{SWEEPS}/{sweep_id}/trials/{trial}/model.keras"


def predictions(sweep_id: str, trial: str, split: str, attempt: int) -> str:
    """Name the predictions a worker leaves for the driver to publish."""
    return f"{SWEEPS}/{sweep_id}/trials/{trial}/predictions-{split}-{attempt}.parquet"


def dataset_manifest(fingerprint: str) -> str:
    return f"datasets/{fingerprint}/manifest.parquet"


def images_claim(fingerprint: str) -> str:
    """Name the pointer to the sweep that published a dataset's rows of the images table."""
    return f"datasets/{fingerprint}/published.json"


def features_about(key: str) -> str:
    """Name the description of a bank of features."""
    return f"features/{key}/about.json"


def features_shard(key: str, shard: int) -> str:
    """Name some rows of a bank of features, as one .npy file; counted from 0."""
    return f"features/{key}/{shard:05d}.npy"


def base_weights(name: str) -> str:
    """Name Keras' own ImageNet weights of a base model, as they were downloaded once."""
    return f"weights/imagenet/{name}.weights.h5"


def probe(name: str) -> str:
    """Name an object written and removed again to try a store out."""
    return f"doctor/{name}"
