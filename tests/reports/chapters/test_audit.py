"""Check of early stopping: which control trials would be stopped, and which end well."""

import math

import pytest
from mlflow.tracking import MlflowClient
from scipy.stats import spearmanr

from reports.chapters import audit
from reports.chapters.audit import audit_rung, find_late_bloomers, find_stopped, rank_correlation
from reports.read.winner import choose_winner
from reports.records import TrialRecord
from tests.support.make_search import make_search, make_trial

METRIC = "validation_accuracy"


def curved(number: int, then: float, score: float, **about: object) -> TrialRecord:
    return make_trial(number, score, curves={METRIC: ((1, then), (9, score))}, **about)


def test_late_bloomers_would_be_stopped_and_end_well() -> None:
    control = [
        curved(0, 0.9, 0.95),
        curved(1, 0.1, 0.96),  # a late bloomer
        curved(2, 0.2, 0.30),  # rightly cut
        curved(3, 0.8, 0.90),
    ]
    others = [curved(i, 0.85, 0.92) for i in range(4, 7)]
    others += [curved(i, 0.3, 0.3, outcome="stopped", reports=1) for i in range(7, 13)]
    search = make_search(*control, *others)
    rung = audit_rung(search, control, others, 1, 3.0)
    assert rung is not None
    assert 0.3 <= rung.cutoff <= 0.85
    assert find_stopped(search, rung) == [1, 2]
    would, late = find_late_bloomers(search, control, [rung])
    assert [t.number for t in would] == [1, 2]
    assert [t.number for t in late] == [1]


def test_lower_is_better_in_min_mode() -> None:
    control = [curved(i, then, then) for i, then in enumerate((0.1, 0.2, 0.9, 0.8))]
    search = make_search(*control, mode="min")
    rung = audit_rung(search, control, [], 1, 3.0)
    assert rung is not None
    assert find_stopped(search, rung) == [2, 3]


def test_a_rung_with_too_few_control_trials_is_left_out() -> None:
    control = [curved(i, 0.5, 0.6) for i in range(3)]
    assert audit_rung(make_search(*control), control, [], 5, 3.0) is None


def test_rank_correlation() -> None:
    x, y = [0.1, 0.4, 0.2, 0.9, 0.5, 0.3], [1.0, 2.0, 3.0, 6.0, 5.0, 2.5]
    rho, low, high = rank_correlation(x, y)
    assert rho == pytest.approx(spearmanr(x, y).statistic)
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / 3)
    assert math.atanh(high) - math.atanh(low) == pytest.approx(2 * half)
    assert low < rho < high
    assert all(map(math.isnan, rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])))
    rho, low, high = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4])
    assert rho == pytest.approx(1)
    assert -1 < low < high <= 1


@pytest.mark.parametrize(
    ("most", "said"), [(100, "of all trials with"), (2, "of the control trials and 2 of the 6")]
)
def test_the_text_names_the_trials_of_the_cutoff(
    most: int, said: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "COMPARED", most)
    read: list[int] = []

    def known(_: object, trials: list[TrialRecord], keys: list[str]) -> list[TrialRecord]:
        read.extend(t.number for t in trials)
        return trials

    monkeypatch.setattr(audit, "read_curves", known)
    control = [curved(i, i / 10, i / 9, tags={"control": "yes"}) for i in range(4)]
    others = [curved(i, 0.5, 0.6) for i in range(4, 10)]
    search = make_search(*control, *others, tags={"scheduler": "asha", "rungs": "[1, 3]"})
    choice = choose_winner(search)
    assert choice is not None
    found = audit.write_section(client, search, choice)
    assert found is not None
    assert said in found.text
    assert read[:-4] == ([4, 9] if most == 2 else [4, 5, 6, 7, 8, 9])
