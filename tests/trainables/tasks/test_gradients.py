"""Reported gradients agree with a training that is written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainables.data.images import ImageData, Split
from trainables.models.residual import block_cnn
from trainables.run import Run
from trainables.tasks.gradients import Config, draw_batch, measure_gradient

COUNT, BATCH, BATCHES, SEED, RATE = 22, 5, 3, 7, 0.01


@pytest.fixture(scope="module")
def data() -> ImageData:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (60, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 4, (60,), generator=generator)
    train = Split(pixels, labels, torch.arange(0, 2 * COUNT, 2))
    other = Split(pixels, labels, torch.arange(50, 60))
    return ImageData(train, other, other, tuple("abcd"), "drawn", "synthetic", 0)


def _network() -> nn.Sequential:
    torch.manual_seed(1)
    return block_cnn(blocks=1, filters=4, skip=True, channels=1, classes=4)


def _measure(data: ImageData, run: Run, most: int = 99) -> list[dict[str, float]]:
    net = _network()
    head = net[-1]
    assert isinstance(head, nn.Linear)
    config = Config(seed=SEED, batches=BATCHES, batch_size=BATCH, learning_rate=RATE)
    reports = []
    for _, metrics in zip(
        range(most),
        measure_gradient(config, run, net, head.weight, data),
        strict=False,
    ):
        run.record(metrics)
        reports.append(dict(metrics))
    return reports


def test_a_report_is_the_mean_over_its_batches(data: ImageData) -> None:
    net = _network().train()
    updates = torch.optim.Adam(net.parameters(), lr=RATE)
    train = data.train.pixels[data.train.rows].double() / 255
    images = ((train - train.mean()) / train.std(correction=0)).float()
    labels = data.train.labels[data.train.rows]
    expected = []
    for number in range(2 * BATCHES):
        chosen = draw_batch(COUNT, BATCH, number, SEED)
        logits = net(images[chosen])
        probabilities = logits.softmax(1)
        loss = -probabilities[torch.arange(BATCH), labels[chosen]].log().mean()
        # d loss / d W of a linear head, by the chain rule: (p - y)' features / n.
        features = net[:-1](images[chosen])
        errors = probabilities - F.one_hot(labels[chosen], 4)
        by_hand = (errors.T @ features / BATCH).abs().mean()
        updates.zero_grad()
        loss.backward()
        updates.step()
        right = (logits.argmax(1) == labels[chosen]).float().mean()
        expected.append([by_hand.item(), loss.item(), right.item()])
    reports = _measure(data, Run(reports=2))
    means = torch.tensor(expected).reshape(2, BATCHES, 3).mean(1)
    names = ("gradient", "train_loss", "train_accuracy")
    values = torch.tensor([[metrics[name] for name in names] for metrics in reports])
    assert torch.allclose(values, means, rtol=1e-3, atol=1e-6)
    assert values[0, 0] != values[1, 0]


def test_an_epoch_has_no_example_twice() -> None:
    whole = COUNT // BATCH
    first, second = (
        [draw_batch(COUNT, BATCH, epoch * whole + i, SEED) for i in range(whole)]
        for epoch in (0, 1)
    )
    for batches in (first, second):
        assert torch.cat(batches).unique().numel() == whole * BATCH
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(first[0], draw_batch(COUNT, BATCH, 0, SEED + 1))


def test_resuming_within_an_epoch_changes_nothing(data: ImageData, tmp_path: Path) -> None:
    whole = _measure(data, Run(reports=4))
    cut = _measure(data, Run(reports=4, folder=tmp_path), most=2)
    assert cut + _measure(data, Run(reports=4, folder=tmp_path)) == whole
