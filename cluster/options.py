"""The options of a search: how the command line names them, and what the user asked for, typed."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cluster.ledger.names import check_name
from cluster.sampling import SAMPLERS
from cluster.sampling.schedulers import SCHEDULERS
from cluster.storage.storage import Storage, add_storage_arguments, open_storage
from trainables.arguments import count, duration, file_path, gpu_fraction, nonempty, seed, whole
from trainables.errors import UserError

if TYPE_CHECKING:
    from searchspaces.space import SearchSpace

ResumeMode = Literal["resume", "fresh"] | None
ExecutorName = Literal["ray", "inline"]


@dataclass(frozen=True)
class Options:
    """What the user asked for; None where the space or an earlier search decides.

    `time_budget` and the timeouts are in seconds, `gpus_per_trial` a fraction of a GPU or "auto",
    `fixed` the values of --set, `confirm` the number of configurations to run again, `tune_arms`
    the trials per arm, `compare` the texts of --compare, `warnings` texts to print.
    """

    trials: int | None = None
    reports: int | None = None
    seeds: int | None = None
    seed: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    control: int | None = None
    confirm: int | None = None
    tune_arms: int | None = None
    compare: Sequence[str] = ()
    teacher: str | None = None
    resume_mode: ResumeMode = None
    changed_code: bool = False
    time_budget: float | None = None
    report_timeout: float | None = None
    trial_timeout: float | None = None
    executor: ExecutorName = "ray"
    concurrency: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    address: str | None = None
    storage: Storage = field(default_factory=lambda: Storage(Path("runs")))
    fixed: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a search to a command line."""
    add = parser.add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="fix a hyperparameter; may be repeated",
    )
    add(
        "--trials",
        type=count,
        help="number of configurations to try (default: of the space)",
    )
    add(
        "--reports",
        type=count,
        help="reports of a full trial, the unit of budget (default: of the space)",
    )
    add("--seed", type=seed, help="seed of sampler and training (default 0)")
    add("--sampler", choices=SAMPLERS, help="Optuna sampler (default tpe)")
    add(
        "--scheduler",
        choices=SCHEDULERS,
        help="early stopping (default asha; none for arms that are not tuned)",
    )
    add(
        "--control",
        type=count,
        metavar="N",
        help="number of sampled trials, of each tuned arm, that are never stopped early",
    )
    add(
        "--time-budget",
        type=duration,
        metavar="TIME",
        help="stop after this time: 90s, 30m, 2h, or seconds",
    )
    add(
        "--report-timeout",
        type=duration,
        metavar="TIME",
        help="kill a trial when one report takes longer; it is tried again as after an error",
    )
    add(
        "--trial-timeout",
        type=duration,
        metavar="TIME",
        help="the same for a whole attempt at a trial",
    )
    add(
        "--executor",
        choices=["ray", "inline"],
        default="ray",
        help="where trials run: on Ray (default), or one after the other in this process",
    )
    add(
        "--concurrency",
        type=whole(1, 10_000),
        help="concurrent trials (default: all that fit; 1 with --executor inline)",
    )
    add(
        "--gpus-per-trial",
        type=gpu_fraction,
        help="such as 0.25, or auto: measured with the default configuration",
    )
    add(
        "--address",
        type=nonempty,
        help="address of a running Ray cluster, or auto (default: RAY_ADDRESS)",
    )
    _add_comparison_arguments(parser)
    add_storage_arguments(parser)
    _add_data_arguments(parser)
    _add_resume_arguments(parser)


def _add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seeds", type=count, help="runs of each arm; with --confirm, of each trial")
    add(
        "--tune-arms",
        type=whole(0),
        metavar="N",
        help="tune each arm with N trials, then run its best on new seeds (0: do not)",
    )
    add(
        "--compare",
        action="append",
        default=[],
        metavar="NAME,NAME=V,V",
        help="make arms of hyperparameters, of all choices or of these values, and tune each",
    )
    add("--confirm", type=count, metavar="K", help="run the best K trials on new seeds")


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--data",
        choices=["real", "synthetic"],
        default="real",
        help="real data, or synthetic data drawn by a program",
    )
    add("--data-dir", type=file_path, help="folder of data sets (default: TUNERY_DATA)")
    add("--weights-dir", type=file_path, help="folder of pretrained weights")
    add(
        "--teacher",
        type=nonempty,
        help="model to learn from: runs:/RUN_ID, or a folder of train --out",
    )
    add("--trust-code", action="store_true", help="execute the space file that a teacher names")


