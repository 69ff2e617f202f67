"""The stored ranges of a search, and the values of trials in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.read.records import read_search
from reports.read.space import (
    Parameter,
    find_any_value,
    find_value,
    merge_branches,
    read_space,
)
from tests.support.make_search import make_trial

RATES = {"type": "float", "log": True, "step": None}
WRITTEN = {
    "learning_rate.adamw": {**RATES, "low": 1e-3, "high": 1e-1},
    "learning_rate.sgd": {**RATES, "low": 1e-2, "high": 1.0},
    "optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]},
    "width": {"type": "int", "low": 32, "high": 96, "log": False, "step": 32},
    "frozen": {"type": "float", "low": 0.5, "high": 0.5, "log": False, "step": None},
}


@pytest.fixture
def space(
    client: MlflowClient,
    write_search: Callable[..., str],
    some_trials: list[dict[str, Any]],
    tmp_path: Path,
) -> tuple[Parameter, ...]:
    parent = write_search(some_trials[:2])
    (tmp_path / "search.json").write_text(json.dumps({"parameters": WRITTEN, "other": 1}))
    client.log_artifact(parent, str(tmp_path / "search.json"))
    return read_space(client, read_search(client, "digits"))


def test_compared_parameters_are_first_and_constant_ones_left_out(
    space: tuple[Parameter, ...],
) -> None:
    names = ["optimizer", "learning_rate.adamw", "learning_rate.sgd", "width"]
    assert [p.name for p in space] == names
    assert space[1].log
    assert space[3] == Parameter("width", 32, 96, False, True, 32)


def test_a_conditional_value_counts_only_in_its_branch(space: tuple[Parameter, ...]) -> None:
    _, adamw, sgd, width = space
    tried = make_trial(1, params={"optimizer": "sgd", "learning_rate": 0.05, "width": 64})
    assert find_value(space, adamw, tried) is None  # although 0.05 lies in its range
    assert find_value(space, sgd, tried) == 0.05
    assert find_value(space, width, tried) == 64
    outside = make_trial(2, params={"optimizer": "sgd", "learning_rate": 5.0})
    assert find_value(space, sgd, outside) is None
    assert find_value(space, width, outside) is None


def test_positions_are_in_the_scale_of_the_range(space: tuple[Parameter, ...]) -> None:
    optimizer, adamw, _, width = space
    assert adamw.find_position(1e-2) == pytest.approx(0.5)
    assert width.find_position(64) == pytest.approx(0.5)
    assert optimizer.find_position("sgd") == 1


def test_branches_are_merged_per_field(space: tuple[Parameter, ...]) -> None:
    rate = merge_branches(space)[1]
    assert (rate.name, rate.low, rate.high, rate.log) == ("learning_rate", 1e-3, 1.0, True)


def test_ranges_that_are_not_stored_are_inferred(
    client: MlflowClient, write_search: Callable[..., str], some_trials: list[dict[str, Any]]
) -> None:
    write_search(some_trials)
    guessed = read_space(client, read_search(client, "digits"))
    assert not any(p.declared for p in guessed)
    assert [(p.name, p.choices) for p in guessed] == [
        ("optimizer", ("adamw", "sgd")),
        ("learning_rate", ()),
        ("width", ()),
    ]
    assert (guessed[2].low, guessed[2].high) == (32, 96)


def read_with(
    ranges: dict[str, Any],
    tried: list[dict[str, Any]],
    client: MlflowClient,
    write_search: Callable[..., str],
    tmp_path: Path,
) -> tuple[Parameter, ...]:
    trials = [{"number": n, "outcome": "complete", "params": of} for n, of in enumerate(tried)]
    parent = write_search(trials, {"compare": "[]"})
    (tmp_path / "search.json").write_text(json.dumps({"parameters": ranges}))
    client.log_artifact(parent, str(tmp_path / "search.json"))
    return read_space(client, read_search(client, "digits"))


def test_a_range_that_depends_on_another_parameter_covers_what_was_suggested(
    client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    ranges = {"width": {**WRITTEN["width"], "low": 16, "high": 16, "step": 4, "field": "width"}}
    tried = [{"width": 1000}, {"width": 16}, {"width": 4}, {"width": 64}]  # 1000: the default
    (width,) = read_with(ranges, tried, client, write_search, tmp_path)
    assert (width.low, width.high, width.varies, width.is_checked) == (4, 64, True, False)
    outside = make_trial(0, params=tried[0])
    assert find_value((width,), width, outside) is None
    assert find_any_value((width,), width, outside) == 1000


def test_choices_are_found_as_they_are_written_and_later_ones_are_added(
    client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    choices = ["64", None, True, 3, "[3, 5]", "plain", 0.1]
    ranges = {"kind": {"type": "categorical", "choices": choices, "field": "kind"}}
    texts = ['"64"', "None", "True", "3", "[3, 5]", "plain", "0.1", "added later"]
    tried = [{"kind": text} for text in texts]
    (kind,) = read_with(ranges, tried, client, write_search, tmp_path)
    assert kind.choices == tuple(texts)
    assert [find_value((kind,), kind, make_trial(0, params=of)) for of in tried] == texts


def test_a_parameter_that_is_no_field_is_shown_where_its_values_are_recorded(
    client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    exponent = {"type": "int", "low": 4, "high": 8, "log": False, "step": 1, "field": None}
    tried = [{"batch": 2**n, "suggested.log2.batch": n} for n in (4, 5, 8)]
    (shown,) = read_with({"log2.batch": exponent}, tried, client, write_search, tmp_path)
    assert (shown.name, shown.field, shown.branch) == ("log2.batch", "log2.batch", "")
    trial = make_trial(0, params={"batch": 32}, suggested={"log2.batch": 5})
    assert find_value((shown,), shown, trial) == 5


def test_derived_fields_are_shown_where_the_parameters_are_not_recorded(
    client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    exponent = {"type": "int", "low": 4, "high": 8, "log": False, "step": 1, "field": None}
    tried = [{"batch": 2**n, "seed": n} for n in (4, 5, 8)]
    (shown,) = read_with({"log2_batch": exponent}, tried, client, write_search, tmp_path)
    assert (shown.name, shown.low, shown.high, shown.declared) == ("batch", 16, 256, False)
