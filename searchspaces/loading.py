"""Find and load a space: `searchspaces/NAME.py` is the space NAME; or a file of the user's."""

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

from searchspaces.overrides import build_config, unknown_name
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.predictor import Predictor


def list_names() -> list[str]:
    """List the spaces that come with Tunery: the files here that define SPACE."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    defined = re.compile(r"^SPACE\b", re.MULTILINE)
    return [path.stem for path in files if defined.search(path.read_text(encoding="utf-8"))]


def load_space(name: str) -> SearchSpace[Any]:
    """Load a space by name, or from a Python file of the user's by its path.

    A space file is code, and is run. Raises UserError where there is none or it does not load.
    """
    module = _from_path(Path(name)) if name.endswith(".py") else _from_name(name)
    space = getattr(module, "SPACE", None)
    if not isinstance(space, SearchSpace):
        raise UserError(f"{module.__file__} defines no SPACE = SearchSpace(...)")
    question = " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())
    file = str(Path(name).resolve()) if name.endswith(".py") else ""
    return dataclasses.replace(space, name=Path(name).stem, file=file, question=question)


def load_trained(folder: Path) -> Predictor:
    """Give the model in a folder that `trainables.train --out` wrote, with its best weights.

    Raises UserError where there is none, or where its space cannot restore it.
    """
    path = folder / "config.json"
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        space = load_space(str(values.pop("space")))
        values.pop("--teacher", None)  # what it learnt from it has learnt
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no trained model: {path} cannot be read ({error})\n"
            "python -m trainables.train --space NAME --out FOLDER makes one"
        ) from error
    if space.restore is None:
        raise UserError(
            f"the space {space.name} does not say how to restore the model in {folder}"
        )
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return space.restore(build_config(space, given), folder / "best")


def _from_name(name: str) -> ModuleType:
    if name not in list_names():
        raise UserError(
            unknown_name("space", name, list_names())
            + "\na space of your own is given by its file: --space path/to/mine.py"
        )
    return _run(lambda: importlib.import_module(f"searchspaces.{name}"), name)


def _from_path(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"there is no space file {path}")
    module = ModuleType(f"space_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up by name

    def execute() -> ModuleType:
        # Not imported: of a file that changed within a second, Python would run the old bytecode.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
        return module

    return _run(execute, str(path))


def _run(execute: Callable[[], ModuleType], name: str) -> ModuleType:
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
            f"the space {name} failed while it was loaded: {type(error).__name__}: {error}"
            "\n--debug shows where"
        ) from error
