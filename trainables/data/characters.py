"""Questions and answers as rows of character ids, and batches that need little padding."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from trainables.errors import UserError

PAD, START, END = range(3)
LETTERS = "".join(chr(code) for code in range(32, 127) if not chr(code).isupper())
VOCABULARY_SIZE = 3 + len(LETTERS)
POOL = 4  # batches that are drawn together, then sorted by the length of their answers


def encode(texts: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Encode texts as ids (n, longest + 1) uint8, each followed by END, and lengths (n,) with END.

    Raises UserError for characters other than printable lower-case ASCII.
    """
    try:
        codes = [np.frombuffer(text.encode("ascii"), np.uint8) for text in texts]
    except UnicodeEncodeError as error:
        raise UserError(f"{error.object!r} has characters that are not ASCII") from error
    lengths = torch.tensor([len(row) + 1 for row in codes])
    rows = np.full((len(codes), int(lengths.max())), PAD, np.uint8)
    for row, code in zip(rows, codes, strict=True):
        row[: len(code)] = _IDS[code]
        row[len(code)] = END
        if PAD in row[: len(code)]:
            raise UserError(f"{bytes(code).decode()!r} is not lower-case printable ASCII")
    return torch.from_numpy(rows), lengths


def decode(rows: Tensor) -> list[str]:
    """Decode ids (n, length) to texts, each up to its END or to the end of the row."""
    texts = []
    for row in rows.tolist():
        row = row[: row.index(END)] if END in row else row
        texts.append("".join(LETTERS[token - 3] if token >= 3 else "" for token in row))
    return texts


def group_by_length(
    questions: Tensor, answers: Tensor, size: int, order: torch.Generator | None = None
) -> list[Tensor]:
    """Return batches of at most `size` row numbers, with questions of equal length.

    Answers in a batch have similar lengths. Takes the lengths (n,) of both. With `order` the
    batches are random. Questions then need no padding, and answers need little.
    """
    count = len(questions)
    rows = torch.arange(count) if order is None else torch.randperm(count, generator=order)
    rows = rows[torch.argsort(questions[rows], stable=True)]
    _, counts = torch.unique_consecutive(questions[rows], return_counts=True)
    batches: list[Tensor] = []
    for equal in rows.split(counts.tolist()):
        for pool in equal.split(count if order is None else POOL * size):
            batches += pool[torch.argsort(answers[pool], stable=True)].split(size)
    if order is None:
        return batches
    return [batches[i] for i in torch.randperm(len(batches), generator=order).tolist()]


def _build_table() -> np.ndarray:
    table = np.full(256, PAD, np.uint8)
    for i, letter in enumerate(LETTERS):
        table[ord(letter)] = i + 3
    return table


_IDS = _build_table()
