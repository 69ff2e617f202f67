"""Loading a space, and parsing values for it from the command line."""

from __future__ import annotations

import enum
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from searchspaces.catalog import list_names
from searchspaces.loading import load_space
from searchspaces.overrides import build_config, parse_overrides
from searchspaces.space import SearchSpace
from tests.support.paths import ROOT
from trainables.errors import UserError
from trainables.models.separable import separable_cnn
from trainables.tasks import svhn_separable

MINE = '''"""Is one number
better than another?

More is not said.
"""
from dataclasses import dataclass
from searchspaces.space import SearchSpace

@dataclass(frozen=True)
class Config:
    rate: float = 0.1

def train(config, run):
    yield {"score": config.rate}

SPACE = SearchSpace(Config, train, lambda trial: {}, "score", "max", reports=1)
'''


def test_the_question_of_a_space_is_known_without_docstrings(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    script = "import sys; from searchspaces.loading import load_space as load; "
    script += "print(load(sys.argv[1]).question)"
    words = [sys.executable, "-OO", "-c", script, str(tmp_path / "mine.py")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Is one number better than another?\n"


def _get_error(name: str) -> str:
    with pytest.raises(UserError) as caught:
        load_space(name)
    return str(caught.value)


def test_a_script_that_reads_the_command_line_is_told_how_to_become_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "script.py"
    path.write_text(f"{MINE}\nimport argparse\nargparse.ArgumentParser().parse_args()\n")
    monkeypatch.setattr(sys, "argv", ["tune", "--space", str(path)])
    message = _get_error(str(path))
    assert "failed to load: SystemExit: 2" in message and f"({path}, line 19)" in message
    assert "argparse" in message and "fields of Config" in message


def test_names_are_those_of_the_files() -> None:
    assert list_names() == sorted(list_names())
    assert "digits" in list_names() and not [name for name in list_names() if name.startswith("_")]
    assert load_space("digits").name == "digits"


@pytest.mark.parametrize("name", ["digit", "svhn_15k", "Digits"])
def test_an_unknown_name_suggests_similar_ones(name: str) -> None:
    near = "svhn_150k" if "svhn" in name else "digits"
    message = _get_error(name)
    assert f"unknown space {name!r}: did you mean {near}" in message
    assert "--space path/to/mine.py" in message


def test_a_name_without_similar_ones_lists_all() -> None:
    message = _get_error("qqqqqq")
    assert "did you mean" not in message
    assert all(name in message for name in list_names())


def test_a_file_of_the_user_is_loaded_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    space = load_space(str(path))
    assert (space.name, space.question) == ("mine", "Is one number better than another?")
    assert parse_overrides(space, ["rate=0.5"]) == {"rate": 0.5}
    path.write_text(MINE.replace("0.1", "0.7"))
    assert load_space(str(path)).config().rate == 0.7


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.py") in _get_error(str(tmp_path / "none.py"))
    (tmp_path / "folder.py").mkdir()
    assert "folder.py" in _get_error(str(tmp_path / "folder.py"))


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE.replace("yield {", "yield {{"))
    message = _get_error(str(path))
    assert str(path) in message
    assert "line 14" in message
    assert 'yield {{"score": config.rate}' in message
    path.write_text(f"x = 1 1  # {'long ' * 2000}")
    assert len(_get_error(str(path))) < 400 + len(str(path))


def test_a_file_without_a_space(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    for source in ("", "SPACE = 3"):
        path.write_text(source)
        message = _get_error(str(path))
        assert str(path) in message and "SPACE = SearchSpace(...)" in message


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import no_such_package_here\n")
    assert "needs the package 'no_such_package_here'" in _get_error(str(path))


def test_the_error_of_a_failing_file_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("{}['rate']\n")
    message = _get_error(str(path))
    assert str(path) in message and "KeyError: 'rate'" in message and "--debug" in message


class Level(enum.Enum):
    """Two names with numbers."""

    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Config:
    """One field of every kind."""

    kernels: Literal["3", "5", "3+5"] = "3"
    groups: Literal[1, 2] = 1
    skip: bool = False
    depth: int = 2
    rate: float = 0.1
    name: str = "x"
    limit: int | None = None
    sizes: tuple[int, ...] = (1,)
    level: Level = Level.LOW

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0, not {self.rate}")


TYPES: SearchSpace[Any] = SearchSpace(
    Config, lambda config, run: iter(()), lambda trial: {}, "score", "max", 1, name="types"
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("kernels=3+5", "3+5"),
        ("kernels=5", "5"),
        ("groups=2", 2),
        ("skip=true", True),
        ("skip=False", False),
        ("depth=7", 7),
        ("depth=-7", -7),
        ("rate=3", 3.0),
        ("rate=1e-3", 1e-3),
        ("name=", ""),
        ("name=a=b", "a=b"),
        ("name=3", "3"),
        ("limit=none", None),
        ("limit=4", 4),
        ("sizes=[3, 5]", (3, 5)),
        ("level=HIGH", Level.HIGH),
    ],
)
def test_a_value_is_parsed_by_the_type_of_its_field(text: str, value: Any) -> None:
    (parsed,) = parse_overrides(TYPES, [text]).values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kernels=7", ["kernels='7'", "3, 5, 3+5"]),
        ("groups=3", ["groups='3'", "1, 2"]),
        ("skip=maybe", ["skip='maybe'", "bool"]),
        ("skip=1", ["skip='1'", "bool"]),
        ('skip="no"', ["skip=", "bool"]),
        ("depth=1.5", ["depth='1.5'", "int"]),
        ("depth=", ["depth=''", "int"]),
        ("rate=fast", ["rate='fast'", "float"]),
        ("rate=nan", ["rate='nan'", "finite"]),
        ("rate=-inf", ["rate='-inf'", "finite"]),
        ("limit=some", ["limit='some'", "int"]),
        ("sizes=3,5", ["sizes='3,5'", "tuple", "write it as JSON, such as sizes='[1, 2]'"]),
        ("level=2", ["level='2'", "choose one of LOW, HIGH"]),
        ("sizes=3", ["sizes='3'", "tuple"]),
        ("rate=-1", ["types", "rate=-1.0", "above 0"]),
        ("rats=1", ["unknown hyperparameter 'rats'", "did you mean rate?"]),
        ("depth", ["'depth'", "name=value"]),
        ("=3", ["unknown hyperparameter ''"]),
    ],
)
def test_an_invalid_value_is_shown_with_the_options(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_overrides(TYPES, [text])
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_values_are_checked_together_and_each_is_set_once() -> None:
    assert parse_overrides(TYPES, ["depth=1", "rate=2"]) == {"depth": 1, "rate": 2.0}
    with pytest.raises(UserError, match="'rate=2': rate has been set before"):
        parse_overrides(TYPES, ["depth=1", "rate=1", "rate=2"])
    assert parse_overrides(TYPES, []) == {}


def test_a_config_is_built_or_the_error_is_explained() -> None:
    assert build_config(TYPES, {"depth": 5}) == Config(depth=5)
    with pytest.raises(UserError, match="did you mean depth"):
        build_config(TYPES, {"depht": 5})
    with pytest.raises(UserError, match="above 0, not -1"):
        build_config(TYPES, {"rate": -1})


ILLEGAL = {
    "digits": [
        "learning_rate=0",
        "learning_rate=nan",
        "weight_decay=-1",
        "dropout=1",
        "label_smoothing=2",
        "width=0",
        "epochs=0",
        "shift=8",
        "shift=-1",
    ],
    "svhn_150k": [
        "learning_rate=-1",
        "learning_rate=inf",
        "weight_decay=nan",
        "momentum=1",
        "label_smoothing=-0.1",
        "dropout=2",
        "batch_size=0",
        "shift=32",
        "head=-1",
        "stem=0",
        "growth=-40",
        "halve=5",
        "depths=a-b",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(n, text) for n in ILLEGAL for text in ILLEGAL[n]])
def test_invalid_values_of_a_space_are_rejected(name: str, text: str) -> None:
    with pytest.raises(UserError, match=text.partition("=")[0]):
        parse_overrides(load_space(name), [text])


def test_every_kernel_needs_a_channel() -> None:
    space = load_space("svhn_150k")
    with pytest.raises(UserError, match="a channel each"):
        parse_overrides(space, ["kernels=3+5+7", "stem=2"])
    assert parse_overrides(space, ["kernels=3+5+7", "stem=3"])["stem"] == 3


def test_the_published_network_of_svhn_150k_is_as_large_as_published() -> None:
    space = load_space("svhn_150k")
    network = svhn_separable.build_network(svhn_separable.Config(**space.initial_configs[1]))
    assert sum(weight.numel() for weight in network.parameters()) == 124_180
    head = network[-1]
    assert isinstance(head, torch.nn.Linear)
    assert head.in_features == 3 * 3 * 196


def test_svhn_150k_is_infeasible_above_150000_parameters() -> None:
    space = load_space("svhn_150k")
    assert space.feasible is not None
    assert space.feasible(space.config()) is None
    with torch.device("meta"):
        size = sum(weight.numel() for weight in separable_cnn(width=80).parameters())
    assert space.feasible(space.config(width=80)) == f"{size:,} parameters, over 150,000"
