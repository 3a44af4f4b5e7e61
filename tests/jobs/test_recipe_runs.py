"""Every recipe is the model it says it is, to the last parameter, and trains."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from cvcore.catalog import DEFAULT_RECIPE, recipe_figures, recipe_names
from cvcore.config import load_spec
from tests.runs import here, settings, table

RECIPES = [name for name in recipe_names() if name != DEFAULT_RECIPE]
# Enough for every split; large enough for three unpadded convolutions with pooling.
DATA = "builtin:castings?images=40&size=48"

pytestmark = [pytest.mark.xdist_group("tensorflow")]


def test_figures_are_of_recipes_that_exist() -> None:
    assert sorted(recipe_figures()) == sorted(RECIPES)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", RECIPES)
def test_the_stored_parameter_counts_are_those_of_the_model(name: str, tensorflow: None) -> None:
    import keras

    from cvcore.models import build
    from cvcore.models.transfer import unfreeze

    spec, stored = load_spec(name), recipe_figures()[name]
    keras.utils.clear_session()
    model = build(
        replace(spec.model, weights="none"),
        image_size=spec.data.image_size,
        channels=3,
        num_classes=2,
        precision="float32",
    )

    def num_trainable() -> int:
        return sum(math.prod(weight.shape) for weight in model.trainable_weights)

    assert model.count_params() == stored["num_params"]
    assert num_trainable() == stored["num_trainable_params"]
    if spec.training.fine_tune_epochs:
        unfreeze(model, base=spec.model.base, at=spec.training.fine_tune_at)
        assert num_trainable() == stored["num_trainable_params_fine_tuning"]
    else:
        assert stored["num_trainable_params_fine_tuning"] is None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_an_epoch_of_each_phase(
    name: str, tensorflow: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On small images and without pretrained weights, which are not here for every base."""
    spec = load_spec(name)
    tunes = spec.training.fine_tune_epochs > 0
    changes = ["data.image_size=48", "training.epochs=1"]
    changes += ["model.weights=none"] if spec.model.family == "transfer" else []
    changes += ["training.fine_tune.epochs=1"] if tunes else []
    typed = ["sweep", name, "--data", DATA, "--trials", "1", "--engine", "inline"]
    answer = here(capsys, *typed, *settings(*changes), "--store", str(tmp_path), "--json")
    assert answer.code == 0, answer.stderr
    assert answer.document["trials"] == {"completed": 1, "stopped": 0, "failed": 0}
    phases = [row["phase"] for row in table(str(tmp_path), "epochs")]
    assert phases == (["train", "fine_tune"] if tunes else ["train"])
    (row,) = table(str(tmp_path), "trials")
    assert row["features_reused"] is False
    assert (row["num_features_computed"] is not None) == (spec.model.family == "transfer")
