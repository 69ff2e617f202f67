"""Show a running search: a live screen on a terminal or in a notebook, else a line per trial."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from cluster.execution.task_output import is_debugging, on_debugger
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.ranges import format_number
from cluster.tuning.notebook import NotebookDisplay
from cluster.tuning.screen import draw_screen, format_settings
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
        delayed: Callable[[], str],
    ) -> None:
        self.queue = queue
        self.searched = searched
        self.console = console
        self.delayed = delayed
        self.started = time.monotonic()
        logs = queue.ledger.trial_logs.values()
        self.printed = {log.trial for log in logs if log.outcome}
        reports = sum(len(log.reports) for log in logs)
        self.before = Counter(reports=reports, ended=len(self.printed))
        self._next = 0.0
        self._stack = ExitStack()
        self._live: Live | NotebookDisplay | None = None
        if console.is_jupyter:
            self._live = NotebookDisplay(console)
        elif console.is_terminal and not is_debugging():
            # What the driver prints itself goes above the screen. Where tasks run in this process
            # the console has a terminal of its own, and what they print is kept elsewhere.
            above = console.file is sys.stdout
            self._live = Live(
                console=console,
                auto_refresh=False,
                redirect_stdout=above,
                redirect_stderr=above,
                vertical_overflow="crop",
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune to pickle."""
        return {}

    def __enter__(self) -> ProgressDisplay:
        self._stack.enter_context(on_debugger(self._stop_drawing))
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.update(now=True)
        if self._live:
            self._live.stop()
        self._stack.close()

    def _stop_drawing(self) -> None:
        """Show a line per trial from now on: a debugger has the terminal."""
        if self._live:
            self._live.stop()
        self._live = None

    def update(self, now: bool = False) -> None:
        """Refresh the display if it is time."""
        notes, self.queue.notes = self.queue.notes, []
        for note in notes:
            self.console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH
        if self._live:
            elapsed = time.monotonic() - self.started
            screen = draw_screen(self.queue, self.searched, elapsed, self.before, self.delayed())
            self._live.update(screen, refresh=True)
            return
        trial_logs = self.queue.ledger.trial_logs
        for trial_log in [
            log for log in trial_logs.values() if log.outcome and log.trial not in self.printed
        ]:
            self.printed.add(trial_log.trial)
            self.console.print(
                self._line(trial_log), highlight=False, markup=False, soft_wrap=True
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
        if settings := format_settings(trial_log, self.searched):
            line += f": {settings}"
        if trial_log.outcome == "diverged":
            line += f"\n  {trial_log.reason}"
        if trial_log.outcome == "failed":
            line += f"\n  {describe_failure(trial_log, self.queue.study.space)}"
        return line
