"""Tokenized texts, stored once per machine and encoder, and batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainables import cache as caches
from trainables.data import arrow
from trainables.data.text import TextData
from trainables.run import Run
from trainables.text import encoders
from trainables.text.encoders import Encoder

MAX_TOKENS = 256  # of a text; longer texts are truncated
LAYOUT = 1
BUCKET = 16  # batches whose texts are sorted together: little padding, still random order


@dataclass(frozen=True)
class Tokens:
    """The token ids of many texts, concatenated: text i begins at starts[i]."""

    numbers: np.ndarray  # int32, memory-mapped
    starts: np.ndarray  # int32, one more than the number of texts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.numbers[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Return the number of tokens of every text."""
        return np.diff(self.starts)


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of every text with special tokens, at most 256 of each."""
    limit = min(MAX_TOKENS, tokenizer.model_max_length)
    encoded = tokenizer(list(texts), truncation=True, max_length=limit)
    token_ids: list[list[int]] = encoded["input_ids"]
    return token_ids


def load_tokens(run: Run, data: TextData, encoder: Encoder) -> dict[str, Tokens]:
    """Return the tokens of every split; tokenize first if this machine has not done so yet."""
    key = {
        "layout": LAYOUT,
        "longest": MAX_TOKENS,
        "texts": [data.fingerprint, *(len(part) for part in data.splits.values())],
        "encoder": encoder.fingerprint(run.cache),
    }

    def build(draft: Path) -> None:
        tokenizer = encoders.load_tokenizer(encoder)
        for split, part in data.splits.items():
            column = pa.array(tokenize(tokenizer, part.texts.tolist()), pa.list_(pa.int32()))
            arrow.write(draft / f"{split}.arrow", {"tokens": column})

    folder = caches.get_or_build(run.cache, f"{data.name}-tokens", key, build)
    return {split: _read_tokens(folder / f"{split}.arrow") for split in data.splits}


def pad(texts: Sequence[Sequence[int] | np.ndarray], padding: int) -> tuple[Tensor, Tensor]:
    """Return token ids (n, longest), padded on the right, and a mask that is 0 on padding."""
    longest = max(len(numbers) for numbers in texts)
    ids = torch.full((len(texts), longest), padding)
    mask = torch.zeros((len(texts), longest), dtype=torch.long)
    for row, numbers in enumerate(texts):
        ids[row, : len(numbers)] = torch.tensor(numbers)
        mask[row, : len(numbers)] = 1
    return ids, mask


def shuffle_batches(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Return an epoch's full batches of rows, each of similar length, in random order.

    They depend on seed and epoch only.
    """
    generator = np.random.default_rng([seed % 2**32, epoch])
    order = generator.permutation(len(lengths))
    bucket = BUCKET * batch_size
    batches = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    full = [rows for rows in batches if len(rows) == batch_size]
    return [full[i] for i in generator.permutation(len(full))]


def batch_by_length(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield all rows in batches of similar length, the shortest first."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _read_tokens(path: Path) -> Tokens:
    column = arrow.read_mapped(path)["tokens"]
    return Tokens(np.asarray(column.values), np.asarray(column.offsets))
