"""The source files of a space: its own, and the modules beside it that it imports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from searchspaces.loading import load_space
from searchspaces.source import hash_sources, read_sources
from tests.support.paths import ROOT, TRIVIAL
from trainables.errors import UserError

FILE = '''"""Which helper?"""

import math
from dataclasses import dataclass

import helper
from package import inner as other
from searchspaces import SearchSpace


@dataclass(frozen=True)
class Config:
    rate: float = helper.RATE


def train(config, run):
    from lazily import LATE
    for _ in run.resume():
        yield {"loss": config.rate + LATE + other.VALUE}


def suggest(trial):
    return {"rate": trial.suggest_float("rate", 0, 1)}


SPACE = SearchSpace(Config, train, suggest, metric="loss", mode="min", reports=1)
'''


def write(folder: Path, rate: float = 0.5) -> str:
    (folder / "package").mkdir(parents=True, exist_ok=True)
    (folder / "space.py").write_text(FILE)
    (folder / "helper.py").write_text(f"import deeper\nRATE = {rate} + deeper.ZERO\n")
    (folder / "deeper.py").write_text("ZERO = 0\n")
    (folder / "lazily.py").write_text("LATE = 0\n")
    (folder / "unused.py").write_text("raise SystemExit\n")
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "inner.py").write_text("from . import innermost\nVALUE = 0\n")
    (folder / "package" / "innermost.py").write_text("")
    return str(folder / "space.py")


def test_the_files_are_those_that_the_space_imports(tmp_path: Path) -> None:
    space = load_space(write(tmp_path))
    assert set(read_sources(space)) == {
        *("space.py", "helper.py", "deeper.py", "lazily.py"),
        *("package/__init__.py", "package/inner.py", "package/innermost.py"),
    }


def test_the_names_of_files_do_not_depend_on_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    (shared / "common").mkdir(parents=True)
    (shared / "common" / "__init__.py").write_text("from . import part\n")
    (shared / "common" / "part.py").write_text("")
    file = write(mine)
    (mine / "lazily.py").write_text("import common\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(shared)])
    before = hash_sources(load_space(file))
    assert {"package/innermost.py", "common/__init__.py", "common/part.py"} < before.keys()
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    assert hash_sources(load_space(file)) == before


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    space = load_space(write(tmp_path))
    before = hash_sources(space)
    assert hash_sources(space) == before
    (tmp_path / "deeper.py").write_text("ZERO = 1\n")
    after = hash_sources(space)
    assert {name for name in before if before[name] != after[name]} == {"deeper.py"}


def test_an_included_space_has_its_own_file() -> None:
    file = ROOT / "searchspaces" / "digits.py"
    assert read_sources(load_space("digits")) == {"digits.py": file.read_bytes()}


def test_modules_of_the_same_name_beside_two_spaces_do_not_mix(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", 0.1), write(tmp_path / "two", 0.2)
    assert load_space(one).config().rate == 0.1
    assert load_space(two).config().rate == 0.2
    assert load_space(one).config().rate == 0.1


def test_a_module_beside_with_the_name_of_a_loaded_one_is_named(tmp_path: Path) -> None:
    file = Path(write(tmp_path))
    file.write_text("import argparse\n" + file.read_text())
    (tmp_path / "argparse.py").write_text("")
    with pytest.raises(UserError, match=r"imports argparse(.|\n)*rename argparse.py"):
        load_space(str(file))


def test_an_import_in_a_function_finds_the_module_beside(tmp_path: Path) -> None:
    from trainables.run import Run

    space = load_space(write(tmp_path))
    assert list(space.train(space.config(), Run(reports=1))) == [{"loss": 0.5}]


def test_modules_of_other_folders_on_the_path_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "project" / "spaces" / "mine.py"
    file.parent.mkdir(parents=True)
    file.write_text(TRIVIAL.read_text() + "\nfrom common.score import FACTOR\n")
    common = tmp_path / "project" / "common"
    common.mkdir()
    (common / "__init__.py").touch()
    (common / "score.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "project")
    before = hash_sources(load_space(str(file)))
    assert "common/score.py" in before
    (common / "score.py").write_text("FACTOR = -1\n")
    after = hash_sources(load_space(str(file)))
    assert {name for name in before if before[name] != after[name]} == {"common/score.py"}
