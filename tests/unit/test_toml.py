"""The text side of TOML: literals read back, and lines are where an editor shows them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.toml import key_lines, literal, parse_value

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), inner)
    ),
    max_leaves=8,
)


@given(values)
def test_a_literal_reads_back_equal(value: Any) -> None:
    assert tomllib.loads(f"value = {literal(value)}")["value"] == value


@given(values)
def test_a_literal_typed_after_set_is_that_value(value: Any) -> None:
    assert parse_value(literal(value)) == value


@pytest.mark.parametrize(
    "text", ["", "s3://bucket/prefix", "a b", "2026-01-01", "1\nother = 2", "tru", '"', "[1"]
)
def test_what_is_no_literal_is_text(text: str) -> None:
    assert parse_value(text) == text


def test_keys_are_found_on_the_lines_an_editor_shows() -> None:
    text = """# a comment = 1
name = "x"
data.uri = "y"
[model]
  filters = 8
notes = '''
not_a_key = 1
[not.a.table]
'''
[space."kernel_size"]
choice = [
  3,
]
"""
    assert key_lines(text) == {
        ("name",): 2,
        ("data", "uri"): 3,
        ("model",): 4,
        ("model", "filters"): 5,
        ("model", "notes"): 6,
        ("space", "kernel_size"): 10,
        ("space", "kernel_size", "choice"): 11,
    }
