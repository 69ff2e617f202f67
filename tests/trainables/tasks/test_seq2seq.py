"""Answering questions: the metric, stored answers, the artifact and early stopping."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from trainables.data.mathematics import Mathematics, Questions
from trainables.run import Run
from trainables.tasks import seq2seq as task

SMALL: dict[str, Any] = {"count": 180, "embedding": 8, "hidden": 32, "batch_size": 32}


def make_questions(begin: int, count: int) -> Questions:
    """Make questions: the answer to half of them is their last letter, to the others random."""
    draw = random.Random(begin)
    texts = [(f"{n} say {draw.choice('abc')}", n % 2) for n in range(begin, begin + count)]
    answers_ = [draw.choice("defgh") * 2 if odd else text[-1] for text, odd in texts]
    columns = (
        [text for text, _ in texts],
        answers_,
        ["dark" if odd else "plain" for _, odd in texts],
    )
    return Questions(*(np.array(column, dtype=object) for column in columns))


def test_the_metric_is_the_share_of_stored_answers_that_are_correct(tmp_path: Path) -> None:
    config = task.Config(
        **{**SMALL, "epochs": 3, "batch_size": 16, "learning_rate": 0.03, "dropout": 0.0}
    )
    data = Mathematics(
        make_questions(100, 300), make_questions(400, 50), make_questions(450, 10), "made"
    )
    run = Run(reports=2, metric="validation_exact_match", folder=tmp_path / "trial")
    torch.manual_seed(0)
    for metrics in task.train_network(config, run, task.build_network(config), data):
        run.record(metrics)
    run.finish()
    best = tmp_path / "trial" / "best"
    stored = pq.read_table(best / "validation.parquet")["answer"].to_pylist()
    right = np.array(stored, dtype=object) == data.validation.answers
    assert right.mean() == pytest.approx(run.score)
    assert 0 < right.mean() < 1
    artifact = (best / "answers.md").read_text()
    hits = int(right[data.validation.problems == "plain"].sum())
    assert f"| plain | 25 | {hits} |" in artifact
    assert 1 <= artifact.count("| ✗ ") <= 4


def test_training_stops_without_improvement(tmp_path: Path) -> None:
    config = task.Config(**{**SMALL, "patience": 1, "learning_rate": 1e-9})
    run = Run(reports=9, metric="validation_exact_match", source="placeholder", cache=tmp_path)
    for metrics in task.train(config, run):
        run.record(metrics)
    assert run.done == 2
