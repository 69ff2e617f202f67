"""What is on record and cannot be read is an error; what never was is none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.__main__ import main
from reports.read.artifacts import download_artifact, list_files, list_recorded
from reports.read.predictions import list_splits, read_predictions
from reports.read.records import read_search
from reports.read.weights import download_weights
from tests.support.make_search import list_openings
from trainables.errors import UnreadableError

Trials = list[dict[str, Any]]
Write = Callable[..., str]


def test_a_missing_file_is_an_error_that_names_its_place(
    client: MlflowClient, write_search: Write, tmp_path: Path
) -> None:
    parent = write_search([])
    found = download_artifact(client, parent, "data/test.parquet", tmp_path, "digits")
    assert found.is_file()
    for path in ("data/other.parquet", "none/x.parquet", "x.json"):
        with pytest.raises(UnreadableError, match=rf"{path} of run 'digits' \({parent}\)"):
            download_artifact(client, parent, path, tmp_path, "digits")


def test_an_error_of_any_class_is_one_of_reading() -> None:
    class Store:
        def list_artifacts(self, *_: object) -> None:
            raise RuntimeError("https://ada:secret@host: no route")

    with pytest.raises(UnreadableError, match="data of run 'digits'") as caught:
        list_files(Store(), "id", "data", "digits")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_records_tell_what_was_stored(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    parent = write_search(some_trials[:1])
    search = read_search(client, "digits")
    assert list_splits(client, search) == ["test", "validation"]  # by the list of files
    client.set_tag(parent, "splits", '["validation"]')
    assert list_splits(client, read_search(client, "digits")) == ["validation"]
    assert list_recorded({}, "splits") is None
    with pytest.raises(UnreadableError, match="`splits`"):
        list_recorded({"splits": "[val"}, "splits")


def test_lost_files_are_errors_and_other_files_are_not_asked_for(
    client: MlflowClient, write_search: Write, some_trials: Trials, tmp_path: Path
) -> None:
    write_search(some_trials[:2])
    for run in client.search_runs(["1"], "tags.kind = 'trial'"):
        client.set_tag(run.info.run_id, "predictions", '["validation"]')
        client.set_tag(run.info.run_id, "weights", "yes")
    search = read_search(client, "digits")
    from reports.read.predictions import read_examples

    test, validation = (read_examples(client, search, s) for s in ("test", "validation"))
    assert test is not None
    assert validation is not None
    assert read_predictions(client, search, search.trials, test).runs == ()
    with pytest.raises(UnreadableError, match=r"predictions/validation\.parquet of run"):
        read_predictions(client, search, search.trials, validation)
    with pytest.raises(UnreadableError, match="The weights of 'digits-000'"):
        download_weights(client, search.trials[0], tmp_path / "weights")


@pytest.mark.parametrize("damage", ["deleted", "truncated", "unreadable", "other columns"])
def test_a_report_says_what_it_cannot_read_and_exits_with_3(
    damage: str,
    client: MlflowClient,
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials[:3], {"splits": '["test", "validation"]'})
    file = storage / "artifacts" / parent / "artifacts" / "data" / "test.parquet"
    if damage == "deleted":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "unreadable":
        file.unlink()
        file.mkdir()  # also root cannot read it as a file
    else:
        shutil.copy(next(storage.rglob("predictions/test.parquet")), file)
    out = tmp_path / "out"
    arguments = ["digits", "--storage", str(storage), "--out", str(out), "--no-log"]
    assert main([*arguments, "--html"]) == 3
    captured = capsys.readouterr()
    assert "data/test.parquet" in captured.err
    text = (out / "report.md").read_text()
    assert "**This report is not complete**" in text
    assert "data/test.parquet" in text
    assert "no test set" not in text + captured.out
    assert "The winner is trial 2" in text
    assert (out / "report.html").is_file()
    assert list_openings(client, parent) == []


def test_every_other_command_exits_with_3(
    client: MlflowClient,
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(some_trials[:3])
    for run in client.search_runs(["1"], "tags.kind = 'trial'"):
        client.set_tag(run.info.run_id, "predictions", json.dumps(["validation", "test"]))
        client.set_tag(run.info.run_id, "weights", "yes")
    at = ["--storage", str(storage)]
    assert main(["ensemble", "digits", "--members", "0", "1", *at]) == 3
    assert "predictions/validation.parquet" in capsys.readouterr().err
    for command in (["export", "digits"], ["sample", "digits"]):
        assert main([*command, *at]) == 3
        assert "The weights of 'digits-002'" in capsys.readouterr().err
