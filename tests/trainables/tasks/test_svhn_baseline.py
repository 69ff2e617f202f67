from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from searchspaces.loading import load_space
from trainables.data.load import load_svhn
from trainables.data.source import DataMissingError
from trainables.run import Run
from trainables.tasks import svhn_baseline
from trainables.tasks.svhn_baseline import Config

PARTS = {"train": 40, "test": 20, "extra": 30}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """SVHN in small, as the hub lays it out, with an extra part."""
    draw = np.random.default_rng(0)
    at = tmp_path / "svhn"
    at.mkdir()
    for split, count in PARTS.items():
        rows = []
        for _ in range(count):
            png = io.BytesIO()
            Image.fromarray(draw.integers(0, 255, (32, 32, 3), np.uint8)).save(png, "PNG")
            rows.append({"bytes": png.getvalue(), "path": None})
        table = pa.table({"image": rows, "label": [i % 10 for i in range(count)]})
        pq.write_table(table, at / f"{split}.parquet")
    return at


def run(folder: Path, **settings: Any) -> Run:
    return Run(1, data=folder, cache=folder.parent / "cache", **settings)


def test_extra_digits_join_train_only(folder: Path) -> None:
    plain, both = load_svhn(run(folder)), load_svhn(run(folder), extra=True)
    for split in ("validation", "test"):
        one, other = getattr(plain, split), getattr(both, split)
        assert torch.equal(one.pixels[one.rows], other.pixels[other.rows])
    trained = [split.pixels[split.rows] for split in (plain.train, both.train)]
    assert len(trained[1]) == len(trained[0]) + PARTS["extra"]
    assert torch.equal(trained[1][: len(trained[0])], trained[0])
    seen = {image.numpy().tobytes() for image in trained[1]}
    held = both.validation.pixels[both.validation.rows]
    assert not seen & {image.numpy().tobytes() for image in held}
    assert both.fingerprint != plain.fingerprint


def test_extra_digits_change_the_training(folder: Path) -> None:
    metrics = [
        list(svhn_baseline.train(Config(batch_size=8, extra=extra), run(folder)))
        for extra in (False, True)
    ]
    assert metrics[0] != metrics[1]


def test_missing_extra_digits_are_reported_before_the_search(folder: Path) -> None:
    (folder / "extra.parquet").unlink()
    space = load_space("svhn_extra")
    assert space.prepare is not None
    with pytest.raises(
        DataMissingError, match=r"svhn_extra needs the extra digits.*\n.*no data in"
    ):
        space.prepare(Config(), run(folder))
    rate = load_space("svhn_rate")
    assert rate.prepare is not None and rate.prepare(Config(), run(folder)).classes


@pytest.mark.parametrize(
    "value",
    [
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"momentum": 1.0},
        {"batch_size": 0},
        {"rotation": 200.0},
        {"solarize": 1.5},
    ],
)
def test_invalid_values_are_rejected(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        Config(**value)


@pytest.mark.parametrize(
    "name", ["svhn_rate", "svhn_batch", "svhn_optimizer", "svhn_augment", "svhn_extra"]
)
def test_defaults_are_the_published_baseline(name: str) -> None:
    space = load_space(name)
    assert space.reports == 5
    assert space.config() == Config(optimizer="adam", learning_rate=1e-3, batch_size=256)
    for number in space.published:
        assert any(arm == number.of for arm in space.arms) or not space.arms
