"""What the spec reader refuses: all of it named at once, each with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cvcore.config import check_engine, load_spec
from cvcore.errors import ConfigError, UsageError


def problems(written: Any, text: str, **flags: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        written(text, **flags)
    return caught.value.problems


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


def test_the_same_numbers_written_in_two_ways_are_one_choice(written: Any) -> None:
    (found,) = problems(written, "[space]\nfilters_per_block = {choice = [[8, 16], '8,16']}")
    assert "lists a value twice" in found


def test_a_secret_never_reaches_a_stored_spec(written: Any) -> None:
    found = problems(written, "", data="s3://user:hunter2@bucket/prefix")
    assert not any("hunter2" in problem for problem in found)


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_a_scheduler_of_ray_needs_the_ray_engine(written: Any, scheduler: str) -> None:
    spec = written(f"[search]\nscheduler = '{scheduler}'")
    check_engine(spec, "ray")
    with pytest.raises(UsageError, match=re.escape("--engine inline")):
        check_engine(spec, "inline")
