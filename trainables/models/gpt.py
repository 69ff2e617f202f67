"""The GPT-2 architecture (Radford et al., 2019) of any size; logits equal those of GPT-2."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Causal multi-head self-attention, (batch, time, width) -> (batch, time, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # (batch, heads, time, width / heads) each
        mixed = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0, is_causal=True
        )
        return self.projection(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A pre-norm transformer block: attention and an MLP, each with a residual connection."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.attention_norm(x)))
        return x + self.drop(self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """Maps token ids (batch, time <= block) to logits of the next token (batch, time, tokens).

    The head shares its weights with the token embedding.
    """

    def __init__(
        self, tokens: int, *, block: int, layers: int, heads: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.block = block
        self.token_embedding = nn.Embedding(tokens, width)
        self.position_embedding = nn.Embedding(block, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.final_norm = nn.LayerNorm(width)
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                continue
            # The sum over the residual layers should not grow with their number.
            is_residual = name.endswith(("projection.weight", "mlp.2.weight"))
            std = 0.02 / math.sqrt(2 * layers) if is_residual else 0.02
            nn.init.normal_(weight, std=std)
        for name, bias in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(bias)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device))
        x = self.final_norm(self.blocks(self.drop(self.token_embedding(tokens) + positions)))
        return F.linear(x, self.token_embedding.weight)
