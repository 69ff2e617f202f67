"""The one MLflow writer: a thread on the driver that replays the ledger into a tracking server.

Writing is idempotent by (run, key, step) with the ledger's own times, so whatever a crash or an
absent server left out is written later, and nothing twice. `python -m cluster.tracking rebuild
FOLDER` writes a whole search again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster import ledger as ledgers
from cluster.ledger import Ledger
from cluster.server import artifacts, connect, experiment, first_line
from cluster.story import Story
from cluster.study import refusals
from cluster.uploads import upload_best, upload_predictions
from trainables.errors import UserError

STATUS = {"complete": "FINISHED", "stopped": "KILLED", "diverged": "FAILED", "failed": "FAILED"}
BATCH = 1000
"""MLflow takes at most so many metrics in one call."""
PERIOD = 1.0
"""Seconds between two rounds of writing."""
UPLOAD_PERIOD = 60.0
"""Seconds between two looks for weights to upload while the search runs."""
PATIENCE = 60.0
"""Seconds that the end of a search waits for a server that does not answer."""


class Tracker:
    """Writes a search to MLflow as it goes; `touch` says which trial has news."""

    def __init__(
        self,
        client: MlflowClient,
        ledger: Ledger,
        artifacts: str | None,
        infeasible: Callable[[], int],
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.artifacts = artifacts
        self.infeasible = infeasible
        self.kind = str(ledger.settings.get("kind", "trial"))
        self.behind: str = ""
        self._experiment = ""
        self._parent = ""
        self._runs: dict[int, str] = {}
        self._written: dict[int, int] = {}
        self._dirty: set[int] = set(ledger.stories)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> str:
        """Find or make experiment and parent run, and begin to write; gives the parent's id."""
        try:
            self._open()
        except (MlflowException, OSError) as error:
            raise UserError(f"MLflow cannot be written to: {first_line(error)}") from error
        self._thread.start()
        return self._parent

    def _open(self) -> None:
        space = str(self.ledger.settings["space"])
        self._experiment = experiment(self.client, space, self.artifacts)
        found = self._search("tags.kind = 'search'")
        if found:
            self._parent = found[0].info.run_id
            self.client.update_run(self._parent, status="RUNNING")
        elif self.kind != "trial":
            raise UserError(
                f"the tracking server does not know the search {self.ledger.id}\n"
                f"python -m cluster.tracking rebuild {self.ledger.folder.parent} writes it again"
            )
        else:
            tags = {"kind": "search", "search": self.ledger.id, **self.ledger.settings["tags"]}
            begun = int(self.ledger.settings["begun"] * 1000)
            made = self.client.create_run(
                self._experiment, begun, tags, run_name=self.ledger.folder.name
            )
            self._parent = made.info.run_id
        if self.kind == "trial":
            for path in sorted((self.ledger.folder / "data").glob("*.parquet")):
                self.client.log_artifact(self._parent, str(path), "data")
            self.client.log_artifact(self._parent, str(self.ledger.folder / "search.json"))
            self.client.set_tag(self._parent, "trials", str(self.ledger.settings["trials"]))
        for run in self._search(f"tags.kind = '{self.kind}'"):
            trial = int(run.data.tags["trial"])
            self._runs[trial] = run.info.run_id
            # The end of a run is the last that is written of it.
            if "outcome" in run.data.tags and run.info.status != "RUNNING":
                self._dirty.discard(trial)

    def touch(self, trial: int) -> None:
        """Say that a trial has news."""
        with self._lock:
            self._dirty.add(trial)

    def close(self, finished: bool, patience: float = PATIENCE) -> str | None:
        """Write what is left in `patience` seconds, end the parent run; gives what went wrong."""
        self._deadline = time.monotonic() + patience
        self._ending.set()
        self._thread.join(timeout=patience + 15)
        if self._thread.is_alive():
            self.behind = self.behind or "it is slow"
        if not self.behind:
            try:
                self._finish("FINISHED" if finished else "KILLED")
            except Exception as error:
                self.behind = first_line(error)
        if not self.behind:
            return None
        return (
            f"MLflow has not got everything: {self.behind}\n"
            "nothing is lost; when the server answers again:\n"
            f"  python -m cluster.tracking rebuild {self.ledger.folder} --tracking-uri URI"
        )

    def _finish(self, status: str) -> None:
        self.upload_best()
        if self.kind == "trial":
            self._count()
            resources = self.ledger.settings.get("resources")
            if resources:  # what trials really got; the space only said what it wanted
                self.client.set_tag(self._parent, "resources", json.dumps(resources))
        for trial, story in self.ledger.stories.items():
            if story.outcome is None and trial in self._runs:
                self.client.set_terminated(self._runs[trial], "KILLED")
        self.client.set_terminated(self._parent, status)

    def upload_best(self) -> None:
        """Have the weights of the best trials, and of no others, among the artifacts."""
        marked = self._search(f"tags.kind = '{self.kind}' and tags.weights = 'yes'")
        upload_best(self.client, self.ledger, self._runs, marked)

    def _work(self) -> None:
        upload = time.monotonic() + UPLOAD_PERIOD
        while True:
            ending = self._ending.wait(PERIOD)
            with self._lock:
                todo, self._dirty = sorted(self._dirty), set()
            for place, trial in enumerate(todo):
                try:
                    self._write(self.ledger.stories[trial])
                    self.behind = ""
                except Exception as error:
                    self.behind = first_line(error)
                    with self._lock:
                        self._dirty.update(todo[place:])
                    break
            if not ending and not self.behind and time.monotonic() > upload:
                with contextlib.suppress(Exception):  # the end of the search does it again
                    self.upload_best()
                upload = time.monotonic() + UPLOAD_PERIOD
            if ending and (not self._dirty or time.monotonic() > self._deadline):
                return

    def _write(self, story: Story) -> None:
        reports, outcome = list(story.reports), story.outcome  # the driver goes on writing
        run_id = self._runs.get(story.trial) or self._create(story)
        fresh = reports[self._written.get(story.trial, 0) :]
        metrics = [
            Metric(key, value, int(report.time * 1000), report.report)
            for report in fresh
            for key, value in {**report.metrics, "device_seconds": report.seconds}.items()
        ]
        tags = {"attempts": str(story.attempts), "spans": json.dumps(story.spans)}
        if outcome is not None:
            metrics += self._final(story)
            tags |= {"outcome": outcome, "reason": story.reason}
            if outcome == "failed":
                tags["error"] = story.errors[-1]["error"][-4000:]
            upload_predictions(self.client, self.ledger, story.trial, run_id)
        for start in range(0, max(len(metrics), 1), BATCH):
            self.client.log_batch(
                run_id,
                metrics=metrics[start : start + BATCH],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )
        if outcome is not None:
            self.client.set_terminated(run_id, STATUS[outcome], int(story.ended * 1000))
        self._written[story.trial] = len(reports)

    def _create(self, story: Story) -> str:
        # A request that timed out may have made the run all the same.
        found = self._search(f"tags.kind = '{self.kind}' and tags.trial = '{story.trial}'")
        if found:
            run_id: str = found[0].info.run_id
        else:
            name = f"{self.ledger.name}-{story.trial:03d}"
            tags = {
                **story.tags,
                "kind": self.kind,
                "search": self.ledger.id,
                "trial": str(story.trial),
                "mlflow.parentRunId": self._parent,
            }
            made = self.client.create_run(
                self._experiment, int(story.started * 1000), tags, run_name=name
            )
            run_id = made.info.run_id
        params = [Param(key, _text(value)) for key, value in story.config.items()]
        self.client.log_batch(run_id, params=params)
        self._runs[story.trial] = run_id
        return run_id

    def _final(self, story: Story) -> list[Metric]:
        best = self.ledger.best(story)
        values = dict(story.facts)
        if best is not None:
            values |= {"score": best[0], "best_report": float(best[1])}
        now = int(story.ended * 1000)
        return [Metric(key, value, now, 0) for key, value in values.items()]

    def _count(self) -> None:
        counts = dict.fromkeys(STATUS, 0)
        for story in self.ledger.stories.values():
            if story.outcome is not None:
                counts[story.outcome] += 1
        counts["infeasible"] = self.infeasible()
        counts["retried"] = sum(len(s.errors) > 0 for s in self.ledger.stories.values())
        now = int(time.time() * 1000)
        metrics = [Metric(key, float(value), now, 0) for key, value in counts.items()]
        self.client.log_batch(self._parent, metrics=metrics)

    def _search(self, condition: str) -> list[Run]:
        found: list[Run] = []
        token: str | None = None
        query = f"tags.search = '{self.ledger.id}' and {condition}"
        while True:
            page = self.client.search_runs(
                [self._experiment], query, max_results=5000, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found


def rebuild(folder: Path, uri: str | None) -> None:
    """Write a whole search to MLflow again, its confirmation too, from its folder alone."""
    if not (folder / "search.json").exists():
        raise UserError(f"{folder} is no search's folder: it has no search.json")
    ledger = ledgers.reopen(folder)
    settings = ledger.settings
    client = connect(uri or settings["tracking_uri"])
    refused = refusals(folder)
    storage = folder.parent if settings.get("kind", "trial") == "trial" else folder.parent.parent
    place = artifacts(uri, storage) if uri else settings["artifacts"]
    tracker = Tracker(client, ledger, place, lambda: refused)
    tracker.start()
    trouble = tracker.close(finished=ledger.finished)
    ledger.close()
    if trouble:
        raise UserError(trouble)
    if (folder / "confirm" / "search.json").exists():
        rebuild(folder / "confirm", uri)


def _text(value: Any) -> str:
    # Lists read back as JSON; plain values as people write them.
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


def main() -> int:
    """Run `python -m cluster.tracking rebuild FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.tracking", description=rebuild.__doc__
    )
    parser.add_argument("action", choices=["rebuild"])
    parser.add_argument("folder", type=Path, help="a search's folder, such as runs/digits")
    parser.add_argument("--tracking-uri", help="default: where the search was written to")
    options = parser.parse_args()
    try:
        rebuild(options.folder, options.tracking_uri)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.folder} is in MLflow again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
