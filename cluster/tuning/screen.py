"""What a terminal shows of a running search: its trials, early stopping, devices and the best."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.ranges import format_number
from trainables.durations import format_duration

RUNNING, ENDED = 12, 5
"""Trials that are shown; a screen has about 25 lines."""
BARS = "▁▂▃▄▅▆▇█"
POINTS = 16
"""Reports in a sparkline, the last ones."""
WHY = 80
"""Characters of the reason for which a trial has ended."""
COLOURS = {"complete": "green", "stopped": "dim", "diverged": "red", "failed": "red"}


def draw_screen(
    queue: TrialQueue, searched: Sequence[str], elapsed: float, before: Counter[str], delayed: str
) -> RenderableType:
    """Return the whole screen.

    `elapsed` is in seconds, `before` counts what this driver found: `reports` and `ended` trials.
    `delayed` says what is written with a delay.
    """
    parts: list[RenderableType] = [_draw_summary(queue, searched, elapsed, before, delayed)]
    if running := _draw_running(queue):
        parts += ["", running]
    if ended := _draw_ended(queue):
        parts += ["", ended]
    return Group(*parts)


def draw_sparkline(values: Sequence[float]) -> str:
    """Return the last finite values as bars, from their lowest to their highest."""
    shown = [value for value in values if math.isfinite(value)][-POINTS:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    step = (high - low) / (len(BARS) - 1)
    return "".join(BARS[round((v - low) / step) if step else len(BARS) // 2] for v in shown)


def estimate_seconds_left(log: TrialLog, reports: int, now: float) -> float | None:
    """Return the seconds until a running trial has made all reports; None before its first.

    It will need as long for each as its attempt has needed for its own reports so far.
    """
    started = log.spans[-1][0]
    own = [report.time for report in log.reports if report.time >= started]
    if not own:
        return None
    each = (own[-1] - started) / len(own)
    current = max(0.0, each - (now - own[-1]))
    return (reports - log.done - 1) * each + current


def describe_end(log: TrialLog) -> str:
    """Return why a trial has ended, in a few words."""
    if log.outcome == "stopped" and log.decisions and log.decisions[-1].stops:
        score, cutoff = log.decisions[-1].score, log.decisions[-1].cutoff
        return format_number(score) + (
            f", cutoff {format_number(cutoff)}" if cutoff is not None else ""
        )
    return log.failures[-1].message if log.outcome == "failed" and log.failures else log.reason


def count_rungs(queue: TrialQueue) -> list[tuple[int, int, int]]:
    """Return report, trials that were compared there, and trials that were stopped, per rung."""
    compared, stopped = Counter[int](), Counter[int]()
    for log in queue.ledger.trial_logs.values():
        ends = log.outcome == "stopped" or queue.is_paused(log)
        for decision in log.decisions:
            compared[decision.report] += 1
            stopped[decision.report] += decision.stops and ends
    return [(at, compared[at], stopped[at]) for at in queue.ledger.settings.rungs]


def _draw_summary(
    queue: TrialQueue, searched: Sequence[str], elapsed: float, before: Counter[str], delayed: str
) -> Table:
    ledger = queue.ledger
    logs = list(ledger.trial_logs.values())
    counts = Counter(log.outcome for log in logs)
    ended = sum(count for outcome, count in counts.items() if outcome)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    words = [f"{ended} of {queue.trials} ended", f"{len(queue.running)} running"]
    if paused := sum(queue.is_paused(log) for log in logs):
        words.append(f"{paused} paused")
    words += [f"{counts[o]} {o}" for o in ("complete", "stopped") if counts[o]]
    words += [f"[red]{counts[o]} {o}[/]" for o in ("diverged", "failed") if counts[o]]
    if queue.study.infeasible:
        words.append(f"{queue.study.infeasible} infeasible")
    table.add_row("trials", ", ".join(words))
    best = ledger.rank_trials(ledger.top_trials)
    if best and (found := ledger.best_report(best[0])):
        score = f"[green]{format_number(found[0])}[/] {escape(ledger.metric)}"
        table.add_row("best", f"{score} (trial {best[0].trial})")
        table.add_row("", escape(format_settings(best[0], searched)))
    made = sum(len(log.reports) for log in logs) - before["reports"]
    table.add_row("speed", f"{made / max(elapsed, 1e-9):.2f} reports per second")
    new, left = ended - before["ended"], queue.trials - ended
    ahead = f", about {format_duration(left * elapsed / new)} left" if new and left else ""
    table.add_row("time", format_duration(elapsed) + ahead)
    if rungs := count_rungs(queue):
        texts = [f"report {at}: {n} compared, {stopped} stopped" for at, n, stopped in rungs]
        table.add_row("rungs", "; ".join(texts))
    places = Counter(log.spans[-1][2] for log in _list_running(queue) if log.spans[-1][2])
    if places:
        texts = [f"{place} ({count})" for place, count in sorted(places.items())]
        table.add_row("devices", escape(", ".join(texts)))
    if delayed:
        table.add_row("[yellow]delayed[/]", escape(f"will be written later: {delayed}"))
    return table


def _list_running(queue: TrialQueue) -> list[TrialLog]:
    return [queue.ledger.trial_logs[trial] for trial in sorted(queue.running)]


def _draw_running(queue: TrialQueue) -> Table | None:
    logs = _list_running(queue)
    if not logs:
        return None
    table = _make_table("running", "report", queue.ledger.metric, "best", "curve", "left")
    reports = queue.ledger.settings.reports
    for log in logs[:RUNNING]:
        curve = [
            report.metrics[queue.ledger.metric]
            for report in log.reports
            if queue.ledger.metric in report.metrics
        ]
        best = queue.ledger.best_report(log)
        left = estimate_seconds_left(log, reports, time.time())
        table.add_row(
            _name(log),
            f"{log.done} of {reports}",
            format_number(curve[-1]) if curve else "",
            format_number(best[0]) if best else "",
            f"[cyan]{draw_sparkline(curve)}[/]",
            "" if left is None else format_duration(left),
        )
    if len(logs) > RUNNING:
        table.add_row(f"and {len(logs) - RUNNING} more")
    return table


def _draw_ended(queue: TrialQueue) -> Table | None:
    logs = [log for log in queue.ledger.trial_logs.values() if log.outcome]
    if not logs:
        return None
    table = _make_table("ended last", "outcome", "best", "report", "time", "why")
    for log in heapq.nlargest(ENDED, logs, key=lambda log: log.ended):
        best = queue.ledger.best_report(log)
        colour = COLOURS[str(log.outcome)]
        table.add_row(
            _name(log),
            f"[{colour}]{log.outcome}[/]",
            format_number(best[0]) if best else "",
            f"{log.done}",
            format_duration(log.seconds),
            escape(describe_end(log)[:WHY]),
        )
    return table


def _make_table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_text = column in ("outcome", "curve", "why", columns[0])
        # Where a terminal is narrow, the last column is wrapped and no other one.
        table.add_column(
            escape(column),
            justify="left" if is_text else "right",
            overflow="ellipsis",
            no_wrap=column != "why",
        )
    return table


def _name(log: TrialLog) -> str:
    of = f" (of {int(log.tags['of']):03d})" if "of" in log.tags else ""
    return f"trial {log.trial:03d}{of}"


def format_settings(log: TrialLog, searched: Sequence[str]) -> str:
    """Return the searched hyperparameters of a trial with their values."""
    values = {**log.parameters, **log.config}
    return "  ".join(
        f"{name}={format_number(values[name])}" for name in searched if name in values
    )
