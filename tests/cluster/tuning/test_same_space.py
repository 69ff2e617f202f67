"""A search is continued with the space that it was started with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cluster.ledger.settings import SearchSettings
from cluster.tuning.same_space import check_same_space, record_space
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from tests.support.paths import TRIVIAL
from trainables.errors import UserError

Change = Callable[..., SearchSpace[Any]]


def settings_of(space: SearchSpace[Any]) -> SearchSettings:
    base = {"space": "trivial", "trials": 4, "reports": 4, "started": 1.0}
    return SearchSettings(**base, **record_space(space, {}))


def test_the_same_space_continues(space: SearchSpace[Any], tmp_path: Path) -> None:
    before = settings_of(space)
    assert check_same_space(tmp_path, before, space, changed_code=False) == before


@pytest.mark.parametrize("changed_code", [False, True])
def test_another_metric_mode_or_config_is_rejected(
    space: SearchSpace[Any], tmp_path: Path, changed_code: bool
) -> None:
    @dataclass(frozen=True)
    class Config:
        learning_rate: float = 0.1
        width: float = 2.0
        other: int = 1

    def suggest(trial: Any) -> dict[str, Any]:
        return {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.4)}

    before = settings_of(space)
    for change, words in (
        ({"metric": "accuracy"}, "metric 'loss', its space now has 'accuracy'"),
        ({"mode": "max"}, "mode 'min', its space now has 'max'"),
        (
            {"config": Config, "suggest": suggest},
            r"momentum: bool there, no field now(.|\n)*other: no field there, int now(.|\n)*"
            r"width: int there, float now",
        ),
    ):
        with pytest.raises(UserError, match=words) as error:
            check_same_space(tmp_path, before, replace(space, **change), changed_code)
        assert "--fresh" in str(error.value)


def test_changed_code_is_named_and_needs_the_option(tmp_path: Path) -> None:
    path = tmp_path / "trivial.py"
    path.write_text(TRIVIAL.read_text())
    before = settings_of(load_space(str(path)))
    path.write_text(
        TRIVIAL.read_text().replace('suggest_int("width", 1, 4)', 'suggest_int("width", 1, 9)')
    )
    space = load_space(str(path))
    with pytest.raises(
        UserError,
        match=r"1970-01-01(.|\n)*trivial.py: has changed(.|\n)*width(.|\n)*--changed-code",
    ):
        check_same_space(tmp_path, before, space, changed_code=False)
    after = check_same_space(tmp_path, before, space, changed_code=True)
    assert after.parameters["width"]["high"] == 9
    assert after.code != before.code
    assert check_same_space(tmp_path, after, space, changed_code=False) == after
