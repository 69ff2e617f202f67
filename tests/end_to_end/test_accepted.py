"""Unusual spaces that work: whole searches, whose ledger has the values that are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.searches import read_ledger

SPACE = '''"""Is it accepted?"""
import math
from dataclasses import dataclass
from searchspaces import SearchSpace

@dataclass(frozen=True)
class Config:
    x: {annotation} = {default}

def train(config, run):
    for r in run.resume():
        yield {{"loss": float(r), **{metrics}}}

def suggest(trial):
    return {{"x": {suggested}}}

SPACE = SearchSpace(Config, train, suggest, metric="loss", mode="min", reports=2, trials=12)
'''
ONE, TWO = "trial.suggest_int('x', 1, 1)", "trial.suggest_categorical('x', [(8, 8), (16,)])"
CODES = r"trial.suggest_categorical('x', ['\x1b[2J', '\x9b\r'])"
STEPS = "trial.suggest_float('x', 0.0, 0.3, step=0.1)"
CASES: dict[str, tuple[str, str, str, str, list[Any], str]] = {
    # annotation, default, what is suggested, other metrics, all values, a line of the output
    "one": ("int", "1", ONE, "{}", [1], "the only configuration of mine was tried"),
    "tuples": ("tuple", "(8, 8)", TWO, "{}", [[8, 8], [16]], "all 2 configurations of mine were"),
    "steps": ("float", "0.0", STEPS, "{}", [0.0, 0.1, 0.2, 0.3], "all 4 configurations of mine"),
    "number": ("int", "0", "trial.number * 0", "{}", [0], "the only configuration of mine was"),
    "NaN": ("int", "1", ONE, "{'f1': math.nan}", [1], "000 complete loss 0"),
    "@": ("int", "1", ONE, "{'acc@1': 1, 'a//b': 2}", [1], "metric 'acc@1' is written to MLflow"),
    "control": (
        "str",
        r"'\x9b\r'",
        CODES,
        r"{'\x1b[31m': 1}",
        ["\x1b[2J", "\x9b\r"],
        r"x=\x1b[2J",
    ),
    "own": ("int", "1", ONE, "{'score': -9, 'device_seconds': 1}", [1], "000 complete loss 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_unusual_space_is_searched(
    case: str, tune_inline: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    names = ("annotation", "default", "suggested", "metrics")
    *parts, values, line = CASES[case]
    path = tmp_path / "mine.py"
    path.write_text(SPACE.format(**dict(zip(names, parts, strict=True))))
    code, output = tune_inline("--space", path, "--scheduler", "none")
    assert code == 0, output
    assert line in output
    assert not {"\x1b", "\x9b", "\r"} & set(output)  # what a terminal would obey
    logs = read_ledger(tmp_path / "runs" / "mine").trial_logs
    found = [log.config["x"] for log in logs.values()]
    assert sorted(found, key=str) == sorted(values, key=str)
    assert {log.outcome for log in logs.values()} == {"complete"}
    code, output = tune_inline("--space", path, "--resume")  # nothing is left to do
    assert code == 0 and len(read_ledger(tmp_path / "runs" / "mine").trial_logs) == len(values)
