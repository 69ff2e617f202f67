"""Trials that MLflow lacks: which could not be written, why, and how to write them later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cluster.ledger.ledger import Ledger
from cluster.storage.database_file import is_database_file
from cluster.storage.redaction import first_line
from cluster.storage.searches import format_rebuild
from cluster.tracking.client import is_refusal

SHOWN = 3
"""Trials whose reason is shown."""


@dataclass
class FailedTrials:
    """The trials that could not be written, why, and which of them MLflow has `refused`."""

    reasons: dict[int, str] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    _counts: dict[int, int] = field(default_factory=dict)

    def add(self, trial: int, error: Exception) -> None:
        """Record that a trial could not be written.

        It counts as refused the second time: before, its run may only have been deleted.
        """
        self.reasons[trial] = first_line(error)
        self._counts[trial] = self._counts.get(trial, 0) + 1
        if is_refusal(error) and self._counts[trial] > 1:
            self.refused.add(trial)

    def remove(self, trial: int) -> None:
        """Record that a trial has been written."""
        self.reasons.pop(trial, None)
        self._counts.pop(trial, None)
        self.refused.discard(trial)

    def sort(self, trials: Iterable[int]) -> list[int]:
        """Return trials with those last that have failed again and again: others may succeed."""
        return sorted(trials, key=lambda trial: (max(1, self._counts.get(trial, 0)), trial))


def describe_delay(ledger: Ledger, reason: str) -> str:
    """Return the message for a server that has not got everything."""
    return (
        f"{_name_mlflow(ledger)} is not complete: {reason}\n"
        "nothing is lost; when MLflow can be written to, complete it:\n"
        f"  {format_rebuild_command(ledger)}"
    )


def describe_refusals(ledger: Ledger, reasons: Mapping[int, str]) -> str:
    """Return the message for trials that MLflow did not accept, by their reasons."""
    lines = [f"  trial {trial:03d}: {reasons[trial]}" for trial in sorted(reasons)[:SHOWN]]
    if len(reasons) > SHOWN:
        lines.append(f"  and {len(reasons) - SHOWN} more")
    return (
        f"{_name_mlflow(ledger)} is complete but for trials that it did not accept:\n"
        + "\n".join(lines)
        + f"\nnothing is lost: they are in {ledger.folder}; reports leave them out until the "
        "reason is removed and they are written again:\n"
        f"  {format_rebuild_command(ledger)}"
    )


def _name_mlflow(ledger: Ledger) -> str:
    recorded = ledger.settings.tracking_uri
    return f"MLflow at {recorded}" if recorded and not is_database_file(recorded) else "MLflow"


def format_rebuild_command(ledger: Ledger, uri: str = "") -> str:
    """Return the command that writes a search to MLflow again, by default where it was written."""
    folder = ledger.folder if ledger.settings.kind == "trial" else ledger.folder.parent
    recorded = ledger.settings.tracking_uri
    # A database file is found by the command itself.
    return format_rebuild(folder, uri or ("" if is_database_file(recorded) else recorded))
