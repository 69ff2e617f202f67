"""Bad input: a message of a few lines with the value and what to do, and exit code 2."""

import errno
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cli import main
from tests.support.paths import ROOT

SpaceFile = Callable[..., Path]
Reject = Callable[..., str]


@pytest.fixture
def reject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Reject:
    """Return a function that runs a command which fails before Ray starts, and its message."""
    monkeypatch.delenv("TUNERY_DATA", raising=False)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))

    def run(*words: object) -> str:
        storage = [] if "--storage" in words else ["--storage", str(tmp_path / "runs")]
        try:
            code = main([*map(str, words), *storage])
        except SystemExit as exit:  # argparse
            code = exit.code  # type: ignore[assignment]
        error = capsys.readouterr().err
        assert code == 2, error
        assert 1 <= len(error.splitlines()) <= 8, error
        assert "Traceback" not in error
        assert not list((tmp_path / "runs").glob("*/search.json"))
        return error

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--space", "digitz"],
            ["unknown space 'digitz'", "did you mean digits", "--space path/"],
        ),
        (["--space", "nowhere/mine.py"], ["the space file nowhere/mine.py does not exist"]),
        (["--space", "[/red].py"], ["the space file [/red].py does not exist"]),
        (["--space", "digits", "--set", "learning_rat=1"], ["'learning_rat'", "learning_rate"]),
        (["--space", "digits", "--set", "learning_rate"], ["not of the form name=value"]),
        (["--space", "digits", "--set", "learning_rate=fast"], ["'fast' is not of type float"]),
        (["--space", "digits", "--set", "learning_rate=inf"], ["'inf' is not a finite number"]),
        (["--space", "digits", "--set", "learning_rate=nan"], ["'nan' is not a finite number"]),
        (["--space", "digits", "--set", "learning_rate=-1"], ["must be above 0, not -1"]),
        (["--space", "digits", "--set", "depth=1.5"], ["'1.5' is not of type int"]),
        (["--space", "digits", "--set", "optimizer=adam"], ["choose one of adamw, sgd"]),
        (["--space", "digits", "--seeds", "3"], ["--seeds 3: digits has no arms", "--confirm K"]),
        (["--space", "digits", "--sampler", "grid"], ["is continuous", "--set ", "--sampler qmc"]),
        (["--space", "digits", "--sampler", "magic"], ["'magic'", "tpe"]),
        (["--space", "digits", "--scheduler", "magic"], ["'magic'", "asha"]),
        (
            ["--space", "digits", "--trials", "0"],
            ["--trials", "'0' is not a whole number from 1", "--help lists the options"],
        ),
        (["--space", "digits", "--trials", "many"], ["--trials", "'many'"]),
        (["--space", "digits", "--gpus-per-trial", "nan"], ["'nan' is not a number from 0.0001"]),
        *(
            (["--space", "digits", f"--{option}={value}"], [f"--{option}", repr(value)])
            for option, value in (
                *(("reports", value) for value in ("9" * 20, "1_000", "-1", "1e3", "٣")),
                *(("seed", value) for value in ("-1", str(2**70), "1.5")),
                *(("concurrency", "1000000"), ("control", "0"), ("confirm", "-2"), ("seeds", "x")),
                *(("gpus-per-trial", value) for value in ("1e400", "inf", "-0.5", "1_0")),
                *(("time-budget", value) for value in ("1e9999h", "nan", "-1s")),
            )
        ),
        *(
            (["--space", "digits", f"--{option}="], [f"--{option}: it is empty"])
            for option in (
                "storage",
                "tracking-uri",
                "data-dir",
                "weights-dir",
                "teacher",
                "address",
            )
        ),
        (["--space", "digits", "--storage", "a\0b"], ["--storage", "'a\\x00b' contains a NUL"]),
        (["--space", "digits", "--storage", "foo://x"], ["--storage foo://x", "s3://"]),
        (["--space", "digits", "--storage", "s3:/bucket"], ["--storage s3:/bucket", "s3://"]),
        (["--space", "digits", "--tracking-uri", "foo://x"], ["foo://x", "--tracking-uri"]),
        (
            ["--space", "digits", "--tracking-uri", "sqlite://"],
            ["'sqlite://' does not name a file"],
        ),
        (["--space", "digits", "--tracking-uri", "http://h:99999"], ["http://h:99999"]),
        (
            ["--space", "digits", "--weights-dir", "nowhere"],
            ["--weights-dir nowhere is not a folder"],
        ),
        (["--space", "digits", "--set"], ["--set: expected one argument"]),
        (["--space", "digits", "--set", "=1"], ["unknown hyperparameter ''"]),
        (
            ["--space", "digits", "--set", "depth=1", "--set", "depth=2"],
            ["'depth=2': depth has been set before"],
        ),
        (["--space", "digits", "--time-budget", "soon"], ["'soon' is not a duration such as 90s"]),
        (["--space", "digits", "--resume", "--fresh"], ["not allowed with"]),
        (["--sp", "digits", "--clus", "x.yaml"], ["unrecognized arguments: --sp", "--clus"]),
        (
            ["--space", "digits", "--address", "auto", "--tracking-uri", "http://me:word@host"],
            [
                "http://***@host contains credentials",
                "~/.mlflow/credentials",
                "MLFLOW_TRACKING_URI",
            ],
        ),
        (["--space", "digits", "--data-dir", "nowhere"], ["--data-dir nowhere is not a folder"]),
        (
            ["--space", "digits", "--storage", "/proc/no"],
            ["cannot write to the storage folder /proc/no"],
        ),
        (
            ["--space", "digits", "--storage", "README.md/runs"],
            ["cannot write to the storage folder", "README.md/runs: Not a directory", "--storage"],
        ),
        (["--space", "digits", "--cluster", "no.yaml"], ["--cluster no.yaml: no such file"]),
        (
            ["--space", "digits", "--cluster", "no.yaml", "--dry-run"],
            ["--cluster no.yaml: no such file"],
        ),
        (
            ["--space", "digits", "--cluster", "no.yaml", "--executor", "inline"],
            ["--cluster and --executor inline exclude each other"],
        ),
        ([], ["--space"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_a_wrong_value_is_rejected(reject: Reject, words: list[str], expected: list[str]) -> None:
    error = reject(*words)
    for part in expected:
        assert part in error


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
    reject: Reject, space_file: SpaceFile, lines: str, expected: list[str]
) -> None:
    error = reject("--space", space_file(lines))
    for part in expected:
        assert part in error


def test_debug_shows_the_traceback(space_file: SpaceFile, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="ZeroDivisionError"):
        main(["--space", str(space_file("1 / 0")), "--debug", "--storage", str(tmp_path)])


def test_a_server_that_does_not_answer_is_named_before_anything_starts(
    reject: Reject, tmp_path: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        uri = f"http://me:secret@127.0.0.1:{port}"
        error = reject("--space", "digits", "--tracking-uri", uri)
    assert f"http://***@127.0.0.1:{port} does not answer" in error
    assert "secret" not in error


def test_a_file_that_is_not_a_database_is_named(reject: Reject, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    (storage / "mlflow.db").write_bytes(b"no database, but long enough to be looked at" * 50)
    error = reject("--space", "digits")
    assert "mlflow.db" in error
    assert "not a database" in error


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_database_that_another_program_locks_is_named(reject: Reject, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    with sqlite3.connect(storage / "mlflow.db", isolation_level=None) as other:
        other.execute("begin exclusive")
        assert "locked" in reject("--space", "digits")


def test_a_value_outside_of_the_searched_range_gives_a_warning(
    space_file: SpaceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--space", str(space_file()), "--dry-run", "--storage", str(tmp_path / "runs")]
    assert main([*words, "--set", "learning_rate=2"]) == 0
    error = capsys.readouterr().out
    assert "learning_rate=2.0 is outside the searched range 0.001 to 0.4" in error
    assert main([*words, "--set", "learning_rate=0.2"]) == 0
    assert "outside" not in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_for_a_cluster_names_the_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.launch.launcher.find_spec", lambda _: True)
    file = tmp_path / "mine.yaml"
    file.write_text("cluster_name: far\nprovider: {type: aws}\n")
    words = ["--space", "digits", "--dry-run", "--storage", str(tmp_path / "runs")]
    assert main([*words, "--cluster", str(file)]) == 0
    error = capsys.readouterr().out
    assert f"would run on the cluster far of {file}" in error
    assert "parameters" in error


def test_a_full_disk_at_the_start_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/toy/search.json.part")

    monkeypatch.setattr("cluster.tuning.run_search.run_search", full)
    words = ["--space", "digits", "--storage", str(tmp_path / "runs")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "No space left on device: 'runs/toy/search.json.part'" in error
    assert "--resume" in error
    with pytest.raises(OSError, match="No space"):
        main([*words, "--debug"])


def test_the_module_is_a_command_that_starts_without_ray() -> None:
    """Ray takes two seconds, which a search in this process does not need."""
    words = ["--space", "digits", "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "trainables.tune", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digits" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert "ray" not in imported


@pytest.mark.parametrize("option", ["--help", "--list"])
def test_help_and_list_need_no_library_that_takes_seconds(option: str) -> None:
    absent = ["ray", "optuna", "mlflow", "torch", "numpy", "pyarrow", "sklearn", "transformers"]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))  # None there makes an import fail
from trainables.tune import main
sys.exit(main([{option!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert ("--space" if option == "--help" else "svhn_150k   ") in done.stdout
