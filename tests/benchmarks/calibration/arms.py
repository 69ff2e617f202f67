"""Tuned arms: how often equal ones differ, from their searches to the sentences of the report.

Whole searches are simulated in a ledger: the trials of each arm in turns, the re-runs of the best
of each as a search plans them, the opening of the test set, and the chapter of the report. Only
training is replaced (`runs.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from cluster.ledger.ledger import Ledger, create_ledger
from cluster.ledger.settings import SearchSettings
from cluster.tuning.arm_reruns import plan_arm_reruns
from reports.chapters.comparison import tuned
from reports.chapters.comparison.pairs import Pair
from reports.chapters.comparison.tuned import compare_arms
from reports.contents import collect_findings
from reports.numbers.means import LEVEL
from reports.numbers.seeds import accuracy_over_seeds
from reports.records import Search, TrialRecord
from tests.benchmarks.calibration.rates import Rate, Row, Rows, repeat
from tests.benchmarks.calibration.runs import METRIC, SPLITS, Setting, make_space, make_training
from tests.support.memory_tracker import MemoryTracker


@dataclass(frozen=True)
class Config:
    """A configuration of an arm."""

    arm: int = 0
    number: int = 0
    seed: int = 0


SPACE = make_space(Config)


@dataclass
class Tally:
    """What the reports of simulated searches say, in numbers of searches."""

    searches: int = 0
    differ: int = 0  # any two arms
    leader: int = 0  # the first arm is better than another
    ordered: int = 0  # the order of arms is said to be stable from some budget on


def run_searches(setting: Setting, arms: int, searches: int, seed: int = 0) -> Tally:
    """Simulate searches with this many arms and return what their reports say.

    All configurations of an arm are equal, and those of the first arm have the `lead` of the
    setting; `trials` is the number of each arm. Raises AssertionError where words and tests
    differ.
    """
    tally = Tally()
    for number in range(searches):
        with tempfile.TemporaryDirectory() as folder:
            random = np.random.default_rng([seed, number])
            _run_search(setting, arms, random, Path(folder), tally)
    return tally


def _run_search(
    setting: Setting, arms: int, random: np.random.Generator, folder: Path, tally: Tally
) -> None:
    skills = np.full(arms * setting.trials, setting.skill)
    skills[::arms] += setting.find_lead()
    train = make_training(setting, random, skills)
    tracker = MemoryTracker(folder / "server")
    values = tuple(({"arm": arm}, {}) for arm in range(arms))
    settings = SearchSettings("simulated", METRIC, "max", trials=len(skills), reports=1)
    settings = replace(settings, tune_arms=setting.trials, arms=values, seeds=setting.seeds)
    ledger = create_ledger(folder, settings)
    for number in range(len(skills)):
        score = float(train(number, 0)["validation"].mean())
        _store_trial(ledger, number, number % arms, score)
    records = [
        _make_record(number, log.config, ledger.best_report(log), log.tags)
        for number, log in ledger.trial_logs.items()
    ]
    planned = plan_arm_reruns(ledger, SPACE)
    assert planned is not None
    again = []
    for place, (config, tags) in enumerate(planned.reruns):
        of = int(tags["of"])
        right = train(of, int(cast("int", config["seed"])))
        record = _make_record(len(skills) + place, config, (right["validation"].mean(), 1), {})
        again.append(replace(record, of=of, tags={"predictions": '["test"]'}))
        table = pa.table({"id": np.arange(setting.test), "answer": right["test"].astype(int)})
        tracker.log_table(record.run_id, "predictions/test.parquet", table)
    ledger.close()
    tags = {"splits": '["validation", "test"]', "data_fingerprint": "simulated", "reports": "1"}
    tracker.tags["parent"] = tags
    for split in SPLITS:
        n = getattr(setting, split)
        table = pa.table({"id": np.arange(n), "target": np.ones(n, np.int64)})
        tracker.log_table("parent", f"data/{split}.parquet", table)
    search = Search("parent", "simulated", "simulated", METRIC, "max", tags, {}, tuple(records))
    search = replace(search, reruns=tuple(again), compare=("arm",))
    _count(tracker, search, tally)


def _count(tracker: MemoryTracker, search: Search, tally: Tally) -> None:
    test = collect_findings(cast("Any", tracker), search).test
    found: list[Pair] = []

    def compare(*arguments: Any) -> list[Pair]:
        found.extend(compare_arms(*arguments))
        return found

    with (
        patch.object(tuned, "draw_comparison", return_value=None),  # slow, and says nothing
        patch.object(tuned, "compare_arms", compare),
    ):
        section = tuned.write_section(search, test)
    assert section is not None
    differ = [pair for pair in found if pair.is_significant]
    check_words(section.text, len(differ), len(found))
    tally.searches += 1
    tally.differ += bool(differ)
    tally.leader += any(pair.first.values == ("0",) for pair in differ)
    tally.ordered += " is the same " in section.text


def check_words(text: str, differ: int, pairs: int) -> None:
    """Raise AssertionError where the sentences on arms claim another result than the tests."""
    if pairs == 0:
        assert "No arms are tested against each other" in text, text
        assert "differ" not in text, text
    elif pairs == 1:
        assert text.count("differ significantly**") == 1, text
        assert ("do not differ significantly**" in text) == (not differ), text
    elif differ:
        share = "All pairs" if differ == pairs else f"{differ} of {pairs} pairs"
        assert f"**{share} of rows differ significantly**" in text, text
    else:
        assert "**No pair of rows differs significantly**" in text, text
    assert ("No order of the arms is claimed" in text) == (not differ), text
    assert not any(word in text for word in ("beats", "outperforms", "superior")), text


def _store_trial(ledger: Ledger, number: int, arm: int, score: float) -> None:
    config = {"arm": arm, "number": number, "seed": 0}
    ledger.add_trial(number, {}, config, {"arm": str(arm)})
    ledger.add_attempt(number)
    ledger.record_reports(number, [{"report": 1, "seconds": 1.0, "metrics": {METRIC: score}}], {})
    ledger.record_outcome(number, "complete")


def _make_record(number: int, config: Any, best: Any, tags: Mapping[str, str]) -> TrialRecord:
    params = {name: str(value) for name, value in config.items()}
    metrics = {"score": float(best[0])}
    run_id = f"run{number}"
    return TrialRecord(
        run_id, run_id, number, "complete", params, metrics=metrics, tags=dict(tags)
    )


def measure_arm_coverage(setting: Setting, arms: int, experiments: int) -> Rate:
    """Return how often the interval of an arm's test accuracy, beside others, is right."""
    truth = norm.cdf(setting.skill / setting.spread)

    def is_covered(random: np.random.Generator) -> bool:
        train = make_training(setting, random, np.full(arms, setting.skill))
        right = [
            np.stack([train(arm, seed)["test"] for seed in range(setting.seeds)])
            for arm in range(arms)
        ]
        found = accuracy_over_seeds(right[0], others=right[1:])
        return bool(found.low <= truth <= found.high)

    return repeat(is_covered, experiments)


