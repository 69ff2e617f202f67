"""`reports evaluate`: the scores of a trained model, and the record of the test set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from reports.__main__ import main
from reports.numbers.statistics import wilson_interval
from searchspaces.calls import prepare_data
from searchspaces.loading import load_space
from tests.support.make_search import list_openings
from tests.support.trained import trained, write_trained
from trainables.run import Run
from trainables.train import main as train_main

Write = Callable[..., str]
Trials = list[dict[str, Any]]
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("digits"), "digits", epochs=1)


@pytest.fixture
def folder(weights: Path, tmp_path: Path) -> Path:
    """Return a folder as train --out writes it, with the trained weights."""
    target = tmp_path / "trained"
    target.mkdir()
    (target / "best").symlink_to(weights)
    content = {"space": "digits", "teacher": None, "config": {"epochs": 1}}
    (target / "config.json").write_text(json.dumps(content))
    return target


@pytest.fixture
def evaluate(storage: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Run the command and return what it prints as JSON."""

    def run(*words: object) -> dict[str, Any]:
        arguments = ["evaluate", *map(str, words), "--storage", str(storage), "--json"]
        assert main(arguments) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


@pytest.fixture
def trial(client: MlflowClient, write_search: Write, weights: Path, tmp_path: Path) -> str:
    """Return the run id of the trained winner of a search of digits."""
    return write_trained(client, write_search, "digits", weights, tmp_path)


def fail(storage: Path, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["evaluate", *map(str, words), "--storage", str(storage)]) == 2
    return capsys.readouterr().err


def count_correct(weights: Path, split: str) -> tuple[int, int]:
    truth = prepare_data(load_space("digits"), None, Run(reports=1))
    table = pq.read_table(weights / f"{split}.parquet")
    outputs = np.column_stack([table[f"p{i}"] for i in range(10)])
    rows = np.argsort(table["id"].to_numpy())
    return int((outputs[rows].argmax(1) == truth.targets[split]).sum()), len(outputs)


def test_the_winner_is_scored_on_validation(trial: str, weights: Path, evaluate: Evaluate) -> None:
    found = evaluate("digits")
    share = wilson_interval(*count_correct(weights, "validation"))
    assert found["scores"]["accuracy"] == {
        "value": share.value,
        "interval": [share.low, share.high],
        "n": share.n,
    }
    assert found["scores"]["loss"]["interval"] is None, "too few examples for one"
    assert found["split"] == "validation"
    for name in ("digits-000", trial):
        assert evaluate(name)["scores"] == found["scores"]


def test_a_space_names_its_newest_search(
    client: MlflowClient, write_search: Write, some_trials: Trials, evaluate: Evaluate
) -> None:
    for name, trial in (("digits", 5), ("digits-2", 3)):
        parent = write_search([some_trials[trial]], {"search_name": name})
    assert evaluate("digits", "--split", "test")["model"] == "trial 3 of digits-2"
    assert len(list_openings(client, parent)) == 1
    assert evaluate("digits-005", "--split", "test")["model"] == "trial 5 of digits"


@pytest.mark.usefixtures("trial")
def test_the_restored_model_has_the_scores_of_its_stored_predictions(
    evaluate: Evaluate, folder: Path
) -> None:
    stored, restored = evaluate("digits"), evaluate(folder)
    for name in ("accuracy", "loss"):
        values = (found["scores"][name]["value"] for found in (stored, restored))
        assert next(values) == pytest.approx(next(values), abs=1e-6)
    train = evaluate("digits", "--split", "train")
    assert train["scores"]["accuracy"]["n"] == 1079
    assert "was fitted to these examples" in train["notes"][0]


