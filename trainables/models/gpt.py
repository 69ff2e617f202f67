"""The GPT-2 architecture (Radford et al., 2019) at any size; equal weights give equal logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Causal self-attention of several heads, (batch, time, width) -> the same."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.inward(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)  # (batch, heads, time, width / heads) each
        seen = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0, is_causal=True
        )
        return self.outward(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a perceptron, each on normalised input and added to it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.before_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.before_attention(x)))
        return x + self.drop(self.perceptron(self.before_perceptron(x)))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """Token numbers (batch, time <= block) -> logits of the next ones (batch, time, tokens).

    The embedding of the tokens is the head too.
    """

    def __init__(
        self, tokens: int, *, block: int, layers: int, heads: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.block = block
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Embedding(block, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.last = nn.LayerNorm(width)
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                continue
            # Sums over the layers should not grow with their number.
            onto = name.endswith(("outward.weight", "perceptron.2.weight"))
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers) if onto else 0.02)
        for name, bias in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(bias)

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.places(torch.arange(tokens.shape[1], device=tokens.device))
        x = self.last(self.blocks(self.drop(self.tokens(tokens) + places)))
        return F.linear(x, self.tokens.weight)
