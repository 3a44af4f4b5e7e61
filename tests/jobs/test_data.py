"""`cvjobs data`: what a person and a program are told about images."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.cli import main
from jobs.data import AUGMENTED_DRAWS
from jobs.wiring import open_store
from tests.pictures import make_classes, plant_bad_files, png

ROOT = Path(__file__).parents[2]
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

    classes = ["def_front", "ok_front"]
    assert document == {"output": str(path), "classes": classes, "augmentation": {}}
    assert sheet.format == "PNG"
    assert len(sheet.convert("L").getcolors() or []) > 50


def any_paper(picture: Image.Image) -> bool:
    """Tell whether a border of the crop has a white pixel: then it is no picture of a sheet."""
    side = picture.width - 1
    edges = [(x, y) for x in range(side + 1) for y in (0, side)]
    edges += [(x, y) for y in range(side + 1) for x in (0, side)]
    return any(picture.getpixel(place) == (255, 255, 255) for place in edges)


def cells(path: Path) -> list[list[bytes]]:
    """Read the pictures off a contact sheet, row by row."""
    sheet = Image.open(path).convert("RGB")
    rows, top = [], 0
    while top < sheet.height - 48:
        found = [sheet.crop((left, top, left + 96, top + 96)) for left in range(12, 1000, 100)]
        inked = [one.tobytes() for one in found if not any_paper(one)]
        if inked:
            rows.append(inked)
        top += 96 if inked else 1
    return rows


def test_a_preview_shows_up_to_twenty_images_a_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for num_images, expected in ((20, [10, 10]), (60, [10, 10, 10, 10])):
        uri = f"builtin:castings?images={num_images}&size=32&seed=0"
        document_of(["data", "preview", uri, "--output", str(tmp_path / "sheet.png")], capsys)
        assert [len(row) for row in cells(tmp_path / "sheet.png")] == expected


@pytest.mark.slow
@pytest.mark.timeout(40)
@pytest.mark.usefixtures("tensorflow")
def test_a_preview_shows_random_draws_of_the_augmentation_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sheet.png"
    typed = ["data", "preview", CASTINGS, "--output", str(path)]
    shown = document_of([*typed, "--set", "model.augment_rotation=0.2"], capsys)["augmentation"]
    *plain, crack, fine = cells(path)

    assert shown == {"augment_flip": "both", "augment_rotation": 0.2, "augment_fill": "reflect"}
    assert [row[0] for row in (crack, fine)] == [row[0] for row in plain]
    for row in (crack, fine):
        assert len(row) == len(set(row)) == 1 + AUGMENTED_DRAWS

    assert document_of([*typed, "--set", "model.augment_flip=none"], capsys)["augmentation"] == {}
    assert cells(path) == plain


def test_a_plain_preview_does_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from jobs.cli import main\n"
        f"code = main(['data', 'preview', {CASTINGS!r}, '--output', {str(tmp_path / 'a.png')!r}])\n"
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_preview_is_a_png_by_name_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "preview", CASTINGS, "--output", str(tmp_path / "a.jpg")]) == 2
    assert ".png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


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
