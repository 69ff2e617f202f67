"""Sequence to sequence with recurrent networks (Sutskever et al., 2014)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.models.cells import CELLS, Recurrent

Cell = Literal["elman", "gru", "lstm"]
Code = Literal["torch", "written"]
State = tuple[Tensor, ...]


def build_recurrent(
    code: Code,
    cell: Cell,
    inputs: int,
    hidden: int,
    layers: int,
    dropout: float,
    bidirectional: bool,
) -> nn.Module:
    """Build recurrent layers, PyTorch's or those of `cells`, with dropout between layers."""
    dropout = dropout if layers > 1 else 0.0
    if code == "written":
        return Recurrent(cell, inputs, hidden, layers, dropout, bidirectional)
    modules: dict[str, Any] = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    module: nn.Module = modules[cell](
        inputs,
        hidden,
        layers,
        dropout=dropout,
        bidirectional=bidirectional,
        batch_first=True,
    )
    return module


class Seq2Seq(nn.Module):
    """An encoder of the question, and a decoder that starts from the encoder's last state.

    A linear layer combines the states of the two directions of a bidirectional encoder.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        cell: Cell,
        code: Code,
        embedding: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        shared: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.question_embedding = nn.Embedding(vocabulary_size, embedding)
        self.answer_embedding = (
            self.question_embedding if shared else nn.Embedding(vocabulary_size, embedding)
        )
        shape = (embedding, hidden, layers, dropout)
        self.encoder = build_recurrent(code, cell, *shape, bidirectional)
        self.decoder = build_recurrent(code, cell, *shape, False)
        states = CELLS[cell][2] if bidirectional else 0
        self.bridges = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(states))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, vocabulary_size)

    def forward(self, questions: Tensor, inputs: Tensor) -> Tensor:
        """Return logits (batch, time, vocabulary) of the token that follows each input token.

        `questions` (batch, time) have one length; `inputs` are the target answers, shifted right
        (teacher forcing).
        """
        return self._decode(inputs, self._encode(questions))[0]

    @torch.inference_mode()
    def answer(self, questions: Tensor, start: int, end: int, max_length: int) -> Tensor:
        """Decode greedily until every row has its end or `max_length` tokens: (batch, time)."""
        state = self._encode(questions)
        token = torch.full_like(questions[:, :1], start)
        ended = torch.zeros_like(token, dtype=torch.bool)
        tokens = []
        for _ in range(max_length):
            logits, state = self._decode(token, state)
            token = logits.argmax(2)
            tokens.append(token)
            ended |= token == end
            if bool(ended.all()):
                break
        return torch.cat(tokens, 1)

    def _encode(self, questions: Tensor) -> State:
        _, state = self.encoder(self.drop(self.question_embedding(questions)))
        parts = state if isinstance(state, tuple) else (state,)
        if not self.bridges:
            return parts
        both = [part.unflatten(0, (self.layers, 2)).transpose(1, 2).flatten(2) for part in parts]
        return tuple(bridge(part) for bridge, part in zip(self.bridges, both, strict=True))

    def _decode(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        before = state if len(state) > 1 else state[0]
        outputs, after = self.decoder(self.drop(self.answer_embedding(inputs)), before)
        logits: Tensor = self.head(self.drop(outputs))
        return logits, after if isinstance(after, tuple) else (after,)
