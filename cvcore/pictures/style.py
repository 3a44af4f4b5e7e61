"""How every picture looks and is saved: one place for fonts, colours, sizes and file formats.

Figures are objects of their own, never those of pyplot, whose global state would outlive a command.
A user's matplotlibrc changes nothing here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cvcore.pictures.filtering import Map

FORMATS = ("png", "svg")
DOTS_PER_INCH = 150
# Characters of a name that fit into the title of the narrowest figure, with what stands around it.
MAX_NAME = 48
# Okabe and Ito's palette, which colour-blind readers can tell apart as well.
BLUE, VERMILION, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#6b6b6b"
# Pictures in grey, signed values around white, values from 0 (black) up, the order of layers.
PIXELS, SIGNED, POSITIVE, ORDERED = "gray", "RdBu_r", "magma", "viridis"

_LOOK: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titlepad": 6.0,
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": False,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.titlesize": 12.0,
    "figure.titleweight": "bold",
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.0,
    "figure.dpi": DOTS_PER_INCH,
    "savefig.dpi": "figure",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "cvjobs",  # the same figure is the same file
    "text.parse_math": False,  # a dollar sign in a file's name is a dollar sign
}


@contextmanager
def look() -> Iterator[None]:
    """Draw and save in the style of this file; every function that draws is decorated with it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_LOOK)
        yield


def new_figure(*, width: float, height: float) -> Figure:
    """Open a figure, sizes in inches; its parts move apart until no text overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


@look()
def save(figure: Figure, *, kind: str) -> bytes:
    """Return the bytes of a PNG or SVG file (`kind` is one of `FORMATS`)."""
    out = BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    with warnings.catch_warnings():
        # A name may be written in a script that the font lacks: boxes say that as well.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def shortened(name: str, *, limit: int = MAX_NAME) -> str:
    """Take the middle out of a name that is too long for a title."""
    keep = limit // 2
    return name if len(name) <= limit else f"{name[:keep]}…{name[-keep:]}"


def sides(values: Map) -> str:
    """Write how large a map is: height × width."""
    return "{} × {}".format(*values.shape)


def show_map(
    axes: Axes, values: Map, *, title: str, colours: str, low: float, high: float
) -> AxesImage:
    """Show a map (height, width) with one square a position and no ticks."""
    shown = axes.imshow(values, cmap=colours, vmin=low, vmax=high)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    return shown


def show_tile(
    axes: Axes,
    values: NDArray[Any],
    place: tuple[float, float],
    *,
    colours: str,
    low: float,
    high: float,
) -> None:
    """Put a map (height, width), or an RGB image, on the unit square with its corner at (x, y).

    For sheets of many tiles, which as axes of their own would take seconds to lay out.
    """
    left, top = place
    axes.imshow(
        values, cmap=colours, vmin=low, vmax=high, extent=(left, left + 1, top + 1, top),
        interpolation="antialiased",
    )  # fmt: skip


def as_pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (height, width, 1 or 3) in a shape that matplotlib draws."""
    return image[..., 0] if image.shape[-1] == 1 else image


def add_scale(figure: Figure | SubFigure, shown: AxesImage, *axes: Axes) -> None:
    """Put the scale of a map below the axes that share it."""
    bar = figure.colorbar(shown, ax=list(axes), location="bottom", shrink=0.7, aspect=30, pad=0.03)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(4)
