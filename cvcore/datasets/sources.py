"""Where image files are listed and read: a directory or a store of objects.

A source never raises because of one bad file: what cannot be an image is listed with its problem.
It knows paths and bytes, nothing of classes, splits or pixels.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cvcore.datasets.problems import Problem, Unusable
from cvcore.errors import DataError, KeyNotFound
from cvcore.store import Store

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2",
)  # fmt: skip
MAX_FILE_BYTES = 256 * 2**20
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a source.

    `path` is relative, `/`-separated and valid Unicode; that of a folder ends with a slash.
    `size_bytes` is 0 where it is not known before reading. `version` changes whenever the bytes may
    have. A file with a `problem` cannot be read.
    """

    path: str
    size_bytes: int = 0
    version: str = ""
    problem: Problem | None = None


class Source(Protocol):
    """List files and read them; safe for several threads."""

    @property
    def uri(self) -> str:
        """Name the source as the user would type it."""

    @property
    def sequential(self) -> bool:
        """Tell that reading in any other order than that of `entries` is slow."""

    def signature(self) -> str:
        """Return a text that changes whenever any byte may have; cheap, nothing is read."""

    def entries(self) -> Iterator[Entry]:
        """List every file that may be meant as an image, each path once."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a listed file; raise `Unusable`."""


def is_litter(name: str) -> bool:
    """Tell whether a file or folder of this name is the work of a file manager, not data."""
    return name.startswith(".") or name.lower() in _LITTER


def named_like_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def too_large(size_bytes: int) -> Problem | None:
    """Refuse a file by its size before it fills the memory."""
    if size_bytes <= MAX_FILE_BYTES:
        return None
    sentence = f"{size_bytes:,} bytes, at most {MAX_FILE_BYTES:,} are read"
    return Problem(code="too_large", sentence=sentence)


def listing_signature(uri: str, entries: Iterable[Entry]) -> str:
    """Hash what a listing says about the files, their versions included."""
    digest = hashlib.sha256(uri.encode(errors="surrogateescape"))
    for entry in sorted(entries, key=lambda entry: entry.path):
        code = entry.problem.code if entry.problem else ""
        digest.update(repr((entry.path, entry.size_bytes, entry.version, code)).encode())
    return digest.hexdigest()


class DirectorySource:
    """The files below a directory, symbolic links followed."""

    sequential = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()

    @property
    def uri(self) -> str:
        return str(self.folder)

    def signature(self) -> str:
        return listing_signature(self.uri, self.entries())

    def entries(self) -> Iterator[Entry]:
        try:
            root = os.stat(self.folder)
            os.listdir(self.folder)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(
                f"the data folder {self.uri} cannot be listed: {reason}",
                hint=f"ls -ld {shlex.quote(self.uri)}",
            ) from None
        yield from self._walk("", ((root.st_dev, root.st_ino),))

    def read(self, path: str) -> bytes:
        try:
            with open(self._full(path), "rb") as file:
                # Python makes room for all it may read: 30 us a file where that is the limit.
                expected = min(os.fstat(file.fileno()).st_size, MAX_FILE_BYTES)
                data = file.read(expected + 1)
                if len(data) > expected:  # it grows, or its file system tells no sizes
                    data += file.read(MAX_FILE_BYTES)
        except OSError as error:
            raise Unusable("unreadable", _sentence(error)) from None
        if problem := too_large(len(data)):
            raise Unusable(problem.code, problem.sentence)
        return data

    def _full(self, path: str) -> str:
        return f"{self.folder}/{path}"  # pathlib: 9 us to list a file, not 5

    def _walk(self, prefix: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
        """Yield what lies below `prefix`; `ancestors` are (device, inode) of the folders above."""
        try:
            names = [name for name in os.listdir(self._full(prefix)) if not is_litter(name)]
        except OSError as error:
            yield _bad(prefix, "unreadable", f"the folder cannot be listed: {_sentence(error)}")
            return
        if prefix and not names:
            yield _bad(prefix, "empty_folder", "nothing lies in this folder")
        for name in sorted(names):
            yield from self._visit(prefix + name, ancestors)

    def _visit(self, path: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
        try:
            status = os.stat(self._full(path))
        except OSError as error:
            yield _bad(path, *_stat_problem(error))
            return
        if not stat.S_ISDIR(status.st_mode):
            yield _file(path, status)
            return
        identity = (status.st_dev, status.st_ino)
        if identity in ancestors:
            yield _bad(path, "symlink_loop", "the link leads back to a folder above it")
        elif named_like_image(path):
            yield _bad(path, "not_a_file", "a folder named like an image")
        else:
            yield from self._walk(f"{path}/", (*ancestors, identity))


class StoreSource:
    """The objects of a store below a prefix; this is how an `s3://` address is read."""

    sequential = False

    def __init__(self, store: Store, *, prefix: str = "") -> None:
        self.store = store
        self.prefix = prefix

    @property
    def uri(self) -> str:
        return f"{self.store.uri.rstrip('/')}/{self.prefix}" if self.prefix else self.store.uri

    def signature(self) -> str:
        return listing_signature(self.uri, self.entries())

    def entries(self) -> Iterator[Entry]:
        for found in self.store.list(self.prefix):
            path = found.key.removeprefix(self.prefix)
            parts = path.split("/")
            if path.endswith("/") or any(is_litter(part) for part in parts if part != ".."):
                continue
            problem = too_large(found.size_bytes)
            if "" in parts or ".." in parts:
                problem = Problem(code="unsafe_path", sentence="an empty or .. part in the name")
            yield Entry(
                path=path, size_bytes=found.size_bytes, version=found.version, problem=problem
            )

    def read(self, path: str) -> bytes:
        try:
            return self.store.read(self.prefix + path)
        except KeyNotFound:
            raise Unusable("unreadable", "it was deleted after it had been listed") from None


def _file(path: str, status: os.stat_result) -> Entry:
    if not stat.S_ISREG(status.st_mode):
        return _bad(path, "not_a_file", "a pipe, socket or device, not a file")
    try:
        path.encode()
    except UnicodeEncodeError:
        return _bad(path, "bad_name", "the name is not valid UTF-8, no table can hold it")
    return Entry(
        path=path,
        size_bytes=status.st_size,
        # The inode tells replacement by rename, the change time a rewrite with a restored mtime.
        version=f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_ino:x}",
        problem=too_large(status.st_size),
    )


def _bad(path: str, code: str, sentence: str) -> Entry:
    readable = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return Entry(path=readable, problem=Problem(code=code, sentence=sentence))


def _stat_problem(error: OSError) -> tuple[str, str]:
    if error.errno == errno.ELOOP:
        return "symlink_loop", "the link leads back to itself"
    if isinstance(error, FileNotFoundError):
        return "broken_link", "the link leads nowhere"
    return "unreadable", _sentence(error)


def _sentence(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
