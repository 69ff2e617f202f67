"""Does a small CNN learn more from the predictions of a larger one than from the labels alone?

Knowledge distillation (Hinton et al., 2015) on CIFAR-10: a student of 0.08 M parameters without a
teacher, and with the teachers ResNet32 (0.47 M) and pre-activation WideResNet14-2 (0.69 M).
Temperature, weight and learning rate are tuned for each with the same number of trials.
`--teacher` names another model as the teacher: a run of `cifar10_depth`, or any other with the
same ten classes.
"""

from searchspaces import Published, SearchSpace, Trial, Values, get_defaults
from searchspaces.loading import load_teacher
from trainables.tasks import distill

TEACHERS = ("none", *distill.TEACHERS)
FIXED = get_defaults(distill.Config, "learning_rate", "temperature", "soft_weight")


def suggest(trial: Trial) -> Values:
    """Search the teacher, the weight and temperature of its predictions, and the learning rate."""
    teacher = trial.suggest_categorical("teacher", TEACHERS)
    rate = trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True)
    if teacher == "none":
        return {"teacher": teacher, "learning_rate": rate}
    return {
        "teacher": teacher,
        "learning_rate": rate,
        "temperature": trial.suggest_float("temperature", 1.0, 16.0, log=True),
        "soft_weight": trial.suggest_float("soft_weight", 0.3, 10.0, log=True),
    }


def publish(setting: str, value: float, teacher: str | None = None) -> Published:
    """Return a published validation accuracy, of a student with this teacher if there is one."""
    return Published(
        setting, value, "validation accuracy", of={"teacher": teacher} if teacher else {}
    )


SPACE = SearchSpace(
    **distill.task(load_teacher),
    suggest=suggest,
    reports=30,
    min_reports=5,
    compare=("teacher",),
    arms=tuple({"teacher": name, **FIXED} for name in TEACHERS),
    tune_arms=10,
    teacher_defaults={"teacher": "custom"},
    published=(
        publish("ResNet32, 0.47 M, a teacher", 0.842),
        publish("WideResNet14-2, 0.69 M, a teacher", 0.85),
        publish("student alone, 0.08 M", 0.769, "none"),
        publish("student from ResNet32", 0.7116, "resnet32"),
        publish("student from WideResNet14-2", 0.8007, "wide_resnet14_2"),
    ),
)
