"""Pretrained causal language models such as GPT-2, from a folder or the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables.data.hub import find_hub_error, first_line
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
    """Return the prompt followed by at most `length` generated tokens.

    `name` is a folder or a model on the hub; only safetensors are read. Raises UserError if the
    model is not available, or the text would exceed its context.
    """
    tokenizer, model = _load_model(name)
    prompt = prompt or tokenizer.bos_token or tokenizer.eos_token or "\n"
    tokens = tokenizer(prompt, return_tensors="pt")
    total = tokens["input_ids"].shape[1] + length
    limit = getattr(model.config, "max_position_embeddings", total)
    if total > limit:
        raise UserError(
            f"{name} has a context of {limit} tokens, but the prompt and a length of {length} "
            f"together have {total}\nset a smaller --length"
        )
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": 1.0}
    torch.manual_seed(seed)
    generated = model.generate(
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        max_new_tokens=length,
        pad_token_id=tokenizer.eos_token_id,
        do_sample=temperature > 0,
        **(sampling if temperature > 0 else {}),
    )
    return str(tokenizer.decode(generated[0], skip_special_tokens=True))


def _load_model(name: str) -> tuple[Any, Any]:
    import transformers

    logging: Any = transformers.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not Path(name).is_dir() and (reason := _find_hub_error(name)):
        raise UserError(_describe_options(name, reason))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False
        )
        if not has_vocabulary(tokenizer):
            raise ValueError("the tokenizer has no vocabulary: files are missing")
    except Exception as error:  # transformers raises without a common base
        raise UserError(_describe_options(name, first_line(error))) from error
    return tokenizer, model


def _find_hub_error(name: str) -> str | None:
    """Return why a model can be neither read from the hub's cache nor downloaded."""
    import huggingface_hub

    try:
        if huggingface_hub.try_to_load_from_cache(name, "config.json"):
            return None
    except Exception as error:  # an invalid name
        return first_line(error)
    return find_hub_error(name, "model")


def _describe_options(name: str, reason: str) -> str:
    return (
        f"{name!r} cannot be used as a pretrained causal model: {reason[:200]}\n"
        "options:\n"
        "  a folder with config.json, the files of the tokenizer and model.safetensors\n"
        "  with internet access, a model on the Hugging Face hub, such as gpt2"
    )
