"""LoRA adapters (Hu et al., 2021) for the matrices of encoders and decoders, with peft."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.text import encoders
from trainables.text.encoders import Encoder

# Names of the attention's matrices q, k, v and o in each architecture.
NAMES = (
    {"q": "q_lin", "k": "k_lin", "v": "v_lin", "o": "out_lin"},  # DistilBERT
    {"q": "query", "k": "key", "v": "value", "o": "attention.output.dense"},  # BERT, RoBERTa
    {"q": "query", "k": "key", "v": "value", "o": "attention.dense"},  # ALBERT
    {"q": "attn.q", "k": "attn.k", "v": "attn.v", "o": "attn.o"},  # MPNet
    {"q": "query_proj", "k": "key_proj", "v": "value_proj", "o": "attention.output.dense"},
    {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"},  # BART, CLIP
    {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"},  # LLaMA
    # One matrix for q, k and v, which gets one adapter:
    dict.fromkeys("qkv", "attn.c_attn") | {"o": "attn.c_proj"},  # GPT-2
    dict.fromkeys("qkv", "query_key_value") | {"o": "attention.dense"},  # GPT-NeoX, Falcon
    dict.fromkeys("qkv", "query_key_value") | {"o": "self_attention.dense"},  # BLOOM
    dict.fromkeys("qkv", "attn.Wqkv") | {"o": "attn.Wo"},  # ModernBERT
    dict.fromkeys("qkv", "qkv_proj") | {"o": "o_proj"},  # Phi-3
)


class Classifier(nn.Module):
    """An encoder with a head, whose state_dict holds the trained weights only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits (n, classes) of token ids (n, tokens) with their mask."""
        logits: Tensor = self.network(input_ids=ids, attention_mask=mask).logits
        return logits

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the trained weights by name."""
        return {
            name: weight.detach()
            for name, weight in self.network.named_parameters()
            if weight.requires_grad
        }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load trained weights; raises ValueError for those of another network."""
        weights = self.state_dict()
        if weights.keys() != state_dict.keys():
            raise ValueError(
                f"keys do not match: {sorted(weights.keys() ^ state_dict.keys())[:4]}"
            )
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state_dict[name])


def load_classifier(
    encoder: Encoder,
    classes: int,
    *,
    targets: str = "",
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.0,
) -> tuple[Classifier, int]:
    """Load an encoder with a new head, to train completely or, with `targets`, with adapters.

    `targets` are letters of q, k, v and o, or "all" for every linear layer. Adapters of `rank`
    are scaled by alpha / rank. The head and the parameters that the files lack are always
    trained. Also return the number of parameters without adapters.
    """
    network, initialized = encoders.load_classifier(encoder, classes)
    parameters = sum(weight.numel() for weight in network.parameters())
    if targets:
        network = add_adapters(network, initialized, targets, rank, alpha, dropout)
        network.peft_config["default"].base_model_name_or_path = encoders.get_repository(encoder)
    return Classifier(network), parameters


def add_adapters(
    network: nn.Module, initialized: set[str], targets: str, rank: int, alpha: int, dropout: float
) -> Any:
    """Freeze a classifier except its head and `initialized` parameters, and add adapters."""
    import peft
    from transformers.pytorch_utils import Conv1D

    trained = find_heads(network) | {name.rpartition(".")[0] for name in initialized}
    trained = {
        name for name in trained if not any(name.startswith(f"{other}.") for other in trained)
    }
    adapted = [
        name
        for name in find_target_modules(network, targets)
        if not any(f"{name}.".startswith(f"{other}.") for other in trained)
    ]
    settings = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=adapted,
        modules_to_save=sorted(trained),
        fan_in_fan_out=all(isinstance(network.get_submodule(name), Conv1D) for name in adapted),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # raised by transformers when peft calls it
        return peft.get_peft_model(network, settings)


def find_target_modules(network: Any, targets: str) -> list[str]:
    """Return the names of the linear layers that the letters of `targets`, or "all", select.

    A matrix that several letters share is returned once. Raises UserError with the existing names
    for an unknown architecture.
    """
    from transformers.pytorch_utils import Conv1D  # a linear layer with a transposed matrix

    prefix = network.base_model_prefix
    linear = [
        f"{prefix}.{name}"
        for name, module in getattr(network, prefix).named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    ]
    if targets == "all":
        return linear

    def with_suffix(suffix: str) -> list[str]:
        return [name for name in linear if name.endswith(f".{suffix}")]

    for names in NAMES:
        if all(with_suffix(suffix) for suffix in names.values()):
            return list(dict.fromkeys(n for letter in targets for n in with_suffix(names[letter])))
    suffixes = sorted({".".join(name.split(".")[-2:]) for name in linear})
    raise UserError(
        f"targets={targets!r}: the names of the attention's matrices of {type(network).__name__} "
        f"are unknown; its linear layers end in {', '.join(suffixes)}\n"
        "use --set targets=all, or add the names to trainables/text/lora_adapters.py"
    )


def find_heads(network: Any) -> set[str]:
    """Return the names of a classifier's modules outside its encoder."""
    return {
        name
        for name, child in network.named_children()
        if name != network.base_model_prefix and list(child.parameters())
    }


def count_trainable(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def save_adapters(model: Classifier, folder: Path) -> None:
    """Write the adapters in peft's format: a configuration and a safetensors file."""
    # By default peft asks the hub whether the vocabulary was extended.
    model.network.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]
    (folder / "README.md").unlink(missing_ok=True)  # a template to fill in
