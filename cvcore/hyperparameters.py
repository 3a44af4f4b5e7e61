"""The settings that a search may vary, and how drawn values become one trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from functools import cache
from types import MappingProxyType
from typing import Any

from cvcore.settings import (
    MODEL_NAMES,
    TRAINING_NAMES,
    ModelConfig,
    SweepSpec,
    TrainingConfig,
)
from cvcore.spaces import Value


@cache
def hyperparameters() -> Mapping[str, Field[Any]]:
    """Map every searchable setting to its declaration, in column order: the older first."""
    found = [*fields(ModelConfig), *fields(TrainingConfig)]
    searchable = [one for one in found if one.metadata["searchable"]]
    ordered = sorted(searchable, key=lambda one: one.metadata["since"])
    return MappingProxyType({one.name: one for one in ordered})


def resolve(
    spec: SweepSpec, drawn: Mapping[str, Value]
) -> tuple[ModelConfig, TrainingConfig, dict[str, Value | None]]:
    """Turn the drawn values of one trial into its model, its training and its `hp_` columns.

    A hyperparameter that does not apply (its condition does not hold, or it belongs to another
    family) is None in the columns.
    """
    declared = hyperparameters()
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        section = spec.model if name in MODEL_NAMES else spec.training
        if name not in spec.space:
            values[name] = getattr(section, name)
        else:
            values[name] = drawn.get(name, declaration.metadata["absent"])
    family = values["family"]
    columns: dict[str, Value | None] = {}
    for name, declaration in declared.items():
        applies = declaration.metadata["family"] in (None, family)
        present = name not in spec.space or name in drawn
        columns[name] = values[name] if applies and present else None
    for name in _replaced(columns, fine_tunes=spec.training.fine_tune_epochs > 0):
        columns[name] = None
    if family == "cnn" and columns["pool_stride"] is None:
        columns["pool_stride"] = columns["pool_size"]
    model = ModelConfig(**{name: values[name] for name in MODEL_NAMES})
    searched = {name: values[name] for name in TRAINING_NAMES if name in values}
    kept = {name: getattr(spec.training, name) for name in TRAINING_NAMES}
    return model, TrainingConfig(**{**kept, **searched}), columns


def _replaced(columns: Mapping[str, Value | None], *, fine_tunes: bool) -> Iterator[str]:
    """Yield the settings that another one takes the place of."""
    if columns["filters_per_block"] is not None:
        yield from ("filters", "filters_growth")
    if columns["kernel_size_per_block"] is not None:
        yield "kernel_size"
    if columns["pool_size_per_block"] is not None:
        yield "pool_size"
    if columns["optimizer"] == "sgd":
        yield "optimizer_epsilon"
    if not fine_tunes:
        yield from (name for name in columns if name.startswith("fine_tune_"))
