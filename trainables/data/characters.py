"""Questions and answers as rows of characters, and groups of them that need little padding."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from trainables.errors import UserError

PAD, START, END = range(3)
LETTERS = "".join(chr(code) for code in range(32, 127) if not chr(code).isupper())
SIGNS = 3 + len(LETTERS)
POOL = 4  # groups that are drawn together, then sorted by the length of their answers


def encode(texts: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Give texts as rows (n, longest + 1) uint8, each closed by END, and lengths (n,) with it.

    Raises UserError for characters other than lower-case ASCII.
    """
    try:
        codes = [np.frombuffer(text.encode("ascii"), np.uint8) for text in texts]
    except UnicodeEncodeError as error:
        raise UserError(f"{error.object!r} has characters beyond ASCII") from error
    lengths = torch.tensor([len(row) + 1 for row in codes])
    rows = np.full((len(codes), int(lengths.max())), PAD, np.uint8)
    for row, code in zip(rows, codes, strict=True):
        row[: len(code)] = _TABLE[code]
        row[len(code)] = END
        if PAD in row[: len(code)]:
            raise UserError(f"{bytes(code).decode()!r} is not lower-case printable ASCII")
    return torch.from_numpy(rows), lengths


def decode(rows: Tensor) -> list[str]:
    """Give rows (n, length) as texts, each up to its END or to the row's end."""
    texts = []
    for row in rows.tolist():
        row = row[: row.index(END)] if END in row else row
        texts.append("".join(LETTERS[sign - 3] if sign >= 3 else "" for sign in row))
    return texts


def group_by_length(
    questions: Tensor, answers: Tensor, size: int, order: torch.Generator | None = None
) -> list[Tensor]:
    """Cut rows into groups of at most `size`: questions of one length, answers of nearly one.

    Takes the lengths (n,) of both; gives the groups' row numbers, in random order with `order`.
    A network then needs no padding in its questions, and little in its answers.
    """
    count = len(questions)
    rows = torch.arange(count) if order is None else torch.randperm(count, generator=order)
    rows = rows[torch.argsort(questions[rows], stable=True)]
    _, counts = torch.unique_consecutive(questions[rows], return_counts=True)
    groups: list[Tensor] = []
    for same in rows.split(counts.tolist()):
        for pool in same.split(count if order is None else POOL * size):
            groups += pool[torch.argsort(answers[pool], stable=True)].split(size)
    if order is None:
        return groups
    return [groups[place] for place in torch.randperm(len(groups), generator=order).tolist()]


def _table() -> np.ndarray:
    table = np.full(256, PAD, np.uint8)
    for place, letter in enumerate(LETTERS):
        table[ord(letter)] = place + 3
    return table


_TABLE = _table()
