"""Texts as token numbers, made once per machine and encoder, and batches of similar length."""

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

LONGEST = 256  # tokens of a text; what comes after is not read
LAYOUT = 1
BUCKET = 16  # batches whose texts are sorted together: random order, little padding


@dataclass(frozen=True)
class Tokens:
    """The token numbers of many texts, end to end: text i has those from starts[i] on."""

    numbers: np.ndarray  # int32, mapped from a file
    starts: np.ndarray  # int32, one more than there are texts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.numbers[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """How many tokens every text has."""
        return np.diff(self.starts)


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Give the token numbers of every text, special tokens included, the first 256 of each."""
    longest = min(LONGEST, tokenizer.model_max_length)
    found: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest)[
        "input_ids"
    ]
    return found


def load_tokens(run: Run, data: TextData, encoder: Encoder) -> dict[str, Tokens]:
    """Give the tokens of every split, made first where this machine has not done so yet."""
    key = {
        "layout": LAYOUT,
        "longest": LONGEST,
        "texts": [data.fingerprint, *(len(part) for part in data.splits.values())],
        "encoder": encoder.fingerprint(run.cache),
    }

    def build(draft: Path) -> None:
        tokenizer = encoders.load_tokenizer(encoder)
        for split, part in data.splits.items():
            column = pa.array(tokenize(tokenizer, part.texts.tolist()), pa.list_(pa.int32()))
            arrow.write(draft / f"{split}.arrow", {"tokens": column})

    at = caches.get_or_build(run.cache, f"{data.name}-tokens", key, build)
    return {split: _mapped(at / f"{split}.arrow") for split in data.splits}


def pad(texts: Sequence[Sequence[int] | np.ndarray], padding: int) -> tuple[Tensor, Tensor]:
    """Put token numbers side by side: (n, longest) of them, and a mask that is 0 on padding."""
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
    """Give an epoch's batches of rows: each of similar length and full, all in random order.

    They depend on nothing but seed and epoch.
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
    """Give all rows in batches of similar length, the shortest first."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _mapped(path: Path) -> Tokens:
    column = arrow.read_mapped(path)["tokens"]
    return Tokens(np.asarray(column.values), np.asarray(column.offsets))
