"""Questions answered by characters: teacher forcing in training, greedy decoding to evaluate."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainables import checkpoint
from trainables.checks import (
    check_at_least,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data import mathematics
from trainables.data.characters import VOCABULARY_SIZE, group_by_length
from trainables.data.mathematics import Mathematics, Questions
from trainables.data.questions import PROBLEMS
from trainables.fit import fit
from trainables.models.seq2seq import Seq2Seq
from trainables.optim import build_optimizer, get_schedule
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.text.answering import (
    batch_questions,
    compute_exact_match,
    compute_loss,
    encode_questions,
    predict_answers,
)

GROUPS = 8  # of a batch
TRAIN_SAMPLE = 2000  # questions of train that are answered after every report
SHOWN = 2  # correct and wrong answers shown per problem


@dataclass(frozen=True)
class Config:
    """Settings of one training; `epochs` are per report, `clip` is the largest gradient norm.

    `count` is the questions of all `problems` together, four fifths of them for training. `code`
    chooses PyTorch's cells or equal, slower ones that are written out. Training stops after
    `patience` reports without improvement (0: never).
    """

    seed: int = 0
    count: int = 100_000
    problems: tuple[str, ...] = PROBLEMS
    cell: Literal["elman", "gru", "lstm"] = "lstm"
    code: Literal["torch", "written"] = "torch"
    embedding: int = 64
    hidden: int = 128
    layers: int = 1
    bidirectional: bool = True
    shared_embeddings: bool = True
    dropout: float = 0.15
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 64
    label_smoothing: float = 0.0
    clip: float = 0.25
    patience: int = 10
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay", "clip", "patience")
        check_at_least(self, 1, "embedding", "hidden", "layers", "batch_size", "epochs")
        check_fraction(self, "dropout", "label_smoothing", "momentum")
        if not self.problems or len({*self.problems}) < len(self.problems):
            raise ValueError(f"problems={self.problems} must be different names, at least one")
        check_at_least(self, 10 * len(self.problems), "count")


def build_network(config: Config) -> Seq2Seq:
    """Build the network of a configuration."""
    return Seq2Seq(
        VOCABULARY_SIZE,
        cell=config.cell,
        code=config.code,
        embedding=config.embedding,
        hidden=config.hidden,
        layers=config.layers,
        bidirectional=config.bidirectional,
        shared=config.shared_embeddings,
        dropout=config.dropout,
    )


def load_questions(config: Config, run: Run) -> Mathematics:
    """Load the published questions from the user's folder, or generate similar ones."""
    return mathematics.load(
        *(run.data, run.cache, run.source, config.count),
        problems=config.problems,
        download=run.download,
    )


def train(config: Config, run: Run) -> Loop:
    """Train one network."""
    seed_everything(config.seed)
    network = build_network(config)
    yield from train_network(config, run, network, load_questions(config, run))


def train_network(config: Config, run: Run, network: Seq2Seq, data: Mathematics) -> Loop:
    """Train a network; reports loss and exact match on train and validation.

    An answer is an exact match if it is correct to its last character and ends there. Answers for
    validation and test are stored; `answers.md` shows matches by problem and sampled answers.
    """
    device = run.device
    train, validation = (
        encode_questions(data.train, device),
        encode_questions(data.validation, device),
    )
    model = network.to(device)
    optimizer = build_optimizer(
        config.optimizer,
        model,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
    )
    order = torch.Generator().manual_seed(config.seed)
    run.resume(model=model, optimizer=optimizer, order=order)

    def draw_groups(order: torch.Generator | None) -> list[Tensor]:
        # Questions of one length are mostly of one problem, and a batch of one problem is
        # biased. With eight groups training is as good as with random batches.
        size = max(1, config.batch_size // GROUPS)
        return group_by_length(train.question_lengths, train.answer_lengths, size, order)

    def batches() -> Iterator[list[Tensor]]:
        drawn = draw_groups(order)
        yield from (drawn[first : first + GROUPS] for first in range(0, GROUPS * steps, GROUPS))

    def measure(batch: list[Tensor]) -> dict[str, Tensor]:
        return {"loss": compute_loss(model, train, batch, config.label_smoothing)}

    train_count = max(1, round(run.share * min(TRAIN_SAMPLE, len(train))))
    validation_count = max(1, round(run.share * len(validation)))
    evaluation_batches = batch_questions(validation, validation_count)

    @torch.inference_mode()
    def evaluate() -> Metrics:
        return {
            "train_exact_match": compute_exact_match(model, train, train_count),
            "validation_loss": float(compute_loss(model, validation, evaluation_batches)),
            "validation_exact_match": compute_exact_match(model, validation, validation_count),
        }

    def answer(split: Questions) -> np.ndarray:
        return predict_answers(model, split.questions)

    run.keep_predictions(
        validation=lambda: answer(data.validation), test=lambda: answer(data.test)
    )
    run.add_artifact(
        "answers.md", lambda path: write_answers(path, data.validation, answer(data.validation))
    )
    if run.out_of_patience(config.patience):
        return
    steps = max(1, round(run.share * len(draw_groups(None)) / GROUPS))
    for metrics in fit(
        run,
        model,
        optimizer,
        epochs=config.epochs,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=config.learning_rate,
        schedule=get_schedule(config.schedule),
        clip=config.clip,
    ):
        yield metrics
        if run.out_of_patience(config.patience):
            return


def write_answers(path: Path, split: Questions, answers: np.ndarray) -> None:
    """Write a Markdown file of exact matches by problem, and of sampled answers."""
    is_correct = answers == split.answers
    lines = ["Exact match on validation by problem:", ""]
    lines += ["| problem | n | correct | exact match |", "| :--- | ---: | ---: | ---: |"]
    samples = ["| problem | question | answer | target |", "| :--- | :--- | :--- | :--- |"]
    draw = random.Random(0)
    for problem in sorted(set(split.problems)):
        rows = np.flatnonzero(split.problems == problem)
        matches = int(is_correct[rows].sum())
        lines.append(f"| {problem} | {len(rows):,} | {matches:,} | {matches / len(rows):.2%} |")
        for correct in (True, False):
            candidates = [int(row) for row in rows if is_correct[row] == correct]
            for row in sorted(draw.sample(candidates, min(SHOWN, len(candidates)))):
                sign = "" if correct else "✗ "
                samples.append(
                    f"| {problem} | {split.questions[row]} | {sign}{answers[row]} "
                    f"| {split.answers[row]} |"
                )
    text = "\n".join([*lines, "", "Sampled answers, the wrong ones marked ✗:", "", *samples])
    path.write_text(text + "\n", encoding="utf-8")


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load or generate the questions; groups are their problems."""
    data = load_questions(config, run)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    held_out = ("validation", "test")
    return GroundTruth(
        fingerprint=data.fingerprint,
        targets={name: splits[name].answers for name in held_out},
        inputs=lambda name: splits[name].questions,
        groups={name: splits[name].problems for name in held_out},
        examples=lambda name: (splits[name].questions, splits[name].answers),
    )


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: questions (n,) -> answers (n,)."""
    model = build_network(config)
    checkpoint.load_module(model, folder)
    example = np.array(["what is the greatest common divisor of 12 and 18?"], dtype=object)
    return Predictor(lambda questions: predict_answers(model, questions), example)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_exact_match",
    mode="max",
    prepare=prepare,
    restore=restore,
)
