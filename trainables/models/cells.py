"""Elman, GRU and LSTM layers in plain Python, to read and to compare with PyTorch's.

Names, order of the gates, initial weights and results are those of nn.RNN, nn.GRU and nn.LSTM,
so that their state_dicts are interchangeable. One Python step per character makes them slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""The state of a cell, (batch, hidden) each: h, and for the LSTM also c."""


def elman_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Compute h' = tanh(x + W h + b) (Elman, 1990); x is the input times its weights."""
    (h,) = state
    return (torch.tanh(x + F.linear(h, weight, bias)),)


def gru_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Compute a GRU step (Cho et al., 2014), reset gate after the product; x (batch, 3 hidden)."""
    (h,) = state
    x_reset, x_update, x_new = x.chunk(3, 1)
    h_reset, h_update, h_new = F.linear(h, weight, bias).chunk(3, 1)
    reset = torch.sigmoid(x_reset + h_reset)
    update = torch.sigmoid(x_update + h_update)
    new = torch.tanh(x_new + reset * h_new)
    return ((1 - update) * new + update * h,)


def lstm_cell(x: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    """Compute an LSTM step (Hochreiter and Schmidhuber, 1997); x (batch, 4 hidden)."""
    h, c = state
    into, forget, new, out = (x + F.linear(h, weight, bias)).chunk(4, 1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(new)
    return (torch.sigmoid(out) * torch.tanh(c), c)


CELLS: dict[str, tuple[Callable[[Tensor, State, Tensor, Tensor], State], int, int]] = {
    "elman": (elman_cell, 1, 1),
    "gru": (gru_cell, 3, 1),
    "lstm": (lstm_cell, 4, 2),
}
"""Step function, number of gates, and number of tensors in the state."""


class Recurrent(nn.Module):
    """Layers of a cell, in one or both directions, with PyTorch's interface for batch_first."""

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
        self.step, gates, self.state_size = CELLS[cell]
        self.hidden, self.layers, self.dropout = hidden, layers, dropout
        self.directions = ("", "_reverse") if bidirectional else ("",)
        bound = 1 / math.sqrt(hidden)
        for layer in range(layers):
            width = inputs if layer == 0 else hidden * len(self.directions)
            for suffix in self.directions:
                shapes = {"weight_ih": (width,), "weight_hh": (hidden,), "bias_ih": ()}
                for name, shape in {**shapes, "bias_hh": ()}.items():
                    drawn = torch.empty(gates * hidden, *shape).uniform_(-bound, bound)
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(drawn))

    def forward(
        self, x: Tensor, state: Tensor | State | None = None
    ) -> tuple[Tensor, Tensor | State]:
        """Map (batch, time, inputs) to (batch, time, directions x hidden) and the last state."""
        if state is None:
            zeros = x.new_zeros(self.layers * len(self.directions), len(x), self.hidden)
            state = (zeros,) * self.state_size
        before = (state,) if isinstance(state, Tensor) else state
        after: list[State] = []
        for layer in range(self.layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            directions = []
            for suffix in self.directions:
                first = tuple(part[len(after)] for part in before)
                outputs, last = self._run(x, first, f"l{layer}{suffix}", backward=bool(suffix))
                directions.append(outputs)
                after.append(last)
            x = torch.cat(directions, 2)
        parts = tuple(torch.stack(part) for part in zip(*after, strict=True))
        return x, parts if len(parts) > 1 else parts[0]

    def _run(self, x: Tensor, state: State, suffix: str, backward: bool) -> tuple[Tensor, State]:
        weights = dict(self.named_parameters())
        projected = F.linear(x, weights[f"weight_ih_{suffix}"], weights[f"bias_ih_{suffix}"])
        weight, bias = weights[f"weight_hh_{suffix}"], weights[f"bias_hh_{suffix}"]
        steps = projected.unbind(1)
        outputs = []
        for step in reversed(steps) if backward else steps:
            state = self.step(step, state, weight, bias)
            outputs.append(state[0])
        return torch.stack(outputs[::-1] if backward else outputs, 1), state
