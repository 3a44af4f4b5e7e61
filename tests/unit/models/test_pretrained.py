"""Weights on a base: what comes back whole, what is mended, and what does not fit is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvcore.store import LocalStore
from tests.trials import BASE, found, real_weights

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[3]


def base_of(name: str = "mobilenet_v2", *, image_size: int = 96, weights: str = "none") -> Any:
    from cvcore.models import frozen_base

    config = replace(BASE, base=name, weights=weights)
    return frozen_base(config, image_size=image_size, channels=3, precision="float32")


@pytest.fixture(scope="module")
def mobilenet(tensorflow: None) -> Any:
    return base_of()


@pytest.fixture(scope="module")
def saved(mobilenet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that differ from those a random base has by itself."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    kept = mobilenet.get_weights()
    mobilenet.set_weights([weight + 1 for weight in kept])
    mobilenet.save_weights(path)
    mobilenet.set_weights(kept)
    return path


def refusal(base: Any, path: Path) -> str:
    from cvcore.models.pretrained import load_weights

    with pytest.raises(ValueError) as refused:
        load_weights(base, path)
    message = str(refused.value)
    assert message.startswith(f"the weights in {path.name} do not fit {base.name}: ")
    assert "\n" not in message
    assert len(message) < 300
    return message


def test_a_base_without_weights_is_the_same_one_everywhere(mobilenet: Any) -> None:
    import keras

    keras.utils.set_random_seed(123)
    for one, other in zip(mobilenet.get_weights(), base_of().get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_weights_come_back_whole_at_any_size(mobilenet: Any, saved: Path) -> None:
    loaded = base_of(image_size=32, weights=str(saved))
    for one, other in zip(mobilenet.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(one + 1, other)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("mobilenet", "layer 'conv_pw_1' has shape (1, 1, 32, 64), the file (1, 1, 32, 16)"),
        ("vgg16", "Layer 'block1_conv1' expected 2 variables, but received 1"),
        pytest.param(
            "densenet121",
            "layer 'conv1_conv' has shape (7, 7, 3, 64), the file (3, 3, 3, 32)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_another_architecture_is_refused_with_the_layer_that_does_not_fit(
    saved: Path, base: str, words: str
) -> None:
    assert words in refusal(base_of(base, image_size=32), saved)


DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "half": ("w.weights.h5", lambda data: data[: len(data) // 2], "truncated file"),
    "one byte short": ("w.weights.h5", lambda data: data[:-1], "truncated file"),
    "text": ("w.weights.h5", lambda data: b"weights", "file signature not found"),
    "nothing": ("w.weights.h5", lambda data: b"", "file signature not found"),
    "no zip": ("w.keras", lambda data: data, "File is not a zip file"),
    "other suffix": ("w.bin", lambda data: data, "File format not supported"),
    "legacy suffix": ("w.h5", lambda data: data, "found 0 saved layers"),
    "a hole": ("w.weights.h5", lambda data: hole(data, 24_000, 64), "expanded_conv_depthwise"),
    "a hole in its index": ("w.weights.h5", lambda data: hole(data, 2_048, 60_000), ""),
}


def hole(data: bytes, start: int, size: int) -> bytes:
    return data[:start] + b"\xff" * size + data[start + size :]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused_in_a_sentence(
    mobilenet: Any, tmp_path: Path, damage: str
) -> None:
    name, change, words = DAMAGED[damage]
    path = tmp_path / name
    path.write_bytes(change(Path(real_weights()).read_bytes()))
    assert words in refusal(mobilenet, path)


def test_a_folder_is_no_file(mobilenet: Any, tmp_path: Path) -> None:
    from cvcore.models.pretrained import load_weights

    with pytest.raises(ValueError, match=r"model\.weights: no file"):
        load_weights(mobilenet, tmp_path)


# Keras' own download, in a process whose KERAS_HOME holds one file and whose proxy is nobody.
PROVIDED = """
import json, sys, warnings
from pathlib import Path
from cvcore.errors import UsageError
from cvcore.store import LocalStore
from cvcore.weights import provide_imagenet
store = LocalStore(sys.argv[1])
took = [provide_imagenet("mobilenet_v2", image_size=96, store=store) for _ in range(2)]
try:
    provide_imagenet("mobilenet_v2", image_size=128, store=store)
