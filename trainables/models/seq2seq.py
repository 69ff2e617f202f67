"""Sequence to sequence with recurrent cells (Sutskever et al., 2014): read, then write."""

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
    """Build layers of a cell, of PyTorch or written out; dropout stands between layers."""
    dropout = dropout if layers > 1 else 0.0
    if code == "written":
        return Recurrent(cell, inputs, hidden, layers, dropout, bidirectional)
    modules: dict[str, Any] = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    built: nn.Module = modules[cell](
        inputs,
        hidden,
        layers,
        dropout=dropout,
        bidirectional=bidirectional,
        batch_first=True,
    )
    return built


class Seq2Seq(nn.Module):
    """An encoder that reads the question, and a decoder that starts from its last state.

    The states of a bidirectional encoder's two directions are put together by a linear layer.
    """

    def __init__(
        self,
        signs: int,
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
        self.read = nn.Embedding(signs, embedding)
        self.written = self.read if shared else nn.Embedding(signs, embedding)
        shape = (embedding, hidden, layers, dropout)
        self.encoder = build_recurrent(code, cell, *shape, bidirectional)
        self.decoder = build_recurrent(code, cell, *shape, False)
        states = CELLS[cell][2] if bidirectional else 0
        self.bridges = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(states))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, signs)

    def forward(self, questions: Tensor, fed: Tensor) -> Tensor:
        """Read questions (batch, time), all of one length, and be fed the right answers' signs.

        Gives logits (batch, time, signs) of the sign that follows each one fed.
        """
        return self._write(fed, self._read(questions))[0]

    @torch.inference_mode()
    def answer(self, questions: Tensor, start: int, end: int, most: int) -> Tensor:
        """Write greedily until every row has its end, at most so many signs: (batch, written)."""
        state = self._read(questions)
        sign = torch.full_like(questions[:, :1], start)
        ended = torch.zeros_like(sign, dtype=torch.bool)
        signs = []
        for _ in range(most):
            logits, state = self._write(sign, state)
            sign = logits.argmax(2)
            signs.append(sign)
            ended |= sign == end
            if bool(ended.all()):
                break
        return torch.cat(signs, 1)

    def _read(self, questions: Tensor) -> State:
        _, state = self.encoder(self.drop(self.read(questions)))
        parts = state if isinstance(state, tuple) else (state,)
        if not self.bridges:
            return parts
        both = [part.unflatten(0, (self.layers, 2)).transpose(1, 2).flatten(2) for part in parts]
        return tuple(bridge(part) for bridge, part in zip(self.bridges, both, strict=True))

    def _write(self, fed: Tensor, state: State) -> tuple[Tensor, State]:
        whole = state if len(state) > 1 else state[0]
        outputs, after = self.decoder(self.drop(self.written(fed)), whole)
        logits: Tensor = self.head(self.drop(outputs))
        return logits, after if isinstance(after, tuple) else (after,)
