from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from searchspaces.loading import load_space, load_trained
from searchspaces.train_one import write_config
from trainables import checkpoint
from trainables.data.images import load as load_images
from trainables.data.svhn import SVHN
from trainables.errors import UserError
from trainables.run import Run
from trainables.tasks import transfer
from trainables.tasks.transfer import (
    SOURCE_DIGITS,
    TARGET_DIGITS,
    Config,
    load_digits,
    sample_images,
)

SHORT = {"epochs": 1, "source_epochs": 1}


def run(cache: Path, **settings: Any) -> Run:
    return Run(**{"reports": 1, "source": "placeholder", "cache": cache, **settings})


def finish(config: Config, of: Run, space: str = "svhn_transfer") -> Run:
    for metrics in load_space(space).train(config, of):
        of.record(metrics)
    return of


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source model as `trainables.train --out` writes it."""
    folder = tmp_path_factory.mktemp("source")
    values = {"stage": "source", "epochs": 1, "batch_size": 256}
    write_config(folder, load_space("svhn_transfer"), Config(**values), None)  # type: ignore[arg-type]
    finish(Config(**values), run(folder / "cache", folder=folder))  # type: ignore[arg-type]
    return folder


def test_old_and_new_digits_share_no_image(tmp_path: Path) -> None:
    whole = load_images(SVHN, folder=None, cache=tmp_path, kind="placeholder")
    old, new = load_digits(run(tmp_path), SOURCE_DIGITS), load_digits(run(tmp_path), TARGET_DIGITS)
    for split in ("train", "validation", "test"):
        parts = [getattr(data, split) for data in (old, new)]
        rows = torch.cat([part.rows for part in parts]).sort().values
        assert torch.equal(rows, getattr(whole, split).rows)
        for part, digits in zip(parts, (SOURCE_DIGITS, TARGET_DIGITS), strict=True):
            truly = [SVHN.classes[label] for label in getattr(whole, split).labels[part.rows]]
            assert truly == [digits[label] for label in part.labels[part.rows]]


def test_samples_have_both_digits_equally_often_and_are_always_the_same(tmp_path: Path) -> None:
    data = load_digits(run(tmp_path), TARGET_DIGITS)
    one, two = (sample_images(data.train, 30, 2) for _ in range(2))
    assert torch.equal(one.rows, two.rows)
    assert torch.bincount(one.labels[one.rows]).tolist() == [15, 15]
    assert set(one.rows.tolist()) < set(data.train.rows.tolist())


@pytest.mark.parametrize("unfrozen", [1, 2, 4])
def test_only_the_unfrozen_layers_change(tmp_path: Path, source: Path, unfrozen: int) -> None:
    config = Config(unfrozen=unfrozen, **SHORT)  # type: ignore[arg-type]
    of = run(tmp_path, teacher=source, folder=tmp_path)
    finish(config, of)
    before, after = (
        saved[1]["parts"]["model"]
        for folder in (source, tmp_path)
        if (saved := checkpoint.read(folder / "best"))
    )
    layers = [name for name in after if name.endswith("weight")]
    same = [name for name in layers[:-1] if torch.equal(before[name], after[name])]
    assert same == layers[: 4 - unfrozen]
    for name in ("0.mean", "0.std"):  # seen through the same normalisation as the source's
        assert torch.equal(before[name], after[name])
    assert after[layers[-1]].shape == (2, 2048)


def test_trials_share_the_source_model(tmp_path: Path) -> None:
    for seed in (0, 1):
        of = finish(Config(seed=seed, **SHORT), run(tmp_path))  # type: ignore[arg-type]
        assert 0 <= of.facts["source_accuracy"] <= 1
    assert len(list(tmp_path.glob("svhn-source-*/"))) == 1


def test_the_teacher_replaces_the_trained_source_model(tmp_path: Path, source: Path) -> None:
    finish(Config(**SHORT), run(tmp_path, teacher=source))  # type: ignore[arg-type]
    assert not list(tmp_path.glob("svhn-source-*"))


def test_a_source_model_trained_on_the_new_digits_is_rejected(tmp_path: Path) -> None:
    space = load_space("svhn_rate")
    write_config(tmp_path, space, space.config(), None)
    finish(space.config(), run(tmp_path, folder=tmp_path), "svhn_rate")
    prepare = load_space("svhn_transfer").prepare
    assert prepare is not None
    with pytest.raises(UserError, match="was trained on 0 and 9"):
        prepare(Config(), run(tmp_path, teacher=tmp_path))


def test_training_a_source_model_uses_no_teacher(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UserError, match="leave --teacher out"):
        transfer.prepare(lambda _: load_trained(source), Config(stage="source"), run(tmp_path))


def test_a_restored_model_predicts_the_new_digits(tmp_path: Path) -> None:
    of = finish(Config(**SHORT), run(tmp_path, folder=tmp_path))  # type: ignore[arg-type]
    of.finish()
    predict = transfer.restore(Config(**SHORT), tmp_path / "best")  # type: ignore[arg-type]
    assert predict.classes == TARGET_DIGITS
    assert predict(np.zeros((3, 3, 32, 32), np.uint8)).shape == (3, 2)
