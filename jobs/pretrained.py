"""Keras' own ImageNet weights, brought to the store before workers ask for them there."""

from __future__ import annotations

from cvcore.bases import BASES
from cvcore.settings import SweepSpec
from cvcore.spaces import Choice
from cvcore.store import Store
from cvcore.weights import imagenet_name, provide_imagenet
from jobs.adapters.console import Console


def provide_weights(spec: SweepSpec, *, store: Store, console: Console) -> None:
    """Download the ImageNet weights a spec may need, unless the store has them.

    Workers then need no internet. Raises `UsageError` where they cannot be had.
    """
    families = _values(spec, "family")
    if "transfer" not in families or "imagenet" not in _values(spec, "weights"):
        return
    for base in _values(spec, "base"):
        name = imagenet_name(base, spec.data.image_size)
        if spec.data.image_size >= BASES[base].minimum_size and provide_imagenet(
            base, image_size=spec.data.image_size, store=store
        ):
            console.note(f"weights: {name} downloaded once, kept in {store.uri}/weights")


def _values(spec: SweepSpec, name: str) -> tuple[str, ...]:
    """List what a setting may be in the trials of a spec."""
    if name not in spec.space:
        return (getattr(spec.model, name),)
    domain = spec.space[name].domain
    return tuple(str(one) for one in domain.values) if isinstance(domain, Choice) else ()
