"""Early stopping by the reports in the ledger, whichever executor made them.

A trial may take several attempts, and a resumed search starts with an empty scheduler: rungs and
medians are rebuilt from the ledger, in the order in which its reports arrived. The rules decide
as Ray's `AsyncHyperBandScheduler` and `MedianStoppingRule` do, which the tests compare them with,
except that ASHA here does not let all trials pass that are tied at the cutoff.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

import numpy as np

from cluster.execution.promotion import PromotionRule
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Decision, Report
from cluster.sampling.schedulers import REDUCTION, SCHEDULERS, rungs
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.ranking import Mode

MIN_SAMPLES = 3
"""The median rule compares a trial with at least this number of others."""


class Rule(Protocol):
    """Decides from one report after the other; not asked about a trial that it has stopped."""

    def decide(self, trial: int, report: int, score: float) -> Decision | None:
        """Record a report of a trial, and return the decision; None where there is none yet."""


@dataclass
class _Rung:
    """A rung: the scores of the trials that have reached it, and how many of them continued."""

    report: int
    scores: dict[int, float] = field(default_factory=dict)
    continued: int = 0


class AshaRule:
    """Asynchronous successive halving (Li et al., 2020).

    Where more than two thirds of the trials have one score, as those that predict one class, the
    cutoff is that score. Of the trials at the cutoff only so many continue that not more than a
    third of all does.
    """

    def __init__(self, mode: Mode, min_reports: int, reports: int) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        self._rungs = [_Rung(report) for report in reversed(rungs(reports, min_reports))]

    def decide(self, trial: int, report: int, score: float) -> Decision | None:
        """Stop a trial that reaches a rung and is not in its best third so far."""
        rung = next((rung for rung in self._rungs if report >= rung.report), None)
        if rung is None or trial in rung.scores:
            return None
        own, others = self._sign * score, list(rung.scores.values())
        rung.scores[trial] = own
        share = (1 - 1 / REDUCTION) * 100
        cutoff = float(np.percentile(others, share)) if others else -math.inf
        has_room = rung.continued < len(rung.scores) / REDUCTION
        continues = own > cutoff or (own == cutoff and has_room)
        rung.continued += continues
        known = self._sign * cutoff if others else None
        return Decision(report, score, known, not continues)


class MedianRule:
    """The median stopping rule (Golovin et al., 2017): best so far against running means."""

    def __init__(self, mode: Mode, min_reports: int) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        self._min_reports = min_reports
        self._best: dict[int, float] = defaultdict(lambda: -math.inf)
        self._sums: dict[int, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        self._last: dict[int, int] = defaultdict(int)
        self._means: dict[int, dict[int, float]] = defaultdict(dict)
        """The running mean of every trial that came so far, by report and trial."""

    def decide(self, trial: int, report: int, score: float) -> Decision | None:
        """Stop a trial whose best score is below the median of the others' means."""
        score *= self._sign
        best = self._best[trial] = max(self._best[trial], score)
        total, count = self._sums[trial]
        if count:  # a report without the metric leaves the mean as it was
            for missed in range(self._last[trial] + 1, report):
                self._means[missed][trial] = total / count
        self._last[trial] = report
        if report < self._min_reports:
            return None
        self._sums[trial] = total + score, count + 1
        means = self._means[report]
        others = list(means.values())
        means[trial] = (total + score) / (count + 1)
        if len(others) < MIN_SAMPLES:
            return None
        cutoff = median(others)
        return Decision(report, self._sign * best, self._sign * cutoff, best < cutoff)


def build_rule(name: str, space: SearchSpace[Any], reports: int) -> Rule | None:
    """Return the rule of that name, None where no trial is stopped; raises UserError."""
    min_reports = min(space.min_reports, reports)
    match name:
        case "asha":
            return AshaRule(space.mode, min_reports, reports)
        case "promotion":
            return PromotionRule(space.mode, min_reports, reports)
        case "median":
            return MedianRule(space.mode, min_reports)
        case "none":
            return None
    raise UserError(f"unknown scheduler {name!r}: choose one of {', '.join(SCHEDULERS)}")


