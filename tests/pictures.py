"""Small image files made on the spot, good ones and bad ones, for tests of datasets."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cvcore.datasets import open_dataset, open_source
from cvcore.datasets.dataset import Dataset
from cvcore.settings import DataConfig

CONFIG = DataConfig(image_size=16)


def picture(seed: int, *, size: int = 24) -> Image.Image:
    """A coloured picture that no other seed gives."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.NEAREST)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


def png(seed: int, **options: int) -> bytes:
    return encoded(picture(seed, **options))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, *rest: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG put together by hand: `rest` are the chunks between header and end."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *rest, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bomb_png(side: int) -> bytes:
    """A complete PNG of side x side black pixels in a few hundred kilobytes."""
    packer = zlib.compressobj(1)
    row = bytes(1 + side)
    pieces = [packer.compress(row * 100) for _ in range(side // 100)]
    return raw_png(side, side, chunk(b"IDAT", b"".join([*pieces, packer.flush()])))


def make_classes(
    folder: Path, *, num_images: int = 8, classes: tuple[str, ...] = ("crack", "ok"), start: int = 0
) -> Path:
    """Write a folder per class, every image different."""
    seed = start
    for label in classes:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(num_images):
            (folder / label / f"{index:03d}.png").write_bytes(png(seed))
            seed += 1
    return folder


def open_folder(folder: Path, config: DataConfig = CONFIG, *, cache: Path | None = None) -> Dataset:
    cache = cache or folder.parent / "cache"
    return open_dataset(open_source(str(folder)), config=config, cache_folder=cache)


def plant_bad_files(folder: Path) -> dict[str, str]:
    """Put 41 bad files among the images of `make_classes`; return path -> expected code."""
    expected: dict[str, str] = {}

    def plant(name: str, code: str, make: bytes | Callable[[Path], object]) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(make):
            make(path)
        else:
            path.write_bytes(make)
        expected[name] = code

    image = picture(999, size=64)
    whole = {kind: encoded(image, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")}
    plant("crack/empty.png", "empty", b"")
    plant("ok/empty.jpg", "empty", b"")
    for part in (0.3, 0.6, 0.9):
        for kind in ("PNG", "JPEG"):
            cut = whole[kind][: int(len(whole[kind]) * part)]
            plant(f"crack/cut_{part}.{kind.lower()}", "truncated", cut)
    plant("crack/cut_in_header.png", "truncated", whole["PNG"][:20])
    plant("crack/cut_in_header.jpg", "truncated", whole["JPEG"][:10])
    plant("crack/cut.gif", "truncated", whole["GIF"][: len(whole["GIF"]) // 2])
    plant("crack/cut.bmp", "truncated", whole["BMP"][: len(whole["BMP"]) // 2])
    plant("crack/cut.tiff", "truncated", whole["TIFF"][: len(whole["TIFF"]) // 2])
    plant("crack/cut.webp", "damaged", whole["WEBP"][: len(whole["WEBP"]) // 2])
    plant("ok/text.jpg", "not_an_image", b"this is not a picture\n")
    plant("ok/page.png", "not_an_image", b"<!doctype html><title>404</title>")
    plant("ok/archive.png", "not_an_image", b"PK\x03\x04" + bytes(100))
    plant("ok/document.png", "not_an_image", b"%PDF-1.7\n" + bytes(100))
    plant("ok/drawing.png", "not_an_image", b"%!PS-Adobe-3.0 EPSF-3.0\n")
    plant("ok/zeros.png", "not_an_image", bytes(4096))
    plant("ok/noise.jpg", "not_an_image", bytes(range(7, 256)) * 9)
    plant("ok/annotation.json", "not_an_image", b'{"label": "ok"}')
    plant("ok/bomb.png", "too_many_pixels", bomb_png(30_000))
    plant("ok/larger.png", "too_many_pixels", raw_png(9000, 9000, chunk(b"IDAT", b"")))
    sides = struct.pack("<ii", 99_999, 99_999)
    plant("ok/tall.bmp", "too_many_pixels", whole["BMP"][:18] + sides + whole["BMP"][26:])
    plant("ok/huge_file.png", "too_large", lambda path: sparse(path, size_bytes=2**29))
    plant("ok/no_pixels.png", "damaged", raw_png(8, 8))
    plant("ok/no_width.png", "damaged", raw_png(0, 8, chunk(b"IDAT", zlib.compress(b"\0" * 8))))
    bad_checksum = bytearray(whole["PNG"])
    bad_checksum[30] ^= 0xFF
    plant("ok/checksum.png", "damaged", bytes(bad_checksum))
    garbage = chunk(b"IDAT", b"\x78\x9cnot deflate at all")
    plant("ok/garbage.png", "damaged", raw_png(8, 8, garbage))
    plant("ok/only_markers.jpg", "damaged", b"\xff\xd8\xff\xd9")
    plant("ok/only_header.gif", "damaged", b"GIF89a")
    wild = b"II*\0" + struct.pack("<I", 0xFFFFFF00)
    plant("ok/wild_offset.tiff", "damaged", wild)
    plant("ok/folder.png", "not_a_file", lambda path: path.mkdir())
    plant("ok/pipe.png", "not_a_file", os.mkfifo)
    plant("ok/self.png", "symlink_loop", lambda path: path.symlink_to("self.png"))
    plant("ok/upwards", "symlink_loop", lambda path: path.symlink_to(".."))
    plant("ok/dangling.png", "broken_link", lambda path: path.symlink_to("nowhere.png"))
    plant("ok/nothing/", "empty_folder", lambda path: path.mkdir(exist_ok=True))
    plant("stray.png", "no_class", png(998))
    os.link(folder / "ok/000.png", os.fsencode(folder / "ok") + b"/caf\xe9.png")
    expected["ok/caf\\xe9.png"] = "bad_name"
    return expected


def sparse(path: Path, *, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(size_bytes)
