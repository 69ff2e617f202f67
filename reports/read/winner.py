"""Choose the winner of a search on validation, by the ranking that the search itself uses."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reports.records import Search, TrialRecord
from trainables import ranking

SEEDS = 2
"""Re-runs that a configuration must have before its mean can decide."""


LOST = ("diverged", "failed")
"""Outcomes of runs without a result, which count as the worst score where means are compared."""


@dataclass(frozen=True)
class Choice:
    """Candidates ranked on validation, the winner first."""

    candidates: tuple[TrialRecord, ...]
    is_complete: bool  # False: no trial is complete, and the candidates were stopped early
    is_confirmed: bool = False  # True: the winner has the best mean over fresh seeds
    rerun: TrialRecord | None = None  # of a confirmed winner: its best one on validation

    @property
    def winner(self) -> TrialRecord:
        """Return the trial that wins, whose configuration is the best."""
        return self.candidates[0]

    @property
    def model(self) -> TrialRecord:
        """Return the run whose weights and predictions are the winner's."""
        return self.rerun or self.winner


def rank_trials(search: Search, trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials of a search that may win, best first (`trainables.ranking`)."""
    return ranking.rank_trials(
        trials,
        search.mode,
        outcome=lambda trial: trial.outcome,
        score=_find_score,
        number=lambda trial: trial.number,
    )


def _find_score(trial: TrialRecord) -> float | None:
    score = trial.metrics.get("score")
    # Databases store infinity as the largest number.
    is_number = score is not None and abs(score) < sys.float_info.max
    return score if is_number else None


def find_candidates(search: Search) -> list[TrialRecord]:
    """Return the complete trials, best first; where none is complete, those stopped early."""
    ranked = rank_trials(search, search.trials)
    return [trial for trial in ranked if trial.outcome == ranked[0].outcome]


def choose_winner(search: Search) -> Choice | None:
    """Return the winner and the other candidates; None where no trial may win.

    Where configurations were run again, the one with the best mean over fresh seeds wins, since
    a search score is optimistically biased: it is the best of many. Its model is then the best
    of its re-runs on validation: it is one of the runs whose mean a report quotes.
    """
    pool = find_candidates(search)
    if not pool:
        return None
    only_complete = pool[0].outcome == "complete"
    best = next(iter(rank_confirmed(search)), None)
    if best is None:
        return Choice(tuple(pool), only_complete)
    winner = next(trial for trial in search.trials if trial.number == best)
    rerun = rank_trials(search, group_reruns(search)[best])[0]
    others = [trial for trial in pool if trial is not winner]
    return Choice((winner, *others), only_complete, True, rerun)


def find_missing_best(search: Search) -> int | None:
    """Return the trial that a search has recorded as its best, where its run is missing."""
    best = search.metrics.get("best_trial")
    is_missing = best is not None and all(trial.number != best for trial in search.trials)
    return int(best) if best is not None and is_missing else None


def explain_no_winner(search: Search) -> str:
    """Return why no trial of a search may win."""
    outcomes = sorted({t.outcome for t in search.trials if "score" in t.metrics})
    if not outcomes:
        return "no trial has a score"
    return f"no trial with a score is complete or stopped early, only {' or '.join(outcomes)}"


def group_reruns(search: Search) -> dict[int, tuple[TrialRecord, ...]]:
    """Return the complete re-runs with a score by the number of the trial that they repeat.

    Of two runs with the same seed the later one counts.
    """
    scored = set(rank_trials(search, search.reruns))
    found: dict[int, dict[str, TrialRecord]] = {}
    for run in search.reruns:
        if run.of is not None and run.outcome == "complete" and run in scored:
            found.setdefault(run.of, {})[run.params.get("seed", run.label)] = run
    return {of: tuple(by_seed.values()) for of, by_seed in sorted(found.items())}


def find_worst(search: Search) -> float:
    """Return the worst score of all runs of a search; nan where no run has one."""
    return ranking.find_worst(map(_find_score, (*search.trials, *search.reruns)), search.mode)


def score_reruns(search: Search) -> dict[int, list[float]]:
    """Return the scores of the re-runs by the number of the trial that they repeat.

    A seed that diverged or failed has the worst score of the search: left out, it would let an
    unstable configuration win by its lucky seeds.
    """
    worst, found = find_worst(search), dict[int, list[float]]()
    for of, runs in group_reruns(search).items():
        found[of] = [run.metrics["score"] for run in runs]
        found[of] += [worst] * len(list_lost(search, of))
    return found


def list_lost(search: Search, of: int) -> list[TrialRecord]:
    """Return the re-runs of a trial that diverged or failed and were not repeated with success."""
    seeds = {run.params.get("seed", run.label) for run in group_reruns(search).get(of, ())}
    lost = {
        run.params.get("seed", run.label): run
        for run in search.reruns
        if run.of == of and run.outcome in LOST
    }
    return [run for seed, run in lost.items() if seed not in seeds]


def rank_confirmed(search: Search) -> list[int]:
    """Return the trials with at least SEEDS complete re-runs, by their mean score, best first.

    Re-runs that diverged or failed count as the worst score (`score_reruns`).
    """
    may_win = {trial.number for trial in rank_trials(search, search.trials)}
    groups, scores = group_reruns(search), score_reruns(search)
    means = {
        of: float(np.mean(scores[of]))
        for of, runs in groups.items()
        if len(runs) >= SEEDS and of in may_win
    }
    return ranking.rank_trials(
        means, search.mode, outcome=lambda _: "complete", score=means.get, number=lambda of: of
    )


def list_compared(search: Search) -> list[int]:
    """Return the confirmed trials that a report compares: winner, runner-up and default."""
    default = search.default.number if search.default else None
    ranking = rank_confirmed(search)
    return [of for place, of in enumerate(ranking) if place < 2 or of == default]
