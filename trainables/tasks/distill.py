"""Knowledge distillation (Hinton et al., 2015): a small net learns what a larger one believes.

The larger one is trained once per machine by a recipe of its own, or given with `--teacher`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data.cifar10 import CIFAR10
from trainables.data.images import ImageData, load
from trainables.errors import UserError
from trainables.models.residual import block_cnn, resnet32, wide_resnet14_2
from trainables.predictor import GroundTruth, Predictor
from trainables.pretraining import trained_once
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import Loss, Normalise, Recipe, classify, restored, truth

TEACHERS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {"resnet32": resnet32, "wide_resnet14_2": wide_resnet14_2}
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; learning rates are peak values, an epoch is a report.

    `soft_weight` and `hard_weight` weigh the teacher's beliefs and the labels; without a teacher
    both are idle, as is `temperature`. `filters` are channels after the first convolution. The
    `teacher_` fields are those of a teacher trained here; its seed is not the student's, so that
    all students learn from one.
    """

    seed: int = 0
    teacher: Literal["none", "resnet32", "wide_resnet14_2", "given"] = "resnet32"
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
        for name in ("temperature", "learning_rate", "teacher_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("soft_weight", "hard_weight", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")
        if self.soft_weight + self.hard_weight == 0:
            raise ValueError("soft_weight and hard_weight are both 0: there is nothing to learn")
        for name in ("filters", "batch_size", "epochs", "teacher_filters", "teacher_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.shift < 32:
            raise ValueError(f"shift must be in [0, 32) pixels, not {self.shift}")


def distillation(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    soft_weight: float,
    hard_weight: float,
) -> Tensor:
    """Weigh KL(teacher || student), of logits over the temperature, and cross-entropy.

    Takes logits (n, classes); gives the mean over the batch. The divergence is multiplied by the
    temperature's square, as Hinton et al. do (section 2): its gradients shrink with that square,
    and the weights are to mean the same at every temperature.
    """
    soft = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return soft_weight * temperature**2 * soft + hard_weight * F.cross_entropy(student, labels)


def images(run: Run) -> ImageData:
    """Load CIFAR-10 for a run."""
    return load(CIFAR10, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def network(config: Config) -> nn.Module:
    """Build the student: 6 layers and skips, 0.08 M parameters with 32 filters."""
    return block_cnn(blocks=1, filters=config.filters, skip=True)


def train(config: Config, run: Run, given: Predictor | None = None) -> Loop:
    """Train a student; `given` is the model that --teacher names."""
    check(config, given)
    data = images(run)
    loss = None
    if config.teacher != "none":
        teacher = given.network if given else _own_teacher(config, run, data)
        assert teacher is not None
        loss = _loss(config, teacher.to(run.device).eval())
    seed_everything(config.seed)
    yield from classify(config, run, network(config), data, loss)


def prepare(config: Config, run: Run, given: Predictor | None = None) -> GroundTruth:
    """Find or fetch CIFAR-10, and look whether a given teacher can teach it; raises UserError."""
    check(config, given)
    return truth(images(run))


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained student: (n, 3, 32, 32) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), CIFAR10.shape, CIFAR10.classes, folder)


def check(config: Config, given: Predictor | None) -> None:
    """Refuse a given teacher that is not asked, or that knows other images or classes."""
    if (config.teacher == "given") != (given is not None):
        raise UserError(
            f"teacher={config.teacher} "
            + ("learns from none that is given" if given else "needs one: give --teacher")
        )
    if given is None:
        return
    if given.network is None:
        raise UserError("the model that --teacher names gives no logits: it cannot teach")
    if given.classes != CIFAR10.classes:
        raise UserError(
            f"the model that --teacher names tells apart {', '.join(given.classes)}\n"
            f"a teacher here must know {', '.join(CIFAR10.classes)}"
        )
    if given.example.shape[1:] != CIFAR10.shape:
        raise UserError(
            f"the model that --teacher names takes images of shape {given.example.shape[1:]}, "
            f"not {CIFAR10.shape}"
        )


def _loss(config: Config, teacher: nn.Module) -> Loss:
    def loss(pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        # It sees what the student sees: an image's beliefs go with its augmentation.
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=logits.is_cuda):
            beliefs = teacher(pixels)
        return distillation(
            logits,
            beliefs.float(),
            labels,
            temperature=config.temperature,
            soft_weight=config.soft_weight,
            hard_weight=config.hard_weight,
        )

    return loss


def _own_teacher(config: Config, run: Run, data: ImageData) -> nn.Module:
    recipe = Recipe(
        seed=config.teacher_seed,
        batch_size=128,
        optimizer="adam",
        learning_rate=config.teacher_learning_rate,
        shift=2,
        flip=True,
    )

    def untrained() -> nn.Module:
        seed_everything(recipe.seed)
        return TEACHERS[config.teacher](config.teacher_filters)

    folder = trained_once(
        config.teacher,
        {
            **{"data": data.fingerprint, "filters": config.teacher_filters},
            "recipe": asdict(recipe),
        },
        run,
        lambda lessons: classify(recipe, lessons, untrained(), data),
        reports=config.teacher_epochs,
    )
    teacher = nn.Sequential(Normalise(torch.zeros(3), torch.ones(3)), untrained())
    if folder is None:
        return teacher
    if found := checkpoint.read(folder):
        run.facts["teacher_accuracy"] = found[0]["score"]
    return checkpoint.load_module(teacher, folder)
