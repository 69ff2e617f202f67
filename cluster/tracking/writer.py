"""The one MLflow writer: a thread on the driver that replays the ledger into a tracking server.

The ledger is the truth. A run that exists at the start, or that a failed request may have created,
is compared with it: what it lacks is added, and a run that contradicts the ledger is deleted and
written again. Whatever a crash or an absent server left out is written later, and no report twice.
Complete runs are left alone; `python -m cluster.tracking rebuild FOLDER` checks these, too.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import threading
import time
from collections.abc import Callable

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.storage.redaction import first_line
from cluster.tracking import run_records
from cluster.tracking.artifacts import upload_best, upload_predictions
from cluster.tracking.client import find_experiment, search_all_runs
from cluster.tracking.run_records import (
    DEVICE_SECONDS,
    STATUS,
    LoggedRun,
    search_tags,
    to_milliseconds,
)
from trainables.errors import UserError

BATCH = 1000
"""Metrics per call: MLflow's limit."""
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

    `again` checks complete runs, too. `behind` says why MLflow lacks something, if it does."""

    def __init__(
        self,
        client: MlflowClient,
        ledger: Ledger,
        artifacts: str | None,
        infeasible: Callable[[], int],
        again: bool = False,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.artifacts = artifacts
        self.infeasible = infeasible
        self.again = again
        self.kind = ledger.settings.kind
        self.behind: str = ""
        self._experiment = ""
        self._parent = ""
        self._runs: dict[int, str] = {}
        self._existing: dict[int, Run] = {}
        self._logged: dict[int, LoggedRun] = {}
        self._unconfirmed: set[int] = set()
        self._dirty: set[int] = set(ledger.trial_logs)
        self._lock = threading.Lock()
        self._patience = PATIENCE
        self._progress = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> str:
        """Find or create experiment and parent run, start to write, and return the parent's id."""
        try:
            self._open()
        except (MlflowException, OSError) as error:
            raise UserError(
                f"cannot write to MLflow: {first_line(error)}\n"
                "start the tracking server, or name another one with --tracking-uri"
            ) from error
        self._thread.start()
        return self._parent

    def _open(self) -> None:
        settings = self.ledger.settings
        self._experiment = find_experiment(self.client, settings.space, self.artifacts)
        found = self._search("tags.kind = 'search'")
        if found:
            self._parent = found[0].info.run_id
            self.client.update_run(self._parent, status="RUNNING")
        elif self.kind != "trial":
            raise UserError(
                f"the tracking server has no search {self.ledger.id}\n"
                "write it again: python -m cluster.tracking rebuild "
                f"{shlex.quote(str(self.ledger.folder.parent))}"
            )
        else:
            started = to_milliseconds(settings.started)
            made = self.client.create_run(
                self._experiment,
                started,
                search_tags(settings),
                run_name=self.ledger.folder.name,
            )
            self._parent = made.info.run_id
        if self.kind == "trial":
            for path in sorted((self.ledger.folder / "data").glob("*.parquet")):
                self.client.log_artifact(self._parent, str(path), "data")
            self.client.log_artifact(self._parent, str(self.ledger.folder / "search.json"))
            self.client.set_tag(self._parent, "trials", str(settings.trials))
        for run in self._search(f"tags.kind = '{self.kind}'"):
            trial = int(run.data.tags["trial"])
            if trial in self._runs and trial not in self._dirty:
                continue  # a complete one exists
            self._runs[trial] = run.info.run_id
            trial_log = self.ledger.trial_logs.get(trial)
            if self.again or not run_records.is_complete(
                trial_log, run.info.end_time, run.data.params
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
        """Write what is left, end the parent run, and return what failed, if anything.

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
        if not self.behind:
            try:
                self._finish("FINISHED" if finished else "KILLED")
            except Exception as error:
                self.behind = first_line(error)
        if not self.behind:
            return None
        return (
            f"MLflow is not complete: {self.behind}\n"
            "nothing is lost; complete it when the server answers again:\n"
            f"  python -m cluster.tracking rebuild {shlex.quote(str(self.ledger.folder))} "
            "--tracking-uri URI"
        )

    def _finish(self, status: str) -> None:
        # A request that was sent twice, or a killed driver, may have created duplicates.
        for run in self._search(f"tags.kind = '{self.kind}'"):
            if self._runs.get(int(run.data.tags["trial"])) != run.info.run_id:
                self.client.delete_run(run.info.run_id)
        self.upload_best()
        if self.kind == "trial":
            counts = run_records.outcome_counts(self.ledger, self.infeasible())
            self.client.log_batch(self._parent, metrics=[Metric(*point) for point in counts])
            resources = self.ledger.settings.resources
            if resources:  # what trials got; the space only has what it requested
                self.client.set_tag(self._parent, "resources", json.dumps(resources))
        for trial, trial_log in self.ledger.trial_logs.items():
            if trial_log.outcome is None and trial in self._runs:
                self.client.set_terminated(self._runs[trial], "KILLED")
        self.client.set_terminated(self._parent, status)

    def upload_best(self) -> None:
        """Upload the weights of the best trials, and delete those of all others."""
        marked = self._search(f"tags.kind = '{self.kind}' and tags.weights = 'yes'")
        upload_best(self.client, self.ledger, self._runs, marked)

    def _work(self) -> None:
        upload = time.monotonic() + UPLOAD_PERIOD
        while True:
            ending = self._ending.wait(PERIOD)
            with self._lock:
                todo, self._dirty = sorted(self._dirty), set()
            for index, trial in enumerate(todo):
                try:
                    self._write(self.ledger.trial_logs[trial])
                    self.behind, self._progress = "", time.monotonic()
                except Exception as error:
                    self.behind = first_line(error)
                    with self._lock:
                        self._dirty.update(todo[index:])
                    break
            if not ending and not self.behind and time.monotonic() > upload:
                with contextlib.suppress(Exception):  # it is repeated at the end of the search
                    self.upload_best()
                upload = time.monotonic() + UPLOAD_PERIOD
            if ending and (not self._dirty or time.monotonic() > self._progress + self._patience):
                return

    def _write(self, trial_log: TrialLog) -> None:
        # The driver appends meanwhile: the outcome is read first, so that all reports before it
        # are there.
        outcome = trial_log.outcome
        reports = list(trial_log.reports)
        there = trial_log.trial in self._runs or trial_log.trial in self._unconfirmed
        # Until all is written: after an error, the server is asked what it has.
        self._unconfirmed.add(trial_log.trial)
        logged = self._logged.pop(trial_log.trial, None) or self._find(trial_log.trial, there)
        if logged and run_records.contradicts(logged, trial_log, reports, outcome is not None):
            self.client.delete_run(logged.run_id)
            logged = None
        logged = logged or self._create(trial_log)
        self._runs[trial_log.trial] = logged.run_id
        points = run_records.report_points(logged, reports)
        if outcome is not None:
            points += run_records.final_points(logged, self.ledger, trial_log)
            upload_predictions(self.client, self.ledger, trial_log.trial, logged.run_id)
        params = run_records.run_params(trial_log)
        tags = [
            RunTag(key, value) for key, value in run_records.trial_tags(trial_log, outcome).items()
        ]
        for start in range(0, max(len(points), 1), BATCH):
            self.client.log_batch(
                logged.run_id,
                metrics=[Metric(*point) for point in points[start : start + BATCH]],
                params=[Param(key, params[key]) for key in params.keys() - logged.params.keys()],
                tags=tags,
            )
            logged.params = params
        if outcome is not None:
            self.client.set_terminated(
                logged.run_id, STATUS[outcome], to_milliseconds(trial_log.ended)
            )
        logged.seconds |= {report.report: report.seconds for report in reports}
        self._logged[trial_log.trial] = logged
        self._unconfirmed.discard(trial_log.trial)

    def _find(self, trial: int, there: bool) -> LoggedRun | None:
        run = self._existing.pop(trial, None)
        if run is None and there:  # the query takes longer with every run of the search
            found = self._search(f"tags.kind = '{self.kind}' and tags.trial = '{trial}'")
            run = found[0] if found else None
        if run is None:
            return None
        run_id, seconds = run.info.run_id, {}
        # Written last of each report: a report that has it is complete.
        if DEVICE_SECONDS in run.data.metrics:
            history = self.client.get_metric_history(run_id, DEVICE_SECONDS)
            seconds = {metric.step: metric.value for metric in history}
        return LoggedRun(run_id, run.info.start_time, run.data.params, run.data.metrics, seconds)

    def _create(self, trial_log: TrialLog) -> LoggedRun:
        tags = {
            **trial_log.tags,
            "kind": self.kind,
            "search": self.ledger.id,
            "trial": str(trial_log.trial),
            "mlflow.parentRunId": self._parent,
        }
        name = f"{self.ledger.name}-{trial_log.trial:03d}"
        started = to_milliseconds(trial_log.started)
        made = self.client.create_run(self._experiment, started, tags, run_name=name)
        return LoggedRun(made.info.run_id, started, {}, {}, {})

    def _search(self, condition: str) -> list[Run]:
        query = f"tags.search = '{self.ledger.id}' and {condition}"
        return search_all_runs(self.client, self._experiment, query)
