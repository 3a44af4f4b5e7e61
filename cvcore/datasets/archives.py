"""Images inside a .zip or .tar archive, read member by member: nothing is ever unpacked to disk."""

from __future__ import annotations

import os
import shlex
import stat
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, cast

from cvcore.datasets.problems import Problem, Unusable
from cvcore.datasets.sources import MAX_FILE_BYTES, Entry, is_litter, too_large
from cvcore.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_READ_ERRORS = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
    RuntimeError,  # zipfile: the member is encrypted
    ValueError,  # a name that is not the UTF-8 it claims to be
)  # fmt: skip

Opener = Callable[[], IO[bytes]]


class ArchiveSource:
    """The members of an archive; one folder that wraps all of them is taken off their paths."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        # Going back in a compressed stream means decompressing it from its start.
        self.sequential = not self._is_zip
        self._lock = threading.Lock()
        self._openers: dict[str, Opener] | None = None
        self._entries: list[Entry] = []

    @property
    def uri(self) -> str:
        return str(self.path)

    @property
    def _is_zip(self) -> bool:
        return self.path.name.lower().endswith(".zip")

    def signature(self) -> str:
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise self._damaged(error) from None
        times = f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_ino:x}"
        return f"{self.path}-{status.st_size:x}-{times}"

    def entries(self) -> Iterator[Entry]:
        self._list()
        yield from self._entries

    def read(self, path: str) -> bytes:
        opener = self._list()[path]
        try:
            with self._lock, opener() as member:
                data = member.read(MAX_FILE_BYTES + 1)
        except _READ_ERRORS as error:
            raise Unusable("unreadable", f"the archive does not give it out: {error}") from None
        if problem := too_large(len(data)):  # the declared size was a lie
            raise Unusable(problem.code, problem.sentence)
        return data

    def _list(self) -> dict[str, Opener]:
        with self._lock:
            if self._openers is None:
                try:
                    found = self._zip_members() if self._is_zip else self._tar_members()
                    # Of two members with one name the last wins, as when unpacking.
                    members = {entry.path: (entry, opener) for entry, opener in found}
                except _READ_ERRORS as error:
                    raise self._damaged(error) from None
                wrapper = _wrapping_folder([entry for entry, _ in members.values()])
                unwrapped = [(_unwrap(e, wrapper), opener) for e, opener in members.values()]
                self._entries = [entry for entry, _ in unwrapped]
                self._openers = {entry.path: opener for entry, opener in unwrapped}
            return self._openers

    def _zip_members(self) -> Iterator[tuple[Entry, Opener]]:
        archive = zipfile.ZipFile(self.path)
        weakref.finalize(self, archive.close)
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")  # written so by some tools on Windows
            if info.is_dir() or _ignored(name):
                continue
            mode = info.external_attr >> 16
            special = stat.S_IFMT(mode) not in (0, stat.S_IFREG)
            problem = _problem(name, info.file_size, special=special)
            if info.flag_bits & 1:
                problem = Problem(code="unreadable", sentence="encrypted with a password")
            entry = Entry(path=name, size_bytes=info.file_size, problem=problem)
            yield entry, partial(archive.open, info)

    def _tar_members(self) -> Iterator[tuple[Entry, Opener]]:
        archive = tarfile.open(self.path)
        weakref.finalize(self, archive.close)
        for info in archive:
            name = info.name.encode(errors="surrogateescape").decode(errors="backslashreplace")
            name = name.removeprefix("./")
            if info.isdir() or _ignored(name):
                continue
            problem = _problem(name, info.size, special=not info.isreg())
            entry = Entry(path=name, size_bytes=info.size, problem=problem)
            yield entry, cast(Opener, partial(archive.extractfile, info))

    def _damaged(self, error: BaseException) -> DataError:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        return DataError(
            f"the archive {self.uri} cannot be read: {reason}",
            hint=f"{'unzip -t' if self._is_zip else 'tar -tf'} {shlex.quote(self.uri)}",
        )


def _ignored(name: str) -> bool:
    return any(is_litter(part) for part in name.split("/") if part not in ("", ".", ".."))


def _problem(name: str, size_bytes: int, *, special: bool) -> Problem | None:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "" in parts or parts[0].endswith(":"):
        return Problem(code="unsafe_path", sentence="the name leads out of the archive")
    if special:
        return Problem(code="not_a_file", sentence="a link or device; none is followed in archives")
    return too_large(size_bytes)


def _wrapping_folder(entries: list[Entry]) -> str:
    """Return the folders, with a slash at the end, that all images share above their classes."""
    inside = [e for e in entries if e.problem is None or e.problem.code != "unsafe_path"]
    paths = [entry.path for entry in inside]
    wrapper = ""
    while paths:
        tops = {path.removeprefix(wrapper).partition("/")[0] for path in paths}
        deeper = f"{wrapper}{next(iter(tops))}/"
        # The innermost folder that holds folders stays: those are the classes or the splits.
        if len(tops) > 1 or not any("/" in path.removeprefix(deeper) for path in paths):
            break
        wrapper = deeper
    return wrapper


def _unwrap(entry: Entry, wrapper: str) -> Entry:
    return replace(entry, path=entry.path.removeprefix(wrapper))
