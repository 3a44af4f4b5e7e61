"""The work of `bench_transfer`: 16 heads on a frozen base, as a spec and as a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import scratch
from cvcore.config import load_spec
from cvcore.search import GridSearch

BATCH_SIZE = 32
SPEC = """\
name = "bench-transfer"

[data]
uri = "{data}"
image_size = {size}

[model]
family = "transfer"
base = "mobilenet_v2"
weights = "{weights}"
head = "gap"

[training]
epochs = {epochs}
batch_size = {batch_size}
early_stopping_patience = 0

[space]
dense_units = {{choice = [0, 64]}}
dropout = {{choice = [0.0, 0.2]}}
learning_rate = {{choice = [3e-4, 1e-3, 3e-3, 1e-2]}}

[search]
algorithm = "grid"
trials = 16
objective = "val_loss"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The sweep as a spec, and as a plan for plain Keras: `heads` of it for `epochs` of its epochs.

    `weights` None: a random base. `engine` None: the default of cvjobs.
    """

    data: Path
    size: int
    weights: Path | None
    sweep_epochs: int
    heads: int
    epochs: int
    engine: str | None = None

    @property
    def whole(self) -> bool:
        """Tell whether plain Keras does all that the sweep does."""
        return self.heads == len(grid(self)) and self.epochs == self.sweep_epochs


def spec_of(work: Work) -> str:
    """Write the spec of the sweep."""
    return SPEC.format(
        data=work.data,
        size=work.size,
        weights=work.weights or "none",
        epochs=work.sweep_epochs,
        batch_size=BATCH_SIZE,
    )


def grid(work: Work) -> list[dict[str, Any]]:
    """List the heads in the order in which the sweep tries them."""
    with scratch() as folder:
        path = folder / "spec.toml"
        path.write_text(spec_of(work))
        search = GridSearch(load_spec(path))
    return list(iter(search.suggest, None))
