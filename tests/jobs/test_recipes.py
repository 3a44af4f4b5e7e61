"""`cvjobs recipes`: what is built in, and a file to start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cvcore.catalog import recipe_names
from cvcore.config import load_spec
from jobs.cli import main


def test_the_list_names_every_recipe_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert [one["name"] for one in listed] == recipe_names()
    for one in listed:
        figures = {"source", "num_params", "num_trainable_params", "documented", "measured"}
        assert figures <= set(one)
        assert one["summary"]


def test_what_we_measured_stands_beside_the_document_with_its_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    # The weights of VGG16 and ResNet50 were not at hand.
    missing = {one["name"].partition("-")[2] for one in listed if one["measured"] is None}
    assert {name.partition("-")[0] for name in missing} == {"", "vgg16", "resnet50"}
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert "documented: on the document's own images" in shown
    assert "measured:   on 840 castings" in shown


def test_a_space_has_no_single_parameter_count(capsys: pytest.CaptureFixture[str]) -> None:
    main(["recipes", "--json"])
    listed = json.loads(capsys.readouterr().out)["recipes"]
    quickstart = next(one for one in listed if one["name"] == "quickstart")
    assert quickstart["num_params"] is None


@pytest.mark.parametrize("name", recipe_names())
def test_a_printed_recipe_is_a_spec_to_start_from(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", name]) == 0
    copied = tmp_path / "mine.toml"
    copied.write_text(capsys.readouterr().out, encoding="utf-8")
    mine, built_in = load_spec(copied), load_spec(name)
    assert (mine.space, mine.model, mine.search) == (
        built_in.space,
        built_in.model,
        built_in.search,
    )


def test_an_unknown_recipe_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "quikstart"]) == 2
    printed = capsys.readouterr().err
    assert "'quikstart'" in printed
    assert "did you mean 'quickstart'?" in printed
