"""The gradient of the last layer in the first batches of a training, by depth and skips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.checks import check_at_least, check_positive
from trainables.data import augment
from trainables.data.cifar10 import CIFAR10
from trainables.data.images import ImageData
from trainables.data.load import load_images
from trainables.models.residual import depth_cnn
from trainables.optim import build_optimizer
from trainables.predictor import GroundTruth
from trainables.ranking import mark_divergence
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import Normalize


@dataclass(frozen=True)
class Config:
    """Settings of one training with Adam; `depth` are layers, `batches` per report."""

    seed: int = 0
    depth: int = 10
    skip: bool = False
    filters: int = 16
    learning_rate: float = 4e-4
    batch_size: int = 128
    batches: int = 5

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_at_least(self, 6, "depth")
        check_at_least(self, 1, "filters", "batch_size", "batches")


def build_network(config: Config) -> nn.Sequential:
    """Build the network: (n, 3, 32, 32) -> (n, 10)."""
    return depth_cnn(config.depth, config.filters, config.skip)


def train(config: Config, run: Run) -> Loop:
    """Train a network on CIFAR-10 and measure the gradient of its last layer's weight."""
    seed_everything(config.seed)
    network = build_network(config)
    last = network[-1]
    assert isinstance(last, nn.Linear)
    yield from measure_gradient(config, run, network, last.weight, load_images(CIFAR10, run))


def measure_gradient(
    config: Config, run: Run, network: nn.Module, weight: Tensor, data: ImageData
) -> Loop:
    """Train with Adam; reports `gradient`, the mean absolute gradient of one weight tensor.

    A report is the mean over `batches` batches; beside it are `train_loss` (nats) and
    `train_accuracy`. The caller builds the network after `seed_everything`; it takes normalized
    images. The host waits for the device once per report.
    """
    mean, std = augment.compute_mean_std(data.train.pixels, data.train.rows)
    train = data.train.to(run.device)
    # A share of a report has as many batches, of fewer images.
    batch_size = max(1, round(run.share * min(config.batch_size, len(train))))
    model = nn.Sequential(Normalize(mean, std), network)
    model = model.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(
        "adam", model, learning_rate=config.learning_rate, weight_decay=0.0, momentum=0.0
    )
    for report in run.resume(model=model, optimizer=optimizer):
        model.train()
        sums = torch.zeros(3, device=run.device)
        numbers = range(report * config.batches, (report + 1) * config.batches)
        drawn = torch.stack([draw_batch(len(train), batch_size, n, config.seed) for n in numbers])
        for index, rows in enumerate(train.rows[drawn.to(run.device)]):
            labels = train.labels[rows]
            logits = model(train.pixels.index_select(0, rows))
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            assert weight.grad is not None
            accuracy = (logits.argmax(1) == labels).float().mean()
            sums += torch.stack([weight.grad.abs().mean(), loss.detach(), accuracy])
            optimizer.step()
            if run.on_progress is not None:
                run.on_progress((index + 1) / config.batches)
        values = sums.div(config.batches).tolist()
        metrics = dict(zip(("gradient", "train_loss", "train_accuracy"), values, strict=True))
        yield mark_divergence(metrics, run.metric)


def draw_batch(count: int, batch_size: int, number: int, seed: int) -> Tensor:
    """Return the indices (batch_size,) below `count` of the training's batch `number`.

    Every epoch has another order. The result depends on the arguments only, so a resumed training
    needs no state.
    """
    epoch, index = divmod(number, count // batch_size)
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=order)[index * batch_size :][:batch_size]


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load CIFAR-10, downloading and decoding it the first time; nothing is predicted."""
    data = load_images(CIFAR10, run)
    return GroundTruth(fingerprint=data.fingerprint, source=data.source)


TASK = Task(config=Config, train=train, metric="gradient", mode="min", prepare=prepare)
