"""Knowledge distillation (Hinton et al., 2015): a small network learns from a larger one.

The larger network, the teacher, is trained once per machine, or is the model of `--teacher`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.checks import check_at_least, check_between, check_non_negative, check_positive
from trainables.data.cifar10 import CIFAR10
from trainables.data.images import ImageData
from trainables.data.load import load_images
from trainables.errors import UserError
from trainables.models.residual import block_cnn, resnet32, wide_resnet14_2
from trainables.predictor import GroundTruth, Predictor
from trainables.pretraining import train_once
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task, TeacherLoader
from trainables.vision.classification import (
    Loss,
    Normalize,
    Recipe,
    build_ground_truth,
    restore_classifier,
    train_classifier,
)

TEACHERS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {"resnet32": resnet32, "wide_resnet14_2": wide_resnet14_2}
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; learning rates are peak values, a report is an epoch.

    `soft_weight` weighs the divergence from the teacher, `hard_weight` the cross-entropy with the
    labels; without a teacher both have no effect, as has `temperature`. `filters` are the
    channels after the first convolution. Fields that begin with `teacher_` are those of a teacher
    trained here; it has its own seed, so that all students have the same teacher. `custom` is the
    model of --teacher.
    """

    seed: int = 0
    teacher: Literal["none", "resnet32", "wide_resnet14_2", "custom"] = "resnet32"
    temperature: float = 4.0
    soft_weight: float = 0.9
    hard_weight: float = 0.1
    filters: int = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    batch_size: int = 128
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = "one_cycle"
    shift: int = 2
    flip: bool = True
    epochs: int = 1
    teacher_filters: int = 16
    teacher_learning_rate: float = 2e-3
    teacher_epochs: int = 30
    teacher_seed: int = 0

    def __post_init__(self) -> None:
        check_positive(self, "temperature", "learning_rate", "teacher_learning_rate")
        check_non_negative(self, "soft_weight", "hard_weight", "weight_decay")
        if self.soft_weight + self.hard_weight == 0:
            raise ValueError("soft_weight and hard_weight must not both be 0")
        check_at_least(self, 1, "filters", "batch_size", "epochs")
        check_at_least(self, 1, "teacher_filters", "teacher_epochs")
        check_between(self, 0, 31, "shift")


def compute_distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    soft_weight: float,
    hard_weight: float,
) -> Tensor:
    """Return the weighted sum of KL(teacher || student) and cross-entropy with the labels.

    Takes logits (n, classes), which the divergence divides by the temperature; the loss is the
    mean over the batch. The divergence is multiplied by the temperature's square (Hinton et al.,
    section 2): its gradients shrink with that square, and the weights should mean the same at
    every temperature.
    """
    soft = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return soft_weight * temperature**2 * soft + hard_weight * F.cross_entropy(student, labels)


def build_network(config: Config) -> nn.Module:
    """Build the student: 6 layers with skip connections, 0.08 M parameters with 32 filters."""
    return block_cnn(blocks=1, filters=config.filters, skip=True)


def train(load_teacher: TeacherLoader, config: Config, run: Run) -> Loop:
    """Train a student, after its teacher if that is trained here and is not in the cache."""
    predictor = load_teacher(run)
    check_teacher(config, predictor)
    data = load_images(CIFAR10, run)
    loss = None
    if config.teacher != "none":
        teacher = predictor.network if predictor else _train_teacher(config, run, data)
        assert teacher is not None
        loss = _make_loss(config, teacher.to(run.device).eval())
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), data, loss)


def prepare(load_teacher: TeacherLoader, config: Config, run: Run) -> GroundTruth:
    """Load CIFAR-10; raises UserError if the model of --teacher cannot be a teacher."""
    check_teacher(config, load_teacher(run))
    return build_ground_truth(load_images(CIFAR10, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained student: (n, 3, 32, 32) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), CIFAR10.shape, CIFAR10.classes, folder)


def task(load_teacher: TeacherLoader) -> Task[Config]:
    """Return the task of distillation from the teacher that `load_teacher` loads, if any."""
    return Task(
        config=Config,
        train=partial(train, load_teacher),
        metric="validation_accuracy",
        mode="max",
        prepare=partial(prepare, load_teacher),
        restore=restore,
    )


def check_teacher(config: Config, predictor: Predictor | None) -> None:
    """Raise UserError for a teacher that is missing, not asked for, or of other data."""
    if (config.teacher == "custom") != (predictor is not None):
        raise UserError(
            f"teacher={config.teacher} does not use the model of --teacher: set teacher=custom"
            if predictor
            else "teacher=custom needs a model: --teacher"
        )
    if predictor is None:
        return
    if predictor.network is None:
        raise UserError("the model of --teacher has no logits, which a teacher needs")
    if predictor.classes != CIFAR10.classes:
        raise UserError(
            f"the model of --teacher has the classes {', '.join(predictor.classes)}\n"
            f"a teacher must have {', '.join(CIFAR10.classes)}"
        )
    if predictor.example.shape[1:] != CIFAR10.shape:
        raise UserError(
            f"the model of --teacher takes images of shape {predictor.example.shape[1:]}, "
            f"not {CIFAR10.shape}"
        )


def _make_loss(config: Config, teacher: nn.Module) -> Loss:
    def loss(pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        # The teacher gets the same augmented images as the student.
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=logits.is_cuda):
            teacher_logits = teacher(pixels)
        return compute_distillation_loss(
            logits,
            teacher_logits.float(),
            labels,
            temperature=config.temperature,
            soft_weight=config.soft_weight,
            hard_weight=config.hard_weight,
        )

    return loss


def _train_teacher(config: Config, run: Run, data: ImageData) -> nn.Module:
    recipe = Recipe(
        seed=config.teacher_seed,
        batch_size=128,
        optimizer="adam",
        learning_rate=config.teacher_learning_rate,
        shift=2,
        flip=True,
    )

    def build() -> nn.Module:
        seed_everything(recipe.seed)
        return TEACHERS[config.teacher](config.teacher_filters)

    folder = train_once(
        config.teacher,
        {
            **{"data": data.fingerprint, "filters": config.teacher_filters},
            "recipe": asdict(recipe),
        },
        run,
        lambda teacher_run: train_classifier(recipe, teacher_run, build(), data),
        reports=config.teacher_epochs,
    )
    teacher = nn.Sequential(Normalize(torch.zeros(3), torch.ones(3)), build())
    if folder is None:
        return teacher
    if saved := checkpoint.read(folder):
        run.facts["teacher_accuracy"] = saved[0]["score"]
    return checkpoint.load_module(teacher, folder)
