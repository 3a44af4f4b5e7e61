"""The spec reader: what it accepts comes back whole, what it refuses is all named at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.catalog import DEFAULT_RECIPE, recipe_names
from cvcore.config import check_engine, load_spec, to_toml
from cvcore.errors import ConfigError, UsageError
from cvcore.hyperparameters import hyperparameters
from cvcore.settings import SECTIONS, TRAINING_NAMES, SweepSpec
from cvcore.spaces import Choice, Integer, Parameter, Real
from cvcore.toml import literal


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Give a function that loads a spec from its text."""

    def load(text: str, **flags: Any) -> SweepSpec:
        path = tmp_path / "spec.toml"
        path.write_text(text, encoding="utf-8")
        return load_spec(path, **flags)

    return load


def problems(written: Any, text: str, **flags: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        written(text, **flags)
    return caught.value.problems


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


def test_without_a_spec_the_default_recipe_runs() -> None:
    assert load_spec(None) == load_spec(DEFAULT_RECIPE)


def test_a_stored_spec_names_every_setting_that_has_a_value(written: Any) -> None:
    text = to_toml(written(""))
    for section in SECTIONS.values():
        for name, declaration in section.__dataclass_fields__.items():
            assert (f"\n{name} = " in text) == (declaration.default is not None), name


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


def test_all_problems_are_reported_at_once_each_with_its_place(written: Any) -> None:
    text = """
[data]
image_sise = 64
channels = "rgbb"
[model]
conv_stride = -1
dropout = true
learning_rate = 0.1
[trainig]
[space]
filters = {choice = [8, 8]}
"""
    found = problems(
        written, text, overrides=["search.trials=many", "data.seed=-3", "nonsense"], epochs=0
    )
    places = [problem.partition(":")[0] for problem in found]
    assert sorted(places) == sorted(
        [
            *(f"line {number}" for number in (3, 4, 6, 7, 8, 9, 11)),
            *("--epochs", "--set nonsense", "--set data.seed", "--set search.trials"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[data]\nimage_sise = 5", "line 2: data.image_sise: unknown key; did you mean 'image_"),
        ("[model]\nepochs = 5", "line 2: model.epochs: unknown key; did you mean training.epochs?"),
        ("[modle]", "line 1: modle: unknown section or key; did you mean 'model'?"),
        ("[model]\nbase = 'mobilnet_v2'", "did you mean 'mobilenet_v2'?"),
        ("[model]\nconv_stride = -1", "expected a whole number from 1 to 8, received -1"),
        ("[model]\nfilters = 8.0", "expected a whole number from 1 to 1024, received 8.0"),
        ("[model]\nfilters = true", "expected a whole number from 1 to 1024, received true"),
        ("[model]\ndropout = nan", "expected a number from 0.0 to 0.95, received nan"),
        ("[search]\nmax_hours = inf", "expected a number of at least 0.0, received inf"),
        ("[data]\nuri = 2026-01-01", "expected UTF-8 text, received 2026-01-01"),
        ("[training]\ndeterministic = 1", "expected true or false, received 1"),
        ("data = 5", "line 1: data: expected a table, [data], received 5"),
        ("space = 5", "line 1: space: expected a table of parameters, received 5"),
        ("name = ''", "expected 1 to 100 printable characters, received ''"),
        ("[data]\ngroup_by = '('", "expected \"none\" or a regular expression"),
        ("[data]\ngroup_by = 'near-duplicates'", "not in this version"),
        ("[data]\ntest_fraction = 0.5\nvalidation_fraction = 0.5", "line 2: data.test_fraction"),
        ("[data]\nuri = 's3://u:secret@b/x'", "must not carry a password"),
        ("[model]\nweights = 'https://u:p@h/w.h5'", "must not carry a password"),
        ("[resources]\nworkers_per_trial = 2", "several machines per trial: not in this version"),
        ("[resources]\ngpus_per_trial = 1.5", "a fraction up to 1 or a whole number"),
        ("[model]\nconv_stride = 8\nnum_blocks = 8", "shrinks to nothing: sizes 96 -> "),
        ("[space]\nepochs = {choice = [1]}", "cannot be searched; set it as training.epochs"),
        ("[space]\nbatch_sise = {choice = [1]}", "did you mean 'batch_size'?"),
        ("[space]\nfilters = [8, 16]", "line 2: space.filters: expected one of {choice"),
        ("[space]\nfilters = {choice = [8], log = [1, 2]}", "expected one of {choice"),
        ("[space]\nfilters = {choice = []}", "expects a list of values, received []"),
        ("[space]\nfilters = {choice = [8, 8]}", "lists a value twice"),
        ("[space]\nfilters = {choice = [8, 0]}", "from 1 to 1024, received 0"),
        ("[space]\nfilters = {uniform = [1, 2]}", "not fit this setting; use integer or choice"),
        ("[space]\ndropout = {integer = [0, 1]}", "use uniform, log or choice"),
        ("[space]\nfilters = {integer = [16, 8]}", "expects low below high"),
        ("[space]\nfilters = {integer = [16]}", "expects [low, high]"),
        ("[space]\nfilters = {integer = [8, 16], step = 0}", "step expects a whole number"),
        ("[space]\nfilters = {integer = [8, 16], stp = 2}", "did you mean 'step'?"),
        ("[space]\ndropout = {log = [0, 0.5]}", "log expects bounds above 0"),
        ("[space]\ndropout = {uniform = [0, 2]}", "from 0.0 to 0.95, received 2.0"),
        ("[space]\nhead = {choice = ['gap'], when = {head = 'gap'}}", "cannot depend on itself"),
        ("[space]\nhead = {choice = ['gap'], when = {hed = 'gap'}}", "did you mean 'head'?"),
        ("[space]\nhead = {choice = ['gap'], when = 5}", "expected {name = value}"),
        ("[space]\nhead = {choice = ['gap'], when = {filters = []}}", "at least one value"),
        (
            "[space]\nhead = {choice = ['gap'], when = {filters = 8}}\nfilters = {choice = [8]}",
            "line 2: space.head.when.filters: filters stands later in [space]; move it above head",
        ),
        (
            "[space]\nfilters = {choice = [8]}\nhead = {choice = ['gap'], when = {filters = 9}}",
            "never takes 9; its domain is {'choice': [8]}",
        ),
        (
            "[model]\nfilters = 8\n[space]\nfilters = {choice = [8]}",
            "line 4: space.filters: also fixed as model.filters (line 2); keep one of the two",
        ),
        (
            "[search]\nalgorithm = 'grid'\n[space]\ndropout = {uniform = [0, 0.5]}",
            "a grid search needs a number of values, such as steps = 5",
        ),
        ("[space]\nbase = {choice = ['vgg16']}", "only family 'transfer' uses it"),
        (
            "[model]\nnum_blocks = 8\n[space]\nconv_stride = {choice = [4, 8]}",
            "no configuration of the space fits the image",
        ),
    ],
)  # fmt: skip
def test_a_wrong_spec_is_told_what_was_expected(written: Any, text: str, sentence: str) -> None:
    found = problems(written, text)
    assert any(sentence in problem for problem in found), found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"a = ", "not valid TOML"), (b"a = 1\na = 2", "not valid TOML"), (b"\xff", "UTF-8")],
)
def test_a_file_that_is_no_toml_is_a_problem_of_its_own(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        load_spec(path)


@pytest.mark.parametrize("name", ["quikstart", "missing.toml", "."])
def test_a_spec_that_is_not_there_lists_what_is(name: str) -> None:
    with pytest.raises(UsageError, match="quickstart") as caught:
        load_spec(name)
    assert caught.value.exit_code == 2
    assert repr(name) in caught.value.message


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


def test_the_same_numbers_written_in_two_ways_are_one_choice(written: Any) -> None:
    (found,) = problems(written, "[space]\nfilters_per_block = {choice = [[8, 16], '8,16']}")
    assert "lists a value twice" in found


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


def test_a_secret_never_reaches_a_stored_spec(written: Any) -> None:
    found = problems(written, "", data="s3://user:hunter2@bucket/prefix")
    assert not any("hunter2" in problem for problem in found)


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_a_scheduler_of_ray_needs_the_ray_engine(written: Any, scheduler: str) -> None:
    spec = written(f"[search]\nscheduler = '{scheduler}'")
    check_engine(spec, "ray")
    with pytest.raises(UsageError, match=re.escape("--engine inline")):
        check_engine(spec, "inline")
