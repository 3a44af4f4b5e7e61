"""Filter, detect, condense: a convolution, ReLU and max pooling in NumPy, exactly as Keras does.

Small enough to be read beside the pictures, and held to Keras by a test. Maps are float64
(height, width).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cvcore.errors import UsageError
from cvcore.kernels import Kernel
from cvcore.receptive_field import padding_around

Map = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a convolution and the pooling behind it move; sizes and strides in positions.

    `pool_size` 1 at `pool_stride` 1 is no pooling.
    """

    conv_stride: int = 1
    conv_padding: str = "valid"
    pool_size: int = 2
    pool_stride: int = 2
    pool_padding: str = "valid"

    @property
    def condensation(self) -> int:
        """Return how many positions of the image one position of the output stands for, a side."""
        return self.conv_stride * self.pool_stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """An image on its way through a window."""

    image: Map
    filtered: Map
    detected: Map
    condensed: Map


def run_stages(image: Map, kernel: Kernel, window: Window) -> Stages:
    """Filter, detect and condense an image; raise `UsageError` where nothing of it is left."""
    filtered = convolve(image, kernel, stride=window.conv_stride, padding=window.conv_padding)
    detected = relu(filtered)
    condensed = max_pool(
        detected, size=window.pool_size, stride=window.pool_stride, padding=window.pool_padding
    )
    return Stages(image=image, filtered=filtered, detected=detected, condensed=condensed)


def convolve(image: Map, kernel: Kernel, *, stride: int, padding: str) -> Map:
    """Slide a kernel over an image, unflipped, as the layer Conv2D does."""
    weights = np.array(kernel.rows, dtype=np.float64)
    found: Map = np.einsum(
        "yxhw,hw->yx",
        windows(image, shape=weights.shape, stride=stride, padding=padding, fill=0.0),
        weights,
    )
    return found


def relu(values: Map) -> Map:
    """Keep what is positive."""
    return np.maximum(values, 0.0)


def max_pool(values: Map, *, size: int, stride: int, padding: str) -> Map:
    """Keep the largest value of each window, as the layer MaxPooling2D does."""
    found: Map = windows(
        values, shape=(size, size), stride=stride, padding=padding, fill=-np.inf
    ).max(axis=(2, 3))
    return found


def windows(
    values: Map, *, shape: tuple[int, ...], stride: int, padding: str, fill: float
) -> NDArray[np.float64]:
    """Return every window as a view (rows, columns, *shape), the padding filled with `fill`.

    Raises `UsageError` where not one window fits.
    """
    around = [
        padding_around(length, window=side, stride=stride, padding=padding)
        for length, side in zip(values.shape, shape, strict=True)
    ]
    values = np.pad(values, around, constant_values=fill)
    if values.shape[0] < shape[0] or values.shape[1] < shape[1]:
        raise UsageError(
            f"the image shrinks to nothing: a window of {_by(shape)} does not fit into the "
            f"{_by(values.shape)} that are left of it",
            hint="use a smaller window or stride, --padding same, or a larger image",
        )
    every: NDArray[np.float64] = sliding_window_view(values, shape)
    return every[::stride, ::stride]


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def circle(side: int = 64) -> Map:
    """Draw a circle one pixel wide, 1 on 0, four pixels from the edges."""
    offsets = np.arange(side) - (side - 1) / 2
    inside = np.hypot(offsets[:, None], offsets[None, :]) <= (side - 1) / 2 - 3
    framed = np.pad(inside, 1)
    surrounded = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    outline: Map = (inside & ~surrounded).astype(np.float64)
    return outline
