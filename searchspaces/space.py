"""What a search space is: which configurations there are, and how one is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Mode
from trainables.run import Run

if TYPE_CHECKING:
    import optuna

    Trial = optuna.Trial
else:
    Trial = Any  # one configuration trains where Optuna is not installed

C = TypeVar("C")
Values = Mapping[str, Any]
"""Values of hyperparameters by name."""


@dataclass(frozen=True)
class Published:
    """A number from a paper or an earlier work, shown beside the measured ones.

    `of` names the values of the compared hyperparameters that it was measured with, which
    determine its row in the comparison table.
    """

    setting: str
    value: float
    metric: str
    note: str = ""
    of: Values = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedOrder:
    """An order that was published without numbers: these values were better than those.

    The report says whether the rows with these values have the same order here.
    """

    better: Values
    worse: Values
    note: str = ""


@dataclass(frozen=True)
class SearchSpace(Generic[C]):
    """A question, and what a search needs to answer it.

    What is trained (a task offers these as `**TASK`):
        config: a frozen dataclass of hyperparameters with defaults; checks its values.
        train: trains a configuration; a generator that yields the metrics of each report, or a
            function that calls `run.report` with them.
        metric, mode: the objective, "max" or "min".
        feasible: returns why a configuration is infeasible, or None.
        prepare: downloads what training needs; returns the targets for the report.
        restore: loads a trained model from the folder of a checkpoint.
        reads_data: False where the data come with a library, so that --data-dir is rejected.

    How it is searched:
        suggest: suggests values for a trial; what it leaves out keeps its default.
        reports: reports of a full trial; a report is the unit of budget.
        min_reports: reports before a trial may be stopped early.
        trials: number of trials.
        initial_configs: configurations that run first, after the default, which is trial 0.
        arms: configurations to compare; each runs `seeds` times.
        tune_arms: trials per arm, 0 for arms that leave nothing to tune. With more, each arm fixes
            the compared hyperparameters only, is searched by itself from the arm's configuration
            on, and its best configuration runs on `seeds` new seeds.
        seeds: seeds per arm.
        resources: CPUs and GPUs per trial.
        pinned: hyperparameters whose default depends on the machine. A search fixes them, as
            `--set` does, so that it keeps their values on whatever machine it continues.
        teacher_defaults: values that change with `--teacher`; None: no teacher is used.

    What the report shows:
        compare: hyperparameters whose values are the rows of the comparison table.
        published: numbers and orders to compare with.

    `load_space` sets `name`, `question` (the first paragraph of the file's docstring) and, for a
    file of the user, `file`. A space that Python code hands over has `by_value`: it is sent to
    workers itself, because no file would load it there.
    """

    config: type[C]
    train: Callable[[C, Run], Any]
    suggest: Callable[[Trial], Values]
    metric: str
    mode: Mode
    reports: int
    min_reports: int = 1
    trials: int = 20
    feasible: Callable[[C], str | None] | None = None
    prepare: Callable[[C, Run], GroundTruth] | None = None
    compare: tuple[str, ...] = ()
    arms: tuple[Values, ...] = ()
    tune_arms: int = 0
    seeds: int = 3
    initial_configs: tuple[Values, ...] = ()
    pinned: tuple[str, ...] = ()
    published: tuple[Published | PublishedOrder, ...] = ()
    restore: Callable[[C, Path], Predictor] | None = None
    reads_data: bool = True
    teacher_defaults: Values | None = None
    resources: Mapping[str, float] = field(default_factory=lambda: {"cpu": 1})
    name: str = ""
    file: str = ""
    question: str = ""
    by_value: bool = False

    @property
    def reference(self) -> str | SearchSpace[C]:
        """Return what a worker loads the space from: its file, its name, or the space itself."""
        return self if self.by_value else self.file or self.name

    @property
    def title(self) -> str:
        """Return its name and, where it has one, its question."""
        return f"{self.name}: {self.question}" if self.question else self.name

    @property
    def source_file(self) -> str:
        """Return the path of the file that defines the space."""
        return self.file or str(Path(__file__).with_name(f"{self.name}.py"))


def get_defaults(config: type[Any], *names: str) -> dict[str, Any]:
    """Return the default values of some fields of a Config: an arm fixes what it does not vary."""
    return {name: getattr(config(), name) for name in names}


def suggest_learning_rate(
    trial: Trial, name: str, rates: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """Suggest a value of `name` and, log-uniformly, a learning rate from the range of that value.

    Each value has its own distribution, `learning_rate.VALUE`: good rates of SGD are not good for
    Adam.
    """
    value = trial.suggest_categorical(name, list(rates))
    low, high = rates[value]
    rate = trial.suggest_float(f"learning_rate.{value}", low, high, log=True)
    return {name: value, "learning_rate": rate}
