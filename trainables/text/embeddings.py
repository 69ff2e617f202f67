"""Embeddings of texts by a frozen encoder, computed once per machine and memory-mapped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from rich.progress import Progress
from torch import Tensor, nn

from trainables import cache as caches
from trainables.console import SafeConsole
from trainables.data import arrow
from trainables.data.text import TextData
from trainables.run import Run
from trainables.text import encoders
from trainables.text.encoders import Encoder
from trainables.text.tokenization import MAX_TOKENS, batch_by_length, pad, tokenize

LAYOUT = 1
BATCH_SIZE = 64
PROBE_TEXTS = 16  # texts per split that a run with a share below 1 encodes
POOLINGS = ("cls", "mean")

Vectors = dict[str, np.ndarray]
"""Vectors of texts (float32, n x width), per pooling or per split."""


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Return one vector per text: that of its first token ("cls") or the mean of its tokens.

    `hidden` is (n, tokens, width); `mask` (n, tokens) is 0 on padding.
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
    """Return the vectors of texts in every pooling, in the order of the texts.

    Batches hold texts of similar length. `advance` is called with the size of each batch.
    """
    token_ids = tokenize(tokenizer, texts)
    lengths = np.array([len(ids) for ids in token_ids])
    model = model.eval().to(device)
    vectors: Vectors = {}
    with torch.inference_mode():
        for rows in batch_by_length(lengths, BATCH_SIZE):
            ids, mask = pad([token_ids[row] for row in rows], tokenizer.pad_token_id)
            ids, mask = ids.to(device), mask.to(device)
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            for pooling in POOLINGS:
                pooled = pool(hidden, mask, pooling).cpu().numpy()
                if pooling not in vectors:
                    vectors[pooling] = np.empty((len(lengths), pooled.shape[1]), np.float32)
                vectors[pooling][rows] = pooled
            advance(len(rows))
    return vectors


def load_embeddings(run: Run, data: TextData, encoder: Encoder, pooling: str) -> Vectors:
    """Return the vectors of every split; encode the texts first if this machine has not yet.

    One of several concurrent trials encodes, the others wait. A run with a share below 1 does
    not encode all texts: it encodes a few and repeats them, so that it measures only the time
    that each trial takes.
    """
    folder = embeddings_path(run, data, encoder)
    if run.share < 1 and not folder.is_dir():
        model, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
        few = {
            split: encode_texts(model, tokenizer, part.texts[:PROBE_TEXTS].tolist(), run.device)[
                pooling
            ]
            for split, part in data.splits.items()
        }
        return {
            split: np.resize(few[split], (len(part), few[split].shape[1]))
            for split, part in data.splits.items()
        }
    folder = caches.get_or_build(
        run.cache,
        _get_name(data),
        embeddings_key(run, data, encoder),
        lambda draft: _encode_splits(draft, data, encoder, run.device),
    )
    return {split: _read_vectors(folder / f"{split}.arrow", pooling) for split in data.splits}


def embeddings_path(run: Run, data: TextData, encoder: Encoder) -> Path:
    """Return the folder of these texts' vectors, whether or not it exists."""
    return caches.cache_path(run.cache, _get_name(data), embeddings_key(run, data, encoder))


def embeddings_key(run: Run, data: TextData, encoder: Encoder) -> dict[str, object]:
    """Return the cache key of these texts' vectors by this encoder."""
    return {
        "layout": LAYOUT,
        "longest": MAX_TOKENS,
        "texts": [data.fingerprint, *(len(part) for part in data.splits.values())],
        "encoder": encoder.fingerprint(run.cache),
    }


def _get_name(data: TextData) -> str:
    return f"{data.name}-vectors"


def _encode_splits(draft: Path, data: TextData, encoder: Encoder, device: torch.device) -> None:
    model, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
    total = sum(len(part) for part in data.splits.values())
    with Progress(console=SafeConsole(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"encoding {data.name} by {encoder.name}", total=total)
        for split, part in data.splits.items():
            vectors = encode_texts(
                model, tokenizer, part.texts.tolist(), device, lambda n: progress.advance(task, n)
            )
            columns = {
                name: pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
                for name, rows in vectors.items()
            }
            arrow.write(draft / f"{split}.arrow", columns)


def _read_vectors(path: Path, pooling: str) -> np.ndarray:
    column = arrow.read_mapped(path)[pooling]
    return np.asarray(column.flatten()).reshape(len(column), -1)
