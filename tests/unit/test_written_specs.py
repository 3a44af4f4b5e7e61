"""A spec that is written into a store comes back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.catalog import recipe_names
from cvcore.config import load_spec, to_toml
from cvcore.hyperparameters import hyperparameters
from cvcore.settings import SECTIONS, TRAINING_NAMES
from cvcore.toml import literal


def legal_values(name: str) -> st.SearchStrategy[Any]:
    limits = hyperparameters()[name].metadata
    if limits["choices"]:
        return st.sampled_from(limits["choices"])
    bounds = {"min_value": limits["minimum"], "max_value": limits["maximum"]}
    if limits["numbers"]:
        return numbers(**bounds)
    if limits["kind"] is int:
        return st.integers(**bounds)
    if limits["kind"] is float:
        return st.floats(**bounds)
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":@"), max_size=5)


def numbers(*, min_value: int | None, max_value: int | None) -> st.SearchStrategy[Any]:
    """Write what is kept as text in every way in which it may be written.

    One number a block where there are limits, and the specs below have one block; else a number or
    a name.
    """
    if max_value is None:
        names = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
        return names | st.integers(0, 10**6) | st.integers(0, 10**6).map(str)
    one = st.integers(min_value, max_value)
    return one | one.map(str) | one.map(lambda number: [number])


@st.composite
def spec_texts(draw: st.DrawFn) -> str:
    """Write specs of family cnn with 8x8 images kept whole: every other setting may vary."""
    kept = {
        "family",
        "num_blocks",
        "kernel_size",
        "conv_stride",
        "pool_size",
        "pool_stride",
        "kernel_size_per_block",
        "pool_size_per_block",
        "base",
        "weights",
    }
    free = sorted(set(hyperparameters()) - kept)
    names = draw(st.permutations(free))
    num_fixed, num_searched = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    model = {"num_blocks": 1, "kernel_size": 1, "pool_size": 1}
    training: dict[str, Any] = {"epochs": draw(st.integers(1, 50))}
    for name in names[:num_fixed]:
        table = training if name in TRAINING_NAMES else model
        table[name] = draw(legal_values(name))
    lines = [f"name = {literal(draw(st.from_regex(r'[a-zé ]{1,20}', fullmatch=True)))}"]
    for section, table in (("model", model), ("training", training)):
        lines += [f"[{section}]", *(f"{key} = {literal(value)}" for key, value in table.items())]
    lines.append("[space]")
    of_cnn = [one for one in names if hyperparameters()[one].metadata["family"] != "transfer"]
    searched = [name for name in of_cnn if name not in names[:num_fixed]][:num_searched]
    earlier: dict[str, Any] = {}
    for name in searched:
        values = draw(st.lists(legal_values(name), min_size=1, max_size=4, unique_by=str_of))
        entry: dict[str, Any] = {"choice": values}
        if earlier and draw(st.booleans()):
            other = draw(st.sampled_from(sorted(earlier)))
            entry["when"] = {other: earlier[other]}
        earlier[name] = values[0]
        lines.append(f"{name} = {literal(entry)}")
    return "\n".join(lines)


def str_of(value: Any) -> str:
    """Tell values apart as a spec does: 8, "8" and [8] are one number of filters."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@given(text=spec_texts())
def test_a_written_spec_reads_back_equal(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "first.toml").write_text(text, encoding="utf-8")
    spec = load_spec(folder / "first.toml")
    (folder / "second.toml").write_text(to_toml(spec), encoding="utf-8")
    again = load_spec(folder / "second.toml")
    assert again == spec
    assert list(again.space) == list(spec.space)
    assert to_toml(again) == to_toml(spec)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_loads_and_survives_its_storage(name: str, tmp_path: Path) -> None:
    spec = load_spec(name)
    stored = tmp_path / "spec.toml"
    stored.write_text(to_toml(spec), encoding="utf-8")
    assert spec.recipe == name
    assert load_spec(stored) == spec


def test_a_stored_spec_names_every_setting_that_has_a_value(written: Any) -> None:
    text = to_toml(written(""))
    for section in SECTIONS.values():
        for name, declaration in section.__dataclass_fields__.items():
            assert (f"\n{name} = " in text) == (declaration.default is not None), name
