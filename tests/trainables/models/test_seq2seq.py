"""Sequence to sequence: greedy decoding agrees with teacher forcing, and it stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.models.cells import CELLS
from trainables.models.seq2seq import Seq2Seq

START, END = 1, 2


def network(**settings: Any) -> Seq2Seq:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        **{"cell": "gru", "code": "torch", "embedding": 6, "hidden": 8, "layers": 2},
        **{"bidirectional": True, "shared": True, "dropout": 0.1},
    }
    return Seq2Seq(12, **{**shape, **settings}).eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_greedy_answers_agree_with_teacher_forcing(cell: str, bidirectional: bool) -> None:
    model = network(cell=cell, bidirectional=bidirectional)
    questions = torch.randint(3, 12, (5, 7))
    answers = model.answer(questions, START, END, max_length=6)
    inputs = torch.cat([torch.full((5, 1), START), answers[:, :-1]], 1)
    assert torch.equal(model(questions, inputs).argmax(2), answers)


@pytest.mark.parametrize("cell", CELLS)
def test_own_cells_answer_like_pytorchs(cell: str) -> None:
    theirs, ours = network(cell=cell), network(cell=cell, code="written")
    ours.load_state_dict(theirs.state_dict())
    questions, inputs = torch.randint(3, 12, (5, 7)), torch.randint(3, 12, (5, 4))
    assert torch.allclose(theirs(questions, inputs), ours(questions, inputs), atol=1e-5)


def test_decoding_stops_when_all_answers_have_ended() -> None:
    model = network()
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    model.head.bias.data[END] = 1.0
    assert (
        model.answer(torch.randint(3, 12, (5, 7)), START, END, max_length=6).tolist()
        == [[END]] * 5
    )


def test_a_shared_embedding_is_one_module() -> None:
    sizes = [sum(weight.numel() for weight in network(shared=s).parameters()) for s in (1, 0)]
    assert sizes[1] - sizes[0] == 12 * 6
