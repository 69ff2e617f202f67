"""A multi-layer perceptron over the numbers and the categories of a table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data.table_encoding import Encoding, read_encoding
from trainables.models.mlp import mlp

WIDEST = 32
"""The largest dimension of an embedding; small columns have half as many as they have levels."""


class TableMLP(nn.Module):
    """Numbers (n, width) and codes (n, categories) -> (n, outputs); saved with its encoding.

    Each column of categories has an embedding, of which the row of code 0, a missing value or an
    unknown one, is learned as the others are.
    """

    def __init__(self, encoding: Encoding, depth: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.encoding = encoding
        sizes = [len(levels) + 1 for levels in encoding.levels]
        widths = [min(WIDEST, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(map(nn.Embedding, sizes, widths))
        inputs, outputs = encoding.width + sum(widths), len(encoding.classes) or 1
        self.body = mlp(inputs, [hidden] * depth, outputs, dropout)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        embedded = [of(codes[:, index]) for index, of in enumerate(self.embeddings)]
        output: Tensor = self.body(torch.cat([numbers, *embedded], dim=1))
        return output

    # A checkpoint writes this state as JSON beside the tensors.
    def get_extra_state(self) -> dict[str, Any]:
        return self.encoding.to_json()

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self.encoding = read_encoding(state)
