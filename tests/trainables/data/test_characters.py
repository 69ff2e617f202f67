"""Texts as rows of character ids, and batches of equal length."""

from __future__ import annotations

import pytest
import torch

from trainables.data.characters import (
    END,
    LETTERS,
    PAD,
    VOCABULARY_SIZE,
    decode,
    encode,
    group_by_length,
)
from trainables.errors import UserError


def test_decode_inverts_encode() -> None:
    texts = ["what is 1/2?", "", LETTERS]
    rows, lengths = encode(texts)
    assert decode(rows) == texts
    assert lengths.tolist() == [13, 1, len(LETTERS) + 1]
    assert int(rows.max()) == VOCABULARY_SIZE - 1
    assert rows[0, 12:14].tolist() == [END, PAD]


@pytest.mark.parametrize("text", ["What", "più", "a\tb"])
def test_unknown_characters_are_rejected(text: str) -> None:
    with pytest.raises(UserError, match=repr(text)[1:-1].replace("\\", r"\\")):
        encode([text])


def test_every_row_is_in_one_batch_with_others_of_its_length() -> None:
    torch.manual_seed(0)
    questions, answers = torch.randint(5, 12, (500,)), torch.randint(1, 9, (500,))
    for order in (None, torch.Generator().manual_seed(0)):
        groups = group_by_length(questions, answers, 16, order)
        assert sorted(torch.cat(groups).tolist()) == list(range(500))
        assert all(len(set(questions[group].tolist())) == 1 for group in groups)
        assert max(map(len, groups)) == 16


def test_every_epoch_has_another_order() -> None:
    questions, answers = torch.full((64,), 5), torch.ones(64)
    order = torch.Generator().manual_seed(0)
    one, two = (torch.stack(group_by_length(questions, answers, 8, order)) for _ in range(2))
    assert not torch.equal(one, two)
    again = group_by_length(questions, answers, 8, torch.Generator().manual_seed(0))
    assert torch.equal(one, torch.stack(again))
