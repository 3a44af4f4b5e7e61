"""`cvjobs data`: what a person and a program are told about images."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.cli import main
from jobs.wiring import open_store
from tests.pictures import make_classes, plant_bad_files, png

CASTINGS = "builtin:castings?images=20&size=32&seed=0"


def document_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def test_check_counts_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_classes(tmp_path / "data")
    expected = plant_bad_files(folder)
    document = document_of(["data", "check", str(folder), "--set", "data.image_size=16"], capsys)

    assert document["images"] == 16
    assert document["classes"] == {"crack": 8, "ok": 8}
    assert document["splits"] == {"train": 12, "validation": 2, "test": 2}
    assert document["quarantined"]["count"] == len(expected)
    assert set(document["duplicates"]) == {
        "within_split", "across_splits", "excluded_from_training",
    }  # fmt: skip


def test_check_shows_a_person_the_bad_files_and_what_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_classes(tmp_path / "my data")
    (folder / "ok" / "text.png").write_text("hello")
    code = main(["data", "check", str(folder)])
    shown = capsys.readouterr()

    assert code == 0
    assert "ok/text.png" in shown.out
    assert "not_an_image" in shown.out
    assert f"next: cvjobs sweep --data '{folder}'" in shown.err


def test_preview_writes_a_picture_of_every_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sheet.png"
    document = document_of(["data", "preview", CASTINGS, "--output", str(path)], capsys)
    sheet = Image.open(BytesIO(path.read_bytes()))

    assert document == {"output": str(path), "classes": ["def_front", "ok_front"]}
    assert sheet.format == "PNG"
    assert len(sheet.convert("L").getcolors() or []) > 50


def test_a_preview_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["data", "preview", CASTINGS, "--output", str(tmp_path / "no" / "sheet.png")])

    assert code == 2
    assert "sheet.png" in capsys.readouterr().err


def test_splits_name_every_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(["data", "splits", CASTINGS], capsys)
    files: list[dict[str, str]] = document["files"]

    assert len({file["path"] for file in files}) == len(files) == 20
    assert document["splits"] == {"train": 12, "validation": 4, "test": 4}


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["check", "no/such/folder"], 3, "no/such/folder"),
        (["check", "builtin:castings?image=3"], 2, "'image'"),
        (["check", "gs://bucket/data"], 2, "gs://bucket/data"),
        (["check", "s3://bucket/data.tar.gz"], 3, "data.tar.gz"),
        (["check", CASTINGS, "--set", "data.image_sise=3"], 2, "image_size"),
        (["check"], 2, "URI"),
    ],
    ids=str,
)
def test_wrong_data_get_a_sentence_and_the_promised_code(
    arguments: list[str], code: int, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == code
    shown = capsys.readouterr()
    assert named in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


@pytest.mark.services
@pytest.mark.timeout(60)
def test_a_prefix_of_a_bucket_is_read_and_found_again(
    s3_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(s3_uri)
    for label in ("crack", "ok"):
        for index in range(6):
            data = png(index + 10 * (label == "ok"))
            store.write(f"images/{label}/Öl {index}.png", data)
    store.write("images/ok/empty.png", b"")
    store.write("images2/ok/not_under_the_prefix.png", b"")
    first = document_of(["data", "check", f"{s3_uri}/images"], capsys)
    second = document_of(["data", "check", f"{s3_uri}/images"], capsys)

    assert first["images"] == 12
    assert first["quarantined"]["reasons"] == {"empty": 1}
    assert (first["num_decoded"], second["num_decoded"]) == (12, 0)
    assert first["fingerprint"] == second["fingerprint"]


@pytest.mark.services
@pytest.mark.timeout(60)
def test_an_empty_prefix_is_no_data(s3_uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", f"{s3_uri}/nothing"]) == 3
    assert "nothing" in capsys.readouterr().err
