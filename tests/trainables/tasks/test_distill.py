from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from searchspaces.loading import load_space
from trainables.data.cifar10 import CIFAR10
from trainables.errors import UserError
from trainables.predictor import Predictor
from trainables.run import Run
from trainables.tasks import distill
from trainables.tasks.distill import (
    TEACHERS,
    Config,
    build_network,
    compute_distillation_loss,
)
from trainables.vision.classification import Normalize

TINY = {"filters": 2, "teacher_filters": 2, "teacher_epochs": 1, "batch_size": 256}


def run(cache: Path, **settings: Any) -> Run:
    return Run(**{"reports": 1, "source": "placeholder", "cache": cache, **settings})


def get_teacher(teacher: Predictor | None, run: Run) -> Predictor | None:
    return teacher


NO_TEACHER = partial(get_teacher, None)


def given(classes: tuple[str, ...] = CIFAR10.classes, seed: int = 0) -> Predictor:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        Normalize(torch.zeros(3), torch.ones(3)),
        torch.nn.Flatten(),
        torch.nn.Linear(3 * 32 * 32, len(classes)),
    )
    example = np.zeros((1, 3, 32, 32), np.uint8)
    return Predictor(lambda pixels: pixels, example, classes, network=model)


def test_models_have_the_published_number_of_parameters() -> None:
    def millions(model: torch.nn.Module) -> str:
        return f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f}"

    assert millions(build_network(Config())) == "0.08"
    published = {"resnet32": "0.47", "wide_resnet14_2": "0.69"}
    assert {name: millions(build(16)) for name, build in TEACHERS.items()} == published


def test_the_loss_agrees_with_its_definition() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 10), 3 * torch.randn(8, 10)
    labels = torch.arange(8)
    loss = compute_distillation_loss(
        student, teacher, labels, temperature=4.0, soft_weight=0.9, hard_weight=0.1
    )
    p, q = (teacher / 4).softmax(1), (student / 4).softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    library = F.kl_div(q.log(), p.log(), reduction="batchmean", log_target=True)
    torch.testing.assert_close(library, divergence)
    cross_entropy = -student.softmax(1).log()[torch.arange(8), labels].mean()
    torch.testing.assert_close(loss, 0.9 * 16 * divergence + 0.1 * cross_entropy)


def test_gradients_have_the_same_size_at_every_temperature() -> None:
    torch.manual_seed(0)
    student, teacher = 0.1 * torch.randn(2, 64, 10)
    norms = []
    for temperature in (5.0, 20.0):
        leaf = student.clone().requires_grad_()
        soft = compute_distillation_loss(
            leaf,
            teacher,
            torch.zeros(64, dtype=torch.long),
            temperature=temperature,
            soft_weight=1.0,
            hard_weight=0.0,
        )
        soft.backward()
        assert leaf.grad is not None
        norms.append(float(leaf.grad.norm()))
    assert norms[0] == pytest.approx(norms[1], rel=0.05)


def test_without_a_teacher_temperature_and_weight_have_no_effect(tmp_path: Path) -> None:
    reports = [
        list(distill.train(NO_TEACHER, Config(teacher="none", **TINY, **more), run(tmp_path)))  # type: ignore[arg-type]
        for more in ({}, {"temperature": 9.0, "soft_weight": 3.0})
    ]
    assert reports[0] == reports[1]
    assert not list(tmp_path.glob("*resnet*"))


def test_students_share_a_teacher_that_does_not_change(tmp_path: Path) -> None:
    reports, checkpoints = [], []
    for seed in (0, 1, 0):
        of = run(tmp_path)
        reports.append(list(distill.train(NO_TEACHER, Config(seed=seed, **TINY), of)))  # type: ignore[arg-type]
        assert 0 <= of.facts["teacher_accuracy"] <= 1
        (folder,) = tmp_path.glob("resnet32-*/")
        checkpoints.append([path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))])
    assert reports[0] == reports[2] != reports[1]
    assert checkpoints[0] == checkpoints[1] == checkpoints[2]


def test_a_probe_trains_no_teacher(tmp_path: Path) -> None:
    assert list(distill.train(NO_TEACHER, Config(**TINY), run(tmp_path, share=0.1)))  # type: ignore[arg-type]
    assert not list(tmp_path.glob("resnet32-*"))


def test_the_teacher_of_the_option_is_used_and_frozen(tmp_path: Path) -> None:
    reports = []
    for seed in (0, 1):
        teacher = given(seed=seed)
        before = {k: v.clone() for k, v in teacher.network.state_dict().items()}  # type: ignore[union-attr]
        config = Config(teacher="custom", **TINY)  # type: ignore[arg-type]
        load = partial(get_teacher, teacher)
        reports.append(list(distill.train(load, config, run(tmp_path))))
        after = teacher.network.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(after[name], before[name]) for name in before)
    assert reports[0] != reports[1]


@pytest.mark.parametrize(
    ("config", "teacher", "expected"),
    [
        ({"teacher": "custom"}, None, "teacher=custom needs a model: --teacher"),
        ({"teacher": "resnet32"}, given(), "teacher=resnet32 does not use the model of --teacher"),
        ({"teacher": "custom"}, given(tuple("0123456789")), "must have airplane"),
    ],
)
def test_an_unsuitable_teacher_is_rejected_before_training(
    tmp_path: Path, config: dict[str, Any], teacher: Predictor | None, expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        distill.prepare(partial(get_teacher, teacher), Config(**config), run(tmp_path))


def test_arms_differ_in_the_teacher_only() -> None:
    space = load_space("cifar10_distill")
    others = [{k: v for k, v in arm.items() if k != "teacher"} for arm in space.arms]
    assert others[0] == others[1] == others[2]
    assert {arm["teacher"] for arm in space.arms} == {
        number.of["teacher"] for number in space.published if number.of
    }
