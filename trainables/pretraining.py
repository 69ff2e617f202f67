"""Models that others learn from: trained once per machine, whichever trial asks for one first.

A teacher of distillation, the source model of a transfer, a pre-trained encoder: each is a loop
like any other, run to its end inside the cache.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from trainables import cache, checkpoint
from trainables.ranking import Mode, is_finite
from trainables.run import Loop, Run

VERSION = 1  # of how teachers are trained; a new number makes every machine train anew


def trained_once(
    name: str,
    key: Mapping[str, object],
    run: Run,
    train: Callable[[Run], Loop],
    *,
    reports: int,
    metric: str = "validation_accuracy",
    mode: Mode = "max",
) -> Path | None:
    """Give the best checkpoint of a model trained once for these settings; None in a probe.

    `train` gets a Run of its own with so many reports; the checkpoint of its best by `metric` is
    what `restored` and `checkpoint.load_module` read. `key` holds all that the weights depend on,
    as JSON: settings, seed and the fingerprint of the data. Of concurrent trials one trains, the
    others wait; one that is killed leaves nothing. Global random states stay as they are. A probe
    (`run.share` below 1) is to use an untrained model in its place. Raises ValueError where the
    training diverges.
    """
    whole = {
        **{"version": VERSION, "source": run.source, "reports": reports},
        **{"metric": metric, "mode": mode, **key},
    }
    if run.share < 1:
        if not cache.cache_path(run.cache, name, whole).is_dir():
            run.facts["teacher_reports"] = float(reports)  # still owed, for who plans a search
        return None
    random = checkpoint.capture({})

    def build(draft: Path) -> None:
        print(f"{name}: training it once for this machine, {reports} reports", file=sys.stderr)
        started = time.monotonic()
        of = Run(
            reports=reports,
            metric=metric,
            mode=mode,
            device=run.device,
            data=run.data,
            cache=run.cache,
            source=run.source,
            download=run.download,
            weights=run.weights,
            folder=draft,
        )
        with closing(train(of)) as loop:
            for metrics in loop:
                of.record(metrics)
                if not is_finite(metrics):
                    raise ValueError(f"{name} diverged at report {of.done}: {dict(metrics)}")
                if of.done >= reports:
                    break
        shutil.rmtree(draft / "last")
        took = time.monotonic() - started
        print(f"{name}: {metric} {of.score:.4f} after {took:.0f} s", file=sys.stderr)

    folder = cache.get_or_build(run.cache, name, whole, build)
    checkpoint.restore(random, {})
    return folder / "best"
