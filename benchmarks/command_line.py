"""What all benchmarks with a page share: how much of it is run, and where the results go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def parser_of(description: str | None, *, short: str, full: str) -> argparse.ArgumentParser:
    """Make a parser with `--short`, `--full` and `--report`; `short` and `full` are their help."""
    parser = argparse.ArgumentParser(description=description)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--short", action="store_true", help=f"{short} (default)")
    extent.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--report", type=Path, metavar="PATH", help="write a page of Markdown")
    return parser


def write_results(
    document: Mapping[str, Any], *, page: Callable[[Mapping[str, Any]], str], path: Path | None
) -> None:
    """Print the document of a run, and write its page where one was asked for."""
    print(json.dumps(document, indent=1))
    if path is not None:
        path.write_text(page(document), encoding="utf-8")
