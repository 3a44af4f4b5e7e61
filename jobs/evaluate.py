"""`cvjobs evaluate`: the figures of a saved model on labelled images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cvcore.errors import UsageError
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    FiguresOption,
    GalleryOption,
    JsonOption,
    MistakesOption,
    ModelArgument,
    QuietOption,
    RequiredDataOption,
    SplitOption,
    StoreOption,
    ThresholdOption,
)
from jobs.show_evaluation import show_evaluation
from jobs.wiring import OutputFile, cache_folder, data_source, open_file

if TYPE_CHECKING:
    from cvcore.datasets import Dataset

MAX_IN_GALLERY = 24
FILES = {
    "mistakes": (".csv", ".parquet"),
    "gallery": (".png",),
    "figures": (".png", ".svg"),
}


def evaluate(
    model: ModelArgument,
    data: RequiredDataOption,
    split: SplitOption = None,
    threshold: ThresholdOption = None,
    mistakes: MistakesOption = None,
    gallery: GalleryOption = None,
    figures: FiguresOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a model on labelled images, class by class.

    Beside the scores: confidence intervals, the baseline to beat, calibration, the wrong
    predictions and, for two classes, what other thresholds give.
    """
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.card import read_card
    from cvcore.datasets import open_dataset
    from cvcore.evaluation import assess
    from cvcore.runtime import start_tensorflow
    from cvcore.scoring import Predictor
    from cvcore.settings import DataConfig
    from jobs.model_files import choose_split, local_model

    files = _files(mistakes=mistakes, gallery=gallery, figures=figures)
    source = data_source(data)
    with local_model(model, store=store) as path:
        card = read_card(path)
        _check_threshold(threshold, class_names=card["class_names"])
        config = replace(DataConfig(**card["data"]), uri=data)
        dataset = open_dataset(source, config=config, cache_folder=cache_folder())
        name, indices = choose_split(dataset, card=card, wanted=split)
        start_tensorflow(threads=card["threads"])
        logits = Predictor(path).logits(dataset.images, indices)
    assessment = assess(
        logits,
        dataset.labels[indices],
        class_names=dataset.class_names,
        split=name,
        paths=[dataset.paths[i] for i in indices],
        threshold=threshold,
    )
    document = {"model": model, "data": data, "num_images": len(indices), **assessment.to_dict()}
    for what, file in files.items():
        file.write(_content(what, document, dataset, kind=file.key.rpartition(".")[2]))
    console.result(document, lambda: show_evaluation(console, document, files=files))


def _check_threshold(threshold: float | None, *, class_names: list[str]) -> None:
    if threshold is not None and len(class_names) != 2:
        raise UsageError(
            f"--threshold needs a model of two classes, this one has {len(class_names)}: "
            f"{', '.join(class_names)}",
            hint="leave --threshold out: the likeliest class is predicted",
        )


def _files(**uris: str | None) -> dict[str, OutputFile]:
    """Open what is to be written, before anything is measured."""
    return {
        what: open_file(uri, suffix=FILES[what], option=f"--{what}")
        for what, uri in uris.items()
        if uri is not None
    }


def _content(what: str, document: dict[str, Any], dataset: Dataset, *, kind: str) -> bytes:
    """Make one of `FILES`; `kind` is its suffix without the dot."""
    if what == "mistakes":
        return _table(document["mistakes"], kind=kind)
    from cvcore.pictures import draw_evaluation, draw_gallery, save

    title = f"{document['split']} split, {document['num_images']:,} images"
    if what == "figures":
        scores = f"accuracy {document['accuracy']:.3f}, weighted F1 {document['f1_weighted']:.3f}"
        return save(draw_evaluation(document, title=f"{title}: {scores}"), kind=kind)
    shown = document["mistakes"][:MAX_IN_GALLERY]
    places = {path: index for index, path in enumerate(dataset.paths)}
    images = [dataset.images[places[one["path"]]] for one in shown]
    more = f", the surest {len(shown)}" if len(shown) < len(document["mistakes"]) else ""
    title += f": {len(document['mistakes']):,} wrong{more}"
    return save(draw_gallery(shown, images, title=title), kind=kind)


def _table(mistakes: list[dict[str, Any]], *, kind: str) -> bytes:
    from io import BytesIO

    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    texts = {name: pa.string() for name in ("path", "label", "predicted")}
    numbers = {name: pa.float64() for name in ("confidence", "label_probability")}
    table = pa.Table.from_pylist(mistakes, schema=pa.schema({**texts, **numbers}))
    sink = BytesIO()
    if kind == "csv":
        pyarrow.csv.write_csv(table, sink)
    else:
        pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
