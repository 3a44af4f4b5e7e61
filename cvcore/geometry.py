"""How large an image is after each layer of the CNN family: arithmetic, before anything is built.

Keras' rule: "valid" gives floor((n - window) / stride) + 1, "same" gives ceil(n / stride).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cvcore.settings import ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One windowed layer of a block; `window`, `stride` and sizes in pixels a side."""

    block: int
    kind: str
    filters: int
    window: int
    stride: int
    padding: str

    def after(self, size: int) -> int:
        """Return the size behind this layer, 0 or less if nothing is left."""
        if self.padding == "same":
            return -(-size // self.stride)
        return (size - self.window) // self.stride + 1

    def arithmetic(self, size: int) -> str:
        if self.padding == "same":
            return f"ceil({size} / {self.stride})"
        return f"floor(({size} - {self.window}) / {self.stride}) + 1"


def layers(model: ModelConfig) -> Iterator[Layer]:
    """Yield the convolutions and poolings of a CNN, in order; a pool of 1 at stride 1 is none.

    Raises `ValueError` where a list names more blocks than there are.
    """
    listed = _per_block(model, "filters")
    kernels = _per_block(model, "kernel_size") or [model.kernel_size] * model.num_blocks
    pools = _per_block(model, "pool_size") or [model.pool_size] * model.num_blocks
    for block, (kernel, pool) in enumerate(zip(kernels, pools, strict=True), start=1):
        grown = round(model.filters * model.filters_growth ** (block - 1))
        filters = listed[block - 1] if listed else grown
        yield Layer(
            block=block,
            kind="convolution",
            filters=filters,
            window=kernel,
            stride=model.conv_stride,
            padding=model.conv_padding,
        )
        stride = model.pool_stride or pool
        if pool > 1 or stride > 1:
            yield Layer(
                block=block,
                kind="pooling",
                filters=filters,
                window=pool,
                stride=stride,
                padding=model.pool_padding,
            )


def _per_block(model: ModelConfig, name: str) -> list[int]:
    """Return the numbers of a list, the last one repeated for the blocks that follow it."""
    text: str | None = getattr(model, f"{name}_per_block")
    if text is None:
        return []
    given = [int(number) for number in text.split(",")]
    if len(given) > model.num_blocks:
        raise ValueError(
            f"model.{name}_per_block has {len(given)} numbers for {model.num_blocks} blocks; "
            f"give at most one a block, or set model.num_blocks = {len(given)}"
        )
    return given + given[-1:] * (model.num_blocks - len(given))


def check(model: ModelConfig, *, image_size: int) -> int:
    """Return the side of the last feature map in pixels.

    Raises `ValueError` with the arithmetic where nothing is left.
    """
    if model.family != "cnn":
        return image_size
    size = image_size
    for layer in layers(model):
        left = layer.after(size)
        if left < 1:
            raise ValueError(_explain(model, layer, image_size=image_size))
        size = left
    return size


def fits(model: ModelConfig, *, image_size: int) -> bool:
    """Tell whether something of the image is left behind the last layer."""
    try:
        check(model, image_size=image_size)
    except ValueError:
        return False
    return True


def _explain(model: ModelConfig, layer: Layer, *, image_size: int) -> str:
    sizes = [image_size]
    for earlier in layers(model):
        if earlier == layer:
            break
        sizes.append(earlier.after(sizes[-1]))
    path = " -> ".join(str(one) for one in sizes)
    what = f"{layer.kind} {layer.window}x{layer.window} stride {layer.stride} {layer.padding}"
    return (
        f"a {image_size}x{image_size} image shrinks to nothing: sizes {path}, then {what} of block "
        f"{layer.block}: {layer.arithmetic(sizes[-1])} = {layer.after(sizes[-1])}; use fewer "
        "blocks, smaller strides or pools, or a larger data.image_size"
    )
