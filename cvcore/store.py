"""Where results live: a protocol of few verbs, and its implementation on a local directory.

Keys are names joined by `/`, and none is the folder of another; `layout.py` alone spells them. A
write is complete before it is visible, and a pointer changes only by a conditional write.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from cvcore.errors import KeyNotFound, PreconditionFailed, StoreError

# Temporary files live beside their target so that the final rename stays on one file system.
TEMPORARY_PREFIX = ".writing-"

# What opening a key that holds no object can raise.
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of a listing.

    `version` changes whenever the bytes do: compare it with other listings only, conditional writes
    take what `Store.version` returns.
    """

    key: str
    size_bytes: int
    version: str


class Store(Protocol):
    """Read, write, list and delete whole objects by key.

    Every method raises `StoreError` when the store cannot be reached or refuses.
    """

    @property
    def uri(self) -> str:
        """Name the store as the user would type it."""

    def read(self, key: str) -> bytes:
        """Return the bytes under `key`; raise `KeyNotFound`."""

    def version(self, key: str) -> str | None:
        """Return what identifies the bytes under `key` for a conditional write, None if absent."""

    def write(
        self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> None:
        """Put `data` under `key` in one step; raise `PreconditionFailed` if a condition fails."""

    def upload(self, key: str, path: Path) -> None:
        """Put a local file under `key`, however large."""

    def download(self, key: str, path: Path) -> None:
        """Copy the object under `key` to a local file, complete or not at all."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose key starts with `prefix`, in key order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; an absent key is no error."""

    def arrow_filesystem(self) -> tuple[Any, str]:
        """Return (pyarrow.fs.FileSystem, root path) for scanning Parquet under this store."""


def check_key(key: str) -> None:
    """Raise `StoreError` for a key that not every store can hold."""
    names = key.split("/")
    if "\\" in key or not key.isprintable() or any(not n or n.startswith(".") for n in names):
        raise StoreError(
            "a key is printable names joined by '/', none empty or starting with a dot, "
            f"received {key!r}"
        )


class LocalStore:
    """A store in a local directory, safe for several processes at once."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()

    @property
    def uri(self) -> str:
        return str(self.root)

    def read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except ABSENT:
            raise self._absent(key) from None
        except OSError as error:
            raise self._failure("read", key, error) from error

    def version(self, key: str) -> str | None:
        try:
            return _digest(self.read(key))
        except KeyNotFound:
            return None

    def write(
        self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> None:
        def fill(target: Path) -> None:
            target.write_bytes(data)

        if if_version is None:
            self._put(key, fill, exclusive=if_absent)
            return
        with self._locked():
            if self.version(key) != if_version:
                raise PreconditionFailed(f"{key!r} in {self.uri} changed since it was read")
            self._put(key, fill, exclusive=False)

    def upload(self, key: str, path: Path) -> None:
        def fill(target: Path) -> None:
            shutil.copyfile(path, target)

        self._put(key, fill, exclusive=False)

    def download(self, key: str, path: Path) -> None:
        partial = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            with self._path(key).open("rb") as source:
                _fill(partial, source)
            os.replace(partial, path)
        except ABSENT:
            raise self._absent(key) from None
        except OSError as error:
            raise self._failure("download", key, error) from error
        finally:
            _discard(partial)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        folder, _, _ = prefix.rpartition("/")
        start = self._path(folder) if folder else self.root
        found = []
        for directory, folders, names in os.walk(start, onerror=self._listing_failed):
            folders[:] = [name for name in folders if not name.startswith(".")]
            # Text, not paths: 1,000 files in as many folders take 6.5 ms instead of 18.
            inside = Path(directory).relative_to(self.root).as_posix()
            for name in names:
                key = name if inside == "." else f"{inside}/{name}"
                if key.startswith(prefix) and not name.startswith("."):
                    found.append((key, os.path.join(directory, name)))
        for key, path in sorted(found):
            try:
                status = os.stat(path)
            except FileNotFoundError:  # deleted since the walk
                continue
            version = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
            yield StoredObject(key=key, size_bytes=status.st_size, version=version)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                self._path(key).unlink(missing_ok=True)
            except OSError as error:
                raise self._failure("delete", key, error) from error

    def arrow_filesystem(self) -> tuple[Any, str]:
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), str(self.root)

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root.joinpath(key)

    def _put(self, key: str, fill: Callable[[Path], object], *, exclusive: bool) -> None:
        target = self._path(key)
        partial = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure("write", key, error) from error
        try:
            fill(partial)
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            if exclusive:
                os.link(partial, target)  # fails if the target exists, atomically
            else:
                os.replace(partial, target)
        except FileExistsError:
            raise PreconditionFailed(f"{key!r} exists already in {self.uri}") from None
        except OSError as error:
            raise self._failure("write", key, error) from error
        finally:
            _discard(partial)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Serialise compare-and-replace between processes of this machine."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with open(self.root / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise self._failure("lock", ".lock", error) from error

    def _listing_failed(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise self._failure("list", str(error.filename), error) from error

    def _absent(self, key: str) -> StoreError:
        if os.path.isfile(self.root):
            return self._failure("read", key, NotADirectoryError())
        return KeyNotFound(f"{self.uri} holds no {key!r}")

    def _failure(self, verb: str, key: str, error: OSError) -> StoreError:
        reason = error.strerror or str(error)
        if os.path.isfile(self.root):
            reason = "a store is a directory, this is a file"
        return StoreError(
            f"cannot {verb} {key!r} in the store {self.uri}: {reason}",
            hint=f"cvjobs doctor --store {self.uri}",
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fill(target: Path, source: BinaryIO) -> None:
    with target.open("wb") as sink:
        shutil.copyfileobj(source, sink)


def _discard(partial: Path) -> None:
    with suppress(OSError):  # the failure that left it there is the one to report
        partial.unlink(missing_ok=True)
