"""Any space, right or wrong: either a message and exit code 2, or ledger, MLflow and report agree.

Spaces, their names, their metrics and the values that they report are drawn at random, many of
them wrong or unusual; each is searched in this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cli import main
from cluster.ledger.ledger import reopen_ledger
from cluster.ledger.newest import find_newest
from tests.support.examples import draw_examples
from tests.support.searches import check_agreement

# A field of the Config, its default, and what `suggest` returns for it: right and wrong ones.
FIELDS = [
    ("float", "0.5", "trial.suggest_float({name!r}, 0.0, 1.0)"),
    ("float", "0.0", "trial.suggest_float({name!r}, 1e-4, 1.0, log=True)"),
    ("float", "1", "np.float32(trial.suggest_float({name!r}, 0.0, 2.0, step=0.5))"),
    ("float", "0.1", "10 ** trial.suggest_float({name!r}, -3, 0)"),
    ("int", "64", "32 * trial.suggest_int({name!r}, 1, 8)"),
    ("int", "2", "trial.suggest_int('log2.' + {name!r}, 1, 4) ** 2"),
    ("int", "3", "trial.suggest_int({name!r}, 1, 4)"),
    ("int | None", "None", "trial.suggest_categorical({name!r}, [None, 1, 2])"),
    ("bool", "True", "trial.suggest_categorical({name!r}, [True, False])"),
    (
        "str",
        "'a'",
        "trial.suggest_categorical({name!r}, ['a', '$x_{{', '[/b]', '日本 #1', '|<b>'])",
    ),
    ("str | None", "'none'", "trial.suggest_categorical({name!r}, ['none', 'None', None, '1'])"),
    ("str", "'x' * 9000", "None or 'y' * 9000"),
    ("tuple[int, ...]", "(8, 8)", "trial.suggest_categorical({name!r}, [(8, 8), (16,)])"),
    (
        "tuple[int, ...]",
        "(4,)",
        "tuple(trial.suggest_int(f'units.{{i}}', 1, 9) "
        "for i in range(trial.suggest_int('depth', 1, 3)))",
    ),
    ("Kind", "Kind.ONE", "trial.suggest_categorical({name!r}, list(Kind))"),
    ("Inner", "Inner()", "Inner(trial.suggest_int({name!r}, 1, 3))"),
    ("Path", "Path('a/b')", "Path(trial.suggest_categorical({name!r}, ['a', 'b c']))"),
    ("Literal['s', 1]", "1", "trial.suggest_categorical({name!r}, ['s', 1])"),
    ("float", "0.5", "float(np.float64(0.25))"),
    # Wrong ones.
    ("object", "abs", "abs"),
    ("float", "None", "0.5"),
    ("int", "1", "trial.suggest_float({name!r}, 0.1, 0.9)"),
    ("float", "0.5", "trial.suggest_float({name!r}, 1.0, 0.0)"),
    ("float", "0.5", "trial.suggest_float({name!r}, 0.0, 1.0, log=True)"),
    ("float", "0.5", "1 / 0"),
    ("object", "(1, 2)", "(1, 2)"),
    ("int", "1", "trial.suggest_categorical({name!r}, [1, abs])"),
]
NAMES = ["x", "learning_rate", "score", "metrics", "trial", "param", "größe", "class_", "kind"]
METRICS = [
    *("loss", "score", "report", "parameters", "device_seconds", "best_report", "acc@1", "a//b"),
    *(
        "../../etc",
        "f1 (macro)",
        "日本",
        "tunery.score",
        "x" * 300,
        "a b",
        "50%",
        "%",
        ":40:",
        ".",
    ),
    *("trial", "/a", "a/", "'quoted'", '"', "A", "a", ""),
]
VALUES = ["config_number", "-1.0", "0", "1e308", "float('nan')", "float('inf')", "np.float32(2)"]
WRONG_VALUES = ["'text'", "None", "[1]", "1j"]
SPACES = [
    "plain",
    "net[v2]",
    "it's",
    "my space",
    "Default",
    "日本",
    "a.b",
    "plain-2",
    "50%41",
    "{x}",
]
FIELDS_OF_THE_SPACE = [
    *("mode='maximize'", "reports=2.0", "reports=0", "trials=0", "compare='x'", "arms=({},)"),
    *("compare=('nope',)", "min_reports=0", "feasible=lambda config: 1 / 0", "metric=''"),
    *("initial_configs=({'nope': 1},)", "resources={'cpu': 'many'}", "seeds=0"),
]


@dataclass(frozen=True)
class AnySpace:
    """A space file: its name and text, and the searched metric."""

    name: str
    text: str
    metric: str


@st.composite
def spaces(draw: st.DrawFn) -> AnySpace:
    """Draw a space; about half of them are right."""
    right = draw(st.booleans())
    fields = FIELDS[: FIELDS.index(("object", "abs", "abs"))] if right else FIELDS
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    chosen = [(name, *draw(st.sampled_from(fields))) for name in names]
    metric = draw(st.sampled_from(METRICS[:-1] if right else METRICS))
    others = draw(st.lists(st.sampled_from(METRICS[:-1]), max_size=3, unique=True))
    values = VALUES if right else [*VALUES, *WRONG_VALUES]
    reported = {name: draw(st.sampled_from(values)) for name in (metric, *others)}
    if draw(st.booleans()):
        reported[metric] = "config_number + run.done"
    extra = "" if right else draw(st.sampled_from(["", *FIELDS_OF_THE_SPACE]))
    rejecting = draw(st.sampled_from(["pass", "assert config_rate(self) < 0.9, 'too large'"]))
    text = f"""'''Does it agree?'''

