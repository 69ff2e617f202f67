"""Answering questions: what counts as right, what is kept, and what the report is shown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from trainables.data.characters import END, encode
from trainables.data.mathematics import Mathematics, Questions
from trainables.models.seq2seq import Seq2Seq
from trainables.run import Run
from trainables.tasks import seq2seq as task
from trainables.text.answering import encode_questions, predict_answers, predict_tokens

SMALL: dict[str, Any] = {"count": 180, "embedding": 8, "hidden": 32, "batch_size": 32}


class Says(Seq2Seq):
    """Answers every question with the same text, and goes on with what stands behind its end."""

    def __init__(self, text: str, behind: str) -> None:
        torch.nn.Module.__init__(self)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.signs = torch.cat([encode([text])[0][0], encode([behind])[0][0]])

    def answer(self, questions: torch.Tensor, start: int, end: int, most: int) -> torch.Tensor:
        return self.signs[:most].long().expand(len(questions), -1)


def split(*given: str) -> Questions:
    texts = np.array(given, dtype=object)
    asked = np.array([f"what is {n * '1'}?" for n in range(len(given))], dtype=object)
    return Questions(asked, texts, texts)


def test_an_answer_is_right_to_its_end_or_wrong() -> None:
    given = split("12", "1", "123", "-12", "12")
    found = predict_tokens(
        Says("12", "7"), encode_questions(given, torch.device("cpu")), 5, longest=4
    )
    truth = encode(given.answers)[0][:, :4]
    assert (found == truth).all(1).tolist() == [True, False, False, False, True]
    assert found[0].tolist()[2:] == [END, 0], "what stands behind the end does not count"


def test_answers_come_in_the_order_of_their_questions() -> None:
    model = task.build_network(task.Config(**SMALL)).eval()
    texts = np.array(["what is 1?", "is 12345 prime?", "2", "what is 3?"], dtype=object)
    together = predict_answers(model, texts)
    assert list(together) == [predict_answers(model, texts[at : at + 1])[0] for at in range(4)]
    assert list(predict_answers(model, np.array(["WHAT IS 1?"]))) == [together[0]]


def echoes(begin: int, count: int) -> Questions:
    """Questions: half are answered by their last letter, half by nothing to be seen."""
    draw = random.Random(begin)
    texts = [(f"{n} say {draw.choice('abc')}", n % 2) for n in range(begin, begin + count)]
    answers_ = [draw.choice("defgh") * 2 if odd else text[-1] for text, odd in texts]
    columns = (
        [text for text, _ in texts],
        answers_,
        ["dark" if odd else "plain" for _, odd in texts],
    )
    return Questions(*(np.array(column, dtype=object) for column in columns))


def test_the_metric_is_the_share_of_kept_answers_that_are_right(tmp_path: Path) -> None:
    config = task.Config(
        **{**SMALL, "epochs": 3, "batch_size": 16, "learning_rate": 0.03, "dropout": 0.0}
    )
    data = Mathematics(echoes(100, 300), echoes(400, 50), echoes(450, 10), "made")
    run = Run(reports=2, metric="validation_exact_match", folder=tmp_path / "trial")
    torch.manual_seed(0)
    for metrics in task.train_network(config, run, task.build_network(config), data):
        run.record(metrics)
    run.finish()
    best = tmp_path / "trial" / "best"
    kept = pq.read_table(best / "validation.parquet")["answer"].to_pylist()
    right = np.array(kept, dtype=object) == data.validation.answers
    assert right.mean() == pytest.approx(run.score)
    assert 0 < right.mean() < 1
    shown = (best / "answers.md").read_text()
    hits = int(right[data.validation.problems == "plain"].sum())
    assert f"| plain | 25 | {hits} |" in shown
    assert 1 <= shown.count("| ✗ ") <= 4


def test_training_ends_when_nothing_gets_better(tmp_path: Path) -> None:
    config = task.Config(**{**SMALL, "patience": 1, "learning_rate": 1e-9})
    run = Run(reports=9, metric="validation_exact_match", source="placeholder", cache=tmp_path)
    for metrics in task.train(config, run):
        run.record(metrics)
    assert run.done == 2
