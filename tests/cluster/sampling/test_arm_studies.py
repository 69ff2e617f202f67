"""Arms that are tuned: each has a study of its own, and they take turns."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.ledger.files import list_journals
from cluster.ledger.ledger import Ledger
from cluster.sampling.arm_studies import ArmStudies, open_studies
from cluster.sampling.arms import plan_arms
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from tests.support.reports import make_history

ARMS = ({"momentum": False}, {"momentum": True, "learning_rate": 0.2})
Begin = Callable[..., Ledger]


@pytest.fixture
def space(change: Callable[..., SearchSpace[Any]]) -> SearchSpace[Any]:
    return change(arms=ARMS, compare=("momentum",))


def begin_arms(begin: Begin, space: SearchSpace[Any], each: int, **changes: Any) -> Ledger:
    arms = tuple(plan_arms(space, {}))
    trials = each * len(arms)
    return begin(trials=trials, tune_arms=each, arms=arms, enqueued=len(arms), **changes)


def run(ledger: Ledger, studies: Study | ArmStudies, count: int, loss: float = 0.0) -> None:
    """Run trials whose loss is their learning rate's distance from 0.1."""
    for _ in range(count):
        suggestion = studies.ask()
        assert suggestion is not None
        trial, config = suggestion.trial, suggestion.config
        ledger.add_trial(trial, suggestion.parameters, config, suggestion.tags)
        ledger.add_attempt(trial)
        score = loss + abs(float(str(config["learning_rate"])) - 0.1)
        ledger.record_reports(trial, make_history([score]), {})
        ledger.record_outcome(trial, "complete")
        studies.tell(ledger.trial_logs[trial])


def describe(ledger: Ledger) -> list[tuple[Any, ...]]:
    logs = sorted(ledger.trial_logs.items())
    return [(trial, log.tags, log.parameters, log.config) for trial, log in logs]


def test_the_arms_take_turns_and_start_with_their_own_defaults(
    begin: Begin, space: SearchSpace[Any]
) -> None:
    ledger = begin_arms(begin, space, each=3, sampler="tpe")
    studies = open_studies(ledger, space, [])
    for started in range(1, 7):
        run(ledger, studies, 1)
        counts = Counter(log.tags["arm"] for log in ledger.trial_logs.values())
        assert max(counts.values()) - min(counts.get(arm, 0) for arm in "01") <= 1
        assert sum(counts.values()) == started
    first, second = ledger.trial_logs[0], ledger.trial_logs[1]
    assert (first.config["momentum"], first.config["learning_rate"]) == (False, 0.1)
    assert (second.config["momentum"], second.config["learning_rate"]) == (True, 0.2)
    assert studies.ask() is None
    for log in ledger.trial_logs.values():
        assert log.config["momentum"] == (log.tags["arm"] == "1")
        assert "momentum" not in log.parameters, "a fixed value is nothing that a sampler draws"
    assert [path.name for path in list_journals(ledger.folder)] == [
        "study-0.journal",
        "study-1.journal",
    ]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_an_arm_does_not_depend_on_the_results_of_another(
    begin: Begin, space: SearchSpace[Any], sampler: str
) -> None:
    drawn = []
    for loss in (0.0, 100.0):
        ledger = begin_arms(begin, space, each=14, sampler=sampler)
        studies = open_studies(ledger, space, [])
        for number in range(28):
            run(ledger, studies, 1, loss=loss if number % 2 else 0.0)
        drawn.append([row for row in describe(ledger) if row[1]["arm"] == "0"])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_a_resumed_search_draws_what_an_uninterrupted_one_does(
    begin: Begin, space: SearchSpace[Any], reopen: Callable[[Ledger], Ledger], sampler: str
) -> None:
    alone = begin_arms(begin, space, each=14, sampler=sampler)
    run(alone, open_studies(alone, space, []), 28)
    ledger = begin_arms(begin, space, each=14, sampler=sampler)
    run(ledger, open_studies(ledger, space, []), 13)
    ledger = reopen(ledger)
    run(ledger, open_studies(ledger, space, []), 15)
    assert describe(ledger) == describe(alone)


def test_a_damaged_journal_of_an_arm_is_written_again(
    begin: Begin, space: SearchSpace[Any], reopen: Callable[[Ledger], Ledger]
) -> None:
    ledger = begin_arms(begin, space, each=4)
    run(ledger, open_studies(ledger, space, []), 5)
    (ledger.folder / "study-1.journal").write_text("no journal\n")
    ledger = reopen(ledger)
    studies = open_studies(ledger, space, [])
    assert "study-1.journal is damaged" in studies.note
    run(ledger, studies, 3)
    assert sorted(ledger.trial_logs) == list(range(8))
    assert studies.ask() is None


def test_an_arm_that_is_exhausted_leaves_the_turns_to_the_others(
    begin: Begin, space: SearchSpace[Any]
) -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        momentum = trial.suggest_categorical("momentum", [False, True])
        rate = trial.suggest_float("learning_rate", 0.01, 0.4) if momentum else 0.1
        return {"momentum": momentum, "learning_rate": rate}

    space = replace(space, suggest=suggest)
    ledger = begin_arms(begin, space, each=3)
    studies = open_studies(ledger, space, [])
    run(ledger, studies, 4)
    assert studies.ask() is None
    assert Counter(log.tags["arm"] for log in ledger.trial_logs.values()) == {"0": 1, "1": 3}


def test_every_arm_has_a_control_group(begin: Begin, space: SearchSpace[Any]) -> None:
    ledger = begin_arms(begin, space, each=4, control=2)
    run(ledger, open_studies(ledger, space, []), 8)
    tags = [log.tags for log in ledger.trial_logs.values() if "control" in log.tags]
    assert Counter(entry["arm"] for entry in tags) == {"0": 2, "1": 2}


def test_a_search_that_tunes_no_arms_has_one_study(begin: Begin, space: SearchSpace[Any]) -> None:
    assert isinstance(open_studies(begin(), replace(space, arms=()), []), Study)
