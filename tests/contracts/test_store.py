"""One contract, every store: what the rest of cvjobs relies on."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvcore.errors import KeyNotFound, PreconditionFailed, StoreError
from cvcore.store import Store
from jobs.wiring import open_store

ROOT = Path(__file__).parents[2]
KINDS = [
    "local",
    pytest.param("s3", marks=[pytest.mark.services, pytest.mark.timeout(60)]),
]
# Nothing that a Unicode normalising or case-folding file system would merge.
NAMES = st.text(
    st.sampled_from("ab09-_=+.,;:!@#$%^&()[]{}~'\" äß漢😀"), min_size=1, max_size=12
).filter(lambda name: not name.startswith(".") and name.isprintable() and name == name.strip())
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)

several_examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "local":
        return open_store(str(tmp_path / "store"))
    return open_store(request.getfixturevalue("s3_uri"))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [one.key for one in store.list(prefix)]


def race(num_racers: int, attempt: Callable[[int], object]) -> list[int]:
    """Run attempts at once; return the numbers of those that were not refused."""

    def run(number: int) -> int | None:
        try:
            attempt(number)
        except PreconditionFailed:
            return None
        return number

    with ThreadPoolExecutor(num_racers) as racers:
        return [won for won in racers.map(run, range(num_racers)) if won is not None]


def test_an_empty_store_lists_nothing_and_misses_every_key(store: Store, tmp_path: Path) -> None:
    assert keys(store) == []
    assert store.version("a/b") is None
    with pytest.raises(KeyNotFound, match="a/b"):
        store.read("a/b")
    with pytest.raises(KeyNotFound, match="a/b"):
        store.download("a/b", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    store.delete(["a/b"])


def test_a_folder_is_not_a_key(store: Store, tmp_path: Path) -> None:
    store.write("folder/key", b"1")

    assert store.version("folder") is None
    with pytest.raises(KeyNotFound):
        store.read("folder")
    with pytest.raises(KeyNotFound):
        store.download("folder", tmp_path / "file")
    with pytest.raises(KeyNotFound):
        store.read("folder/key/below")


@several_examples
@given(key=KEYS, data=st.binary(max_size=2000))
def test_what_was_written_is_read_and_listed(store: Store, key: str, data: bytes) -> None:
    key = f"{uuid.uuid4().hex}/{key}"  # no key is the folder of another
    store.write(key, data)

    assert store.read(key) == data
    listed = {one.key: one.size_bytes for one in store.list(key)}
    assert listed[key] == len(data)

    store.delete([key])
    assert key not in keys(store)


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", ".a", "a/.b", "a\\b", "a\0b", "a\nb"],
)
def test_a_key_that_not_every_store_holds_is_refused(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="a key is"):
        store.write(key, b"1")
    assert keys(store) == []


def test_a_listing_is_in_key_order_and_minds_the_prefix(store: Store) -> None:
    written = ["a", "b/1", "b/10", "b/2", "b-c/1", "b.d", "b0", "bb/x/y", "ä/1", "漢"]
    for key in reversed(written):
        store.write(key, key.encode())

    assert keys(store) == sorted(written)
    assert keys(store, "b/") == ["b/1", "b/10", "b/2"]
    assert keys(store, "b/1") == ["b/1", "b/10"]
    assert keys(store, "b") == [key for key in sorted(written) if key.startswith("b")]
    assert keys(store, "absent/") == []


def test_a_listing_goes_beyond_one_page(store: Store) -> None:
    written = [f"many/{number:04d}" for number in range(1_050)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda key: store.write(key, b""), written))

    assert keys(store, "many/") == written

    store.delete(written)
    assert keys(store, "many/") == []


def test_a_prefix_whose_objects_are_gone_holds_nothing(store: Store) -> None:
    store.write("gone/deep/key", b"1")
    store.delete(["gone/deep/key"])

    assert keys(store, "gone/") == keys(store) == []
    assert store.version("gone/deep") is None


def test_an_existing_key_is_not_created_again(store: Store) -> None:
    store.write("pointer", b"first", if_absent=True)

    with pytest.raises(PreconditionFailed, match="exists"):
        store.write("pointer", b"second", if_absent=True)
    assert store.read("pointer") == b"first"


def test_a_pointer_that_changed_is_not_overwritten(store: Store) -> None:
    store.write("pointer", b"first")
    version = store.version("pointer")
    store.write("pointer", b"second", if_version=version)

    with pytest.raises(PreconditionFailed, match="changed"):
        store.write("pointer", b"third", if_version=version)
    with pytest.raises(PreconditionFailed):
        store.write("absent", b"third", if_version=version)
    assert store.read("pointer") == b"second"
    assert store.version("absent") is None


def test_a_version_changes_with_the_bytes_and_only_then(store: Store) -> None:
    store.write("key", b"one")
    first = store.version("key")
    store.write("key", b"two")
    assert store.version("key") != first
    store.write("key", b"one")
    assert store.version("key") == first


def test_of_many_threads_that_create_a_key_one_wins(store: Store) -> None:
    for number in range(10):
        key = f"lease/{number}"
        [winner] = race(8, lambda me, key=key: store.write(key, b"%d" % me, if_absent=True))
        assert store.read(key) == b"%d" % winner


def test_no_increment_of_many_threads_is_lost(store: Store) -> None:
    store.write("counter", b"0")

    def increment(_: int) -> None:
        for _ in range(5):
            while True:
                version = store.version("counter")
                value = int(store.read("counter"))
                try:
                    store.write("counter", b"%d" % (value + 1), if_version=version)
                    break
                except PreconditionFailed:
                    continue

    race(4, increment)

    assert int(store.read("counter")) == 20


@pytest.mark.timeout(60)
def test_of_many_processes_that_create_a_key_one_wins(store: Store) -> None:
    script = (
        "import sys; from cvcore.errors import PreconditionFailed; "
        "from jobs.wiring import open_store; store = open_store(sys.argv[1]); "
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try: store.write('lease', sys.argv[2].encode(), if_absent=True); print('won')\n"
        "except PreconditionFailed: print('lost')"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, store.uri, str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for one in racers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    ends = [one.communicate(timeout=30)[0].strip() for one in racers]

    assert sorted(ends) == ["lost", "lost", "lost", "won"]
    assert store.read("lease") == str(ends.index("won")).encode()


@pytest.mark.timeout(60)
def test_a_large_file_goes_up_and_comes_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 * 1024 * 1024))  # several parts of a multipart upload

    store.upload("models/large.keras", source)
    store.download("models/large.keras", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert [one.size_bytes for one in store.list("models/")] == [source.stat().st_size]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy", "source"]


def test_a_file_that_is_not_there_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        store.upload("key", tmp_path / "absent")
    assert keys(store) == []


def test_a_reader_sees_one_whole_object_or_the_other(store: Store) -> None:
    versions = [bytes([digit]) * 300_000 for digit in b"01"]
    store.write("key", versions[0])

    def write(number: int) -> None:
        for _ in range(5):
            store.write("key", versions[number])

    with ThreadPoolExecutor(2) as writers:
        pending = [writers.submit(write, number) for number in range(2)]
        while not all(one.done() for one in pending):
            assert store.read("key") in versions


def test_arrow_reads_what_the_store_wrote(store: Store) -> None:
    store.write("lake/a b/key", b"bytes")

    filesystem, root = store.arrow_filesystem()

    with filesystem.open_input_stream(f"{root}/lake/a b/key") as stream:
        assert stream.read() == b"bytes"
