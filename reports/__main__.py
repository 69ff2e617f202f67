"""The command line `python -m reports NAME`: read a search and write its report.

What takes seconds to import is imported when the options have been read.
"""

import argparse
import gc
import sys

from reports.options import PARSERS, build_report_parser, space_file
from trainables.arguments import suggest, to_search_name
from trainables.collection import import_large
from trainables.errors import BAD_INPUT
from trainables.invocation import format_command
from trainables.terminal import announce, print_text, run_main


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 2 or 3 (`reports.cli.run_action`)."""
    words = sys.argv[1:] if arguments is None else arguments
    action = words[0] if words else ""
    if action in PARSERS:
        return run_action(action, words[1:])
    if near := suggest(action, PARSERS):
        print_text(
            f"{action!r} is no action of reports: did you mean {near}?\n"
            f"for a report of a search with that name: {format_command('report')} -- {action}",
            sys.stderr,
        )
        return BAD_INPUT
    return run_action("report", words)


def run_action(action: str, words: list[str]) -> int:
    """Run an action, or `report`, with the words behind it, and return the exit code."""
    build_parser = {"report": build_report_parser, **PARSERS}[action]
    options = parse_words(build_parser(), words)
    announce("loading MLflow, SciPy and matplotlib")
    module = import_large(f"reports.{action}")
    gc.freeze()  # all of it stays: no later collection needs to visit it
    code: int = module.run(options)
    return code


def parse_words(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Return the options of a command; a space file in place of a name is also its --space."""
    options = parser.parse_args(words)
    values = vars(options)
    names = values.get("names") or [values["name"]]
    if "names" in values:
        values["names"] = list(map(to_search_name, names))
    else:
        values["name"] = to_search_name(names[0])
    if len(names) == 1 and names[0].endswith(".py") and values.get("space", "") is None:
        try:
            values["space"] = space_file(names[0])
        except argparse.ArgumentTypeError as error:
            parser.error(str(error))
    return options


if __name__ == "__main__":
    run_main(main)
