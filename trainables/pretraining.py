"""Models that other models learn from: trained once per machine, by the first trial to need one.

A teacher of distillation, the source model of a transfer, a pretrained encoder: each is a loop
like any other, run to its end inside the cache.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from trainables import cache, checkpoint
from trainables.ranking import Mode
from trainables.run import Loop, Run
from trainables.terminal import print_text

VERSION = 1  # of how teachers are trained; a new number makes every machine train again


def train_once(
    name: str,
    key: Mapping[str, object],
    run: Run,
    train: Callable[[Run], Loop],
    *,
    reports: int,
    metric: str = "validation_accuracy",
    mode: Mode = "max",
) -> Path | None:
    """Return the best checkpoint of a model trained once for these settings; None in a probe.

    `train` gets its own Run with that many reports; the checkpoint of its best report by `metric`
    is one that `checkpoint.load_module` reads. `key` holds everything that the weights depend on,
    as JSON: settings, seed and the fingerprint of the data. Of concurrent trials one trains, the
    others wait; a killed one leaves nothing. Global random states are restored. A probe
    (`run.share` below 1) uses an untrained model instead. Raises ValueError where the training
    diverges.
    """
    full_key = {
        **{"version": VERSION, "source": run.source, "reports": reports},
        **{"metric": metric, "mode": mode, **key},
    }
    if run.share < 1:
        if not cache.cache_path(run.cache, name, full_key).is_dir():
            run.facts["teacher_reports"] = float(reports)  # a dry run adds them to the cost
        return None
    random = checkpoint.capture({})

    def build(draft: Path) -> None:
        print_text(f"{name}: training once for this machine, {reports} reports", sys.stderr)
        started = time.monotonic()
        training = replace(
            run,
            reports=reports,
            metric=metric,
            mode=mode,
            teacher=None,
            folder=draft,
            on_progress=None,
            preempted=lambda: False,
        )
        with closing(train(training)) as loop:
            for metrics in loop:
                training.record(metrics, loop)
                if training.diverged:
                    raise ValueError(f"{name} diverged: {training.diverged}")
                if training.done >= reports:
                    break
        shutil.rmtree(draft / "last")
        took = time.monotonic() - started
        print_text(f"{name}: {metric} {training.score:.4f} after {took:.0f} s", sys.stderr)

    folder = cache.get_or_build(run.cache, name, full_key, build)
    checkpoint.restore(random, {})
    return folder / "best"
