"""Confirmation with new seeds: the winner, its significance and its test accuracy."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from scipy.stats import t

from reports.assemble import format_winner
from reports.chapters.confirmation import chapter
from reports.contents import collect_findings, write_report
from reports.numbers.seeds import compare_selected
from reports.read.holdout_log import describe_openings, has_winner_changed
from reports.read.opened_test import open_test
from reports.read.records import read_search
from reports.read.winner import choose_winner
from reports.records import Search
from tests.benchmarks.calibration.runs import Setting
from tests.benchmarks.calibration.winners import run_searches
from tests.support.make_search import TARGETS, list_openings, outputs, rerun

Trials = list[dict[str, Any]]
Write = Callable[..., str]


@pytest.fixture
def reruns() -> Trials:
    """Trial 5 holds what it promised, trial 3, the best of the search, does not; 2 is between."""
    scores = {3: (0.930, 0.940, 0.935), 5: (0.952, 0.949, 0.948), 2: (0.941, 0.940, 0.942)}
    scores[0] = (0.91, 0.92, 0.93)
    right = {3: 370, 5: 390, 2: 372, 0: 350}
    found = []
    for of, values in scores.items():
        for value in values:
            found.append(rerun(len(found), of, value, right[of] + len(found) % 3))
    return found


def section(client: MlflowClient, search: Search, again: bool = False) -> str | None:
    """Write the chapter with the test set opened for what is compared."""
    return chapter.write_section(search, open_test(client, search, choose_winner(search), again))


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_best_mean_over_new_seeds_wins(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    write_search([*some_trials, *reruns])
    search = read_search(client, "digits")
    assert len(search.trials) == 12
    assert [run.of for run in search.reruns[:4]] == [3, 3, 3, 5]
    choice = choose_winner(search)
    assert choice is not None
    assert choice.is_confirmed
    assert [trial.number for trial in choice.candidates[:3]] == [5, 3, 2]
    text = section(client, search)
    assert text is not None
    assert "4 configurations were re-run with new seeds at the full budget, 12 runs" in text
    assert "The winner is trial 5" in text
    assert "trial 3, does not have the best mean over new seeds: its search score is +3.50" in text


def test_every_number_of_the_table(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    write_search([*some_trials, *reruns])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    cells = row(text, "5 (winner)")
    half = t.ppf(0.975, 2) * np.std([95.2, 94.9, 94.8], ddof=1) / 3**0.5
    mean = np.mean([95.2, 94.9, 94.8])
    assert cells[1:4] == [
        "3",
        "95.00 %",
        f"{mean:.2f} % ({mean - half:.2f} to {mean + half:.2f} %)",
    ]
    assert cells[4] == "+0.03 points"  # 95 in the search, 94.97 again
    assert cells[5].startswith("97.75 % (")  # 390, 391, 392 of 400
    assert cells[6] == "-2.75 points"  # 95 in the search, 97.75 with new seeds and examples
    assert cells[7] == "1.00 (1.00 to 1.00)"  # by more than ten standard errors
    assert row(text, "2 (runner-up)")[5].startswith("93.25 %")
    assert row(text, "0 (default)")[5].startswith("87.75 % (")
    assert row(text, "0 (default)")[6:] == ["+5.25 points", ""]
    assert row(text, "3")[5:] == ["", "", ""]  # neither winner, runner-up nor default: not opened


def test_winner_runner_up_and_default_are_compared_and_corrected(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    write_search([*some_trials, *reruns])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    right = {
        of: np.stack([r["outputs"]["test"].argmax(1) == TARGETS for r in reruns if r["of"] == of])
        for of in (5, 2, 0)
    }
    # Four were confirmed, of which three could have been better than the default by chance.
    found = {of: compare_selected(right[5], right[of], of=3) for of in (2, 0)}
    low, high = found[2].interval.low * 100, found[2].interval.high * 100
    assert found[2].p < 0.001
    assert (
        f"- against trial 2, the runner-up: +4.50 points (95 % interval +{low:.2f} to "
        f"+{high:.2f}), p < 0.001. **Statistically significant.**" in text
    )
    assert text.index("against trial 0, the default: +10.00 points") < text.index(
        "against trial 2"
    )
    assert "over new seeds and new examples" in text


def test_openings_are_recorded_once_and_only_for_selected_ones(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    parent = write_search([*some_trials, *reruns])
    search = read_search(client, "digits")
    section(client, search)
    section(client, search)
    (recorded,) = list_openings(client, parent)  # once, for what is compared
    assert (recorded["reruns_of"], recorded["n"]) == ([5, 2, 0], 400)
    assert recorded["runs"] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    text = section(client, search, again=True)
    assert text is not None
    assert row(text, "3")[5] != ""
    opened = list_openings(client, parent)
    assert [o.get("again", False) for o in opened] == [False, True]
    assert not has_winner_changed(opened)
    said = describe_openings(opened)
    assert "was opened twice: for 9 re-runs of trial 5, trial 2 and trial 0 at 20" in said
    assert "for 3 re-runs of trial 3 at 20" in said
    assert "Of these, 1 by `--open-test-again`." in said
    text = section(client, search)
    assert text is not None
    assert "| 5 (winner) | 3 |" in text
    assert len(list_openings(client, parent)) == 2


def test_without_test_predictions_there_is_no_verdict(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    parent = write_search([*some_trials, *({**r, "outputs": {}} for r in reruns)])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "**No verdict**" in text
    assert "- against trial 2, the runner-up: +0.87 points on validation\n" in text
    assert "ignificant" not in text
    assert "p = " not in text
    assert "P(better" not in text
    assert "mean test accuracy" not in text
    assert list_openings(client, parent) == []


def test_a_lower_loss_is_better(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    again = [rerun(i, of, s) for i, (of, s) in enumerate([(1, 0.5), (1, 0.6), (2, 0.9), (2, 0.8)])]
    for trial, score in zip(some_trials, (0.9, 0.5, 0.4), strict=False):
        trial["score"] = score
    write_search([*some_trials[:3], *again], {"metric": "validation_loss", "mode": "min"})
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "The winner is trial 1" in text
    assert row(text, "1 (winner)")[4] == "+0.05"  # 0.5 in the search, 0.55 in the re-runs
    assert row(text, "2 (runner-up)")[4] == "+0.45"
    assert "with the opposite sign" in text
    assert "The default configuration (trial 0) was not re-run." in text
    assert "**No verdict**" in text


def test_missing_re_runs_are_reported(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    again = [
        rerun(0, 3, 0.95),
        rerun(1, 3, 0.96),
        rerun(2, 5, 0.99),
        rerun(3, 5, 0.99, outcome="diverged"),
        rerun(4, 0, 0.9, outcome=""),
        rerun(5, 3, 0.96, params={"seed": 1001}),  # the seed of number 1 once more
    ]
    write_search([*some_trials, *again])
    search = read_search(client, "digits")
    text = section(client, search)
    assert text is not None
    assert "1 diverged and 1 unfinished (trial 0 and trial 5)" in text
    assert "**Fewer than 2 seeds** for trial 0 and trial 5" in text
    assert row(text, "3 (winner)")[1] == "2"
    assert row(text, "5")[1] == "2"  # the diverged one with the worst score of the search
    worst = min(trial.metrics["score"] for trial in search.trials if "score" in trial.metrics)
    assert row(text, "5")[3] == f"{(99 + 100 * worst) / 2:.2f} %"
    assert "no second configuration" in text


def test_one_seed_each_decides_nothing(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    write_search([*some_trials, rerun(0, 5, 0.99), rerun(1, 0, 0.9)])
    search = read_search(client, "digits")
    choice = choose_winner(search)
    assert choice is not None
    assert choice.winner.number == 3
    text = section(client, search)
    assert text is not None
    assert "**No configuration has 2 complete re-runs yet**" in text
    assert "Fewer than 2 seeds" in text


def test_failed_re_runs_and_none_at_all(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    write_search([*some_trials, {"number": 0, "of": 3, "outcome": "failed"}])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "1 failed (trial 3)" in text
    assert "1 configuration was re-run" in text
    write_search(some_trials)
    assert section(client, read_search(client, "digits")) is None


def test_a_stopped_default_wins_by_its_re_runs(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    some_trials[0] |= {"outcome": "stopped", "score": 0.5}
    known = {"validation": np.eye(4)[np.arange(300) % 4], "test": outputs(390, 1)}
    again = [rerun(0, 0, 0.97, 380), rerun(1, 0, 0.98, outputs=known), rerun(2, 0, 0.96, 370)]
    again += [rerun(3, 3, 0.93, 360), rerun(4, 3, 0.94, 361), rerun(5, 0, 0.99, outcome="")]
    parent = write_search([*some_trials, *again])
    search = read_search(client, "digits")
    found = collect_findings(client, search)
    assert found.choice is not None
    assert (found.choice.winner.number, found.choice.model.of) == (0, 0)
    assert found.choice.model.number == 1  # the best complete re-run on validation
    # 380, 390 and 370 of 400, and not the 390 of the exported model.
    assert "95.00 % (mean of 3 of 4 re-runs, 95 % interval over seeds" in format_winner(found)
    (recorded,) = list_openings(client, parent)
    assert recorded["reruns_of"] == [0, 3]
    text = write_report(client, found).text
    assert "97.00 % in 3 of 4 re-runs on 300 validation examples. Its model is the re-run" in text
    assert "| this search, re-runs of trial 0 | test accuracy | 95.00 %" in text
    assert "**The winner is the default configuration (trial 0)**" in text
    assert "The winner, re-run 1 of trial 0, on 300 validation examples and on test." in text
    confirmed = text[text.index("## Confirmation") :]
    cells = row(confirmed, "0 (winner, default)")
    assert cells[2] == "50.00 %"
    assert cells[4] == ""  # its search score is at a smaller budget
    assert "It is empty for trial 0, which was stopped" in text
    assert (
        "does not have the best mean over new seeds" in text
    )  # trial 3, the best of those with a full search score


def test_the_model_of_a_confirmed_winner_is_its_best_re_run(
    client: MlflowClient, write_search: Write, some_trials: Trials, reruns: Trials
) -> None:
    write_search([*some_trials, *reruns])
    choice = choose_winner(read_search(client, "digits"))
    assert choice is not None
    assert (choice.winner.number, choice.model.of) == (5, 5)
    assert choice.model.metrics["score"] == 0.952


def test_an_unstable_configuration_does_not_win_by_its_lucky_seeds(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    again = [rerun(0, 3, 0.99, 395), rerun(1, 3, 0.99, 396)]
    again += [rerun(i, 3, 0.0, outcome="diverged") for i in (2, 3, 4)]
    again += [rerun(5 + i, 5, 0.94 + i / 1000, 380 + i) for i in range(5)]
    write_search([*some_trials, *again])
    search = read_search(client, "digits")
    choice = choose_winner(search)
    assert choice is not None
    assert choice.winner.number == 5
    text = section(client, search)
    assert text is not None
    assert "counts as the worst score of the search" in text
    assert row(text, "3 (runner-up)")[1] == "5"
    assert "(" not in row(text, "3 (runner-up)")[3]  # no interval
    assert "on validation" in text  # two survivors on test would be compared with five runs


def test_searches_of_equal_configurations_do_not_beat_the_default() -> None:
    # The sentences of every report are checked against its test inside.
    equal = Setting(best=3, seeds=3, trials=10)
    found = run_searches(equal, 15)
    assert found.searches == 15
    assert found.beats <= 3  # more than that has a probability below 1 % at a level of 5 %
    better = run_searches(replace(equal, trials=3, luck=0.0, lead=8.0, skill=1.0), 5)
    assert better.best_beats == 5
