"""Find a model however the user names it, and the part of a dataset it is to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cvcore import layout
from cvcore.errors import DataError, KeyNotFound, UsageError
from jobs.wiring import open_store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cvcore.datasets import Dataset


@contextmanager
def local_model(model: str, *, store: str) -> Iterator[Path]:
    """Yield a local path of MODEL: a `.keras` file, an s3:// object, or a trial id in the store."""
    if Path(model).is_file():
        yield Path(model)
        return
    uri, key = _where(model, store=store)
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        try:
            open_store(uri).download(key, path)
        except KeyNotFound:
            raise _unknown(model, store=store) from None
        yield path


def _where(model: str, *, store: str) -> tuple[str, str]:
    """Split MODEL into the URI of a store and a key in it."""
    bucket, _, key = model.removeprefix("s3://").partition("/")
    if model.startswith("s3://") and key:
        return f"s3://{bucket}", key
    if not layout.is_identifier(model):
        raise _unknown(model, store=store)
    sweep_id = model.rpartition("-")[0]
    return store, layout.model(sweep_id or model, model)


def _unknown(model: str, *, store: str) -> UsageError:
    return UsageError(
        f"MODEL is a .keras file, an s3:// object or the id of a trial that has a model in "
        f"{store}, received {model!r}",
        hint=f"cvjobs results leaderboard --store {store}   (model_uri of the best trial)",
    )


def choose_split(
    dataset: Dataset, *, card: dict[str, Any], wanted: str | None
) -> tuple[str, npt.NDArray[np.int64]]:
    """Choose what to judge a model on: its name and the indices of its images.

    Data that come with a test folder, or the data the model was trained on, are judged on their
    test split; other data as a whole. Raises `UsageError`, or `DataError` for other classes.
    """
    import numpy as np

    if list(dataset.class_names) != card["class_names"]:
        raise DataError(
            f"the model tells {', '.join(card['class_names'])} apart, the data has the classes "
            f"{', '.join(dataset.class_names)}",
            hint="cvjobs data check <data>",
        )
    has_test_folder = dataset.from_split_folders and any(
        dataset.paths[i].lower().startswith("test") for i in dataset.indices["test"]
    )
    known = dataset.fingerprint == card["dataset_fingerprint"] or has_test_folder
    name = wanted or ("test" if known else "all")
    if name == "all":
        return name, np.sort(np.concatenate(list(dataset.indices.values())))
    if name not in dataset.indices or not len(dataset.indices[name]):
        options = ", ".join([*dataset.indices, "all"])
        raise UsageError(
            f"--split is one of {options}, received {name!r}", hint="--split all, or leave it out"
        )
    return name, dataset.indices[name]
