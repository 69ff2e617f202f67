"""DeepMind Mathematics (Saxton et al., 2019), number theory: published or generated questions.

Without the published files, the official generator draws questions once per machine.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables import cache as caches
from trainables.data.questions import MAX_LENGTHS, PROBLEMS, Pair, generate_questions
from trainables.errors import UserError
from trainables.terminal import print_text

LAYOUT = 1
HELD_OUT = 0.1  # fraction of every problem's questions for validation, and again for test


@dataclass(frozen=True)
class Questions:
    """A split: questions, answers and names of problems, (n,) strings each."""

    questions: np.ndarray
    answers: np.ndarray
    problems: np.ndarray

    def __len__(self) -> int:
        return len(self.questions)


@dataclass(frozen=True)
class Mathematics:
    """The three splits; no question occurs twice, in one split or in two."""

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
    problems: Sequence[str] = PROBLEMS,
    download: bool = True,
    seed: int = 0,
) -> Mathematics:
    """Load `count` questions in total, equally many per problem, 80 % of them for training.

    `problems` are those of the generator's module `numbers`. `folder` may hold the published
    train-easy files. Without them the questions are generated, or with `download` False read from
    the cache. With `kind` placeholder they are small sums. Raises UserError if there are no such
    questions.
    """
    if kind == "placeholder":
        return _split_questions(_draw_sums(min(count, 600), seed), seed)
    if kind != "real":
        raise UserError(f"mathematics has no {kind} data; omit --data {kind}")
    counts = {problem: -(-count // len(problems)) for problem in problems}
    published = folder and _find_published(folder)
    key: dict[str, object] = {"layout": LAYOUT, "counts": counts, "seed": seed}
    if published:
        files = {problem: _find_file(published, problem, problems) for problem in problems}
        key["files"] = {p: caches.hash_file(path, cache) for p, path in files.items()}
    else:
        key["generator"] = _get_versions()
    stored = caches.cache_path(cache, "mathematics", key)
    if not (published or download or stored.is_dir()):
        raise UserError(f"mathematics: the cache {cache} does not hold these {count:,} questions")

    def build(draft: Path) -> None:
        if published:
            pairs = {
                problem: _sample_published(path, counts[problem], len(problems), seed)
                for problem, path in files.items()
            }
        else:
            print_text(
                f"mathematics: generating {count:,} questions, once per machine", sys.stderr
            )
            pairs = generate_questions(counts, seed)
        rows = [(q, a, problem) for problem in pairs for q, a in pairs[problem]]
        columns = zip(*rows, strict=True)
        table = pa.table(dict(zip(("question", "answer", "problem"), columns, strict=True)))
        pq.write_table(table, draft / "questions.parquet", compression="zstd")

    caches.get_or_build(cache, "mathematics", key, build)
    table = pq.read_table(stored / "questions.parquet")
    pairs: dict[str, list[Pair]] = {problem: [] for problem in problems}
    for row in table.to_pylist():
        pairs[row["problem"]].append((row["question"], row["answer"]))
    return _split_questions(pairs, seed)


def _find_published(folder: Path) -> Path | None:
    """Return the folder of the published files in the user's folder; None without them."""
    inner = ("mathematics/train-easy", "mathematics", "train-easy", ".")
    versioned = sorted(folder.glob("mathematics_dataset-v*/train-easy"))
    folders = [*(folder / name for name in inner), *versioned]
    return next((path for path in folders if any(path.glob("numbers__*.txt"))), None)


def _find_file(folder: Path, problem: str, problems: Sequence[str]) -> Path:
    path = folder / f"numbers__{problem}.txt"
    if not path.is_file():
        raise UserError(
            f"mathematics: {folder} lacks {path.name}\n"
            f"copy numbers__PROBLEM.txt for {', '.join(problems)} there, or omit --data-dir: "
            "questions are then generated"
        )
    return path


def _sample_published(path: Path, count: int, problems: int, seed: int) -> list[Pair]:
    """Sample different questions of a published file: a line per question, then its answer."""
    try:
        lines = path.read_text(encoding="ascii").lower().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a file of ASCII text: {error}") from error
    if len(lines) % 2:
        raise UserError(f"{path} ends with a question that has no answer")
    pairs = dict(zip(lines[::2], lines[1::2], strict=True))
    too_long = [
        (question, answer)
        for question, answer in pairs.items()
        if len(question) > MAX_LENGTHS[0] or len(answer) > MAX_LENGTHS[1]
    ]
    if too_long:
        raise UserError(f"{path}: {too_long[0]} is longer than {MAX_LENGTHS} characters")
    if len(pairs) < count:
        raise UserError(
            f"{path} has {len(pairs):,} different questions, fewer than the {count:,} needed\n"
            f"set a smaller number with --set count={len(pairs) * problems}"
        )
    return random.Random(f"{seed}/{path.name}").sample(list(pairs.items()), count)


def _get_versions() -> dict[str, str]:
    # The questions depend on all three. Without the generator, the cache may still have them.
    try:
        return {name: version(name) for name in ("mathematics-dataset", "sympy", "numpy")}
    except PackageNotFoundError:
        return {}


def _split_questions(pairs: Mapping[str, list[Pair]], seed: int) -> Mathematics:
    splits: dict[str, list[tuple[str, str, str]]] = {"train": [], "validation": [], "test": []}
    checksum = hashlib.sha256()
    for problem in pairs:
        rows = [(question, answer, problem) for question, answer in pairs[problem]]
        held = max(1, round(HELD_OUT * len(rows)))
        splits["validation"] += rows[:held]
        splits["test"] += rows[held : 2 * held]
        splits["train"] += rows[2 * held :]
        checksum.update(repr(rows).encode())
    arrays = {}
    for name, rows in splits.items():
        random.Random(seed).shuffle(rows)
        columns = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
        arrays[name] = Questions(*columns)
    return Mathematics(**arrays, fingerprint=checksum.hexdigest()[:16])


def _draw_sums(count: int, seed: int) -> dict[str, list[Pair]]:
    generator = random.Random(seed)
    signs = {"plus": 1, "minus": -1}
    sums: dict[str, list[Pair]] = {}
    for word, sign in signs.items():
        numbers = generator.sample(range(2500), max(10, count // len(signs)))
        terms = [divmod(number, 50) for number in numbers]
        sums[word] = [(f"what is {a} {word} {b}?", str(a + sign * b)) for a, b in terms]
    return sums
