"""`cvjobs predict`: what a saved model says of images, as a Parquet table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cvcore.errors import DataError
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    JsonOption,
    ModelArgument,
    QuietOption,
    RequiredDataOption,
    RequiredOutputOption,
    StoreOption,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cvcore.datasets import ImageBatch


def predict(
    model: ModelArgument,
    data: RequiredDataOption,
    output: RequiredOutputOption,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Predict images, in class folders or not.

    An unreadable image becomes a row too, with the reason.
    """
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.card import read_card
    from cvcore.datasets import read_images
    from cvcore.runtime import start_tensorflow
    from cvcore.settings import DataConfig
    from jobs.model_files import local_model
    from jobs.wiring import data_source, open_file

    target = open_file(output, suffix=".parquet")
    source = data_source(data)
    with local_model(model, store=store) as path:
        card = read_card(path)
        config = replace(DataConfig(**card["data"]), uri=data)
        start_tensorflow(threads=card["threads"])
        batches = read_images(source, config=config)
        rows = list(_rows(path, batches, class_names=card["class_names"]))
    if not rows:
        raise DataError(f"no image found in {data}", hint=f"cvjobs data check {data}")
    target.write(_parquet(rows))
    predicted = Counter(row["predicted"] for row in rows if row["predicted"] is not None)
    document = {
        "model": model,
        "data": data,
        "output": output,
        "num_images": sum(predicted.values()),
        "num_unreadable": len(rows) - sum(predicted.values()),
        "predicted": dict(sorted(predicted.items())),
    }
    console.result(document, lambda: _show(console, document))


def _rows(
    model_path: Path, batches: Iterator[ImageBatch], *, class_names: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield one row an image: path, label where a folder gives it, prediction, probabilities."""
    from cvcore.scoring import Predictor

    predictor = Predictor(model_path)
    for batch in batches:
        for record in batch.quarantined:
            yield {
                "path": record.path,
                "label": record.label if record.label in class_names else None,
                "predicted": None,
                "reason": record.reason,
            }
        if not len(batch.records):
            continue
        chances = predictor.probabilities(batch.images)
        for record, chance in zip(batch.records, chances, strict=True):
            guess = class_names[int(chance.argmax())]
            yield {
                "path": record.path,
                "label": record.label if record.label in class_names else None,
                "predicted": guess,
                "confidence": float(chance.max()),
                "probabilities": chance.tolist(),
            }


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    from io import BytesIO

    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "path": pa.string(),
            "label": pa.string(),
            "predicted": pa.string(),
            "confidence": pa.float64(),
            "probabilities": pa.list_(pa.float32()),
            "reason": pa.string(),
        }
    )
    sink = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def _show(console: Console, document: dict[str, Any]) -> None:
    console.table("predicted", ["class", "images"], list(document["predicted"].items()))
    if document["num_unreadable"]:
        console.warn(f"{document['num_unreadable']} files could not be read: see column reason")
    console.text(f"written to {document['output']}")
