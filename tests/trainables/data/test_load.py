"""Loading data sets for a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.svhn_files import SPLITS, write_svhn
from trainables.data.cifar10 import CIFAR10
from trainables.data.load import load_images, load_photos, load_svhn, load_texts
from trainables.data.mit67 import MIT67
from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.data.source import DataMissingError
from trainables.run import Run


def test_a_run_determines_the_kind_of_data(tmp_path: Path) -> None:
    run = Run(1, source="placeholder", cache=tmp_path)
    loaded = (
        load_images(CIFAR10, run),
        load_photos(MIT67, run, 16),
        load_texts(ROTTEN_TOMATOES, run),
    )
    assert all(data.source == "placeholder" for data in loaded)
    assert loaded[1].train.pixels.shape[1:] == (3, 16, 16)


def test_nothing_is_downloaded_for_a_run_that_must_not(tmp_path: Path) -> None:
    run = Run(1, cache=tmp_path, download=False)
    for load in (load_images, load_texts):
        source = CIFAR10 if load is load_images else ROTTEN_TOMATOES
        with pytest.raises(DataMissingError, match=source.name):
            load(source, run)


def test_extra_digits_join_train_only(tmp_path: Path) -> None:
    run = Run(1, data=write_svhn(tmp_path / "svhn"), cache=tmp_path / "cache")
    plain, both = load_svhn(run), load_svhn(run, extra=True)
    for split in ("validation", "test"):
        one, other = getattr(plain, split), getattr(both, split)
        assert torch.equal(one.pixels[one.rows], other.pixels[other.rows])
    trained = [split.pixels[split.rows] for split in (plain.train, both.train)]
    assert len(trained[1]) == len(trained[0]) + SPLITS["extra"]
    assert torch.equal(trained[1][: len(trained[0])], trained[0])
    seen = {image.numpy().tobytes() for image in trained[1]}
    held = both.validation.pixels[both.validation.rows]
    assert not seen & {image.numpy().tobytes() for image in held}
    assert both.fingerprint != plain.fingerprint
