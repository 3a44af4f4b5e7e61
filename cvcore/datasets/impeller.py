"""Draw a pump impeller from above, as a camera over an inspection table would see it.

Everything is a signed distance in units of half an image side, turned into coverage at one pixel's
width, so that one drawing serves every size. Both classes share all nuisances (turn, shift, size,
light, stains, tool marks, noise); only the defects differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]

RIM, GROOVE, CAVITY, HUB, HOLE = 0.78, 0.555, 0.52, 0.235, 0.125
NUM_VANES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The part's own coordinates at every pixel; all planes are float64 (size, size).

    `x`, `y`, `radius` and `angle` have the hub as their origin; `pixel` is one pixel's width.
    """

    x: Plane
    y: Plane
    radius: Plane
    angle: Plane
    pixel: float

    def cover(self, distance: Plane) -> Plane:
        """Turn signed distances (negative inside) into coverage 0..1."""
        return np.clip(0.5 - distance / self.pixel, 0.0, 1.0)

    def ring(self, inner: float, outer: float) -> Plane:
        return self.cover(np.maximum(inner - self.radius, self.radius - outer))


def draw_impeller(rng: np.random.Generator, *, size: int, defective: bool) -> NDArray[np.uint8]:
    """Draw one part, uint8 (size, size)."""
    canvas = _place(rng, size=size)
    vane_lengths, vane_bends = np.ones(NUM_VANES), np.zeros(NUM_VANES)
    rim_shape: Plane = np.zeros_like(canvas.x)
    defects = _choose_defects(rng) if defective else []
    if "chip" in defects:
        rim_shape = _chips(canvas, rng)
    if "vane" in defects:
        _spoil_vane(rng, vane_lengths, vane_bends)
    image = _table(canvas, rng)
    disc = canvas.cover(canvas.radius - RIM + rim_shape)
    if "chip" in defects:
        image = _blend(image, np.full_like(image, 1.0), _fracture(canvas, rim_shape))
    image = _blend(image, _metal(canvas, rng, rim_shape), disc)
    image = _blend(image, _cavity(canvas, rng, vane_lengths, vane_bends), canvas.ring(0.0, CAVITY))
    image = _stains(canvas, rng, image, disc)
    for name in defects:
        if name in _MARKS:
            image = _MARKS[name](canvas, rng, image)
    return _expose(canvas, rng, image)


def _place(rng: np.random.Generator, *, size: int) -> Canvas:
    steps = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    column, row = np.meshgrid(steps, steps)
    scale = rng.uniform(0.93, 1.06)
    x = (column - rng.uniform(-0.06, 0.06)) / scale
    y = (row - rng.uniform(-0.06, 0.06)) / scale
    turn = rng.uniform(0.0, 2.0 * np.pi)
    return Canvas(
        x=x,
        y=y,
        radius=np.hypot(x, y),
        angle=(np.arctan2(y, x) + turn) % (2.0 * np.pi),
        pixel=2.0 / size / scale,
    )


def _choose_defects(rng: np.random.Generator) -> list[str]:
    names = ["holes", "scratch", "chip", "vane", "crack"]
    count = rng.choice([1, 2, 3], p=[0.2, 0.5, 0.3])
    return sorted(rng.choice(names, size=count, replace=False, p=[0.32, 0.18, 0.22, 0.08, 0.2]))


