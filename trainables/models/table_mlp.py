"""A multi-layer perceptron over the numbers and the categories of a table's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainables.models.mlp import mlp

WIDEST = 32
"""The largest dimension of an embedding; small columns have half as many as they have codes."""


class TableMLP(nn.Module):
    """Numbers (n, inputs) and codes (n, categories) -> (n, outputs).

    Each column of categories has an embedding of as many rows as `codes` says. `description` is
    JSON that is saved with the weights: how the columns of a table are encoded.
    """

    def __init__(
        self,
        inputs: int,
        codes: Sequence[int],
        hidden: Sequence[int],
        outputs: int,
        dropout: float,
        description: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.description = description
        widths = [min(WIDEST, (count + 1) // 2) for count in codes]
        self.embeddings = nn.ModuleList(map(nn.Embedding, codes, widths))
        self.body = mlp(inputs + sum(widths), hidden, outputs, dropout)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        embedded = [of(codes[:, index]) for index, of in enumerate(self.embeddings)]
        output: Tensor = self.body(torch.cat([numbers, *embedded], dim=1))
        return output

    # A checkpoint writes this state as JSON beside the tensors.
    def get_extra_state(self) -> Mapping[str, Any]:
        return self.description

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self.description = state
