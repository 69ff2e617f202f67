"""A GPT of characters: windows and predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.errors import UserError
from trainables.text.character_gpt import CharacterGPT, compute_logits, make_predictor


def test_every_character_but_the_first_is_predicted_once_from_its_window() -> None:
    torch.manual_seed(0)
    text = "".join(f"riga {n}\n" for n in range(40))
    codes = torch.tensor(sorted(map(ord, set(text))))
    model = CharacterGPT(codes, block=16, layers=1, heads=2, width=16, dropout=0.0).eval()
    part = model.encode(text)[: 16 * 2 + 6]
    logits = compute_logits(model, part)
    assert len(logits) == len(part) - 1
    for at in (0, 15, 16, 36):
        begin = at // 16 * 16
        alone = model(part[None, begin : at + 1])[0, -1]
        assert torch.allclose(logits[at], alone, atol=1e-5)


def test_a_predictor_uses_the_last_block_of_a_text() -> None:
    torch.manual_seed(0)
    codes = torch.tensor(sorted(map(ord, "abc\n")))
    model = CharacterGPT(codes, block=4, layers=1, heads=2, width=16, dropout=0.0).eval()
    predictor = make_predictor(model)
    assert predictor.classes == ("new line", "a", "b", "c")
    texts = np.array(["ccabca", "abca", "a"], dtype=object)
    probabilities = predictor(texts)
    assert np.allclose(probabilities.sum(1), 1)
    assert np.allclose(probabilities[0], probabilities[1])
    assert not np.allclose(probabilities[0], probabilities[2])
    with pytest.raises(UserError, match="a text is empty"):
        predictor(np.array([""], dtype=object))
