"""What holds for every test: an environment of its own, and its place among the workers.

`make test` runs two workers. A file stays on one of them, so that its fixtures are made once; all
tests marked `services` share one, because two Rays at once starve each other on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A deadline would assert seconds; on a loaded machine it fails tests that are right. The suite
# judges a commit, so it draws the same examples every time; `make fuzz` looks for new ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=1000)
settings.load_profile("suite")

pytest_plugins = ["tests.services"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            services = item.get_closest_marker("services") is not None
            group = "services" if services else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's settings out of the tests, and the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("CVJOBS_") and name != "CVJOBS_SHARED":
                patch.delenv(name)
        patch.setenv("CVJOBS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """Have TensorFlow in this process, on one thread; costs 5 s once a worker."""
    from cvcore.runtime import start_tensorflow

    start_tensorflow(threads=1)
