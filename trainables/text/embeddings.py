"""Texts as vectors of a frozen encoder, made once per machine and mapped from Arrow files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from trainables import cache as caches
from trainables.data import arrow
from trainables.data.text import TextData
from trainables.run import Run
from trainables.text import encoders
from trainables.text.encoders import Encoder
from trainables.text.tokenization import LONGEST, batch_by_length, pad, tokenize

LAYOUT = 1
BATCH = 64
FEW = 16  # texts that a probe encodes to stand for all
POOLINGS = ("cls", "mean")

Vectors = dict[str, np.ndarray]
"""Per pooling the vectors of some texts (float32, n x width)."""


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector of a text's: that of its first token ("cls") or their mean.

    `hidden` is (n, tokens, width); `mask` (n, tokens) is 0 where a text has ended.
    """
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def encode_texts(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[str],
    device: torch.device,
    advance: Callable[[int], None] = lambda count: None,
) -> Vectors:
    """Encode texts in every pooling, in batches of similar length; `advance` hears of the texts.

    The vectors come in the order of the texts.
    """
    numbers = tokenize(tokenizer, texts)
    lengths = np.array([len(of) for of in numbers])
    model = model.eval().to(device)
    vectors: Vectors = {}
    with torch.inference_mode():
        for rows in batch_by_length(lengths, BATCH):
            ids, mask = pad([numbers[row] for row in rows], tokenizer.pad_token_id)
            ids, mask = ids.to(device), mask.to(device)
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            for pooling in POOLINGS:
                made = pool(hidden, mask, pooling).cpu().numpy()
                if pooling not in vectors:
                    vectors[pooling] = np.empty((len(lengths), made.shape[1]), np.float32)
                vectors[pooling][rows] = made
            advance(len(rows))
    return vectors


def load_embeddings(run: Run, data: TextData, encoder: Encoder, pooling: str) -> Vectors:
    """Give the vectors of every split, encoding the texts first where this machine has not yet.

    Of concurrent trials one encodes, the others wait. A probe (a share of a report) that finds
    none encodes a few texts and repeats them: what it times is what a trial costs later.
    """
    at = embeddings_path(run, data, encoder)
    if run.share < 1 and not at.is_dir():
        model, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
        few = {
            split: encode_texts(model, tokenizer, part.texts[:FEW].tolist(), run.device)[pooling]
            for split, part in data.splits.items()
        }
        return {
            split: np.resize(few[split], (len(part), few[split].shape[1]))
            for split, part in data.splits.items()
        }
    at = caches.get_or_build(
        run.cache,
        _name(data),
        embeddings_key(run, data, encoder),
        lambda draft: _build(draft, data, encoder, run.device),
    )
    return {split: _mapped(at / f"{split}.arrow", pooling) for split in data.splits}


def embeddings_path(run: Run, data: TextData, encoder: Encoder) -> Path:
    """Give the folder that these texts' vectors are kept in, whether it is there or not."""
    return caches.cache_path(run.cache, _name(data), embeddings_key(run, data, encoder))


def embeddings_key(run: Run, data: TextData, encoder: Encoder) -> dict[str, object]:
    """Tell the vectors of these texts by this encoder from all others."""
    return {
        "layout": LAYOUT,
        "longest": LONGEST,
        "texts": [data.fingerprint, *(len(part) for part in data.splits.values())],
        "encoder": encoder.fingerprint(run.cache),
    }


def _name(data: TextData) -> str:
    return f"{data.name}-vectors"


def _build(draft: Path, data: TextData, encoder: Encoder, device: torch.device) -> None:
    model, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
    total = sum(len(part) for part in data.splits.values())
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"encoding {data.name} by {encoder.name}", total=total)
        for split, part in data.splits.items():
            vectors = encode_texts(
                model, tokenizer, part.texts.tolist(), device, lambda n: progress.advance(task, n)
            )
            columns = {
                name: pa.FixedSizeListArray.from_arrays(pa.array(of.ravel()), of.shape[1])
                for name, of in vectors.items()
            }
            arrow.write(draft / f"{split}.arrow", columns)


def _mapped(path: Path, pooling: str) -> np.ndarray:
    column = arrow.read_mapped(path)[pooling]
    return np.asarray(column.flatten()).reshape(len(column), -1)
