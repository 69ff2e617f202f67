"""How often a report says that the winner beats the default where all configurations are equal.

Whole searches are simulated: 40 trials, their re-runs as `--confirm` plans them, the winner, the
opening of the test set, and the sentences of the report. Only training is replaced (`runs.py`).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from cluster.ledger.ledger import Ledger, create_ledger
from cluster.ledger.settings import SearchSettings
from cluster.tuning.confirm import plan_reruns
from reports.assemble import Findings, format_winner, write_summary
from reports.chapters.best import compare_with_default
from reports.chapters.confirmation.chapter import write_section
from reports.chapters.confirmation.significance import compare_winner
from reports.contents import collect_findings
from reports.numbers.means import LEVEL
from reports.numbers.seeds import FEWEST, probability_better
from reports.records import Search, TrialRecord
from tests.benchmarks.calibration.rates import Rate, Row, Rows
from tests.benchmarks.calibration.runs import METRIC, SPLITS, Setting, make_space, make_training
from tests.support.memory_tracker import MemoryTracker


@dataclass(frozen=True)
class Config:
    """A configuration."""

    number: int = 0
    seed: int = 0


SPACE = make_space(Config)


@dataclass
class Tally:
    """What the reports of simulated searches say, in numbers of searches."""

    searches: int = 0
    beats: int = 0
    best_beats: int = 0
    differs: int = 0
    probable: int = 0
    covered: int = 0
    compared: int = 0  # with the default, which is another one than the winner
    gaps: int = 0  # covered differences from the default


def run_searches(setting: Setting, searches: int, seed: int = 0) -> Tally:
    """Simulate searches and return what their reports say.

    `covered` counts the quoted intervals that hold the true accuracy of the winner's
    configuration, `probable` those of P(better) that are above one half, `gaps` the intervals of
    the difference from the default that hold the true one. Raises AssertionError where words and
    numbers differ.
    """
    tally = Tally()
    for number in range(searches):
        with tempfile.TemporaryDirectory() as folder:
            _run_search(setting, np.random.default_rng([seed, number]), Path(folder), tally)
    return tally


def _run_search(setting: Setting, random: np.random.Generator, folder: Path, tally: Tally) -> None:
    skills = np.full(setting.trials, setting.skill)
    leader = int(random.integers(1, setting.trials))
    skills[leader] += setting.find_lead()
    train = make_training(setting, random, skills)
    tracker = MemoryTracker(folder / "server")
    trials, reruns = _store_search(setting, folder, tracker, train)
    tags = {"splits": '["validation", "test"]', "data_fingerprint": "simulated", "reports": "1"}
    search = Search("parent", "simulated", "simulated", METRIC, "max", tags, {}, trials)
    search = replace(search, reruns=reruns)
    tracker.tags["parent"] = tags
    for split in SPLITS:
        n = getattr(setting, split)
        table = pa.table({"id": np.arange(n), "target": np.ones(n, np.int64)})
        tracker.log_table("parent", f"data/{split}.parquet", table)
    findings = collect_findings(cast("Any", tracker), search)
    _count(setting, findings, skills, leader, tally)


def _store_search(
    setting: Setting, folder: Path, tracker: MemoryTracker, train: Any
) -> tuple[tuple[TrialRecord, ...], tuple[TrialRecord, ...]]:
    """Run a search in a ledger, and the re-runs that `--confirm` plans from it."""
    settings = SearchSettings("simulated", METRIC, "max", trials=setting.trials, reports=1)
    ledger = create_ledger(folder, settings)
    for number in range(setting.trials):
        _store_trial(ledger, number, float(train(number, 0)["validation"].mean()))
    trials = tuple(
        _make_record(f"trial{n}", n, log.config, ledger.best_report(log))
        for n, log in ledger.trial_logs.items()
    )
    reruns = []
    planned = plan_reruns(ledger, SPACE, setting.best, setting.seeds)
    for place, rerun in enumerate(planned):
        of, config = int(rerun.tags["of"]), rerun.fixed
        correct = train(of, int(cast("int", config["seed"])))
        record = _make_record(f"rerun{place}", place, config, (correct["validation"].mean(), 1))
        reruns.append(replace(record, of=of, tags={"predictions": '["test"]'}))
        answers = pa.table({"id": np.arange(setting.test), "answer": correct["test"].astype(int)})
        tracker.log_table(record.run_id, "predictions/test.parquet", answers)
    ledger.close()
    return trials, tuple(reruns)


def _store_trial(ledger: Ledger, number: int, score: float) -> None:
    ledger.add_trial(number, {}, {"number": number, "seed": 0})
    ledger.add_attempt(number)
    ledger.record_reports(number, [{"report": 1, "seconds": 1.0, "metrics": {METRIC: score}}], {})
    ledger.record_outcome(number, "complete")


def _make_record(run_id: str, number: int, config: Any, best: Any) -> TrialRecord:
    params = {name: str(value) for name, value in config.items()}
    tags = {"default": "yes"} if config["number"] == 0 else {}
    metrics = {"score": float(best[0])}
    return TrialRecord(run_id, run_id, number, "complete", params, metrics=metrics, tags=tags)


def _count(
    setting: Setting, findings: Findings, skills: np.ndarray, leader: int, tally: Tally
) -> None:
    search, choice, test = findings.search, findings.choice, findings.test
    assert choice is not None and test.confirmed is not None
    verdicts = {c.of: c for c in compare_winner(search, test)}
    against = verdicts.get(0)
    won = against is not None and against.is_significant and against.difference.interval.value > 0
    check_words(findings, won)
    winner = choice.winner.number
    tally.searches += 1
    tally.beats += won
    tally.best_beats += won and winner == leader
    tally.differs += any(c.is_significant for c in verdicts.values())
    truth = float(norm.cdf(skills[winner] / setting.spread))
    tally.covered += test.confirmed.low <= truth <= test.confirmed.high
    if against is not None:
        level = 1 - LEVEL / (len({run.of for run in search.reruns}) - 1)
        better = probability_better(test.reruns[winner], test.reruns[0], level, test.seed_variance)
        tally.probable += better.low > 0.5
        gap = against.difference.interval
        tally.compared += gap.is_known
        tally.gaps += gap.low <= truth - norm.cdf(skills[0] / setting.spread) <= gap.high


def check_words(findings: Findings, won: bool) -> None:
    """Raise AssertionError where the sentences of a report claim another result than its test."""
    search, choice, test = findings.search, findings.choice, findings.test
    assert choice is not None
    chapter = write_section(search, test) or ""
    verdict = compare_with_default(search, choice, test)
    for text in (write_summary(findings), verdict):
        assert ("beats the default" in text) == won, text
        assert won == ("recommended" not in text), text
    # No other sentence claims what the verdict does not.
    claims = re.findall(r"beats|outperforms|superior|(?:better|worse) than (?:the|trial)", chapter)
    assert not claims, (claims, chapter)
    assert "mean of" in format_winner(findings)
    assert "one run" not in format_winner(findings)


NULL = {
    "5 confirmed, 5 seeds": Setting(),
    "5 confirmed, 5 seeds, much luck": Setting(luck=0.4),
    "10 confirmed, 3 seeds": Setting(best=10, seeds=3),
    "1 confirmed, 3 seeds": Setting(best=1, seeds=3),
    "1 confirmed, 2 seeds (refused)": Setting(best=1, seeds=2),
    "5 confirmed, 5 seeds, n = 2,000": Setting(validation=2000, test=2000),
    "5 confirmed, 3 half-dead seeds": Setting(seeds=3, luck=0.4, kind="half dead"),
    "5 confirmed, 2 half-dead seeds": Setting(seeds=2, luck=0.4, kind="half dead"),
}
"""All configurations are equal."""
POWER = {
    "one of two is 3 standard errors better": Setting(
        best=2, trials=2, luck=0.0, skill=1.2, test=2000, validation=2000, lead=3.0
    ),
}
"""The better one is among those that are confirmed: whether the search finds it is not asked."""


def simulate(experiments: int) -> Rows:
    """Yield the rows of winners against the default, 40 equal configurations each."""
    searches = max(200, experiments // 5)
    for name, setting in NULL.items():
        found = run_searches(setting, searches)
        for what, count in (
            ("the winner beats the default, all equal", found.beats),
            ("any difference from the winner is significant, all equal", found.differs),
            ("P(better than default) is above 0.5, all equal", found.probable),
        ):
            yield Row(what, name, Rate(count / searches, searches), high=LEVEL)
        if setting.seeds < FEWEST:
            continue
        normal = setting.kind == "normal"  # the stated setting of intervals
        rate = Rate(found.covered / searches, searches)
        what = "quoted interval of the winner's accuracy"
        yield Row(what, name, rate, 0.93, 0.98, is_required=normal)
        # Corrected for the choice of the winner: of "at least 95 %", as the report says.
        rate = Rate(found.gaps / found.compared, found.compared)
        what = "interval of the winner less the default"
        yield Row(what, name, rate, 0.93, is_required=normal)
    for name, setting in POWER.items():
        found = run_searches(setting, searches)
        rate = Rate(found.best_beats / searches, searches)
        yield Row("the better one beats the default", name, rate, low=0.8)
