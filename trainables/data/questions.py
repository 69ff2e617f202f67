"""Number theory from the official generator (Saxton et al., 2019), drawn by several processes.

A block of questions depends on its seed alone, so the number of processes changes nothing. Run
as a program this module draws blocks: it must import nothing that is slow to start.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trainables.errors import UserError

PROBLEMS = (
    *("base_conversion", "div_remainder", "gcd", "is_factor", "is_prime", "lcm"),
    *("list_prime_factors", "place_value", "round_number"),
)
BLOCK = 500  # questions drawn from one seed
LONGEST = (160, 30)  # characters of a question and of an answer, as in the published files
ROUNDS = 20
Pair = tuple[str, str]
Job = tuple[str, int]
"""A problem and the number of a block of it."""


def generate_questions(
    counts: dict[str, int], seed: int, processes: int | None = None
) -> dict[str, list[Pair]]:
    """Draw so many different questions of each problem, with their answers, in lower case.

    Difficulty: train-easy. About 0.3 ms of one core each. Raises UserError where the package is
    missing, or where a problem has fewer different questions.
    """
    _present()
    processes = processes or len(os.sched_getaffinity(0))
    found: dict[str, dict[str, str]] = {problem: {} for problem in counts}
    drawn = dict.fromkeys(counts, 0)
    for _ in range(ROUNDS):
        jobs: list[Job] = []
        for problem, count in counts.items():
            missing = count - len(found[problem])
            blocks = -(-missing * 6 // (5 * BLOCK)) if missing > 0 else 0
            jobs += [(problem, drawn[problem] + block) for block in range(blocks)]
            drawn[problem] += blocks
        if not jobs:
            return {p: list(found[p].items())[:count] for p, count in counts.items()}
        for (problem, _), pairs in zip(jobs, _drawn(jobs, seed, processes), strict=True):
            for question, answer in pairs:
                found[problem].setdefault(question, answer)
    poor = {p: len(found[p]) for p, count in counts.items() if len(found[p]) < count}
    raise UserError(
        f"the generator has fewer different questions than were asked for: found {poor} of "
        f"{ {p: counts[p] for p in poor} }\nask for fewer: --set count=..."
    )


def draw_block(problem: str, number: int, seed: int) -> list[Pair]:
    """Draw one block of a problem in this process; its seed is made of all three arguments."""
    import numpy as np

    sympy = importlib.import_module("sympy.core.random")
    digest = hashlib.sha256(f"{seed}/{problem}/{number}".encode()).digest()
    draw = int.from_bytes(digest[:4], "big")
    for start in (random.seed, np.random.seed, sympy.seed):
        start(draw)
    module = _modules()[problem]
    pairs: list[Pair] = []
    while len(pairs) < BLOCK:
        made = module()
        pair = (str(made.question).lower(), str(made.answer).lower())
        if all(len(text) <= most for text, most in zip(pair, LONGEST, strict=True)):
            pairs.append(pair)
    return pairs


def _present() -> None:
    try:
        importlib.import_module("mathematics_dataset")
    except ImportError as error:
        raise UserError(
            "the mathematics questions are made by the package mathematics-dataset: "
            "pip install '.[text]'\n"
            "or give the published files: --data-dir FOLDER with mathematics/train-easy/*.txt"
        ) from error


def _modules() -> dict[str, Callable[[], Any]]:
    # The generator asks sympy for a function by the address that it had in 2019.
    package = importlib.import_module("sympy.solvers.diophantine")
    moved = importlib.import_module("sympy.solvers.diophantine.diophantine")
    package.base_solution_linear = moved.base_solution_linear  # type: ignore[attr-defined]
    numbers = importlib.import_module("mathematics_dataset.modules.numbers")
    made: dict[str, Callable[[], Any]] = numbers.train(_easy)
    return made


def _easy(entropy: tuple[float, float]) -> tuple[float, float]:
    """The lowest third of a range of difficulty: what the published files call train-easy."""
    low, high = entropy
    return low, low + (high - low) / 3


def _drawn(jobs: list[Job], seed: int, processes: int) -> Iterable[list[Pair]]:
    # Not multiprocessing: its children would import the whole program that asks, and Ray.
    parts = [jobs[first::processes] for first in range(min(processes, len(jobs)))]
    with ThreadPoolExecutor(len(parts)) as pool:
        done = list(pool.map(lambda part: _in_process(part, seed), parts))
    return [done[place % len(parts)][place // len(parts)] for place in range(len(jobs))]


def _in_process(jobs: list[Job], seed: int) -> list[list[Pair]]:
    child = subprocess.run(
        [sys.executable, "-m", "trainables.data.questions", str(seed)],
        input=json.dumps(jobs),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if child.returncode:
        raise RuntimeError(f"drawing mathematics questions failed:\n{child.stderr}")
    return [[(q, a) for q, a in json.loads(line)] for line in child.stdout.splitlines()]


def _main(seed: int, jobs: list[Job]) -> Iterator[str]:
    for problem, number in jobs:
        yield json.dumps(draw_block(problem, number, seed))


if __name__ == "__main__":
    for line in _main(int(sys.argv[1]), json.load(sys.stdin)):
        print(line)