BASE = Setting(trials=5, validation=360, test=360)


def simulate(experiments: int) -> Rows:
    """Yield the rows of whole searches that tune their arms, with normally distributed luck."""
    for arms in (2, 4, 6):
        for seeds in (3, 5):
            for luck in (0.0, 0.4):
                setting = replace(BASE, seeds=seeds, luck=luck)
                rate = measure_arm_coverage(setting, arms, experiments)
                name = _describe(setting, arms)
                yield Row("interval of an arm's test accuracy", name, rate, 0.93, 0.98)
                yield from _count_errors(setting, arms, experiments)


def simulate_unstable(experiments: int) -> Rows:
    """Yield the rows of arms whose runs have skewed luck, or every other one learns nothing."""
    for arms in (4, 6):
        for seeds in (3, 5):
            for kind in ("skewed", "half dead"):
                setting = replace(BASE, seeds=seeds, luck=0.4, kind=kind)
                yield from _count_errors(setting, arms, experiments)


def _count_errors(setting: Setting, arms: int, experiments: int) -> Rows:
    searches, name = max(200, experiments // 10), _describe(setting, arms)
    found = run_searches(setting, arms, searches)
    for what, count in (
        ("equal tuned arms differ in the report", found.differ),
        ("equal tuned arms have a stable order", found.ordered),
    ):
        yield Row(what, name, Rate(count / searches, searches), high=LEVEL)


def _describe(setting: Setting, arms: int) -> str:
    kind = "" if setting.kind == "normal" else f"{setting.kind} "
    return f"{arms} arms × {setting.seeds} {kind}seeds, luck of {setting.luck:g}, n = 360"
