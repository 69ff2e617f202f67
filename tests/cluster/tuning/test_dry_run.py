import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from rich.console import Console

from cluster.tuning.dry_run import describe_range, expected_reports, print_dry_run
from searchspaces.space import SearchSpace
from trainables.data.source import DataMissingError
from trainables.errors import UserError
from trainables.run import Loop, Run


@pytest.fixture
def shown(space: SearchSpace[Any]) -> Callable[..., str]:
    def run(
        fixed: dict[str, Any] | None = None,
        scheduler: str = "asha",
        reports: int = 9,
        **changes: Any,
    ) -> str:
        out = io.StringIO()
        console = Console(file=out, width=150)
        asked = replace(space, **changes)
        print_dry_run(
            asked, fixed or {}, Run(reports=reports, metric="loss"), 9, scheduler, console
        )
        return out.getvalue()

    return run


def test_a_dry_run_tells_model_space_plan_and_cost(shown: Callable[..., str]) -> None:
    said = shown({"width": 4})
    assert "Linear" in said
    assert "5 parameters" in said
    assert "0.001 to 0.4, log scale" in said
    assert "False, True" in said
    assert "fixed" in said
    assert "9 trials of 9 reports = 81 at the most" in said
    assert "ASHA compares at reports 1, 3" in said
    assert "device-hours for 9 trials" in said


def test_a_dry_run_without_data_tells_all_but_the_cost(shown: Callable[..., str]) -> None:
    def missing(config: Any, run: Run) -> None:
        assert not run.download
        raise DataMissingError("no digits in /data")

    said = shown(prepare=missing, scheduler="none")
    assert "3 parameters" in said
    assert "cost unknown: data missing" in said
    assert "no digits in /data" in said
    assert "ASHA" not in said


def test_a_dry_run_tells_what_else_a_search_would_lack(shown: Callable[..., str]) -> None:
    """Data are there, so the cost is known; it took no weights to time it."""

    def missing(config: Any, run: Run) -> None:
        raise UserError("the weights of resnet18 cannot be had\ngive --weights-dir")

    said = shown(prepare=missing)
    assert "device-hours for 9 trials" in said
    assert "is refused: the weights of resnet18 cannot be had\n" in said
    assert "cost unknown" not in said


def test_without_what_even_a_probe_needs_the_cost_is_unknown(
    shown: Callable[..., str], space: SearchSpace[Any]
) -> None:
    def missing(config: Any, run: Run) -> None:
        if run.source == "real":
            raise UserError("no such encoder")

    def train(config: Any, run: Run) -> Loop:
        missing(config, run)
        yield from space.train(config, run)

    said = shown(prepare=missing, train=train)
    assert "cost unknown: (no such encoder)" in said
    assert "data missing" not in said


def test_of_a_single_report_there_is_nothing_to_compare_early(shown: Callable[..., str]) -> None:
    assert "ASHA" not in shown(reports=1)


def test_likely_reports(space: SearchSpace[Any]) -> None:
    assert expected_reports(space, 9, 9, "none") == 81
    assert expected_reports(space, 9, 9, "asha") == 9 * 1 + 3 * 2 + 1 * 6
    assert expected_reports(space, 9, 1, "asha") == 9


def test_ranges_are_written_as_people_do() -> None:
    assert describe_range(FloatDistribution(1e-4, 0.5, log=True)) == "0.0001 to 0.5, log scale"
    assert describe_range(IntDistribution(32, 256, step=32)) == "32 to 256, step 32"
    assert describe_range(IntDistribution(1, 4)) == "1 to 4"
    assert describe_range(CategoricalDistribution(["sgd", None, True])) == "sgd, None, True"
