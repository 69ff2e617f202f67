"""Synthetic house numbers: reproducible, plausible, and learnable."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data.images import load
from trainables.data.svhn import SVHN, draw_images


@pytest.mark.parametrize("count", [0, 1, 256, 300])
def test_any_count(count: int) -> None:
    images, labels = draw_images(count, 0)
    assert (images.shape, images.dtype) == ((count, 3, 32, 32), np.uint8)
    assert (labels.shape, labels.dtype) == ((count,), np.int64)


def test_results_depend_on_the_seed_and_global_state_is_unchanged() -> None:
    state = torch.get_rng_state()
    images, labels = draw_images(300, 5)
    longer, more = draw_images(600, 5)
    np.testing.assert_array_equal(images, longer[:300])
    np.testing.assert_array_equal(labels, more[:300])
    assert (draw_images(300, 6)[0] != images).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_brightness_and_classes_resemble_those_of_photographs() -> None:
    images, labels = draw_images(3000, 0)
    assert 0.35 < images.mean() / 255 < 0.6
    assert 0.12 < (images / 255).std() < 0.3
    counts = np.bincount(labels, minlength=10)
    assert counts.min() > 200
    assert len(np.unique(images.reshape(3000, -1), axis=0)) == 3000
    assert (images.reshape(3000, -1).std(1) > 2).all(), "an image without anything on it"


def test_drawing_is_fast() -> None:
    draw_images(256, 0)
    start = time.process_time()
    draw_images(1280, 0)
    # On one quiet core 4,000 a second; the bound allows for a busy machine.
    assert 1280 / (time.process_time() - start) > 500


def test_a_small_network_learns_the_digits() -> None:
    images, labels = (torch.from_numpy(part) for part in draw_images(2000, 0))
    # Contrast alone, since paint may be brighter or darker than the wall.
    inputs = images.float().mean(1, keepdim=True)
    inputs = (inputs - inputs.mean((2, 3), keepdim=True)) / inputs.std((2, 3), keepdim=True)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 16, 5, 2), torch.nn.BatchNorm2d(16), torch.nn.ReLU()),
        *(torch.nn.Conv2d(16, 32, 5, 2), torch.nn.BatchNorm2d(32), torch.nn.ReLU()),
        *(torch.nn.Flatten(), torch.nn.Linear(32 * 25, 10)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(3):
        for rows in torch.randperm(1700).split(50):
            loss = torch.nn.functional.cross_entropy(network(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    accuracy = (network(inputs[1700:]).argmax(1) == labels[1700:]).float().mean()
    assert accuracy > 0.4


@pytest.mark.skipif("TUNERY_DATA" not in os.environ, reason="needs real data in TUNERY_DATA")
def test_real_house_numbers(tmp_path: Path) -> None:
    data = load(SVHN, folder=Path(os.environ["TUNERY_DATA"]), cache=tmp_path)
    assert data.source == "real"
    assert data.skipped == 0
    assert len(data.train) > 7 * len(data.validation) > 0
    ones = (data.test.labels == 1).float().mean()
    assert 0.15 < ones < 0.25, "the most common digit is 1"


@pytest.mark.network
@pytest.mark.timeout(1800)
def test_official_svhn_comes_from_the_hub(tmp_path: Path) -> None:
    data = load(SVHN, folder=None, cache=tmp_path)
    assert len(data.train) + len(data.validation) == 73_257
    assert len(data.test) == 26_032
