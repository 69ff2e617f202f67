"""Text from a model of the next token: temperature, top-k, and nothing that is not seeded."""

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
    """Go on after tokens (n,), of which the model sees the last `block`: (n + length,).

    `model` gives logits (1, time, tokens). A temperature of 0 takes the likeliest token; `top_k`
    above 0 leaves only so many to draw from (Fan et al., 2018).
    """
    if not (temperature >= 0 and top_k >= 0 and length >= 1):
        raise UserError(
            f"temperature={temperature} and top_k={top_k} must not be negative, "
            f"and length={length} must be at least 1"
        )
    draws = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for _ in range(length):
            logits = model(tokens[None, -block:])[0, -1].float().cpu()
            tokens = torch.cat([tokens, _next(logits, temperature, top_k, draws).to(tokens)])
    return tokens


def _next(logits: Tensor, temperature: float, top_k: int, draws: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax()[None]
    if 0 < top_k < len(logits):
        kept = logits.topk(top_k).indices
        logits = torch.full_like(logits, -torch.inf).index_copy(0, kept, logits[kept])
    chances = (logits / temperature).softmax(0)
    return torch.multinomial(chances, 1, generator=draws)
