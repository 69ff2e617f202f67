"""The sealed test set: what may be opened, and that every opening is on record."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient

from cluster.tracking.names import to_own_name
from reports.contents import collect_findings, write_report
from reports.numbers.seeds import pool_seed_variance
from reports.read.holdout_log import add_opening
from reports.read.opened_test import OpenedTest, seal_test
from reports.read.records import read_search
from tests.support.make_search import list_openings, make_trial, outputs, rerun

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]


def test_an_opening_closes_the_test_set_for_others(
    client: MlflowClient, write_search: Write
) -> None:
    write_search([])
    search = read_search(client, "digits")
    three, five = make_trial(3), make_trial(5)
    add_opening(client, search, {"ensemble": "by hand", "members": {"1": 0.5, "2": 0.5}})
    assert seal_test(client, search, three) == OpenedTest(
        client, search, three
    )  # no report has chosen it
    add_opening(client, search, {"trial": 3})
    same, other = (seal_test(client, search, t) for t in (three, five))
    assert same.is_closed({"trial": 5})
    assert not same.is_closed({"ensemble": "greedy"})
    assert not same.is_closed({"reruns_of": 3})
    assert other.is_closed({"trial": 5})
    assert other.is_closed({"ensemble": "greedy"})  # nothing is opened where the winner is closed
    again = seal_test(client, search, five, again=True)
    assert not again.is_closed({"trial": 5})
    assert again.mark({"trial": 5}) == {"trial": 5, "again": True}
    first = OpenedTest(client, search, again=True)  # the first opening is not one too many
    assert first.mark({"trial": 5}) == {"trial": 5}


def test_a_later_confirmation_with_another_winner_needs_the_option(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    again = [rerun(0, 5, 0.96, 391), rerun(1, 5, 0.95, 390)]
    again += [rerun(2, 3, 0.90, 370), rerun(3, 3, 0.91, 371)]
    first = '{"trial": 3, "n": 400, "correct": 377, "time": "2026-01-02T03:04:05+00:00"}'
    parent = write_search([*some_trials, *again], {"test_opening.1": first})
    search = read_search(client, "digits")
    text = write_report(client, collect_findings(client, search)).text
    assert "opened before for trial 3 on 2026-01-02; `--open-test-again`" in text
    assert (
        "**The test set is not opened for these re-runs**: the test set was opened before" in text
    )
    assert "mean test accuracy" not in text
    assert "| 5 (winner) | 2 | 95.00 % | 95.50 %" in text
    assert "**No verdict**" in text
    assert "against trial 3, the runner-up: +5.00 points on validation" in text
    assert "p = " not in text[text.index("## Confirmation") : text.index("## Winner and default")]
    assert len(list_openings(client, parent)) == 1
    text = write_report(client, collect_findings(client, search, again=True)).text
    assert "mean test accuracy" in text
    recorded = list_openings(client, parent)
    assert [o.get("again", False) for o in recorded] == [False, True]


def test_a_later_confirmation_with_the_same_winner_opens_its_reruns_once(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    again = [rerun(0, 3, 0.96, 391), rerun(1, 3, 0.95, 390)]
    first = '{"trial": 3, "n": 400, "correct": 377}'
    parent = write_search([*some_trials, *again], {"test_opening.1": first})
    search = read_search(client, "digits")
    assert "mean test accuracy" in write_report(client, collect_findings(client, search)).text
    recorded = {
        f"test_opening.{n}": json.dumps(o) for n, o in enumerate(list_openings(client, parent))
    }
    parent = write_search([*some_trials, *again, rerun(2, 3, 0.97, 392)], recorded)
    text = write_report(client, collect_findings(client, read_search(client, "digits"))).text
    assert "**The test set is not opened for these re-runs**: the test set was opened" in text
    assert "before for the re-runs of trial 3 on" in text
    assert len(list_openings(client, parent)) == len(recorded)


def test_re_runs_that_are_open_know_how_much_seeds_vary_on_validation(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    write_search([*some_trials, rerun(0, 3, 0.96, 391), rerun(1, 3, 0.5, 200)])
    found = collect_findings(client, read_search(client, "digits"))
    assert found.test.seed_variance == pool_seed_variance([[0.96, 0.5]], found.sizes["validation"])
    assert found.test.seed_variance.value > 0.1


def test_how_much_seeds_vary_is_known_of_a_search_by_its_loss(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    runs = []
    for number, right in enumerate((391, 200)):
        split = {"test": outputs(right, number), "validation": outputs(right, number)[:300]}
        runs.append(rerun(number, 3, 0.1 * number + 0.1, outputs=split))
    loss = {"metric": "validation_loss", "mode": "min"}
    write_search([*some_trials, *runs], loss)
    found = collect_findings(client, read_search(client, "digits"))
    targets = np.arange(300) % 4
    right = [[(r["outputs"]["validation"].argmax(1) == targets).mean() for r in runs]]
    assert found.test.seed_variance == pool_seed_variance(right, 300)
    assert found.test.seed_variance.value > 0.05


def test_the_test_set_is_opened_once_per_winner(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    parent = write_search(some_trials)
    assert "was opened once: for trial 3" in read_report()
    opening = list_openings(client, parent)
    assert [{k: v for k, v in o.items() if k != "time"} for o in opening] == [
        {"trial": 3, "accuracy": 0.9425, "n": 400, "correct": 377}
    ]
    assert "was opened once: for trial 3" in read_report()
    assert list_openings(client, parent) == opening


def test_a_recorded_opening_is_used_and_a_new_winner_needs_the_option(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    recorded = {"time": "2026-01-02T03:04:05+00:00", "trial": 3, "accuracy": 0.9, "n": 400}
    tags = {"test_opening.2026-x": json.dumps({**recorded, "correct": 360})}
    parent = write_search(some_trials, tags)
    assert "winner test accuracy: 90.00 %" in read_report()
    run = next(r for r in client.search_runs(["1"]) if r.info.run_name == "digits-005")
    client.log_metric(run.info.run_id, to_own_name("score"), 0.985, step=0)  # the search went on
    text = read_report("digits", "--ensemble")
    assert "The winner is trial 5" in text
    assert "winner test accuracy" not in text
    assert (
        "was opened before for trial 3 on 2026-01-02; `--open-test-again` opens it for trial 5, "
        "and that is counted" in text
    )
    assert "| 5 (winner) | 98.50 %" in text  # validation results stand
    assert len(list_openings(client, parent)) == 1
    text = read_report("digits", "--open-test-again")
    assert "winner test accuracy: 93.75 %" in text
    assert "was opened twice: for trial 3 at 2026-01-02" in text
    assert "Of these, 1 by `--open-test-again`." in text
    assert "The winner changed in between" in text
    assert len(list_openings(client, parent)) == 2
