"""Questions answered by characters: teacher forcing to train, greedy decoding to score."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data.characters import END, PAD, START, decode, encode, group_by_length
from trainables.data.mathematics import Mathematics, Questions
from trainables.data.questions import LONGEST
from trainables.fit import fit
from trainables.models.seq2seq import Seq2Seq
from trainables.optim import build_optimizer, get_schedule
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run

EVALUATION_BATCH = 512
GROUPS = 8  # of a batch
TRAIN_SAMPLE = 2000  # questions of the training set that are answered after every report
SHOWN = 2  # right and wrong answers shown of every problem


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the fields that a space's Config must have.

    The learning rate is the peak value, `epochs` are per report, `clip` the largest gradient
    norm (0: none). After `patience` reports without a better one the training ends (0: never).
    """

    seed: int
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    label_smoothing: float
    clip: float
    patience: int


@dataclass(frozen=True)
class Rows:
    """A split as rows of signs (n, longest), and how many of them count."""

    questions: Tensor
    answers: Tensor
    question_lengths: Tensor
    answer_lengths: Tensor

    def __len__(self) -> int:
        return len(self.questions)


def rows(split: Questions, device: torch.device) -> Rows:
    """Put a split's signs on a device; the lengths, which make batches, stay on the host."""
    (questions, asked), (answers, given) = encode(split.questions), encode(split.answers)
    return Rows(questions.to(device), answers.to(device), asked, given)


