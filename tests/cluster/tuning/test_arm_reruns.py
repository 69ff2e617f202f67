"""A search that tunes its arms, from the command line to the re-runs of the best of each."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.execution import inline
from cluster.ledger.ledger import Ledger
from cluster.tuning.arm_reruns import find_best_of_arms
from tests.support.paths import TRIVIAL
from tests.support.searches import describe_trials, read_ledger, read_runs

WORDS = ("--space", TRIVIAL, "--compare", "momentum", "--tune-arms", "4", "--reports", "9")
WORDS += ("--seeds", "2")
Tune = Callable[..., tuple[int, str]]


def read(runs: Path) -> tuple[Ledger, Ledger]:
    folder = runs / "trivial"
    return read_ledger(folder), read_ledger(folder / "confirm")


def describe(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the trials; an interruption between two reports takes another attempt."""
    return [{**trial, "attempts": 0} for trial in describe_trials(ledger)]


def test_every_arm_is_tuned_and_its_best_runs_on_new_seeds(tune_inline: Tune, runs: Path) -> None:
    code, output = tune_inline(*WORDS)
    assert code == 0, output
    search, reruns = read(runs)
    assert Counter(log.tags["arm"] for log in search.trial_logs.values()) == {"0": 4, "1": 4}
    best = find_best_of_arms(search)
    for arm, trial_log in best.items():
        own = [log for log in search.trial_logs.values() if log.tags["arm"] == str(arm)]
        assert trial_log is search.rank_trials(own)[0]
    again = [(int(log.tags["of"]), log.config["seed"]) for log in reruns.trial_logs.values()]
    assert again == [(log.trial, seed) for seed in (1001, 1002) for log in best.values()]
    assert {log.outcome for log in reruns.trial_logs.values()} == {"complete"}
    assert {log.done for log in reruns.trial_logs.values()} == {9}
    assert "loss of the best configuration of each arm, on new seeds" in output
    client, (parent,), _ = read_runs(runs, "trivial")
    assert (parent.data.tags["trials"], parent.info.status) == ("8", "FINISHED")
    assert parent.data.tags["arms"] == '[{"momentum": false}, {"momentum": true}]'
    assert parent.data.tags["compare"] == '["momentum"]'
    assert client.get_experiment(parent.info.experiment_id).name == "trivial"


@pytest.mark.parametrize(
    "reports",
    [pytest.param(1, marks=pytest.mark.slow), 13, pytest.param(40, marks=pytest.mark.slow)],
)
def test_an_interrupted_search_ends_with_the_same_numbers(
    tune_inline: Tune, runs: Path, monkeypatch: pytest.MonkeyPatch, reports: int
) -> None:
    """Interrupted in the first trial, in the search, and in the re-runs."""
    assert tune_inline(*WORDS)[0] == 0
    alone = [describe(ledger) for ledger in read(runs)]
    made, total = 0, sum(len(trial["reports"]) for trials in alone for trial in trials)
    assert sum(len(trial["reports"]) for trial in alone[0]) < 40 < total
    whole = inline._make_report

    def interrupt(queue: Any, slot: Any, interruption: Any) -> None:
        nonlocal made
        whole(queue, slot, interruption)
        made += 1
        interruption.interrupted = made == reports

    monkeypatch.setattr(inline, "_make_report", interrupt)
    fresh = (*WORDS, "--fresh")
    assert tune_inline(*fresh)[0] == 130
    assert tune_inline(*WORDS, "--resume")[0] == 0
    folder = runs / "trivial-2"
    again = [describe(read_ledger(path)) for path in (folder, folder / "confirm")]
    assert again == alone
    assert tune_inline("--space", TRIVIAL, "--resume")[0] == 0, "nothing is left to do"
    assert made == total


def test_more_trials_per_arm_extend_the_search(tune_inline: Tune, runs: Path) -> None:
    assert tune_inline(*WORDS)[0] == 0
    more = [word if word != "4" else "6" for word in WORDS]
    assert tune_inline(*more, "--resume")[0] == 0
    search, reruns = read(runs)
    assert Counter(log.tags["arm"] for log in search.trial_logs.values()) == {"0": 6, "1": 6}
    of = {int(log.tags["of"]) for log in reruns.trial_logs.values()}
    assert {log.trial for log in find_best_of_arms(search).values()} <= of


def test_an_arm_without_a_complete_trial_is_not_run_again(tune_inline: Tune, runs: Path) -> None:
    words = [*WORDS]
    words[3] = "behave=well,nan"
    code, output = tune_inline(*words)
    assert code == 0, output
    search, reruns = read(runs)
    assert list(find_best_of_arms(search)) == [0]
    assert {
        search.trial_logs[int(log.tags["of"])].config["behave"]
        for log in reruns.trial_logs.values()
    } == {"well"}
    assert "none complete" in output
