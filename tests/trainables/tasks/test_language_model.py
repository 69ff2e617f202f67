"""A character-level language model: its loss, its windows, and the text that it writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.errors import UserError
from trainables.predictor import GroundTruth
from trainables.run import Run
from trainables.tasks import language_model as task

SMALL: dict[str, Any] = {
    **{"layers": 1, "heads": 2, "width": 16, "block": 16, "batch_size": 8, "steps": 40},
    **{"learning_rate": 1e-2, "dropout": 0.0},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, GroundTruth]:
    folder = tmp_path_factory.mktemp("trial")
    run = Run(
        reports=2,
        metric="validation_loss",
        mode="min",
        source="placeholder",
        folder=folder / "trial",
    )
    for metrics in task.train(task.Config(**SMALL), run):
        run.record(metrics)
    run.finish()
    return run, task.prepare(task.Config(**SMALL), run)


def test_the_model_is_better_than_character_frequencies(
    trained: tuple[Run, GroundTruth],
) -> None:
    run, truth = trained
    shares = np.bincount(truth.targets["validation"]) / len(truth.targets["validation"])
    metrics = run.history[-1]["metrics"]
    assert metrics["validation_loss"] < -sum(p * math.log(p) for p in shares if p) - 0.2
    assert metrics["validation_bits"] == pytest.approx(metrics["validation_loss"] / math.log(2))


def test_the_seed_determines_the_written_text(trained: tuple[Run, GroundTruth]) -> None:
    assert trained[0].folder is not None
    write = task.restore(task.Config(**SMALL), trained[0].folder / "best").write
    assert write is not None
    text = write("bade ", length=40, seed=1)
    assert text.startswith("bade ") and len(text) == 45
    assert text == write("bade ", length=40, seed=1) != write("bade ", length=40, seed=2)
    assert len(write("", length=40)) == 40
    with pytest.raises(UserError, match="does not know 'Z' 'z'"):
        write("zZ")


def test_samples_are_an_artifact(trained: tuple[Run, GroundTruth]) -> None:
    assert trained[0].folder is not None
    samples = (trained[0].folder / "best" / "samples.md").read_text()
    assert samples.count("```text") == 3


def test_a_block_longer_than_a_split_is_rejected(tmp_path: Path) -> None:
    run = Run(reports=1, source="placeholder", cache=tmp_path)
    with pytest.raises(UserError, match="block=900 is too long"):
        next(task.train(task.Config(**{**SMALL, "block": 900}), run))


def test_a_width_that_is_not_a_multiple_of_the_heads_is_infeasible() -> None:
    assert task.feasible(task.Config(width=96, heads=6)) is None
    assert "96 is not a multiple of 5" in (task.feasible(task.Config(width=96, heads=5)) or "")
