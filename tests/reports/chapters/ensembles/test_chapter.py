"""Ensembles of stored predictions: the chapter of a report, and the command for chosen members."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient
from scipy.special import softmax

from reports.__main__ import main
from reports.chapters.ensembles import chapter
from reports.chapters.ensembles.evaluation import score_ensemble
from reports.numbers.calibration import apply_temperature, fit_temperature, nll
from reports.numbers.paired import compare_correct
from reports.read.ensemble_members import build_library
from reports.read.opened_test import OpenedTest
from reports.read.predictions import Examples, Predictions
from reports.read.records import read_search
from reports.read.winner import choose_winner
from reports.records import Search, TrialRecord
from tests.benchmarks.calibration.ensembles import draw_library
from tests.support.make_search import list_openings

Trials = list[dict[str, Any]]
Write = Callable[..., str]

N = {"validation": 300, "test": 400}


def targets(split: str) -> np.ndarray:
    return np.arange(N[split]) % 4


def probabilities(split: str, model: int, skill: float = 1.6) -> np.ndarray:
    random = np.random.default_rng([model, N[split]])
    logits = random.normal(0, 1, (N[split], 4))
    logits[np.arange(N[split]), targets(split)] += skill
    return softmax(2 * logits, axis=1).astype(np.float32)


def section(client: MlflowClient, search: Search, again: bool = False) -> str | None:
    """Write the chapter; the test set is opened for the winner before, as by a report."""
    choice = choose_winner(search)
    test = OpenedTest(client, search, choice.model if choice else None, again=again)
    return chapter.write_section(client, search, test.open_accuracy() if choice else test)


def trial(number: int, score: float, **more: Any) -> dict[str, Any]:
    outputs = {split: probabilities(split, number) for split in N}
    base = {"number": number, "outcome": "complete", "score": score, "parameters": 1000.0}
    return {**base, "outputs": outputs, **more}


@pytest.fixture
def trials() -> Trials:
    """Six equally skilled models that err in different places: an ensemble must gain."""
    return [
        trial(n, float(np.mean(probabilities("validation", n).argmax(1) == targets("validation"))))
        for n in range(6)
    ]


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_chapter_of_a_report(
    client: MlflowClient, write_search: Write, trials: Trials
) -> None:
    parent = write_search(trials)
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "Ensembles of 6 trials with stored predictions of 300 validation examples." in text
    assert chapter.UNCORRECTED not in text
    picked = re.search(r'Selected on validation: "(.*?)"\.$', text, re.MULTILINE)
    assert picked
    for name in ("uniform top-k", "greedy by likelihood", "greedy by accuracy", "calibrated top"):
        cells = row(text, name)
        listed = re.search(rf"^- {name}.*?: (.*)$", text, re.MULTILINE)
        assert listed
        weights = [float(w) for w in re.findall(r"\((.*?)\)", listed[1])]
        assert len(weights) == int(cells[3])
        assert sum(weights) == pytest.approx(1, abs=0.01)
        assert cells[1:3] == [f"{len(weights) * 1000:,}", f"{len(weights)} ×"]
    assert row(text, "single best")[1:4] == ["1,000", "1 ×", "1"]
    recorded = list_openings(client, parent)
    best = max(trials, key=lambda t: t["score"])["number"]
    assert [o.get("trial", o.get("ensemble")) for o in recorded] == [best, picked[1]]
    assert sum(recorded[1]["members"].values()) == pytest.approx(1, abs=1e-3)
    assert section(client, read_search(client, "digits")) == text
    assert list_openings(client, parent) == recorded
    tested = [line for line in text.splitlines() if line.startswith(f"| {picked[1]} |")]
    assert len(tested) == 2  # on validation and on the test set


def test_a_single_model_is_not_opened_as_an_ensemble(
    client: MlflowClient, write_search: Write
) -> None:
    certain = np.eye(4)[np.arange(300) % 4]
    useless = np.full((300, 4), 0.25)
    outputs = [{"validation": certain}, {"validation": useless}]
    parent = write_search(
        [{**trial(n, 1.0 - n), "outputs": found} for n, found in enumerate(outputs)]
    )
    search = read_search(client, "digits")
    text = chapter.write_section(client, search, OpenedTest(client, search))
    assert text is not None
    assert "is **a single model**" in text
    assert list_openings(client, parent) == []
    assert "Not in the table, since they selected only one model:" in text
    others, found = re.subn(r"\| single best .*", "", text, count=1)
    assert found
    assert "| 1 × | 1 |" not in others


def test_the_single_best_has_the_parameters_of_the_model_that_was_scored(
    client: MlflowClient, write_search: Write
) -> None:
    certain = np.eye(4)[np.arange(300) % 4] * 0.9 + 0.025
    worse = np.where(np.arange(300)[:, None] % 10, certain, certain[:, [1, 2, 3, 0]])
    trials = [
        {**trial(n, s), "parameters": p, "outputs": {"validation": found}}
        for n, s, p, found in ((0, 1.0, 26_122, certain), (3, 0.9, 9_610, worse))
    ]
    again = [
        {**trial(10 + n, s, of=of, params={"seed": n}), "parameters": 9_610}
        for n, (of, s) in enumerate(((3, 0.95), (3, 0.95), (0, 0.5), (0, 0.5)))
    ]
    write_search([*trials, *again])
    text = section(client, read_search(client, "digits"))  # trial 3 won the confirmation
    assert text is not None
    cells = row(text, "single best")
    assert (cells[1], cells[4][:8]) == ("26,122", "100.00 %")
    assert "- single best: 0 (1)" in text


def test_test_results_are_those_of_the_predictions(
    client: MlflowClient, write_search: Write, trials: Trials
) -> None:
    parent = write_search(trials)
    text = section(client, read_search(client, "digits"))
    assert text is not None
    recorded = list_openings(client, parent)[1]
    assert recorded["ensemble"] != "calibrated top-k", "the figures below are of a plain average"
    mix = {
        split: sum(w * probabilities(split, int(m)) for m, w in recorded["members"].items())
        for split in N
    }
    best = max(trials, key=lambda t: t["score"])["number"]
    alone = probabilities("test", best)
    t = fit_temperature(mix["validation"], targets("validation"))
    after = apply_temperature(mix["test"], t)
    cells = [line for line in text.splitlines() if line.startswith(f"| {recorded['ensemble']} |")][
        1
    ]
    right = mix["test"].argmax(1) == targets("test")
    values = [cell.strip() for cell in cells.strip("|").split("|")]
    assert values[1].startswith(f"{right.mean():.2%}".replace("%", " %"))
    expected = [
        nll(mix["test"], targets("test")),
        t,
        nll(after, targets("test")),
    ]
    assert [float(v) for v in values[2:]] == pytest.approx(expected, rel=5e-3, abs=1e-4)
    single = alone.argmax(1) == targets("test")
    difference = compare_correct(right, single)
    gain = difference.interval
    assert gain.low > 0
    assert (
        f"is +{gain.value * 100:.2f} points (95 % interval +{gain.low * 100:.2f} to "
        f"+{gain.high * 100:.2f}) in accuracy" in text
    )
    assert difference.p < 0.001
    assert "McNemar's mid-p < 0.001" in text


def test_copies_of_one_overconfident_model_are_no_ensemble(
    client: MlflowClient, write_search: Write
) -> None:
    # Averages of copies can only be softer, which the temperature of the single model is, too.
    outputs = {split: softmax(3 * np.log(probabilities(split, 0)), axis=1) for split in N}
    parent = write_search([trial(n, 0.9, outputs=outputs) for n in range(5)])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "is **a single model**" in text
    assert "The gain of" not in text
    assert len(list_openings(client, parent)) == 1  # the winner's


@pytest.mark.parametrize("seed", range(3))
def test_of_copies_of_one_model_a_single_one_is_selected(seed: int) -> None:
    copies = draw_library(np.random.default_rng(seed), members=6, n=200, own=0.0)
    found = chapter.evaluate_recipes(copies)
    assert len(max(found, key=score_ensemble).runs) == 1
    # All are compared at their temperature: an overconfident model gains nothing by it alone.
    costs = [nll(ensemble.output, copies.targets) for ensemble in found]
    assert max(costs) - min(costs) < 0.005


def test_seeds_of_the_best_configuration_are_an_ensemble(
    client: MlflowClient, write_search: Write, trials: Trials
) -> None:
    again = [
        trial(n, 0.99, of=2, outputs={s: probabilities(s, n, 2.5) for s in N}, params={"seed": n})
        for n in range(10, 14)
    ]
    parent = write_search([*trials, *again])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert row(text, "4 seeds of trial 2")[1:4] == ["4,000", "4 ×", "4"]
    assert 'Selected on validation: "4 seeds of trial 2".' in text
    recorded = list_openings(client, parent)
    assert recorded[0]["trial"] == 2  # the winner by its re-runs
    assert recorded[1]["members"] == {f"re-run {n}": 0.25 for n in range(10, 14)}


def test_all_ensembles_are_opened_on_request(
    client: MlflowClient, write_search: Write, trials: Trials
) -> None:
    parent = write_search(trials)
    search = read_search(client, "digits")
    section(client, search)
    text = section(client, search, again=True)
    assert text is not None
    recorded = list_openings(client, parent)
    assert len(recorded) == 5
    assert [o.get("again", False) for o in recorded] == [False, False, True, True, True]
    assert text.count("The gain of") == 4
    assert chapter.UNCORRECTED in text


def answers(right: float, model: int, split: str) -> np.ndarray:
    random = np.random.default_rng([model, N[split]])
    wrong = random.integers(10, 90, N[split])
    return np.where(random.random(N[split]) < right, targets(split), wrong).astype(str)


@pytest.fixture
def voters(client: MlflowClient, write_search: Write, tmp_path: Path) -> str:
    parent = write_search(
        [
            trial(n, 0.6 + n / 100, outputs={s: answers(0.6 + n / 100, n, s) for s in N})
            for n in range(5)
        ],
        data=False,
    )
    for split, n in N.items():
        table = pa.table({"id": np.arange(n) + 1000, "target": targets(split).astype(str)})
        pq.write_table(table, tmp_path / f"{split}.parquet")
        client.log_artifact(parent, str(tmp_path / f"{split}.parquet"), "data")
    return parent


def test_answers_are_voted_on(client: MlflowClient, voters: str) -> None:
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "by vote over their answers" in text
    assert "NLL |" not in text
    alone, vote = (
        float(row(text, name)[4].split()[0]) for name in ("single best", "vote of the top k")
    )
    assert vote > alone + 5
    assert len(list_openings(client, voters)) == 2


def test_ties_of_a_vote_go_to_the_best_member(
    client: MlflowClient, voters: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensemble", "digits", "--members", "0", "2", "4", "--storage", str(storage)]) == 0
    votes = np.stack([answers(0.6 + n / 100, n, "validation") for n in (4, 2, 0)])
    truth = targets("validation").astype(str)
    won = [
        max(column, key=lambda a, c=column: (list(c).count(a), -list(c).index(a)))
        for column in votes.T
    ]
    accuracy = np.mean(np.array(won) == truth)
    shown = row(capsys.readouterr().out, "by hand")
    assert shown[4].startswith(f"{accuracy:.2%}".replace("%", " %"))


def test_answers_become_classes_in_the_order_of_the_models() -> None:
    runs = tuple(TrialRecord(str(i), str(i), i, "complete") for i in range(3))
    recorded = (np.array(["7", "x", "1"]), np.array(["8", "x", "2"]), np.array(["8", "y", "1"]))
    examples = Examples("test", np.arange(3), np.array(["8", "z", "1"]))
    found = build_library(Predictions(examples, runs, recorded))
    assert found.outputs.argmax(axis=2).tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert (found.outputs.sum(axis=2) == 1).all()
    assert found.targets.tolist() == [1, -1, 0]


def run(storage: Path, *arguments: str) -> int:
    return main(["ensemble", "digits", *arguments, "--storage", str(storage)])


def test_members_by_hand_on_validation(
    client: MlflowClient,
    write_search: Write,
    trials: Trials,
    storage: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(trials)
    search = read_search(client, "digits")
    assert run(storage, "--members", "1", "3", search.trials[5].run_id) == 0
    text = capsys.readouterr().out
    mix = np.mean([probabilities("validation", n) for n in (1, 3, 5)], axis=0)
    accuracy = np.mean(mix.argmax(1) == targets("validation"))
    assert row(text, "by hand")[4].startswith(f"{accuracy:.2%}".replace("%", " %"))
    best = max((1, 3, 5), key=lambda n: trials[n]["score"])
    assert f"| best member ({best}) |" in text
    assert "3 members of digits on validation, 300 examples, averaged:" in text
    assert list_openings(client, parent) == []


def test_members_by_hand_on_the_test_set_are_recorded(
    client: MlflowClient,
    write_search: Write,
    trials: Trials,
    storage: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(trials)
    test = ("--split", "test")
    assert run(storage, "--members", "0", "1", *test) == 2  # even where nothing was opened yet
    assert "add --open-test-again" in capsys.readouterr().err
    assert list_openings(client, parent) == []
    assert run(storage, "--members", "0", "1", *test, "--open-test-again") == 0
    text = capsys.readouterr().out
    assert "NLL after" in text
    assert "on test, 400 examples" in text
    assert run(storage, "--members", "1", "0", *test) == 0  # the same once more is no news
    assert len(list_openings(client, parent)) == 1
    capsys.readouterr()
    assert run(storage, "--members", "1", "2", *test) == 2
    assert "add --open-test-again" in capsys.readouterr().err
    assert len(list_openings(client, parent)) == 1
    assert run(storage, "--members", "1", "2", *test, "--open-test-again") == 0
    recorded = list_openings(client, parent)
    assert recorded[1]["again"] is True
    assert set(recorded[1]["members"]) == {"1", "2"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--members", "0", "77"), "no trial and no run '77'"),
        (("--members", "0", "0"), "two or more"),
        (("--members", "0", "8"), "usable stored validation predictions: digits-008"),
        (("--members", "0", "9"), "No usable validation score: digits-009 (failed)"),
        (("--members", "0", "1", "--split", "holdout"), "'holdout'"),
    ],
)
def test_unusable_members_are_named(
    arguments: tuple[str, ...],
    named: str,
    write_search: Write,
    trials: Trials,
    storage: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blind = {"number": 8, "outcome": "complete", "score": 0.1}
    write_search([*trials[:2], blind, {"number": 9, "outcome": "failed"}])
    assert run(storage, *arguments) == 2
    message = capsys.readouterr().err
    assert named in message
    assert len(message.strip().splitlines()) <= 3


def test_too_few_for_an_ensemble(
    client: MlflowClient, write_search: Write, trials: Trials
) -> None:
    write_search(trials[:1])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "an ensemble needs at least 2 trials" in text
    write_search([{"number": 0, "outcome": "failed"}])
    assert section(client, read_search(client, "digits")) is None
    write_search([{**trials[0], "outputs": {}, "score": 1.0}, *trials[1:3]])
    text = section(client, read_search(client, "digits"))
    assert text is not None
    assert "No validation predictions of the winner, trial 0" in text
