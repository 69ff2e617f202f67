"""Stratified parts, copies and groups that stay together, and classes that are too small."""

from __future__ import annotations

import re

import numpy as np
import pytest

from trainables.data.splitting import (
    EXCLUDED,
    Example,
    check_known_classes,
    describe_class_sizes,
    group_examples,
    split_stratified,
)
from trainables.errors import UserError


def test_split_stratified_is_even_and_reproducible() -> None:
    labels = np.array([0] * 1000 + [1] * 100 + [2] * 2 + [3])
    train, drawn = split_stratified(labels, 0.1, 0)
    assert np.bincount(labels[drawn], minlength=4).tolist() == [100, 10, 1, 0]
    assert np.array_equal(np.sort(np.concatenate([train, drawn])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(drawn) > 0).all()
    assert np.array_equal(split_stratified(labels, 0.1, 0)[1], drawn)
    assert not np.array_equal(split_stratified(labels, 0.1, 1)[1], drawn)
    for fraction in (0.0, 1.0, -0.1):
        with pytest.raises(UserError, match=str(fraction)):
            split_stratified(labels, fraction, 0)


def test_groups_are_drawn_as_a_whole() -> None:
    groups = np.repeat(np.arange(20), 5)
    labels = np.repeat([0, 1], 50)
    rest, drawn = split_stratified(labels, 0.2, 0, groups)
    assert not set(groups[rest]) & set(groups[drawn])
    assert np.bincount(labels[drawn]).tolist() == [10, 10]
    # A group that is larger than the fraction is not drawn where a smaller one is.
    uneven = np.array([0] * 50 + [1, 2, 3])
    assert split_stratified(np.zeros(53, int), 0.04, 0, uneven)[1].min() >= 50
    # Two large groups: one of them is drawn, not none.
    halves = np.repeat([0, 1], 10)
    assert len(split_stratified(np.zeros(20, int), 0.1, 0, halves)[1]) == 10


def test_rows_without_groups_are_drawn_like_groups_of_one() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 100)
    for one, other in zip(
        split_stratified(labels, 0.3, 4),
        split_stratified(labels, 0.3, 4, np.arange(100) + 7),
        strict=True,
    ):
        assert np.array_equal(one, other)


def _examples(digests: str, groups: str = "", label: int = 0) -> list[Example]:
    return [
        Example(f"{label}/{i}", label, digest, group.strip())
        for i, (digest, group) in enumerate(zip(digests, groups.ljust(len(digests)), strict=True))
    ]


def test_copies_and_groups_are_joined() -> None:
    groups, lines = group_examples("pets", {"train": _examples("abcaed", " x   x")})
    assert groups["train"].tolist() == [0, 1, 2, 0, 4, 1]
    assert lines == [
        "copies: 1 of 1 examples; they stay in one part",
        "groups: 1, each in one part",
    ]
    # A copy joins two groups.
    assert group_examples("pets", {"train": _examples("aa", "xy")})[0]["train"].tolist() == [0, 0]
    assert group_examples("pets", {"train": _examples("ab")})[1] == []


def test_copies_of_held_out_examples_are_left_out_of_train() -> None:
    parts = {
        "train": _examples("abcd"),
        "validation": _examples("xay", label=1),
        "test": _examples("bzx"),
    }
    groups, lines = group_examples("pets", parts)
    assert (groups["train"] == EXCLUDED).tolist() == [True, True, False, False]
    assert (groups["validation"] >= 0).all() and (groups["test"] >= 0).all()
    assert "left out of train: 2 that are in validation or test, too" in lines
    assert "WARNING: 1 are in validation and in test" in lines
    assert "WARNING: equal but of different classes: 2 (0/0 = 1/1, ...)" in lines


def test_a_group_in_two_parts_is_rejected() -> None:
    parts = {"train": _examples("ab", "xy"), "test": _examples("c", "x")}
    with pytest.raises(UserError, match="1 groups are in more than one part: x\\n"):
        group_examples("pets", parts)


def test_a_class_needs_an_example_for_each_part_that_is_drawn() -> None:
    classes = ("cat", "<b>x|日本 #1")
    first = _examples("abcdef")
    for digests, parts, is_enough in (
        ("klm", ("train",), True),
        ("kkl", ("train",), False),
        ("kl", ("train", "test"), True),
        ("k", ("train", "test"), False),
        ("k", ("train", "validation", "test"), True),
    ):
        examples = {part: [*first, *_examples(digests, label=1)] for part in parts[:1]}
        examples |= {part: [] for part in parts[1:]}
        groups = group_examples("pets", examples)[0]
        unfit = describe_class_sizes("pets", classes, examples, groups, ["add some"])
        expected = "" if is_enough else r"pets: .*\n  <b>x\|日本 #1: [12].*\nadd some"
        assert re.fullmatch(expected, unfit)
    groups = group_examples("pets", {"train": first})[0]
    unfit = describe_class_sizes("pets", classes[:1], {"train": first}, groups, [])
    assert unfit == "pets: 1 class (cat), at least 2 are needed"
    assert not describe_class_sizes(
        "pets", classes, {"train": first}, groups, [], allow_empty=True
    )


def test_every_part_has_the_classes_of_train() -> None:
    check_known_classes("pets", ["a", "b"], {"test": ["b"]})
    with pytest.raises(UserError, match="test has classes that train does not have: Cat\\n"):
        check_known_classes("pets", ["cat", "dog"], {"test": ["Cat", "dog"]})
