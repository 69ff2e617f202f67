"""One search from the command line to the last words: settings, data, ledger, summary."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.execution import prepare_cluster, teacher_source
from cluster.execution.early_stopping import rungs
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.options import Options
from cluster.sampling import parameters
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.storage import ledger_backup
from cluster.storage.redaction import redact
from cluster.tracking import provenance
from cluster.tracking.client import artifact_location, default_tracking_uri, open_client
from cluster.tuning import open_search, summary
from cluster.tuning.run_trials import TrialsJob, run_trials
from searchspaces.overrides import build_config
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.predictor import GroundTruth
from trainables.run import Run


def decide_settings(space: SearchSpace[Any], chosen: Options, storage: Path) -> dict[str, Any]:
    """Decide everything that a new search is begun with, as `search.json` holds it."""
    seeds = chosen.seeds or space.seeds
    sampler = chosen.sampler or "tpe"
    uri = chosen.tracking_uri or default_tracking_uri(storage)
    reports = chosen.reports or space.reports
    scheduler = chosen.scheduler or ("none" if space.arms else "asha")
    enqueued = len(plan_initial_trials(space, chosen.fixed, sampler, seeds))
    trials = enqueued if space.arms or sampler == "grid" else max(space.trials, enqueued)
    return {
        "space": space.name,
        "metric": space.metric,
        "mode": space.mode,
        "trials": chosen.trials or trials,
        "reports": reports,
        "seeds": seeds,
        "seed": chosen.seed or 0,
        "sampler": sampler,
        "scheduler": scheduler,
        "fixed": dict(chosen.fixed),
        "tracking_uri": redact(uri),
        "artifacts": artifact_location(uri, storage),
        "parameters": {
            name: parameters.distribution_to_json(distribution)
            for name, distribution in parameters.find_distributions(space, chosen.fixed).items()
        },
        "rungs": rungs(reports, min(space.min_reports, reports)) if scheduler == "asha" else [],
        "enqueued": enqueued,
        "control": chosen.control or 0,
        "teacher": chosen.teacher or "",
    }


def run_search(
    space: SearchSpace[Any], run: Run, chosen: Options, storage: Path, console: Console
) -> int:
    """Run a search, or go on with one; gives the exit code."""
    open_search.check_storage(storage)
    if chosen.remote:
        ledger_backup.restore_ledger(storage, chosen.remote, space.name, chosen.resume_mode)
    folder = open_search.find_search(storage, space.name, chosen.resume_mode)
    new = decide_settings(space, chosen, storage)
    ledger = ledgers.reopen_ledger(folder) if folder else None
    if ledger is not None:
        given = {key: value for key, value in asdict(chosen).items() if key in new}
        given["fixed"] = given["fixed"] or None
        given["tracking_uri"] = new["tracking_uri"] if chosen.tracking_uri else None
        ledger.settings = new = open_search.merge_settings(ledger.folder, ledger.settings, given)
    run.reports = new["reports"]
    client = open_client(chosen.tracking_uri or new["tracking_uri"])
    fetch_teacher(run, new, chosen)
    truth = prepare_data(space, new["fixed"], run)
    if ledger is None:
        new["tags"] = provenance.tags(space, new, truth)
    else:
        console.print(f"going on with {ledger.folder}", highlight=False, soft_wrap=True)
        check_same_data(ledger, truth)
    summary.print_header(space, new, ledger.trial_logs if ledger else {}, console)
    needed = ledger is None or not ledger.finished
    machine = prepare_cluster.prepare_cluster(space, run, chosen, new["fixed"], storage, console)
    try:
        with machine if needed else contextlib.nullcontext() as ready:
            if ledger is None:
                ledger = open_search.create_search(
                    storage, space.name, new, truth, chosen.resume_mode
                )
                if chosen.resume_mode == "resume":
                    note = f"nothing to resume in {storage}: starting {ledger.folder}"
                    console.print(note, highlight=False, soft_wrap=True)
            else:
                ledgers.write_settings(ledger.folder, ledger.settings)
            planned = plan_initial_trials(space, new["fixed"], new["sampler"], new["seeds"])
            remote = chosen.remote / ledger.folder.name if chosen.remote else None
            what = TrialsJob(space, run, chosen, console, ledger, client, planned, ready, remote)
            done = run_trials(what)
        summary.print_summary(space, ledger, done.infeasible, storage, console)
        return done.exit_code(console, chosen.resume_mode)
    finally:
        if ledger is not None:
            ledger.close()


def prepare_data(space: SearchSpace[Any], fixed: Mapping[str, Any], run: Run) -> GroundTruth:
    """Have the data on this machine, before anything is started."""
    config = build_config(space, fixed)
    return space.prepare(config, run) if space.prepare else GroundTruth(source=run.source)


def fetch_teacher(run: Run, settings: dict[str, Any], chosen: Options) -> None:
    """Fetch the teacher of a search, if it has one; refuse one that is another now."""
    if not settings.get("teacher"):
        return
    uri = chosen.tracking_uri or settings["tracking_uri"]
    run.teacher = teacher_source.fetch_teacher(settings["teacher"], uri, run.cache)
    if settings.setdefault("teacher_folder", run.teacher.name) != run.teacher.name:
        raise UserError(
            f"the teacher in {settings['teacher']} has changed since the search was begun\n"
            "put it back as it was, or start another search with --fresh"
        )


def check_same_data(ledger: Ledger, truth: GroundTruth) -> None:
    """Refuse to go on with other data."""
    begun = ledger.settings["tags"].get("data_fingerprint", "")
    if begun != truth.fingerprint:
        raise UserError(
            f"the search in {ledger.folder} was begun on other data (fingerprint {begun}, "
            f"now {truth.fingerprint})\ngive the same --data-dir and --data, or use --fresh"
        )
