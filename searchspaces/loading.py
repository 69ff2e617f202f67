"""Find and load a space by name (`searchspaces/NAME.py`) or from a file of the user."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from searchspaces.calls import restore_predictor
from searchspaces.catalog import find_question, list_names, read_docstring
from searchspaces.overrides import build_config, describe_unknown
from searchspaces.space import SearchSpace
from searchspaces.user_code import describe, find_line
from searchspaces.user_file import execute_file
from trainables.arguments import read_path
from trainables.errors import UserError
from trainables.integrity import decode_json
from trainables.invocation import format_command
from trainables.predictor import Predictor
from trainables.run import Run
from trainables.vision import torchvision_operators  # noqa: F401 - a file may import torchvision

SHOWN = 300
"""Characters of a line of code in a message."""
EXITS = (
    "a space file is imported, and the command line is Tunery's: put what runs as a script, such "
    'as argparse, below `if __name__ == "__main__":`,\nand make its arguments fields of Config, '
    "which --set NAME=VALUE sets"
)
"""What to do about a file that ends the process while it is loaded."""


def load_space(name: str | SearchSpace[Any]) -> SearchSpace[Any]:
    """Load a space by name, or from a Python file of the user by its path; a space stays as it is.

    A space file is code and is executed. Raises UserError if it is missing or does not load.
    """
    if isinstance(name, SearchSpace):
        return name
    path = read_path("--space", name) if name.endswith(".py") else None
    module = _from_path(path) if path else _from_name(name)
    space = getattr(module, "SPACE", None)
    if not isinstance(space, SearchSpace):
        raise UserError(f"{module.__file__} defines no SPACE = SearchSpace(...)")
    question = find_question(module.__doc__ or read_docstring(Path(str(module.__file__))))
    file = str(path.resolve()) if path else ""
    return dataclasses.replace(space, name=Path(name).stem, file=file, question=question)


def load_trained(folder: Path, trust_code: bool = False) -> Predictor:
    """Load the best weights of a model that `trainables.train --out` wrote to a folder.

    Raises UserError if there is none, or if its space cannot restore it.
    """
    name, values = read_trained(folder, trust_code)
    space = load_space(name)
    if space.restore is None:
        raise UserError(
            f"the space {space.name} has no function restore, which loads the model in {folder}"
        )
    return restore_predictor(space, build_config(space, values), folder / "best")


def read_trained(folder: Path, trust_code: bool) -> tuple[str, dict[str, Any]]:
    """Read the space of a trained model and the values of its Config; run no code.

    Raises UserError if there is no model in the folder and, without `trust_code`, if its space is
    a file: that is code, which whoever made the folder has chosen.
    """
    path = folder / "config.json"
    try:
        training = read_training(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} contains no trained model: {path} cannot be read ({error})\n"
            f"{format_command('train')} --space NAME --out FOLDER writes one"
        ) from error
    name = str(training["space"])
    is_file = name.endswith(".py")
    if not is_file and name not in list_names():
        raise UserError(f"{path} names the space {name!r}, which is not one of Tunery's")
    if is_file and not trust_code:
        raise UserError(
            f"{path} names a space file: loading the model would execute {Path(name).absolute()}\n"
            "give --trust-code if you know that file and trust it"
        )
    return name, training["config"]


def read_training(path: Path) -> dict[str, Any]:
    """Return the `space`, the `teacher` and the `config` of a config.json.

    Versions before 0.2.0 wrote the fields of the Config beside the name of the space. Raises
    ValueError for a damaged file.
    """
    content = decode_json(path.read_bytes())
    if "space" not in content:
        raise ValueError("it names no space")
    is_flat = bool(content.keys() - {"space", "teacher", "config"})
    if is_flat or not isinstance(content.get("config"), dict):
        space, teacher = content.pop("space"), content.pop("--teacher", None)
        return {"space": space, "teacher": teacher, "config": content}
    return {"teacher": None, **content}


def load_teacher(run: Run) -> Predictor | None:
    """Load the model that `--teacher` names; return None without one."""
    return load_trained(run.teacher, run.trust_code) if run.teacher else None


def _from_name(name: str) -> ModuleType:
    if name not in list_names():
        raise UserError(
            describe_unknown("space", name, list_names())
            + "\nyour own space is named by its file: --space path/to/mine.py"
        )
    return _load(lambda: importlib.import_module(f"searchspaces.{name}"), name)


def _from_path(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"the space file {path} does not exist")
    return _load(lambda: execute_file(path), str(path.resolve()))


def _load(execute: Callable[[], ModuleType], name: str) -> ModuleType:
    try:
        return execute()
    except SyntaxError as error:
        line = (error.text or "").strip()[:SHOWN]
        raise UserError(
            f"the space file {error.filename or name} cannot be read, line {error.lineno or 1}: "
            f"{error.msg}"
            f"\n    {line}"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"the space {name} needs the package {error.name!r}: {error}{find_line(error, name)}"
        ) from error
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an exit, too
        raise UserError(
            f"the space {name} failed to load: {describe(error)}{find_line(error, name)}"
            f"\n{EXITS if isinstance(error, SystemExit) else '--debug shows the traceback'}"
        ) from error
