"""Every command shows and completes the options of its parser, and hands the words on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import cluster.cli
from reports.options import PARSERS, build_report_parser
from searchspaces.train_options import build_parser as build_train_parser
from tests.support.paths import ROOT
from trainables.command.app import list_searches_of_runs

Run = Callable[..., Result]
BUILDERS = {
    "tune": cluster.cli.build_parser,
    "train": build_train_parser,
    "report": build_report_parser,
    **PARSERS,
}
COMMANDS = (*BUILDERS, "confirm", "list", "show", "searches", "stop", "ui", "doctor")


@pytest.mark.parametrize("command", BUILDERS)
def test_the_help_has_every_option_and_an_example(run: Run, command: str) -> None:
    text = run(command, "--help").output
    for action in BUILDERS[command]()._actions:
        assert all(option in text for option in action.option_strings)
    assert f"Example: tunery {command} " in text


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (("tune", "digits", "--trials", "3"), ["--space", "digits", "--trials", "3"]),
        (("tune", "--trials", "3", "digits"), ["--space", "digits", "--trials", "3"]),
        (
            ("tune", "--storage", "a", "a", "--resume"),
            ["--space", "a", "--storage", "a", "--resume"],
        ),
        (
            ("tune", "--trials", "2", "a", "--storage", "a"),
            ["--space", "a", "--trials", "2", "--storage", "a"],
        ),
        (("tune", "--space", "digits", "--resume"), ["--space", "digits", "--resume"]),
        (("confirm", "digits"), ["--confirm", "3", "--space", "digits"]),
        (
            ("confirm", "digits", "--confirm", "2", "--set", "a=-1"),
            ["--confirm", "3", "--space", "digits", "--confirm", "2", "--set", "a=-1"],
        ),
    ],
)
def test_the_words_reach_the_parser_as_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], passed: list[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        cluster.cli, "run_command", lambda arguments, words, console: seen.extend(words) or 7
    )
    assert run(*words).exit_code == 7
    assert seen == passed


def test_the_number_of_confirmed_configurations_is_the_users(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        cluster.cli, "run_command", lambda options, *_: seen.append(options.confirm) or 0
    )
    for words in ([], ["--confirm", "2"], ["--confirm=2"]):
        run("confirm", "digits", *words)
    assert seen == [3, 2, 2]


def test_a_misspelt_command_and_option_are_told_with_the_ones_meant(run: Run) -> None:
    wrong = run("reprot", "digits")
    assert wrong.exit_code == 2
    assert "Did you mean 'report'" in wrong.output
    assert run("tune", "digits", "--trails", "3").exit_code == 2


def test_a_space_is_named_once(run: Run) -> None:
    for words in (["a", "--space", "b"], ["--space", "b", "a"]):
        wrong = run("tune", *words)
        assert wrong.exit_code == 2
        assert "error: a and b are given: name one" in wrong.output


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").output.startswith("tunery ")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("tunery re", {"report"}),
        ("tunery tune dig", {"digits"}),
        ("tunery tune --space dig", {"digits"}),
        ("tunery tune --tri", {"--trials", "--trial-timeout"}),
        ("tunery tune --sampler q", {"qmc"}),
        ("tunery report to", {"toy"}),
        ("tunery predict toy to", set()),
    ],
)
def test_words_are_completed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, completed: set[str]
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "search.json").touch()
    monkeypatch.setenv("TUNERY_STORAGE", str(tmp_path))
    monkeypatch.setenv("_TUNERY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    program = "from trainables.command.app import app; app(prog_name='tunery')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert set(done.stdout.split()) == completed


def test_a_storage_that_cannot_be_opened_completes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNERY_STORAGE", "nosuch://bucket")
    assert list_searches_of_runs() == []


def test_help_and_lists_need_no_library_that_takes_seconds() -> None:
    absent = ["ray", "optuna", "mlflow", "torch", "matplotlib", "pandas", "scipy"]
    calls = [["--help"], ["list"], ["searches"], *([name, "--help"] for name in COMMANDS)]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))  # None there makes an import fail
from typer.testing import CliRunner
from trainables.command.app import app
for words in {calls}:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output, result.exception)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
