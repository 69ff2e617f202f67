"""Space files of the user as modules, in this process and in those that a task spawns."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from searchspaces.user_file import PREFIX, execute_file, to_module_name

SPAWNING = """
import multiprocessing
from dataclasses import dataclass
import helper

@dataclass(frozen=True)
class Config:
    x: int = 1

def double(config):
    return Config(helper.double(config.x))

def run():
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        return pool.apply_async(double, (Config(21),)).get(60)
"""
RUNNING = """
import sys
from pathlib import Path
from searchspaces.user_file import execute_file

if __name__ == "__main__":
    module = execute_file(Path(sys.argv[1]))
    assert module.run() == module.Config(42)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_spawned_process_imports_what_a_space_file_defines(tmp_path: Path, method: str) -> None:
    folder = tmp_path / "of mine"
    for other in (folder, tmp_path / "elsewhere"):  # another file of that name is not taken
        other.mkdir()
        (other / "net[v2].x.py").write_text("raise SystemExit('the wrong file')")
        (other / "helper.py").write_text("double = lambda x: 2 * x")
    (folder / "net[v2].x.py").write_text(SPAWNING.format(method=method))
    script = tmp_path / "script.py"
    script.write_text(RUNNING)
    # In a process of its own: a test's would be started again by multiprocessing.
    command = [sys.executable, str(script), str(folder / "net[v2].x.py")]
    done = subprocess.run(
        command, cwd=tmp_path / "elsewhere", capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_an_object_of_a_space_file_can_be_pickled(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("class Thing:\n    pass\n")
    module = execute_file(path)
    name = module.__name__
    assert name == to_module_name(path) and name.startswith(PREFIX + "mine_")
    assert type(pickle.loads(pickle.dumps(module.Thing()))) is module.Thing
    del sys.modules[name]
    again = pickle.loads(pickle.dumps(execute_file(path).Thing()))
    assert type(again).__module__ == name


def test_a_file_is_executed_once_until_it_or_a_module_beside_it_changes(tmp_path: Path) -> None:
    file, helper, log = (tmp_path / name for name in ("once.py", "once_helper.py", "log.txt"))
    file.write_text(f"import once_helper\nprint('executed', file=open({str(log)!r}, 'a'))\n")
    helper.write_text("X = 1\n")
    module = execute_file(file)
    assert execute_file(file) is module
    assert log.read_text().count("executed") == 1
    helper.write_text("X = 2\n")
    assert execute_file(file).once_helper.X == 2
    assert log.read_text().count("executed") == 2
    file.write_text(file.read_text() + "1 / 0\n")
    for _ in range(2):  # one that fails is not taken for executed
        with pytest.raises(ZeroDivisionError):
            execute_file(file)


def test_a_module_that_no_file_has_is_missing() -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__(PREFIX + "none_00000000")


def test_a_file_that_changes_the_working_directory_changes_its_own_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "moving.py"
    file.write_text("import os\nos.chdir('elsewhere')\nHERE = os.getcwd()\n")
    assert Path(execute_file(file).HERE) == tmp_path / "elsewhere"
    assert Path.cwd() == tmp_path


def test_a_filter_of_warnings_that_a_file_sets_does_not_reach_the_libraries(
    tmp_path: Path,
) -> None:
    file = tmp_path / "strict.py"
    file.write_text("import warnings\nwarnings.simplefilter('error')\n")
    before = list(warnings.filters)
    execute_file(file)
    assert warnings.filters == before
