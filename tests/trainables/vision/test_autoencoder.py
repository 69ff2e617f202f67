"""Pretraining of an encoder: it learns, uses only train, and its weights are reused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from trainables.data.images import ImageData, Split
from trainables.errors import UserError
from trainables.models.pyramid import build_classifier, build_decoder, build_encoder
from trainables.run import Run, seed_everything
from trainables.vision.autoencoder import (
    load_encoder,
    load_pretrained_encoder,
    train_autoencoder,
)

SHAPE = {"filters": 4, "blocks": 2}


def _data(others: int = 0) -> ImageData:
    """Draw bright and dark squares; `others` is what validation and test look like."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60, (40, 3, 8, 8), generator=generator, dtype=torch.uint8)
    pixels[::2] += 150
    pixels[30:] += others
    labels = torch.arange(40) % 2
    part = Split(pixels, labels, torch.arange(30))
    return ImageData(
        train=part,
        validation=replace(part, rows=torch.arange(30, 35)),
        test=replace(part, rows=torch.arange(35, 40)),
        classes=("dark", "bright"),
        fingerprint="drawn",
        source="synthetic",
        skipped=0,
    )


def _both() -> tuple[nn.Sequential, nn.Sequential]:
    return build_encoder(**SHAPE, dropout=0.0), build_decoder(**SHAPE)  # type: ignore[arg-type]


def _pretrained(cache: Path, others: int = 0, **settings: float) -> dict[str, torch.Tensor]:
    seed_everything(1)
    pretrained = load_pretrained_encoder(
        Run(1, cache=cache, **settings),  # type: ignore[arg-type]
        _both,
        _data(others),
        epochs=2,
        shape=SHAPE,
        seed=0,
        learning_rate=1e-2,
        batch_size=10,
    )
    return dict(pretrained.state_dict())


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_reduces_the_reconstruction_error() -> None:
    seed_everything(0)
    loop = train_autoencoder(Run(8), *_both(), _data(), seed=0, learning_rate=1e-2, batch_size=10)
    losses = [metrics["train_loss"] for metrics in loop]
    assert losses[-1] < 0.3 * losses[0]


def test_validation_and_test_images_are_not_used(tmp_path: Path) -> None:
    first = _pretrained(tmp_path / "one")
    assert _same(first, _pretrained(tmp_path / "two", others=40))
    assert not _same(first, _pretrained(tmp_path / "three", share=0.5)), "a probe trains none"
    assert not (tmp_path / "three").exists()


def test_weights_are_copied_from_an_encoder_of_the_same_architecture() -> None:
    trained, _ = _both()
    expected, _ = _both()
    network = nn.Sequential(nn.Identity(), build_classifier(trained, [8], 2))
    load_encoder(expected, network, "--teacher x")
    assert _same(dict(expected.state_dict()), dict(trained.state_dict()))
    with pytest.raises(
        UserError,
        match="--teacher x has no encoder with the expected weights, which begin with 8x3x3x3",
    ):
        load_encoder(build_encoder(filters=8, blocks=2), network, "--teacher x")
