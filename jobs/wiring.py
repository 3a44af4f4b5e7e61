"""Which implementation stands behind a name: literal tables, imported only on use."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cvcore.errors import UsageError

if TYPE_CHECKING:
    from cvcore.datasets.sources import Source
    from cvcore.store import Store

STORES = {
    "": "cvcore.store:LocalStore",
    "s3": "jobs.adapters.s3_store:S3Store",
}
SEARCHERS = {
    "random": "cvcore.search:RandomSearch",
    "grid": "cvcore.search:GridSearch",
    "tpe": "jobs.adapters.optuna_search:TpeSearch",
    "bayesian": "jobs.adapters.keras_tuner_search:BayesianSearch",
}
ENGINES = {
    "ray": "jobs.adapters.ray_cluster:open_engine",
    "inline": "jobs.adapters.inline_search:open_engine",
}
# What takes its time and needs to know nothing of the data.
EARLY = {"ray": "jobs.adapters.ray_cluster:waiting_processes"}


def resolve(path: str) -> Any:
    """Import `module:attribute`."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def open_store(uri: str) -> Store:
    """Open the store at a directory or `s3://bucket/prefix`; raises `UsageError`, `StoreError`."""
    scheme, separator, _ = uri.partition("://")
    scheme = scheme if separator else ""
    if scheme not in STORES or not uri:
        raise UsageError(
            f"a store is a directory or s3://bucket/prefix, received {_without_secret(uri)!r}",
            hint="cvjobs doctor --store ./cvstore",
        )
    if separator and urlsplit(uri).password is not None:
        raise UsageError(
            "a store URI must not carry a password",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    store: Store = resolve(STORES[scheme])(uri)
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One object to be written: a local file, or a key of a store."""

    store: Store
    key: str

    @property
    def uri(self) -> str:
        return f"{self.store.uri}/{self.key}"

    def write(self, data: bytes) -> None:
        """Write it whole or not at all; an older one is replaced."""
        self.store.write(self.key, data)


def open_file(uri: str, *, suffix: str | tuple[str, ...], option: str = "--output") -> OutputFile:
    """Name a file to be written, local or `s3://`; raises `UsageError` for another suffix.

    `option` is where the user named it.
    """
    if not uri.endswith(suffix):
        allowed = (suffix,) if isinstance(suffix, str) else suffix
        name = uri.rpartition("/")[2].partition(".")[0] or "result"
        raise UsageError(
            f"{option} names a {' or '.join(allowed)} file, received {uri!r}",
            hint=f"{option} {name}{allowed[0]}",
        )
    if "://" not in uri:
        path = Path(uri).expanduser().absolute()
        return OutputFile(store=open_store(str(path.parent)), key=path.name)
    bucket, _, key = uri.partition("://")[2].partition("/")
    return OutputFile(store=open_store(f"s3://{bucket}"), key=key)


def download(uri: str, path: Path) -> None:
    """Bring one `s3://` object to a path; raises `UsageError`, `StoreError`."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    open_store(f"{scheme}://{bucket}").download(key, path)


def data_source(uri: str) -> Source:
    """Open the images at a data URI; raises `UsageError`, `DataError`, `StoreError`."""
    source: Source = resolve("cvcore.datasets:open_source")(uri, store_for=open_store)
    return source


def cache_folder() -> Path:
    """Name the folder for decoded images and other things that can be made again."""
    chosen = os.environ.get("CVJOBS_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "cvjobs"


def _without_secret(uri: str) -> str:
    head, separator, tail = uri.rpartition("@")
    if not separator:
        return uri
    return f"{head.partition('://')[0]}://***@{tail}"