def test_the_test_set_is_opened_once_and_on_record(
    trial: str,
    client: MlflowClient,
    weights: Path,
    evaluate: Evaluate,
    read_report: Callable[..., str],
) -> None:
    parent = client.get_run(trial).data.tags["mlflow.parentRunId"]
    evaluate("digits", "--split", "validation")
    assert list_openings(client, parent) == []
    found = [evaluate("digits", "--split", "test") for _ in range(2)]
    assert found[0] == found[1]
    (opening,) = list_openings(client, parent)
    correct, n = count_correct(weights, "test")
    assert (opening["trial"], opening["correct"], opening["n"]) == (0, correct, n)
    assert found[0]["scores"]["accuracy"]["value"] == correct / n
    assert found[0]["notes"][0].startswith("The test set of this search was opened once: for tr")
    assert f"{correct / n:.2%}".replace("%", " %") in read_report()
    assert len(list_openings(client, parent)) == 1


def test_a_trial_that_validation_did_not_choose_needs_an_option(
    client: MlflowClient,
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials)
    assert "Validation did not choose trial 5" in fail(
        storage, capsys, "digits-005", "--split", "test"
    )
    assert list_openings(client, parent) == []
    found = evaluate("digits-005", "--split", "test", "--open-test-again")
    (opening,) = list_openings(client, parent)
    assert (opening["trial"], opening["again"]) == (5, True)
    assert found["scores"]["accuracy"]["value"] == opening["correct"] / opening["n"]
    message = fail(storage, capsys, "digits", "--split", "test")
    assert "opened before for trial 5" in message and "--open-test-again" in message


def test_an_unfinished_search_stays_closed(
    client: MlflowClient,
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials, {"trials": "20"})
    client.update_run(parent, status="RUNNING")
    assert "--open-test" in fail(storage, capsys, "digits", "--split", "test")
    assert list_openings(client, parent) == []
    evaluate("digits", "--split", "test", "--open-test")
    assert [opening["trial"] for opening in list_openings(client, parent)] == [3]


def test_a_folder_has_its_own_record_and_one_with_a_search_of_its_data(
    client: MlflowClient,
    write_search: Write,
    weights: Path,
    tmp_path: Path,
    evaluate: Evaluate,
    folder: Path,
    read_report: Callable[..., str],
) -> None:
    correct, n = count_correct(weights, "test")
    found = evaluate(folder, "--split", "test")  # no search yet
    assert found["scores"]["accuracy"]["value"] == correct / n
    run_id = write_trained(client, write_search, "digits", weights, tmp_path)
    parent = client.get_run(run_id).data.tags["mlflow.parentRunId"]
    notes = evaluate(folder, "--split", "test")["notes"]
    assert "opening 2 in the record" in notes[0]
    assert "recorded with digits, a search of the same data" in notes[1]
    lines = (folder / "test_openings.jsonl").read_text().splitlines()
    assert [json.loads(line)["correct"] for line in lines] == [correct] * 2
    (opening,) = list_openings(client, parent)
    assert opening["model"] == str(folder)
    report = read_report()  # which opens the test set for its winner all the same
    assert "was opened twice: for " in report and "; for trial 0 at" in report


def write_table(path: Path, classes: tuple[str, ...], seed: int) -> Path:
    """Write a table whose first column says most of the class; without classes, a number."""
    random = np.random.default_rng(seed)
    lines = ["size,color,target"]
    for value in random.normal(size=300):
        noisy = value + random.normal() / 2
        target = classes[int(noisy > 0)] if classes else f"{noisy:.3f}"
        lines.append(f"{value:.3f},{random.choice(['red', 'blue'])},{target}")
    path.write_text("\n".join(lines))
    return path


def train_table(folder: Path, table: Path) -> Path:
    """Train a perceptron on a table, as train --out does."""
    words = ["--space", "own_table", "--data-dir", table, "--out", folder, "--reports", 1]
    assert train_main([*map(str, words), "--set", "steps=30"]) == 0
    return folder


