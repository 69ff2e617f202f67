"""Show a running search: a live table on a terminal or in a notebook, else a line per trial."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.ranges import format_number
from cluster.tuning.notebook import NotebookDisplay
from searchspaces.space import SearchSpace
from trainables.durations import format_duration

REFRESH = 0.5
"""Seconds between two refreshes."""
SHOWN = 300
"""Characters of an error on the screen; the ledger has all of it."""


def describe_failure(trial_log: TrialLog, space: SearchSpace[Any]) -> str:
    """Return the error of a failed trial, and the line of the space's own file."""
    failure = trial_log.failures[-1]
    file = Path(space.file).name if space.file else f"{space.name}.py"
    frames = re.findall(rf'File "(?:.*/)?{re.escape(file)}", line (\d+)', failure.traceback)
    message = failure.message
    shown = message if len(message) <= SHOWN else message[:SHOWN] + " ..."
    return shown + (f" ({file}:{frames[-1]})" if frames else "")


class ProgressDisplay:
    """Shows the state of the trials; use as a context, and call `update` often."""

    def __init__(
        self,
        queue: TrialQueue,
        searched: list[str],
        console: Console,
        behind: Callable[[], str],
    ) -> None:
        self.queue = queue
        self.searched = searched
        self.console = console
        self.behind = behind
        self.started = time.monotonic()
        self.before = self._reports()
        self.printed = {log.trial for log in queue.ledger.trial_logs.values() if log.outcome}
        self._next = 0.0
        self._live: Live | NotebookDisplay | None = None
        if console.is_jupyter:
            self._live = NotebookDisplay(console)
        elif console.is_terminal:
            self._live = Live(console=console, auto_refresh=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune to pickle."""
        return {}

    def __enter__(self) -> ProgressDisplay:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.update(now=True)
        if self._live:
            self._live.stop()

    def update(self, now: bool = False) -> None:
        """Refresh the display if it is time."""
        notes, self.queue.notes = self.queue.notes, []
        for note in notes:
            self.console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        trial_logs = self.queue.ledger.trial_logs
        for trial_log in [
            log for log in trial_logs.values() if log.outcome and log.trial not in self.printed
        ]:
            self.printed.add(trial_log.trial)
            self.console.print(
                self._line(trial_log), highlight=False, markup=False, soft_wrap=True
            )

    def _reports(self) -> int:
        return sum(len(trial_log.reports) for trial_log in self.queue.ledger.trial_logs.values())

    def _table(self) -> Table:
        queue, ledger = self.queue, self.queue.ledger
        counts = Counter(trial_log.outcome for trial_log in ledger.trial_logs.values())
        ended = sum(count for outcome, count in counts.items() if outcome)
        elapsed = time.monotonic() - self.started
        made = self._reports() - self.before
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        words = [f"{ended} of {queue.trials} ended", f"{len(queue.running)} running"]
        words += [f"{counts[o]} {o}" for o in ("complete", "stopped") if counts[o]]
        words += [f"[red]{counts[o]} {o}[/]" for o in ("diverged", "failed") if counts[o]]
        if queue.study.infeasible:
            words.append(f"{queue.study.infeasible} infeasible")
        table.add_row("trials", ", ".join(words))
        best = ledger.rank_trials(ledger.top_trials)
        if best:
            found = ledger.best_report(best[0])
            assert found is not None
            score = f"[green]{format_number(found[0])}[/] {escape(ledger.metric)}"
            table.add_row("best", f"{score} (trial {best[0].trial})")
            table.add_row("", escape(self._settings(best[0])))
        table.add_row("speed", f"{made / max(elapsed, 1e-9):.2f} reports per second")
        new = sum(bool(log.outcome) for log in ledger.trial_logs.values()) - len(self.printed)
        left = queue.trials - ended
        ahead = f", about {format_duration(left * elapsed / new)} left" if new and left else ""
        table.add_row("time", format_duration(elapsed) + ahead)
        if self.behind():
            table.add_row("[yellow]delayed[/]", escape(f"will be written later: {self.behind()}"))
        return table

    def _settings(self, trial_log: TrialLog) -> str:
        values = {**trial_log.parameters, **trial_log.config}
        return "  ".join(
            f"{name}={format_number(values[name])}" for name in self.searched if name in values
        )

    def _name(self, trial_log: TrialLog) -> str:
        if self.queue.ledger.settings.kind == "trial":
            return f"trial {trial_log.trial:03d}"
        of, seed = trial_log.tags["of"], trial_log.config["seed"]
        return f"re-run {trial_log.trial:03d} of trial {int(of):03d} (seed {seed})"

    def _line(self, trial_log: TrialLog) -> str:
        best = self.queue.ledger.best_report(trial_log)
        score = f"{self.queue.ledger.metric} {format_number(best[0])}" if best else "no score"
        reports = f"{trial_log.done} report{'' if trial_log.done == 1 else 's'}"
        line = (
            f"{self._name(trial_log)} {trial_log.outcome:8s} {score} after {reports}, "
            f"{format_duration(trial_log.seconds)}"
        )
        if settings := self._settings(trial_log):
            line += f": {settings}"
        if trial_log.outcome == "diverged":
            line += f"\n  {trial_log.reason}"
        if trial_log.outcome == "failed":
            line += f"\n  {describe_failure(trial_log, self.queue.study.space)}"
        return line
