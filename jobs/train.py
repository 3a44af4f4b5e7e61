"""`cvjobs train`: one configuration, into the same tables."""

from __future__ import annotations

from dataclasses import replace

from cvcore.config import load_spec
from cvcore.errors import ConfigError
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    AddressOption,
    DataOption,
    EngineOption,
    EpochsOption,
    JsonOption,
    NameOption,
    QuietOption,
    RequiredSpecArgument,
    SetOption,
    StoreOption,
)


def train(
    spec: RequiredSpecArgument,
    data: DataOption = None,
    store: StoreOption = DEFAULT_STORE,
    name: NameOption = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
    address: AddressOption = None,
    engine: EngineOption = "inline",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one configuration: the fixed settings of SPEC."""
    console = Console.choose(json=json, quiet=quiet)
    loaded = load_spec(spec, overrides=set_ or (), data=data, name=name, epochs=epochs)
    if loaded.space:
        raise ConfigError(
            [
                f"[space] {key}: train runs one configuration, so give it one value: "
                f"--set model.{key}=... (or training.{key})"
                for key in loaded.space
            ],
            source=spec,
            hint=f"cvjobs sweep {spec}   (tries many)",
        )
    single = replace(
        loaded, search=replace(loaded.search, algorithm="random", scheduler="none", trials=1)
    )

    from jobs import launch, show

    run = launch.run_of(store=store, console=console, engine=engine, address=address)
    document = launch.start(single, run)
    console.result(document, lambda: show.sweep(console, document, store=run.store))
