"""Any damage to a finished search: either a message and exit code 2 or 3, or nothing is different.

Files of a storage are deleted, cut, emptied, replaced, or one of their bits is flipped. Then its
report is written and the search is continued, in this process.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cluster.cli
import reports.__main__
from tests.support.examples import draw_examples
from tests.support.searches import check_agreement, describe_trials, read_ledger

LINES = """
SPACE = replace(
    SPACE, initial_configs=({"behave": "no_metric"}, {"behave": "nan"}), trials=4, reports=3
)
"""
KINDS = ("missing", "empty", "cut", "flipped", "replaced")


@dataclass(frozen=True)
class Damage:
    """Which file, counted from 0 and wrapping around, is damaged how and where, from 0 to 1."""

    file: int
    kind: str
    place: float
    bit: int = 0

    def apply(self, files: list[Path]) -> Path:
        """Damage one of the files, and return it."""
        path = files[self.file % len(files)]
        if not path.exists():  # another damage has deleted it
            return path
        content = bytearray(path.read_bytes())
        index = int(self.place * len(content))
        match self.kind:
            case "missing":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
            case "cut":
                path.write_bytes(content[:index])
            case "replaced":
                path.write_bytes(b"{}")
            case "flipped" if content:
                content[index] ^= 1 << self.bit
                path.write_bytes(content)
        return path


DAMAGES = st.builds(
    Damage,
    st.integers(0, 999),
    st.sampled_from(KINDS),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 7),
)


class Search:
    """A finished search of trials that completed, failed and diverged, and copies of it."""

    def __init__(self, folder: Path, space: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.space = space
        self.capsys = capsys
        self.numbers = itertools.count()
        assert self.search(folder / "intact" / "runs")[0] == 0
        self.trials = self.read_trials(folder / "intact" / "runs")
        code, _, self.text = self.report(folder / "intact" / "runs")
        assert code == 0

    def search(self, storage: Path, *more: str) -> tuple[int, str]:
        """Run or continue the search; return the exit code and what was printed."""
        words = ["--space", str(self.space), "--storage", str(storage), "--executor", "inline"]
        code = cluster.cli.main([*words, "--scheduler", "none", *more])
        return code, self._read_output()

    def report(self, storage: Path) -> tuple[int, str, str]:
        """Write a report; return the exit code, what was printed, and the report."""
        out = storage.parent / "report"
        words = ["toy", "--storage", str(storage), "--out", str(out), "--no-log"]
        code = reports.__main__.main(words)
        path = out / "report.md"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return code, self._read_output(), text.replace(str(storage), "runs")

    def read_trials(self, storage: Path) -> list[dict[str, Any]]:
        """Return what the ledger has of every trial, whatever the number of attempts."""
        trials = describe_trials(read_ledger(storage / "toy"))
        return [{**t, "attempts": None, "failures": t["failures"][-1:]} for t in trials]

    def check(self, damages: list[Damage]) -> tuple[int, int]:
        """Damage a copy, report and continue it; return both exit codes."""
        place = self.folder / str(next(self.numbers))
        storage = Path(shutil.copytree(self.folder / "intact", place)) / "runs"
        shutil.rmtree(place / "report")
        files = list_files(storage)
        damaged = [damage.apply(files) for damage in damages]
        reported, printed, text = self.report(storage)
        if reported == 0:
            assert text == self.text
        else:
            assert reported in (2, 3) and is_named(damaged, printed), printed
        continued, printed = self.search(storage, "--resume")
        if continued == 0:
            # Of a lost trial MLflow keeps the run: there it has the results that it had.
            if "its configuration is lost, too" not in printed or not is_named(damaged, printed):
                assert self.read_trials(storage) == self.trials
                ledger = read_ledger(storage / "toy")
                check_agreement(ledger, f"sqlite:///{storage / 'mlflow.db'}")
        else:
            assert continued in (2, 3) and is_named(damaged, printed), printed
        shutil.rmtree(place)
        return reported, continued

    def _read_output(self) -> str:
        output = self.capsys.readouterr()
        assert "Traceback" not in output.out + output.err
        return output.out + output.err


def list_files(storage: Path) -> list[Path]:
    """Return the files of a storage that can be damaged, in a fixed order."""
    files = (path for path in storage.rglob("*") if path.is_file())
    return sorted(path for path in files if not path.name.endswith(".lock"))


def is_named(damaged: list[Path], printed: str) -> bool:
    """Return whether a message names one of the files."""
    return any(path.name in printed for path in damaged)


@pytest.fixture
def finished(
    space_file: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Search:
    """Return a finished search; figures are drawn and not saved, which takes most of the time."""
    monkeypatch.setattr("reports.report.save_figure", lambda figure, folder, name: None)
    return Search(tmp_path, space_file(LINES), capsys)


def _run(finished: Search, examples: int) -> None:
    codes: Counter[tuple[int, int]] = Counter()

    @draw_examples(examples)
    @given(st.lists(DAMAGES, min_size=1, max_size=2))
    def check(damages: list[Damage]) -> None:
        codes[finished.check(damages)] += 1

    check()
    assert codes[0, 0] > examples / 20, codes
    assert codes.total() - codes[0, 0] > examples / 20, codes


def test_some_damage_is_named_or_changes_nothing(finished: Search) -> None:
    _run(finished, 6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_damage_is_named_or_changes_nothing(finished: Search) -> None:
    _run(finished, 60)
