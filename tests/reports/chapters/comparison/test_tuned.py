"""The comparison of tuned arms: the best of each on new seeds, on a test set opened once."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from reports.chapters.comparison import tuned
from reports.chapters.comparison.arms import find_arms
from reports.numbers.means import compare_means
from reports.numbers.paired import adjust_p_values, compare_over_seeds
from reports.numbers.seeds import accuracy_over_seeds
from reports.read.holdout_log import describe_openings, read_openings
from reports.read.opened_test import OpenedTest
from reports.read.records import read_search
from reports.write.intervals import format_interval
from tests.benchmarks.calibration.arms import measure_arm_coverage, run_searches
from tests.benchmarks.calibration.runs import Setting
from tests.support.make_search import TARGETS, list_openings, outputs, rerun
from tests.support.tuned_arms import make_tuned

Write = Callable[..., str]
RIGHT = {"sgd": 200, "adam": 360, "lion": 362}
STEP = {"sgd": 16, "adam": 1, "lion": 1}  # by which a seed is better than the one before


def write_tuned(write: Write, lost: bool = False, **tags: str) -> str:
    """Write three arms of three trials, and three re-runs of the best of each."""
    trials: list[dict[str, Any]] = [
        {
            "number": n * 3 + arm,
            "arm": arm,
            "outcome": "complete",
            "score": 0.8 + 0.02 * n + 0.01 * arm,
            "params": {"optimizer": name, "seed": 0, "learning_rate": 0.1 / (n + 1)},
        }
        for arm, name in enumerate(RIGHT)
        for n in range(3)
    ]
    for arm, (name, right) in enumerate(RIGHT.items()):
        for seed in range(3):
            number, of = len(trials) - 9, 6 + arm
            params = {"optimizer": name, "seed": 1001 + seed, "learning_rate": 0.1 / 3}
            about = {"params": params, "parameters": 500 + arm, "device_seconds": 60.0}
            more = STEP[name] * seed
            trials.append(rerun(number, of, right / 400 - 0.01, right + more, **about))
    if lost:
        trials[-1]["outcome"] = "diverged"
    return write(trials, {"scheduler": "asha", **tags})


def section(client: MlflowClient) -> str:
    search = read_search(client, "digits")
    found = tuned.write_section(search, OpenedTest(client, search, unfinished=search.unfinished))
    assert found is not None
    return found.text


@pytest.fixture
def finish(client: MlflowClient) -> Callable[[str], None]:
    return lambda parent: client.set_terminated(parent, "FINISHED")


def test_the_arms_are_tested_on_a_test_set_that_is_opened_once_for_all(
    client: MlflowClient, write_search: Write, finish: Callable[[str], None]
) -> None:
    finish(parent := write_tuned(write_search))
    text = section(client)
    hits = [
        np.stack([outputs(r + STEP[name] * s, 3 * arm + s).argmax(1) == TARGETS for s in range(3)])
        for arm, (name, r) in enumerate(RIGHT.items())
    ]
    pairs = [compare_over_seeds(hits[b], hits[a]) for a, b in ((0, 1), (0, 2), (1, 2))]
    p_values = adjust_p_values([pair.p for pair in pairs])
    assert [p < 0.05 for p in p_values] == [True, True, False]
    assert "**2 of 3 pairs of rows differ significantly**" in text
    assert "That is by their seeds alone" in text
    table = [[c.strip() for c in line.split("|")] for line in text.splitlines() if "|" in line]
    rows = {row[1]: row for row in table[2:5]}
    assert list(rows) == ["lion", "adam", "sgd"]
    letters = {name: row[7] for name, row in rows.items()}
    assert letters["lion"] == letters["adam"] != letters["sgd"]
    assert rows["adam"][2:5] == ["3", "7", "3"]
    found = accuracy_over_seeds(hits[1], others=[hits[0], hits[2]])
    assert rows["adam"][6] == format_interval(found, "test_accuracy")
    assert rows["adam"][6] != format_interval(accuracy_over_seeds(hits[1]), "test_accuracy")
    assert rows["adam"][8:10] == ["501", "1 min 00 s"]
    (opening,) = list_openings(client, parent)
    assert (opening["arms"], opening["runs"]) == ([6, 7, 8], list(range(9)))
    assert section(client) == text
    assert len(list_openings(client, parent)) == 1, "what is on record is not opened again"
    openings = read_openings(client, read_search(client, "digits"))
    assert "9 re-runs of the best trials of 3 arms" in describe_openings(openings)


def test_an_unfinished_search_opens_nothing_and_judges_nothing(
    client: MlflowClient, write_search: Write
) -> None:
    parent = write_tuned(write_search)  # its run is still running
    text = section(client)
    assert "No arms are tested against each other: the search is unfinished" in text
    assert "differ" not in text
    assert not list_openings(client, parent)


def test_an_arm_whose_re_run_was_lost_is_not_compared(
    client: MlflowClient, write_search: Write, finish: Callable[[str], None]
) -> None:
    finish(write_tuned(write_search, lost=True))
    text = section(client)
    assert "**Not compared: lion**" in text
    assert "2 of 3" in text
    assert "**adam and sgd differ significantly**" in text


def test_without_test_predictions_the_verdict_is_on_validation() -> None:
    search = make_tuned(
        {"sgd": [0.8, 0.9], "adam": [0.7, 0.85]},
        {2: [0.9, 0.91, 0.905, 0.9], 3: [0.8, 0.81, 0.805, 0.8]},
    )
    found = tuned.write_section(search, Silent(None, search))  # type: ignore[arg-type]
    assert found is not None
    assert "**sgd and adam differ significantly on these validation examples**" in found.text
    assert "on the examples by which their configurations were chosen" in found.text


class Silent(OpenedTest):
    """A test set without predictions."""

    def open_predictions(self, runs: Any, entry: Any) -> None:
        return None


def test_arms_without_re_runs_are_not_compared_by_search_scores() -> None:
    search = make_tuned({"sgd": [0.8, 0.9], "adam": [0.7, 0.85]}, {})
    found = tuned.write_section(search, Silent(None, search))  # type: ignore[arg-type]
    assert found is not None
    assert "have not run on new seeds yet" in found.text
    assert "re-runs of the arms are missing" in found.text
    assert not found.figures


def test_arms_differ_where_they_do_over_seeds_and_over_examples() -> None:
    random, n = np.random.default_rng(3), 400
    easy = random.normal(1.5, 1, n)
    opened = {
        (name,): easy + random.normal(skill, 0.6, n) + random.normal(0, 0.05, (4, n)) > 0
        for name, skill in (("sgd", 0.0), ("adam", 0.25))
    }
    search = make_tuned(
        {"sgd": [0.8], "adam": [0.7], "lion": [0.7]}, {0: [0.8], 1: [0.7], 2: [0.7]}
    )
    groups = [arm.group for arm in find_arms(search)]

    def find(right: list[np.ndarray]) -> tuple[list[float], list[float], list[float]]:
        """Return p-values of the arms, and those over seeds and over seeds and examples."""
        ours = [pair.p for pair in tuned.compare_arms(search, groups[: len(right)], opened)]
        means = compare_means([r.mean(axis=1).tolist() for r in right], 1 / n)
        alone = [compare_over_seeds(a, b).p for a, b in combinations(right, 2)]
        return ours, [c.p for c in means], adjust_p_values(alone)

    # The runs of an arm agree, but on examples that others would replace.
    (p,), (by_seeds,), (crossed,) = find(list(opened.values()))
    assert by_seeds < 0.05 < crossed == p
    # Beside an arm whose seeds differ much, that these agree is chance.
    shares = np.array([[0.6], [0.95], [0.7], [0.9]])
    opened["lion",] = random.random((4, n)) < shares
    found, seeds, examples = find(list(opened.values()))
    assert found == [max(pair) for pair in zip(seeds, examples, strict=True)]
    assert any(a > b for a, b in zip(seeds, examples, strict=True))


@pytest.mark.parametrize(
    ("arms", "seeds", "lead"), [(2, 3, 0.0), (3, 3, 0.0), (3, 3, 9.0), (2, 2, 0.0)]
)
def test_the_sentences_on_arms_say_what_their_tests_find(
    arms: int, seeds: int, lead: float
) -> None:
    # The sentences of every report are checked against its tests inside.
    setting = Setting(trials=3, seeds=seeds, lead=lead, luck=0.1, skill=0.0, test=360)
    found = run_searches(setting, arms, 3)
    assert found.leader == (3 if lead else 0)


def test_the_interval_of_an_arm_with_few_and_lucky_seeds_has_the_spread_of_all_arms() -> None:
    # By the spread of its own three seeds alone it covers 92 %.
    found = measure_arm_coverage(Setting(seeds=3, luck=0.4), 2, 400)
    assert found.value >= 0.93 - 2 * found.get_error(0.93)
