"""The cells in plain Python: outputs and gradients equal PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.models.cells import Recurrent

THEIRS = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", THEIRS)
def test_outputs_states_and_gradients_equal_pytorchs(cell: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    ours = Recurrent(cell, 5, 7, layers=2, bidirectional=bidirectional)
    theirs = THEIRS[cell](5, 7, 2, bidirectional=bidirectional, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 6, 5)
    begin = torch.randn(2, 4 if bidirectional else 2, 3, 7)
    state = tuple(begin) if cell == "lstm" else begin[0]
    found = []
    for module in (ours, theirs):
        inputs = x.clone().requires_grad_()
        outputs, last = module(inputs, state)
        parts = last if isinstance(last, tuple) else (last,)
        whole = torch.cat([outputs.flatten(), *(part.flatten() for part in parts)])
        whole.sin().sum().backward()
        gradients = [weight.grad for _, weight in sorted(module.named_parameters())]
        found.append([whole, inputs.grad, *gradients])
    for mine, other in zip(*found, strict=True):
        assert mine is not None and other is not None
        assert torch.allclose(mine, other, atol=1e-5)


@pytest.mark.parametrize("cell", THEIRS)
def test_the_default_state_is_zero(cell: str) -> None:
    torch.manual_seed(0)
    ours = Recurrent(cell, 5, 7, layers=1)
    theirs = THEIRS[cell](5, 7, 1, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 6, 5)
    assert torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-5)


def test_initial_weights_equal_pytorchs() -> None:
    torch.manual_seed(0)
    ours = Recurrent("gru", 64, 128, layers=2).state_dict()
    theirs = nn.GRU(64, 128, 2).state_dict()
    for name, weight in theirs.items():
        assert ours[name].shape == weight.shape
        assert float(ours[name].std()) == pytest.approx(float(weight.std()), rel=0.05)


def test_dropout_is_between_layers_in_training_only() -> None:
    torch.manual_seed(0)
    ours = Recurrent("gru", 5, 7, layers=2, dropout=0.5)
    x = torch.randn(3, 6, 5)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
