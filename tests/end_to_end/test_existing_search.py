"""Commands that meet a search of the same space."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cli import main
from cluster.ledger import ledger as ledgers

SpaceFile = Callable[..., Path]


@pytest.mark.usefixtures("two_cpus")
def test_an_existing_search_is_continued_extended_or_left_alone(
    space_file: SpaceFile,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search that was interrupted before its first trial, and commands that continue it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cluster.execution.ray_tuner.run", interrupt)
    path = str(space_file("SPACE = replace(SPACE, trials=2)"))
    words = ["--space", path, "--storage", str(runs)]

    def run(*more: str) -> tuple[int, str]:
        code = main([*words, *more])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.err + captured.out

    code, output = run("--resume")
    assert code == 130  # there was none: started
    assert f"no search to resume: starting {runs}/toy\n" in output
    code, output = run()
    assert code == 2
    assert "--resume" in output
    assert "--fresh" in output
    code, output = run("--resume", "--trials", "1", "--sampler", "gp", "--set", "width=4")
    assert code == 2
    for line in ("trials: 2 there, 1 now", "sampler: 'tpe' there", "{'width': 4} now"):
        assert line in output
    assert run("--fresh")[0] == 130
    assert (runs / "toy-2" / "search.json").exists()

    code, output = run("--resume")
    assert code == 130
    assert f"resuming {runs}/toy-2\n" in output

    other = ledgers.reopen_ledger(runs / "toy-2")
    code, output = run("--resume")
    assert code == 2
    assert "another process is running the search" in output
    other.close()
    (runs / "toy-2" / "study.journal").write_bytes(b"garbage\nmore\n{}\n")
    code, output = run("--resume")
    assert code == 130
    assert "study.journal is damaged" in output
    assert "written again from the trials" in output
