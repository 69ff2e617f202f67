"""Arms of any hyperparameters: what `--compare` accepts, and the space that it makes."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.sampling.compared import choose_arms, parse_compared
from searchspaces.space import SearchSpace
from trainables.errors import UserError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["momentum"], {"momentum": [False, True]}),
        (["width=1,2,4"], {"width": [1, 2, 4]}),
        (["momentum,width=1,2"], {"momentum": [False, True], "width": [1, 2]}),
        (["width=1,2,momentum=true,false"], {"width": [1, 2], "momentum": [True, False]}),
        (["width=1,2", "momentum"], {"width": [1, 2], "momentum": [False, True]}),
        (["behave=well,early"], {"behave": ["well", "early"]}),  # a field that is not searched
        (["width=2,2,3"], {"width": [2, 3]}),
        ([], {}),
    ],
)
def test_names_and_values_are_read(
    space: SearchSpace[Any], texts: list[str], expected: dict[str, list[Any]]
) -> None:
    assert parse_compared(space, texts) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("momentun", "unknown hyperparameter 'momentun': did you mean momentum"),
        ("width", r"no list of choices for it\n.*--compare width=VALUE,VALUE"),
        ("learning_rate", "no list of choices"),
        ("width=1,wide", "width='wide' is not of type int"),
        ("width=1", "width=1: one value cannot be compared"),
        ("width=1,2,width=3,4", "width is named twice"),
        ("", "unknown hyperparameter ''"),
    ],
)
def test_what_cannot_be_compared_is_named(
    space: SearchSpace[Any], text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        parse_compared(space, [text])


def test_a_value_may_be_a_tuple_or_a_list() -> None:
    @dataclass(frozen=True)
    class Config:
        hidden: tuple[int, ...] | None = None
        groups: list[list[int]] = field(default_factory=list)

    space = SearchSpace(Config, lambda *_: None, lambda trial: {}, "loss", "min", 1)
    found = parse_compared(space, ["hidden=[2,3],none,groups=[[1,2],[3]],[]"])
    assert found == {"hidden": [(2, 3), None], "groups": [[[1, 2], [3]], []]}
    with pytest.raises(UserError, match=r"hidden='\[2' is not of type"):
        parse_compared(space, ["hidden=[2,3"])


def test_all_combinations_are_arms_that_share_the_trials(space: SearchSpace[Any]) -> None:
    compared = choose_arms(space, ["momentum,width=1,2"])
    assert compared.compare == ("momentum", "width")
    assert [dict(arm) for arm in compared.arms] == [
        {"momentum": momentum, "width": width} for momentum in (False, True) for width in (1, 2)
    ]
    assert compared.tune_arms == 2
    assert choose_arms(space, []) is space
