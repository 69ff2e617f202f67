"""Pretrained causal language models, such as GPT-2: from a folder or from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables.errors import UserError
from trainables.text.encoders import has_vocabulary
from trainables.vision import torchvision_operators  # noqa: F401 - transformers imports torchvision


def generate_text(
    name: str,
    prompt: str,
    *,
    length: int = 100,
    temperature: float = 0.8,
    top_k: int = 0,
    seed: int = 0,
) -> str:
    """Go on after a prompt for at most so many tokens; gives both.

    `name` is a folder or a name on the hub; weights are read as safetensors alone. Raises
    UserError where the model cannot be had, or has no room for so long a text.
    """
    tokenizer, model = _loaded(name)
    prompt = prompt or tokenizer.bos_token or tokenizer.eos_token or "\n"
    tokens = tokenizer(prompt, return_tensors="pt")
    long = tokens["input_ids"].shape[1] + length
    most = getattr(model.config, "max_position_embeddings", long)
    if long > most:
        raise UserError(
            f"{name} sees {most} tokens at most, and the prompt and a length of {length} "
            f"together are {long}\nask for a shorter text with --length"
        )
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": 1.0}
    torch.manual_seed(seed)
    written = model.generate(
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        max_new_tokens=length,
        pad_token_id=tokenizer.eos_token_id,
        do_sample=temperature > 0,
        **(drawn if temperature > 0 else {}),
    )
    return str(tokenizer.decode(written[0], skip_special_tokens=True))


def _loaded(name: str) -> tuple[Any, Any]:
    import transformers

    quiet: Any = transformers.logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    if not Path(name).is_dir() and (trouble := _unreachable(name)):
        raise UserError(_missing(name, trouble))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False
        )
        if not has_vocabulary(tokenizer):
            raise ValueError("its tokenizer has no words, since files of it are missing")
    except Exception as error:  # the library raises whatever its parts do
        raise UserError(_missing(name, f"{type(error).__name__}: {error}")) from error
    return tokenizer, model


def _unreachable(name: str) -> str:
    """Why a model that was not downloaded before cannot be now."""
    import huggingface_hub

    try:
        if huggingface_hub.try_to_load_from_cache(name, "config.json"):
            return ""
        # One short request first: the library itself retries for a minute.
        huggingface_hub.HfApi().model_info(name, timeout=10)
    except Exception as error:  # the library and its transports raise without a common base
        return f"{type(error).__name__}: {error}"
    return ""


def _missing(name: str, trouble: str) -> str:
    return (
        f"{name!r} is no pretrained causal model that can be used: "
        f"{trouble.strip().splitlines()[0][:200]}\n"
        "ways out:\n"
        "  the folder of one: config.json, its tokenizer's files and model.safetensors\n"
        "  a network, and a name on the Hugging Face hub, such as gpt2"
    )
