"""What a report knows of a search: plain records, free of the server they were read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.ranking import Mode

Curve = tuple[tuple[int, float], ...]  # (report, value), one per report, ascending


@dataclass(frozen=True, eq=False)  # compared by identity: thousands of them are put in sets
class TrialRecord:
    """One child run: what was tried and what became of it; a trial, or a re-run of one."""

    run_id: str
    name: str
    number: int
    outcome: str  # complete, stopped, diverged, failed, unfinished
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)  # the last value of each
    error: str | None = None
    reason: str | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)  # only where asked for
    tags: Mapping[str, str] = field(default_factory=dict)
    reports: int = 0  # made so far
    of: int | None = None  # a confirmation run: the trial whose configuration it repeats

    @property
    def label(self) -> str:
        return f"{self.number}" if self.of is None else f"re-run {self.number}"

    @property
    def title(self) -> str:
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
    reruns: tuple[TrialRecord, ...] = ()  # confirmation: configurations again, on fresh seeds
    is_finished: bool = (
        True  # its driver had nothing left to do, be it that a finite space has no more
    )

    @property
    def is_synthetic(self) -> bool:
        return self.tags.get("source") == "synthetic"

    @property
    def unfinished(self) -> str:
        """What is missing and the way out, where the trials asked for have not all ended."""
        asked = self.tags.get("trials", "")
        wanted = int(asked) if asked.isdigit() and not self.is_finished else 0
        going = sum(trial.outcome == "unfinished" for trial in self.trials)
        if going or len(self.trials) < wanted:
            ended, of = len(self.trials) - going, max(wanted, len(self.trials))
            return f"{ended} of {of} trials have ended: the same command with `--resume` goes on"
        return ""
