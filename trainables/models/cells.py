"""Elman, GRU and LSTM layers written out, to be read and to be checked against PyTorch's.

Names, order of the gates, initial weights and results are those of nn.RNN, nn.GRU and nn.LSTM,
so that one can be loaded into the other; one Python step per character makes them slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""What a cell remembers, (batch, hidden) each: h, and for the LSTM also c."""


def elman_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Elman (1990): h' = tanh(x + W h + b); x (batch, hidden) is the input times its weights."""
    (h,) = state
    return (torch.tanh(x + F.linear(h, weight, bias)),)


def gru_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Cho et al. (2014), with the reset gate after the product; x (batch, 3 hidden)."""
    (h,) = state
    x_reset, x_update, x_new = x.chunk(3, 1)
    h_reset, h_update, h_new = F.linear(h, weight, bias).chunk(3, 1)
    reset = torch.sigmoid(x_reset + h_reset)
    update = torch.sigmoid(x_update + h_update)
    new = torch.tanh(x_new + reset * h_new)
    return ((1 - update) * new + update * h,)


def lstm_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Hochreiter and Schmidhuber (1997) with a forget gate; x (batch, 4 hidden)."""
    h, c = state
    into, forget, new, out = (x + F.linear(h, weight, bias)).chunk(4, 1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(new)
    return (torch.sigmoid(out) * torch.tanh(c), c)


CELLS: dict[str, tuple[Callable[[Tensor, State, Tensor, Tensor], State], int, int]] = {
    "elman": (elman_cell, 1, 1),
    "gru": (gru_cell, 3, 1),
    "lstm": (lstm_cell, 4, 2),
}
"""Step, number of gates, and number of tensors in the state."""


class Recurrent(nn.Module):
    """Layers of a cell, in one direction or both, called as PyTorch's with batch_first."""

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        layers: int,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.step, gates, self.remembered = CELLS[cell]
        self.hidden, self.layers, self.dropout = hidden, layers, dropout
        self.directions = ("", "_reverse") if bidirectional else ("",)
        bound = 1 / math.sqrt(hidden)
        for layer in range(layers):
            wide = inputs if layer == 0 else hidden * len(self.directions)
            for end in self.directions:
                shapes = {"weight_ih": (wide,), "weight_hh": (hidden,), "bias_ih": ()}
                for name, shape in {**shapes, "bias_hh": ()}.items():
                    drawn = torch.empty(gates * hidden, *shape).uniform_(-bound, bound)
                    self.register_parameter(f"{name}_l{layer}{end}", nn.Parameter(drawn))

    def forward(
        self, x: Tensor, state: Tensor | State | None = None
    ) -> tuple[Tensor, Tensor | State]:
        """(batch, time, inputs) -> (batch, time, directions x hidden), and the last state."""
        if state is None:
            blank = x.new_zeros(self.layers * len(self.directions), len(x), self.hidden)
            state = (blank,) * self.remembered
        before = (state,) if isinstance(state, Tensor) else state
        after: list[State] = []
        for layer in range(self.layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            ways = []
            for end in self.directions:
                begin = tuple(part[len(after)] for part in before)
                outputs, last = self._run(x, begin, f"l{layer}{end}", backwards=bool(end))
                ways.append(outputs)
                after.append(last)
            x = torch.cat(ways, 2)
        parts = tuple(torch.stack(part) for part in zip(*after, strict=True))
        return x, parts if len(parts) > 1 else parts[0]

    def _run(self, x: Tensor, state: State, end: str, backwards: bool) -> tuple[Tensor, State]:
        weights = dict(self.named_parameters())
        fed = F.linear(x, weights[f"weight_ih_{end}"], weights[f"bias_ih_{end}"])
        weight, bias = weights[f"weight_hh_{end}"], weights[f"bias_hh_{end}"]
        steps = fed.unbind(1)
        outputs = []
        for step in reversed(steps) if backwards else steps:
            state = self.step(step, state, weight, bias)
            outputs.append(state[0])
        return torch.stack(outputs[::-1] if backwards else outputs, 1), state
