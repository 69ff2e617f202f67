"""DeepMind Mathematics (Saxton et al., 2019), number theory: the published files or new ones.

Without the files the official generator makes questions of the same kind, once per machine.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables import cache as caches
from trainables.data.questions import LONGEST, PROBLEMS, Pair, generate_questions
from trainables.errors import UserError

LAYOUT = 1
HELD_OUT = 0.1  # of every problem's questions, for validation, and as many for test


@dataclass(frozen=True)
class Questions:
    """A split: questions, answers and names of problems, (n,) texts each."""

    questions: np.ndarray
    answers: np.ndarray
    problems: np.ndarray

    def __len__(self) -> int:
        return len(self.questions)


@dataclass(frozen=True)
class Mathematics:
    """All three splits; no question stands in two of them, or twice in one."""

    train: Questions
    validation: Questions
    test: Questions
    fingerprint: str


def load(
    folder: Path | None,
    cache: Path,
    kind: str,
    count: int,
    *,
    download: bool = True,
    seed: int = 0,
) -> Mathematics:
    """Load that many questions in all, equally many of each problem, 80 % of them for training.

    `folder` may hold the published train-easy files; without them the questions are generated,
    which with `download` False is refused where it has not been done before. `kind` made-up
    gives small sums.
    """
    if kind == "placeholder":
        return _parted(_sums(min(count, 600), seed), seed)
    if kind != "real":
        raise UserError(f"mathematics has no {kind} data; leave --data {kind} out")
    each = {problem: -(-count // len(PROBLEMS)) for problem in PROBLEMS}
    place = folder and _published(folder)
    key: dict[str, object] = {"layout": LAYOUT, "count": count, "seed": seed}
    if place:
        files = {problem: _file(place, problem) for problem in PROBLEMS}
        key["files"] = {p: caches.hash_file(path, cache) for p, path in files.items()}
    else:
        key["generator"] = _versions()
    at = caches.cache_path(cache, "mathematics", key)
    if not (place or download or at.is_dir()):
        raise UserError(f"mathematics: {count:,} questions are still to be generated")

    def build(draft: Path) -> None:
        if place:
            made = {p: _chosen(path, each[p], seed) for p, path in files.items()}
        else:
            print(f"mathematics: generating {count:,} questions, once", file=sys.stderr)
            made = generate_questions(each, seed)
        rows = [(q, a, problem) for problem, pairs in made.items() for q, a in pairs]
        columns = zip(*rows, strict=True)
        table = pa.table(dict(zip(("question", "answer", "problem"), columns, strict=True)))
        pq.write_table(table, draft / "questions.parquet", compression="zstd")

    caches.get_or_build(cache, "mathematics", key, build)
    table = pq.read_table(at / "questions.parquet")
    made: dict[str, list[Pair]] = {problem: [] for problem in PROBLEMS}
    for row in table.to_pylist():
        made[row["problem"]].append((row["question"], row["answer"]))
    return _parted(made, seed)


def _published(folder: Path) -> Path | None:
    """Find the folder of the published files below the user's, if there is one."""
    inner = ("mathematics/train-easy", "mathematics", "train-easy", ".")
    versioned = sorted(folder.glob("mathematics_dataset-v*/train-easy"))
    places = [*(folder / name for name in inner), *versioned]
    return next((place for place in places if any(place.glob("numbers__*.txt"))), None)


def _file(place: Path, problem: str) -> Path:
    path = place / f"numbers__{problem}.txt"
    if not path.is_file():
        raise UserError(
            f"mathematics: {place} lacks {path.name}\n"
            f"it should hold numbers__PROBLEM.txt for {', '.join(PROBLEMS)}; "
            "in another folder, or without --data-dir, questions are generated"
        )
    return path


def _chosen(path: Path, count: int, seed: int) -> list[Pair]:
    """Draw different questions from a published file: lines of questions and answers in turn."""
    try:
        lines = path.read_text(encoding="ascii").lower().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a file of ASCII text: {error}") from error
    if len(lines) % 2:
        raise UserError(f"{path} ends with a question that has no answer")
    pairs = dict(zip(lines[::2], lines[1::2], strict=True))
    long = [pair for pair in pairs.items() if any(map(_longer, pair, LONGEST))]
    if long:
        raise UserError(f"{path}: {long[0]} is longer than {LONGEST} characters")
    if len(pairs) < count:
        raise UserError(
            f"{path} has {len(pairs):,} different questions, fewer than the {count:,} that are "
            f"wanted\nwant fewer: --set count={len(pairs) * len(PROBLEMS)}"
        )
    return random.Random(f"{seed}/{path.name}").sample(list(pairs.items()), count)


def _longer(text: str, most: int) -> bool:
    return len(text) > most


def _versions() -> dict[str, str]:
    # What the generator draws depends on all three; without it, there may be an earlier drawing.
    try:
        return {name: version(name) for name in ("mathematics-dataset", "sympy", "numpy")}
    except PackageNotFoundError:
        return {}


def _parted(made: Mapping[str, list[Pair]], seed: int) -> Mathematics:
    splits: dict[str, list[tuple[str, str, str]]] = {"train": [], "validation": [], "test": []}
    checksum = hashlib.sha256()
    for problem, pairs in made.items():
        held = max(1, round(HELD_OUT * len(pairs)))
        rows = [(question, answer, problem) for question, answer in pairs]
        splits["validation"] += rows[:held]
        splits["test"] += rows[held : 2 * held]
        splits["train"] += rows[2 * held :]
        checksum.update(repr(rows).encode())
    parts = {}
    for name, rows in splits.items():
        random.Random(seed).shuffle(rows)
        columns = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
        parts[name] = Questions(*columns)
    return Mathematics(**parts, fingerprint=checksum.hexdigest()[:16])


def _sums(count: int, seed: int) -> dict[str, list[Pair]]:
    draw = random.Random(seed)
    signs = {"plus": 1, "minus": -1}
    made: dict[str, list[Pair]] = {}
    for word, sign in signs.items():
        numbers = draw.sample(range(2500), max(10, count // len(signs)))
        pairs = [divmod(number, 50) for number in numbers]
        made[word] = [(f"what is {a} {word} {b}?", str(a + sign * b)) for a, b in pairs]
    return made
