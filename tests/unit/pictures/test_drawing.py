"""The figures: every word where it can be read, every panel drawn, the numbers in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cvcore import geometry
from cvcore.kernels import KERNELS, named_kernels, parse_kernel
from cvcore.pictures import (
    Window,
    circle,
    draw_curves,
    draw_field,
    draw_filtered,
    draw_kernels,
    draw_window,
    fine_tune_start,
    run_stages,
    save,
    ways,
)
from cvcore.pictures.style import DOTS_PER_INCH
from cvcore.pictures.window import poolings, two_dots
from cvcore.receptive_field import views
from cvcore.settings import ModelConfig
from tests.figures import all_words, misplaced_texts, num_drawn, pixels

pytestmark = pytest.mark.timeout(30)

NOISE = np.random.default_rng(0).random((40, 60))
LARGE = "/".join(" ".join(f"{row * column / 70:.4f}" for row in range(15)) for column in range(15))


def epochs(count: int, *, tuned_from: int | None = None, **values: Any) -> list[dict[str, Any]]:
    return [
        {
            "epoch": number, "loss": 1 / number, "accuracy": 1 - 0.5 / number,
            "val_loss": 1.2 / number, "val_accuracy": 1 - 0.6 / number,
            "phase": "fine_tune" if tuned_from and number >= tuned_from else "train", **values,
        }
        for number in range(1, count + 1)
    ]  # fmt: skip


def window_figure(image: np.ndarray, kernel: str, condensation: int, **moves: Any) -> Figure:
    chosen, window = parse_kernel(kernel), Window(**moves)
    stages = run_stages(image, chosen, window)
    found = ways(image, chosen, condensation=condensation)
    return draw_window(stages, chosen, window, found, name="An image")


def field_figure(image_size: int, **model: Any) -> Figure:
    layers = geometry.layers(ModelConfig(**model))
    image = np.random.default_rng(0).random((image_size, image_size))
    return draw_field(list(views(layers, image_size=image_size)), image, name="a model")


FIGURES = {
    "five kernels": lambda: draw_kernels(named_kernels()),
    "a large kernel": lambda: draw_kernels([parse_kernel(LARGE)]),
    "a flat kernel": lambda: draw_kernels([parse_kernel("0 0 0 0 0")]),
    "an image filtered": lambda: draw_filtered(named_kernels(), NOISE, name="noise.png"),
    "a long name": lambda: draw_filtered([parse_kernel("edge")], NOISE, name="W" * 250 + ".jpg"),
    "a window": lambda: window_figure(circle(), "bottom-sobel", 8),
    "a window of many ways": lambda: window_figure(
        NOISE, LARGE, 60, conv_stride=4, pool_size=9, pool_stride=7, pool_padding="same"
    ),
    "a window on nothing": lambda: window_figure(np.zeros((16, 16)), "edge", 7),
    "a field": lambda: field_figure(96),
    "a field beyond the image": lambda: field_figure(64, num_blocks=6),
    "a field of one layer": lambda: field_figure(8, num_blocks=1, pool_size=1),
    "curves": lambda: draw_curves(epochs(20, tuned_from=13), title="Trial 20250102-030405-abc-1"),
    "curves of one epoch": lambda: draw_curves(epochs(1), title="Trial"),
    "curves of many epochs": lambda: draw_curves(epochs(400), title="Trial"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_covers_another_or_leaves_the_figure(name: str) -> None:
    assert misplaced_texts(FIGURES[name]()) == []


def test_a_figure_is_a_png_of_its_size_and_always_the_same_svg() -> None:
    figure = draw_curves(epochs(3), title="Trial")
    width, height = figure.get_size_inches()
    shape = pixels(save(figure, kind="png")).shape

    assert shape == (int(height * DOTS_PER_INCH), int(width * DOTS_PER_INCH), 3)
    assert save(figure, kind="svg") == save(draw_curves(epochs(3), title="Trial"), kind="svg")


def test_every_number_of_a_kernel_stands_in_its_cell() -> None:
    shown = all_words(draw_kernels(named_kernels())).splitlines()

    for name, rows in KERNELS.items():
        assert f"{name}, 3 × 3" in shown
        for number in {number for row in rows for number in row}:
            assert f"{number:g}" in shown
    assert shown.count("0.0625") == 4
    assert "flat areas go black" in " ".join(shown)


def test_a_filtered_image_stands_beside_its_kernel() -> None:
    figure = draw_filtered([parse_kernel("edge")], NOISE, name="$a$b.png")
    shown = all_words(figure)

    for title in ("$a$b.png", "Input, 40 × 60", "Filtered, 38 × 58", "ReLU, 38 × 58"):
        assert title in shown
    assert num_drawn(save(figure, kind="png"), rows=1, columns=4) == 4


def test_a_window_shows_the_stages_the_ways_and_the_invariance() -> None:
    figure = window_figure(circle(), "bottom-sobel", 8, conv_stride=2, pool_size=3, pool_stride=2)
    shown = all_words(figure)

    for words in ("Input", "Filter 3 × 3, stride 2, valid", "Detect: ReLU", "31 × 31", "15 × 15"):
        assert words in shown
    for words in ("1 × 8", "2 × 4", "4 × 2", "8 × 1", "places kept 100%", "4,096 windows"):
        assert words in shown
    assert "the same: the shift is gone" in shown
    assert num_drawn(save(figure, kind="png"), rows=4, columns=4) == 16


def test_two_dots_a_pixel_apart_become_the_same_by_pooling() -> None:
    plain, moved = poolings(two_dots()), poolings(two_dots(shift=1))

    differing = [int((one != other).sum()) for one, other in zip(plain, moved, strict=True)]
    assert [one.shape[0] for one in plain] == [16, 8, 4, 2]
    assert differing[0] > differing[1] > differing[2] == differing[3] == 0
    assert [int(one.sum()) for one in plain] == [2, 2, 2, 2]


def test_a_field_is_drawn_as_large_as_it_is() -> None:
    """Its squares, read off the axes, are those of the table."""
    figure = field_figure(96)
    whole = figure.subfigs[0].axes[0]
    widths = sorted(patch.get_width() for patch in whole.patches)
    shown = all_words(figure)

    assert widths == [3, 4, 8, 10, 18, 22]
    assert "22 × 22" in shown
    for words in ("receptive field", "jump, pixels", "the image has 96 pixels a side", "12 × 12"):
        assert words in shown


def test_curves_mark_where_fine_tuning_starts() -> None:
    rows = epochs(20, tuned_from=13)
    figure = draw_curves(rows, title="Trial 7")
    shown = all_words(figure)

    for words in ("Trial 7", "Loss", "Accuracy", "epoch", "training", "validation"):
        assert words in shown
    assert "fine-tuning from epoch 13" in shown
    for axes in figure.axes:
        mark = axes.lines[-1]
        assert list(mark.get_xdata()) == [12.5, 12.5]
    assert "fine-tuning" not in all_words(draw_curves(rows[:12], title="Trial 7"))


@pytest.mark.parametrize(
    ("rows", "start"),
    [(epochs(9, tuned_from=4), 4), (epochs(9), None), (epochs(9, tuned_from=1), None), ([], None)],
)
def test_fine_tuning_starts_where_the_phase_changes(
    rows: list[dict[str, Any]], start: int | None
) -> None:
    assert fine_tune_start(rows) == start


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_value_that_is_none_leaves_a_gap(missing: float | None) -> None:
    rows = epochs(5)
    rows[2]["val_loss"] = missing
    figure = draw_curves(rows, title="Trial")

    assert misplaced_texts(figure) == []  # drawn without a warning, too
    training, validation = (line.get_ydata() for line in figure.axes[0].lines)
    assert np.isfinite(training).all()
    assert np.isfinite(validation).tolist() == [True, True, False, True, True]


def test_a_users_matplotlibrc_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    before = save(draw_kernels(named_kernels()), kind="svg")
    monkeypatch.setitem(mpl.rcParams, "font.size", 33.0)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "pink")

    assert save(draw_kernels(named_kernels()), kind="svg") == before
    assert mpl.rcParams["font.size"] == 33.0


def test_a_name_in_another_script_is_no_warning() -> None:
    assert save(draw_curves(epochs(2), title="試行"), kind="png")
