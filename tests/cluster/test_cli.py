"""Bad input: a message of a few lines that names the value and the way out, and exit code 2."""

import errno
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cli import main
from cluster.ledger import ledger as ledgers
from cluster.tuning import run_search
from tests.end_to_end.test_machines import alone
from tests.end_to_end.test_search import assert_mlflow_has_the_ledger, opened

SpaceFile = Callable[..., Path]
Refused = Callable[..., str]

CONTINUOUS = "SPACE = replace(SPACE, trials=2)"


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Refused:
    """Run a command that must be refused before Ray starts; gives what it says."""
    monkeypatch.delenv("TUNERY_DATA", raising=False)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))

    def run(*words: object) -> str:
        storage = [] if "--storage" in words else ["--storage", str(tmp_path / "runs")]
        try:
            code = main([*map(str, words), *storage])
        except SystemExit as exit:  # argparse
            code = exit.code  # type: ignore[assignment]
        said = capsys.readouterr().err
        assert code == 2, said
        assert 1 <= len(said.splitlines()) <= 8, said
        assert "Traceback" not in said
        assert not list((tmp_path / "runs").glob("*/search.json"))
        return said

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--space", "digitz"],
            ["unknown space 'digitz'", "did you mean digits", "--space path/"],
        ),
        (["--space", "nowhere/mine.py"], ["there is no space file nowhere/mine.py"]),
        (["--space", "[/red].py"], ["there is no space file [/red].py"]),
        (["--space", "digits", "--set", "learning_rat=1"], ["'learning_rat'", "learning_rate"]),
        (["--space", "digits", "--set", "learning_rate"], ["not of the form name=value"]),
        (["--space", "digits", "--set", "learning_rate=fast"], ["'fast' is not of type float"]),
        (["--space", "digits", "--set", "learning_rate=inf"], ["'inf' is not a finite number"]),
        (["--space", "digits", "--set", "learning_rate=nan"], ["'nan' is not a finite number"]),
        (["--space", "digits", "--set", "learning_rate=-1"], ["must be above 0, not -1"]),
        (["--space", "digits", "--set", "depth=1.5"], ["'1.5' is not of type int"]),
        (["--space", "digits", "--set", "optimizer=adam"], ["choose one of adamw, sgd"]),
        (["--space", "digits", "--seeds", "3"], ["digits has none"]),
        (["--space", "digits", "--sampler", "grid"], ["is continuous", "--set ", "--sampler qmc"]),
        (["--space", "digits", "--sampler", "magic"], ["'magic'", "tpe"]),
        (["--space", "digits", "--scheduler", "magic"], ["'magic'", "asha"]),
        (
            ["--space", "digits", "--trials", "0"],
            ["--trials", "0 is not a number above 0", "--help lists the options"],
        ),
        (["--space", "digits", "--trials", "many"], ["--trials", "'many'"]),
        (["--space", "digits", "--gpus-per-trial", "nan"], ["nan is not a number above 0"]),
        (["--space", "digits", "--time-budget", "soon"], ["'soon' is not a time such as 90s"]),
        (["--space", "digits", "--resume", "--fresh"], ["not allowed with"]),
        (["--sp", "digits", "--clus", "x.yaml"], ["unrecognized arguments: --sp", "--clus"]),
        (
            ["--space", "digits", "--address", "auto", "--tracking-uri", "http://me:word@host"],
            ["http://***@host has a login", "~/.mlflow/credentials", "MLFLOW_TRACKING_URI"],
        ),
        (["--space", "digits", "--data-dir", "nowhere"], ["--data-dir nowhere is not a folder"]),
        (["--space", "digits", "--storage", "/proc/no"], ["/proc/no cannot be written to"]),
        (
            ["--space", "digits", "--storage", "README.md/runs"],
            ["cannot be written to", "--storage"],
        ),
        (["--space", "digits", "--cluster", "no.yaml"], ["--cluster no.yaml: there is no such"]),
        (["--space", "digits", "--cluster", "no.yaml", "--dry-run"], ["no.yaml: there is no"]),
        ([], ["--space"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_a_value_that_cannot_be(refused: Refused, words: list[str], expected: list[str]) -> None:
    said = refused(*words)
    for part in expected:
        assert part in said


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("def broken(:", ["toy.py cannot be read, line", "def broken(:"]),
        ("import no_such_package", ["needs the package 'no_such_package'"]),
        ("1 / 0", ["ZeroDivisionError", "--debug"]),
        ("SPACE = None", ["defines no SPACE = SearchSpace(...)"]),
    ],
)
def test_a_space_file_that_does_not_load(
    refused: Refused, space_file: SpaceFile, lines: str, expected: list[str]
) -> None:
    said = refused("--space", space_file(lines))
    for part in expected:
        assert part in said


def test_debug_shows_the_traceback(space_file: SpaceFile, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="ZeroDivisionError"):
        main(["--space", str(space_file("1 / 0")), "--debug", "--storage", str(tmp_path)])