except UsageError as error:
    print(json.dumps([took, error.message, error.hint, error.exit_code]))
"""

KERAS_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_keras_download_is_kept_in_the_store_for_those_without_network(
    mobilenet: Any, saved: Path, tmp_path: Path
) -> None:
    (tmp_path / "keras" / "models").mkdir(parents=True)
    kept = mobilenet.get_weights()
    mobilenet.load_weights(saved)
    mobilenet.save(tmp_path / "keras" / "models" / KERAS_FILE)  # the legacy format, as Keras' own
    expected = mobilenet.get_weights()
    mobilenet.set_weights(kept)
    nobody = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROVIDED, str(tmp_path / "store")],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, **nobody, "no_proxy": "", "KERAS_HOME": str(tmp_path / "keras")},
    )  # fmt: skip
    took, message, hint, code = json.loads(done.stdout)  # and nothing else is printed there
    assert took == [True, False]
    assert message.startswith(
        "the ImageNet weights of mobilenet_v2 are not in the store and cannot be downloaded: "
    )
    assert "\n" not in message
    assert hint == "--set model.weights=FILE   (weights saved elsewhere), or none"
    assert code == 2
    keys = [one.key for one in LocalStore(tmp_path / "store").list("weights/")]
    assert keys == ["weights/imagenet/mobilenet_v2-96.weights.h5"]

    # Another machine: an empty cache, and nobody who could download.
    weights = found("imagenet", tmp_path, machine="two")
    kept_bytes = LocalStore(tmp_path / "store").read(keys[0])
    assert weights.sha256 == hashlib.sha256(kept_bytes).hexdigest()
    loaded = base_of(weights=weights.setting)
    for one, other in zip(expected, loaded.get_weights(), strict=True):
        assert np.array_equal(one, other)


ROOTS = np.array([0.229, 0.224, 0.225], np.float32)


def normalisation(base: Any) -> Any:
    import keras

    (layer,) = [one for one in base.layers if isinstance(one, keras.layers.Normalization)]
    return layer


@pytest.fixture(scope="module")
def efficientnet(tensorflow: None) -> Any:
    return base_of("efficientnet_b0", image_size=32)


@pytest.mark.parametrize(
    ("variance", "expected"),
    [(ROOTS, ROOTS**2), (ROOTS**2, ROOTS**2), (np.ones(3, np.float32), np.ones(3, np.float32))],
    ids=["roots", "variances", "untrained"],
)
def test_the_variance_of_efficientnet_is_mended_where_the_file_has_its_root(
    efficientnet: Any, tmp_path: Path, variance: np.ndarray, expected: np.ndarray
) -> None:
    from cvcore.models.pretrained import load_weights

    path = tmp_path / "b0.weights.h5"
    layer = normalisation(efficientnet)
    layer.adapt_mean.assign([0.485, 0.456, 0.406])
    layer.adapt_variance.assign(variance)
    efficientnet.save_weights(path)
    for _ in range(2):
        load_weights(efficientnet, path)
        np.testing.assert_allclose(np.ravel(layer.adapt_variance), expected, rtol=1e-6)
        pixel = np.array([0.6, 0.5, 0.4], np.float32)
        seen = np.ravel(layer(pixel.reshape(1, 1, 1, 3)))
        by_hand = (pixel - [0.485, 0.456, 0.406]) / np.sqrt(expected)
        np.testing.assert_allclose(seen, by_hand, rtol=1e-4)
    # What was mended and saved is right: it is not mended once more.
    efficientnet.save_weights(path)
    load_weights(efficientnet, path)
    np.testing.assert_allclose(np.ravel(layer.adapt_variance), expected, rtol=1e-6)
