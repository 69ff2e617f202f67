"""The Python API of a search: `from trainables.tune import tune`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from cluster.cli import find_run, run_requested
from cluster.execution.teacher_source import resolve_name
from cluster.ledger.damage import list_trials
from cluster.options import ExecutorName, add_arguments, read_options
from cluster.result import Result
from cluster.sampling.compared import choose_arms
from cluster.storage.storage import Storage
from searchspaces.catalog import find_question, list_names
from searchspaces.from_function import Suggest, make_space
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from trainables.arguments import Parser
from trainables.console import SafeConsole
from trainables.errors import UserError
from trainables.ranking import Mode


class OptionParser(Parser):
    """Raises UserError instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError with the names of arguments, not of options."""
        option, colon, problem = message.removeprefix("argument --").partition(":")
        raise UserError(f"{option.replace('-', '_')}{colon}{problem}" if colon else message)


def tune(
    space: str | SearchSpace[Any] | Callable[..., Any],
    *,
    suggest: Suggest | Mapping[str, Any] | None = None,
    metric: str | None = None,
    mode: Mode | None = None,
    defaults: Mapping[str, Any] | None = None,
    name: str | None = None,
    set: Mapping[str, Any] | None = None,
    trials: int | None = None,
    reports: int | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    control: int | None = None,
    tune_arms: int | None = None,
    compare: str | None = None,
    confirm: int | None = None,
    time_budget: float | str | None = None,
    report_timeout: float | str | None = None,
    trial_timeout: float | str | None = None,
    executor: ExecutorName = "ray",
    concurrency: int | None = None,
    gpus_per_trial: float | Literal["auto"] | None = None,
    address: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    data: Literal["real", "synthetic"] = "real",
    data_dir: str | Path | None = None,
    weights_dir: str | Path | None = None,
    teacher: str | None = None,
    trust_code: bool = False,
    resume: bool = False,
    fresh: bool = False,
    changed_code: bool = False,
    quiet: bool = False,
) -> Result:
    """Run a search and return its result; raises UserError where the command line exits with 2.

    Args:
        space: the name of a space, the path of a space file, a `SearchSpace`, or a function
            `train(config, run)`, which needs `suggest`, `metric` and `mode`.
        suggest: a function as in Optuna that returns the values of a trial by their names, or a
            dict of `optuna.distributions`.
        defaults: values of the configuration that runs first; the others are in the middle of
            their ranges.
        name: name of the search's folder, and of its experiment in MLflow.
        set: values of hyperparameters to fix.
        quiet: print nothing.

    Every other argument is the option of `python -m trainables.tune` with the same name.
    """
    given = dict(locals())
    _check_types(given)
    own = ("space", "suggest", "metric", "mode", "defaults", "name", "set", "quiet")
    words = _to_words({key: value for key, value in given.items() if key not in own})
    found = _find_space(space, suggest, metric, mode, defaults, reports)
    found = replace(found, name=name or found.name or _name(found))
    found = found if _is_loaded(found) else _complete(found)
    parser = OptionParser(allow_abbrev=False)
    add_arguments(parser)
    arguments = parser.parse_args(words)
    arguments.set = dict(set or {})
    found = choose_arms(found, arguments.compare)
    options = read_options(arguments, found)
    console = SafeConsole(emoji=False, quiet=quiet)
    for warning in options.warnings:
        console.print(f"note: {warning}", markup=False, soft_wrap=True)
    run = find_run(found, options, arguments)
    end = run_requested(found, run, options, console)
    given |= {"space": found, "name": None, "suggest": None, "metric": None, "mode": None}
    given |= {"defaults": None, **_make_absolute(given, options.storage)}
    last = max(list_trials(end.folder), default=-1)

    def again(**new: Any) -> Result:
        return tune(**{**given, **new})

    return Result(found, end.folder, options.storage, end.exit_code, last, again)


def _make_absolute(given: Mapping[str, Any], storage: Storage) -> dict[str, Any]:
    """Return the arguments that name places, as they are from any working directory."""
    folders = {name: given[name] for name in ("data_dir", "weights_dir") if given[name]}
    teacher = given["teacher"]
    return {
        "teacher": resolve_name(teacher) if teacher else None,
        "storage": str(storage.remote or storage.folder),
        "tracking_uri": storage.user_tracking_uri,
        **{name: Path(folder).expanduser().absolute() for name, folder in folders.items()},
    }


def _check_types(given: Mapping[str, Any]) -> None:
    """Raise UserError for an argument that no option of the command line checks."""
    types = {"metric": str, "mode": str, "name": str, "defaults": Mapping, "set": Mapping}
    for name, expected in types.items():
        if given[name] is not None and not isinstance(given[name], expected):
            what = "a text" if expected is str else "a dict"
            raise UserError(f"{name}={given[name]!r:.80} is not {what}")
    for name in ("defaults", "set"):
        for key in given[name] or ():
            if not isinstance(key, str):
                raise UserError(f"{name}={given[name]!r:.80}: the name {key!r:.80} is not a text")
    suggest = given["suggest"]
    if not (suggest is None or callable(suggest) or isinstance(suggest, Mapping)):
        raise UserError(f"suggest={suggest!r:.80} is no function, and no dict of distributions")


def _to_words(options: Mapping[str, Any]) -> list[str]:
    """Return the options as a command line has them."""
    words = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words.append(f"{option}={value}")
    return words


def _find_space(
    space: str | SearchSpace[Any] | Callable[..., Any],
    suggest: Suggest | Mapping[str, Any] | None,
    metric: str | None,
    mode: Mode | None,
    defaults: Mapping[str, Any] | None,
    reports: int | None,
) -> SearchSpace[Any]:
    extra = {"suggest": suggest, "metric": metric, "mode": mode, "defaults": defaults}
    if isinstance(space, str | Path | SearchSpace):
        if named := [key for key, value in extra.items() if value is not None]:
            raise UserError(f"{named[0]}: the space has its own; give it with a function only")
        if isinstance(space, SearchSpace):
            return space
        return load_space(str(space))
    if not callable(space):
        raise UserError(f"space={space!r:.80} is no name, SearchSpace or function")
    if suggest is None or metric is None or mode is None:
        missing = next(key for key in ("suggest", "metric", "mode") if extra[key] is None)
        raise UserError(f"{missing} is missing: a function needs suggest, metric and mode")
    return make_space(space, suggest, metric, mode, defaults, reports or 1)


def _is_loaded(space: SearchSpace[Any]) -> bool:
    """Return whether workers load what the space has: by its file, its name, or its value.

    A space made in Python may have any name and file, also those of another space.
    """
    if space.by_value or not (space.file or space.name in list_names()):
        return space.by_value
    own = load_space(space.file or space.name)
    names = ("config", "train", "suggest", "feasible", "prepare", "restore", "resources")
    return all(getattr(own, name) is getattr(space, name) for name in names)


def _complete(space: SearchSpace[Any]) -> SearchSpace[Any]:
    try:
        file = inspect.getfile(space.train)
    except TypeError:  # an object with __call__
        file = ""
    question = space.question or find_question(space.train.__doc__)
    return replace(space, file=file, question=question, by_value=True)


def _name(space: SearchSpace[Any]) -> str:
    module = space.config.__module__.rpartition(".")[2]
    return "notebook" if module == "__main__" else module
