"""`cvjobs data`: what lies in a data set, before anything is trained on it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cvcore.config import load_spec
from cvcore.errors import UsageError
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    DataArgument,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
    StoreOption,
)
from jobs.wiring import cache_folder, data_source

if TYPE_CHECKING:
    from cvcore.datasets import Dataset

PREVIEW_FILE = "preview.png"
PREVIEWED_PER_CLASS = 20
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
    """Count images by class and split; list bad files, duplicates and contradicting labels."""
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.datasets import summarise

    document = summarise(_open(uri, set_))
    console.result(document, lambda: _show_check(console, document))


@app.command()
def preview(
    uri: DataArgument,
    output: OutputOption = None,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a PNG contact sheet: some images of every class, as a model would see them."""
    console = Console.choose(json=json, quiet=quiet)

    from cvcore.datasets import contact_sheet

    dataset = _open(uri, set_)
    rows = {}
    for index, name in enumerate(dataset.class_names):
        found = (dataset.labels == index).nonzero()[0]
        title = f"{name}: {len(found):,} images"
        rows[title] = [dataset.images[i] for i in found[:PREVIEWED_PER_CLASS]]
    path = Path(output or PREVIEW_FILE)
    try:
        path.write_bytes(contact_sheet(rows, title=uri))
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"the preview cannot be written to {str(path)!r}: {reason}") from error
    document = {"output": str(path), "classes": list(dataset.class_names)}
    console.result(document, lambda: console.text(str(path)))


@app.command()
def splits(
    uri: DataArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show which image is trained on, which chooses, which judges, and which is left out."""
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
    from cvcore.datasets import open_dataset

    config = load_spec(None, overrides=overrides or (), data=uri).data
    return open_dataset(data_source(uri), config=config, cache_folder=cache_folder())


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
