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