def test_other_data_are_scored_by_the_names_of_their_classes(
    tmp_path: Path, evaluate: Evaluate, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = write_table(tmp_path / "mine.csv", ("no", "yes"), 0)
    folder = train_table(tmp_path / "model", mine)
    capsys.readouterr()
    own = evaluate(folder, "--data-dir", mine, "--split", "validation")
    assert own["scores"]["accuracy"]["value"] > 0.7
    other_table = write_table(tmp_path / "other.csv", ("no", "yes"), 1)
    other = evaluate(folder, "--data-dir", other_table)
    assert (other["split"], other["scores"]["accuracy"]["n"]) == ("all", 300)
    assert other["scores"]["accuracy"]["value"] > 0.7
    wrong = write_table(tmp_path / "wrong.csv", ("no", "perhaps"), 1)
    message = fail(storage, capsys, folder, "--data-dir", wrong)
    assert "classes that the model does not know: perhaps.\nIt knows no, yes; of these" in message

    rows = other_table.read_text().splitlines()[1:]
    for some in (
        [row for row in rows if ",red," in row],  # a column that is the same everywhere
        [row for row in rows if row.endswith("no")][:4],  # one class
        rows[:1],
    ):
        few = tmp_path / "few.csv"
        few.write_text("\n".join(["x,size,color,target", *(f"0,{row}" for row in some)]))
        found = evaluate(folder, "--data-dir", few)
        assert found["scores"]["accuracy"]["n"] == len(some)
    few.write_text("size,shade\n0.5,red\n")
    message = fail(storage, capsys, folder, "--data-dir", few)
    assert "lacks columns of the model: target (its target), color\n" in message
    assert "--set" not in message


def test_a_regression_has_its_own_scores(
    tmp_path: Path, evaluate: Evaluate, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = write_table(tmp_path / "mine.csv", (), 0)
    folder = train_table(tmp_path / "model", mine)
    capsys.readouterr()
    found = evaluate(folder, "--data-dir", write_table(tmp_path / "other.csv", (), 1))
    assert list(found["scores"]) == ["R²", "RMSE", "MAE"]
    few = tmp_path / "few.csv"
    few.write_text("size,color,target\n0.5,red,1\n")
    assert evaluate(folder, "--data-dir", few)["scores"]["RMSE"]["n"] == 1
    few.write_text("size,color,target\n0.5,red,big\n")
    message = fail(storage, capsys, folder, "--data-dir", few)
    assert "the model estimates numbers, and the target 'target' has the value 'big'" in message
    for part in (folder / "best").glob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:-9])
    assert main(["evaluate", str(folder), "--data-dir", str(mine)]) == 3
    assert "damaged" in capsys.readouterr().err
    assert 0.4 < found["scores"]["R²"]["value"] < 0.95
    low, high = found["scores"]["MAE"]["interval"]
    assert 0 < low < high < 1
    assert found["scores"]["RMSE"]["interval"] is None  # of 300 examples


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--split", "all"], "contains the sealed test set of digits"),
        (["digits-002"], "has no trial 2; it has 0 to 0"),
        (["digits-000", "--trial", "1"], "digits-000 is a trial: leave out --trial 1"),
        (["digits", "--episodes", "3"], "is no agent: it plays no episodes"),
        (
            ["./no/model"],
            "no/model contains no trained model: no/model/config.json cannot be read",
        ),
        (["models:/digits/1"], "is an exported model: name the trial that it was made of"),
        (["f" * 32], f"There is no run {'f' * 32}"),
        (["digots"], "No experiment 'digots'. Did you mean digits"),
    ],
)
@pytest.mark.usefixtures("trial")
def test_what_cannot_be_scored_is_told(
    words: list[str], message: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fail(storage, capsys, *words)


@pytest.mark.usefixtures("trial")
def test_a_line_per_metric_is_printed(
    weights: Path, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "digits", "--storage", str(storage)]) == 0
    lines = capsys.readouterr().out.splitlines()
    correct, n = count_correct(weights, "validation")
    assert (
        lines[0]
        == "trial 0 of digits on the validation split of the data of digits (359 examples)"
    )
    assert lines[1].startswith(f"  accuracy  {correct / n * 100:.2f} % (")
