"""Where weights come from: once, whole, with their hash."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from pathlib import Path

import pytest

from cvcore import layout
from cvcore.errors import StoreError
from cvcore.store import LocalStore
from cvcore.trial import TrialSession
from cvcore.weights import Weights, imagenet_name, provide_imagenet
from tests.trials import bench_of, found, real_weights, trial_of

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(60)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_random_weights_need_no_file(tmp_path: Path) -> None:
    assert found("none", tmp_path) == Weights(setting="none", sha256="none")


def test_a_file_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    path.write_bytes(b"numbers")
    assert found(str(path), tmp_path) == Weights(setting=str(path), sha256=sha256(b"numbers"))
    assert not (tmp_path / "one").exists()


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.h5' cannot be read: No such file") as refused:
        found(str(tmp_path / "gone.h5"), tmp_path)
    assert refused.value.hint == "--set model.weights=FILE"


def test_an_object_is_fetched_once_and_keeps_its_suffix(tmp_path: Path) -> None:
    fetched = []

    def fetch(uri: str, path: Path) -> None:
        fetched.append(uri)
        path.write_bytes(uri.encode())

    for uri in ("s3://one/w.weights.h5", "s3://two/w.weights.h5"):
        first = found(uri, tmp_path, fetch)
        assert first.sha256 == sha256(uri.encode())
        assert first.setting.endswith("/w.weights.h5")
        assert found(uri, tmp_path) == first
    assert fetched == ["s3://one/w.weights.h5", "s3://two/w.weights.h5"]


def test_a_fetch_that_breaks_off_leaves_nothing_to_load(tmp_path: Path) -> None:
    def breaks(uri: str, path: Path) -> None:
        path.write_bytes(b"ha")
        raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        found("s3://b/w.h5", tmp_path, breaks)
    again = found("s3://b/w.h5", tmp_path, lambda uri, path: path.write_bytes(b"whole"))
    assert again.sha256 == sha256(b"whole")


def test_workers_of_a_machine_fetch_an_object_once_between_them(tmp_path: Path) -> None:
    fetched = []

    def fetch(uri: str, path: Path) -> None:
        fetched.append(uri)
        time.sleep(0.2)  # long enough for all of them to ask
        path.write_bytes(b"numbers")

    answers: list[Weights] = []
    workers = [
        threading.Thread(target=lambda: answers.append(found("s3://b/w.h5", tmp_path, fetch)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(fetched) == 1
    assert {one.sha256 for one in answers} == {sha256(b"numbers")} and len(answers) == 4


def test_imagenet_weights_in_the_store_need_no_keras_and_no_network(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.write(layout.base_weights("mobilenet_v2-96"), b"numbers")
    for machine in ("one", "two"):
        weights = found("imagenet", tmp_path, machine=machine)
        assert weights.sha256 == sha256(b"numbers")
        assert Path(weights.setting).is_relative_to(tmp_path / machine)
        assert weights.setting.endswith(".weights.h5")
    assert not provide_imagenet("mobilenet_v2", image_size=96, store=store)
    store.delete([layout.base_weights("mobilenet_v2-96")])
    assert found("imagenet", tmp_path).sha256 == sha256(b"numbers")  # this machine has them


@pytest.mark.parametrize(
    ("base", "image_size", "name"),
    [
        ("mobilenet_v2", 96, "mobilenet_v2-96"),
        ("mobilenet_v2", 160, "mobilenet_v2-160"),
        ("mobilenet_v2", 100, "mobilenet_v2-224"),
        ("mobilenet", 96, "mobilenet-224"),
        ("vgg16", 96, "vgg16"),
    ],
)
def test_sizes_with_weights_of_their_own_are_kept_apart(
    base: str, image_size: int, name: str
) -> None:
    assert imagenet_name(base, image_size) == name


def test_a_trial_whose_weights_do_not_fit_says_so(tensorflow: None, tmp_path: Path) -> None:
    config = trial_of(model={"base": "mobilenet", "weights": real_weights()})
    outcome = TrialSession(config, bench_of(tmp_path)).step().outcome
    assert (outcome.status, outcome.error_type) == ("failed", "invalid_configuration")
    assert "layer 'conv_pw_1' has shape" in str(outcome.error_message)
    assert outcome.weights_sha256 == sha256(Path(real_weights()).read_bytes())


def test_weights_that_were_copied_elsewhere_are_the_same_weights(tmp_path: Path) -> None:
    first, second = tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"
    first.write_bytes(b"numbers")
    shutil.copy(first, second)
    assert found(str(first), tmp_path).sha256 == found(str(second), tmp_path).sha256