def _table(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Grey cardboard with the soft shadow of the part."""
    image = np.full_like(canvas.x, rng.uniform(0.54, 0.66))
    shift = rng.uniform(-0.05, 0.05, size=2)
    distance = np.hypot(canvas.x - shift[0], canvas.y - shift[1]) - RIM
    shadow: Plane = np.exp(-np.maximum(distance, 0.0) / 0.055)
    return image * (1.0 - 0.55 * shadow)


def _metal(canvas: Canvas, rng: np.random.Generator, rim_shape: Plane) -> Plane:
    """A turned face: two-lobed glare, fine concentric tool marks, a dark chamfer and a groove."""
    glare = np.cos(2.0 * (canvas.angle - rng.uniform(0.0, np.pi)))
    glare += 0.5 * np.cos(3.0 * canvas.angle + rng.uniform(0.0, 6.28))
    marks = np.sin(canvas.radius * rng.uniform(110.0, 150.0) + rng.uniform(0.0, 6.28))
    image: Plane = 0.68 + 0.09 * glare + 0.02 * marks
    chamfer = canvas.cover(np.abs(canvas.radius - RIM + rim_shape + 0.012) - 0.014)
    image = _blend(image, np.full_like(image, 0.38), 0.8 * chamfer)
    image = _blend(image, np.full_like(image, 0.22), canvas.ring(GROOVE + 0.03, GROOVE + 0.055))
    return _blend(image, np.full_like(image, 0.76), canvas.ring(CAVITY, GROOVE + 0.03))


def _cavity(
    canvas: Canvas, rng: np.random.Generator, vane_lengths: Plane, vane_bends: Plane
) -> Plane:
    """The dark inside: curved vanes around a bright hub with a bore."""
    image: Plane = 0.13 + 0.05 * (canvas.radius / CAVITY) ** 2
    pitch = 2.0 * np.pi / NUM_VANES
    sweep = canvas.angle + 2.3 * np.log(np.maximum(canvas.radius, 0.05))
    number = np.floor(sweep / pitch).astype(np.int64) % NUM_VANES
    sweep = sweep + vane_bends[number] * np.sin((canvas.radius - HUB) * 9.0)
    across = ((sweep % pitch) - 0.5 * pitch) * canvas.radius / 2.5
    end = HUB + (CAVITY - HUB) * vane_lengths[number]
    vane = canvas.cover(np.maximum(np.abs(across) - 0.019, canvas.radius - end))
    lit: Plane = 0.42 + 6.0 * across + 0.05 * rng.standard_normal(NUM_VANES)[number]
    stub = canvas.cover(np.maximum(np.abs(across) - 0.030, np.abs(canvas.radius - end) - 0.030))
    image = _blend(image, lit, vane)
    image = _blend(image, np.full_like(image, 1.0), stub * (vane_lengths[number] < 1.0))
    hub = 0.68 + 0.09 * np.cos(canvas.angle - rng.uniform(0.0, 6.28))
    image = _blend(image, hub, canvas.ring(HOLE, HUB))
    image = _blend(image, np.full_like(image, 0.30), canvas.ring(HUB - 0.012, HUB + 0.012))
    floor: Plane = 0.50 + 1.2 * (canvas.x * rng.uniform(-1, 1) + canvas.y * rng.uniform(-1, 1))
    image = _blend(image, floor, canvas.ring(0.0, HOLE))
    return _blend(image, np.full_like(image, 0.16), canvas.ring(HOLE - 0.015, HOLE + 0.010))


def _stains(canvas: Canvas, rng: np.random.Generator, image: Plane, disc: Plane) -> Plane:
    """Soft oil stains and faint handling marks, on good and bad parts alike."""
    for _ in range(rng.integers(1, 4)):
        x, y = _polar(rng.uniform(0.0, RIM), rng.uniform(0.0, 6.28))
        blob = np.exp(-((canvas.x - x) ** 2 + (canvas.y - y) ** 2) / rng.uniform(0.006, 0.03))
        image = image + rng.uniform(-0.08, 0.06) * blob * disc
    if rng.random() < 0.5:
        line = _stroke(canvas, _wander(rng, steps=2, length=0.3, jag=0.1), width=0.006)
        image = image + rng.uniform(-0.05, 0.05) * line * disc
    return image


def _chips(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Return how far the rim has moved in: ragged bites out of the edge."""
    depth: Plane = np.zeros_like(canvas.x)
    for _ in range(rng.integers(1, 4)):
        offset = (canvas.angle - rng.uniform(0.0, 6.28) + np.pi) % (2.0 * np.pi) - np.pi
        width = rng.uniform(0.12, 0.22)
        ragged = 1.0 + 0.12 * np.sin(offset * rng.uniform(15.0, 35.0) + rng.uniform(0.0, 6.28))
        bite = np.sqrt(np.clip(1.0 - (offset / width) ** 2, 0.0, None)) * ragged
        depth = np.maximum(depth, rng.uniform(0.10, 0.15) * bite)
    return depth


def _fracture(canvas: Canvas, rim_shape: Plane) -> Plane:
    """Cover the bright broken face between what is left of the rim and where it was."""
    return canvas.cover(canvas.radius - RIM + 0.4 * rim_shape) * (rim_shape > 0.02)


def _spoil_vane(rng: np.random.Generator, lengths: Plane, bends: Plane) -> None:
    victims = rng.choice(NUM_VANES, size=rng.integers(1, 3), replace=False)
    for victim in victims:
        if rng.random() < 0.8:
            lengths[victim] = rng.uniform(0.08, 0.5)
        else:
            bends[victim] = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.5)


