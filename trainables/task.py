"""What a task hands to a search space: its Config, and the functions that work with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, NotRequired, TypedDict, TypeVar

from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Mode
from trainables.run import Loop, Run

C = TypeVar("C")
TeacherLoader = Callable[[Run], Predictor | None]
"""Loads the model that `--teacher` names; returns None without one."""


class Task(TypedDict, Generic[C]):
    """The arguments of a `SearchSpace` that belong to a task: `SearchSpace(**TASK, ...)`."""

    config: type[C]
    train: Callable[[C, Run], Loop]
    metric: str
    mode: Mode
    feasible: NotRequired[Callable[[C], str | None]]
    prepare: NotRequired[Callable[[C, Run], GroundTruth]]
    restore: NotRequired[Callable[[C, Path], Predictor]]
    reads_data: NotRequired[bool]
