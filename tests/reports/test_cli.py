"""The command line: which searches it reads, and where it writes and logs the report."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.__main__ import main, parse_words
from reports.options import PARSERS, build_report_parser

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]


def artifacts(client: MlflowClient, run: str, path: str = "report") -> set[str]:
    found = set()
    for entry in client.list_artifacts(run, path):
        found |= artifacts(client, run, entry.path) if entry.is_dir else {entry.path}
    return found


def test_the_report_is_logged_to_the_run_of_the_search(
    write_search: Write,
    read_report: Read,
    some_trials: Trials,
    client: MlflowClient,
    tmp_path: Path,
) -> None:
    parent = write_search(some_trials)
    text = read_report("digits", "--html")
    logged = artifacts(client, parent)
    for name in re.findall(r"\(([^() ]+\.(?:png|svg))\)", text):
        assert f"report/{name}" in logged
    assert {"report/report.md", "report/report.html", "report/tables/trials.csv"} <= logged
    page = Path(client.download_artifacts(parent, "report/report.html", str(tmp_path)))
    assert page.read_text() == (tmp_path / "out/report.html").read_text()
    assert page.read_text().count("data:image/png") == text.count(".png)")


def test_no_log_logs_nothing_and_a_report_that_is_not_logged_is_written(
    write_search: Write,
    read_report: Read,
    some_trials: Trials,
    client: MlflowClient,
    storage: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials[:2])
    read_report("digits", "--no-log")
    assert not artifacts(client, parent)
    assert not (tmp_path / "out/report.html").exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    out = tmp_path / "unlogged"
    assert main(["digits", "--storage", str(storage), "--out", str(out)]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert "# digits" in (out / "report.md").read_text()


def test_one_command_reports_on_several_searches(
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(some_trials[:2])
    arguments = ["--storage", str(storage), "--out", str(tmp_path / "all"), "--no-log"]
    assert main(["digits", "none", *arguments]) == 2
    assert "No experiment 'none'" in capsys.readouterr().err
    assert (tmp_path / "all/digits/report.md").is_file()


def test_a_report_of_a_search_by_its_own_name(
    write_search: Write,
    some_trials: Trials,
    storage: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_search(some_trials[:2], {"search_name": "../digits-2"})
    write_search(some_trials[:1])
    monkeypatch.chdir(tmp_path)
    assert main(["../digits-2", "--storage", str(storage), "--no-log"]) == 0
    (folder,) = (tmp_path / "report").iterdir()
    assert "This search ran 2 trials" in (folder / "report.md").read_text()


def test_names_that_are_the_same_folder_have_one_each(
    client: MlflowClient, storage: Path, tmp_path: Path
) -> None:
    for name in ("net[2]", "net(2)"):
        space = client.create_experiment(name, artifact_location=(storage / "a").as_uri())
        tags = {"kind": "search", "search": name, "metric": "loss", "mode": "min"}
        client.create_run(space, run_name=name, tags=tags)
    arguments = ["--storage", str(storage), "--out", str(tmp_path / "all"), "--no-log"]
    assert main(["net[2]", "net(2)", *arguments]) == 0
    texts = [path.read_text() for path in sorted((tmp_path / "all").glob("*/report.md"))]
    assert sorted(text.splitlines()[0] for text in texts) == [
        "# net(2), report of a search",
        "# net\\[2\\], report of a search",
    ]


@pytest.mark.parametrize("action", ["ensemble", "export", "compare"])
def test_every_action_has_its_own_help(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([action, "--help"])
    assert left.value.code == 0
    assert f"python -m reports {action}" in capsys.readouterr().out


def test_the_newest_search_is_read(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    write_search(some_trials[:2])
    assert "This search ran 2 trials" in read_report()
    assert "This search ran 2 trials" in read_report("1")  # the experiment's number


@pytest.mark.parametrize("action", ["evaluate", "export", "predict", "sample"])
def test_a_space_file_names_its_search_and_the_code_of_its_models(
    action: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.touch()
    words = [str(file), *(["picture.jpg"] if action == "predict" else [])]
    options = parse_words(PARSERS[action](), words)
    assert (options.name, options.space) == ("mine", str(file))
    options = parse_words(PARSERS[action](), [*words, "--space", "digits"])
    assert (options.name, options.space) == ("mine", "digits")


def test_space_files_name_the_searches_of_a_report(tmp_path: Path) -> None:
    options = parse_words(build_report_parser(), ["digits", str(tmp_path / "mine.py")])
    assert (options.names, options.space) == (["digits", "mine"], None)


def test_a_space_file_in_place_of_a_name_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "missing.py"])
    assert "the space file 'missing.py' does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("action", [[], ["export"], ["predict"], ["sample"]])
@pytest.mark.parametrize("file", ["none.py", "/none/mine"])
def test_a_space_file_that_does_not_exist_is_an_error(
    action: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*action, "digits", "--space", file])
    assert ended.value.code == 2
    assert f"--space: the space file {file!r} does not exist" in capsys.readouterr().err
