"""Find and load a space by name (`searchspaces/NAME.py`) or from a file of the user."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from searchspaces.overrides import build_config, describe_unknown
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.predictor import Predictor
from trainables.run import Run


def list_names() -> list[str]:
    """Return the names of the included spaces: the files here that define SPACE."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    defined = re.compile(r"^SPACE\b", re.MULTILINE)
    return [path.stem for path in files if defined.search(path.read_text(encoding="utf-8"))]


def load_space(name: str) -> SearchSpace[Any]:
    """Load a space by name, or from a Python file of the user by its path.

    A space file is code and is executed. Raises UserError if it is missing or does not load.
    """
    module = _from_path(Path(name)) if name.endswith(".py") else _from_name(name)
    space = getattr(module, "SPACE", None)
    if not isinstance(space, SearchSpace):
        raise UserError(f"{module.__file__} defines no SPACE = SearchSpace(...)")
    question = " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())
    file = str(Path(name).resolve()) if name.endswith(".py") else ""
    return dataclasses.replace(space, name=Path(name).stem, file=file, question=question)


def load_trained(folder: Path) -> Predictor:
    """Load the best weights of a model that `trainables.train --out` wrote to a folder.

    Raises UserError if there is none, or if its space cannot restore it.
    """
    path = folder / "config.json"
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        space = load_space(str(values.pop("space")))
        values.pop("--teacher", None)  # needed for training only
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} contains no trained model: {path} cannot be read ({error})\n"
            "python -m trainables.train --space NAME --out FOLDER writes one"
        ) from error
    if space.restore is None:
        raise UserError(
            f"the space {space.name} has no function restore, which loads the model in {folder}"
        )
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return space.restore(build_config(space, values), folder / "best")


def load_teacher(run: Run) -> Predictor | None:
    """Load the model that `--teacher` names; return None without one."""
    return load_trained(run.teacher) if run.teacher else None


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
    module = ModuleType(f"space_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up their module by name

    def execute() -> ModuleType:
        # Not imported: if a file changes within a second, Python runs the old bytecode.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
        return module

    return _load(execute, str(path))


def _load(execute: Callable[[], ModuleType], name: str) -> ModuleType:
    try:
        return execute()
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise UserError(
            f"the space file {error.filename} cannot be read, line {error.lineno}: {error.msg}"
            f"\n    {line}"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(f"the space {name} needs the package {error.name!r}: {error}") from error
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the space {name} failed to load: {type(error).__name__}: {error}"
            "\n--debug shows the traceback"
        ) from error
