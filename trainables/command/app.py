"""The console script `tunery`: its commands, in groups.

Those that `python -m` has, too, hand their words on; what takes seconds to import is imported when
the words have been read.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import cluster.cli
import reports.__main__
import trainables.train
from cluster.storage.redaction import redact, redact_tracebacks
from cluster.storage.storage import LOCAL_COPIES, Storage, open_storage
from reports.options import PARSERS, build_report_parser
from searchspaces.catalog import list_names, read_question
from searchspaces.train_options import build_parser as build_train_parser
from trainables.arguments import to_search_name
from trainables.command.forwarding import ForwardedCommand, Main, forward
from trainables.errors import BAD_INPUT, UserError
from trainables.terminal import print_json, print_text, run_main

CONFIRMED = 3
"""Configurations that `tunery confirm` runs again."""
SEARCH, READ, USE, MANAGE = "Search", "Read the results", "Use the models", "Manage"


def _print_version(wanted: bool) -> None:
    if wanted:
        print_text(f"tunery {importlib.metadata.version('tunery')}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: tunery list, tunery tune digits, tunery report digits",
)
StorageOption = Annotated[
    str,
    typer.Option("--storage", metavar="DIR|URI", help="default: TUNERY_STORAGE, or runs"),
]
TrackingOption = Annotated[
    str,
    typer.Option("--tracking-uri", metavar="URI", help="default: MLFLOW_TRACKING_URI, or a file"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]


@app.callback()
def describe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="print the version"
        ),
    ] = False,
) -> None:
    """Search the hyperparameters of deep networks, and report what was found."""


def add_command(name: str, panel: str, example: str, *how: Any, **more: Any) -> None:
    """Add a command whose words another parser reads; `how` are the arguments of `forward`."""
    app.command(name, cls=ForwardedCommand, rich_help_panel=panel, epilog=f"Example: {example}")(
        forward(*how, **more)
    )


def confirm(words: list[str]) -> int:
    """Run the best configurations of a search on new seeds."""
    return cluster.cli.main(["--confirm", str(CONFIRMED), *words])  # the last value counts


def list_searches_of_runs() -> Sequence[str]:
    """Return the names of the searches in the default storage, to complete a word."""
    try:
        folder = open_storage().folder
    except UserError:  # a shell that completes a word shows no message
        return []
    return sorted(path.parent.name for path in folder.glob("*/search.json"))


def add_commands() -> None:
    """Add the commands that `python -m` has, too."""
    searches = list_searches_of_runs
    tune = cluster.cli.build_parser()
    main: Main = cluster.cli.main
    add_command(
        "tune", SEARCH, "tunery tune digits --trials 20", tune, main, list_names, "--space"
    )
    confirming = cluster.cli.build_parser()
    confirming.description = (
        f"Run the best configurations of a search and the default again on new seeds: "
        f"{CONFIRMED} of them unless --confirm says how many."
    )
    add_command(
        "confirm", SEARCH, "tunery confirm digits --confirm 2 --seeds 5",
        confirming, confirm, list_names, "--space",
    )  # fmt: skip
    add_command(
        "train", SEARCH, "tunery train digits --set learning_rate=0.01",
        build_train_parser(), trainables.train.main, list_names, "--space",
    )  # fmt: skip
    report = build_report_parser()
    report.description = "Write the report of a search: report/NAME/report.md."
    run_report = partial(reports.__main__.run_action, "report")
    add_command("report", READ, "tunery report digits --html", report, run_report, searches)
    for name, panel, example in (
        ("compare", READ, "tunery compare digits digits-2"),
        ("ensemble", READ, "tunery ensemble digits --members 3 7 12"),
        ("predict", USE, "tunery predict mit67_transfer picture.jpg"),
        ("sample", USE, 'tunery sample dante_gpt --prompt "Nel mezzo"'),
        ("evaluate", USE, "tunery evaluate digits --split train"),
        ("export", USE, "tunery export digits"),
    ):
        run = partial(reports.__main__.run_action, name)
        add_command(name, panel, example, PARSERS[name](), run, searches)


add_commands()


@app.command("list", rich_help_panel=SEARCH, epilog="Example: tunery list --json")
def list_spaces(json: JsonOption = False) -> None:
    """List the search spaces that are included, with the question of each."""
    if json:
        spaces = [{"name": name, "question": read_question(name)} for name in list_names()]
        print_json(spaces)
        return
    raise typer.Exit(cluster.cli.main(["--list"]))


@app.command(rich_help_panel=READ, epilog="Example: tunery searches --storage runs --json")
def searches(storage: StorageOption = "", json: JsonOption = False) -> None:
    """List the searches in a storage: state, trials, best score, and the next command."""
    from trainables.command.searches import list_searches, print_searches

    place = open_local(storage)
    found = list_searches(place)
    if json:
        print_json(found)
    elif found:
        print_searches(found, open_console())
    else:
        print_text(f"there is no search in {place}\nrun one: tunery tune digits")


@app.command(rich_help_panel=READ, epilog="Example: tunery show digits")
def show(
    name: Annotated[
        str, typer.Argument(help="a search, or a space for its newest", metavar="NAME")
    ],
    storage: StorageOption = "",
    json: JsonOption = False,
) -> None:
    """Show one search: its settings, best trial and configuration, and last trials."""
    from trainables.command.searches import print_search, show_search

    facts = show_search(open_local(storage), to_search_name(name))
    if json:
        print_json(facts)
    else:
        print_search(facts, open_console())


@app.command(rich_help_panel=MANAGE, epilog="Example: tunery stop digits")
def stop(
    name: Annotated[
        str, typer.Argument(help="a search, or a space for its newest", metavar="NAME")
    ],
    storage: StorageOption = "",
) -> None:
    """Ask a running search to end; nothing is lost, and `tunery tune NAME --resume` continues."""
    from trainables.command.stop import stop_search

    print_text(stop_search(open_local(storage), to_search_name(name)))


@app.command(rich_help_panel=READ, epilog="Example: tunery ui digits")
def ui(
    name: Annotated[str, typer.Argument(help="a search or a space to open", metavar="NAME")] = "",
    storage: StorageOption = "",
    tracking_uri: TrackingOption = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on this machine")] = 5000,
    optuna: Annotated[
        bool, typer.Option("--optuna", help="open optuna-dashboard on the study of NAME instead")
    ] = False,
) -> None:
    """Open the runs of a storage in MLflow's UI, on this machine only."""
    from trainables.command.ui import show_dashboard, show_mlflow

    if optuna:
        raise typer.Exit(show_dashboard(open_local(storage), to_search_name(name), port))
    place = open_storage(storage or None, tracking_uri or None)
    raise typer.Exit(show_mlflow(place, to_search_name(name), port))


