"""Generated castings as a data source: `builtin:castings?images=600&size=96&seed=0`.

For a first run without data, and for tests: two classes, half of the parts with a defect. The bytes
of image i follow from the seed and i alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from cvcore.datasets.impeller import draw_impeller
from cvcore.datasets.sources import Entry
from cvcore.errors import UsageError

SCHEME = "builtin:"
CLASSES = ("def_front", "ok_front")
DRAWING_VERSION = 1  # raise it whenever any byte of any image changes
_LIMITS = {"images": (2, 1_000_000), "size": (16, 2048), "seed": (0, 2**63 - 1)}
_STORED_BLOCK_BYTES = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class CastingsSource:
    """Generate pump impellers seen from above, grey PNGs of `size` pixels a side."""

    images: int = 600
    size: int = 96
    seed: int = 0

    @property
    def uri(self) -> str:
        return f"{SCHEME}castings?images={self.images}&size={self.size}&seed={self.seed}"

    @property
    def sequential(self) -> bool:
        return False

    def signature(self) -> str:
        return f"{self.uri}&version={DRAWING_VERSION}"

    def entries(self) -> Iterator[Entry]:
        for index in range(self.images):
            yield Entry(path=f"{CLASSES[index % 2]}/casting_{index:06d}.png")

    def read(self, path: str) -> bytes:
        index = int(path.rpartition("_")[2].removesuffix(".png"))
        rng = np.random.default_rng([self.seed, index])
        return encode_png(draw_impeller(rng, size=self.size, defective=index % 2 == 0))


def parse_castings(uri: str) -> CastingsSource:
    """Read a `builtin:` address; raise `UsageError` naming what is wrong with it."""
    name, _, query = uri.removeprefix(SCHEME).partition("?")
    example = f"cvjobs data check '{CastingsSource().uri}'"
    if name != "castings":
        raise UsageError(f"there is no built-in data set {name!r}, only castings", hint=example)
    parameters: dict[str, int] = {}
    known = [field.name for field in fields(CastingsSource)]
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UsageError(
                f"castings has no parameter {key!r}, only {', '.join(known)}", hint=example
            )
        low, high = _LIMITS[key]
        if not value.isdecimal() or not low <= int(value) <= high:
            raise UsageError(
                f"castings: {key} is a whole number from {low} to {high}, received {value!r}",
                hint=example,
            )
        parameters[key] = int(value)
    return CastingsSource(**parameters)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Write a grey image, uint8 (height, width), as an uncompressed PNG.

    Compressed bytes differ between zlib builds; these are the same everywhere.
    """
    height, width = pixels.shape
    filter_type = np.zeros((height, 1), np.uint8)
    rows = np.concatenate([filter_type, pixels], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", _stored(rows)),
            _chunk(b"IEND", b""),
        ]
    )


def _stored(data: bytes) -> bytes:
    """Wrap bytes as a zlib stream of stored blocks."""
    parts = [b"\x78\x01"]
    for start in range(0, len(data), _STORED_BLOCK_BYTES):
        block = data[start : start + _STORED_BLOCK_BYTES]
        last = start + _STORED_BLOCK_BYTES >= len(data)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", zlib.adler32(data))])


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return b"".join([struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)])
