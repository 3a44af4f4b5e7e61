"""From which layer on a base learns, by number, by name, or at its boundary."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.trials import trial_of

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("tensorflow"),
]


@pytest.fixture(scope="module")
def whole_model(tensorflow: None) -> Any:
    from cvcore.models import build

    config = trial_of().model
    return build(config, image_size=32, channels=3, num_classes=2, precision="float32")


def learning(model: Any) -> list[str]:
    """Name the layers of the base whose weights an optimizer would be given."""
    import keras

    (base,) = [one for one in model.layers if isinstance(one, keras.Model)]
    learns = {id(weight) for weight in model.trainable_weights}
    return [one.name for one in base.layers if learns & {id(weight) for weight in one.weights}]


UNFROZEN: dict[str, Callable[[list[str]], int]] = {
    "0": lambda names: 0,
    "100": lambda names: 100,
    "153": lambda names: 153,
    "block_13_expand": lambda names: names.index("block_13_expand"),
    "auto": lambda names: names.index("block_13_expand"),
    "out_relu": lambda names: 153,
}


@pytest.mark.parametrize("at", UNFROZEN)
def test_layers_learn_from_the_named_one_on(whole_model: Any, at: str) -> None:
    import keras

    from cvcore.models.transfer import unfreeze

    (base,) = [one for one in whole_model.layers if isinstance(one, keras.Model)]
    first = UNFROZEN[at]([layer.name for layer in base.layers])
    unfreeze(whole_model, base="mobilenet_v2", at=at)
    assert learning(whole_model) == [one.name for one in base.layers[first:] if one.weights]


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("154", ") to 153 (out_relu), received '154'"),
        ("-1", "received '-1'"),
        ("block_13_expnd", "received 'block_13_expnd'; did you mean 'block_13_expand'?"),
        ("", "received ''"),
    ],
)
def test_a_layer_that_is_not_there_is_told_what_there_is(
    whole_model: Any, at: str, sentence: str
) -> None:
    from cvcore.models.transfer import unfreeze

    with pytest.raises(ValueError) as refused:
        unfreeze(whole_model, base="mobilenet_v2", at=at)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("training.fine_tune.at: mobilenet_v2 has the layers 0 (")


@pytest.mark.slow
def test_resnet50_unfrozen_at_100_has_the_documents_parameters() -> None:
    import keras

    from cvcore.models import build
    from cvcore.models.transfer import unfreeze

    config = trial_of(model={"base": "resnet50", "output": "sigmoid"}).model
    model = build(config, image_size=32, channels=3, num_classes=2, precision="float32")
    (base,) = [one for one in model.layers if isinstance(one, keras.Model)]
    assert len(base.layers) == 175
    assert sum(math.prod(one.shape) for one in model.trainable_weights) == 2_049
    unfreeze(model, base="resnet50", at="100")
    assert sum(math.prod(one.shape) for one in model.trainable_weights) == 19_454_977
    assert model.count_params() == 23_589_761
