"""Number theory questions from the official generator (Saxton et al., 2019), in parallel.

A block of questions depends on its seed only, not on the number of processes. Child processes
run this module as a program, so it must not import anything that is slow to load.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trainables.errors import UserError

PROBLEMS = (
    *("base_conversion", "div_remainder", "gcd", "is_factor", "is_prime", "lcm"),
    *("list_prime_factors", "place_value", "round_number"),
)
BLOCK = 500  # questions per seed
MAX_LENGTHS = (160, 30)  # characters of a question and an answer, as in the published files
ROUNDS = 20  # of drawing, until there are enough different questions
Pair = tuple[str, str]
Job = tuple[str, int]
"""A problem and the number of a block."""


def generate_questions(
    counts: dict[str, int], seed: int, processes: int | None = None
) -> dict[str, list[Pair]]:
    """Draw that many different questions of each problem, with their answers, in lower case.

    The difficulty is train-easy. A question takes about 0.3 ms of one core. Raises UserError if
    the package is missing, or a problem has fewer different questions.
    """
    _check_package()
    known = sorted(_load_problems())
    if unknown := ", ".join(sorted(set(counts) - set(known))):
        raise UserError(f"the generator has no problem {unknown}\nit has {', '.join(known)}")
    processes = processes or len(os.sched_getaffinity(0))
    pairs: dict[str, dict[str, str]] = {problem: {} for problem in counts}
    next_block = dict.fromkeys(counts, 0)
    for _ in range(ROUNDS):
        jobs: list[Job] = []
        for problem, count in counts.items():
            missing = count - len(pairs[problem])
            blocks = -(-missing * 6 // (5 * BLOCK)) if missing > 0 else 0
            jobs += [(problem, next_block[problem] + i) for i in range(blocks)]
            next_block[problem] += blocks
        if not jobs:
            return {p: list(pairs[p].items())[:count] for p, count in counts.items()}
        for (problem, _), drawn in zip(jobs, _draw_blocks(jobs, seed, processes), strict=True):
            for question, answer in drawn:
                pairs[problem].setdefault(question, answer)
    short = {p: len(pairs[p]) for p, count in counts.items() if len(pairs[p]) < count}
    raise UserError(
        f"the generator has too few different questions: {short} of "
        f"{ {p: counts[p] for p in short} }\nset a smaller number with --set count=..."
    )


def draw_block(problem: str, number: int, seed: int) -> list[Pair]:
    """Draw a block of a problem in this process; all three arguments determine its seed."""
    import numpy as np

    sympy = importlib.import_module("sympy.core.random")
    digest = hashlib.sha256(f"{seed}/{problem}/{number}".encode()).digest()
    block_seed = int.from_bytes(digest[:4], "big")
    for set_seed in (random.seed, np.random.seed, sympy.seed):
        set_seed(block_seed)
    draw = _load_problems()[problem]
    pairs: list[Pair] = []
    while len(pairs) < BLOCK:
        drawn = draw()
        pair = (str(drawn.question).lower(), str(drawn.answer).lower())
        if all(len(text) <= limit for text, limit in zip(pair, MAX_LENGTHS, strict=True)):
            pairs.append(pair)
    return pairs


def _check_package() -> None:
    try:
        importlib.import_module("mathematics_dataset")
    except ImportError as error:
        raise UserError(
            "the package mathematics-dataset, which generates the questions, is not installed: "
            "pip install '.[text]'\n"
            "or use the published files: --data-dir FOLDER with mathematics/train-easy/*.txt"
        ) from error


def _load_problems() -> dict[str, Callable[[], Any]]:
    # The generator expects a function of sympy in the module where it was in 2019.
    package = importlib.import_module("sympy.solvers.diophantine")
    current = importlib.import_module("sympy.solvers.diophantine.diophantine")
    package.base_solution_linear = current.base_solution_linear  # type: ignore[attr-defined]
    numbers = importlib.import_module("mathematics_dataset.modules.numbers")
    problems: dict[str, Callable[[], Any]] = numbers.train(_limit_difficulty)
    return problems


def _limit_difficulty(entropy: tuple[float, float]) -> tuple[float, float]:
    """Return the lowest third of a range of difficulty: that of the published train-easy files."""
    low, high = entropy
    return low, low + (high - low) / 3


def _draw_blocks(jobs: list[Job], seed: int, processes: int) -> Iterable[list[Pair]]:
    # Not multiprocessing: its children would import the calling program, and with it Ray.
    parts = [jobs[first::processes] for first in range(min(processes, len(jobs)))]
    with ThreadPoolExecutor(len(parts)) as pool:
        blocks = list(pool.map(lambda part: _run_process(part, seed), parts))
    return [blocks[i % len(parts)][i // len(parts)] for i in range(len(jobs))]


def _run_process(jobs: list[Job], seed: int) -> list[list[Pair]]:
    child = subprocess.run(
        [sys.executable, "-m", "trainables.data.questions", str(seed)],
        input=json.dumps(jobs),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if child.returncode:
        raise RuntimeError(f"generating mathematics questions failed:\n{child.stderr}")
    return [[(q, a) for q, a in json.loads(line)] for line in child.stdout.splitlines()]


def _main(seed: int, jobs: list[Job]) -> None:
    for problem, number in jobs:
        print(json.dumps(draw_block(problem, number, seed)))


if __name__ == "__main__":
    _main(int(sys.argv[1]), json.load(sys.stdin))
