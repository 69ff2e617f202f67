"""Which sampler and scheduler find more at equal cost? Replays on tables of learning curves.

`python -m tests.benchmarks.regret TABLE...` takes tables that `tests.benchmarks.regret.build` has
written; the name of a file is its kind. A replay drives the product's own study, queue of trials
and early stopping with a simulated clock: only the training is looked up. Printed is the regret of
what would be handed over, in points: the best score that the surrogate holds, less the score
without noise of the configuration that is best by what was seen, a complete trial before others.
"""

from __future__ import annotations

import argparse
import heapq
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger, create_ledger
from cluster.ledger.settings import SearchSettings, write_settings
from cluster.ledger.trial_log import TrialLog
from cluster.sampling import SAMPLERS
from cluster.sampling.schedulers import SCHEDULERS
from cluster.sampling.study import Study
from tests.benchmarks.regret.kinds import KINDS
from tests.benchmarks.regret.table import Curve, Table

WORKERS = 4
TRAININGS = (5, 10, 20, 50)
METHODS = ("random+none", "random+asha", "random+promotion", "tpe+asha", "tpe+promotion")
MEMORY = Path("/dev/shm")


def replay(
    table: Table, method: str, seed: int, default: bool, trainings: Sequence[int]
) -> list[float]:
    """Return the regret after the reports of so many full trainings, in points.

    A report takes 1 of the simulated clock, give or take 10 %.
    """
    sampler, _, scheduler = method.partition("+")
    space, random = table.space, np.random.default_rng(seed)
    settings = SearchSettings(
        space=space.name,
        metric=space.metric,
        mode=space.mode,
        trials=max(trainings) * space.reports,
        reports=space.reports,
        seed=seed,
        sampler=sampler,
        scheduler=scheduler,
    )
    curves: dict[int, Curve] = {}
    seen: dict[int, Curve] = {}
    regrets: list[float] = []
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as folder:
        ledger = create_ledger(Path(folder), settings)
        write_settings(ledger.folder, ledger.settings)
        queue = TrialQueue(ledger, Study(ledger, space, table.list_initial_trials(default)))
        events: list[tuple[float, int, int]] = []
        now, spent = 0.0, 0
        while len(regrets) < len(trainings):
            while queue.has_room(WORKERS):
                attempt = queue.start_attempt()
                if attempt is None:
                    raise RuntimeError(f"{method}, seed {seed}: {queue.stop_error or 'no trial'}")
                trial = attempt.trial
                if trial not in curves:
                    curves[trial] = table.predict(ledger.trial_logs[trial].parameters)
                    seen[trial] = table.add_noise(curves[trial], random)
                heapq.heappush(events, (now + random.uniform(0.9, 1.1), trial, attempt.done))
            now, trial, done = heapq.heappop(events)
            entry = {
                "report": done + 1,
                "seconds": 1.0,
                "metrics": {space.metric: float(seen[trial][done])},
            }
            stops = queue.record_result(trial, {"history": [entry], "facts": {}})
            spent += 1
            if done + 1 == space.reports:
                queue.record_end(trial, "complete")
            elif stops:
                queue.record_end(trial, None)
            else:
                heapq.heappush(events, (now + random.uniform(0.9, 1.1), trial, done + 1))
            while (
                len(regrets) < len(trainings) and spent >= trainings[len(regrets)] * space.reports
            ):
                best = choose(ledger)
                regrets.append((table.best - float(curves[best.trial].max())) * 100)
        ledger.close()
    return regrets


def choose(ledger: Ledger) -> TrialLog:
    """Return what would be handed over now: a trial that runs counts as one that was stopped."""

    def rank(log: TrialLog) -> tuple[bool, float]:
        best = ledger.best_report(log)
        sign = 1 if ledger.mode == "max" else -1
        return log.outcome == "complete", sign * best[0] if best else -math.inf

    return max(ledger.trial_logs.values(), key=rank)


def check_method(text: str) -> str:
    """Return a method, SAMPLER+SCHEDULER."""
    sampler, _, scheduler = text.partition("+")
    if sampler not in SAMPLERS or scheduler not in SCHEDULERS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not SAMPLER+SCHEDULER, of {', '.join(SAMPLERS)} and "
            f"{', '.join(SCHEDULERS)}"
        )
    return text


def main() -> None:
    """Print a row per table, method and start: mean regret with its 95 % interval over replays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, help="files KIND.parquet")
    parser.add_argument("--methods", nargs="+", type=check_method, default=METHODS)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--trainings", nargs="+", type=int, default=TRAININGS)
    parser.add_argument("--start", choices=("random", "default", "both"), default="both")
    options = parser.parse_args()
    starts = {"random": (False,), "default": (True,), "both": (False, True)}[options.start]
    trainings = sorted(options.trainings)
    for path in options.tables:
        table = Table(path, KINDS[path.stem])
        print(
            f"{path.stem}: {table.size} configurations, best {table.best:.4f}, default "
            f"{table.default_final:.4f}; rank correlation of the surrogate with final scores "
            f"held out {table.rank_correlation:.2f}\n"
            f"mean regret in points, 95 % interval, n = {options.repeats}, {WORKERS} workers",
            flush=True,
        )
        for default in starts:
            for method in options.methods:
                began = time.monotonic()
                regrets = np.array(
                    [replay(table, method, s, default, trainings) for s in range(options.repeats)]
                )
                half = 1.96 * regrets.std(axis=0, ddof=1) / math.sqrt(options.repeats)
                cells = "  ".join(
                    f"{after}: {mean:.2f} ± {h:.2f}"
                    for after, mean, h in zip(trainings, regrets.mean(axis=0), half, strict=True)
                )
                each = (time.monotonic() - began) / options.repeats
                start = "default first" if default else "random start"
                print(f"  {method:14s} {start:14s} {cells}  ({each:.2f} s each)", flush=True)


if __name__ == "__main__":
    main()
