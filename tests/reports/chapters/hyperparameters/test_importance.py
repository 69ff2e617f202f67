"""Importances: the true one is first, and only trials of equal budget count."""

from typing import Any

import numpy as np

from reports.chapters.hyperparameters.importance import (
    BARS,
    find_first_rung,
    score_at_report,
    select_equal_budget,
    sort_by_importance,
    write_section,
)
from reports.read.space import Parameter
from reports.records import TrialRecord
from tests.benchmarks.calibration.searches import measure_first_importance
from tests.support.make_search import make_search, make_trial

NOWHERE: Any = None  # no tracker: without early stopping no curves are read

SPACE = (
    Parameter("rate", 1e-4, 1.0, log=True),
    Parameter("width", 8, 64, whole=True, step=8),
    Parameter("kind", choices=("a", "b")),
)


def trials(count: int) -> list[TrialRecord]:
    """Trials of which the rate alone decides."""
    rng = np.random.default_rng(0)
    some = []
    for number in range(count):
        at = rng.random()
        params = {
            "rate": 10 ** (4 * at - 4),
            "width": 8 * rng.integers(1, 9),
            "kind": rng.choice(["a", "b"]),
        }
        some.append(make_trial(number, 1 - (at - 0.7) ** 2, params=params))
    return some


def test_the_most_important_hyperparameter_is_first() -> None:
    found = write_section(NOWHERE, make_search(*trials(100)), SPACE)
    assert found is not None
    (axes,) = found.figures["importances"].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "rate"  # the topmost bar
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[-1] > 60
    assert abs(sum(widths) - 100) < 1e-6
    assert "100 trials that ran to the end" in found.text


def test_only_trials_of_the_full_budget_count() -> None:
    some = trials(4)
    some += [
        make_trial(4, outcome="stopped"),
        make_trial(5, reports=3),
        make_trial(6, None),
        make_trial(7),
    ]
    assert [t.number for t in select_equal_budget(make_search(*some))] == [0, 1, 2, 3, 7]


def test_too_few_trials_have_no_importances() -> None:
    found = write_section(NOWHERE, make_search(*trials(79)), SPACE)
    assert found is not None
    assert found.text.startswith("Not available: 79 trials ran to the end; importances need 80")
    assert not found.figures
    assert write_section(NOWHERE, make_search(*trials(90)), SPACE[:1]) is None


def test_after_early_stopping_the_scores_of_the_first_rung_count() -> None:
    name = "validation_accuracy"
    curves = [((1, 0.5), (2, 0.7), (3, 0.6), (9, 0.9)), ((1, 0.4), (2, 0.3)), ((3, 0.8),), ()]
    some = [make_trial(n, curves={name: curve}) for n, curve in enumerate(curves)]
    found = score_at_report(make_search(*some), some, 2)
    assert [(t.number, t.metrics["score"]) for t in found] == [(0, 0.7), (1, 0.4)]
    lower = score_at_report(make_search(*some, mode="min"), some, 2)
    assert [t.metrics["score"] for t in lower] == [0.5, 0.3]


def test_the_first_rung_matters_only_where_trials_were_stopped() -> None:
    rungs = {"rungs": "[1, 3]"}
    early = make_trial(1, outcome="stopped", reports=1)
    assert find_first_rung(make_search(make_trial(0), early, tags=rungs)) == 1
    assert find_first_rung(make_search(make_trial(0), early)) is None
    late = make_trial(1, outcome="stopped", reason="time budget")
    assert find_first_rung(make_search(make_trial(0), late, tags=rungs)) is None


def test_early_stopping_does_not_hide_what_matters() -> None:
    found = measure_first_importance(trials=100, experiments=20)
    assert found.value >= 0.8


def test_lower_is_better_in_min_mode() -> None:
    some = [make_trial(t.number, -t.metrics["score"], params=dict(t.params)) for t in trials(100)]
    found = write_section(NOWHERE, make_search(*some, mode="min"), SPACE)
    assert found is not None
    assert found.figures["importances"].axes[0].get_yticklabels()[-1].get_text() == "rate"


def test_many_hyperparameters_are_measured_once_and_drawn_in_part() -> None:
    names = [f"n{n}" for n in range(70)]
    rng = np.random.default_rng(1)
    some = [
        make_trial(t.number, t.metrics["score"], params={**t.params, **dict.fromkeys(names, n)})
        for t, n in zip(trials(100), rng.random(100), strict=True)
    ]
    space = (*(Parameter(name, 0.0, 1.0) for name in names), *SPACE)
    search = make_search(*some)
    found = write_section(NOWHERE, search, space)
    assert found is not None
    assert len(found.figures["importances"].axes[0].patches) == BARS
    assert f"The first {BARS} of 73 are drawn" in found.text
    assert "not evaluated on halves" in found.text
    assert len(found.tables["importances"].rows) == 73
    order, shares = sort_by_importance(NOWHERE, search, space)
    assert order[0].name == max(shares, key=lambda name: shares[name]) == "rate"
    assert sort_by_importance(NOWHERE, search, SPACE) == (SPACE, {})


def test_more_choices_than_trials_can_tell_are_left_out() -> None:
    some = trials(80)
    kind = Parameter("any", choices=tuple(map(str, range(1000))))
    found = write_section(NOWHERE, make_search(*some), (kind, *SPACE))
    assert found is not None
    assert "fewer than 2 trials per choice: `any`" in found.text