@app.command(rich_help_panel=MANAGE, epilog="Example: tunery doctor --json")
def doctor(storage: StorageOption = "", json: JsonOption = False) -> None:
    """Check Python, packages, GPU, disk, data, tracking, Ray and folders that shadow packages."""
    from trainables.command.doctor import check_everything, print_checks

    checks = check_everything(storage or None)
    if json:
        print_json([vars(check) for check in checks])
    else:
        print_checks(checks, open_console())
    raise typer.Exit(int(any(check.state == "fail" for check in checks)))


def open_local(storage: str) -> Storage:
    """Return a storage whose ledgers are on this machine; raises UserError where they are not."""
    place = open_storage(storage or None)
    if place.remote and not place.folder.is_dir():
        raise UserError(
            f"no search in {place} has run on this machine: {LOCAL_COPIES} has no copy of it\n"
            "run this where the search runs, or look at the tracking server"
        )
    return place


def open_console() -> Any:
    """Return a console that does not turn `:name:` into an emoji."""
    from trainables.console import SafeConsole

    return SafeConsole(emoji=False)


def main() -> NoReturn:
    """Run the command line, and exit."""
    run_main(run_app)


def run_app() -> int:
    """Run the command line; return only after an error of the user, otherwise it exits."""
    redact_tracebacks()
    # Last: own modules are found as with `python -m`, and none hides one that is installed.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except UserError as error:
        print_text(redact(str(error)), sys.stderr)
    return BAD_INPUT
