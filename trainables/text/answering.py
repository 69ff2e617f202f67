"""Answers of a sequence-to-sequence model: decoded greedily, compared to the last character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.data.characters import END, PAD, START, decode, encode, group_by_length
from trainables.data.mathematics import Questions
from trainables.data.questions import MAX_LENGTHS
from trainables.models.seq2seq import Seq2Seq

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class EncodedQuestions:
    """A split as rows of tokens (n, longest), padded, and their lengths (n,)."""

    questions: Tensor
    answers: Tensor
    question_lengths: Tensor
    answer_lengths: Tensor

    def __len__(self) -> int:
        return len(self.questions)


def encode_questions(split: Questions, device: torch.device) -> EncodedQuestions:
    """Encode a split, with tokens on a device and lengths, which make batches, on the CPU."""
    questions, question_lengths = encode(split.questions)
    answers, answer_lengths = encode(split.answers)
    return EncodedQuestions(
        questions.to(device), answers.to(device), question_lengths, answer_lengths
    )


def batch_questions(split: EncodedQuestions, count: int) -> list[Tensor]:
    """Return batches of the first `count` rows, with questions of equal length in each."""
    lengths = split.question_lengths[:count], split.answer_lengths[:count]
    return group_by_length(*lengths, EVALUATION_BATCH)


def compute_loss(
    model: Seq2Seq, split: EncodedQuestions, batch: list[Tensor], label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean cross-entropy per character of a batch, given as groups of rows."""
    device = split.questions.device
    total = torch.zeros((), device=device)
    for group in batch:
        question_length = int(split.question_lengths[group[0]])
        answer_length = int(split.answer_lengths[group].max())
        rows = group.to(device)
        questions = split.questions.index_select(0, rows)[:, :question_length].int()
        answers = split.answers.index_select(0, rows)[:, :answer_length].long()
        logits = model(questions, F.pad(answers[:, :-1], (1, 0), value=START))
        total = total + F.cross_entropy(
            logits.flatten(0, 1),
            answers.flatten(),
            ignore_index=PAD,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
    return total / sum(int(split.answer_lengths[group].sum()) for group in batch)


def compute_exact_match(model: Seq2Seq, split: EncodedQuestions, count: int) -> float:
    """Return the share of the first `count` questions that are answered correctly."""
    longest = int(split.answer_lengths[:count].max())
    answers = predict_tokens(model, split, count, longest)
    return float((answers == split.answers[:count, :longest]).all(1).double().mean())


def predict_tokens(model: Seq2Seq, split: EncodedQuestions, count: int, longest: int) -> Tensor:
    """Answer the first `count` questions: tokens (count, longest), padded after each END."""
    was_training = model.training
    model.eval()
    answers = torch.full((count, longest), PAD, dtype=torch.uint8, device=split.questions.device)
    for rows in batch_questions(split, count):
        length = int(split.question_lengths[rows[0]])
        rows = rows.to(answers.device)
        questions = split.questions.index_select(0, rows)[:, :length].int()
        tokens = model.answer(questions, START, END, longest)
        ends_before = (tokens == END).cumsum(1) - (tokens == END).int()
        answers[rows, : tokens.shape[1]] = tokens.masked_fill(ends_before > 0, PAD).to(torch.uint8)
    model.train(was_training)
    return answers


def predict_answers(model: Seq2Seq, questions: np.ndarray) -> np.ndarray:
    """Answer questions (n,) by texts (n,), at most as long as the longest of the data set."""
    empty = np.full(len(questions), "", dtype=object)
    device = next(model.parameters()).device
    lower = np.array([str(question).lower() for question in questions], dtype=object)
    split = encode_questions(Questions(lower, empty, empty), device)
    tokens = predict_tokens(model, split, len(split), MAX_LENGTHS[1] + 1)
    return np.array(decode(tokens.cpu()), dtype=object)
