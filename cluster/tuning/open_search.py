"""Open a search in the storage folder: a new one, or one to continue."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from cluster.execution.teacher_source import fetch_teacher
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.newest import check_no_copy, check_not_renamed, find_newest
from cluster.ledger.settings import FILE, SearchSettings, write_settings
from cluster.options import Options, ResumeMode
from cluster.storage.ledger_backup import restore_ledger
from cluster.tracking.provenance import collect_provenance
from cluster.tuning.settings import resolve_settings
from cluster.tuning.targets import repair_targets, write_targets
from cluster.tuning.tracking_server import open_server
from searchspaces.calls import prepare_data
from searchspaces.overrides import build_config
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.ground_truth import expect_predictions
from trainables.predictor import GroundTruth
from trainables.run import Run

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class OpenedSearch:
    """A search whose settings, data, teacher and tracking server have been checked.

    `ledger` is None for a new search: its folder is created when its trials can start.
    """

    settings: SearchSettings
    run: Run
    truth: GroundTruth
    client: MlflowClient
    ledger: Ledger | None


def open_search(space: SearchSpace[Any], run: Run, options: Options) -> OpenedSearch:
    """Open a new search of a space, or the newest one to continue; raises UserError."""
    storage = options.storage
    check_writable(storage.folder)
    if storage.remote:
        restore_ledger(storage, space.name, options.resume_mode == "resume")
    folder = find_search(storage.folder, space.name, options.resume_mode)
    ledger = ledgers.reopen_ledger(folder, allow_damage=True) if folder else None
    try:
        return _check_search(space, run, options, ledger)
    except BaseException:
        if ledger is not None:
            ledger.close()
        raise


def _check_search(
    space: SearchSpace[Any], run: Run, options: Options, ledger: Ledger | None
) -> OpenedSearch:
    settings = resolve_settings(space, options, ledger)
    run = replace(run, reports=settings.reports)
    client, recorded = open_server(options.storage, ledger)
    settings = replace(settings, tracking_uri=recorded)
    settings, run = use_teacher(settings, run, options)
    truth = prepare_data(space, build_config(space, settings.fixed), run)
    run = replace(run, expected=expect_predictions(truth))
    if ledger is None:
        settings = replace(settings, provenance=collect_provenance(space, truth))
    else:
        check_same_data(ledger, truth)
        ledger.notes += repair_targets(ledger.folder / "data", truth)
        ledger.settings = settings
    return OpenedSearch(settings, run, truth, client, ledger)


def check_writable(folder: Path) -> None:
    """Create the storage folder and check that it can be written to; raises UserError.

    The folder of a search is none: its next search would lie inside of it.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        if (folder / FILE).exists():
            raise UserError(
                f"--storage {folder} is the folder of a search, not of several\n"
                f"give the folder above it: --storage {folder.parent}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 1_000_000)
    except OSError as error:
        raise UserError(
            f"cannot write to the storage folder {folder}: {error.strerror}\n"
            "fix that, or choose another folder with --storage DIR"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def find_search(storage: Path, name: str, resume_mode: ResumeMode) -> Path | None:
    """Return the search to continue, None for a new one.

    Raises UserError where there is a search and the user has not said which is meant, where two
    folders hold the one to continue, and where it is in a folder of another name.
    """
    if resume_mode == "fresh":  # whatever state the older search is in
        return None
    folder = find_newest(storage, name)
    if folder is None:
        check_not_renamed(storage, name)
        return None
    if resume_mode is None:
        raise UserError(
            f"there is already a search of {name} in {folder}\n"
            "  --resume  continues it, or extends it with a larger --trials\n"
            "  --fresh   starts another one beside it"
        )
    check_no_copy(folder)
    return folder


def use_teacher(
    settings: SearchSettings, run: Run, options: Options
) -> tuple[SearchSettings, Run]:
    """Bring the teacher of a search, if it has one, to this machine.

    Raises UserError where it has changed since the search was started.
    """
    if not settings.teacher:
        return settings, run
    uri = options.storage.find_tracking_uri(settings.tracking_uri)
    folder = fetch_teacher(settings.teacher, uri, run.cache, run.trust_code)
    if settings.teacher_copy not in ("", folder.name):
        raise UserError(
            f"the teacher in {settings.teacher} has changed since the search was started\n"
            "restore it, or start another search with --fresh"
        )
    return replace(settings, teacher_copy=folder.name), replace(run, teacher=folder)


def check_same_data(ledger: Ledger, truth: GroundTruth) -> None:
    """Raise UserError where the data are not those that a search was started on."""
    before = ledger.settings.provenance.get("data_fingerprint", "")
    if before != truth.fingerprint:
        raise UserError(
            f"the data have changed since the search in {ledger.folder} was started\n"
            f"  there: {before or 'no fingerprint'}\n  now:   {truth.fingerprint or 'none'}\n"
            "use the same data, or start another search with --fresh"
        )


def create_search(
    storage: Path,
    settings: SearchSettings,
    truth: GroundTruth,
    resume_mode: ResumeMode = None,
    sources: Mapping[str, bytes] | None = None,
) -> Ledger:
    """Create the folder of a new search with the targets of its data; settings come last.

    Raises UserError where another process has started the search since `find_search`, unless the
    mode is `fresh`.
    """
    name = settings.space
    with filelock.FileLock(storage / f".{name}.lock"):
        if resume_mode != "fresh" and (other := find_newest(storage, name)):
            raise UserError(
                f"another process has just started the search in {other}\n"
                "wait for it, or start another search beside it with --fresh"
            )
        ledger = ledgers.create_ledger(storage, settings)
        write_targets(ledger.folder / "data", truth)
        write_sources(sources or {}, ledger.folder)
        write_settings(ledger.folder, ledger.settings)
        return ledger


def write_sources(sources: Mapping[str, bytes], folder: Path) -> None:
    """Write the source files of a space to the folder `code` of its search."""
    for name, content in sources.items():
        target = folder / "code" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
