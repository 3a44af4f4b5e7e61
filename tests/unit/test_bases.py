"""The table of bases against Keras itself and against its page in the docs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from cvcore.bases import BASES

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(60)]

PAGE = Path(__file__).parents[2] / "docs" / "base-models.md"
# One of each family that Keras builds within 2 seconds; the others are built by the slow tests.
QUICK = {
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet50",
    "resnet50_v2",
    "vgg16",
    "xception",
}
EACH = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BASES]


def build(name: str, *, image_size: int, **settings: Any) -> Any:
    import keras

    shape = (image_size, image_size, 3)
    settings = {"include_top": False, "weights": None, **settings}
    return getattr(keras.applications, BASES[name].builder)(input_shape=shape, **settings)


def documented() -> dict[str, list[str]]:
    """Read the table of the page: name -> the other columns."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: columns.split(" | ") for name, columns in rows}


def test_a_base_is_called_as_its_builder_is() -> None:
    for name, base in BASES.items():
        assert re.fullmatch(r"[a-z]+[0-9]*(_[a-z0-9]+)*", name)
        assert name.replace("_", "") == base.builder.lower()


def test_every_model_of_keras_applications_is_in_the_table(tensorflow: None) -> None:
    import keras

    models = {name for name in dir(keras.applications) if name[0].isupper()}
    assert models == {base.builder for base in BASES.values()}


@pytest.mark.parametrize("name", BASES)
def test_keras_refuses_one_pixel_less_than_the_minimum(tensorflow: None, name: str) -> None:
    minimum = BASES[name].minimum_size
    with pytest.raises(ValueError, match=f"at least {minimum}x{minimum}"):
        build(name, image_size=minimum - 1)


@pytest.mark.parametrize("name", [one for one in BASES if not one.startswith("mobilenet_v3")])
def test_the_default_size_is_the_one_of_the_published_weights(tensorflow: None, name: str) -> None:
    # Keras names it when it refuses another one; of MobileNetV3 it takes any.
    size = BASES[name].default_size
    with pytest.raises(ValueError, match=rf"should be \({size}, {size}, 3\)"):
        build(name, image_size=1000, weights="imagenet", include_top=True)


@pytest.mark.parametrize("name", [name for name, base in BASES.items() if base.weights_sizes])
def test_the_sizes_with_weights_of_their_own_are_those_keras_names(
    tensorflow: None, name: str
) -> None:
    sizes = re.escape(str(list(BASES[name].weights_sizes)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns before it downloads
        with pytest.raises(UserWarning, match=rf"is not in {sizes}"):
            build(name, image_size=100, weights="imagenet")


@pytest.mark.parametrize("name", EACH)
def test_a_base_is_what_its_row_says(tensorflow: None, name: str) -> None:
    import keras

    base = BASES[name]
    model = build(name, image_size=base.minimum_size)
    assert min(model.output_shape[1:]) >= 1
    assert documented()[name][-1] == f"{model.count_params():,}"

    scaling = (keras.layers.Rescaling, keras.layers.Normalization)
    scales_itself = any(isinstance(layer, scaling) for layer in model.layers[:3])
    assert scales_itself == (base.preprocessing == "none")

    assert len(model.layers) == base.num_layers
    first = [layer.name for layer in model.layers].index(base.fine_tune_at)
    above = [layer for layer in model.layers[first:] if layer.weights]
    assert above[0].name == base.fine_tune_at or re.fullmatch(r"conv2d(_\d+)?", above[0].name)
    # Some of the base learns, and some of it rests.
    assert 0.2 < sum(layer.count_params() for layer in above) / model.count_params() < 0.85
    keras.utils.clear_session(free_memory=True)


def test_the_page_shows_every_row() -> None:
    expected = {
        name: [
            base.preprocessing,
            str(base.default_size),
            str(base.minimum_size),
            f"`{base.fine_tune_at}`",
        ]
        for name, base in BASES.items()
    }
    assert {name: columns[:-1] for name, columns in documented().items()} == expected
