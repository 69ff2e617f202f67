"""What a search space is: which configurations there are, and how one is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Mode
from trainables.run import Loop, Run

if TYPE_CHECKING:
    import optuna


C = TypeVar("C")


@dataclass(frozen=True)
class Published:
    """A number from a paper or from earlier work, to be put beside ours.

    `of` names the values of the compared hyperparameters that it was measured with: the row of
    the comparison table that it stands in.
    """

    setting: str
    value: float
    metric: str
    note: str = ""
    of: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchSpace(Generic[C]):
    """A question one can search an answer to.

    `reports` is how many reports a full trial makes, `grace` how many it makes before it may be
    stopped, `trials` how many are tried. `compare` names the scientific hyperparameters, the
    rows of the report's table. Every one of `arms` runs `seeds` times; `start` are known
    configurations that run after the default, which is always trial 0. `prepare` makes sure
    that the data are on this machine, and tells the right answers. A space that uses the model
    of `--teacher` (`Run.teacher`, a folder for `trained`) says in `taught` which values come with
    one, often none. `load` fills in `name`, `question` and, for a space given by its path, `file`.
    """

    config: type[C]
    train: Callable[[C, Run], Loop]
    suggest: Callable[[optuna.Trial], Mapping[str, Any]]
    metric: str
    mode: Mode
    reports: int
    min_reports: int = 1
    trials: int = 20
    feasible: Callable[[C], str | None] | None = None
    prepare: Callable[[C, Run], GroundTruth] | None = None
    compare: tuple[str, ...] = ()
    arms: tuple[Mapping[str, Any], ...] = ()
    seeds: int = 3
    initial_configs: tuple[Mapping[str, Any], ...] = ()
    published: tuple[Published, ...] = ()
    restore: Callable[[C, Path], Predictor] | None = None
    teacher_defaults: Mapping[str, Any] | None = None
    resources: Mapping[str, float] = field(default_factory=lambda: {"cpu": 1})
    name: str = ""
    file: str = ""
    question: str = ""
