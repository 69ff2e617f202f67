"""The front door: `python -m trainables.tune --space NAME` runs a search and sums it up."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

from rich.console import Console

from cluster.execution import teacher_source
from cluster.execution.early_stopping import SCHEDULERS
from cluster.launch import launcher
from cluster.options import Options
from cluster.sampling.parameters import config_field, find_distributions
from cluster.sampling.samplers import SAMPLERS
from cluster.storage import ledger_backup
from cluster.tuning import confirm, dry_run, run_search
from searchspaces.loading import list_names, load_space
from searchspaces.overrides import add_teacher_defaults, parse_overrides
from searchspaces.space import SearchSpace
from trainables.environment import data_folder, default_cache, default_device
from trainables.errors import UserError
from trainables.run import Run

INTERRUPTED, BAD_INPUT = 130, 2
ROOM = "make room there, then give the same command with --resume: nothing is lost"


class Parser(argparse.ArgumentParser):
    """Refuses in a line, which thirty options would push out of sight."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.exit(BAD_INPUT, f"error: {message}\n--help lists the options\n")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = Parser(
        prog="python -m trainables.tune",
        description="Search the hyperparameters of a space on Ray, and log everything in MLflow.",
        allow_abbrev=False,  # `remote.translated` knows the whole words
    )
    p.add_argument("--space", help="a name from --list, or the path of a space file (code: run)")
    p.add_argument("--list", action="store_true", help="list the spaces and end")
    p.add_argument("--dry-run", action="store_true", help="say what would be done and its cost")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fix a value")
    p.add_argument("--trials", type=positive(int), help="configurations to try")
    p.add_argument("--reports", type=positive(int), help="reports of a full trial")
    p.add_argument(
        "--seeds", type=positive(int), help="runs of each arm or, with --confirm, trial"
    )
    p.add_argument("--seed", type=int, help="seed of sampler and training (default 0)")
    p.add_argument("--sampler", choices=SAMPLERS)
    p.add_argument("--scheduler", choices=SCHEDULERS, help="early stopping")
    p.add_argument("--control", type=positive(int), metavar="N", help="trials never stopped early")
    p.add_argument("--confirm", type=positive(int), metavar="K", help="run the best K again")
    p.add_argument("--time-budget", type=seconds, metavar="TIME", help="such as 90s, 30m, 2h")
    p.add_argument("--concurrency", type=positive(int), help="trials at once (default: all room)")
    p.add_argument("--gpus-per-trial", type=gpus, help="such as 0.25, or auto: by a probe")
    p.add_argument("--address", help="a running Ray cluster, such as auto (or RAY_ADDRESS)")
    p.add_argument("--cluster", type=Path, metavar="FILE", help="run on a cluster of `ray up`")
    p.add_argument(
        "--storage",
        default=os.environ.get("TUNERY_STORAGE") or "runs",
        help="a folder, or such as s3://bucket/prefix (default: TUNERY_STORAGE, or runs)",
    )
    p.add_argument(
        "--tracking-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="an MLflow server (default: MLFLOW_TRACKING_URI, or a file in the storage)",
    )
    p.add_argument("--data", choices=["real", "synthetic"], help="synthetic: drawn, not real")
    p.add_argument("--data-dir", type=Path, help="folder of data sets (or TUNERY_DATA)")
    p.add_argument("--weights-dir", type=Path, help="folder of pretrained weights")
    p.add_argument("--teacher", help="a model to learn from: runs:/RUN_ID, or an --out folder")
    going = p.add_mutually_exclusive_group()
    going.add_argument("--resume", dest="going", action="store_const", const="resume")
    going.add_argument("--fresh", dest="going", action="store_const", const="fresh")
    p.add_argument("--debug", action="store_true", help="show tracebacks")
    return p


def positive(kind: type[Any]) -> Any:
    """Read a number above 0."""

    def read(text: str) -> Any:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    read.__name__ = kind.__name__
    return read


def gpus(text: str) -> float | Literal["auto"]:
    """Read a share of a GPU, or the wish to have one measured."""
    share: float = 0.0 if text == "auto" else positive(float)(text)
    return share or "auto"


