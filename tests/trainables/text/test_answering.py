"""Greedy answers of a sequence-to-sequence model: exact match and order."""

from __future__ import annotations

import numpy as np
import torch

from trainables.data.characters import END, VOCABULARY_SIZE, encode
from trainables.data.mathematics import Questions
from trainables.models.seq2seq import Seq2Seq
from trainables.text.answering import (
    compute_exact_match,
    encode_questions,
    predict_answers,
    predict_tokens,
)


class FixedAnswer(Seq2Seq):
    """Answers every question with the same text, followed by `behind` after its end."""

    def __init__(self, text: str, behind: str) -> None:
        torch.nn.Module.__init__(self)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.tokens = torch.cat([encode([text])[0][0], encode([behind])[0][0]])

    def answer(self, questions: torch.Tensor, start: int, end: int, most: int) -> torch.Tensor:
        return self.tokens[:most].long().expand(len(questions), -1)


def split(*answers: str) -> Questions:
    texts = np.array(answers, dtype=object)
    questions = np.array([f"what is {n * '1'}?" for n in range(len(answers))], dtype=object)
    return Questions(questions, texts, texts)


def test_an_answer_must_be_correct_to_its_end() -> None:
    questions = split("12", "1", "123", "-12", "12")
    answers = predict_tokens(
        FixedAnswer("12", "7"), encode_questions(questions, torch.device("cpu")), 5, longest=4
    )
    truth = encode(questions.answers)[0][:, :4]
    assert (answers == truth).all(1).tolist() == [True, False, False, False, True]
    assert answers[0].tolist()[2:] == [END, 0], "characters after END do not count"
    encoded = encode_questions(questions, torch.device("cpu"))
    assert compute_exact_match(FixedAnswer("12", "7"), encoded, 5) == 2 / 5


def test_answers_have_the_order_of_their_questions() -> None:
    torch.manual_seed(0)
    model = Seq2Seq(
        VOCABULARY_SIZE,
        **{"cell": "lstm", "code": "torch", "embedding": 8, "hidden": 32, "layers": 1},
        **{"bidirectional": True, "shared": True, "dropout": 0.0},
    ).eval()
    texts = np.array(["what is 1?", "is 12345 prime?", "2", "what is 3?"], dtype=object)
    together = predict_answers(model, texts)
    assert list(together) == [predict_answers(model, texts[at : at + 1])[0] for at in range(4)]
    assert list(predict_answers(model, np.array(["WHAT IS 1?"]))) == [together[0]]
