"""What is wrong with a space is one message, before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchspaces.catalog import list_names
from searchspaces.check import check_space
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from trainables.errors import UserError

FILE = '''"""Is it checked?"""

import enum
import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from searchspaces import Published, SearchSpace


@dataclass(frozen=True)
class Config:
    seed: int = 0
    rate: float = 0.5
    layers: tuple[int, ...] = (8, 8)
    {config}


def train(config, run):
    for _ in run.resume():
        yield {{"loss": config.rate}}


def suggest(trial):
    {suggest}


SPACE = SearchSpace(Config, train, suggest, **{{
    **dict(metric="loss", mode="min", reports=3, trials=2), {fields}
}})
'''
SUGGEST = 'return {"rate": trial.suggest_float("rate", 0.0, 1.0)}'

Write = Callable[..., SearchSpace[Any]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a space file and loads it."""

    def make(suggest: str = SUGGEST, config: str = "", fields: str = "") -> SearchSpace[Any]:
        path = tmp_path / "mine.py"
        path.write_text(FILE.format(suggest=suggest, config=config, fields=fields))
        return load_space(str(path))

    return make


@pytest.mark.parametrize("name", list_names())
def test_every_space_is_right(name: str) -> None:
    check_space(load_space(name))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("'mode': 'maximize'", 'mode=\'maximize\' .* is not "min" or "max"'),
        ("'metric': ''", "metric='' .* is not the name of a metric"),
        ("'metric': 5", "metric=5 .* is not the name"),
        ("'reports': 3.0", "reports=3.0 .* is not a whole number above 0"),
        ("'reports': 0", "reports=0 "),
        ("'reports': True", "reports=True "),
        ("'min_reports': 0", "min_reports=0 "),
        ("'trials': -1", "trials=-1 "),
        ("'seeds': 1.5", "seeds=1.5 "),
        ("'compare': 'rate'", "compare='rate' .* is not a tuple"),
        ("'compare': ('nope',)", "compare of mine .*unknown hyperparameter 'nope'"),
        ("'arms': {'rate': 1.0}", "arms=.* is not a tuple"),
        ("'arms': ({},)", "arms=.* none of them empty"),
        ("'arms': ({'ratee': 1.0},)", "arms of mine .*'ratee': did you mean rate"),
        ("'arms': ({'rate': 'fast'},)", "arms of mine .*rate: 'fast' is not of type float"),
        ("'initial_configs': ({'layers': (8, 'x')},)", "initial_configs .*'x' is not of type int"),
        ("'initial_configs': ({'rate': abs},)", "initial_configs .*cannot be written"),
        ("'published': (0.5,)", "published=.* is not a tuple"),
        ("'published': (Published('a', 1, 'loss', of={'x': 1}),)", "published .*'x'"),
        ("'published': (Published('a', math.nan, 'loss'),)", "published=.* finite values"),
        ("'published': (Published('a', 1.0, None),)", "published=.* texts for setting"),
        ("'teacher_defaults': {'x': 1}", "teacher_defaults .*'x'"),
        ("'resources': {'gpus': 1}", "resources=.* is not numbers for"),
        ("'resources': {'cpu': -1}", "resources=.* not below 0"),
        ("'feasible': 'yes'", "feasible='yes' .* is not a function, or None"),
        ("'feasible': lambda config: 1 / 0", r"feasible of mine raised ZeroDivision.*line \d+\)"),
        ("'feasible': lambda config: False", "feasible of mine .* returns False, not a reason"),
    ],
)
def test_a_field_of_the_space_is_named_with_its_value(
    write: Write, fields: str, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        check_space(write(fields=fields))
    assert "mine.py" in str(error.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("f: object = abs", "Config.f .* default <built-in function abs> cannot be stored"),
        ("f: float = None", r"Config.f .*None is not of type float(.|\n)*int \| None"),
        ("f: int = 'a'", "Config.f .*'a' is not of type int"),
        ("f: object = (1, 2)", r"Config.f .*read back as \[1, 2\](.|\n)*tuple\[int"),
        ("f: 'Missing' = 1", r"the annotation f: 'Missing' cannot be read: NameError"),
        ("f: int", "default argument|failed to load"),
        (
            "def __post_init__(self): object.__setattr__(self, 'rate', self.rate / 2)",
            "changes rate=0.125 to 0.0625 when it is built again",
        ),
        (
            "i: float = field(default_factory=lambda: float(np.random.rand()))",
            "Config.i .* its default differs from call to call",
        ),
        ("g: object = field(default_factory=lambda: 1 / 0)", r"Config\(\).* ZeroDivision"),
    ],
)
def test_a_field_of_the_config_is_named(write: Write, config: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_space(write(config=config))


@pytest.mark.parametrize(
    "config",
    [
        "f: object = np.float32(1.5)",
        "f: float = math.inf",
        "f: float = math.nan",
        "f: tuple = (8, 8)",
        "f: dict[str, int] = field(default_factory=dict)",
        "f: int | None = None",
        "f: float = 1",
        "f: Any = None",
    ],
)
def test_a_value_that_can_be_stored_is_right(write: Write, config: str) -> None:
    check_space(write(config=config))


def test_a_config_that_is_no_dataclass_is_rejected(write: Write) -> None:
    with pytest.raises(UserError, match=r"config=.* is not a class with @dataclass"):
        check_space(replace(write(), config=dict))


@pytest.mark.parametrize(
    ("suggest", "words"),
    [
        ("return {'rate': 1 / 0}", r"suggest of mine raised ZeroDivisionError.*mine.py, line \d+"),
        ("sys.exit(0)", "suggest of mine raised SystemExit"),
        ("return 0.5", "suggest of mine .*returns 0.5, not a dict"),
        ("return None", "suggest of mine .*returns None, not a dict"),
        ("yield {}", "suggest of mine .*not a dict"),
        (
            "return {'zz': trial.suggest_float('zz', 0, 1)}",
            "returns an unknown hyperparameter 'zz'",
        ),
        ("return {'rate': trial.suggest_float('rate', 1.0, 0.0)}", "parameter 'rate': .*low"),
        (
            "return {'rate': trial.suggest_float('rate', 0, 1, log=True)}",
            "parameter 'rate': .*log",
        ),
        ("return {'rate': trial.suggest_float('rate', math.nan, 1)}", "parameter 'rate'"),
        ("return {'rate': trial.suggest_float('rate', -1e308, 1e308)}", "rate': its range from"),
        (
            "while trial.suggest_categorical('same', [True, False]): pass\n    return {}",
            "'same' .*|asks for more than 10,000 parameters",
        ),
        (
            "n = 0\n    while trial.suggest_int(f'more{n}', 0, 10**9): n += 1\n    return {}",
            "asks for more than 10,000 parameters",
        ),
        ("return {'rate': trial.suggest_categorical('r', [])}", "parameter 'r': .*choices"),
        ("return {'rate': trial.suggest_categorical('r', [1, True])}", "choices 1 and True are"),
        ("return {'rate': trial.suggest_categorical('r', [abs])}", "'r': .*cannot be written"),
        ("return {'rate': trial.suggest_float('', 0, 1)}", "'' is not the name of a parameter"),
        ("return {'rate': trial.report(1, 1)}", "no attribute 'report'"),
        ("return {'rate': 'fast'}", "suggest of mine returns rate='fast'.*not of type float"),
        ("return {'layers': (1, 2.5)}", "suggest of mine returns layers=.*2.5 is not of type int"),
        ("return {'rate': abs}", "suggest of mine .*rate: .*cannot be written"),
        (
            "k = trial.suggest_categorical('k', ['a', 'b'])\n"
            "    ask = trial.suggest_float if k == 'a' else trial.suggest_int\n"
            "    return {'rate': float(ask('rate', 0, 9))}",
            "'rate': suggest_.* in one branch, suggest_.* in another",
        ),
        (
            "k = trial.suggest_categorical('k', ['a', 'b'])\n"
            "    n = trial.suggest_categorical('n', [1, 2] if k == 'a' else [3])\n"
            "    return {'rate': float(n)}",
            r"'n': the choices .* in one branch",
        ),
    ],
)
def test_what_suggest_does_wrong_is_named(write: Write, suggest: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_space(write(suggest=suggest))


@pytest.mark.parametrize(
    "suggest",
    [
        "return {'rate': 2.0 ** -trial.suggest_int('exponent', 1, 9)}",
        "return {'rate': trial.suggest_float('rate', 0, 1) + 0 * trial.number}",
        "return {'rate': np.float32(trial.suggest_float('rate', 0, 1))}",
        "return {'layers': tuple(trial.suggest_int(f'units.{i}', 4, 64) "
        "for i in range(trial.suggest_int('depth', 1, 3)))}",
        "return {'layers': trial.suggest_categorical('layers', [(8, 8), (16,)])}",
        "lr = trial.suggest_float('lr', 1e-4, 1e-1, log=True)\n    return {'rate': lr * 2}",
        "d = trial.suggest_int('d', 1, 4)\n    return {'rate': trial.suggest_float('rate', 0, d)}",
        "return {}",
        "n = 0\n    while trial.suggest_categorical(f'more{n}', [True, False]): n += 1\n"
        "    return {'seed': n}",
    ],
)
def test_parameters_need_not_be_fields(write: Write, suggest: str) -> None:
    check_space(write(suggest=suggest))


def test_values_that_the_config_rejects_are_no_error_of_the_space(write: Write) -> None:
    strict = "def __post_init__(self): assert self.rate < 0.8, 'too fast'"
    check_space(write(config=strict))
    with pytest.raises(UserError, match="too fast"):
        check_space(write(config=strict), {"rate": 0.9})


def test_a_large_space_is_not_asked_for_every_combination(write: Write) -> None:
    fields = "\n    ".join(f"h{n}: float = 0.5" for n in range(300))
    space = write(
        "return {f'h{n}': trial.suggest_float(f'h{n}', 0, 1) for n in range(300)} | "
        "{'rate': trial.suggest_categorical('c', [n / 1000 for n in range(1000)])}",
        config=fields,
    )
    calls = []
    check_space(replace(space, suggest=lambda trial: calls.append(1) or space.suggest(trial)))
    assert len(calls) < 200
