"""The command line `python -m reports NAME`: read a search and write its report.

What takes seconds to import is imported when the options have been read.
"""

import importlib
import sys

from reports.options import PARSERS, build_report_parser
from trainables.arguments import suggest
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
    options = build_parser().parse_args(words)
    announce("loading MLflow, SciPy and matplotlib")
    code: int = importlib.import_module(f"reports.{action}").run(options)
    return code


if __name__ == "__main__":
    run_main(main)
