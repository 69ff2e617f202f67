"""What a search shows while it runs: a live table on a terminal, else a line per trial."""

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

from cluster.execution.trial_queue import Attempts
from cluster.ledger.trial_log import Story
from searchspaces.space import SearchSpace

REFRESH = 0.5
"""Seconds between two drawings."""


def duration(seconds: float) -> str:
    """Write seconds as 4.5 s, 45 s, 3 min 20 s or 2 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def number(value: object) -> str:
    """Write a hyperparameter or score in four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cause(story: Story, space: SearchSpace[Any]) -> str:
    """Return the error of a failed trial, and the line of the space's own file."""
    failure = story.failures[-1]
    file = Path(space.file).name if space.file else f"{space.name}.py"
    frames = re.findall(rf'File "(?:.*/)?{re.escape(file)}", line (\d+)', failure.traceback)
    return failure.message + (f" ({file}:{frames[-1]})" if frames else "")


class Screen:
    """Shows the state of the attempts; use as a context, and call `update` often."""

    def __init__(
        self, attempts: Attempts, searched: list[str], console: Console, behind: Callable[[], str]
    ) -> None:
        self.attempts = attempts
        self.searched = searched
        self.console = console
        self.behind = behind
        self.begun = time.monotonic()
        self.before = self._reports()
        self.told = {s.trial for s in attempts.ledger.stories.values() if s.outcome}
        self._next = 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to pickle."""
        return {}

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.update(now=True)
        if self._live:
            self._live.stop()

    def update(self, now: bool = False) -> None:
        """Draw again if it is time."""
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        stories = self.attempts.ledger.stories
        for story in [s for s in stories.values() if s.outcome and s.trial not in self.told]:
            self.told.add(story.trial)
            self.console.print(self._line(story), highlight=False, markup=False, soft_wrap=True)

    def _reports(self) -> int:
        return sum(len(story.reports) for story in self.attempts.ledger.stories.values())

    def _table(self) -> Table:
        attempts, ledger = self.attempts, self.attempts.ledger
        counts = Counter(story.outcome for story in ledger.stories.values())
        ended = sum(count for outcome, count in counts.items() if outcome)
        elapsed = time.monotonic() - self.begun
        made = self._reports() - self.before
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        words = [f"{ended} of {attempts.trials} ended", f"{len(attempts.live)} running"]
        words += [f"{counts[o]} {o}" for o in ("complete", "stopped") if counts[o]]
        words += [f"[red]{counts[o]} {o}[/]" for o in ("diverged", "failed") if counts[o]]
        if attempts.study.infeasible:
            words.append(f"{attempts.study.infeasible} refused")
        table.add_row("trials", ", ".join(words))
        best = ledger.rank(ledger.kept)
        if best:
            found = ledger.best(best[0])
            assert found is not None
            table.add_row(
                "best", f"[green]{number(found[0])}[/] {ledger.metric} (trial {best[0].trial})"
            )
            table.add_row("", escape(self._settings(best[0])))
        table.add_row("speed", f"{made / max(elapsed, 1e-9):.2f} reports per second")
        new = len([s for s in ledger.stories.values() if s.outcome]) - len(self.told)
        left = attempts.trials - ended
        ahead = f", about {duration(left * elapsed / new)} left" if new and left else ""
        table.add_row("time", duration(elapsed) + ahead)
        if self.behind():
            table.add_row("[yellow]written[/]", escape(f"behind, will catch up: {self.behind()}"))
        return table

    def _settings(self, story: Story) -> str:
        return "  ".join(
            f"{name}={number(story.config[name])}"
            for name in self.searched
            if name in story.config
        )

    def _line(self, story: Story) -> str:
        best = self.attempts.ledger.best(story)
        score = f"{self.attempts.ledger.metric} {number(best[0])}" if best else "no score"
        reports = f"{story.done} report{'' if story.done == 1 else 's'}"
        line = (
            f"trial {story.trial:03d} {story.outcome:8s} {score} after {reports}, "
            f"{duration(story.seconds)}: {self._settings(story)}"
        )
        if story.outcome == "failed":
            line += f"\n  {cause(story, self.attempts.study.space)}"
        return line
