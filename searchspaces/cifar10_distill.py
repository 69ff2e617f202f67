"""Does a small CNN learn more from what a larger one believes than from the labels alone?

Knowledge distillation (Hinton et al., 2015) on CIFAR-10: a student of 0.08 M parameters by
itself, from ResNet32 (0.47 M) and from a pre-activation WideResNet14-2 (0.69 M). The table's rows
differ in the teacher alone; trials beyond them search temperature, weight and learning rate.
`--teacher` gives another model as the teacher: a run of `cifar10_depth`, or any other that knows
the ten classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from searchspaces.loading import load_trained
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.tasks import distill
from trainables.tasks.distill import Config, restore

if TYPE_CHECKING:
    import optuna

SETTING = {
    name: getattr(Config(), name) for name in ("learning_rate", "temperature", "soft_weight")
}


def given(run: Run) -> Predictor | None:
    """Load the model that --teacher names."""
    return load_trained(run.teacher) if run.teacher else None


def train(config: Config, run: Run) -> Loop:
    """Train one student."""
    yield from distill.train(config, run, given(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch CIFAR-10, and see whether the teacher fits it."""
    return distill.prepare(config, run, given(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the teacher, how much to learn from it, and the learning rate."""
    teacher = trial.suggest_categorical("teacher", ["none", "resnet32", "wide_resnet14_2"])
    rate = trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True)
    if teacher == "none":
        return {"teacher": teacher, "learning_rate": rate}
    return {
        "teacher": teacher,
        "learning_rate": rate,
        "temperature": trial.suggest_float("temperature", 1.0, 16.0, log=True),
        "soft_weight": trial.suggest_float("soft_weight", 0.3, 10.0, log=True),
    }


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=30,
    min_reports=5,
    prepare=prepare,
    restore=restore,
    compare=("teacher",),
    arms=tuple({"teacher": name, **SETTING} for name in ("none", "resnet32", "wide_resnet14_2")),
    teacher_defaults={"teacher": "given"},
    published=(
        Published("ResNet32, 0.47 M, a teacher", 0.842, "validation accuracy"),
        Published("WideResNet14-2, 0.69 M, a teacher", 0.85, "validation accuracy"),
        Published("student alone, 0.08 M", 0.769, "validation accuracy", of={"teacher": "none"}),
        Published(
            "student from ResNet32", 0.7116, "validation accuracy", of={"teacher": "resnet32"}
        ),
        Published(
            "student from WideResNet14-2",
            0.8007,
            "validation accuracy",
            of={"teacher": "wide_resnet14_2"},
        ),
    ),
)
