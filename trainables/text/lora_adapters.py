"""Low-rank adapters (Hu et al., 2021) on the matrices of any BERT-like encoder, by peft."""

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

# What architectures call the matrices q, k, v and o of their attention.
NAMES = (
    {"q": "q_lin", "k": "k_lin", "v": "v_lin", "o": "out_lin"},  # DistilBERT
    {"q": "query", "k": "key", "v": "value", "o": "attention.output.dense"},  # BERT, RoBERTa
    {"q": "query", "k": "key", "v": "value", "o": "attention.dense"},  # ALBERT
    {"q": "attn.q", "k": "attn.k", "v": "attn.v", "o": "attn.o"},  # MPNet
    {"q": "query_proj", "k": "key_proj", "v": "value_proj", "o": "attention.output.dense"},
    {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"},  # BART, CLIP
    {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"},  # LLaMA
)


class Classifier(nn.Module):
    """An encoder with a head, whose state is what of it is trained and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Give the logits (n, classes) of token numbers (n, tokens) with their mask."""
        logits: Tensor = self.network(input_ids=ids, attention_mask=mask).logits
        return logits

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Give the trained weights by their names."""
        return {
            name: weight.detach()
            for name, weight in self.network.named_parameters()
            if weight.requires_grad
        }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Put trained weights back; raises ValueError for those of another network."""
        own = self.state_dict()
        if own.keys() != state_dict.keys():
            raise ValueError(f"other weights: {sorted(own.keys() ^ state_dict.keys())[:4]}")
        with torch.no_grad():
            for name, weight in own.items():
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
    """Load an encoder with a new head, to be trained whole or, with `targets`, by adapters.

    `targets` are letters of q, k, v and o, or "all" for every linear layer; adapters of `rank`
    are scaled by alpha / rank. The head, and whatever the encoder's files lack, is always
    trained. Gives it and the number of parameters without adapters.
    """
    network, drawn = encoders.load_classifier(encoder, classes)
    parameters = sum(weight.numel() for weight in network.parameters())
    if targets:
        network = add_adapters(network, drawn, targets, rank, alpha, dropout)
        network.peft_config["default"].base_model_name_or_path = encoders.get_repository(encoder)
    return Classifier(network), parameters


def add_adapters(
    network: nn.Module, drawn: set[str], targets: str, rank: int, alpha: int, dropout: float
) -> Any:
    """Freeze a classifier but for its head and the parameters `drawn`, and add adapters."""
    import peft

    trained = find_heads(network) | {name.rpartition(".")[0] for name in drawn}
    trained = {
        name for name in trained if not any(name.startswith(f"{other}.") for other in trained)
    }
    chosen = [
        name
        for name in find_target_modules(network, targets)
        if not any(f"{name}.".startswith(f"{other}.") for other in trained)
    ]
    settings = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=chosen,
        modules_to_save=sorted(trained),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, at what peft asks it
        return peft.get_peft_model(network, settings)


def find_target_modules(network: Any, targets: str) -> list[str]:
    """Name the linear layers of a classifier's encoder that letters of q, k, v, o, or "all", mean.

    Raises UserError with the names there are where none of the known architectures fits.
    """
    prefix = network.base_model_prefix
    linear = [
        f"{prefix}.{name}"
        for name, module in getattr(network, prefix).named_modules()
        if isinstance(module, nn.Linear)
    ]
    if targets == "all":
        return linear

    def called(suffix: str) -> list[str]:
        return [name for name in linear if name.endswith(f".{suffix}")]

    for names in NAMES:
        if all(called(suffix) for suffix in names.values()):
            return [name for letter in targets for name in called(names[letter])]
    last = sorted({".".join(name.split(".")[-2:]) for name in linear})
    raise UserError(
        f"targets={targets!r}: what {type(network).__name__} calls its attention's matrices is "
        f"not known here; its linear layers end in {', '.join(last)}\n"
        "take --set targets=all, or add its names to trainables/text/lora_adapters.py"
    )


def find_heads(network: Any) -> set[str]:
    """Name what a classifier has beside its encoder."""
    return {
        name
        for name, child in network.named_children()
        if name != network.base_model_prefix and list(child.parameters())
    }


def count_trainable(network: nn.Module) -> int:
    """Count the parameters that are trained."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def save_adapters(model: Classifier, folder: Path) -> None:
    """Write the adapters as peft reads them: a configuration and a safetensors file."""
    # By default peft asks the hub whether the vocabulary has grown.
    model.network.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]
    (folder / "README.md").unlink(missing_ok=True)  # a form to be filled in
