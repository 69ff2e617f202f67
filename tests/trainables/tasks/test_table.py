from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.run import Run
from trainables.tasks.table import Config, prepare, restore, train


def write_line(path: Path) -> Path:
    """Write a table whose target is 3 x + 10 for one category, and 3 x - 10 for the other."""
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(300):
        x, kind = draw.normal(), draw.choice(["up", "down"])
        rows.append(f"{x:.4f},{kind},{3 * x + (10 if kind == 'up' else -10):.4f}")
    path.write_text("\n".join(["x,kind,price", *rows]))
    return path


def test_a_regression_is_learned_restored_and_scored(tmp_path: Path) -> None:
    path = write_line(tmp_path / "t.csv")
    run = Run(
        4, "validation_score", data=path, cache=tmp_path / "cache", folder=tmp_path / "trial"
    )
    config = Config(width=32, learning_rate=1e-2, dropout=0.0)
    for metrics in train(config, run):
        run.record(metrics)
    run.finish()
    assert run.score is not None and run.score > 0.98
    assert metrics["validation_rmse"] == pytest.approx(
        np.sqrt(metrics["validation_loss"]) * 10.5, rel=0.1
    )
    assert not list((tmp_path / "trial" / "best").glob("*.parquet"))
    predict = restore(config, tmp_path / "trial" / "best")
    values = predict(np.array([[1.0, "up"], ["-1", "down"]], dtype=object))
    assert values == pytest.approx([13, -13], abs=2)
    assert predict(predict.example).shape == (1,)
    assert not prepare(config, run).targets


def test_a_category_without_a_value_in_train_is_restored(tmp_path: Path) -> None:
    copies = ["0.5,up,1.5", "0.6,down,2.5"]  # left out of train, as they are in test
    rows = [f"{n},,{n * 1.5}" for n in range(60)]
    for part, of in {"train": rows + copies, "test": copies}.items():
        (tmp_path / f"{part}.csv").write_text("\n".join(["x,kind,price", *of]))
    folder = tmp_path / "trial"
    run = Run(1, "validation_score", data=tmp_path, cache=tmp_path / "cache", folder=folder)
    config = Config(width=4, steps=2)
    for metrics in train(config, run):
        run.record(metrics)
    run.finish()
    predict = restore(config, folder / "best")
    assert predict.example[0, 1] is None
    assert predict(predict.example).shape == (1,)
