"""What a dry run prints: model, space, plan and cost."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from torch import nn

from cluster.options import Options
from cluster.tuning.dry_run import list_modules, print_dry_run
from searchspaces.space import SearchSpace
from trainables.data.source import DataMissingError
from trainables.errors import TaskError, UserError
from trainables.run import Loop, Run


@pytest.fixture
def dry_run(space: SearchSpace[Any]) -> Callable[..., str]:
    """Return a function that returns what a dry run of the trivial space prints."""

    def run(
        fixed: dict[str, Any] | None = None,
        scheduler: str = "asha",
        reports: int = 9,
        **changes: Any,
    ) -> str:
        out = io.StringIO()
        console = Console(file=out, width=150)
        options = Options(trials=9, reports=reports, scheduler=scheduler, fixed=fixed or {})
        run = Run(reports, metric="loss", mode="min")
        print_dry_run(replace(space, **changes), run, options, console)
        return out.getvalue()

    return run


def test_a_dry_run_prints_model_space_plan_and_cost(dry_run: Callable[..., str]) -> None:
    text = dry_run({"width": 4})
    assert "Linear" in text
    assert "5 parameters" in text
    assert "0.001 to 0.4, log scale" in text
    assert "False, True" in text
    assert "fixed" in text
    assert "9 trials of 9 reports = at most 81" in text
    assert "ASHA compares at reports 1, 3" in text
    assert "device-hours for 9 trials" in text


def test_without_data_only_the_cost_is_unknown(dry_run: Callable[..., str]) -> None:
    def missing(config: Any, run: Run) -> None:
        assert not run.download
        raise DataMissingError("no digits in /data")

    text = dry_run(prepare=missing, scheduler="none")
    assert "3 parameters" in text
    assert "cost unknown: data missing" in text
    assert "no digits in /data" in text
    assert "ASHA" not in text


def test_missing_weights_are_named_beside_the_cost(dry_run: Callable[..., str]) -> None:
    """Data exist, so the cost is known: the timing needs no weights."""

    def missing(config: Any, run: Run) -> None:
        raise UserError("the weights of resnet18 are not available\ngive --weights-dir")

    text = dry_run(prepare=missing)
    assert "device-hours for 9 trials" in text
    assert "is rejected: the weights of resnet18 are not available\n" in text
    assert "cost unknown" not in text


def test_without_files_that_the_timing_needs_the_cost_is_unknown(
    dry_run: Callable[..., str], space: SearchSpace[Any]
) -> None:
    def missing(config: Any, run: Run) -> None:
        if run.source == "real":
            raise UserError("no such encoder")

    def train(config: Any, run: Run) -> Loop:
        missing(config, run)
        yield from space.train(config, run)

    text = dry_run(prepare=missing, train=train)
    assert "cost unknown: (no such encoder)" in text
    assert "data missing" not in text


def test_a_single_report_is_never_compared(dry_run: Callable[..., str]) -> None:
    assert "ASHA" not in dry_run(reports=1)


def test_a_module_with_all_parameters_is_replaced_by_its_submodules() -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list_modules(nn.Sequential(inner)) == [("0.0", "Linear", 9), ("0.2", "Linear", 4)]
    assert list_modules(nn.Sequential(inner, nn.Linear(1, 1))) == [
        ("0", "Sequential", 13),
        ("1", "Linear", 2),
    ]


def test_a_teacher_that_is_trained_first_is_counted(
    dry_run: Callable[..., str], space: SearchSpace[Any]
) -> None:
    def train(config: Any, run: Run) -> Loop:
        run.facts["teacher_reports"] = 30.0
        yield from space.train(config, run)

    assert "plus 30 reports to train the teacher, once per machine" in dry_run(train=train)


def test_what_a_task_yields_is_checked(dry_run: Callable[..., str]) -> None:
    def misnamed(config: Any, run: Run) -> Loop:
        yield {"accuracy": 1.0}

    def silent(config: Any, run: Run) -> Loop:
        yield from ()

    with pytest.raises(TaskError, match=r"lacks the .* 'loss'.*test_dry_run\.py, line"):
        dry_run(train=misnamed)
    with pytest.raises(TaskError, match="without a single report"):
        dry_run(train=silent)
    with pytest.raises(TaskError, match="train returned None"):
        dry_run(train=lambda config, run: None)


def test_the_plan_of_arms_that_are_tuned_counts_their_re_runs(space: SearchSpace[Any]) -> None:
    arms = ({"momentum": False}, {"momentum": True, "learning_rate": 0.2})
    space = replace(space, arms=arms, compare=("momentum",), tune_arms=9)
    out = io.StringIO()
    options, run = Options(reports=9, seeds=5), Run(9, metric="loss", mode="min")
    print_dry_run(space, run, options, Console(file=out, width=200))
    assert (
        "plan: 2 arms of 9 trials, in turns, then the best of each arm on 5 new seeds: 28 runs of "
        "9 reports = at most 252"
    ) in out.getvalue()
    assert "arm momentum=True, from learning_rate=0.2 on" in out.getvalue()
    assert "5 seeds find a difference of two of 2 arms in 80 % of comparisons" in out.getvalue()
    # 9 + 2 x 3 + 6 x 1 reports per arm, and 10 whole runs.
    assert "ASHA compares within each arm at reports 1, 3" in out.getvalue()
    assert f"likely {2 * 21 + 90} reports" in out.getvalue()
