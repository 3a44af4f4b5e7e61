"""What every search algorithm keeps, whoever implements it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cvcore import spaces
from cvcore.search import Searcher, count_configurations, is_feasible
from cvcore.settings import DataConfig, SearchConfig, SweepSpec
from cvcore.spaces import Choice, Integer, Parameter, Real, Value
from jobs.wiring import SEARCHERS, resolve

# keras-tuner brings Keras with it, and fits a Gaussian process for every proposal.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("default"),
]

SPEC = SweepSpec(
    data=DataConfig(image_size=32),
    search=SearchConfig(trials=9, seed=3),
    space={
        "family": Parameter(domain=Choice(values=("cnn", "transfer"))),
        "num_blocks": Parameter(domain=Integer(low=1, high=5, step=2), when={"family": ("cnn",)}),
        "conv_stride": Parameter(domain=Choice(values=(1, 2, 3)), when={"num_blocks": (3, 5)}),
        "base": Parameter(
            domain=Choice(values=("vgg16", "resnet50")), when={"family": ("transfer",)}
        ),
        "weights": Parameter(domain=Choice(values=("none",)), when={"head": ("gap",)}),
        "dense_units": Parameter(domain=Choice(values=(0, 16)), when={"head": ("flatten",)}),
        "learning_rate": Parameter(domain=Real(low=1e-4, high=1e-1, log=True, steps=3)),
        "dropout": Parameter(domain=Real(low=0.0, high=0.5, steps=2), when={"dense_units": (16,)}),
    },
)  # "head" is fixed at "flatten": `weights` never applies, `dense_units` always does

Make = Callable[[SweepSpec], Searcher]


@pytest.fixture(params=sorted(SEARCHERS))
def make(request: pytest.FixtureRequest) -> Make:
    def searcher(spec: SweepSpec) -> Searcher:
        found: Searcher = resolve(SEARCHERS[request.param])(spec)
        return found

    return searcher


def drawn_by(searcher: Searcher, *, seed: int, calls: int = 12) -> list[dict[str, Value] | None]:
    """Run a search with up to three trials at once that end in any order, some of them failing."""
    rng = random.Random(seed)
    waiting: list[int] = []
    drawn: list[dict[str, Value] | None] = []
    for index in range(calls):
        one = searcher.suggest()
        drawn.append(one)
        if one is not None:
            waiting.append(index)
        while waiting and (len(waiting) == 3 or one is None):
            ended = waiting.pop(rng.randrange(len(waiting)))
            value = None if ended % 4 == 0 else -abs(float(drawn[ended]["learning_rate"]) - 0.01)  # type: ignore[index]
            searcher.observe(ended, value)
    return drawn


def test_proposals_are_feasible_points_of_the_space_and_never_repeat(make: Make) -> None:
    proposals = [one for one in drawn_by(make(SPEC), seed=1) if one is not None]
    for drawn in proposals:
        assert spaces.contains(SPEC.space, drawn, fixed=SPEC.fixed), drawn
        assert is_feasible(SPEC, drawn), drawn
        assert json.loads(json.dumps(drawn)) == drawn
        assert list(drawn) == [name for name in SPEC.space if name in drawn]
    assert len({json.dumps(one) for one in proposals}) == len(proposals)


def test_the_budget_is_kept_to_the_trial_and_the_end_is_final(make: Make) -> None:
    drawn = drawn_by(make(SPEC), seed=1)
    assert all(one is not None for one in drawn[: SPEC.search.trials])
    assert drawn[SPEC.search.trials :] == [None] * (12 - SPEC.search.trials)


def test_the_same_calls_give_the_same_proposals(make: Make) -> None:
    assert drawn_by(make(SPEC), seed=2) == drawn_by(make(SPEC), seed=2)


def test_a_finite_space_is_exhausted_without_a_repetition(make: Make) -> None:
    space = {
        "num_blocks": Parameter(domain=Integer(low=1, high=4)),
        "conv_stride": Parameter(domain=Choice(values=(1, 2, 4))),
    }
    spec = replace(SPEC, space=space, search=replace(SPEC.search, trials=50))
    searcher = make(spec)
    drawn = []
    while (one := searcher.suggest()) is not None:
        searcher.observe(len(drawn), float(len(drawn)))
        drawn.append(json.dumps(one))
    assert len(drawn) == len(set(drawn)) == count_configurations(spec)
    assert len(drawn) < 4 * 3  # some do not fit into 32 pixels


def test_failures_alone_do_not_stop_a_search(make: Make) -> None:
    searcher = make(SPEC)
    for index in range(SPEC.search.trials):
        assert searcher.suggest() is not None
        searcher.observe(index, float("nan") if index % 2 else None)
    assert searcher.suggest() is None


def test_nothing_is_left_on_disk(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn_by(make(SPEC), seed=1, calls=6)
    assert list(tmp_path.iterdir()) == []


def regret(algorithm: str, seed: int) -> float:
    """Return how far the best of 24 trials stays from the peak of a quadratic."""
    space: dict[str, Any] = {
        "dropout": Parameter(domain=Real(low=0.0, high=0.9)),
        "augment_zoom": Parameter(domain=Real(low=0.0, high=0.9)),
        "augment_crop": Parameter(domain=Real(low=0.0, high=0.9)),
    }
    search = SearchConfig(trials=24, seed=seed, objective="val_loss")
    spec = SweepSpec(space=space, search=search)
    searcher = resolve(SEARCHERS[algorithm])(spec)
    losses = []
    while (drawn := searcher.suggest()) is not None:
        loss = sum((float(drawn[name]) - 0.3) ** 2 for name in space)
        searcher.observe(len(losses), loss)
        losses.append(loss)
    return min(losses)


@pytest.mark.parametrize("algorithm", ["tpe", "bayesian"])
def test_a_search_that_listens_beats_chance_on_a_quadratic(algorithm: str) -> None:
    seeds = range(2)
    learned = sum(regret(algorithm, seed) for seed in seeds)
    chance = sum(regret("random", seed) for seed in seeds)
    assert learned < chance / 2