def _holes(canvas: Canvas, rng: np.random.Generator, image: Plane) -> Plane:
    """Gas pores: dark pits with a bright far wall, on the machined face or the hub."""
    for _ in range(rng.integers(3, 7)):
        on_face = rng.random() < 0.8
        radius = rng.uniform(0.63, 0.74) if on_face else rng.uniform(HOLE + 0.03, HUB - 0.03)
        x, y = _polar(radius, rng.uniform(0.0, 6.28))
        size = rng.uniform(0.034, 0.058) * (1.0 if on_face else 0.7)
        stretch = rng.uniform(0.7, 1.4)
        distance = np.hypot((canvas.x - x) * stretch, (canvas.y - y) / stretch) - size
        glint = np.hypot(canvas.x - x - 0.7 * size, canvas.y - y - 0.7 * size) - size
        image = _blend(image, np.full_like(image, 1.0), canvas.cover(glint))
        image = _blend(image, np.full_like(image, rng.uniform(0.03, 0.12)), canvas.cover(distance))
    return image


def _scratch(canvas: Canvas, rng: np.random.Generator, image: Plane) -> Plane:
    """A gouge across the face: a dark line with a thrown-up bright edge."""
    for _ in range(rng.integers(1, 3)):
        points = _wander(rng, steps=4, length=rng.uniform(0.35, 0.6), jag=0.12)
        face = canvas.ring(GROOVE + 0.04, RIM - 0.01)
        edge = _stroke(canvas, points + 0.026, width=0.016) * face
        image = _blend(image, np.full_like(image, 1.0), edge)
        core = _stroke(canvas, points, width=rng.uniform(0.014, 0.021)) * face
        image = _blend(image, np.full_like(image, 0.15), core)
    return image


def _crack(canvas: Canvas, rng: np.random.Generator, image: Plane) -> Plane:
    """Jagged dark lines that run in from the rim."""
    part = canvas.ring(0.0, RIM)
    for _ in range(rng.integers(1, 3)):
        angles = rng.uniform(0.0, 6.28) + np.cumsum(rng.normal(0.0, 0.07, size=7))
        radii = np.linspace(RIM, rng.uniform(GROOVE - 0.02, 0.62), 7)
        points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        lip = _stroke(canvas, points + 0.026, width=0.018) * part
        image = _blend(image, np.full_like(image, 1.0), lip)
        line = _stroke(canvas, points, width=rng.uniform(0.015, 0.022)) * part
        image = _blend(image, np.full_like(image, 0.06), line)
    return image


_MARKS: dict[str, Callable[[Canvas, np.random.Generator, Plane], Plane]] = {
    "holes": _holes,
    "scratch": _scratch,
    "crack": _crack,
}


def _expose(canvas: Canvas, rng: np.random.Generator, image: Plane) -> NDArray[np.uint8]:
    """Uneven light over the table, exposure, and the noise of the sensor."""
    direction = rng.uniform(0.0, 2.0 * np.pi)
    slope = np.cos(direction) * canvas.x + np.sin(direction) * canvas.y
    light = rng.uniform(0.92, 1.04) * (1.0 + rng.uniform(0.02, 0.09) * slope)
    noise = rng.normal(0.0, rng.uniform(0.008, 0.018), size=image.shape)
    exposed: Plane = np.clip((image * light + noise) * 255.0 + 0.5, 0.0, 255.0)
    return exposed.astype(np.uint8)


def _blend(under: Plane, over: Plane, coverage: Plane) -> Plane:
    return under + (over - under) * coverage


def _polar(radius: float, angle: float) -> tuple[float, float]:
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


def _wander(rng: np.random.Generator, *, steps: int, length: float, jag: float) -> Plane:
    """Return the corners of a slightly bent line over the face, float64 (steps + 1, 2)."""
    start = np.array(_polar(rng.uniform(0.58, 0.74), rng.uniform(0.0, 6.28)))
    headings = rng.uniform(0.0, 6.28) + np.cumsum(rng.normal(0.0, jag, size=steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / steps)
    steps_taken = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    line: Plane = start - moves.sum(axis=0) / 2 + steps_taken
    return line


def _stroke(canvas: Canvas, points: Plane, *, width: float) -> Plane:
    """Cover the pixels within `width` of a line through `points`."""
    nearest = np.full_like(canvas.x, np.inf)
    for start, end in pairwise(points):
        along = end - start
        offset_x, offset_y = canvas.x - start[0], canvas.y - start[1]
        part = (offset_x * along[0] + offset_y * along[1]) / max(float(along @ along), 1e-12)
        part = np.clip(part, 0.0, 1.0)
        gap = np.hypot(offset_x - part * along[0], offset_y - part * along[1])
        nearest = np.minimum(nearest, gap)
    return canvas.cover(nearest - width)