class EarlyStopping:
    """Asks a rule about the trials of a ledger, whose reports so far it replays first.

    Every arm that is tuned has a rule of its own. Trials of the control group are evaluated like
    all others, and continue whatever the decision. Decisions are recorded when they are made.

    By promotion a stopped trial is only paused. The default is not: what the winner is compared
    with is a whole training.
    """

    def __init__(
        self,
        build: Callable[[], Rule | None],
        ledger: Ledger,
        on_change: Callable[[int], None] = lambda trial: None,
    ) -> None:
        self.ledger = ledger
        self.on_change = on_change
        self.evaluated: dict[int, int] = defaultdict(int)
        self.condemned: set[int] = set()
        """The trials that a rule has decided to stop, those of the control group included."""
        self._rules: dict[str | None, Rule | None] = defaultdict(build)
        for trial, report in _list_in_order(ledger):
            self._decide(trial, report)

    def stops(self, trial: int) -> bool:
        """Return whether to stop or pause a trial, after its reports that were not evaluated."""
        for report in self.ledger.trial_logs[trial].reports[self.evaluated[trial] :]:
            self._decide(trial, report)
        return trial in self.condemned and not self._is_exempt(trial)

    def pauses(self, trial: int) -> bool:
        """Return whether a trial that is stopped may continue later."""
        return isinstance(self._find_rule(trial), PromotionRule)

    def find_promotable(self, last: bool) -> int | None:
        """Return the paused trial that is to continue next, if there is one.

        With `last` no trial runs or will start.
        """
        for rule in self._rules.values():
            while isinstance(rule, PromotionRule):
                trial = rule.find_promotable(last)
                if trial is None:
                    break
                if self._is_exempt(trial):
                    self.promote(trial)  # it has continued already
                elif self.ledger.trial_logs[trial].outcome is None:
                    return trial
                else:
                    rule.promote(trial)  # it has ended with the time budget
        return None

    def promote(self, trial: int) -> None:
        """Record that a paused trial continues."""
        rule = self._find_rule(trial)
        assert isinstance(rule, PromotionRule)
        decision = rule.promote(trial)
        self.ledger.record_decision(trial, decision)
        self.on_change(trial)
        self.condemned.discard(trial)
        reports = self.ledger.trial_logs[trial].reports
        self.evaluated[trial] = sum(entry.report <= decision.report for entry in reports)
        self.stops(trial)  # an exempt one may have reached the next rung

    def _decide(self, trial: int, report: Report) -> None:
        self.evaluated[trial] += 1
        trial_log, rule = self.ledger.trial_logs[trial], self._find_rule(trial)
        score = report.metrics.get(self.ledger.metric, math.nan)
        if rule is None or trial in self.condemned or not math.isfinite(score):
            return
        decision = rule.decide(trial, report.report, score)
        if decision is None:
            return
        known = next((d for d in trial_log.decisions if d.report == decision.report), None)
        if known is None and trial_log.outcome is None:
            self.ledger.record_decision(trial, decision)
        promoted = decision.stops and known is not None and not known.stops
        if promoted and isinstance(rule, PromotionRule):
            rule.promote(trial)
        if (known or decision).stops:
            self.condemned.add(trial)

    def _find_rule(self, trial: int) -> Rule | None:
        return self._rules[self.ledger.trial_logs[trial].tags.get("arm")]

    def _is_exempt(self, trial: int) -> bool:
        tags = self.ledger.trial_logs[trial].tags
        return "control" in tags or ("default" in tags and self.pauses(trial))


def _list_in_order(ledger: Ledger) -> list[tuple[int, Report]]:
    """Return all reports with their trials, in the order of their arrival.

    Those of one trial stay in order even where the clock was set back between two of them.
    """
    arrived: list[tuple[float, int, Report]] = []
    for trial, trial_log in ledger.trial_logs.items():
        times = itertools.accumulate((report.time for report in trial_log.reports), max)
        arrived += zip(times, itertools.repeat(trial), trial_log.reports, strict=False)
    arrived.sort(key=lambda entry: entry[:2])
    return [(trial, report) for _, trial, report in arrived]
