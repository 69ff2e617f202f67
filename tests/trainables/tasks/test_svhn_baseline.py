"""The shared SVHN baseline: its extra digits, its values and its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searchspaces import Published
from searchspaces.loading import load_space
from tests.support.svhn_files import write_svhn
from trainables.data.source import DataMissingError
from trainables.run import Run
from trainables.tasks import svhn_baseline
from trainables.tasks.svhn_baseline import Config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_svhn(tmp_path / "svhn")


def run(folder: Path, **settings: Any) -> Run:
    return Run(1, data=folder, cache=folder.parent / "cache", **settings)


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
        of = number.of if isinstance(number, Published) else number.better
        assert any(of.items() <= arm.items() for arm in space.arms) or not space.arms
