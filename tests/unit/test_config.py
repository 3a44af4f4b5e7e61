"""The spec reader: what files, flags and `--set` say together."""

from __future__ import annotations

from typing import Any

import pytest

from cvcore.catalog import DEFAULT_RECIPE
from cvcore.config import load_spec, to_toml
from cvcore.spaces import Choice, Integer, Parameter, Real


def test_without_a_spec_the_default_recipe_runs() -> None:
    assert load_spec(None) == load_spec(DEFAULT_RECIPE)


def test_every_kind_of_domain_is_read(written: Any) -> None:
    spec = written("""
        [space]
        family = {choice = ["cnn", "transfer"]}
        filters = {integer = [8, 32], step = 8, when = {family = "cnn"}}
        base = {choice = ["vgg16"], when = {family = ["transfer"]}}
        dropout = {uniform = [0, 0.5]}
        learning_rate = {log = [1e-4, 1e-2], steps = 3}
    """)
    assert spec.space == {
        "family": Parameter(domain=Choice(values=("cnn", "transfer"))),
        "filters": Parameter(domain=Integer(low=8, high=32, step=8), when={"family": ("cnn",)}),
        "base": Parameter(domain=Choice(values=("vgg16",)), when={"family": ("transfer",)}),
        "dropout": Parameter(domain=Real(low=0.0, high=0.5)),
        "learning_rate": Parameter(domain=Real(low=1e-4, high=1e-2, log=True, steps=3)),
    }


@pytest.mark.parametrize("given", ["[8, 16, 16]", '"8,16,16"', '" 8, 16 ,16 "'])
def test_numbers_of_blocks_are_one_setting_however_they_are_written(
    written: Any, given: str
) -> None:
    spec = written(f"[model]\nfilters_per_block = {given}")
    assert spec.model.filters_per_block == "8,16,16"
    assert 'filters_per_block = "8,16,16"' in to_toml(spec)


@pytest.mark.parametrize("given", ["[8,16]", "8,16", "[8, 16]"])
def test_numbers_of_blocks_may_be_typed_after_set(written: Any, given: str) -> None:
    overrides = [f"model.filters_per_block={given}"]
    assert written("", overrides=overrides).model.filters_per_block == "8,16"


def test_numbers_of_blocks_are_searched_as_whole_lists(written: Any) -> None:
    spec = written("[space]\nfilters_per_block = {choice = [[8, 16], 4, '2,2']}")
    assert spec.space["filters_per_block"].domain == Choice(values=("8,16", "4", "2,2"))


@pytest.mark.parametrize(("at", "kept"), [("100", "100"), ("'100'", "100"), ("'out'", "out")])
def test_fine_tuning_is_a_table_or_flat_settings(written: Any, at: str, kept: str) -> None:
    table = written(f"[training]\nfine_tune = {{at = {at}, epochs = 3, optimizer = 'sgd'}}")
    flat = written(
        f"[training]\nfine_tune_at = {at}\nfine_tune_epochs = 3\nfine_tune_optimizer = 'sgd'"
    )
    assert table == flat
    assert table.training.fine_tune_at == kept


def test_fine_tuning_set_from_outside_wins_over_the_table_of_the_file(written: Any) -> None:
    text = "[training]\nfine_tune = {at = 100, epochs = 3}"
    spec = written(text, overrides=["training.fine_tune.at=block_13_expand"])
    assert (spec.training.fine_tune_at, spec.training.fine_tune_epochs) == ("block_13_expand", 3)
    spec = written(text, overrides=["training.fine_tune={epochs=7}"])
    assert (spec.training.fine_tune_at, spec.training.fine_tune_epochs) == ("100", 7)
    spec = written(
        text, overrides=["space.fine_tune_at={choice=[100, 120]}", "model.family=transfer"]
    )
    assert spec.space["fine_tune_at"].domain == Choice(values=("100", "120"))


def test_a_flag_beats_set_which_beats_the_file(written: Any) -> None:
    text = "[training]\nepochs = 2\nbatch_size = 4\n[search]\ntrials = 3"
    spec = written(text, overrides=["training.epochs=5", "search.trials=6"], trials=7)
    assert (spec.training.epochs, spec.search.trials, spec.training.batch_size) == (5, 7, 4)


def test_fixing_a_searched_setting_takes_it_out_of_the_space(written: Any) -> None:
    spec = written("[space]\nfilters = {choice = [8, 16]}", overrides=["model.filters=4"])
    assert spec.space == {}
    assert spec.model.filters == 4


def test_searching_a_fixed_setting_frees_it(written: Any) -> None:
    spec = written("[model]\nfilters = 4", overrides=["space.filters={choice=[8, 16]}"])
    assert spec.space["filters"].domain == Choice(values=(8, 16))


def test_a_domain_set_from_outside_replaces_the_one_in_the_file(written: Any) -> None:
    text = "[space]\nfilters = {integer = [8, 32], step = 8}"
    spec = written(text, overrides=["space.filters.choice=[8, 16]"])
    assert spec.space["filters"].domain == Choice(values=(8, 16))


@pytest.mark.parametrize("name", ["5", "true", "2026-01-01", "a=b", "[x]"])
def test_a_text_setting_takes_any_text(written: Any, name: str) -> None:
    assert written("", overrides=[f"name={name}"]).name == name
