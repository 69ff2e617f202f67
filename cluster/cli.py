"""The command line of a search: `python -m trainables.tune --space NAME`.

What takes seconds to import (torch, Optuna, MLflow, Ray) is imported when it is known what is
wanted: `--help` and `--list` need none of it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cluster.execution.signals import interrupt_when_asked_to_end
from cluster.options import Options, add_arguments, read_options
from cluster.storage.redaction import redact, redact_tracebacks
from searchspaces.catalog import list_names, read_question
from trainables.arguments import Parser, file_path, nonempty
from trainables.collection import pause_collection
from trainables.console import SafeConsole
from trainables.errors import BAD_INPUT, INTERRUPTED, UserError, is_disk_full
from trainables.invocation import format_command
from trainables.terminal import announce, print_text

if TYPE_CHECKING:
    from rich.console import Console

    from cluster.tuning.run_trials import SearchEnd
    from searchspaces.space import SearchSpace
    from trainables.run import Run


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=format_command("tune"),
        description="Search the hyperparameters of a space on Ray, and log everything in MLflow.",
        allow_abbrev=False,  # the launcher looks for whole option names
    )
    parser.add_argument(
        "--space", type=nonempty, help="a name from --list, or the path of a space file"
    )
    parser.add_argument("--list", action="store_true", help="list the spaces and exit")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and its cost")
    add_arguments(parser)
    parser.add_argument(
        "--cluster",
        type=file_path,
        metavar="FILE",
        help="`ray up` file, such as cluster/gpu.yaml: start that cluster and run there",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    redact_tracebacks()
    words = sys.argv[1:] if words is None else words
    arguments = build_parser().parse_args(words)
    console = SafeConsole(emoji=False)  # a name may contain `:rocket:`
    try:
        with interrupt_when_asked_to_end():
            return run_command(arguments, words, console)
    except UserError as error:
        if arguments.debug:
            raise
        SafeConsole(stderr=True, markup=False, highlight=False, emoji=False).print(
            redact(str(error)), style="red", soft_wrap=True
        )
        return BAD_INPUT
    except OSError as error:
        if arguments.debug:
            raise
        fix = (
            "free some space, then give the same command with --resume: nothing is lost"
            if is_disk_full(error)
            else "fix that, or find where it was raised with --debug"
        )
        print_text(redact(f"the search cannot read or write: {error}\n{fix}"), sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print_text("\ninterrupted; continue with the same command and --resume", sys.stderr)
        return INTERRUPTED


def run_command(arguments: argparse.Namespace, words: list[str], console: Console) -> int:
    """Do what the arguments ask for and return the exit code."""
    if arguments.list or not arguments.space:
        for name in list_names():
            console.print(
                f"{name:22s} {read_question(name)}", highlight=False, markup=False, soft_wrap=True
            )
        if arguments.list:
            return 0
        print_text("\nname one of these with --space, or your own file", sys.stderr)
        return BAD_INPUT
    announce("loading PyTorch and Optuna")
    with pause_collection():
        from cluster.launch import launcher
        from cluster.sampling.compared import choose_arms
        from searchspaces.loading import load_space

        space = choose_arms(load_space(arguments.space), arguments.compare)
    options = read_options(arguments, space)
    for warning in options.warnings:
        console.print(f"note: {warning}", markup=False, soft_wrap=True)
    if arguments.cluster:
        if arguments.address:
            raise UserError("--cluster and --address exclude each other: give one of them")
        if options.executor == "inline":
            raise UserError("--cluster and --executor inline exclude each other: give one of them")
        if not arguments.dry_run:
            ask = input if sys.stdin.isatty() else None
            return launcher.run_on_cluster(arguments.cluster, words, ask)
        note = launcher.check_cluster(arguments.cluster, words)
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    elif options.address:
        launcher.check_no_credentials(
            words, "put them into ~/.mlflow/credentials, or the address into MLFLOW_TRACKING_URI"
        )
    run = find_run(space, options, arguments)
    if arguments.dry_run:
        from cluster.tuning.dry_run import print_dry_run

        print_dry_run(space, run, options, console)
        return 0
    return run_requested(space, run, options, console).exit_code


def find_run(space: SearchSpace[Any], options: Options, arguments: argparse.Namespace) -> Run:
    """Return what every trial sees of this machine; raises UserError for a wrong folder."""
    from searchspaces.calls import check_data_dir
    from trainables.build_run import build_run

    run = build_run(
        options.reports or space.reports,
        space.metric,
        space.mode,
        data_dir=arguments.data_dir,
        source=arguments.data,
        weights=arguments.weights_dir,
        trust_code=arguments.trust_code,
    )
    check_data_dir(space, arguments.data_dir)
    return run


def run_requested(
    space: SearchSpace[Any], run: Run, options: Options, console: Console
) -> SearchEnd:
    """Run the search, or its confirmation."""
    with pause_collection():
        from cluster.tuning.confirm import confirm
        from cluster.tuning.run_search import run_search

    run_it = confirm if options.confirm else run_search
    return run_it(space, run, options, console)
