"""The compared hyperparameters: best trials per value, and tests against the best one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from scipy.stats import ttest_ind

from reports.chapters.comparison.chapter import write_section
from reports.numbers.paired import adjust_p_values
from reports.numbers.statistics import mean_interval
from reports.read.records import read_search

Write = Callable[..., str]
N = 300  # validation examples of the fixture, whose targets are 0, 1, 2, 3, 0, ...


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def wrong_at(places: range) -> np.ndarray:
    """Probabilities (N, 4) that are wrong at these examples."""
    guesses = np.arange(N) % 4
    guesses[list(places)] = (guesses[list(places)] + 1) % 4
    return np.eye(4)[guesses] * 0.8 + 0.05


def make_run(number: int, kind: str, score: float, **about: Any) -> dict[str, Any]:
    params = {"optimizer": kind, "width": 32 + number, "seed": 0, **about.pop("params", {})}
    return {"number": number, "outcome": "complete", "score": score, "params": params, **about}


def write_comparison(client: MlflowClient, **tags: str) -> str:
    found = write_section(client, read_search(client, "digits"), N)
    assert found is not None
    assert list(found.figures) == ["comparison"]
    return found.text


def test_rows_of_several_trials_are_not_tested_against_each_other(
    client: MlflowClient, write_search: Write
) -> None:
    """The best of 38 against the best of 2 would differ in 43 % of searches, though equal."""
    write_search(
        [
            make_run(0, "sgd", 0.80),
            make_run(1, "sgd", 0.97, outputs={"validation": wrong_at(range(9))}),
            make_run(2, "adamw", 0.80, outputs={"validation": wrong_at(range(60))}),
            make_run(3, "adamw", 0.99, outcome="stopped"),
            make_run(4, "never", 0.0, outcome="failed"),
        ]
    )
    text = write_comparison(client)
    assert rows(text) == [
        ["sgd", "2", "2", "1", "97.00 %", "best"],
        ["adamw", "2", "1", "2", "80.00 %", "not tested"],
        ["never", "1", "0", "", "", ""],
    ]
    assert "**The rows are not tested against each other**: they have had 1 to 2 trials" in text
    assert "`--compare optimizer --tune-arms N`" in text


def test_single_trials_of_other_hyperparameters_are_not_tested(
    client: MlflowClient, write_search: Write
) -> None:
    write_search(
        [
            make_run(0, "sgd", 0.97, outputs={"validation": wrong_at(range(9))}),
            make_run(1, "lion", 0.80, outputs={"validation": wrong_at(range(60))}),
        ]
    )
    text = write_comparison(client)
    assert [row[-1] for row in rows(text)] == ["best", "not tested"]
    assert "they have had 1 trial each, of different hyperparameters" in text


def test_single_trials_that_differ_in_nothing_else_are_compared_on_the_same_examples(
    client: MlflowClient, write_search: Write
) -> None:
    same = {"params": {"width": 32}}
    write_search(
        [
            make_run(0, "sgd", 0.97, **same, outputs={"validation": wrong_at(range(9))}),
            make_run(1, "adamw", 0.96, **same, outputs={"validation": wrong_at(range(12))}),
            make_run(2, "lion", 0.80, **same, outputs={"validation": wrong_at(range(60))}),
            make_run(3, "rms", 0.95, **same, outputs={"validation": wrong_at(range(14))}),
            make_run(4, "nadam", 0.95, **same, outputs={"validation": wrong_at(range(14))}),
        ]
    )
    text = write_comparison(client)
    # Five examples are a mid-p of 0.031 alone, and no significant difference of ten pairs.
    assert rows(text) == [
        ["sgd", "1", "0", "97.00 %", "best"],
        ["adamw", "1", "1", "96.00 %", "no significant difference"],
        ["rms", "1", "3", "95.00 %", "no significant difference"],
        ["nadam", "1", "4", "95.00 %", "no significant difference"],
        ["lion", "1", "2", "80.00 %", "a significantly worse model"],
    ]
    assert "McNemar, mid-p, Holm-corrected for 10 pairs" in text
    assert "pairs of models differ significantly" in text
    assert "about these trained models, and not about the settings" in text


def test_settings_repeated_over_seeds_are_compared_by_their_means(
    client: MlflowClient, write_search: Write
) -> None:
    scores = {
        "sgd": [0.95, 0.96, 0.94, 0.954],
        "adamw": [0.99, 0.93, 0.92, 0.94],  # the best single score, not the best mean
        "lion": [0.80, 0.81, 0.805, 0.79],
    }
    runs = [(kind, seed, s) for kind, found in scores.items() for seed, s in enumerate(found)]
    write_search([make_run(i, k, s, params={"seed": seed}) for i, (k, seed, s) in enumerate(runs)])
    text = write_comparison(client)
    found = rows(text)
    assert [row[0] for row in found] == ["sgd", "adamw", "lion"]
    expected = mean_interval(scores["sgd"])
    low, high = f"{expected.low * 100:.2f}", f"{expected.high * 100:.2f}"
    assert found[0][4] == f"95.10 % ({low} to {high} %)"
    assert "trial 4 with 99.00 %, belongs to adamw, not to the row with the best mean" in text
    p_values = adjust_p_values(
        [ttest_ind(scores["sgd"], scores[k], equal_var=False).pvalue for k in ("adamw", "lion")]
    )
    assert [p >= 0.05 for p in p_values] == [True, False]
    verdicts = [row[-1] for row in found]
    assert verdicts == ["best", "no significant difference", "significantly worse"]


def test_rows_of_an_unfinished_search_are_not_compared(
    client: MlflowClient, write_search: Write
) -> None:
    scores = {"sgd": [0.95, 0.96, 0.94, 0.954], "lion": [0.80, 0.81, 0.805, 0.79]}
    runs = [(kind, seed, s) for kind, found in scores.items() for seed, s in enumerate(found)]
    trials = [make_run(i, k, s, params={"seed": seed}) for i, (k, seed, s) in enumerate(runs)]
    write_search(trials, {"trials": "12", "finished": "no"})
    text = write_comparison(client)
    assert "The rows are not compared: 8 of 12 trials have ended" in text
    assert [row[-1] for row in rows(text)] == ["best", "not tested"]


def test_trials_added_by_the_sampler_are_in_no_row(
    client: MlflowClient, write_search: Write
) -> None:
    runs = [("sgd", 0, 0.90), ("lion", 0, 0.80), ("sgd", 1, 0.92), ("lion", 1, 0.82)]
    more = [("sgd", 0, 0.10), ("adamw", 0, 0.99)]
    trials = [make_run(i, k, s, params={"seed": n}) for i, (k, n, s) in enumerate([*runs, *more])]
    write_search(trials, {"enqueued": "4"})
    text = write_comparison(client)
    assert [row[0] for row in rows(text)] == ["sgd", "lion"]
    assert rows(text)[0][4].startswith("91.00 % (")
    assert "2 further trials, added by the sampler, are in no row" in text
    assert "The sampler also varied `width` between the runs of a row" in text


def test_a_setting_with_a_failed_seed_keeps_the_others_as_means(
    client: MlflowClient, write_search: Write
) -> None:
    runs = [("sgd", 0, 0.90), ("lion", 0, 0.80), ("sgd", 1, 0.92), ("lion", 1, 0.82)]
    trials = [make_run(i, k, s, params={"seed": n}) for i, (k, n, s) in enumerate(runs)]
    trials[3]["outcome"] = "failed"
    write_search(trials, {"enqueued": "4"})
    found = rows(write_comparison(client))
    assert [row[5] for row in found] == ["91.00 % (78.29 to 100.00 %)", "80.00 %"]
    assert [row[-1] for row in found] == ["best", "not tested"]


def test_without_predictions_or_seeds_nothing_is_tested(
    client: MlflowClient, write_search: Write, some_trials: list[dict[str, Any]]
) -> None:
    write_search(some_trials)
    text = write_comparison(client)
    assert "The rows are not tested against each other" in text
    assert [row[-1] for row in rows(text)] == ["best", "not tested"]


@pytest.mark.parametrize("compare", ['["absent"]', "[]", '["batch_size"]'])
def test_nothing_to_compare(
    compare: str, client: MlflowClient, write_search: Write, some_trials: list[dict[str, Any]]
) -> None:
    write_search(some_trials, {"compare": compare})
    assert write_section(client, read_search(client, "digits")) is None
