"""What a search space is, and how one is found: the file `searchspaces/NAME.py` is the space NAME.

A space says which configurations there are and how one is trained; it knows nothing of Ray.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import math
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from trainables.errors import UserError
from trainables.run import Loop, Mode, Predictor, Run, Truth

if TYPE_CHECKING:
    import optuna

C = TypeVar("C")


@dataclass(frozen=True)
class Published:
    """A number from a paper or from earlier work, to be put beside ours.

    `of` names the values of the compared hyperparameters that it was measured with: the row of
    the comparison table that it stands in.
    """

    setting: str
    value: float
    metric: str
    note: str = ""
    of: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchSpace(Generic[C]):
    """A question one can search an answer to.

    `reports` is how many reports a full trial makes, `grace` how many it makes before it may be
    stopped, `trials` how many are tried. `compare` names the scientific hyperparameters, the
    rows of the report's table. Every one of `arms` runs `seeds` times; `start` are known
    configurations that run after the default, which is always trial 0. `prepare` makes sure
    that the data are on this machine, and tells the right answers. A space that uses the model
    of `--teacher` (`Run.teacher`, a folder for `trained`) says in `taught` which values come with
    one, often none. `load` fills in `name`, `question` and, for a space given by its path, `file`.
    """

    config: type[C]
    train: Callable[[C, Run], Loop]
    suggest: Callable[[optuna.Trial], Mapping[str, Any]]
    metric: str
    mode: Mode
    reports: int
    grace: int = 1
    trials: int = 20
    feasible: Callable[[C], str | None] | None = None
    prepare: Callable[[C, Run], Truth] | None = None
    compare: tuple[str, ...] = ()
    arms: tuple[Mapping[str, Any], ...] = ()
    seeds: int = 3
    start: tuple[Mapping[str, Any], ...] = ()
    published: tuple[Published, ...] = ()
    restore: Callable[[C, Path], Predictor] | None = None
    taught: Mapping[str, Any] | None = None
    resources: Mapping[str, float] = field(default_factory=lambda: {"cpu": 1})
    name: str = ""
    file: str = ""
    question: str = ""


def names() -> list[str]:
    """List the spaces that come with Tunery."""
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> SearchSpace[Any]:
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


def configure(space: SearchSpace[C], values: Mapping[str, Any]) -> C:
    """Build a Config; an unknown name or a value it can never have is a UserError."""
    known = {f.name for f in dataclasses.fields(space.config)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(_unknown("hyperparameter", name, sorted(known)))
    try:
        return space.config(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"no {space.name} configuration has {dict(values)}: {error}") from error


def trained(folder: Path) -> Predictor:
    """Give the model in a folder that `trainables.train --out` wrote, with its best weights.

    Raises UserError where there is none, or where its space cannot restore it.
    """
    path = folder / "config.json"
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        space = load(str(values.pop("space")))
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
    return space.restore(configure(space, given), folder / "best")


def taught(space: SearchSpace[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Add what comes with a teacher; raises UserError where the space does not learn from one."""
    if space.taught is None:
        raise UserError(f"{space.name} learns from no other model: leave --teacher out")
    return {**space.taught, **values}


def parse(space: SearchSpace[Any], assignments: list[str]) -> dict[str, Any]:
    """Read `name=value` texts by the types of the Config's fields, and check them together."""
    types = typing.get_type_hints(space.config)
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment!r} is not of the form name=value")
        if name not in types:
            raise UserError(_unknown("hyperparameter", name, sorted(types)))
        values[name] = _read(text, types[name], name)
    configure(space, values)
    return values


def _read(text: str, kind: Any, name: str) -> Any:
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise UserError(f"{name}={text!r}: choose one of {', '.join(map(str, choices))}")
    if origin in (typing.Union, UnionType):
        if text.lower() == "none" and NoneType in choices:
            return None
        return _read(text, next(choice for choice in choices if choice is not NoneType), name)
    if kind is str:
        return text
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            if not math.isfinite(float(text)):
                raise UserError(f"{name}={text!r} is not a finite number")
            return float(text)
        value = json.loads(text)
        return tuple(value) if origin is tuple else value
    except (KeyError, TypeError, ValueError):
        expected = getattr(kind, "__name__", str(kind))
        raise UserError(f"{name}={text!r} is not of type {expected}") from None


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    either = " or ".join([", ".join(near[:-1]), near[-1]] if near[1:] else near)
    hint = f"did you mean {either}?\n" if near else ""
    return f"unknown {what} {name!r}: {hint}there are: {', '.join(known)}"


def _from_name(name: str) -> ModuleType:
    if name not in names():
        raise UserError(
            _unknown("space", name, names())
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
