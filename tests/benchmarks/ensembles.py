"""How long and in how much memory is an ensemble selected from a thousand trials?

Greedy selection over 1,000 trials × 10,000 examples × 10 classes of synthetic predictions, once
per criterion, in a fresh process each; required: under 10 s and 4 GB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

from reports.numbers.greedy import select_greedily
from tests.benchmarks.report import MET, MISSED, heading, verdict


def predictions(
    trials: int, examples: int, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw softmax outputs of models of unequal skill to whom the same examples are hard."""
    random = np.random.default_rng(0)
    targets = random.integers(0, classes, examples)
    rows = np.arange(examples)
    shared = random.normal(size=(examples, classes)).astype(np.float32)
    outputs = np.empty((trials, examples, classes), np.float32)
    for model in outputs:
        logits = shared + 0.5 * random.standard_normal(shared.shape, np.float32)
        logits[rows, targets] += random.uniform(3.0, 3.7)
        np.exp(2 * (logits - logits.max(axis=1, keepdims=True)), out=model)
        model /= model.sum(axis=1, keepdims=True)
    return outputs, targets


def measure(criterion: str, trials: int, examples: int, classes: int) -> None:
    """Print seconds, peak GB and what was selected, for one criterion in this process."""
    outputs, targets = predictions(trials, examples, classes)
    start = time.perf_counter()
    chosen = select_greedily(outputs, targets, criterion)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(seconds, peak, len(chosen.selected), len(set(chosen.selected)))


def main() -> int:
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=["nll", "accuracy"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = (options.trials, options.examples, options.classes)
    if options.measure:
        measure(options.measure, *sizes)
        return MET
    heading(f"Selection from {' × '.join(f'{size:,}' for size in sizes)} predictions")
    met = True
    for criterion in ("nll", "accuracy"):
        again = [sys.executable, "-m", "tests.benchmarks.ensembles", "--measure", criterion]
        again += [f"--{name}={getattr(options, name)}" for name in ("trials", "examples")]
        again += [f"--classes={options.classes}"]
        figures = [
            [float(text) for text in subprocess.check_output(again, text=True).split()]
            for _ in range(options.repeats)
        ]
        seconds, peaks, steps, members = zip(*figures, strict=True)
        print(f"by {criterion}: best prefix of {steps[0]:.0f}, {members[0]:.0f} members")
        met &= verdict("seconds", seconds, below=10)
        met &= verdict("peak GB, the predictions included", peaks, below=4)
    return MET if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
