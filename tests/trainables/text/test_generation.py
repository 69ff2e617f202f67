"""Sampling of text: temperature, top-k, seed and context."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.errors import UserError
from trainables.text.generation import sample_tokens


def after(tokens: Tensor) -> Tensor:
    """Likeliest is the next number of 10, then the one behind it, then all others."""
    logits = torch.zeros(1, tokens.shape[1], 10)
    for place, token in enumerate(tokens[0].tolist()):
        logits[0, place, (token + 1) % 10] = 3.0
        logits[0, place, (token + 2) % 10] = 2.0
    return logits


def write(length: int = 50, **settings: Any) -> list[int]:
    found = sample_tokens(after, torch.tensor([4]), length, **{"block": 8, **settings})
    return found.tolist()


def test_without_temperature_the_most_likely_token_is_taken() -> None:
    assert write(12, temperature=0) == [(4 + step) % 10 for step in range(13)]
    assert write(12, top_k=1) == write(12, temperature=0)


def test_top_k_limits_the_candidates() -> None:
    steps = {(b - a) % 10 for a, b in pairwise(write(300, top_k=2))}
    assert steps == {1, 2}
    free = write(300, temperature=2.0)
    assert len({(b - a) % 10 for a, b in pairwise(free)}) == 10


def test_equal_seeds_sample_equal_texts() -> None:
    assert write(seed=3) == write(seed=3) != write(seed=4)


def test_the_model_gets_no_more_than_its_block() -> None:
    lengths = []

    def model(tokens: Tensor) -> Tensor:
        lengths.append(tokens.shape[1])
        return after(tokens)

    sample_tokens(model, torch.arange(5), 6, block=7)
    assert lengths == [5, 6, 7, 7, 7, 7]


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": -1}, {"length": 0}])
def test_invalid_arguments_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=str(next(iter(wrong.values())))):
        write(**wrong)
