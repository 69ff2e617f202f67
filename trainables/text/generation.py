"""Sampling of text from a language model, with temperature, top-k and a seed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainables.errors import UserError


def sample_tokens(
    model: Callable[[Tensor], Tensor],
    tokens: Tensor,
    length: int,
    *,
    block: int,
    temperature: float = 0.8,
    top_k: int = 0,
    seed: int = 0,
) -> Tensor:
    """Append `length` sampled tokens to tokens (n,); the model gets the last `block` of them.

    `model` returns logits (1, time, tokens). With temperature 0 the most likely token is taken.
    With `top_k` above 0 only the `top_k` most likely are sampled (Fan et al., 2018).
    """
    if not (temperature >= 0 and top_k >= 0 and length >= 1):
        raise UserError(
            f"temperature={temperature} and top_k={top_k} must not be negative, "
            f"and length={length} must be at least 1"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for _ in range(length):
            logits = model(tokens[None, -block:])[0, -1].float().cpu()
            tokens = torch.cat(
                [tokens, _sample_next(logits, temperature, top_k, generator).to(tokens)]
            )
    return tokens


def _sample_next(
    logits: Tensor, temperature: float, top_k: int, generator: torch.Generator
) -> Tensor:
    if temperature == 0:
        return logits.argmax()[None]
    if 0 < top_k < len(logits):
        largest = logits.topk(top_k).indices
        logits = torch.full_like(logits, -torch.inf).index_copy(0, largest, logits[largest])
    probabilities = (logits / temperature).softmax(0)
    return torch.multinomial(probabilities, 1, generator=generator)
