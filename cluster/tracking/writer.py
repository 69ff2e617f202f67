"""The one MLflow writer: a thread on the driver that replays the ledger into a tracking server.

The ledger is the truth. A run that exists at the start, or that a failed request may have created,
is compared with it: what it lacks is added, and a run that contradicts the ledger is deleted and
written again. Whatever a crash or an absent server left out is written later, and no report twice.
A trial that MLflow refuses holds up no other one. Complete runs are left alone; `python -m
cluster.tracking rebuild FOLDER` checks these, too.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.storage.redaction import first_line
from cluster.tracking import parent, run_records
from cluster.tracking.artifacts import MARKED, upload_best, upload_result, upload_search
from cluster.tracking.batches import log_in_batches
from cluster.tracking.client import is_refusal, open_experiment, search_all_runs
from cluster.tracking.problems import (
    FailedTrials,
    describe_delay,
    describe_refusals,
    format_rebuild_command,
)
from cluster.tracking.run_records import (
    DEVICE_SECONDS,
    STATUS,
    LoggedRun,
    to_milliseconds,
)
from trainables.errors import UserError

PERIOD = 1.0
"""Seconds between two rounds of writing."""
UPLOAD_PERIOD = 60.0
"""Seconds between two uploads of weights while the search runs."""
PATIENCE = 60.0
"""Seconds for which the end of a search waits for a server that does not answer."""
REQUEST_TIME = 15.0
"""Seconds beyond PATIENCE that a request which has started may take."""


class MLflowWriter:
    """Writes a search to MLflow while it runs; `touch` marks a trial that has changed.

    `again` checks complete runs, too. `notify` gets messages for the user. `behind` says why
    MLflow lacks something that will be written later, if it does."""

    def __init__(
        self,
        client: MlflowClient,
        ledger: Ledger,
        infeasible: Callable[[], int],
        again: bool = False,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.infeasible = infeasible
        self.again, self.notify = again, notify
        self.kind = ledger.settings.kind
        self._derived = run_records.list_derived(ledger.settings)
        self.behind: str = ""
        self.experiment = self._parent = ""
        self._runs: dict[int, str] = {}
        self._existing: dict[int, Run] = {}
        self._logged: dict[int, LoggedRun] = {}
        self._unconfirmed: set[int] = set()
        self._failed = FailedTrials()
        self._known_names: set[str] = set()
        self._dirty: set[int] = set(ledger.trial_logs)
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._patience, self._progress = PATIENCE, 0.0
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> str:
        """Find or create experiment and parent run, start to write, and return the parent's id."""
        try:
            self._open()
        except (MlflowException, OSError) as error:
            raise UserError(
                f"cannot write to MLflow: {first_line(error)}\n"
                "fix that, or name another tracking server with --tracking-uri"
            ) from error
        self._thread.start()
        return self._parent

    def _open(self) -> None:
        settings = self.ledger.settings
        self.experiment, found = open_experiment(self.client, settings.space, self.ledger.id)
        if found:
            self._parent = found.info.run_id
            self.client.update_run(self._parent, status="RUNNING")
        elif self.kind != "trial":
            raise UserError(
                f"the tracking server has no search {self.ledger.id}\n"
                f"write it again: {format_rebuild_command(self.ledger)}"
            )
        else:
            self._parent = parent.create_parent(self.client, self.ledger, self.experiment)
        if self.kind == "trial":
            parent.adopt_runs(self.client, self.experiment, self.ledger.id, self._parent)
            upload_search(self.client, self.ledger.folder, self._parent)
            parent.describe_search(self.client, self.ledger, self._parent, self.experiment)
        for run in self._search():
            trial = run_records.read_number(run.data.tags, "trial")
            if trial is None:  # its trial has none now, and is written again
                self.notify(f"deleted {run.info.run_name!r} in MLflow: tag `trial` is no number")
                self.client.delete_run(run.info.run_id)
                continue
            if trial in self._runs and trial not in self._dirty:
                continue  # a complete one exists
            self._runs[trial] = run.info.run_id
            trial_log = self.ledger.trial_logs.get(trial)
            if self.again or not run_records.is_complete(
                trial_log, run.info.end_time, run.data.params, run.data.tags, self._derived
            ):
                self._existing[trial] = run
            else:
                self._dirty.discard(trial)
                self._existing.pop(trial, None)

    def touch(self, trial: int) -> None:
        """Mark a trial as changed."""
        with self._lock:
            self._dirty.add(trial)

    def close(self, finished: bool, patience: float = PATIENCE) -> str | None:
        """Write what is left, end the parent run, and return what is missing, if anything.

        Gives up when nothing could be written for `patience` seconds, at once for 0.
        """
        self._patience, self._progress = patience, time.monotonic()
        self._ending.set()
        while (
            self._thread.is_alive()
            and time.monotonic() <= self._progress + patience + REQUEST_TIME
        ):
            self._thread.join(timeout=PERIOD)
        if self._thread.is_alive():
            self.behind = self.behind or "it does not answer"
        elif not self.behind or patience:  # the server may be there but for single trials
            try:
                self._finish("FINISHED" if finished else "KILLED")
                self.behind = ""
            except Exception as error:
                self.behind = first_line(error)
        if self.behind:
            return describe_delay(self.ledger, self.behind)
        reasons = self._failed.reasons
        return describe_refusals(self.ledger, reasons) if reasons else None

    def _finish(self, status: str) -> None:
        for trial in self._dirty:
            self._failed.reasons.setdefault(trial, self.behind)
        # A request that was sent twice, or a killed driver, may have created duplicates.
        known = set(self._runs.values())
        for run in self._search():
            if run.info.run_id not in known:
                self.client.delete_run(run.info.run_id)
        self.upload_best()
        if self.kind == "trial":
            self._write_best(parent.outcome_counts(self.ledger, self.infeasible()))
            resources = self.ledger.settings.resources
            if resources:  # what trials got; the space only has what it requested
                self.client.set_tag(self._parent, "resources", json.dumps(resources))
        for trial, trial_log in self.ledger.trial_logs.items():
            if trial in self._runs and (
                trial_log.outcome is None or trial in self._failed.reasons
            ):
                with contextlib.suppress(MlflowException):  # a refused trial may have no run
                    self.client.set_terminated(self._runs[trial], "KILLED")
        self.client.set_terminated(self._parent, status)

    def upload_best(self) -> None:
        """Upload what the best trials have saved, and delete that of all others."""
        upload_best(self.client, self.ledger, self._runs, self._search(f"and {MARKED}"))

    def _write_best(self, points: Sequence[run_records.Point] = ()) -> None:
        if self.kind == "trial":
            page = self._parent, self.experiment
            parent.write_best(self.client, self.ledger, *page, self._runs, points)

    def _work(self) -> None:
        upload = time.monotonic() + UPLOAD_PERIOD
        while True:
            is_ending = self._ending.wait(PERIOD)
            self._write_all(is_ending)
            if not is_ending and not self.behind and time.monotonic() > upload:
                with contextlib.suppress(Exception):  # it is repeated at the end of the search
                    self.upload_best()
                    self._write_best()
                upload = time.monotonic() + UPLOAD_PERIOD
            with self._lock:
                left = self._dirty - self._failed.refused
            if is_ending and (not left or time.monotonic() > self._progress + self._patience):
                return
            threading.Event().wait(PERIOD if is_ending else 0)

    def _write_all(self, is_ending: bool) -> None:
        """Write the trials that have changed, until the server does not answer.

        Those that have failed come last, and one that was refused at the end of the search.
        """
        with self._lock:
            todo, self._dirty = self._dirty, set()
        is_away, waiting = False, set[int]()
        for trial in self._failed.sort(todo):
            if is_away or (trial in self._failed.refused and not is_ending):
                waiting.add(trial)
                continue
            try:
                self._write(self.ledger.trial_logs[trial])
            except Exception as error:
                waiting.add(trial)
                self._failed.add(trial, error)
                if not is_refusal(error):
                    self.behind, is_away = first_line(error), True
            else:
                self._failed.remove(trial)
                self._progress = time.monotonic()
        with self._lock:
            self._dirty |= waiting
        if waiting <= self._failed.refused:
            self.behind = ""

    def _write(self, trial_log: TrialLog) -> None:
        # The driver appends meanwhile: the outcome is read first, so that all reports before it
        # are there.
        trial, outcome, count = trial_log.trial, trial_log.outcome, len(trial_log.reports)
        there = trial in self._runs or trial in self._unconfirmed
        # Until all is written: after an error, the server is asked what it has.
        self._unconfirmed.add(trial)
        logged = self._logged.pop(trial, None)
        params: dict[str, str] = {}
        if logged is None:
            params = run_records.run_params(trial_log, self._derived)
            logged = self._find(trial, there)
            has_ended = outcome is not None
            if logged and run_records.contradicts(logged, trial_log, has_ended, self._derived):
                self.client.delete_run(logged.run_id)
                logged = None
            logged = logged or self._create(trial_log)
            self._runs[trial] = logged.run_id
        new = trial_log.reports[logged.written : count]
        for message in run_records.describe_names(trial_log, new, self._known_names):
            self.notify(message)
        points = run_records.report_points(logged, new)
        if outcome is not None:
            points += run_records.final_points(logged, self.ledger, trial_log)
        tags = run_records.trial_tags(trial_log, outcome) | run_records.name_tags(trial_log, new)
        missing = {name: params[name] for name in params.keys() - logged.params.keys()}
        log_in_batches(self.client, logged.run_id, points, missing, tags)
        if outcome is not None:
            upload_result(self.client, self.ledger, trial, logged.run_id)
            ended = to_milliseconds(trial_log.ended)
            self.client.set_terminated(logged.run_id, STATUS[outcome], ended)
        logged.written = count
        self._logged[trial] = logged
        self._unconfirmed.discard(trial)

    def _find(self, trial: int, there: bool) -> LoggedRun | None:
        run = self._existing.pop(trial, None)
        if run is None and there:  # the query takes longer with every run of the search
            run = next(iter(self._search(f"and tags.trial = '{trial}'")), None)
        if run is None:
            return None
        data, found = run.data, run.info.run_id
        names = data.metrics.keys() if self.again else data.metrics.keys() & {DEVICE_SECONDS}
        history = {name: self.client.get_metric_history(found, name) for name in names}
        # Device seconds are written last of each report, which is then complete.
        seconds = {metric.step: metric.value for metric in history.get(DEVICE_SECONDS, ())}
        steps = {name: [metric.step for metric in points] for name, points in history.items()}
        about = data.params, data.metrics, seconds, data.tags
        return LoggedRun(found, run.info.start_time, *about, steps=steps)

    def _create(self, trial_log: TrialLog) -> LoggedRun:
        tags = run_records.first_tags(self.ledger, trial_log, self._parent)
        name = run_records.run_name(self.ledger, trial_log)
        started = to_milliseconds(trial_log.started)
        made = self.client.create_run(self.experiment, started, tags, run_name=name)
        return LoggedRun(made.info.run_id, started, {}, {}, {}, tags)

    def _search(self, condition: str = "") -> list[Run]:
        """Return the runs of this search, or of this confirmation."""
        query = f"tags.`mlflow.parentRunId` = '{self._parent}' and tags.kind = '{self.kind}'"
        return search_all_runs(self.client, [self.experiment], f"{query} {condition}".strip())
