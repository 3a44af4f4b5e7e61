"""One file that says all: a model with its card."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from cvcore.card import read_card, write_card
from cvcore.errors import UsageError
from cvcore.settings import ModelConfig


@pytest.mark.xdist_group("tensorflow")
@pytest.mark.timeout(120)
def test_a_model_with_a_card_stays_a_plain_keras_file(tensorflow: None, tmp_path: Path) -> None:
    import keras

    from cvcore.models import build

    config = ModelConfig(augment_flip="both", dropout=0.3)
    model = build(config, image_size=32, channels=3, num_classes=2, precision="float32")
    path = tmp_path / "model.keras"
    model.save(path)
    write_card(path, {"class_names": ["a", "ü"]})
    again = keras.models.load_model(path, safe_mode=True)
    batch = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)
    assert read_card(path) == {"class_names": ["a", "ü"]}
    assert np.array_equal(again(batch, training=False), model(batch, training=False))


def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "model.keras"
    text.write_text("not a zip")
    with pytest.raises(UsageError, match=r"expected a \.keras model file, received"):
        read_card(text)
    with pytest.raises(UsageError, match="expected"):
        read_card(tmp_path / "absent.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(UsageError, match="was not saved by cvjobs"):
        read_card(tmp_path / "other.keras")
