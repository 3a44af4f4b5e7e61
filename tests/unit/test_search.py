"""Counting a space, drawing from it, and asynchronous successive halving against its definition."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import spaces
from cvcore.errors import ConfigError
from cvcore.search import Asha, RandomSearch, count_configurations, is_feasible
from cvcore.settings import DataConfig, ModelConfig, SearchConfig, SweepSpec
from cvcore.spaces import Choice, Integer, Parameter, Real


def spec_of(space: dict[str, Parameter], *, image_size: int = 24, **search: object) -> SweepSpec:
    return SweepSpec(
        data=DataConfig(image_size=image_size),
        model=ModelConfig(),
        search=SearchConfig(**search),  # type: ignore[arg-type]
        space=space,
    )


CNN = {
    "num_blocks": Parameter(domain=Integer(low=1, high=5)),
    "conv_stride": Parameter(domain=Choice(values=(1, 2, 3))),
    "dense_units": Parameter(domain=Choice(values=(0, 16))),
    "dropout_at": Parameter(domain=Choice(values=("head", "blocks")), when={"dense_units": (16,)}),
    "batch_size": Parameter(domain=Choice(values=(8, 16, 32))),
    "augment_fill": Parameter(domain=Choice(values=("wrap",)), when={"batch_size": (8, 16)}),
    "head": Parameter(domain=Choice(values=("gap", "flatten")), when={"conv_stride": (1,)}),
}
RATE = {"learning_rate": Parameter(domain=Real(low=1e-4, high=1e-2, log=True, steps=4))}


@pytest.mark.parametrize("image_size", [8, 24, 64])
def test_the_count_is_that_of_going_through_them_all(image_size: int) -> None:
    spec = spec_of(CNN, image_size=image_size)
    everything = spaces.grid(CNN, fixed=spec.fixed)
    expected = sum(is_feasible(spec, drawn) for drawn in everything)
    assert count_configurations(spec) == expected > 0


def test_a_real_parameter_is_infinite_unless_a_grid_is_searched() -> None:
    assert count_configurations(spec_of(RATE)) is None
    assert count_configurations(spec_of(RATE, algorithm="grid")) == 4


def test_nobody_counts_for_ever() -> None:
    wide = {
        name: Parameter(domain=Integer(low=1, high=8))
        for name in ("num_blocks", "conv_stride", "pool_size", "pool_stride")
    }
    kernels = {"kernel_size": Parameter(domain=Integer(low=1, high=15))}
    assert count_configurations(spec_of(wide)) is not None
    assert count_configurations(spec_of({**wide, **kernels})) is None


def test_an_empty_space_is_one_configuration() -> None:
    search = RandomSearch(spec_of({}))
    assert count_configurations(spec_of({})) == 1
    assert [search.suggest(), search.suggest()] == [{}, None]


def test_random_search_finds_every_configuration_of_a_finite_space_once() -> None:
    spec = spec_of(CNN, trials=10_000)
    search = RandomSearch(spec)
    drawn = []
    while (one := search.suggest()) is not None:
        drawn.append(json.dumps(one, sort_keys=True))
    assert len(drawn) == len(set(drawn)) == count_configurations(spec)


def test_random_search_does_not_listen() -> None:
    spec = spec_of({**CNN, **RATE}, trials=20)
    deaf, told = RandomSearch(spec), RandomSearch(spec)
    for index in range(20):
        assert deaf.suggest() == told.suggest()
        told.observe(index, None if index % 2 else index / 20)


def test_another_seed_draws_otherwise() -> None:
    first, second = (RandomSearch(spec_of(RATE, seed=seed)) for seed in (0, 1))
    assert first.suggest() != second.suggest()


def test_a_space_that_fits_nowhere_ends_in_a_sentence_not_a_loop() -> None:
    space = {"conv_stride": Parameter(domain=Choice(values=(8,))), **RATE}
    search = RandomSearch(spec_of(space, image_size=8))
    with pytest.raises(ConfigError, match="8x8 pixels"):
        search.suggest()


def best_third(values: list[float], mode: str) -> bool:
    """Say by the definition whether the last of `values` goes on."""
    kept = len(values) // 3
    if kept == 0:
        return True
    ranked = sorted(values, reverse=mode == "max")
    threshold = ranked[kept - 1]
    return values[-1] >= threshold if mode == "max" else values[-1] <= threshold


@given(
    values=st.lists(st.floats(-5, 5), max_size=40),
    mode=st.sampled_from(["max", "min"]),
    epochs=st.integers(10, 100),
)
def test_asha_keeps_exactly_the_best_third_seen_so_far(
    values: list[float], mode: str, epochs: int
) -> None:
    asha = Asha(max_epochs=epochs, mode=mode)
    for rung in asha.rungs:
        for count, value in enumerate(values, start=1):
            goes_on = asha.decide(f"trial-{count}", rung, value) == "continue"
            assert goes_on == best_third(values[:count], mode)


@given(values=st.lists(st.floats(-5, 5), max_size=30), seed=st.integers())
def test_asha_repeats_itself_when_its_log_is_replayed(values: list[float], seed: int) -> None:
    rng = random.Random(seed)
    first, again = Asha(max_epochs=27, mode="max"), Asha(max_epochs=27, mode="max")
    log = [(f"trial-{rng.randrange(9)}", rng.choice(first.rungs), value) for value in values]
    decisions = [first.decide(*event) for event in log]
    assert [again.decide(*event) for event in log] == decisions
    assert [first.decide(*event) for event in log] == decisions  # asked twice, counted once


@given(epochs=st.integers(1, 1000))
def test_rungs_start_at_a_ninth_and_triple_up_to_the_end(epochs: int) -> None:
    rungs = Asha(max_epochs=epochs, mode="max").rungs
    assert list(rungs) == [rungs[0] * 3**k for k in range(len(rungs))] if rungs else epochs == 1
    assert all(0 < rung < epochs for rung in rungs)
    if rungs:
        assert rungs[0] == math.ceil(epochs / 9)
        assert rungs[-1] * 3 >= epochs


def test_between_rungs_nobody_is_cut() -> None:
    asha = Asha(max_epochs=9, mode="max")
    assert asha.rungs == (1, 3)
    assert {asha.decide(f"trial-{i}", 2, -i) for i in range(9)} == {"continue"}


def test_a_value_that_is_no_number_is_the_worst() -> None:
    asha = Asha(max_epochs=9, mode="min")
    for index in range(2):
        asha.decide(f"trial-{index}", 1, 5.0)
    assert asha.decide("trial-2", 1, math.nan) == "stop"
