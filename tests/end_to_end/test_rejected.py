"""Commands that are rejected: exit code 2, a message with the value, and nothing created."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.cli import main

SPACE = '''"""Is it rejected?"""
from dataclasses import dataclass
from searchspaces import SearchSpace

@dataclass(frozen=True)
class Config:
    seed: int = 0
    x: float = 0.5

def train(config, run):
    for r in run.resume():
        yield {"loss": config.x}

def suggest(trial):
    return {"x": trial.suggest_float("x", 0.0, 1.0)}

SPACE = SearchSpace(Config, train, suggest, metric="loss", mode="min", reports=3, trials=2)
'''
SUGGESTED = 'trial.suggest_float("x", 0.0, 1.0)'
CASES = {
    "mode": ('mode="min"', 'mode="maximize"', "mode='maximize'"),
    "reports": ("reports=3", "reports=3.0", "reports=3.0"),
    "min_reports": ("reports=3", "reports=3, min_reports=0", "min_reports=0"),
    "unknown field": ("reports=3", "reports=3, grace=1", "argument 'grace'"),
    "compare": ("reports=3", "reports=3, compare=('nope',)", "unknown hyperparameter 'nope'"),
    "no dataclass": ("@dataclass(frozen=True)", "", "a class with @dataclass(frozen=True)"),
    "no annotation": ("x: float", "x: object = abs; y: float", "Config.x"),
    "suggest raises": (SUGGESTED, "1 / 0", "suggest of mine raised ZeroDivisionError"),
    "suggest raises late": (
        "    return {",
        '    if trial.suggest_float("x", 0.0, 1.0) > 0.6:\n        raise ValueError("late")\n'
        "    return {",
        "suggest of mine raised ValueError: late",
    ),
    "no such method": (SUGGESTED, "trial.suggest_it()", "'Trial' object has no attribute"),
    "unknown parameter": ('{"x"', '{"zz"', "unknown hyperparameter 'zz'"),
    "low above high": ("0.0, 1.0", "1.0, 0.0", "parameter 'x': `low <= high` must hold"),
    "log from 0": ("0.0, 1.0", "0.0, 1.0, log=True", "parameter 'x'"),
    "two kinds": (
        "    return {",
        '    if trial.suggest_categorical("k", [0, 1]):\n'
        '        return {"x": float(trial.suggest_int("x", 0, 1))}\n    return {',
        "parameter 'x': suggest_float in one branch, suggest_int in another",
    ),
    "feasible": ("reports=3", "reports=3, feasible=lambda c: 1 / 0", "feasible of mine raised"),
    "exit": ("@dataclass", "raise SystemExit(0)\n@dataclass", "failed to load: SystemExit: 0"),
    "control characters": (
        "    return {",
        '    raise ValueError("\\x1b[31m" + chr(0))\n    return {',
        "ValueError: \\x1b[31m\\x00",
    ),
}


@pytest.mark.parametrize("compared", [(), ("--compare", "x=0.1,0.2")])
@pytest.mark.parametrize("case", CASES)
def test_a_wrong_space_is_rejected_before_anything_is_created(
    case: str,
    compared: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new, words = CASES[case]
    assert old in SPACE
    Path("mine.py").write_text(SPACE.replace(old, new, 1))
    assert main(["--space", "mine.py", "--executor", "inline", *compared]) == 2
    error = capsys.readouterr().err
    assert words in error and "mine" in error
    assert len(error.splitlines()) <= 3 and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--weights-dir", "none"), "--weights-dir none is not a folder"),
        (("--storage", "ftp://host/runs"), "--storage ftp://host/runs is no address"),
        (("--confirm", "1"), "there is no search of mine in"),
        (("--set", "x=fast"), "x"),
        (("--set", "y=1"), "unknown hyperparameter 'y'"),
        (("--seeds", "2"), "mine has no arms to repeat"),
    ],
)
def test_a_wrong_option_is_rejected_and_named(
    options: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(SPACE)
    assert main(["--space", "mine.py", "--executor", "inline", *options]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) <= 3
    assert not list(tmp_path.glob("*/*"))
