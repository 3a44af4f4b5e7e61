"""Without TensorFlow one sentence says what to install; what needs none of it works."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.runs import ROOT, elsewhere
from tests.wrong import INLINE, SWEEP_ID

pytestmark = pytest.mark.usefixtures("untouched")

# Takes TensorFlow from sight as if it were not installed.
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Finder:
    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name.partition(".")[0] == "tensorflow"
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "typed",
    [
        "sweep --data good --store store",
        f"train train.toml --data good {INLINE}",
        f"sweep --resume {SWEEP_ID} --store store",
        "evaluate model.keras --data good",
        "predict model.keras --data good --output x.parquet",
        "data preview good --output /dev/null/x.png --set model.augment_flip=both",
    ],
)
def test_without_tensorflow_one_sentence_says_what_to_install(
    typed: str, place: Path, without_tensorflow: dict[str, str]
) -> None:
    done = elsewhere(*shlex.split(typed), folder=place, **without_tensorflow)
    assert (done.code, done.stdout) == (2, "")
    sentence, following = done.stderr.splitlines()
    assert sentence.startswith("cvjobs: TensorFlow is not installed")
    assert following.startswith("next: pip install 'cvjobs[cpu]'")
    assert "cvjobs[gpu]" in following


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "typed",
    [
        "--help",
        "recipes",
        "data check good",
        "sweep --data good --store store --dry-run",
        "results sweeps --store store",
        "results query 'SELECT * FROM trials' --store store",
    ],
)
def test_what_needs_no_tensorflow_works_without_it(
    typed: str, place: Path, without_tensorflow: dict[str, str]
) -> None:
    done = elsewhere(*shlex.split(typed), folder=place, **without_tensorflow)
    assert done.code == 0, done.stderr
