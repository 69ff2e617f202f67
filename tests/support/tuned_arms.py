"""Searches that tuned their arms, in memory, for the tests of their comparison."""

from __future__ import annotations

import dataclasses

from reports.records import Search
from tests.support.make_search import make_search, make_trial


def make_tuned(scores: dict[str, list[float | None]], reruns: dict[int, list[float]]) -> Search:
    """Return a search of arms by the score of each of their trials; None is a failed trial."""
    arms = len(scores)
    trials = [
        make_trial(
            n * arms + arm,
            score,
            outcome="failed" if score is None else "complete",
            params={"optimizer": name, "seed": 0},
            tags={"arm": str(arm)},
        )
        for arm, (name, values) in enumerate(scores.items())
        for n, score in enumerate(values)
    ]
    search = make_search(*sorted(trials, key=lambda t: t.number), compare=("optimizer",))
    again = []
    for of, values in reruns.items():
        for n, score in enumerate(values):
            params = {"seed": 1001 + n, "optimizer": "?"}
            run = make_trial(100 + of * 10 + n, score, params=params)
            again.append(dataclasses.replace(run, of=of))
    return dataclasses.replace(search, reruns=tuple(again))
