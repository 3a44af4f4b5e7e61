"""Labelled images: from an address to decoded, split, memory-mapped arrays.

No TensorFlow here: what is read in a second must not wait for an import of eight.
"""

from __future__ import annotations

from pathlib import Path

from cvcore.datasets.building import name_files
from cvcore.datasets.cache import open_cached
from cvcore.datasets.contact_sheet import contact_sheet
from cvcore.datasets.dataset import Dataset
from cvcore.datasets.manifest import QUARANTINED, ImageRecord, to_rows
from cvcore.datasets.opening import open_source
from cvcore.datasets.reading import ImageBatch, read_images
from cvcore.datasets.sources import Source
from cvcore.datasets.summary import summarise
from cvcore.errors import DataError
from cvcore.settings import DataConfig

__all__ = [
    "Dataset",
    "ImageBatch",
    "ImageRecord",
    "Source",
    "contact_sheet",
    "open_dataset",
    "open_source",
    "read_images",
    "summarise",
    "to_rows",
]


def open_dataset(source: Source, *, config: DataConfig, cache_folder: Path) -> Dataset:
    """Open a labelled data set, decoding it unless this machine has done so before.

    Raises `DataError` where there is nothing to train on, or a bad file under
    `on_corrupt = "fail"`.
    """
    dataset = open_cached(source, config=config, folder=cache_folder)
    bad = [record for record in dataset.records if record.status == QUARANTINED]
    if bad and config.on_corrupt == "fail":
        raise DataError(
            f'on_corrupt = "fail", and {len(bad):,} files of {source.uri} are bad{name_files(bad)}',
            hint="cvjobs data check <data>   (lists them; on_corrupt = quarantine leaves them out)",
        )
    return dataset
