"""Pictures as files: the name they are written to, and the image they explain something with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cvcore.errors import DataError, UsageError
from cvcore.settings import DataConfig
from jobs.wiring import data_source

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cvcore.pictures import Map

SUFFIXES = (".png", ".svg")
# A picture of a larger image would show no more of it.
LARGEST_SIDE = 512
BUILTIN_CASTING = "builtin:castings?images=2&size={size}&seed=0"
CASTING_SIZES = (96, 512)


def picture_path(output: str | None, *, default: str) -> Path:
    """Return where a picture goes; raise `UsageError` for a suffix that is no picture's."""
    path = Path(output or default)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--output names a {' or '.join(SUFFIXES)} file, received {output!r}",
            hint=f"--output {default}",
        )
    return path


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the suffix; raise `UsageError` where that cannot be done."""
    from cvcore.pictures import save

    data = save(figure, kind=path.suffix.lower().removeprefix("."))
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(
            f"the picture cannot be written to {str(path)!r}: {error.strerror or error}",
            hint=f"--output {path.name}   (or another place that can be written)",
        ) from error


def read_grey(file: str) -> Map:
    """Read an image file as values from 0 to 1 (height, width); raise `DataError`."""
    from cvcore.datasets.decoding import decode_whole, quiet_pillow
    from cvcore.datasets.problems import Unusable

    try:
        with quiet_pillow():
            return decode_whole(_read(file), largest_side=LARGEST_SIDE) / 255
    except Unusable as error:
        raise _refused(file, error.problem.sentence) from None


def read_square(file: str | None, *, image_size: int) -> Map:
    """Read an image as a grey model sees it, from 0 to 1 (image_size, image_size)."""
    grey = DataConfig(image_size=image_size, channels="grayscale")
    return read_pixels(file, config=grey)[..., 0] / 255


def read_pixels(file: str | None, *, config: DataConfig) -> NDArray[np.uint8]:
    """Read an image as a model of such data sees it; None: a generated casting.

    Returns uint8 (image_size, image_size, 1 or 3); raises `DataError`.
    """
    from cvcore.datasets.decoding import decode, quiet_pillow
    from cvcore.datasets.problems import Unusable

    if file is None:
        low, high = CASTING_SIZES
        size = min(max(config.image_size, low), high)
        source = data_source(BUILTIN_CASTING.format(size=size))
        data = source.read(next(iter(source.entries())).path)
    else:
        data = _read(file)
    try:
        with quiet_pillow():
            pixels = decode(
                data, image_size=config.image_size, channels=config.channels, alpha=config.alpha
            )
    except Unusable as error:
        raise _refused(str(file), error.problem.sentence) from None
    return pixels.array


def _read(file: str) -> bytes:
    from cvcore.datasets.sources import too_large

    path = Path(file)
    try:
        if not path.is_file():
            raise _refused(file, "no such file")
        if problem := too_large(path.stat().st_size):
            raise _refused(file, problem.sentence)
        return path.read_bytes()
    except OSError as error:
        raise _refused(file, error.strerror or str(error)) from None


def _refused(file: str, reason: str) -> DataError:
    return DataError(
        f"--image names an image file, {file!r} cannot be used: {reason}",
        hint=f"ls -l {shlex.quote(file)}",
    )
