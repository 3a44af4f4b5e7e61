"""All ways to condense an image by the same factor, and what of its detections each keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvcore.errors import UsageError
from cvcore.kernels import Kernel
from cvcore.pictures.filtering import Map, Stages, Window, convolve, relu, run_stages, windows
from cvcore.receptive_field import padding_around

# A detection is at least this part as strong as the strongest; what rounding leaves of a zero is
# none.
WEAKEST, NOISE = 0.1, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to split a condensation, and what is left behind it.

    Measured against the detections at stride 1 where the kernel lies inside the image: beside a
    bright image, padding looks like an edge.
    `energy_fraction` is the squared strength of the detections that reach the output, each counted
    once; `places_fraction` the part of the image's cells (condensation x condensation pixels) with
    a detection whose position in the output has one too. Both are None where the filter finds
    nothing in the image. `condensed` is None where nothing of the image is left. `num_windows` is
    how often the kernel is applied.
    """

    window: Window
    condensed: Map | None
    num_windows: int
    energy_fraction: float | None
    places_fraction: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return what a JSON document says of it; `output` is (height, width)."""
        return {
            "conv_stride": self.window.conv_stride,
            "pool_stride": self.window.pool_stride,
            "pool_size": self.window.pool_size,
            "padding": self.window.conv_padding,
            "output": None if self.condensed is None else self.condensed.shape,
            "num_windows": self.num_windows,
            "energy_fraction": self.energy_fraction,
            "places_fraction": self.places_fraction,
        }


def splits(condensation: int) -> list[tuple[int, int]]:
    """List the pairs of convolution stride and pool stride whose product is the condensation."""
    return [(n, condensation // n) for n in range(1, condensation + 1) if condensation % n == 0]


def ways(image: Map, kernel: Kernel, *, condensation: int) -> list[Way]:
    """Try every split, with both paddings, and pools that just touch or overlap by one."""
    return [keep(image, kernel, window) for window in _windows(condensation)]


def _windows(condensation: int) -> Iterator[Window]:
    for conv_stride, pool_stride in splits(condensation):
        for padding in ("valid", "same"):
            for pool_size in (1,) if pool_stride == 1 else (pool_stride, pool_stride + 1):
                yield Window(
                    conv_stride=conv_stride,
                    conv_padding=padding,
                    pool_size=pool_size,
                    pool_stride=pool_stride,
                    pool_padding=padding,
                )


def keep(image: Map, kernel: Kernel, window: Window) -> Way:
    """Measure what one window keeps."""
    try:
        stages = run_stages(image, kernel, window)
    except UsageError:
        return Way(
            window=window, condensed=None, num_windows=0, energy_fraction=0.0, places_fraction=0.0
        )
    every = detections(image, kernel)
    threshold = max(WEAKEST * float(every.max()), NOISE)
    detected = np.flatnonzero(every > threshold)
    kept = np.intersect1d(_survivors(stages, kernel, window, shape=every.shape), detected)
    energy, places = None, None
    if detected.size:
        energy = float((every.flat[kept] ** 2).sum() / (every.flat[detected] ** 2).sum())
        expected = _cells(detected, every.shape, side=window.condensation)
        found = set(zip(*np.nonzero(stages.condensed > threshold), strict=True))
        places = len(expected & found) / len(expected)
    return Way(
        window=window,
        condensed=stages.condensed,
        num_windows=stages.filtered.size,
        energy_fraction=energy,
        places_fraction=places,
    )


def detections(image: Map, kernel: Kernel) -> Map:
    """Filter and detect at stride 1, one value a pixel; 0 where the kernel leaves the image."""
    every = relu(convolve(image, kernel, stride=1, padding="same"))
    around = [
        padding_around(length, window=side, stride=1, padding="same")
        for length, side in zip(image.shape, kernel.shape, strict=True)
    ]
    inside = tuple(
        slice(before, length - behind)
        for (before, behind), length in zip(around, image.shape, strict=True)
    )
    found = np.zeros_like(every)
    found[inside] = every[inside]
    return found


def _survivors(
    stages: Stages, kernel: Kernel, window: Window, *, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Return which positions of the image the output's values come from, as flat indices."""
    index = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    height, width = stages.filtered.shape
    top, left = (
        _first(length, side, window)
        for length, side in zip(stages.image.shape, kernel.shape, strict=True)
    )
    visited = index[top :: window.conv_stride, left :: window.conv_stride][:height, :width]
    values, sources = _pooled(stages.detected, window), _pooled(visited, window)
    winners = values.argmax(axis=-1, keepdims=True)
    return np.unique(np.take_along_axis(sources, winners, axis=-1)).astype(np.int64)


def _pooled(values: Map, window: Window) -> Map:
    """Return what lies in each pooling window, (rows, columns, numbers in a window)."""
    found = windows(
        values, shape=(window.pool_size, window.pool_size), stride=window.pool_stride,
        padding=window.pool_padding, fill=-np.inf,
    )  # fmt: skip
    return found.reshape(*found.shape[:2], -1)


def _first(length: int, side: int, window: Window) -> int:
    """Return which position of stride 1 and "same" padding a window visits first."""
    every, _ = padding_around(length, window=side, stride=1, padding="same")
    before, _ = padding_around(
        length, window=side, stride=window.conv_stride, padding=window.conv_padding
    )
    return every - before


def _cells(
    positions: NDArray[np.int64], shape: tuple[int, ...], *, side: int
) -> set[tuple[int, int]]:
    rows, columns = np.unravel_index(positions, shape)
    return set(zip(rows // side, columns // side, strict=True))
