"""How much of the image one unit of a feature map sees, layer by layer: arithmetic only.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill,
2019). ReLU, dropout and rescaling look at one position each and change nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cvcore.geometry import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the units behind one layer see; all in pixels a side of the image.

    `size` is that of the feature map, `field` that of the square one unit sees, `jump` the distance
    between the squares of two neighbours (the effective stride). `start` is the first pixel of the
    first unit's square, negative where it begins in the padding.
    """

    layer: Layer
    size: int
    field: int
    jump: int
    start: int

    @property
    def middle(self) -> tuple[int, int]:
        """Return first and last pixel of what the unit in the middle sees, padding included."""
        first = self.start + self.jump * ((self.size - 1) // 2)
        return first, first + self.field - 1

    @property
    def skips(self) -> bool:
        """Tell whether the windows of this layer leave out what lies between them."""
        return self.layer.stride > self.layer.window

    def to_dict(self) -> dict[str, Any]:
        """Return what a JSON document says of it."""
        layer = self.layer
        return {
            "block": layer.block, "kind": layer.kind, "window": layer.window,
            "stride": layer.stride, "padding": layer.padding, "size": self.size, "jump": self.jump,
            "field": self.field, "start": self.start, "skips": self.skips,
        }  # fmt: skip


def views(layers: Iterable[Layer], *, image_size: int) -> Iterator[View]:
    """Yield what is seen behind each layer; nothing of the image may be used up in between."""
    size, field, jump, start = image_size, 1, 1, 0
    for layer in layers:
        before, _ = padding_around(
            size, window=layer.window, stride=layer.stride, padding=layer.padding
        )
        start -= before * jump
        field += (layer.window - 1) * jump
        jump *= layer.stride
        size = layer.after(size)
        yield View(layer=layer, size=size, field=field, jump=jump, start=start)


def padding_around(length: int, *, window: int, stride: int, padding: str) -> tuple[int, int]:
    """Count the positions Keras adds before and behind; with "same" an odd one goes behind."""
    if padding == "valid":
        return 0, 0
    total = max((-(-length // stride) - 1) * stride + window - length, 0)
    return total // 2, total - total // 2
