"""`cvjobs evaluate`: the figures of a saved model on labelled images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    JsonOption,
    ModelArgument,
    QuietOption,
    RequiredDataOption,
    SplitOption,
    StoreOption,
)


def evaluate(
    model: ModelArgument,
    data: RequiredDataOption,
    split: SplitOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a model on labelled images, class by class."""
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.datasets import open_dataset
    from cvcore.runtime import start_tensorflow
    from cvcore.scoring import score_model
    from cvcore.settings import DataConfig
    from jobs.model_files import choose_split, local_model
    from jobs.wiring import cache_folder, data_source

    source = data_source(data)
    with local_model(model, store=store) as path:
        from cvcore.card import read_card

        card = read_card(path)
        config = replace(DataConfig(**card["data"]), uri=data)
        dataset = open_dataset(source, config=config, cache_folder=cache_folder())
        name, indices = choose_split(dataset, card=card, wanted=split)
        start_tensorflow(threads=card["threads"])
        evaluation, _ = score_model(path, dataset, split=name, indices=indices)
    document = {"model": model, "data": data, "num_images": len(indices), **evaluation.to_dict()}
    console.result(document, lambda: _show(console, document))


def _show(console: Console, document: dict[str, Any]) -> None:
    title = f"{document['split']} split of {document['data']}: {document['num_images']} images"
    classes = document["classes"]
    names = [one["label"] for one in classes]
    columns = ["class", "precision", "recall", "f1", "support", *(f"as {name}" for name in names)]
    rows = [
        [one["label"], one["precision"], one["recall"], one["f1"], one["support"], *counts]
        for one, counts in zip(classes, document["confusion"], strict=True)
    ]
    console.table(title, columns, rows)
    console.text(
        f"f1_weighted {document['f1_weighted']:.4f}   f1_macro {document['f1_macro']:.4f}   "
        f"accuracy {document['accuracy']:.4f}   loss {document['loss']:.4f}"
    )
