"""Tasks that hang, in whatever way, hold neither a slot nor the end of the search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.searches import read_ledger

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

Tune = Callable[..., tuple[int, str]]

KINDS = ("in a loop", "in C", "in a pool", "ignoring SIGTERM", "stopped", "while it closes")
HANGS = f"""
import multiprocessing, re

KINDS = {KINDS}

def hang(kind):
    match kind:
        case "in a loop":
            while True:
                pass
        case "in C":
            re.match("(a+)+$", 60 * "a" + "b")  # holds the GIL
        case "in a pool":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(time.sleep, [1e6])
        case "ignoring SIGTERM":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1e6)
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)

def train_hanging(config: Config, run: Run) -> Loop:
    with multiprocessing.get_context("fork").Pool(2) as pool:  # ends as it does without Ray
        pool.map(abs, [1, 2])
    for report, metrics in zip(run.remaining, train(config, run)):
        if report == 1 and config.behave != "while it closes" and is_first_call(run):
            hang(config.behave)
        try:
            yield metrics
        finally:
            if config.behave == "while it closes" and report == run.reports - 1:
                time.sleep(1e6)

ARMS = tuple({{"behave": kind}} for kind in KINDS)
SPACE = replace(SPACE, train=train_hanging, arms=ARMS, seeds=1, trials=len(KINDS), reports=3)
"""


def test_trials_that_hang_are_killed_and_continue(
    tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    words = ("--concurrency", 2, "--scheduler", "none", "--report-timeout", "20s")
    code, output = tune("--space", space_file(HANGS), *words)
    assert code == 0, output
    logs = read_ledger(tmp_path / "runs" / "toy").trial_logs
    assert {log.outcome for log in logs.values()} == {"complete"}
    failures = {
        log.config["behave"]: [(f.failure_class, f.message) for f in log.failures]
        for log in logs.values()
    }
    closes = failures.pop("while it closes")
    assert all(failure_class == "lost" for failure_class, _ in closes)
    for kind, found in failures.items():
        timeouts = [message for failure_class, message in found if failure_class == "timeout"]
        assert timeouts == ["report 2 took longer than --report-timeout 20 s: it was ended"], (
            kind,
            found,
        )


def test_the_time_budget_ends_a_trial_that_hangs(
    tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = space_file(f"{HANGS}\nSPACE = replace(SPACE, arms=(), trials=2)")
    words = ("--concurrency", 1, "--scheduler", "none", "--set", "behave=in C")
    code, output = tune("--space", path, *words, "--time-budget", "15s")
    assert code == 0, output
    assert "the time budget is used up: continue with the same command and --resume" in output
    (log,) = read_ledger(tmp_path / "runs" / "toy").trial_logs.values()
    if log.reports:  # else the machine is so busy that it did not get that far
        assert (log.outcome, log.reason, log.done) == ("stopped", "time budget", 1)
