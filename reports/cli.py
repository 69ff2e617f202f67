"""Options and error handling that all commands of reports share."""

import argparse
import sys
import traceback
from collections.abc import Callable

from cluster.storage.redaction import redact, redact_address
from cluster.storage.storage import add_storage_arguments, open_storage
from cluster.tracking.client import open_client
from reports.read.records import Tracker, TrackerError
from trainables.errors import UserError


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a search was written, and --debug."""
    add_storage_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def add_space_arguments(parser: argparse.ArgumentParser, used: str = "") -> None:
    """Add the options that say which code restores the models of a search."""
    parser.add_argument(
        "--space",
        metavar="FILE",
        help=f"{used}file of a space that is not in searchspaces/; its code is executed",
    )
    parser.add_argument(
        "--changed-code",
        action="store_true",
        help=f"{used}use the code of the space although it has changed since the search",
    )


def run_action(options: argparse.Namespace, action: Callable[[Tracker], None]) -> int:
    """Run an action with the server of the options; return 0, or 2 after an error message."""
    try:
        uri = open_storage(options.storage, options.tracking_uri).tracking_uri
        client = open_client(uri, read_only=True)
        try:
            action(client)
        except TrackerError as error:
            message = f"the tracking server {redact_address(uri)} could not answer: {error}"
            raise UserError(redact(message)[:600]) from error
    except (UserError, OSError) as error:
        if options.debug:
            print_error(traceback.format_exc())
        print_error(error)
        return 2
    return 0


def print_error(message: object) -> None:
    """Print to standard error, with credentials redacted."""
    print(redact(str(message)), file=sys.stderr)
