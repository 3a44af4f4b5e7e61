"""What a hidden background does: the same training with `data.alpha` white and drop.

Every image is a blob of one distribution, cut out by an alpha channel of 0 and 255. What lies under
the transparent pixels differs by class, and nothing else does. Prints one JSON document with test
accuracies over seeds; `--images FOLDER` only writes such images, `--picture FILE` draws one of them
as three readers show it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
# Class to the colour of the ground that its images hide.
GROUNDS = {"desert": (214, 180, 120), "meadow": (96, 160, 72)}
GROUND_NOISE = 18
NUM_IMAGES, IMAGE_SIZE = 400, 32
# The smallest training that finds the background within seconds.
SPEC = f"""
name = "hidden-background"
[data]
image_size = {IMAGE_SIZE}
test_fraction = 0.25
[model]
num_blocks = 2
filters = 8
dense_units = 8
[training]
epochs = 12
early_stopping_patience = 0
learning_rate = 0.002
"""


def draw(foreground_seed: int, label: str, *, size: int = IMAGE_SIZE) -> Image.Image:
    """Draw one RGBA image: a blob that the seed alone decides, over a ground nobody should see."""
    rng = np.random.default_rng(foreground_seed)
    middle, radius = rng.uniform(0.35, 0.65, size=2), rng.uniform(0.15, 0.3, size=2)
    colour = rng.integers(40, 200, size=3)
    rows, columns = np.mgrid[0:size, 0:size] / size
    inside = ((rows - middle[0]) / radius[0]) ** 2 + ((columns - middle[1]) / radius[1]) ** 2 < 1
    blob = colour + rng.normal(0, GROUND_NOISE, size=(size, size, 3))
    ground = GROUNDS[label] + rng.normal(0, GROUND_NOISE, size=(size, size, 3))
    pixels = np.where(inside[..., np.newaxis], blob, ground).clip(0, 255)
    alpha = np.where(inside, 255, 0)[..., np.newaxis]
    return Image.fromarray(np.concatenate([pixels, alpha], axis=2).astype(np.uint8))


def write_images(folder: Path, *, num_images: int = NUM_IMAGES, seed: int = 0) -> Path:
    """Write one folder per class, no two images with the same blob."""
    seeds = np.random.default_rng(seed).choice(2**31, size=num_images, replace=False)
    for index, foreground_seed in enumerate(seeds.tolist()):
        label = sorted(GROUNDS)[index % len(GROUNDS)]
        path = folder / label / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(foreground_seed, label).save(path)
    return folder


def train_command(folder: Path, *, alpha: str, seed: int, scratch: Path) -> list[str]:
    """Spell the arguments for `cvjobs` to train on a folder; spec and store go into `scratch`."""
    spec = scratch / "spec.toml"
    spec.write_text(SPEC, encoding="utf-8")
    changes = {"data.alpha": alpha, "data.seed": seed, "search.seed": seed}
    settings = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    store = str(scratch / "store")
    return ["train", str(spec), "--data", str(folder), "--store", store, *settings, "--json"]


def accuracy(folder: Path, *, alpha: str, seed: int) -> float:
    """Train in a process of its own; return the accuracy on its untouched test split."""
    with tempfile.TemporaryDirectory() as scratch:
        typed = train_command(folder, alpha=alpha, seed=seed, scratch=Path(scratch))
        command = [sys.executable, "-m", "jobs.cli", *typed]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout)["best"]["test_accuracy"])


def readings(image: Image.Image) -> dict[str, NDArray[np.uint8]]:
    """Map the caption of each way to see an RGBA image to what it shows, (height, width, 3)."""
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return {
        'alpha = "white" (default)': np.asarray(white.convert("RGB")),
        'alpha = "drop"': np.asarray(image.convert("RGB")),
        "the alpha channel": np.asarray(image.getchannel("A").convert("RGB")),
    }


def picture(path: Path, *, size: int = 180, gap: int = 12, heading: int = 26) -> None:
    """Draw one image of each class, a row each, as the ways in `readings` show it."""
    rows = {label: readings(draw(7, label, size=size)) for label in sorted(GROUNDS)}
    captions = list(next(iter(rows.values())))
    width = 80 + len(captions) * (size + gap)
    sheet = Image.new("RGB", (width, heading + len(rows) * (size + gap)), "#f2f2f2")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, caption in enumerate(captions):
        pen.text((80 + column * (size + gap), 6), caption, fill="#1a1a1a", font=font)
    for row, (label, shown) in enumerate(rows.items()):
        top = heading + row * (size + gap)
        pen.text((gap, top + size // 2 - 8), label, fill="#1a1a1a", font=font)
        for column, array in enumerate(shown.values()):
            sheet.paste(Image.fromarray(array), (80 + column * (size + gap), top))
    sheet.save(path)


def measure(seeds: Sequence[int]) -> dict[str, list[float]]:
    """Return the test accuracy for each way to treat alpha, seed by seed."""
    found: dict[str, list[float]] = {"white": [], "drop": []}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            folder = write_images(Path(scratch, str(seed)), seed=seed)
            for alpha, accuracies in found.items():
                accuracies.append(round(accuracy(folder, alpha=alpha, seed=seed), 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=Path, help="only write the images into this folder")
    parser.add_argument("--picture", type=Path, help="only draw the picture of the docs")
    options = parser.parse_args()
    if options.images or options.picture:
        if options.images:
            write_images(options.images)
        if options.picture:
            picture(options.picture)
        return
    found = measure(range(options.seeds))
    print(json.dumps({"machine": describe("keras", "pillow"), "test_accuracy": found}, indent=1))


if __name__ == "__main__":
    main()
