"""LoRA adapters: target modules of each architecture, published sizes, and saved files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.errors import UserError
from trainables.text import encoders, lora_adapters
from trainables.text.encoders import Encoder

transformers: Any = pytest.importorskip("transformers")

SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20}
DISTIL = {"dim": 8, "hidden_dim": 16, "n_layers": 2, "n_heads": 2, "vocab_size": 20}
ARCHITECTURES = {
    "DistilBert": (DISTIL, ("q_lin", "k_lin", "v_lin", "out_lin")),
    "Bert": (SMALL, ("query", "key", "value", "output.dense")),
    "Roberta": (SMALL, ("query", "key", "value", "output.dense")),
    "MPNet": (SMALL, ("attn.q", "attn.k", "attn.v", "attn.o")),
    "Electra": (SMALL, ("query", "key", "value", "output.dense")),
    "DebertaV2": (SMALL, ("query_proj", "key_proj", "value_proj", "attention.output.dense")),
    "Albert": (SMALL, ("query", "key", "value", "attention.dense")),
}


def _network(name: str, **settings: Any) -> Any:
    config = getattr(transformers, f"{name}Config")(**settings)
    return getattr(transformers, f"{name}ForSequenceClassification")(config)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_letters_select_the_matrices_of_the_attention(name: str) -> None:
    settings, endings = ARCHITECTURES[name]
    network = _network(name, **settings)
    layers = 1 if name == "Albert" else 2  # Albert's layers share their weights
    for letter, ending in zip("qkvo", endings, strict=True):
        found = lora_adapters.find_target_modules(network, letter)
        assert len(found) == layers
        assert all(path.endswith(ending) for path in found)
        assert all("attention" in path or "attn" in path for path in found)
    assert len(lora_adapters.find_target_modules(network, "qkvo")) == 4 * layers
    every = lora_adapters.find_target_modules(network, "all")
    assert set(lora_adapters.find_target_modules(network, "qkvo")) < set(every)
    assert not [path for path in every if "classifier" in path]


GPT = {"n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 20}
BLOOM = {"hidden_size": 8, "n_layer": 2, "n_head": 2, "vocab_size": 20}
LLAMA = {**SMALL, "intermediate_size": 16}


@pytest.mark.parametrize(
    ("name", "settings", "fused", "output"),
    [
        ("GPT2", GPT, "attn.c_attn", "attn.c_proj"),
        ("GPTNeoX", LLAMA, "query_key_value", "attention.dense"),
        ("Bloom", BLOOM, "query_key_value", "self_attention.dense"),
        ("ModernBert", {**LLAMA, "pad_token_id": 0}, "attn.Wqkv", "attn.Wo"),
    ],
)
def test_a_matrix_of_q_k_and_v_is_adapted_once(
    name: str, settings: dict[str, int], fused: str, output: str
) -> None:
    network = _network(name, **settings)
    for letters in ("q", "v", "qv"):
        found = lora_adapters.find_target_modules(network, letters)
        assert len(found) == 2
        assert all(path.endswith(fused) for path in found)
    both = lora_adapters.find_target_modules(network, "qkvo")
    assert len(both) == 4
    assert sum(path.endswith(output) for path in both) == 2


def test_adapters_of_gpt2_start_as_the_model_and_are_trained() -> None:
    network = _network("GPT2", **GPT, pad_token_id=0).eval()
    ids = torch.arange(1, 13).reshape(2, 6)
    before = network(input_ids=ids).logits
    adapted = lora_adapters.add_adapters(network, {"score.weight"}, "qv", 2, 4, 0.0).eval()
    torch.testing.assert_close(adapted(input_ids=ids).logits, before)
    adapted(input_ids=ids).logits.sum().backward()
    weights = {n: w for n, w in adapted.named_parameters() if w.requires_grad}
    assert {name.rpartition("c_attn.")[2] for name in weights if "lora" in name} == {
        "lora_A.default.weight",
        "lora_B.default.weight",
    }
    assert all(w.grad is not None for w in weights.values())


def test_an_unknown_architecture_names_its_layers() -> None:
    network = _network("Funnel", d_model=8, n_head=2, d_head=4, d_inner=8, vocab_size=20)
    with pytest.raises(UserError, match=r"attention\.q_head.*\n.*targets=all"):
        lora_adapters.find_target_modules(network, "q")
    assert lora_adapters.find_target_modules(network, "all")


@pytest.mark.parametrize(
    ("targets", "rank", "published"),
    [
        *(("q", 8, 5.82), ("q", 16, 5.87), ("qv", 8, 5.87), ("qv", 16, 5.95)),
        *(("qkvo", 8, 5.95), ("qkvo", 16, 6.07), ("", 0, 7.83)),
    ],
)
def test_distilbert_trains_as_many_weights_as_published(
    targets: str, rank: int, published: float
) -> None:
    with torch.device("meta"):
        network = _network("DistilBert")  # its defaults are distilbert-base-uncased
        if targets:
            network = lora_adapters.add_adapters(network, set(), targets, rank, 16, 0.0)
    assert round(math.log10(lora_adapters.count_trainable(network)), 2) == published


def _classifier(seed: int = 0, **settings: Any) -> lora_adapters.Classifier:
    torch.manual_seed(seed)
    return lora_adapters.load_classifier(
        Encoder("tiny", None), 2, targets="qv", rank=2, **settings
    )[0]


IDS = torch.arange(12).reshape(2, 6)
MASK = torch.ones_like(IDS)


def test_only_trained_weights_are_saved() -> None:
    one, other = _classifier(0), _classifier(1)
    state = one.state_dict()
    assert {name.split(".")[-2] for name in state} == {"default"}
    assert sum(weight.numel() for weight in state.values()) == lora_adapters.count_trainable(one)
    one.eval(), other.eval()
    assert not torch.equal(one(IDS, MASK), other(IDS, MASK))
    other.load_state_dict(state)
    assert torch.equal(one(IDS, MASK), other(IDS, MASK))
    with pytest.raises(ValueError, match="keys do not match"):
        lora_adapters.load_classifier(Encoder("tiny", None), 2)[0].load_state_dict(state)


def test_parameters_missing_in_the_files_are_trained() -> None:
    network = _network("Bert", **SMALL)
    drawn = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight"}
    found = lora_adapters.add_adapters(network, drawn, "all", 2, 4, 0.0)
    learnt = {name for name, weight in found.named_parameters() if weight.requires_grad}
    assert any("pooler.dense.modules_to_save" in name for name in learnt)
    assert not any("pooler" in name and "lora" in name for name in learnt)


def test_peft_loads_what_was_saved(tmp_path: Path) -> None:
    import peft  # after trainables: it imports torchvision

    model = _classifier().eval()
    with torch.no_grad():
        for weight in model.state_dict().values():
            weight.add_(0.3)
    lora_adapters.save_adapters(model, tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 100_000
    torch.manual_seed(5)
    base, _ = encoders.load_classifier(Encoder("tiny", None), 2)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    logits = loaded(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(logits, model(IDS, MASK))
