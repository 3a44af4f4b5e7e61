"""From drawn values to a trial's settings and its `hp_` columns."""

from __future__ import annotations

import pytest

from cvcore.draft import legal
from cvcore.hyperparameters import hyperparameters, resolve
from cvcore.settings import SECTIONS, ModelConfig, SearchConfig, SweepSpec, TrainingConfig, names_of
from cvcore.spaces import Choice, Parameter, Real

SPEC = SweepSpec(
    model=ModelConfig(filters=8),
    training=TrainingConfig(epochs=7),
    space={
        "family": Parameter(domain=Choice(values=("cnn", "transfer"))),
        "base": Parameter(domain=Choice(values=("vgg16",)), when={"family": ("transfer",)}),
        "dense_units": Parameter(domain=Choice(values=(32,)), when={"family": ("transfer",)}),
        "learning_rate": Parameter(domain=Real(low=1e-4, high=1e-2, log=True)),
    },
)


def test_drawn_values_reach_model_and_training() -> None:
    model, training, columns = resolve(SPEC, {"family": "cnn", "learning_rate": 0.005})
    assert (model.family, model.filters, training.learning_rate) == ("cnn", 8, 0.005)
    assert training.epochs == 7
    assert columns["filters"] == 8
    assert columns["learning_rate"] == 0.005


def test_what_does_not_apply_is_null_in_the_columns() -> None:
    drawn = {"family": "transfer", "base": "vgg16", "dense_units": 32, "learning_rate": 0.001}
    _, _, columns = resolve(SPEC, drawn)
    assert columns["filters"] is None
    assert columns["base"] == "vgg16"
    _, _, columns = resolve(SPEC, {"family": "cnn", "learning_rate": 0.001})
    assert columns["base"] is None
    assert columns["dense_units"] is None


def test_an_absent_parameter_takes_the_value_that_switches_it_off() -> None:
    model, _, _ = resolve(SPEC, {"family": "cnn", "learning_rate": 0.001})
    assert model.dense_units == 0


def test_a_pool_stride_that_is_not_set_is_the_pool_size() -> None:
    _, _, columns = resolve(SweepSpec(model=ModelConfig(pool_size=3)), {})
    assert columns["pool_stride"] == 3


def test_there_is_one_column_for_every_hyperparameter() -> None:
    assert list(resolve(SweepSpec(), {})[2]) == list(hyperparameters())


@pytest.mark.parametrize(
    ("objective", "mode", "direction"),
    [("val_loss", None, "min"), ("val_accuracy", None, "max"), ("val_loss", "max", "max")],
)
def test_the_direction_follows_the_objective_unless_set(
    objective: str, mode: str | None, direction: str
) -> None:
    assert SearchConfig(objective=objective, mode=mode).direction == direction


@pytest.mark.parametrize("section", SECTIONS)
def test_every_default_is_legal(section: str) -> None:
    for name in names_of(SECTIONS[section]):
        declaration = SECTIONS[section].__dataclass_fields__[name]
        if declaration.default is not None:
            assert legal(declaration, declaration.default) == declaration.default
        else:
            assert declaration.metadata["optional"]
