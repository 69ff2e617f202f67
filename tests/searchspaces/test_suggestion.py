"""`suggest` runs with a replacement of Optuna's trial."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from searchspaces.suggestion import run_suggest
from tests.support.branching_space import BRANCHES


def test_every_parameter_is_passed_on_with_its_range() -> None:
    asked: dict[str, Any] = {}

    def answer(name: str, distribution: Any) -> Any:
        asked[name] = distribution
        return {"optimizer": "sgd", "rate.sgd": 0.5, "momentum": 0.3, "depth": 2}[name]

    assert run_suggest(BRANCHES, answer) == {
        **{"optimizer": "sgd", "rate": 0.5, "depth": 2, "momentum": 0.3}
    }
    assert asked == {
        "optimizer": CategoricalDistribution(["adamw", "sgd"]),
        "rate.sgd": FloatDistribution(1e-2, 1.0, log=True),
        "depth": IntDistribution(1, 3),
        "momentum": FloatDistribution(0.0, 0.9, step=0.3),
    }
