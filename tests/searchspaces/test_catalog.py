"""The included spaces are listed by their files, with the questions that loading them gives."""

from __future__ import annotations

import pytest

import searchspaces
from searchspaces.catalog import find_question, list_names, read_question
from searchspaces.loading import load_space


@pytest.mark.parametrize("name", ["digits", "svhn_150k", "cartpole_ppo"])
def test_a_question_is_read_without_an_import(name: str) -> None:
    assert name in list_names()
    assert read_question(name) == load_space(name).question != ""


def test_every_space_asks_a_question() -> None:
    assert all("?" in read_question(name) for name in list_names())
    assert find_question(None) == ""
    assert find_question("Which\n  one?\n\nThe details.") == "Which one?"


def test_the_package_has_its_names_and_no_other() -> None:
    assert all(getattr(searchspaces, name) is not None for name in searchspaces.__all__)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = searchspaces.missing