def _add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--resume",
        dest="resume_mode",
        action="store_const",
        const="resume",
        help="continue the newest search of the space",
    )
    mode.add_argument(
        "--fresh",
        dest="resume_mode",
        action="store_const",
        const="fresh",
        help="start another search beside it",
    )
    parser.add_argument(
        "--changed-code",
        action="store_true",
        help="continue a search although the code of its space has changed",
    )


def read_options(arguments: argparse.Namespace, space: SearchSpace[Any]) -> Options:
    """Return the options of a command line for a space; raises UserError."""
    # Here, since `--help` needs neither Optuna nor torch.
    from cluster.sampling.ranges import list_outside_ranges
    from searchspaces.check import check_space
    from searchspaces.overrides import add_teacher_defaults, parse_overrides

    check_name(space.name)
    check_space(space)
    if arguments.seeds and not space.arms and not arguments.confirm:
        raise UserError(
            f"--seeds {arguments.seeds}: {space.name} has no arms to repeat\n"
            "leave --seeds out, or repeat the best trials with --confirm K"
        )
    given = arguments.set  # of Python code, values by their names
    fixed = dict(given) if isinstance(given, dict) else parse_overrides(space, given)
    if fixed:
        check_space(space, fixed)
    warnings = tuple(list_outside_ranges(space, fixed))
    if arguments.seed is not None and "seed" in vars(space.config()) and "seed" not in fixed:
        fixed["seed"] = arguments.seed
    if arguments.teacher:
        fixed = add_teacher_defaults(space, fixed)
    names = {f.name for f in dataclasses.fields(Options)} & vars(arguments).keys()
    values = {name: getattr(arguments, name) for name in names}
    values |= {
        "address": arguments.address or _default_address(arguments.executor),
        "storage": open_storage(arguments.storage, arguments.tracking_uri),
        "fixed": fixed,
        "warnings": warnings,
        "compare": tuple(arguments.compare),
    }
    options = Options(**values)
    if options.confirm:
        check_confirmation(options, space, arguments.set)
    if options.executor == "inline":
        check_inline(options)
    check_gpus(options, space)
    return options


def _default_address(executor: ExecutorName) -> str | None:
    return os.environ.get("RAY_ADDRESS") if executor == "ray" else None


def check_gpus(options: Options, space: SearchSpace[Any]) -> None:
    """Raise UserError for more GPUs per trial than a trial of the space uses."""
    asked, used = options.gpus_per_trial, max(1.0, space.resources.get("gpu", 1.0))
    if isinstance(asked, float) and asked > used:
        raise UserError(
            f"--gpus-per-trial {asked:g}: a trial of {space.name} uses {used:g}\n"
            "a task that starts a process per GPU with run.launch declares how many: "
            f'resources={{"gpu": {asked:g}}} in its SearchSpace'
        )


def check_confirmation(options: Options, space: SearchSpace[Any], given: object) -> None:
    """Raise UserError for an option of a new search, which has no effect on a confirmation."""
    reports = options.reports if options.reports != space.reports else None
    unused = {
        "--fresh": options.resume_mode == "fresh" or None,
        "--trials": options.trials,
        "--reports": reports,
        "--seed": options.seed,
        "--sampler": options.sampler,
        "--scheduler": options.scheduler,
        "--control": options.control,
        "--tune-arms": options.tune_arms,
        "--compare": options.compare or None,
        "--set": given or None,
    }
    if wrong := [option for option, value in unused.items() if value is not None]:
        raise UserError(
            f"--confirm {options.confirm} and {wrong[0]} exclude each other: a confirmation runs "
            "trials of the newest search again, with its settings\nleave one of the two out"
        )


def check_inline(options: Options) -> None:
    """Raise UserError for an option that needs Ray."""
    needing = {
        f"--address {options.address}": options.address,
        f"--gpus-per-trial {options.gpus_per_trial}": options.gpus_per_trial,
        f"--storage {options.storage.remote}": options.storage.remote,
    }
    if wrong := [option for option, value in needing.items() if value]:
        raise UserError(
            f"{wrong[0]} needs Ray, and --executor inline runs trials in this process\n"
            "leave one of the two out"
        )