def test_a_server_that_is_not_there_is_told_of_before_anything_starts(
    refused: Refused, tmp_path: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        uri = f"http://me:secret@127.0.0.1:{port}"
        said = refused("--space", "digits", "--tracking-uri", uri)
    assert f"http://***@127.0.0.1:{port} does not answer" in said
    assert "secret" not in said


def test_a_database_that_is_none_or_in_use(refused: Refused, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    (storage / "mlflow.db").write_bytes(b"no database, but long enough to be looked at" * 50)
    said = refused("--space", "digits")
    assert "mlflow.db" in said
    assert "not a database" in said


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_database_that_another_program_locks(refused: Refused, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    with sqlite3.connect(storage / "mlflow.db", isolation_level=None) as other:
        other.execute("begin exclusive")
        assert "locked" in refused("--space", "digits")


def test_a_search_that_is_there_or_differs_or_is_running(
    space_file: SpaceFile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One search begun and cut short before its first trial; then what may not be done with it."""

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    alone(monkeypatch)
    monkeypatch.setattr("cluster.execution.ray_tuner.run", cut)
    path = str(space_file(CONTINUOUS))
    words = ["--space", path, "--storage", str(tmp_path / "runs")]

    def run(*more: str) -> tuple[int, str]:
        code = main([*words, *more])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err + said.out

    code, said = run("--resume")
    assert code == 130  # nothing there: begun
    assert f"nothing to resume in {tmp_path}/runs: starting {tmp_path}/runs/toy\n" in said
    code, said = run()
    assert code == 2
    assert "--resume" in said
    assert "--fresh" in said
    code, said = run("--resume", "--trials", "1", "--sampler", "gp", "--set", "width=4")
    assert code == 2
    for line in ("trials: 2 there, 1 now", "sampler: 'tpe' there", "{'width': 4} now"):
        assert line in said
    assert run("--fresh")[0] == 130
    assert (tmp_path / "runs" / "toy-2" / "search.json").exists()

    code, said = run("--resume")
    assert code == 130
    assert f"going on with {tmp_path}/runs/toy-2\n" in said

    held = ledgers.reopen_ledger(tmp_path / "runs" / "toy-2")
    code, said = run("--resume")
    assert code == 2
    assert "another process is running the search" in said
    held.close()
    (tmp_path / "runs" / "toy-2" / "study.journal").write_bytes(b"garbage\nmore\n{}\n")
    code, said = run("--resume")
    assert code == 2
    assert "study.journal is damaged" in said


def test_a_legal_value_outside_the_searched_range_is_a_note(
    space_file: SpaceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--space", str(space_file()), "--dry-run", "--storage", str(tmp_path / "runs")]
    assert main([*words, "--set", "learning_rate=2"]) == 0
    said = capsys.readouterr().out
    assert "learning_rate=2.0 is outside the searched range 0.001 to 0.4" in said
    assert main([*words, "--set", "learning_rate=0.2"]) == 0
    assert "outside" not in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_for_a_cluster_says_where_it_would_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.launch.launcher.find_spec", lambda _: True)
    file = tmp_path / "mine.yaml"
    file.write_text("cluster_name: far\nprovider: {type: aws}\n")
    words = ["--space", "digits", "--dry-run", "--storage", str(tmp_path / "runs")]
    assert main([*words, "--cluster", str(file)]) == 0
    said = capsys.readouterr().out
    assert f"would run on the cluster far of {file}" in said
    assert "parameters" in said


def test_a_disk_that_is_full_at_the_start_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/toy/search.json.part")

    monkeypatch.setattr(run_search, "run_search", full)
    words = ["--space", "digits", "--storage", str(tmp_path / "runs")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "No space left on device: 'runs/toy/search.json.part'" in said
    assert "--resume" in said
    with pytest.raises(OSError, match="No space"):
        main([*words, "--debug"])


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_a_full_disk_stops_the_search_and_loses_nothing(
    tune: Callable[..., tuple[int, str]], space_file: SpaceFile, tmp_path: Path
) -> None:
    storage = tmp_path / "small"
    storage.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", storage], check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root alone")
    filler = storage / "filler"
    try:
        path = space_file(
            f"""
def train_full(config: Config, run: Run) -> Loop:
    for n, report in enumerate(train(config, run)):
        if n == 1 and not os.path.exists("{tmp_path}/full"):
            open("{tmp_path}/full", "w").close()
            try:
                with open("{filler}", "wb", buffering=0) as file:
                    while file.write(b"x" * 4096):
                        pass
            except OSError:
                pass
        yield report

SPACE = replace(SPACE, trials=3, train=train_full)"""
        )
        words = ("--space", path, "--storage", storage, "--scheduler", "none", "--concurrency", 1)
        code, said = tune(*words)
        assert code == 2, said
        assert "the search cannot write" in said
        assert "No space left on device" in said
        assert "--resume" in said
        assert "Traceback" not in said
        filler.unlink()
        code, said = tune(*words, "--resume")
        assert code == 0, said
        trial_logs = opened(storage / "toy").trial_logs.values()
        assert [(s.outcome, s.done) for s in trial_logs] == [("complete", 4)] * 3
        assert_mlflow_has_the_ledger(storage)
    finally:
        subprocess.run(["umount", "--lazy", storage], check=True)  # MLflow keeps its file open


def test_the_module_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainables.tune", "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digits" in done.stdout
