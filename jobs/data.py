"""`cvjobs data`: what lies in a data set, before anything is trained on it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cvcore.augmentation import augmentations
from cvcore.config import load_spec
from cvcore.errors import UsageError
from cvcore.runtime import start_tensorflow
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    DataArgument,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
    SpecOption,
    StoreOption,
)
from jobs.wiring import cache_folder, data_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cvcore.datasets import Dataset
    from cvcore.settings import SweepSpec

PREVIEW_FILE = "preview.png"
PREVIEWED_PER_CLASS = 20
AUGMENTED_DRAWS = 9
MAX_FILES_SHOWN = 10

app = typer.Typer(help="Look at images before training on them.", no_args_is_help=True)


@app.command()
def check(
    uri: DataArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Count images, list bad files, duplicates and contradictions."""
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.datasets import summarise

    document = summarise(_open(uri, set_))
    console.result(document, lambda: _show_check(console, document))


@app.command()
def preview(
    uri: DataArgument,
    output: OutputOption = None,
    spec: SpecOption = None,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a PNG of some images of every class.

    They look as a model would see them. With --spec, or --set model.augment_...=..., a row per
    class adds random draws of the augmentation.
    """
    console = Console.choose(json=json, quiet=quiet)
    path = _sheet_path(output)

    from cvcore.datasets import contact_sheet

    loaded = load_spec(spec, overrides=set_ or (), data=uri)
    asked = spec is not None or any(one.startswith("model.augment_") for one in set_ or ())
    augmentation = augmentations(loaded.model) if asked else {}
    dataset = _dataset(loaded)
    settings = ", ".join(f"{k.removeprefix('augment_')} {v}" for k, v in augmentation.items())
    rows, draws = {}, {}
    for index, name in enumerate(dataset.class_names):
        found = (dataset.labels == index).nonzero()[0]
        rows[f"{name}: {len(found):,} images"] = [
            dataset.images[i] for i in found[:PREVIEWED_PER_CLASS]
        ]
        if augmentation:
            original = dataset.images[found[0]]
            draws[f"{name}, one image and its augmentations: {settings}"] = [
                original,
                *_draw(original, loaded),
            ]
    try:
        path.write_bytes(contact_sheet({**rows, **draws}, title=uri))
    except OSError as error:
        raise UsageError(
            f"the preview cannot be written to {str(path)!r}: {error.strerror or error}",
            hint=f"--output {PREVIEW_FILE}   (or another place that can be written)",
        ) from error
    classes = list(dataset.class_names)
    document = {"output": str(path), "classes": classes, "augmentation": augmentation}
    console.result(document, lambda: console.text(str(path)))


def _sheet_path(output: str | None) -> Path:
    path = Path(output or PREVIEW_FILE)
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"--output names a .png file, received {output!r}", hint=f"--output {PREVIEW_FILE}"
        )
    return path


def _draw(image: NDArray[np.uint8], spec: SweepSpec) -> list[NDArray[np.uint8]]:
    """Augment one image several times, with the layers a model of this spec would have."""
    start_tensorflow(threads=1)

    from cvcore.models.draws import augmented

    return list(augmented(image, spec.model, num_draws=AUGMENTED_DRAWS, seed=spec.search.seed))


@app.command()
def splits(
    uri: DataArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show which image is in which split, or left out."""
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.datasets import summarise

    dataset = _open(uri, set_)
    summary = summarise(dataset)
    document = {
        **{name: summary[name] for name in ("fingerprint", "splits", "classes_by_split")},
        "files": [
            {"path": r.path, "label": r.label, "split": r.split, "status": r.status}
            for r in dataset.records
        ],
    }
    files = document["files"]
    columns = ["path", "label", "split", "status"]
    rows = [[file[column] for column in columns] for file in files]
    console.result(document, lambda: console.table(f"splits of {uri}", columns, rows))


def _open(uri: str, overrides: list[str] | None) -> Dataset:
    return _dataset(load_spec(None, overrides=overrides or (), data=uri))


def _dataset(spec: SweepSpec) -> Dataset:
    from cvcore.datasets import open_dataset

    return open_dataset(data_source(spec.data.uri), config=spec.data, cache_folder=cache_folder())


def _show_check(console: Console, document: dict[str, Any]) -> None:
    by_split = document["classes_by_split"]
    columns = ["class", *by_split, "all"]
    rows = [
        [name, *(counts[name] for counts in by_split.values()), count]
        for name, count in document["classes"].items()
    ]
    console.table(f"{document['used']:,} images of {document['uri']}", columns, rows)
    for part in ("quarantined", "excluded"):
        _show_files(console, part, document[part])
    duplicates = document["duplicates"]
    console.text(
        f"identical images: {duplicates['within_split']:,} in one split, "
        f"{duplicates['across_splits']:,} across splits "
        f"({duplicates['excluded_from_training']:,} left out of training)"
    )
    for warning in document["warnings"]:
        console.warn(warning)
    console.text(f"fingerprint {document['fingerprint']}")
    console.hint(f"cvjobs sweep --data {shlex.quote(document['uri'])}")


def _show_files(console: Console, title: str, part: dict[str, Any]) -> None:
    if not part["count"]:
        return
    shown = part["files"][:MAX_FILES_SHOWN]
    more = f", the first {len(shown)}" if part["count"] > len(shown) else ""
    rows = [[file["path"], file["reason"]] for file in shown]
    console.table(f"{part['count']:,} files {title}{more}", ["path", "reason"], rows)
