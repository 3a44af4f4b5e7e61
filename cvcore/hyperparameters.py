"""The settings that a search may vary, and how drawn values become one trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from cvcore.settings import (
    ModelConfig,
    SweepSpec,
    TrainingConfig,
    names_of,
)
from cvcore.spaces import Value


def hyperparameters() -> dict[str, Field[Any]]:
    """Map every searchable setting to its declaration, in column order: the older first."""
    found = [*fields(ModelConfig), *fields(TrainingConfig)]
    searchable = [one for one in found if one.metadata["searchable"]]
    return {one.name: one for one in sorted(searchable, key=lambda one: one.metadata["since"])}


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
        section = spec.model if name in names_of(ModelConfig) else spec.training
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
    model = ModelConfig(**{name: values[name] for name in names_of(ModelConfig)})
    searched = {name: values[name] for name in names_of(TrainingConfig) if name in values}
    kept = {name: getattr(spec.training, name) for name in names_of(TrainingConfig)}
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
