"""Image classification on a few random patterns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.data.images import ImageData, Split
from trainables.models.mlp import mlp
from trainables.run import Run, seed_everything
from trainables.vision import classification as task
from trainables.vision.classification import (
    Normalize,
    Recipe,
    build_ground_truth,
    read_recipe,
    restore_classifier,
    train_classifier,
)

SIDE, CLASSES = 8, 3
TRAIN, VALIDATION, TEST = 120, 30, 45
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "shift": {"shift": 2},
    "flip": {"flip": True},
    "rotation": {"rotation": 20.0},
    "solarize": {"solarize": 0.5},
    "all": {"shift": 1, "flip": True, "rotation": 10.0, "solarize": 0.2},
}


def _split(count: int, seed: int) -> Split:
    """Draw noise with a bright third of the rows, which is the label."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    pixels = torch.randint(0, 160, (count, 2, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    for pixel, label in zip(pixels, labels, strict=True):
        pixel[:, 3 * label : 3 * label + 2] += 90
    return Split(pixels, labels, torch.arange(count))


@pytest.fixture(scope="module")
def data() -> ImageData:
    whole = _split(TRAIN + VALIDATION, 0)
    return ImageData(
        train=replace(whole, rows=torch.arange(TRAIN)),
        validation=replace(whole, rows=torch.arange(TRAIN, TRAIN + VALIDATION)),
        test=_split(TEST, 1),
        classes=("a", "b", "c"),
        fingerprint="drawn",
        source="synthetic",
        skipped=0,
    )


def _network() -> nn.Module:
    return mlp(2 * SIDE * SIDE, [16], CLASSES, dropout=0.2)


def _train(data: ImageData, run: Run, most: int = 99, **settings: Any) -> list[dict[str, float]]:
    chosen: dict[str, Any] = {"batch_size": 20, "learning_rate": 1e-2, **settings}
    recipe = Recipe(**chosen)
    seed_everything(recipe.seed)
    reports = []
    loop = train_classifier(recipe, run, _network(), data)
    for _, metrics in zip(range(most), loop, strict=False):
        run.record(metrics)
        reports.append(dict(metrics))
    loop.close()
    return reports


def _run(folder: Path | None = None, reports: int = 2, **settings: Any) -> Run:
    return Run(reports, metric="validation_accuracy", folder=folder, **settings)


def test_training_improves_and_reports_no_test_score(data: ImageData) -> None:
    reports = _train(data, _run(reports=6))
    assert reports[-1]["validation_accuracy"] > 0.9 > reports[0]["train_accuracy"]
    assert reports[-1]["train_loss"] < reports[0]["train_loss"]
    assert reports[0].keys() == {
        *("train_loss", "train_accuracy"),
        *("validation_loss", "validation_accuracy"),
    }


@pytest.mark.parametrize("options", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_every_augmentation_changes_the_training(data: ImageData, options: dict[str, Any]) -> None:
    plain, augmented = _train(data, _run()), _train(data, _run(), **options)
    assert augmented == _train(data, _run(), **options)
    assert plain[0]["train_loss"] != augmented[0]["train_loss"]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in augmented)


def test_a_compiled_network_gives_the_same_numbers(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _train(data, _run())
    called: list[Any] = []

    def compiled(model: nn.Module) -> Any:
        called.append(model)
        return lambda pixels: model(pixels)  # torch.compile itself takes a minute here

    monkeypatch.setattr(torch, "compile", compiled)
    assert _train(data, _run(tmp_path), compile=True) == plain
    assert len(called) == 1
    assert restore_classifier(_network(), (2, SIDE, SIDE), data.classes, tmp_path / "best")


def test_no_step_synchronizes_with_the_device(data: ImageData) -> None:
    class SyncCounter(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            scalars = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
            self.count += func.overloadpacket in scalars
            return func(*args, **kwargs or {})

    reports: list[int] = []
    with SyncCounter() as counter:
        run = _run(reports=1, on_progress=lambda _: reports.append(counter.count))
        # Adam's steps are counted on the host where it is not fused, as on a CPU.
        _train(data, run, **AUGMENTATIONS["all"], clip=1.0, optimizer="sgd")
        torch.ones(1).item()
    assert len(reports) == TRAIN / 20
    assert reports[0] == reports[-1] < counter.count


def test_augmentation_does_not_change_the_images(data: ImageData) -> None:
    before = data.train.pixels.clone()
    _train(data, _run(), **AUGMENTATIONS["all"])
    assert torch.equal(data.train.pixels, before)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learning_rate": 2e-3},
        {"batch_size": 40},
        {"optimizer": "sgd"},
        {"weight_decay": 5.0},
        {"label_smoothing": 0.2},
        {"schedule": "constant"},
        {"clip": 0.01},
        {"epochs": 2},
        {"optimizer": "sgd", "momentum": 0.0},
    ],
    ids=str,
)
def test_every_setting_changes_the_training(data: ImageData, other: dict[str, Any]) -> None:
    base = {"optimizer": "sgd"} if "momentum" in other else {}
    one = _train(data, _run(), **base)
    assert one == _train(data, _run(), **base)
    assert one[-1]["validation_loss"] != _train(data, _run(), **other)[-1]["validation_loss"]


