"""A disk that fills up while a search runs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.searches import assert_mlflow_equals_ledger, read_ledger

SpaceFile = Callable[..., Path]


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
        code, output = tune(*words)
        assert code == 2, output
        assert "the search cannot write" in output
        assert "No space left on device" in output
        assert "--resume" in output
        assert "Traceback" not in output
        filler.unlink()
        code, output = tune(*words, "--resume")
        assert code == 0, output
        trial_logs = read_ledger(storage / "toy").trial_logs.values()
        assert [(s.outcome, s.done) for s in trial_logs] == [("complete", 4)] * 3
        assert_mlflow_equals_ledger(storage)
    finally:
        subprocess.run(["umount", "--lazy", storage], check=True)  # MLflow keeps its file open
