"""GPT: the logits of GPT-2 for the weights of GPT-2, and causal attention."""

from __future__ import annotations

import torch

from trainables.models.gpt import GPT


def test_logits_equal_those_of_transformers_gpt2() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel  # isort: skip

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=23, n_positions=16, n_embd=24, n_layer=3, n_head=4, initializer_range=0.3
    )
    theirs = GPT2LMHeadModel(config).eval()
    for weight in theirs.parameters():  # so that biases and scales, initially 0 and 1, matter, too
        weight.data += 0.1 * torch.randn_like(weight)
    ours = GPT(23, block=16, layers=3, heads=4, width=24, dropout=0.1).eval()
    names = {
        "wte": "token_embedding",
        "wpe": "position_embedding",
        "ln_f": "final_norm",
        "h": "blocks",
        "ln_1": "attention_norm",
        "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.projection",
        "ln_2": "mlp_norm",
        "mlp.c_fc": "mlp.0",
        "mlp.c_proj": "mlp.2",
    }
    weights = {}
    for name, weight in theirs.transformer.state_dict().items():
        # Their projections are stored inputs first.
        turned = weight.T if ".c_" in name and weight.dim() == 2 else weight
        for old, new in names.items():
            name = f".{name}".replace(f".{old}.", f".{new}.")[1:]
        weights[name] = turned
    ours.load_state_dict(weights)
    tokens = torch.randint(23, (2, 16))
    assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-4)


def test_attention_is_causal() -> None:
    torch.manual_seed(0)
    model = GPT(11, block=8, layers=2, heads=2, width=16, dropout=0.0).eval()
    tokens = torch.randint(11, (1, 8))
    other = tokens.clone()
    other[0, 5:] = (other[0, 5:] + 1) % 11
    one, two = model(tokens), model(other)
    assert torch.allclose(one[:, :5], two[:, :5], atol=1e-6)
    assert not torch.allclose(one[:, 5], two[:, 5], atol=1e-6)


def test_initial_predictions_are_nearly_uniform() -> None:
    torch.manual_seed(0)
    model = GPT(11, block=8, layers=4, heads=2, width=64, dropout=0.0).eval()
    logits = model(torch.randint(11, (4, 8)))
    assert float(logits.detach().abs().max()) < 1.0
