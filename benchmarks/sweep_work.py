"""The work of `bench_sweep`: one list of configurations, as a spec and as a plan.

The list is what the spec's own random search draws, so it repeats structures as a search does: a
shorter list is the beginning of a longer one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvcore.config import load_spec
from cvcore.search import RandomSearch

BATCH_SIZE = 32
SPEC = """\
name = "bench-sweep"

[data]
uri = "{data}"
image_size = {size}

[model]
num_blocks = 3

[training]
epochs = {epochs}
batch_size = {batch_size}
early_stopping_patience = 0

[space]
filters = {{choice = [8, 16]}}
conv_stride = {{choice = [1, 2]}}
pool_size = {{choice = [2, 3]}}
dense_units = {{choice = [32, 64]}}
learning_rate = {{log = [3e-4, 3e-3]}}

[search]
algorithm = "random"
trials = {trials}
objective = "val_accuracy"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One list of configurations, as a spec for us and as a plan for the others.

    `engine` None: the default of cvjobs.
    """

    trials: int
    epochs: int
    spec: Path
    plan: Path
    configurations: tuple[Mapping[str, Any], ...]
    engine: str | None = None


def plan_work(
    folder: Path,
    *,
    data: Path,
    trials: int,
    size: int,
    epochs: int,
    engine: str | None = None,
) -> Work:
    """Write the spec, and the configurations that its random search will draw as a plan."""
    folder.mkdir(exist_ok=True)
    spec, plan = folder / f"spec-{trials}.toml", folder / f"plan-{trials}.json"
    shared = {"data": str(data), "size": size, "epochs": epochs, "batch_size": BATCH_SIZE}
    spec.write_text(SPEC.format(trials=trials, **shared))
    search = RandomSearch(load_spec(spec))
    drawn = [{"index": index, **(search.suggest() or {})} for index in range(trials)]
    plan.write_text(json.dumps({**shared, "configurations": drawn}))
    return Work(
        trials=trials,
        epochs=epochs,
        spec=spec,
        plan=plan,
        configurations=tuple(drawn),
        engine=engine,
    )


def num_structures(work: Work) -> int:
    """Count the configurations that differ in more than the learning rate."""
    rates = ("index", "learning_rate")
    return len({tuple(v for k, v in one.items() if k not in rates) for one in work.configurations})
