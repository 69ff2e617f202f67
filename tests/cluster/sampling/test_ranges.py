"""The ranges of parameters, as JSON and in words."""

from __future__ import annotations

import json

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cluster.sampling.ranges import (
    describe_range,
    format_number,
    list_outside_ranges,
    parameter_to_json,
    range_to_json,
)
from searchspaces.parameters import find_parameters
from tests.support.branching_space import BRANCHES


def test_a_value_outside_of_every_range_of_its_field_gives_a_warning() -> None:
    warnings = list(list_outside_ranges(BRANCHES, {"rate": 5.0, "depth": 2, "size": "z"}))
    assert warnings == [
        "rate=5.0 is outside the searched range 0.0001 to 0.01, log scale or 0.01 to 1, log scale"
    ]
    assert not list(list_outside_ranges(BRANCHES, {"rate": 0.5, "momentum": 0.3}))
    assert not list(list_outside_ranges(BRANCHES, {"rate": 1e-3, "optimizer": "sgd"}))
    (warning,) = list_outside_ranges(BRANCHES, {"optimizer": "adagrad"})
    assert warning == "optimizer=adagrad is outside the searched range adamw, sgd"
    (warning,) = list_outside_ranges(BRANCHES, {"momentum": 0.4})  # between two steps
    assert warning == "momentum=0.4 is outside the searched range 0 to 0.9, step 0.3"


def test_ranges_are_described_in_words() -> None:
    assert (
        describe_range(range_to_json(FloatDistribution(1e-4, 0.5, log=True)))
        == "0.0001 to 0.5, log scale"
    )
    assert describe_range(range_to_json(IntDistribution(32, 256, step=32))) == "32 to 256, step 32"
    assert describe_range(range_to_json(IntDistribution(1, 4))) == "1 to 4"
    assert (
        describe_range(range_to_json(CategoricalDistribution(["sgd", None, True])))
        == "sgd, None, True"
    )
    alike = CategoricalDistribution([1, "1", None, "None", 1.5, "1.5", "[1, 2]"])
    assert describe_range(range_to_json(alike)) == '1, "1", None, "None", 1.5, "1.5", [1, 2]'
    assert [format_number(value) for value in (1, "1", None, "None", "x y", "")] == [
        *("1", '"1"', "None", '"None"', "x y", ""),
    ]


def test_numbers_have_four_significant_digits() -> None:
    assert [format_number(v) for v in (0.123456, 1e-5, 32, True, "sgd")] == [
        "0.1235",
        "1e-05",
        "32",
        "True",
        "sgd",
    ]


def test_ranges_are_written_as_json() -> None:
    found = {n: parameter_to_json(p) for n, p in find_parameters(BRANCHES).items()}
    assert found["optimizer"] == {
        **{"type": "categorical", "choices": ["adamw", "sgd"], "field": "optimizer"}
    }
    assert found["rate.sgd"] == {
        "type": "float",
        "low": 0.01,
        "high": 1.0,
        "log": True,
        "step": None,
        "field": "rate",
    }
    assert found["depth"] == {
        "type": "int",
        "low": 1,
        "high": 3,
        "log": False,
        "step": 1,
        "field": "depth",
    }
    assert json.loads(json.dumps(found)) == found