def test_resuming_changes_nothing(data: ImageData, tmp_path: Path) -> None:
    options = AUGMENTATIONS["all"]
    whole = _train(data, _run(tmp_path / "whole", reports=4), **options)
    first = _train(data, _run(tmp_path / "cut", reports=4), most=2, **options)
    rest = _train(data, _run(tmp_path / "cut", reports=4), **options)
    assert first + rest == whole


def test_a_smaller_last_batch_is_dropped(data: ImageData) -> None:
    ticks: list[float] = []
    _train(data, _run(reports=1, on_progress=ticks.append), batch_size=50)
    assert ticks == [0.5, 1.0]
    ticks.clear()
    _train(data, _run(reports=1, on_progress=ticks.append), batch_size=1000)
    assert ticks == [1.0]


def test_a_share_of_the_data_takes_a_share_of_the_steps(data: ImageData) -> None:
    ticks: list[float] = []
    _train(data, _run(reports=1, on_progress=ticks.append, share=0.5))
    assert len(ticks) == TRAIN / 20 / 2


def test_predictions_are_probabilities_for_every_example(data: ImageData, tmp_path: Path) -> None:
    run = _run(tmp_path, reports=3)
    reports = _train(data, run)
    run.finish()
    stored = {}
    for split, count in (("validation", VALIDATION), ("test", TEST)):
        table = pq.read_table(tmp_path / "best" / f"{split}.parquet")
        assert table["id"].to_pylist() == list(range(count))
        stored[split] = np.stack([table[f"p{k}"].to_numpy() for k in range(CLASSES)], 1)
        assert np.allclose(stored[split].sum(1), 1, atol=1e-5)
    targets = build_ground_truth(data).targets
    accuracy = (stored["validation"].argmax(1) == targets["validation"]).mean()
    assert accuracy == pytest.approx(max(m["validation_accuracy"] for m in reports))
    assert len(targets["test"]) == TEST

    predictor = restore_classifier(_network(), (2, SIDE, SIDE), data.classes, tmp_path / "best")
    raw = data.test.pixels[data.test.rows].numpy()
    assert np.allclose(predictor(raw), stored["test"], atol=1e-6)
    assert predictor.classes == data.classes
    assert predictor(predictor.example).shape == (1, CLASSES)


def test_mean_and_std_are_those_of_train(data: ImageData, monkeypatch: Any) -> None:
    given = []

    class Listening(Normalize):
        def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
            super().__init__(mean, std)
            given.append((mean, std))

    monkeypatch.setattr(task, "Normalize", Listening)
    _train(data, _run(reports=1))
    seen = data.train.pixels[:TRAIN].float().div(255)
    assert torch.allclose(given[0][0], seen.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(given[0][1], seen.std((0, 2, 3), correction=0), atol=1e-5)


def test_missing_fields_of_a_config_keep_the_defaults_of_the_recipe() -> None:
    @dataclass
    class Config:
        learning_rate: float = 0.5
        width: int = 3

    assert read_recipe(Config()) == Recipe(learning_rate=0.5)


def test_ground_truth_has_the_order_of_the_predictions(data: ImageData) -> None:
    truth = build_ground_truth(data)
    assert truth.targets["validation"].tolist() == [i % CLASSES for i in range(VALIDATION)]
    assert (truth.fingerprint, truth.source, truth.classes) == ("drawn", "synthetic", data.classes)