def answer_questions(config: Any, run: Run, network: Seq2Seq, data: Mathematics) -> Loop:
    """Train a network to answer; reports loss and exact matches on train and validation.

    An answer matches when it is right to its last character and ends there. Answers to
    validation and test are kept; `answers.md` shows matches by problem and sampled answers.
    """
    recipe = Recipe(**{field.name: getattr(config, field.name) for field in fields(Recipe)})
    device = run.device
    train, validation = rows(data.train, device), rows(data.validation, device)
    model = network.to(device)
    updates = build_optimizer(
        recipe.optimizer,
        model,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=0.0,
    )
    order = torch.Generator().manual_seed(recipe.seed)
    run.resume(model=model, optimizer=updates, order=order)

    def groups(order: torch.Generator | None) -> list[Tensor]:
        # Questions of one length are mostly of one problem: a batch of them alone would pull
        # towards that problem. With eight groups it learns as from random batches.
        size = max(1, recipe.batch_size // GROUPS)
        return group_by_length(train.question_lengths, train.answer_lengths, size, order)

    def batches() -> Iterator[list[Tensor]]:
        drawn = groups(order)
        yield from (drawn[first : first + GROUPS] for first in range(0, GROUPS * steps, GROUPS))

    def logits_of(split: Rows, chosen: Tensor) -> tuple[Tensor, Tensor]:
        asked = int(split.question_lengths[chosen[0]])
        given = int(split.answer_lengths[chosen].max())
        chosen = chosen.to(device)
        questions = split.questions.index_select(0, chosen)[:, :asked].int()
        answers = split.answers.index_select(0, chosen)[:, :given].long()
        fed = F.pad(answers[:, :-1], (1, 0), value=START)
        return model(questions, fed), answers

    def entropy(split: Rows, batch: list[Tensor], smoothing: float = 0.0) -> Tensor:
        total = torch.zeros((), device=device)
        for chosen in batch:
            logits, answers = logits_of(split, chosen)
            total = total + F.cross_entropy(
                logits.flatten(0, 1),
                answers.flatten(),
                ignore_index=PAD,
                reduction="sum",
                label_smoothing=smoothing,
            )
        return total / sum(int(split.answer_lengths[chosen].sum()) for chosen in batch)

    def measure(batch: list[Tensor]) -> dict[str, Tensor]:
        return {"loss": entropy(train, batch, recipe.label_smoothing)}

    def matches(split: Rows, most: int) -> float:
        longest = int(split.answer_lengths[:most].max())
        given = answers_to(model, split, most, longest)
        return float((given == split.answers[:most, :longest]).all(1).double().mean())

    sampled = max(1, round(run.share * min(TRAIN_SAMPLE, len(train))))
    asked = max(1, round(run.share * len(validation)))

    @torch.inference_mode()
    def evaluate() -> Metrics:
        return {
            "train_exact_match": matches(train, sampled),
            "validation_loss": float(entropy(validation, _in_order(validation, asked))),
            "validation_exact_match": matches(validation, asked),
        }

    def kept(split: Questions) -> np.ndarray:
        return answers(model, split.questions)

    run.keep_predictions(validation=lambda: kept(data.validation), test=lambda: kept(data.test))
    run.show("answers.md", lambda path: _exhibit(path, data.validation, kept(data.validation)))
    if run.out_of_patience(recipe.patience):
        return
    steps = max(1, round(run.share * len(groups(None)) / GROUPS))
    for metrics in fit(
        run,
        model,
        updates,
        epochs=recipe.epochs,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=recipe.learning_rate,
        schedule=get_schedule(recipe.schedule),
        clip=recipe.clip,
    ):
        yield metrics
        if run.out_of_patience(recipe.patience):
            return


def answers_to(model: Seq2Seq, split: Rows, count: int, most: int) -> Tensor:
    """Answer the first questions of a split: signs (count, most), padded from each END on."""
    was_training = model.training
    model.eval()
    found = torch.full((count, most), PAD, dtype=torch.uint8, device=split.questions.device)
    for chosen in _in_order(split, count):
        asked = int(split.question_lengths[chosen[0]])
        chosen = chosen.to(found.device)
        questions = split.questions.index_select(0, chosen)[:, :asked].int()
        given = model.answer(questions, START, END, most)
        before = (given == END).cumsum(1) - (given == END).int()
        found[chosen, : given.shape[1]] = given.masked_fill(before > 0, PAD).to(torch.uint8)
    model.train(was_training)
    return found


def answers(model: Seq2Seq, questions: np.ndarray) -> np.ndarray:
    """Answer questions (n,) with texts (n,), each at most as long as any of the data set."""
    blank = np.full(len(questions), "", dtype=object)
    device = next(model.parameters()).device
    asked = np.array([str(question).lower() for question in questions], dtype=object)
    split = rows(Questions(asked, blank, blank), device)
    given = answers_to(model, split, len(split), LONGEST[1] + 1)
    return np.array(decode(given.cpu()), dtype=object)


def _in_order(split: Rows, count: int) -> list[Tensor]:
    lengths = split.question_lengths[:count], split.answer_lengths[:count]
    return group_by_length(*lengths, EVALUATION_BATCH)


def restored(network: Seq2Seq, folder: Path) -> Predictor:
    """Fill a network from a checkpoint: takes questions (n,), gives answers (n,)."""
    model = network
    checkpoint.load_module(model, folder)
    example = np.array(["what is the greatest common divisor of 12 and 18?"], dtype=object)
    return Predictor(lambda questions: answers(model, questions), example)


def truth(data: Mathematics) -> GroundTruth:
    """Give a report the right answers, the questions, and the problem that each belongs to."""
    splits = {"validation": data.validation, "test": data.test}
    return GroundTruth(
        fingerprint=data.fingerprint,
        targets={name: split.answers for name, split in splits.items()},
        inputs=lambda name: splits[name].questions,
        groups={name: split.problems for name, split in splits.items()},
    )


def _exhibit(path: Path, split: Questions, given: np.ndarray) -> None:
    right = given == split.answers
    lines = ["Exact match on validation by problem:", "", "| problem | n | right | exact match |"]
    lines.append("| :--- | ---: | ---: | ---: |")
    samples = ["| problem | question | answer given | truth |", "| :--- | :--- | :--- | :--- |"]
    draw = random.Random(0)
    for problem in sorted(set(split.problems)):
        of = np.flatnonzero(split.problems == problem)
        hits = int(right[of].sum())
        lines.append(f"| {problem} | {len(of):,} | {hits:,} | {hits / len(of):.2%} |")
        for wanted in (True, False):
            found = [int(place) for place in of if right[place] == wanted]
            for place in sorted(draw.sample(found, min(SHOWN, len(found)))):
                sign = "" if wanted else "✗ "
                samples.append(
                    f"| {problem} | {split.questions[place]} | {sign}{given[place]} "
                    f"| {split.answers[place]} |"
                )
    text = "\n".join([*lines, "", "Sampled answers, the wrong ones marked ✗:", "", *samples])
    path.write_text(text + "\n", encoding="utf-8")
