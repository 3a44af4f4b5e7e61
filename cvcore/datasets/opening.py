"""From the address that a user types to a source of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cvcore.datasets.archives import ARCHIVE_SUFFIXES, ArchiveSource
from cvcore.datasets.castings import SCHEME, parse_castings
from cvcore.datasets.folders import EXPECTED, HINT
from cvcore.datasets.sources import DirectorySource, Source, StoreSource
from cvcore.errors import DataError, UsageError
from cvcore.store import Store


def open_source(uri: str, *, store_for: Callable[[str], Store] | None = None) -> Source:
    """Choose the source for an address; `store_for` opens the store at an `s3://` one.

    Raises `UsageError` for an address that cannot be read, `DataError` where nothing is there.
    """
    if uri.startswith(SCHEME):
        return parse_castings(uri)
    if uri.startswith("s3://"):
        return _open_store(uri, store_for)
    if "://" in uri or not uri:
        raise UsageError(
            f"data is a directory, an archive, s3:// or {SCHEME}castings, received {uri!r}",
            hint=HINT,
        )
    path = Path(uri).expanduser()
    if path.is_dir():
        return DirectorySource(path)
    if not path.exists():
        raise DataError(
            f"there is no data at {uri!r}: {EXPECTED}",
            hint="cvjobs sweep   (without --data it uses generated castings)",
        )
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return ArchiveSource(path)
    raise DataError(
        f"{uri!r} is neither a directory nor an archive ({', '.join(ARCHIVE_SUFFIXES)})",
        hint=HINT,
    )


def _open_store(uri: str, store_for: Callable[[str], Store] | None) -> Source:
    if uri.lower().endswith(ARCHIVE_SUFFIXES):
        raise DataError(
            f"an archive is read from a local disk only, received {uri!r}",
            hint=f"aws s3 cp {uri} .   (and give the local file, or upload the folders)",
        )
    if store_for is None:
        raise UsageError(f"no object store is at hand here to read {uri!r}")
    return StoreSource(store_for(uri))