def seconds(text: str) -> float:
    """Read a time such as 90s, 30m or 2h into seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    options = parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=False)
    try:
        return command(options, console)
    except UserError as error:
        if options.debug:
            raise
        Console(stderr=True, markup=False, highlight=False).print(
            str(error), style="red", soft_wrap=True
        )
        return BAD_INPUT
    except OSError as error:
        if options.debug:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        way_out = ROOM if full else "mend that, or see with --debug where it came from"
        print(f"the search cannot read or write: {error}\n{way_out}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ninterrupted; the same command with --resume goes on", file=sys.stderr)
        return INTERRUPTED


def command(options: argparse.Namespace, console: Console) -> int:
    """Do what the options say."""
    if options.list or not options.space:
        for name in list_names():
            console.print(
                f"{name:22s} {load_space(name).question}", highlight=False, soft_wrap=True
            )
        return 0 if options.list else usage()
    space = load_space(options.space)
    storage, place = ledger_backup.resolve_storage(options.storage)
    if options.seeds and not space.arms and not options.confirm:
        raise UserError(
            f"--seeds repeats the arms of a space, and {space.name} has none; "
            "or, with --confirm K, the best trials"
        )
    fixed = parse_overrides(space, options.set)
    if options.seed is not None and "seed" in vars(space.config()) and "seed" not in fixed:
        fixed["seed"] = options.seed
    warn_outside(space, fixed, console)
    if options.teacher:
        fixed = add_teacher_defaults(space, fixed)
    if options.cluster:
        if options.address:
            raise UserError("--cluster starts Ray elsewhere, --address names one: give either")
        if not options.dry_run:
            answer = input if sys.stdin.isatty() else None
            return launcher.run_on_cluster(options.cluster, options.words, answer)
        config = launcher.read_cluster_file(options.cluster)
        launcher.translate_arguments(options.words, config, options.cluster)
        console.print(
            f"a search would run on the cluster {config.get('cluster_name', '')} of "
            f"{options.cluster}; what follows is looked up on this machine",
            highlight=False,
            soft_wrap=True,
        )
    address = options.address or os.environ.get("RAY_ADDRESS")
    if address:
        launcher.check_no_login(
            options.words,
            "put it into ~/.mlflow/credentials, or the address into MLFLOW_TRACKING_URI",
        )
    run = Run(
        reports=options.reports or space.reports,
        metric=space.metric,
        mode=space.mode,
        device=default_device(),
        data=data_folder(options.data_dir),
        cache=default_cache(),
        source=options.data or "real",
        weights=options.weights_dir,
    )
    chosen = Options(
        trials=options.trials,
        reports=options.reports,
        seeds=options.seeds,
        seed=options.seed,
        sampler=options.sampler,
        scheduler=options.scheduler,
        fixed=fixed,
        tracking_uri=options.tracking_uri,
        resume_mode=options.resume_mode,
        budget=options.time_budget,
        concurrency=options.concurrency,
        gpus=options.gpus_per_trial,
        address=address,
        control=options.control,
        teacher=teacher_source.resolve_name(options.teacher) if options.teacher else None,
        remote=place,
    )
    if options.dry_run:
        settings = run_search.decide_settings(space, chosen, storage)
        run_search.fetch_teacher(run, settings, chosen)
        dry_run.print_dry_run(
            space, fixed, run, settings["trials"], settings["scheduler"], console
        )
        return 0
    if options.confirm:
        return confirm.confirm(space, run, chosen, storage, console, options.confirm)
    return run_search.run_search(space, run, chosen, storage, console)


def usage() -> int:
    """Say that a space must be named."""
    print("\nname one of these with --space, or a file of your own", file=sys.stderr)
    return BAD_INPUT


def warn_outside(space: SearchSpace[Any], fixed: dict[str, Any], console: Console) -> None:
    """Warn of fixed values that are legal but outside the searched range."""
    ranges: dict[str, list[Any]] = {}
    for name, distribution in find_distributions(space, {}).items():
        ranges.setdefault(config_field(name), []).append(distribution)
    for name, value in fixed.items():
        if name in ranges and not any(inside(d, value) for d in ranges[name]):
            searched = " or ".join(dry_run.describe_range(d) for d in ranges[name])
            console.print(
                f"note: {name}={value} is outside the searched range {searched}",
                markup=False,
                soft_wrap=True,
            )


def inside(distribution: Any, value: Any) -> bool:
    """Tell whether a value lies in a distribution's range."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:
        return False
