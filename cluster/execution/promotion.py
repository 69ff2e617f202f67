"""Asynchronous successive halving by promotion (Li et al., 2020, Algorithm 2)."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field, replace

from cluster.ledger.trial_log import Decision
from cluster.sampling.schedulers import REDUCTION, rungs
from trainables.ranking import Mode


@dataclass
class _Rung:
    """A rung: the trials that have reached it, best first, and which of them have continued.

    An entry is the score, made negative where more is better, the order of arrival, which decides
    between equal scores, the trial, and the report that it had made.
    """

    report: int
    entries: list[tuple[float, int, int, int]] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)
    continued: set[int] = field(default_factory=set)

    def find_promotable(self, fewest: int) -> int | None:
        """Return the best trial that may continue and has not; `fewest` may at least."""
        best = self.entries[: max(fewest, len(self.entries) // REDUCTION)]
        return next((trial for *_, trial, _ in best if trial not in self.continued), None)


class PromotionRule:
    """Pauses a trial at every rung; the best third of those that have reached it continue.

    A trial that is in the best third on its arrival continues at once, another one as soon as so
    many worse ones have arrived. Of equal scores the earlier one is the better.
    """

    def __init__(self, mode: Mode, min_reports: int, reports: int) -> None:
        self._sign = -1.0 if mode == "max" else 1.0
        self._rungs = [_Rung(report) for report in reversed(rungs(reports, min_reports))]

    def decide(self, trial: int, report: int, score: float) -> Decision | None:
        """Record a trial that reaches a rung; it stops there unless it is in the best third."""
        rung = next((rung for rung in self._rungs if report >= rung.report), None)
        if rung is None or trial in rung.reached:
            return None
        entry = (self._sign * score, len(rung.entries), trial, report)
        rung.reached.add(trial)
        bisect.insort(rung.entries, entry)
        decision = self._compare(rung, entry)
        if not decision.stops:
            rung.continued.add(trial)
        return decision

    def find_promotable(self, last: bool) -> int | None:
        """Return the paused trial to continue, at the highest rung that has one; None without.

        With `last` no other trial will reach a rung: then at least one continues at each.
        """
        found = (rung.find_promotable(int(last)) for rung in self._rungs)
        return next((trial for trial in found if trial is not None), None)

    def promote(self, trial: int) -> Decision:
        """Let a trial continue from its highest rung, and return the decision."""
        rung = next(rung for rung in self._rungs if trial in rung.reached)
        rung.continued.add(trial)
        entry = next(entry for entry in rung.entries if entry[2] == trial)
        return replace(self._compare(rung, entry), stops=False)

    def _compare(self, rung: _Rung, entry: tuple[float, int, int, int]) -> Decision:
        """Compare an entry with the last one of the best third."""
        count = len(rung.entries) // REDUCTION
        cutoff = self._sign * rung.entries[count - 1][0] if count else None
        stops = count == 0 or entry > rung.entries[count - 1]
        return Decision(entry[3], self._sign * entry[0], cutoff, stops)
