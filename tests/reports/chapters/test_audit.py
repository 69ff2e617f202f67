"""Check of early stopping: recorded decisions, and how the control trials ended."""

import dataclasses
import json
import math

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from scipy.stats import spearmanr

from reports.chapters import audit
from reports.chapters.audit import (
    FEWEST_INTERVAL,
    audit_rung,
    find_late_bloomers,
    rank_correlation,
    read_decisions,
)
from reports.read.winner import Choice, choose_winner, rank_trials
from reports.records import Search, TrialRecord
from tests.benchmarks.calibration.intervals import measure_rank_coverage
from tests.support.make_search import make_search, make_trial

METRIC = "validation_accuracy"


def judged(
    number: int, then: float, later: float, stops: bool, control: bool = True, **about: object
) -> TrialRecord:
    """Return a trial with a decision at report 1, and the best of its reports from 2 on."""
    decision = {"report": 1, "score": then, "cutoff": 0.5, "stops": stops}
    tags = {"decisions": json.dumps([decision]), **({"control": "yes"} if control else {})}
    curve = ((1, then), (2, later - 0.1), (9, later))
    return make_trial(number, max(then, later), curves={METRIC: curve}, tags=tags, **about)


GROUP = (
    judged(0, 0.9, 0.95, stops=False),
    judged(1, 0.1, 0.96, stops=True),  # a late bloomer
    judged(2, 0.2, 0.30, stops=True),  # rightly stopped
    judged(3, 0.8, 0.90, stops=False),
)
OTHERS = tuple(judged(i, 0.3, 0.3, True, False, outcome="stopped") for i in range(4, 7))


def write(search: Search, client: MlflowClient, choice: Choice | None = None) -> str:
    choice = choice or choose_winner(search)
    assert choice is not None
    found = audit.write_section(client, search, choice)
    assert found is not None
    return found.text


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.setattr(audit, "read_curves", lambda _, trials, keys: tuple(trials))
    return make_search(*GROUP, *OTHERS, tags={"scheduler": "asha", "rungs": "[1, 3]"})


def test_a_rung_reports_the_decisions_on_record(search: Search) -> None:
    rung = audit_rung(search, GROUP, 1)
    assert rung is not None
    assert (rung.decided, rung.stopped) == (7, 3)
    assert rung.condemned == {1, 2}
    assert rung.scores == {0: 0.9, 1: 0.1, 2: 0.2, 3: 0.8}
    assert rung.later == {0: 0.95, 1: 0.96, 2: 0.30, 3: 0.90}
    assert rung.correlation == spearmanr([0.9, 0.1, 0.2, 0.8], [0.95, 0.96, 0.3, 0.9]).statistic
    assert math.isnan(rung.low)
    assert audit_rung(search, GROUP, 3) is None
    falls = judged(8, 0.9, 0.5, stops=False)
    rung = audit_rung(make_search(falls), (falls,), 1)
    assert rung is not None
    assert rung.later == {8: 0.5}, "the score at the rung is none of the later ones"


def test_late_bloomers_end_in_the_best_third_of_the_control_group(search: Search) -> None:
    condemned, late = find_late_bloomers(rank_trials(search, GROUP))
    assert [t.number for t in condemned] == [1, 2]
    assert [t.number for t in late] == [1]
    lower = dataclasses.replace(search, mode="min")
    assert [t.number for t in find_late_bloomers(rank_trials(lower, GROUP))[1]] == [2]


def test_a_winner_that_would_have_been_stopped_is_named(
    search: Search, client: MlflowClient
) -> None:
    text = write(search, client)
    assert "| 1 | 7 | 3 | 4 | 2 | -0.20 |  |" in text
    assert "2 of the 4 would have been stopped. **Good trials among them: 1** (trial 1)" in text
    assert "**The winner, trial 1, would have been stopped**" in text


def test_too_few_control_trials_leave_the_decisions(search: Search, client: MlflowClient) -> None:
    few = dataclasses.replace(search, trials=(*GROUP[:2], *OTHERS))
    text = write(few, client)
    assert "| 1 | 5 | 3 | 2 | 1 |  |  |" in text
    assert "2 control trials ran to the end, and 3 are needed" in text


@pytest.mark.parametrize("tag", ["", "[{", '[{"report": 1}]', "7"])
def test_without_recorded_decisions_nothing_is_judged(
    client: MlflowClient, search: Search, tag: str
) -> None:
    trials = [dataclasses.replace(t, tags={"control": "yes", "decisions": tag}) for t in GROUP]
    assert not any(map(read_decisions, trials))
    text = write(dataclasses.replace(search, trials=tuple(trials)), client)
    assert "has not recorded its decisions" in text


def test_rank_correlation() -> None:
    x = [0.1, 0.4, 0.2, 0.9, 0.5, 0.3, 0.6, 0.7, 0.8, 0.05]
    y = [1.0, 2.0, 3.0, 6.0, 5.0, 2.5, 4.0, 7.0, 8.0, 0.0]
    rho, low, high = rank_correlation(x, y)
    assert rho == pytest.approx(spearmanr(x, y).statistic)
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / 7)
    assert math.atanh(high) - math.atanh(low) == pytest.approx(2 * half)
    assert low < rho < high
    assert all(map(math.isnan, rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])))
    assert math.isnan(rank_correlation(x[:9], y[:9])[1])
    rho, low, high = rank_correlation(range(20), range(20))
    assert rho == pytest.approx(1)
    assert math.isnan(low), "a complete agreement is not known with certainty"


def test_reports_of_pure_noise_do_not_correlate_with_later_ones() -> None:
    """The score at the rung is not part of what it is compared with."""
    rng, above, covered = np.random.default_rng(0), 0, 0
    for _ in range(500):
        curves = rng.normal(size=(FEWEST_INTERVAL, 4))
        _, low, high = rank_correlation(curves[:, 0].tolist(), curves[:, 1:].max(axis=1).tolist())
        above += low > 0
        covered += low <= 0 <= high
    assert above / 500 < 0.05
    assert covered / 500 > 0.92


@pytest.mark.parametrize("correlation", [0.5, 0.8])
def test_the_interval_of_a_rank_correlation_has_its_coverage(correlation: float) -> None:
    found = measure_rank_coverage(correlation, FEWEST_INTERVAL, experiments=600)
    assert 0.93 - 2 * found.get_error(0.93) <= found.value <= 0.99
