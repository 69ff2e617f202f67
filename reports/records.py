"""A search and its trials as plain records, independent of the server they were read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.ranking import Mode

Curve = tuple[tuple[int, float], ...]  # (report, value), one per report, ascending


@dataclass(frozen=True, eq=False)  # compared by identity: thousands of them are put in sets
class TrialRecord:
    """One child run of a search: a trial, or a re-run of a trial's configuration."""

    run_id: str
    name: str
    number: int
    outcome: str  # complete, stopped, diverged, failed, unfinished
    params: Mapping[str, str] = field(default_factory=dict)  # Config fields
    suggested: Mapping[str, str] = field(default_factory=dict)  # parameters that are no fields
    metrics: Mapping[str, float] = field(default_factory=dict)  # Tunery's own, such as `score`
    reported: Mapping[str, float] = field(default_factory=dict)  # by the task, the last of each
    error: str | None = None
    reason: str | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)  # filled by `read_curves` alone
    tags: Mapping[str, str] = field(default_factory=dict)
    reports: int = 0  # recorded so far
    of: int | None = None  # of a re-run: the number of the trial that it repeats

    @property
    def label(self) -> str:
        """Return `3`, or `re-run 14`."""
        return f"{self.number}" if self.of is None else f"re-run {self.number}"

    @property
    def title(self) -> str:
        """Return `trial 3`, or `re-run 14 of trial 3`."""
        return f"trial {self.label}" if self.of is None else f"{self.label} of trial {self.of}"


@dataclass(frozen=True)
class Search:
    """One parent run with all its trials, in the order of their numbers."""

    run_id: str
    name: str
    space: str
    metric: str
    mode: Mode
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    trials: tuple[TrialRecord, ...]
    compare: tuple[str, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    reruns: tuple[TrialRecord, ...] = ()  # of a confirmation, with fresh seeds
    is_finished: bool = True  # also where a finite space has no more configurations
    experiment: str = ""  # its id in MLflow
    tracking_uri: str = ""  # where it was read from

    @property
    def server(self) -> str:
        """Return the http address of the tracking server; empty for a database."""
        return self.tracking_uri if self.tracking_uri.startswith("http") else ""

    @property
    def is_synthetic(self) -> bool:
        """Return whether a program generated the data."""
        return self.tags.get("source") == "synthetic"

    @property
    def default(self) -> TrialRecord | None:
        """Return the first trial of the default configuration; None where no trial is that."""
        return next((trial for trial in self.trials if "default" in trial.tags), None)

    @property
    def has_own_data(self) -> bool:
        """Return whether the data are the user's, with other classes than the published ones."""
        return self.tags.get("own_data") == "yes"

    @property
    def unfinished(self) -> str:
        """Return which trials are missing and how to run them; empty where all have ended."""
        requested = self.tags.get("trials", "")
        wanted = int(requested) if requested.isdigit() and not self.is_finished else 0
        running = sum(trial.outcome == "unfinished" for trial in self.trials)
        if running or len(self.trials) < wanted:
            ended, of = len(self.trials) - running, max(wanted, len(self.trials))
            return f"{ended} of {of} trials have ended: the same command with `--resume` continues"
        tuned = any("arm" in trial.tags and trial.outcome == "complete" for trial in self.trials)
        waits = any(run.outcome == "unfinished" for run in self.reruns)
        if tuned and (waits or not self.reruns or not self.is_finished):
            return "re-runs of the arms are missing: the same command with `--resume` continues"
        return ""
