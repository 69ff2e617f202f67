"""One search from the command line to the last words: data, ledger, tracker, Ray, summary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
from mlflow.tracking import MlflowClient
from rich.console import Console

from cluster import ledger as ledgers
from cluster import opening, provenance, search, server, summary, tracking
from cluster.attempts import Attempts
from cluster.ledger import Ledger
from cluster.points import distributions, field_of
from cluster.progress import Screen
from cluster.study import Study, plan
from searchspaces import SearchSpace, configure
from trainables.errors import UserError
from trainables.run import Run, Truth
from trainables.trainable import Settings

INTERRUPTED, BEHIND = 130, 3


@dataclass(frozen=True)
class Choices:
    """What the user asked for; None where the space or an earlier search decides."""

    trials: int | None = None
    reports: int | None = None
    seeds: int | None = None
    seed: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    tracking_uri: str | None = None
    going: opening.Going = None
    budget: float | None = None
    concurrency: int | None = None
    gpus: float | None = None
    address: str | None = None


def settings(space: SearchSpace[Any], chosen: Choices, storage: Path) -> dict[str, Any]:
    """Decide everything that a new search is begun with, as `search.json` holds it."""
    seeds = chosen.seeds or space.seeds
    sampler = chosen.sampler or "tpe"
    uri = chosen.tracking_uri or server.default_uri(storage)
    planned = len(plan(space, chosen.fixed, sampler, seeds))
    trials = planned if space.arms or sampler == "grid" else max(space.trials, planned)
    return {
        "space": space.name,
        "metric": space.metric,
        "mode": space.mode,
        "trials": chosen.trials or trials,
        "reports": chosen.reports or space.reports,
        "seeds": seeds,
        "seed": chosen.seed or 0,
        "sampler": sampler,
        "scheduler": chosen.scheduler or ("none" if space.arms else "asha"),
        "fixed": dict(chosen.fixed),
        "tracking_uri": provenance.without_secrets(uri),
        "artifacts": server.artifacts(uri, storage),
        "parameters": {
            name: str(distribution)
            for name, distribution in distributions(space, chosen.fixed).items()
        },
    }


def conduct(
    name: str, space: SearchSpace[Any], run: Run, chosen: Choices, storage: Path, console: Console
) -> int:
    """Run a search, or go on with one; gives the exit code."""
    opening.check_storage(storage)
    folder = opening.find(storage, space.name, chosen.going)
    new = settings(space, chosen, storage)
    ledger = ledgers.reopen(folder) if folder else None
    if ledger is not None:
        given = {key: value for key, value in asdict(chosen).items() if key in new}
        given["fixed"] = given["fixed"] or None
        given["tracking_uri"] = new["tracking_uri"] if chosen.tracking_uri else None
        ledger.settings = new = opening.agree(ledger.folder, ledger.settings, given)
    run.reports = new["reports"]
    client = server.connect(chosen.tracking_uri or new["tracking_uri"])
    truth = prepare(space, new["fixed"], run)
    if ledger is None:
        new["tags"] = provenance.tags(space, new, truth)
        ledger = opening.begin(storage, space.name, new, truth)
    else:
        check_data(ledger, truth)
        ledgers.write_settings(ledger.folder, ledger.settings)
    try:
        return carry_out(name, space, run, chosen, storage, console, ledger, client)
    finally:
        ledger.close()


def carry_out(
    name: str,
    space: SearchSpace[Any],
    run: Run,
    chosen: Choices,
    storage: Path,
    console: Console,
    ledger: Ledger,
    client: MlflowClient,
) -> int:
    """Start Ray and the tracker, run the attempts, and sum up."""
    new = ledger.settings
    study = Study(ledger, space, plan(space, new["fixed"], new["sampler"], new["seeds"]))
    deadline = time.time() + chosen.budget if chosen.budget else None
    tracker = tracking.Tracker(client, ledger, new["artifacts"], lambda: study.infeasible)
    attempts = Attempts(ledger, study, new["trials"], deadline, tracker.touch)
    searched = list(dict.fromkeys(map(field_of, new["parameters"])))
    summary.introduce(space, ledger, console)
    tracker.start()
    done = ledger.finished
    try:
        if not done:
            search.start_ray(chosen.address)
            resources = search.share_out(dict(space.resources), chosen.gpus, chosen.concurrency)
            worker = Settings(
                space=name if not name.endswith(".py") else str(Path(name).resolve()),
                folder=ledger.folder.resolve(),
                cache=run.cache.resolve(),
                reports=run.reports,
                data=run.data,
                source=run.source,
                weights=run.weights,
                teacher=run.teacher,
                threads=max(1, int(resources.cpus)),
            )
            with Screen(attempts, searched, console, lambda: tracker.behind) as screen:
                done = search.run(attempts, worker, resources, new["scheduler"], screen.update)
    finally:
        trouble = tracker.close(finished=done)
        if ray.is_initialized():
            ray.shutdown()
    if trouble:
        console.print(trouble, style="yellow", highlight=False, soft_wrap=True)
    summary.show(space, ledger, study.infeasible, searched, storage, console)
    if not done:
        again = "the time budget is spent" if attempts.late else "interrupted"
        console.print(f"{again}: the same command with --resume goes on", style="yellow")
        if not attempts.late:
            return INTERRUPTED
    return BEHIND if trouble else 0


def prepare(space: SearchSpace[Any], fixed: Mapping[str, Any], run: Run) -> Truth:
    """Have the data on this machine, before anything is started."""
    config = configure(space, fixed)
    return space.prepare(config, run) if space.prepare else Truth(source=run.source)


def check_data(ledger: Ledger, truth: Truth) -> None:
    """Refuse to go on with other data."""
    begun = ledger.settings["tags"].get("data_fingerprint", "")
    if begun != truth.fingerprint:
        raise UserError(
            f"the search in {ledger.folder} was begun on other data (fingerprint {begun}, "
            f"now {truth.fingerprint})\ngive the same --data-dir and --data, or use --fresh"
        )
