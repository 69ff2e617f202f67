"""Outcomes of the trials, their cost, and what early stopping saved."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from reports.read.artifacts import list_recorded
from reports.records import Search, TrialRecord
from reports.write.tables import Table, format_count, to_markdown
from trainables.durations import format_duration

OUTCOMES = ("complete", "stopped", "diverged", "failed", "unfinished")
STOPS_SHOWN = 8  # at most so many reports at which trials were stopped have a row each


def write_section(search: Search) -> str:
    """Return the table of outcomes and cost, with a summary."""
    trials = search.trials
    known = [*OUTCOMES, *sorted({trial.outcome for trial in trials} - set(OUTCOMES))]
    rows = []
    for word in known:
        same = [trial for trial in trials if trial.outcome == word]
        if not same:
            continue
        rows.append(_format_row(word, same, len(trials)))
        if word == "stopped":
            rows += _list_stops(search, same)
        if word == "failed" and any(t.reason == "out of memory" for t in same):
            rows.append(
                _format_row("– out of memory", [t for t in same if t.reason == "out of memory"])
            )
    for word, note in (("infeasible", "not run"), ("retried", "counted above")):
        if search.metrics.get(word):
            rows.append((word, f"{search.metrics[word]:,.0f}", "", "", note))
    if not rows:
        return ""
    table = to_markdown(
        Table(("outcome", "trials", "share", "reports", "device time"), tuple(rows), "lrrrr")
    )
    return f"{table}\n\n{_describe_cost(search)}{_describe_savings(search)}"


def sum_device_seconds(trials: Iterable[TrialRecord]) -> float:
    """Return the device time of these trials in seconds; unrecorded ones count as 0."""
    return sum(trial.metrics.get("device_seconds", 0.0) for trial in trials)


def get_full_length(search: Search) -> int | None:
    """Return the number of reports of a trial that is not stopped; None if not recorded."""
    reports = search.tags.get("reports", "")
    return int(reports) if reports.isdigit() and int(reports) else None


def read_rungs(search: Search) -> list[int]:
    """Return the reports at which ASHA compares trials; empty without ASHA.

    Raises UnreadableError where the record is damaged.
    """
    return [int(rung) for rung in list_recorded(search.tags, "rungs") or [] if rung.isdigit()]


def _format_row(word: str, trials: Sequence[TrialRecord], of: int = 0) -> tuple[str, ...]:
    share = f"{len(trials) / of * 100:.1f} %" if of else ""
    reports = f"{sum(trial.reports for trial in trials):,}"
    return word, f"{len(trials):,}", share, reports, format_duration(sum_device_seconds(trials))


def _list_stops(search: Search, stopped: Sequence[TrialRecord]) -> list[tuple[str, ...]]:
    by_time = [trial for trial in stopped if trial.reason == "time budget"]
    others = [trial for trial in stopped if trial not in by_time]
    counts = Counter(trial.reports for trial in others if trial.reports)
    rows = []
    if len(counts) <= STOPS_SHOWN:
        at_rungs = read_rungs(search)
        for report in sorted(counts):
            where = f"rung {at_rungs.index(report) + 1}, " if report in at_rungs else ""
            same = [trial for trial in others if trial.reports == report]
            rows.append(_format_row(f"– at {where}report {report}", same))
    if by_time:
        rows.append(_format_row("– by the time budget", by_time))
    return rows


def _describe_cost(search: Search) -> str:
    total = sum_device_seconds(search.trials)
    unknown = sum("device_seconds" not in trial.metrics for trial in search.trials)
    text = f"All trials together: {format_duration(total)} of device time."
    try:
        gpus = float(json.loads(search.tags.get("resources", "{}")).get("gpu", 0))
    except (ValueError, AttributeError, TypeError):
        gpus = 0.0
    if gpus not in (0.0, 1.0):
        text += (
            f" Each trial reserved {gpus:g} GPU, which makes {total * gpus / 3600:.3g} GPU-hours."
        )
    suggested = len(search.trials) + search.metrics.get("infeasible", 0)
    if search.metrics.get("infeasible"):
        share = search.metrics["infeasible"] / suggested * 100
        text += (
            f" {share:.3g} % of the {suggested:,.0f} suggested configurations were infeasible and "
            "rejected before training."
        )
    if unknown:
        text += f" The device time of {format_count(unknown, 'trial')} is not recorded."
    return text


def _describe_savings(search: Search) -> str:
    full = get_full_length(search)
    stopped = [
        trial
        for trial in search.trials
        if trial.outcome == "stopped" and trial.reason != "time budget" and trial.reports
    ]
    if full is None or not stopped:
        return ""
    missing = sum(max(0, full - trial.reports) for trial in stopped)
    made = sum(trial.reports for trial in search.trials)
    # No time: a trial's device time has its start-up, which its further reports would not have.
    return (
        f" Stopping {format_count(len(stopped), 'trial')} early saved {missing:,} reports: the "
        f"search made {made:,} reports, as many as {made / full:.3g} complete trials."
    )
