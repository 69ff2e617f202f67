"""What became of the trials, what they cost, and what stopping the poor ones early has saved."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from reports.records import Search, TrialRecord
from reports.write.tables import Table, duration_text, format_count, to_markdown

OUTCOMES = ("complete", "stopped", "diverged", "failed", "unfinished")
STOPS_SHOWN = 8  # reports at which trials were stopped, in rows of their own


def write_section(search: Search) -> str:
    """The table of outcomes and cost, with its sentences."""
    trials = search.trials
    known = [*OUTCOMES, *sorted({trial.outcome for trial in trials} - set(OUTCOMES))]
    rows = []
    for word in known:
        same = [trial for trial in trials if trial.outcome == word]
        if not same:
            continue
        rows.append(_row(word, same, len(trials)))
        if word == "stopped":
            rows += _stops(search, same)
        if word == "failed" and any(t.reason == "out of memory" for t in same):
            rows.append(_row("– out of memory", [t for t in same if t.reason == "out of memory"]))
    for word, what in (("infeasible", "never run"), ("retried", "counted above")):
        if search.metrics.get(word):
            rows.append((word, f"{search.metrics[word]:,.0f}", "", "", what))
    if not rows:
        return ""
    table = to_markdown(
        Table(("outcome", "trials", "share", "reports", "cost"), tuple(rows), "lrrrr")
    )
    return f"{table}\n\n{_cost(search)}{_saved(search)}"


def sum_device_seconds(trials: Iterable[TrialRecord]) -> float:
    """Seconds all these trials held their devices, as far as they said so."""
    return sum(trial.metrics.get("device_seconds", 0.0) for trial in trials)


def get_full_length(search: Search) -> int | None:
    """How many reports a trial makes that nothing stops; None where it is not on record."""
    asked = search.tags.get("reports", "")
    return int(asked) if asked.isdigit() and int(asked) else None


def read_rungs(search: Search) -> list[int]:
    """The reports at which ASHA compares trials; empty where it does not."""
    try:
        found = json.loads(search.tags.get("rungs", "[]"))
    except ValueError:
        return []
    return [r for r in found if isinstance(r, int)] if isinstance(found, list) else []


def _row(word: str, trials: Sequence[TrialRecord], of: int = 0) -> tuple[str, ...]:
    share = f"{len(trials) / of * 100:.1f} %" if of else ""
    reports = f"{sum(trial.reports for trial in trials):,}"
    return word, f"{len(trials):,}", share, reports, duration_text(sum_device_seconds(trials))


def _stops(search: Search, stopped: Sequence[TrialRecord]) -> list[tuple[str, ...]]:
    by_time = [trial for trial in stopped if trial.reason == "time budget"]
    others = [trial for trial in stopped if trial not in by_time]
    counts = Counter(trial.reports for trial in others if trial.reports)
    rows = []
    if len(counts) <= STOPS_SHOWN:
        at_rungs = read_rungs(search)
        for report in sorted(counts):
            where = f"rung {at_rungs.index(report) + 1}, " if report in at_rungs else ""
            same = [trial for trial in others if trial.reports == report]
            rows.append(_row(f"– at {where}report {report}", same))
    if by_time:
        rows.append(_row("– by the time budget", by_time))
    return rows


def _cost(search: Search) -> str:
    total = sum_device_seconds(search.trials)
    unknown = sum("device_seconds" not in trial.metrics for trial in search.trials)
    text = f"Together {duration_text(total)}."
    try:
        gpus = float(json.loads(search.tags.get("resources", "{}")).get("gpu", 0))
    except (ValueError, AttributeError, TypeError):
        gpus = 0.0
    if gpus not in (0.0, 1.0):
        text += (
            f" Each trial held {gpus:g} of a GPU, so these are "
            f"{total * gpus / 3600:.3g} GPU-hours."
        )
    suggested = len(search.trials) + search.metrics.get("infeasible", 0)
    if search.metrics.get("infeasible"):
        share = search.metrics["infeasible"] / suggested * 100
        text += (
            f" {share:.3g} % of the {suggested:,.0f} suggested configurations were infeasible: "
            "they were refused before they cost anything."
        )
    return text + (
        f" {format_count(unknown, 'trial')} did not say what it cost." if unknown else ""
    )


def _saved(search: Search) -> str:
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
    saved = sum(
        max(0, full - trial.reports) * trial.metrics.get("device_seconds", 0.0) / trial.reports
        for trial in stopped
    )
    return (
        f" Stopping {format_count(len(stopped), 'trial')} early spared {missing:,} reports, about "
        f"{duration_text(saved)} at each trial's own pace: the search made {made:,} reports, as "
        f"many as {made / full:.3g} full trials."
    )
