"""The question of the space, answered: its compared hyperparameters, best over all the others."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_ind

from reports.paired import holm, mcnemar
from reports.predictions import read_examples, read_predictions, right
from reports.records import Tracker
from reports.search import Search, TrialRecord
from reports.statistics import finite, mean_interval, ranked
from reports.tables import (
    Table,
    count_text,
    is_share,
    markdown,
    score_text,
    value_text,
    without_empty_columns,
)

LEVEL = 0.05  # of all comparisons together
TESTED = 20  # groups compared by their predictions: one file each
SHOWN = 40  # groups in the table


@dataclass(frozen=True)
class Group:
    """Trials with the same values of the compared hyperparameters, best first."""

    values: tuple[str, ...]
    trials: tuple[TrialRecord, ...]  # complete, with a score
    tried: int

    @property
    def best(self) -> TrialRecord:
        return self.trials[0]


def comparison(tracker: Tracker, search: Search) -> str | None:
    """The table with its sentences; None where the space compares nothing that varies."""
    found = groups(search)
    if len(found) < 2:
        return None
    repeated = repeats(search, found)
    # Ranked by what is shown: means where every row is a mean, else the best.
    score = (lambda g: _mean(g)) if repeated else (lambda g: g.best.metrics["score"])
    order = ranked([g for g in found if g.trials], score, search.mode)
    if not order:
        return None
    tested, p_values = (
        (order, _by_seeds(order)) if repeated else _by_examples(tracker, search, order)
    )
    same = {id(g): p >= LEVEL for g, p in zip(tested[1:], p_values, strict=True)}
    rows = [
        (
            *(value_text(value) for value in g.values),
            f"{g.tried:,}",
            f"{len(g.trials):,}",
            f"{g.best.number}",
            score_text(g.best.metrics["score"], search.metric),
            _interval(g, search.metric) if repeated else "",
            "best" if g is order[0] else _verdict(same.get(id(g))),
        )
        for g in order[:SHOWN]
    ]
    empty = [g for g in found if not g.trials]
    rows += [
        (*map(value_text, g.values), f"{g.tried:,}", "0", "", "", "", "") for g in empty[:SHOWN]
    ]
    header = (
        *search.compare,
        "trials",
        "complete",
        "best trial",
        f"best {search.metric}",
        "mean over seeds (95 %)",
        "against the best",
    )
    align = "l" * len(search.compare) + "rrrrrl"
    table = without_empty_columns(Table(header, tuple(rows), align))
    text = f"{markdown(table)}\n\n{_explained(search, repeated, len(p_values))}"
    left_out = max(0, len(order) - SHOWN)
    return text + (f" {left_out} further groups are left out." if left_out else "")


def groups(search: Search) -> list[Group]:
    """Trials by the compared values, in the order in which these were first tried."""
    by_values: dict[tuple[str, ...], list[TrialRecord]] = {}
    for trial in search.trials:
        if any(name in trial.params for name in search.compare):
            key = tuple(trial.params.get(name, "") for name in search.compare)
            by_values.setdefault(key, []).append(trial)
    return [
        Group(
            key,
            tuple(
                ranked(
                    [
                        t
                        for t in trials
                        if t.outcome == "complete" and finite(t.metrics.get("score"))
                    ],
                    lambda t: t.metrics["score"],
                    search.mode,
                )
            ),
            len(trials),
        )
        for key, trials in by_values.items()
    ]


def repeats(search: Search, found: list[Group]) -> bool:
    """Whether the space repeats its arms: every group with a score has several seeds."""
    seeds = [{t.params.get("seed") for t in g.trials} for g in found if g.trials]
    return bool(seeds) and all(len(s) > 1 and None not in s for s in seeds)


def _by_seeds(order: list[Group]) -> list[float]:
    best = [t.metrics["score"] for t in order[0].trials]
    p_values = []
    for g in order[1:]:
        scores = [t.metrics["score"] for t in g.trials]
        if np.var(best) + np.var(scores) == 0:
            p_values.append(1.0 if best[0] == scores[0] else 0.0)
        else:
            p_values.append(float(ttest_ind(best, scores, equal_var=False).pvalue))
    return holm(p_values) if p_values else []


def _by_examples(
    tracker: Tracker, search: Search, order: list[Group]
) -> tuple[list[Group], list[float]]:
    """Groups whose best trials can be judged on the same validation examples, and p-values."""
    examples = read_examples(tracker, search, "validation")
    if examples is None or not is_share(search.metric):
        return order[:1], []
    found = read_predictions(tracker, search, [g.best for g in order[:TESTED]], examples)
    hits = {
        run.number: right(output, examples.targets)
        for run, output in zip(found.runs, found.outputs, strict=True)
    }
    if order[0].best.number not in hits:
        return order[:1], []
    tested = [g for g in order if g.best.number in hits]
    first = hits[order[0].best.number]
    p_values = [mcnemar(first, hits[g.best.number]) for g in tested[1:]]
    return tested, holm(p_values) if p_values else []


def _mean(group: Group) -> float:
    return float(np.mean([t.metrics["score"] for t in group.trials]))


def _interval(group: Group, metric: str) -> str:
    found = mean_interval([t.metrics["score"] for t in group.trials])
    value = score_text(found.value, metric)
    if not found.known:
        return f"{value}, n = {found.n}"
    ends = f"{score_text(found.low, metric)} to {score_text(found.high, metric)}"
    return f"{value} ({ends}), n = {found.n}"


def _verdict(same: bool | None) -> str:
    return {None: "not tested", True: "indistinguishable", False: "worse"}[same]


def _explained(search: Search, repeated: bool, tests: int) -> str:
    names = ", ".join(f"`{name}`" for name in search.compare)
    text = f"One row per value of {names}; scores on validation, of complete trials. "
    if repeated:
        text += (
            "Every row was repeated over seeds, and rows are compared by the means (Welch's "
            "t-test against the best row"
        )
    else:
        text += (
            "A row shows the best over all other hyperparameters, which flatters rows with more "
            "trials. "
        )
        if not tests:
            return text + (
                "Whether rows differ by more than chance cannot be said: there are neither "
                "repeated seeds nor validation predictions of classes for their best trials."
            )
        text += "The best trials are compared on the same validation examples (McNemar, mid-p"
    text += (
        f", Holm-corrected for {count_text(tests, 'comparison')}): a row is *indistinguishable*"
    )
    text += f" from the best where p ≥ {LEVEL:g}."
    if not repeated:
        text += " Seeds are not repeated, so that the luck of a training run is not in this test."
    return text