import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from searchspaces import SearchSpace


class Kind(enum.Enum):
    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Inner:
    width: int = 2


def config_rate(config):
    return float(config.rate)


@dataclass(frozen=True)
class Config:
    rate: float = 0.5
    seed: int = 0
{chr(10).join(f"    {name}: {kind} = {default}" for name, kind, default, _ in chosen)}

    def __post_init__(self):
        {rejecting}


def train(config, run):
    for _ in run.resume():
        config_number = config.rate
        yield {{{", ".join(f"{name!r}: {value}" for name, value in reported.items())}}}


def suggest(trial):
    return {{
        "rate": trial.suggest_float("rate", 0.0, 1.0),
        {", ".join(f"{n!r}: {asked.format(name=n)}" for n, _, _, asked in chosen)}
    }}


SPACE = SearchSpace(**{{
    **dict(config=Config, train=train, suggest=suggest, metric={metric!r}),
    **dict(mode={draw(st.sampled_from(["min", "max"]))!r}, reports=2, trials=3),
    **dict({extra}),
}})
"""
    return AnySpace(draw(st.sampled_from(SPACES)), text, metric)


def check_any_space(space: AnySpace, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Search a space, and check the message or the agreement; return the exit code."""
    path = folder / f"{space.name}.py"
    path.write_text(space.text, encoding="utf-8")
    words = ["--space", str(path), "--storage", str(folder / "runs"), "--executor", "inline"]
    code = main([*words, "--fresh", "--sampler", "random"])
    output = capsys.readouterr()
    assert "Traceback" not in output.err + output.out
    if code == 2:
        assert str(path) in output.err or space.name in output.err
        assert len(output.err.strip().splitlines()) <= 6
        return code
    assert code in (0, 1), output.err + output.out
    newest = find_newest(folder / "runs", space.name)
    assert newest is not None
    ledger = reopen_ledger(newest)
    try:
        assert ledger.finished
        check_agreement(ledger, f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    finally:
        ledger.close()
    if code == 0:  # nothing left to do: it is read again as it was written
        assert main([*words, "--resume"]) == 0
        capsys.readouterr()
    return code


SHARED = 20
"""Searches in one storage: in one of hundreds, most of the time goes into reading the others."""


def _run(tmp_path: Path, capsys: pytest.CaptureFixture[str], examples: int) -> None:
    codes: dict[int, int] = {}

    @draw_examples(examples)
    @given(spaces())
    def check(space: AnySpace) -> None:
        folder = tmp_path / f"{sum(codes.values()) // SHARED}"
        folder.mkdir(exist_ok=True)
        code = check_any_space(space, folder, capsys)
        codes[code] = codes.get(code, 0) + 1

    check()
    assert codes.get(0, 0) > examples / 10
    assert codes.get(2, 0) > examples / 10


def test_some_spaces_agree_or_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tmp_path, capsys, 12)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_spaces_agree_or_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tmp_path, capsys, 500)
