"""A report with all that benchmarks/README.md asks of one, around the tables of a benchmark."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IN_TURN = (
    "Seconds are the median of all rounds, the smallest and the largest in brackets; within a "
    "round everybody runs once, in turn."
)
HARDWARE = ("cpu", "cores", "memory_gib", "load", "date", "commit")


def page(
    title: str,
    *,
    question: str,
    document: Mapping[str, Any],
    sections: Mapping[str, str],
    limits: str,
    spec: str = "",
    method: str = IN_TURN,
) -> str:
    """Write a page of Markdown about one run.

    `document` is what the benchmark prints: `machine` as `machine.describe` gives it, `typed` the
    arguments, `images` the number of each split, if any; `sections` maps headings to Markdown.
    """
    machine = document["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine.items() if k not in HARDWARE)
    listed = ", ".join(f"{name} {number}" for name, number in document.get("images", {}).items())
    images = f" Images: {listed}." if listed else ""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *document["typed"]])
    parts = [
        f"# {title}: {machine['cores']} cores, {machine['date']}",
        f"**Question.** {question}",
        f"**Hardware.** {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"load average {machine['load']} before the run.",
        f"**When, what.** {machine['date']}, commit {machine['commit']}; {versions}.",
        f"**Command.** `{command}`.{images} {method}",
        *([f"```toml\n{spec.strip()}\n```"] if spec else []),
        *(f"## {heading}\n\n{text}" for heading, text in sections.items()),
        f"**What it does not show.** {limits}",
    ]
    return "\n\n".join(parts) + "\n"
